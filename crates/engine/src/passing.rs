//! What one leg's message brings into the other leg's.

use sip::{Headers, Name, Writer};

use crate::error::Error;
use crate::ua::Failure;

/// What the BYE or CANCEL of a leg says of its end.
#[derive(Clone, Debug)]
pub(crate) enum Parting {
    /// What the other party's own said.
    Passed(Headers),
    /// Why the call cannot go on (RFC 3326).
    Failed(Failure),
    /// Another phone of the same party has the call: for this one it is none that was missed.
    AnsweredElsewhere,
}

impl Parting {
    /// What is said of this end. `None` where a party simply hung up, or a command did, and for whom a
    /// transfer has released: a BYE without a reason ends a call in the ordinary way, and so it stands
    /// in the figures of RFC 5589.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Party(_, failure) if failure.status != 487 => {
                Some(Self::Failed(failure.clone()))
            }
            _ => None,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            // Neither has a body that we would pass on.
            Self::Passed(headers) => copy_passed_except(writer, headers, |name| {
                let name = Name::parse(name.as_bytes());
                matches!(name, Name::ContentEncoding | Name::ContentDisposition | Name::MimeVersion)
            }),
            Self::Failed(Failure { status, reason, q850, .. }) => {
                let text = quoted(reason);
                writer.header("Reason", format_args!("SIP;cause={status};text={text}"));
                if let Some(cause) = q850 {
                    writer.header("Reason", format_args!("Q.850;cause={cause}"));
                }
            }
            Self::AnsweredElsewhere => {
                writer.header("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"");
            }
        }
    }
}

/// What an unanswered party is told when the other side failed like this. A redirection, a challenge
/// and the length of a session are between the other side and us.
pub(crate) fn told(status: u16) -> u16 {
    match status {
        300..=399 => 480,
        401 | 407 => 403,
        422 => 488,
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

/// Text as a quoted string (RFC 3261 §25.1).
pub(crate) fn quoted(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len() + 2);
    text.push('"');
    for character in plain.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}
