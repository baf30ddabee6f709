//! How replies and notifications are spelled: dialect v1, the one of the README's example flows.
//!
//! The only file that knows the names of events and the members of notifications. Clients may rely
//! on the members `cmd_id` and `data`; the others are extras.

mod watch;

use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

pub(super) use self::watch::{CallEventParams, RegistrationEventParams};
pub use self::watch::{
    CallShown, Calls, Mark, Registrations, Subscribed, Unsubscribed, notification_of,
};
use super::journal::Notice;
use crate::api::{CallId, CommandError, CommandId, Done, Event, EventKind, Origin, Side, SipUri};

/// The result of a request whose command was started, now or when it first came.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Started<'a> {
    /// Names the command in every notification that follows.
    cmd_id: &'a CommandId,
    #[schemars(extend("const" = "Started"))]
    status: &'static str,
    /// This is a retry: nothing was started now.
    #[schemars(default)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl<'a> Started<'a> {
    /// `replayed` says that this is a retry, for which nothing was started.
    #[must_use]
    pub fn new(cmd_id: &'a CommandId, replayed: bool) -> Self {
        Self { cmd_id, status: "Started", replayed }
    }
}

/// The params of `Event`: something happened.
#[derive(JsonSchema, Serialize)]
pub(super) struct EventParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    /// What happened.
    data: EventName,
    /// Call-ID of the dialog it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    /// The party it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<Side>,
    /// That party's URI, as far as the command named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a SipUri>,
    /// `TRANSFER_PROGRESS` only: the status that the referred phone reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_code: Option<u16>,
    /// `REPLY` only: what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Value>,
    /// When, in UTC, to the millisecond (RFC 3339).
    time: String,
    #[serde(flatten)]
    mark: &'a Mark<'a>,
}

/// What can happen while a command runs.
#[derive(Clone, Copy, JsonSchema, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EventName {
    /// The party in `leg` answered.
    CallAnswer,
    /// The party in `leg` goes to the other one: its phone agreed to call, or the server joins the
    /// two itself.
    TransferAccept,
    /// The call to the party in `leg` is on its way.
    CallStart,
    /// The party in `leg` is on hold.
    CallHold,
    /// The party in `leg` is not on hold any more.
    CallUnhold,
    /// Provisional: the phone of `leg` rings.
    CallRinging,
    /// Provisional: `leg` sends sound before it is answered (early media).
    CallProgress,
    /// Provisional: how far the new call is, as the referred phone says.
    TransferProgress,
    /// What `Echo` was sent.
    Reply,
}

/// The params of `Error`: the command failed. `Ended` follows.
#[derive(JsonSchema, Serialize)]
pub(super) struct ErrorParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    /// A code of the table of errors.
    code: i32,
    /// For people.
    message: String,
    /// For programs.
    data: ErrorData<'a>,
    #[serde(flatten)]
    mark: &'a Mark<'a>,
}

/// What programs are told of a failure.
#[derive(JsonSchema, Serialize)]
struct ErrorData<'a> {
    /// The stable name of the error.
    kind: &'static str,
    /// Whose answer it is, or who did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// SIP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_code: Option<u16>,
    /// SIP reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_reason: Option<&'a str>,
    /// The cause in the Reason header (RFC 3326), when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    q850: Option<u8>,
}

/// The params of `Ended`: nothing more will come of this command.
#[derive(JsonSchema, Serialize)]
pub(super) struct EndedParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    /// The call that now stands, for commands that make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    #[serde(flatten)]
    mark: &'a Mark<'a>,
}

/// What a client is told of its command.
fn command_notification(
    cmd_id: &CommandId,
    notice: &Notice,
    time: SystemTime,
    mark: &Mark<'_>,
) -> String {
    match notice {
        Notice::Event(happened) => event(cmd_id, happened, time, mark),
        Notice::Error(failure) => error(cmd_id, failure, mark),
        Notice::Ended(done) => ended(cmd_id, done.as_ref(), mark),
    }
}

/// A notification: something happened.
fn event(cmd_id: &CommandId, event: &Event, time: SystemTime, mark: &Mark<'_>) -> String {
    let sip_code = match event.kind {
        EventKind::TransferProgress { sip_code } => Some(sip_code),
        _ => None,
    };
    let params = match &event.kind {
        EventKind::Reply { params } => Some(params),
        _ => None,
    };
    let params = EventParams {
        cmd_id,
        data: name(&event.kind),
        callid: event.callid.as_ref(),
        leg: event.leg,
        uri: event.uri.as_ref(),
        sip_code,
        params,
        time: rfc3339(time),
        mark,
    };
    notification("Event", &params)
}

/// A notification: the command failed. `Ended` follows.
fn error(cmd_id: &CommandId, error: &CommandError, mark: &Mark<'_>) -> String {
    let mut data = ErrorData {
        kind: error.kind().name(),
        origin: None,
        sip_code: None,
        sip_reason: None,
        q850: None,
    };
    match error {
        CommandError::Sip { origin, code, reason, q850 } => {
            data = ErrorData {
                origin: Some(*origin),
                sip_code: Some(*code),
                sip_reason: Some(reason),
                q850: *q850,
                ..data
            }
        }
        CommandError::Declined { origin, .. } => data = ErrorData { origin: Some(*origin), ..data },
        // What a server says for somebody who did not answer (RFC 3261 §16.8).
        CommandError::Timeout { origin } => {
            data = ErrorData { origin: Some(*origin), sip_code: Some(408), ..data }
        }
        _ => {}
    }
    let (code, message) = (error.kind().code(), error.to_string());
    notification("Error", &ErrorParams { cmd_id, code, message, data, mark })
}

/// A notification: nothing more will come of this command. `done` is `None` after an error.
fn ended(cmd_id: &CommandId, done: Option<&Done>, mark: &Mark<'_>) -> String {
    let callid = done.and_then(|done| done.callid.as_ref());
    notification("Ended", &EndedParams { cmd_id, callid, mark })
}

fn notification(method: &'static str, params: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Notification<'a, P> {
        jsonrpc: &'static str,
        method: &'static str,
        params: &'a P,
    }
    serde_json::to_string(&Notification { jsonrpc: "2.0", method, params })
        .expect("structs of strings and numbers have no key that JSON cannot hold")
}

fn name(kind: &EventKind) -> EventName {
    match kind {
        EventKind::Answered => EventName::CallAnswer,
        EventKind::TransferAccepted => EventName::TransferAccept,
        EventKind::CallStarted => EventName::CallStart,
        EventKind::Held => EventName::CallHold,
        EventKind::Unheld => EventName::CallUnhold,
        EventKind::Ringing => EventName::CallRinging,
        EventKind::EarlyMedia => EventName::CallProgress,
        EventKind::TransferProgress { .. } => EventName::TransferProgress,
        EventKind::Reply { .. } => EventName::Reply,
    }
}

/// `2026-11-23T09:00:00.000Z` (RFC 3339 §5.6). A time before 1970 is taken for 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    // The calendar repeats every 400 years, which have 146,097 days; counting years within one such
    // period is enough.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let at = |millis| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_000 - 1), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_795_424_400_000), "2026-11-23T09:00:00.000Z");
        assert_eq!(at(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(at(13_574_649_600_000), "2400-03-01T00:00:00.000Z");
    }
}
