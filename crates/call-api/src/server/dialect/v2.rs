//! Dialect v2, which the Go implementation of this API speaks: the method of a notification is the
//! command's name, and what happened is named in `event`.
//!
//! Its clients know the members `cmd_id`, `event` and `data`, and find there what they are used to;
//! the other members are extras. `Error` and `Ended` are events, too.

use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Body;
use super::failure::Failure;
use super::time::rfc3339;
use crate::api::error::status_line;
use crate::api::{
    CallId, CommandError, CommandId, Event, EventKind, Mistake, Origin, Side, SipUri, Subject,
};
use crate::server::journal::{CommandRecord, Notice, Told};

/// The params of every notification of a command.
#[derive(JsonSchema, Serialize)]
pub(in crate::server) struct CommandParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    /// More about it: of `Error` words, of `Reply` what was sent, else an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    /// What happened.
    event: EventName,
    /// `Error` only: the same for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
    /// Call-ID of the dialog it happened in; of `Ended`, the call that now stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    /// The party it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<Side>,
    /// That party's URI, as far as the command named it; of whom an attended transfer without `destination` leads to,
    /// where it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a SipUri>,
    /// `TransferPending` only: the status that the referred phone reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_code: Option<u16>,
    /// When, in UTC, to the millisecond (RFC 3339).
    time: String,
}

/// What can happen to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "CommandEvent")]
enum EventName {
    /// `CallStart`: the caller answered.
    CallerAnswered,
    /// The caller, or the party of a transfer, goes to the other one: its phone agreed to call, or the
    /// server joins the two itself.
    Transferring,
    /// The call to the callee, or to the destination of a transfer, is on its way.
    TransferStart,
    /// How far that call is, as the referred phone says; with `verbose` also as the other phone shows.
    TransferPending,
    /// `CallStart`: the callee answered.
    CalleeAnswered,
    /// The party of a transfer talks to its destination.
    TransferSuccessful,
    /// Phones are asked to be held.
    CallHolding,
    /// The phone of `leg` is asked.
    CallHoldStart,
    /// The party in `leg` is on hold.
    CallHoldSuccessful,
    /// Phones are asked to be taken back.
    CallUnholding,
    /// The phone of `leg` is asked.
    CallUnholdStart,
    /// The party in `leg` is not on hold any more.
    CallUnholdSuccessful,
    /// What `Echo` was sent.
    Reply,
    /// The command failed: `data` says why in words. `Ended` follows.
    Error,
    /// Nothing more will come of this command.
    Ended,
}

/// What `data` holds.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "CommandData")]
#[serde(untagged)]
enum Data<'a> {
    /// Of most events.
    Details(Details<'a>),
    /// Of `Error`.
    Words(String),
    /// Of `Reply`: what was sent.
    Sent(&'a Value),
}

/// Whom an event is about.
#[derive(Default, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "CommandDetails")]
struct Details<'a> {
    /// `CallStart`: who is called then.
    #[serde(skip_serializing_if = "Option::is_none")]
    callee: Option<&'a SipUri>,
    /// `CallStart`: who is called first.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a SipUri>,
    /// Call-ID of the new call, from `TransferStart` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
    /// Whom the call or the party is sent to; of an attended transfer without `destination`, from `TransferStart` on.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a SipUri>,
    /// `TransferPending`: SIP status code and reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
    /// The party that is held or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<Side>,
}

/// What a client is told of its command, if this dialect has a word for it.
pub(super) fn body(command: &CommandRecord, notice: &Notice, time: SystemTime) -> Option<Body> {
    let CommandRecord { cmd_id, subject, told, .. } = command;
    let bare = CommandParams {
        cmd_id,
        data: None,
        event: EventName::Ended,
        error: None,
        callid: None,
        leg: None,
        uri: None,
        sip_code: None,
        time: rfc3339(time),
    };
    let params = match notice {
        Notice::Event(happened) => {
            let event = name(subject, happened)?;
            CommandParams {
                data: data(command, event, happened),
                event,
                callid: happened.callid.as_ref(),
                leg: happened.leg,
                uri: happened.uri.as_ref(),
                sip_code: happened.kind.sip_code(),
                ..bare
            }
        }
        Notice::Error(error) => CommandParams {
            data: Some(Data::Words(words(subject, told, error))),
            event: EventName::Error,
            error: Some(Failure::of(error)),
            ..bare
        },
        Notice::Ended(done) => {
            CommandParams { callid: done.as_ref().and_then(|done| done.callid.as_ref()), ..bare }
        }
    };
    Some(Body::of(method(subject), &params))
}

fn method(subject: &Subject) -> &str {
    match subject {
        Subject::CallStart { .. } => "CallStart",
        Subject::CallBlindTransfer { .. } => "CallBlindTransfer",
        Subject::CallAttendedTransfer { .. } => "CallAttendedTransfer",
        Subject::CallHold => "CallHold",
        Subject::CallUnHold => "CallUnhold",
        Subject::CallEnd => "CallEnd",
        Subject::Echo => "Echo",
        Subject::Mistaken { method } if method == "CallUnHold" => "CallUnhold",
        Subject::Mistaken { method } => method,
    }
}

fn name(subject: &Subject, event: &Event) -> Option<EventName> {
    let unholds = *subject == Subject::CallUnHold;
    Some(match (&event.kind, event.leg) {
        (EventKind::Answered, Some(Side::Caller)) => EventName::CallerAnswered,
        (EventKind::Answered, _) => EventName::CalleeAnswered,
        (EventKind::TransferAccepted, _) => EventName::Transferring,
        (EventKind::CallStarted, _) => EventName::TransferStart,
        (EventKind::TransferProgress { .. }, _) => EventName::TransferPending,
        (EventKind::Ringing | EventKind::EarlyMedia, leg) => match (subject, leg) {
            // Nothing is transferred yet.
            (Subject::CallStart { .. }, Some(Side::Caller)) => return None,
            _ => EventName::TransferPending,
        },
        (EventKind::Transferred, _) => EventName::TransferSuccessful,
        (EventKind::HoldBegun, _) if unholds => EventName::CallUnholding,
        (EventKind::HoldBegun, _) => EventName::CallHolding,
        (EventKind::HoldAsked, _) if unholds => EventName::CallUnholdStart,
        (EventKind::HoldAsked, _) => EventName::CallHoldStart,
        (EventKind::Held, _) => EventName::CallHoldSuccessful,
        (EventKind::Unheld, _) => EventName::CallUnholdSuccessful,
        (EventKind::Reply { .. }, _) => EventName::Reply,
    })
}

fn data<'a>(command: &'a CommandRecord, name: EventName, event: &'a Event) -> Option<Data<'a>> {
    let extra = match event.kind {
        EventKind::Ringing => Some(180),
        EventKind::EarlyMedia => Some(183),
        _ => event.kind.sip_code(),
    };
    let extra = extra.map(status_line);
    // Of the new call: before there is one, events name the dialog with the party that goes there.
    let is_new = matches!(command.told, Told::CallStarted(_));
    let callid = event.callid.as_ref().filter(|_| is_new);
    let details = match (&command.subject, name) {
        (Subject::CallStart { caller, callee }, EventName::Transferring) => {
            Details { caller: Some(caller), destination: Some(callee), ..Details::default() }
        }
        (Subject::CallStart { caller, callee }, _) => {
            let (caller, callee) = (Some(caller), Some(callee));
            Details { callee, caller, callid, extra, ..Details::default() }
        }
        (Subject::CallBlindTransfer { .. } | Subject::CallAttendedTransfer { .. }, _) => {
            let destination = command.destination();
            Details { callid, destination, extra, ..Details::default() }
        }
        (Subject::CallHold | Subject::CallUnHold, _) => {
            Details { leg: event.leg, ..Details::default() }
        }
        (Subject::CallEnd | Subject::Echo | Subject::Mistaken { .. }, _) => Details::default(),
    };
    match &event.kind {
        EventKind::Reply { params } => Some(Data::Sent(params)),
        _ => (details != Details::default()).then_some(Data::Details(details)),
    }
}

/// Why a command failed, in the words of the Go implementation where it has some.
fn words(subject: &Subject, told: &Told, error: &CommandError) -> String {
    let answered = |origin: &Origin, status: String| match (subject, told, origin) {
        (Subject::CallStart { .. }, Told::Begun, Origin::Caller) => {
            format!("failed to establish initial call: {status}")
        }
        _ => status,
    };
    match error {
        CommandError::NotFound(_) => no_such_call(subject),
        CommandError::InvalidParams { mistake, .. } => match mistake {
            Mistake::Missing(name) => format!("{name} not specified"),
            Mistake::Uri => "400 Invalid ruri".to_owned(),
            Mistake::CallId => no_such_call(subject),
            Mistake::Side => "-32000 Server error".to_owned(),
        },
        CommandError::InvalidState(why) => match why.as_str() {
            "already on hold" => "480 Both dialog legs are on hold".to_owned(),
            "not on hold" => "480 No dialog legs on hold".to_owned(),
            "the call is not established"
            | "the call is not answered yet"
            | "the call is being started" => "410 Dialog not ready".to_owned(),
            "the call is being ended" => no_such_call(subject),
            "a transfer is under way"
            | "another hold is under way"
            | "a call is transferred once in OpenSIPS, and this one was, or is being" => {
                status_line(491)
            }
            why => why.to_owned(),
        },
        CommandError::Sip { origin, code, reason, .. } => {
            answered(origin, format!("{code} {reason}"))
        }
        CommandError::Timeout { origin } => answered(origin, status_line(408)),
        CommandError::Declined { .. }
        | CommandError::Unsupported(_)
        | CommandError::BackendUnavailable(_)
        | CommandError::Draining
        | CommandError::Restarted
        | CommandError::RateLimited(_)
        | CommandError::Internal(_) => error.to_string(),
    }
}

fn no_such_call(subject: &Subject) -> String {
    match method(subject) {
        "CallEnd" => "404 Requested Dialog not found",
        "CallAttendedTransfer" => "404 Transfer dialog not found",
        _ => "404 Dialog not found",
    }
    .to_owned()
}
