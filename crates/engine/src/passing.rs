//! What one leg's message brings into the other leg's.

use sip::{Headers, Writer};

/// What an unanswered party is told when the other side failed like this. A redirection or a
/// challenge is between the other side and us.
pub(crate) fn told(status: u16) -> u16 {
    match status {
        300..=399 => 480,
        401 | 407 => 403,
        _ => status,
    }
}

/// Copies the headers that are meant for the other end, in order and as written.
pub(crate) fn copy_passed(writer: &mut Writer, headers: &Headers) {
    copy_passed_except(writer, headers, |_| false);
}

/// The same, without those whose name is said to be there already.
pub(crate) fn copy_passed_except(
    writer: &mut Writer,
    headers: &Headers,
    is_there: impl Fn(&str) -> bool,
) {
    for header in headers.iter().filter(|header| header.name.is_end_to_end()) {
        if !is_there(header.text) {
            writer.copy(header);
        }
    }
}
