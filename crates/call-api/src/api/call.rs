//! Calls, as those see them who watch: what a backend tells of every call, whoever placed it.
//!
//! A backend tells each transition once, with the call as it is then. So whoever keeps the last
//! word on each call, by its id, has the table of all calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Side;
use super::param::{CallId, SipUri};

/// A transition of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// What happened.
    pub change: CallChange,
    /// What the call is like now.
    pub call: Call,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallChange {
    /// It is here, and the callee is about to be called.
    Created,
    /// A party's phone rings.
    Ringing(Side),
    /// A party sends media before it answers.
    EarlyMedia(Side),
    /// A party answered.
    Answered(Side),
    /// Both talk.
    Established,
    /// A party is on hold now, by a command or by the other party's phone.
    Held(Side),
    /// It is not any more.
    Unheld(Side),
    /// Somebody else is this party now, by a transfer.
    Transferred(Side),
    /// It is being taken down; [`Call::ending`] says why.
    Ending,
    /// Nothing of it is left: the last word on this call.
    Ended,
}

/// A call between two parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Names it in this server, where a Call-ID may name several calls. Commands take it, too.
    pub id: CallId,
    /// Its SIP Call-ID; `None` when a phone chose one that no command could name.
    pub callid: Option<CallId>,
    /// Where it stands.
    pub stage: Stage,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub callee: Party,
    /// Why it is being taken down; `None` before.
    pub ending: Option<Ending>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The callee is called.
    Calling,
    /// The callee answered.
    Answered,
    /// Both talk.
    Established,
    /// It is being taken down.
    Ending,
}

/// A party of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its URI; `None` when a phone named itself by something else.
    pub uri: Option<SipUri>,
    /// The Call-ID of its dialog, where a transfer brought it from another call.
    pub callid: Option<CallId>,
    /// How far it got.
    pub reached: Reached,
    /// Whether it is on hold.
    pub held: bool,
}

/// How far a party got on its way into a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// It calls, or is called.
    Calling,
    /// Its phone rings.
    Ringing,
    /// It sends media before it answers.
    EarlyMedia,
    /// It answered, or was answered.
    Answered,
}

/// Why a call is taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Who ended it.
    pub by: EndedBy,
    /// SIP status code and reason phrase, unless somebody simply hung up.
    pub status: Option<(u16, String)>,
    /// The cause in the Reason header (RFC 3326), when there was one.
    pub q850: Option<u8>,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// A party: it hung up, refused, did not answer or went away.
    Party(Side),
    /// A command.
    Command,
    /// A transfer: the party that was not released goes on in another call.
    Transfer,
    /// The server, at one of its limits or for a bug.
    Server,
    /// The end of the server: one that was started later knows nothing more of the call. Its phones
    /// may still talk.
    Restart,
}

impl Call {
    /// Whether a client means this call: by its id or its Call-ID.
    #[must_use]
    pub fn is_named(&self, name: &CallId) -> bool {
        self.id == *name || self.callids().any(|callid| callid == name)
    }

    /// Every Call-ID that it is known by.
    pub fn callids(&self) -> impl Iterator<Item = &CallId> {
        [&self.callid, &self.caller.callid, &self.callee.callid].into_iter().flatten()
    }
}
