//! What a command is about, for those who are told of it.

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::param::SipUri;

/// Which command it is, and whom it names: all of it that those who are told of it need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A `CallStart`.
    CallStart {
        /// Who is called first.
        caller: SipUri,
        /// Who is called then.
        callee: SipUri,
    },
    /// A `CallBlindTransfer`.
    CallBlindTransfer {
        /// Who the party is sent to.
        destination: SipUri,
    },
    /// A `CallAttendedTransfer`.
    CallAttendedTransfer {
        /// Where the other party is called, if the client said so.
        destination: Option<SipUri>,
    },
    /// A `CallHold`.
    CallHold,
    /// A `CallUnHold`.
    CallUnHold,
    /// A `CallEnd`.
    CallEnd,
    /// An `Echo`.
    Echo,
    /// A command whose parameters are wrong.
    Mistaken {
        /// Its name.
        method: String,
    },
}

impl Subject {
    /// What this command is about.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        match command {
            Command::CallStart(start) => {
                Self::CallStart { caller: start.caller.clone(), callee: start.callee.clone() }
            }
            Command::CallBlindTransfer(transfer) => {
                Self::CallBlindTransfer { destination: transfer.destination.clone() }
            }
            Command::CallAttendedTransfer(transfer) => {
                Self::CallAttendedTransfer { destination: transfer.destination.clone() }
            }
            Command::CallHold(_) => Self::CallHold,
            Command::CallUnHold(_) => Self::CallUnHold,
            Command::CallEnd(_) => Self::CallEnd,
            Command::Echo(_) => Self::Echo,
            Command::Mistaken(mistaken) => Self::Mistaken { method: mistaken.method.to_owned() },
        }
    }

    /// Who a transfer leads to, as far as the client said so.
    #[must_use]
    pub fn destination(&self) -> Option<&SipUri> {
        match self {
            Self::CallBlindTransfer { destination } => Some(destination),
            Self::CallAttendedTransfer { destination } => destination.as_ref(),
            Self::CallStart { .. }
            | Self::CallHold
            | Self::CallUnHold
            | Self::CallEnd
            | Self::Echo
            | Self::Mistaken { .. } => None,
        }
    }
}
