//! What one leg's message brings into the other leg's.

use sip::{Headers, Writer};

/// Copies the headers that are meant for the other end, in order and as written.
pub(crate) fn copy_passed(writer: &mut Writer, headers: &Headers) {
    for header in headers.iter().filter(|header| header.name.is_end_to_end()) {
        writer.copy(header);
    }
}
