//! How calls, registrations and subscriptions are spelled.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::Body;
use super::failure::Status;
use super::time::rfc3339;
use crate::api::call::{EndedBy, Ending, Party, Reached, Stage};
use crate::api::{CallChange, CallId, Cursor, Registration, RegistrationChange, Side, SipUri};
use crate::server::journal::{CallRecord, Opening, RegistrationRecord, Snapshot};

/// The result of `CallList`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Calls {
    /// Oldest first.
    calls: Vec<CallShown>,
    /// The place at which this was so.
    cursor: Cursor,
}

impl Calls {
    /// The calls, and the cursor after them.
    #[must_use]
    pub fn new(calls: Vec<Arc<CallRecord>>, cursor: Cursor) -> Self {
        Self { calls: calls.into_iter().map(CallShown).collect(), cursor }
    }
}

/// The result of `RegistrationList`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Registrations {
    /// Oldest first.
    registrations: Vec<RegistrationShown>,
    /// The place at which this was so.
    cursor: Cursor,
}

impl Registrations {
    /// The registrations, and the cursor after them.
    #[must_use]
    pub fn new(registrations: Vec<Arc<RegistrationRecord>>, cursor: Cursor) -> Self {
        Self { registrations: shown_now(registrations), cursor }
    }
}

/// The result of `Subscribe`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Subscribed<'a> {
    /// Its name.
    subscription: &'a str,
    /// The place from which it goes on.
    cursor: Cursor,
    /// Something that happened after `since` is not told.
    #[schemars(default)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
    /// The snapshot: the calls there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<CallShown>>,
    /// The snapshot: the registrations there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    registrations: Option<Vec<RegistrationShown>>,
}

impl<'a> Subscribed<'a> {
    /// What the subscription of this name starts with.
    #[must_use]
    pub fn new(subscription: &'a str, opening: Opening) -> Self {
        let Opening { cursor, gap, snapshot } = opening;
        let (calls, registrations) = match snapshot {
            Snapshot::None => (None, None),
            Snapshot::Calls(calls) => (Some(calls.into_iter().map(CallShown).collect()), None),
            Snapshot::Registrations(registrations) => (None, Some(shown_now(registrations))),
        };
        Self { subscription, cursor, gap, calls, registrations }
    }
}

/// The result of `Unsubscribe`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Unsubscribed<'a> {
    /// The one that is over.
    subscription: &'a str,
}

impl<'a> Unsubscribed<'a> {
    /// The subscription of this name is over.
    #[must_use]
    pub fn new(subscription: &'a str) -> Self {
        Self { subscription }
    }
}

/// A call as clients see it: the result of `CallGet`.
#[derive(Debug)]
pub struct CallShown(pub Arc<CallRecord>);

impl Serialize for CallShown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        shown(&self.0).serialize(serializer)
    }
}

impl JsonSchema for CallShown {
    fn schema_name() -> Cow<'static, str> {
        Shown::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shown::json_schema(generator)
    }
}

/// A call.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Call")]
struct Shown<'a> {
    /// Names the call in this server, where a Call-ID may name several.
    id: &'a CallId,
    /// SIP Call-ID; left out when a phone chose one that a command could not name.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    /// Where it stands.
    state: Stage,
    /// Caller and callee.
    legs: [LegShown<'a>; 2],
    /// When it came, in UTC (RFC 3339).
    created: String,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<String>,
    /// Since when both talk.
    #[serde(skip_serializing_if = "Option::is_none")]
    established: Option<String>,
    /// Once it is being taken down: by whom, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndShown<'a>>,
}

/// A party of a call.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Leg")]
struct LegShown<'a> {
    /// Which one.
    leg: Side,
    /// Left out when a phone gave no SIP URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a SipUri>,
    /// Where its own is another one: a transfer or pickup brought it, or `sip.hide_call_id` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    /// How far it got.
    state: Reached,
    /// Whether it is on hold.
    held: bool,
}

/// Why a call ended; without a status when somebody simply hung up.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "CallEnding")]
struct EndShown<'a> {
    /// Who ended it.
    origin: EndOrigin,
    #[serde(flatten)]
    status: Status<'a>,
}

/// Who ended a call.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum EndOrigin {
    /// The caller hung up, or went away.
    Caller,
    /// The callee hung up, refused, did not answer or went away.
    Callee,
    /// A command.
    Command,
    /// A transfer: the party that was not released goes on in another call.
    Transfer,
    /// The server, at one of its limits or for a bug.
    Server,
    /// A restart of the server, which does not say how the phones parted.
    Restart,
}

/// A registration as clients see it, at this time.
#[derive(Debug)]
struct RegistrationShown(Arc<RegistrationRecord>, SystemTime);

fn shown_now(registrations: Vec<Arc<RegistrationRecord>>) -> Vec<RegistrationShown> {
    let now = SystemTime::now();
    registrations.into_iter().map(|record| RegistrationShown(record, now)).collect()
}

/// A phone that is registered.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Registration")]
struct PhoneShown<'a> {
    /// The user's address-of-record: whoever calls it calls all phones of the user.
    aor: &'a SipUri,
    /// The phone's own URI.
    contact: &'a SipUri,
    /// Since when, in UTC (RFC 3339).
    since: String,
    /// Seconds left. What is left of one is still one.
    expires: u128,
}

impl Serialize for RegistrationShown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RegistrationRecord { registration, since, expires, .. } = &*self.0;
        let Registration { aor, contact } = registration;
        let left = expires.duration_since(self.1).unwrap_or_default();
        let expires = left.as_millis().div_ceil(1000);
        PhoneShown { aor, contact, since: rfc3339(*since), expires }.serialize(serializer)
    }
}

impl JsonSchema for RegistrationShown {
    fn schema_name() -> Cow<'static, str> {
        PhoneShown::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PhoneShown::json_schema(generator)
    }
}

/// The params of `RegistrationEvent`: what became of a registration.
#[derive(JsonSchema, Serialize)]
pub(in crate::server) struct RegistrationEventParams {
    /// What happened.
    event: RegistrationEventName,
    /// To which registration.
    registration: RegistrationShown,
    /// When, in UTC, to the millisecond (RFC 3339).
    time: String,
}

/// What can happen to a registration.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RegistrationEventName {
    /// It is here, and was not before.
    Registered,
    /// Its time ran out.
    Expired,
    /// The phone took it back, or it gave way to another one.
    Removed,
}

pub(super) fn registration_event(
    change: RegistrationChange,
    record: &Arc<RegistrationRecord>,
    time: SystemTime,
) -> Body {
    let event = match change {
        RegistrationChange::Registered | RegistrationChange::Renewed => {
            RegistrationEventName::Registered
        }
        RegistrationChange::Expired => RegistrationEventName::Expired,
        RegistrationChange::Removed => RegistrationEventName::Removed,
    };
    let (registration, time) = (RegistrationShown(Arc::clone(record), time), rfc3339(time));
    Body::of("RegistrationEvent", &RegistrationEventParams { event, registration, time })
}

/// The params of `CallEvent`: what happened to a call.
#[derive(JsonSchema, Serialize)]
pub(in crate::server) struct CallEventParams<'a> {
    /// What happened.
    event: CallEventName,
    /// To which party, where it happened to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<Side>,
    /// The whole call as it is then.
    call: Shown<'a>,
    /// When, in UTC, to the millisecond (RFC 3339).
    time: String,
}

/// What can happen to a call.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::enum_variant_names, reason = "the names on the wire")]
enum CallEventName {
    /// The call is here, and the callee is being called.
    CallStart,
    /// The phone of `leg` rings.
    CallRinging,
    /// `leg` sends sound before it is answered (early media).
    CallProgress,
    /// `leg` answered.
    CallAnswer,
    /// Both talk.
    CallEstablished,
    /// `leg` is on hold now, by a command or by the other party's phone.
    CallHold,
    /// `leg` is not on hold any more.
    CallUnhold,
    /// `leg` is somebody else now: by a transfer, a phone's REFER, or an INVITE with Replaces.
    CallTransfer,
    /// The call is being taken down; `ended` says who did it and why.
    CallEnding,
    /// Nothing of it is left: take it off your table.
    CallEnd,
}

pub(super) fn call_event(change: CallChange, call: &CallRecord, time: SystemTime) -> Body {
    let (event, leg) = match change {
        CallChange::Created => (CallEventName::CallStart, None),
        CallChange::Ringing(side) => (CallEventName::CallRinging, Some(side)),
        CallChange::EarlyMedia(side) => (CallEventName::CallProgress, Some(side)),
        CallChange::Answered(side) => (CallEventName::CallAnswer, Some(side)),
        CallChange::Established => (CallEventName::CallEstablished, None),
        CallChange::Held(side) => (CallEventName::CallHold, Some(side)),
        CallChange::Unheld(side) => (CallEventName::CallUnhold, Some(side)),
        CallChange::Transferred(side) => (CallEventName::CallTransfer, Some(side)),
        CallChange::Ending => (CallEventName::CallEnding, None),
        CallChange::Ended => (CallEventName::CallEnd, None),
    };
    let (call, time) = (shown(call), rfc3339(time));
    Body::of("CallEvent", &CallEventParams { event, leg, call, time })
}

fn shown(record: &CallRecord) -> Shown<'_> {
    let call = &record.call;
    Shown {
        id: &call.id,
        callid: call.callid.as_ref(),
        state: call.stage,
        legs: [party(Side::Caller, &call.caller), party(Side::Callee, &call.callee)],
        created: rfc3339(record.created),
        answered: record.answered.map(rfc3339),
        established: record.established.map(rfc3339),
        ended: call.ending.as_ref().map(ended),
    }
}

fn party(leg: Side, party: &Party) -> LegShown<'_> {
    LegShown {
        leg,
        uri: party.uri.as_ref(),
        callid: party.callid.as_ref(),
        state: party.reached,
        held: party.held,
    }
}

fn ended(ending: &Ending) -> EndShown<'_> {
    EndShown {
        origin: match ending.by {
            EndedBy::Party(Side::Caller) => EndOrigin::Caller,
            EndedBy::Party(Side::Callee) => EndOrigin::Callee,
            EndedBy::Command => EndOrigin::Command,
            EndedBy::Transfer => EndOrigin::Transfer,
            EndedBy::Server => EndOrigin::Server,
            EndedBy::Restart => EndOrigin::Restart,
        },
        status: Status {
            sip_code: ending.status.as_ref().map(|(code, _)| *code),
            sip_reason: ending.status.as_ref().map(|(_, reason)| reason.as_str()),
            q850: ending.q850,
        },
    }
}
