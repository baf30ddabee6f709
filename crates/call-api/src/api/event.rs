//! What a running command reports, and what it leaves behind when it succeeds.
//!
//! Events are typed: their names and members on the wire are given in `server::dialect`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::param::{CallId, SipUri};

/// One of the two parties of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The party that is called first.
    Caller,
    /// The party that the caller talks to.
    Callee,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// Something that happened while a command ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The dialog that a later command would name, as soon as it is known.
    pub callid: Option<CallId>,
    /// To whom it happened.
    pub leg: Option<Side>,
    /// The URI of that party.
    pub uri: Option<SipUri>,
}

impl Event {
    /// An event without details.
    #[must_use]
    pub fn new(kind: EventKind) -> Self {
        Self { kind, callid: None, leg: None, uri: None }
    }

    /// Says to whom it happened.
    #[must_use]
    pub fn at(self, leg: Side, uri: SipUri) -> Self {
        Self { leg: Some(leg), uri: Some(uri), ..self }
    }

    /// Says to whom it happened, where the URI is not known.
    #[must_use]
    pub fn at_leg(self, leg: Side) -> Self {
        Self { leg: Some(leg), ..self }
    }

    /// Says in which call it happened.
    #[must_use]
    pub fn in_call(self, callid: CallId) -> Self {
        Self { callid: Some(callid), ..self }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// A party answered.
    Answered,
    /// The party that was asked to call somebody agreed to (RFC 3515: a 2xx to REFER).
    TransferAccepted,
    /// The call to the callee, or to the target of a transfer, is on its way.
    CallStarted,
    /// A hold, or the end of one, has begun: the call is one that can be held, and phones are asked.
    HoldBegun,
    /// A party's phone is asked to be held, or to be taken back: a re-INVITE goes to it.
    HoldAsked,
    /// A party is on hold.
    Held,
    /// A party is not on hold any more.
    Unheld,
    /// The party of a transfer talks to whom it was sent to.
    Transferred,
    /// Provisional: a party's phone rings.
    Ringing,
    /// Provisional: a party sends media before it answers (a 183 with a session description).
    EarlyMedia,
    /// Provisional: how far the new call is, as the transferred party says (RFC 3515 §2.4.4).
    TransferProgress {
        /// The status code it reported.
        sip_code: u16,
    },
    /// What `Echo` was sent.
    Reply {
        /// The parameters as they came.
        #[serde(with = "as_text")]
        params: Value,
    },
}

impl EventKind {
    /// The status that a referred phone reported.
    #[must_use]
    pub fn sip_code(&self) -> Option<u16> {
        match self {
            Self::TransferProgress { sip_code } => Some(*sip_code),
            _ => None,
        }
    }

    /// Whether only a client that asked for `verbose` is told.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        match self {
            Self::Ringing | Self::EarlyMedia | Self::TransferProgress { .. } => true,
            Self::Answered
            | Self::TransferAccepted
            | Self::CallStarted
            | Self::HoldBegun
            | Self::HoldAsked
            | Self::Transferred
            | Self::Held
            | Self::Unheld
            | Self::Reply { .. } => false,
        }
    }
}

/// Any JSON as a string of its text, for it may be nested as deeply as a parser goes.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(value: &Value, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// What a command that succeeded leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The call that now stands, for commands that make one.
    pub callid: Option<CallId>,
}
