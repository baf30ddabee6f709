//! How calls, registrations and subscriptions are spelled.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::{command_notification, leg, notification, rfc3339};
use crate::api::call::{EndedBy, Ending, Party, Reached, Stage};
use crate::api::{CallChange, CallId, Cursor, Registration, RegistrationChange, SipUri};
use crate::server::journal::{CallRecord, Opening, Record, RegistrationRecord, Snapshot, What};

/// Where a notification stands among those that the journal holds, and in a subscription.
#[derive(Debug, Serialize)]
pub struct Mark<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    cursor: Cursor,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Cursor>,
}

impl<'a> Mark<'a> {
    /// Of a notification that goes to whoever started the command.
    #[must_use]
    pub fn own(cursor: Cursor) -> Self {
        Self { subscription: None, cursor, prev: None }
    }

    /// Of a notification of a subscription; `prev` is the cursor of the one before it there.
    #[must_use]
    pub fn subscribed(cursor: Cursor, subscription: &'a str, prev: Cursor) -> Self {
        Self { subscription: Some(subscription), cursor, prev: Some(prev) }
    }
}

/// Whatever the journal holds, as a notification, if it is one.
#[must_use]
pub fn notification_of(record: &Record, mark: &Mark<'_>) -> Option<String> {
    Some(match &record.what {
        What::Command(_, cmd_id, notice) => command_notification(cmd_id, notice, record.time, mark),
        What::Call(change, call) => call_event(*change, call, record.time, mark),
        What::Registration(change, registration) => {
            registration_event(*change, registration, record.time, mark)
        }
        What::Begun(..) => return None,
    })
}

/// The result of `CallList`.
#[derive(Debug, Serialize)]
pub struct Calls {
    calls: Vec<CallShown>,
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
#[derive(Debug, Serialize)]
pub struct Registrations {
    registrations: Vec<RegistrationShown>,
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
#[derive(Debug, Serialize)]
pub struct Subscribed<'a> {
    subscription: &'a str,
    cursor: Cursor,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<CallShown>>,
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
#[derive(Debug, Serialize)]
pub struct Unsubscribed<'a> {
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

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a CallId,
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    state: &'static str,
    legs: [LegShown<'a>; 2],
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    established: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndShown<'a>>,
}

#[derive(Serialize)]
struct LegShown<'a> {
    leg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a SipUri>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    state: &'static str,
    held: bool,
}

/// The members that an `Error` has in its `data`, too.
#[derive(Serialize)]
struct EndShown<'a> {
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q850: Option<u8>,
}

/// A registration as clients see it, at this time.
#[derive(Debug)]
struct RegistrationShown(Arc<RegistrationRecord>, SystemTime);

fn shown_now(registrations: Vec<Arc<RegistrationRecord>>) -> Vec<RegistrationShown> {
    let now = SystemTime::now();
    registrations.into_iter().map(|record| RegistrationShown(record, now)).collect()
}

impl Serialize for RegistrationShown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            aor: &'a SipUri,
            contact: &'a SipUri,
            since: String,
            /// Seconds left. What is left of one is still one.
            expires: u128,
        }
        let RegistrationRecord { registration, since, expires, .. } = &*self.0;
        let Registration { aor, contact } = registration;
        let left = expires.duration_since(self.1).unwrap_or_default();
        let expires = left.as_millis().div_ceil(1000);
        Shown { aor, contact, since: rfc3339(*since), expires }.serialize(serializer)
    }
}

fn registration_event(
    change: RegistrationChange,
    record: &Arc<RegistrationRecord>,
    time: SystemTime,
    mark: &Mark<'_>,
) -> String {
    #[derive(Serialize)]
    struct Params<'a> {
        event: &'static str,
        registration: RegistrationShown,
        time: String,
        #[serde(flatten)]
        mark: &'a Mark<'a>,
    }
    let event = match change {
        RegistrationChange::Registered | RegistrationChange::Renewed => "REGISTERED",
        RegistrationChange::Expired => "EXPIRED",
        RegistrationChange::Removed => "REMOVED",
    };
    let (registration, time) = (RegistrationShown(Arc::clone(record), time), rfc3339(time));
    notification("RegistrationEvent", &Params { event, registration, time, mark })
}

fn call_event(change: CallChange, call: &CallRecord, time: SystemTime, mark: &Mark<'_>) -> String {
    #[derive(Serialize)]
    struct Params<'a> {
        event: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        leg: Option<&'static str>,
        call: Shown<'a>,
        time: String,
        #[serde(flatten)]
        mark: &'a Mark<'a>,
    }
    let (event, side) = match change {
        CallChange::Created => ("CALL_START", None),
        CallChange::Ringing(side) => ("CALL_RINGING", Some(side)),
        CallChange::EarlyMedia(side) => ("CALL_PROGRESS", Some(side)),
        CallChange::Answered(side) => ("CALL_ANSWER", Some(side)),
        CallChange::Established => ("CALL_ESTABLISHED", None),
        CallChange::Held(side) => ("CALL_HOLD", Some(side)),
        CallChange::Unheld(side) => ("CALL_UNHOLD", Some(side)),
        CallChange::Transferred(side) => ("CALL_TRANSFER", Some(side)),
        CallChange::Ending => ("CALL_ENDING", None),
        CallChange::Ended => ("CALL_END", None),
    };
    let (leg, call, time) = (side.map(leg), shown(call), rfc3339(time));
    notification("CallEvent", &Params { event, leg, call, time, mark })
}

fn shown(record: &CallRecord) -> Shown<'_> {
    let call = &record.call;
    Shown {
        id: &call.id,
        callid: call.callid.as_ref(),
        state: match call.stage {
            Stage::Calling => "calling",
            Stage::Answered => "answered",
            Stage::Established => "established",
            Stage::Ending => "ending",
        },
        legs: [party("caller", &call.caller), party("callee", &call.callee)],
        created: rfc3339(record.created),
        answered: record.answered.map(rfc3339),
        established: record.established.map(rfc3339),
        ended: call.ending.as_ref().map(ended),
    }
}

fn party<'a>(leg: &'static str, party: &'a Party) -> LegShown<'a> {
    let state = match party.reached {
        Reached::Calling => "calling",
        Reached::Ringing => "ringing",
        Reached::EarlyMedia => "early_media",
        Reached::Answered => "answered",
    };
    LegShown {
        leg,
        uri: party.uri.as_ref(),
        callid: party.callid.as_ref(),
        state,
        held: party.held,
    }
}

fn ended(ending: &Ending) -> EndShown<'_> {
    EndShown {
        origin: match ending.by {
            EndedBy::Party(side) => leg(side),
            EndedBy::Command => "command",
            EndedBy::Transfer => "transfer",
            EndedBy::Server => "server",
            EndedBy::Restart => "restart",
        },
        sip_code: ending.status.as_ref().map(|(code, _)| *code),
        sip_reason: ending.status.as_ref().map(|(_, reason)| reason.as_str()),
        q850: ending.q850,
    }
}
