//! Why a command failed.

use std::fmt;

use crate::event::Side;
use crate::ua::Failure;

/// Why a command failed. What a phone did is told as it said it, with the party that said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No call has this Call-ID.
    NoSuchCall,
    /// Several calls have this Call-ID, for they pass through here more than once: these are the
    /// names that tell them apart.
    Ambiguous(Vec<String>),
    /// A party refused, did not answer, or could not be reached.
    Party(Side, Failure),
    /// Whom a party was to be transferred to refused, did not answer, or could not be reached.
    Target(Failure),
    /// The call is not in a state for this: why not.
    InvalidState(&'static str),
    /// Another command ended the call.
    Superseded,
    /// The engine holds as many calls as it may.
    Full,
    /// A bug of ours cost the call.
    Bug,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCall => f.write_str("no such call"),
            Self::Ambiguous(names) => {
                write!(f, "several calls have this Call-ID: {}", names.join(", "))
            }
            Self::Party(side, failure) => {
                let side = match side {
                    Side::Caller => "caller",
                    Side::Callee => "callee",
                };
                write!(f, "{side}: {} {}", failure.status, failure.reason)
            }
            Self::Target(failure) => write!(f, "target: {} {}", failure.status, failure.reason),
            Self::InvalidState(why) => f.write_str(why),
            Self::Superseded => f.write_str("another command ended the call"),
            Self::Full => f.write_str("too many calls"),
            Self::Bug => f.write_str("internal error"),
        }
    }
}

impl std::error::Error for Error {}
