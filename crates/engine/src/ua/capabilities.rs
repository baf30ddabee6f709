//! What we can, as our messages say it: the methods (Allow) and the extensions (Supported) that we
//! know (RFC 3261 §20.5, §20.37).

use sip::Writer;

use super::UserAgent;

/// The methods we take, as our Allow header lists them.
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, PRACK, MESSAGE";

impl UserAgent {
    /// What an INVITE, an UPDATE and their 2xx tell of us.
    pub(super) fn capabilities(&self, writer: &mut Writer) {
        writer.header("Allow", ALLOW).header("Supported", self.supported());
    }

    /// The same with one more, which not every message may name.
    pub(super) fn supported_with(&self, extension: &str) -> String {
        match (self.is_simple, self.supported()) {
            (true, known) => known.to_owned(),
            (false, known) => format!("{known}, {extension}"),
        }
    }

    /// The extensions that we know, as our Supported header lists them.
    pub(super) fn supported(&self) -> &'static str {
        match (self.is_simple, self.session_seconds.is_some()) {
            (true, false) => "",
            (true, true) => "timer",
            (false, false) => "replaces",
            (false, true) => "replaces, timer",
        }
    }
}
