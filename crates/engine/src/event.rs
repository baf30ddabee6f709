//! What the engine reports: how commands go on, and how they end.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::registrar::BindingChange;
use crate::watch::CallEvent;

/// Names a command. The shell chooses it and must not use one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// One of the two parties of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Who was called first, or who called.
    Caller,
    /// Who was called then.
    Callee,
}

/// What the engine tells the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command went on.
    Progress(CommandId, Progress),
    /// A command is over: with the Call-ID that later commands would use, if it made a call, or
    /// with the reason of its failure. Reported once for each command.
    Done(CommandId, Result<Option<Arc<str>>, Error>),
    /// A call went on, whoever placed it.
    Call(Box<CallEvent>),
    /// A contact of a user was registered, was so again, or is not registered any more.
    Registration {
        /// Address-of-record: the URI by which the user is called.
        aor: Arc<str>,
        /// Contact URI.
        contact: Arc<str>,
        /// What happened to it.
        change: BindingChange,
        /// How long it is registered from now on, unless it is renewed; zero when it is no more.
        expires: Duration,
    },
    /// A bug was caught: it cost the call it happened in. The text is for the log.
    Bug(String),
}

/// A step of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What happened.
    pub step: Step,
    /// The party it happened to.
    pub side: Side,
    /// Where that party is called; of a transfer only for whom it leads to, of a hold never.
    pub uri: Option<Arc<str>>,
    /// Call-ID of the dialog it happened in.
    pub call_id: Arc<str>,
}

/// What can happen while a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The party's phone rings. Provisional.
    Ringing,
    /// The party's side sends media before it answers. Provisional.
    EarlyMedia,
    /// The party answered.
    Answered,
    /// The party goes to the other one: it took the REFER, or the engine joins the two.
    TransferAccepted,
    /// The phone that was referred reports this status. Provisional.
    TransferProgress(u16),
    /// The call between the two was placed.
    CallStarted,
    /// The party is asked to be held, or taken back, by a re-INVITE.
    HoldAsked,
    /// The party is on hold.
    Held,
    /// The party is not on hold any more.
    Unheld,
}
