//! Dialect v1, the one of the README's example flows: what happened is named in `data`.
//!
//! Clients may rely on the members `cmd_id` and `data`; the others are extras.

use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Body;
use super::failure::Failure;
use super::time::rfc3339;
use crate::api::{CallId, CommandId, Event, EventKind, Side, SipUri};
use crate::server::journal::Notice;

/// The params of `Event`: something happened.
#[derive(JsonSchema, Serialize)]
pub(in crate::server) struct EventParams<'a> {
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
    /// That party's URI, as far as the command named it; of whom an attended transfer without `destination` leads to,
    /// where it is called.
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
pub(in crate::server) struct ErrorParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    #[serde(flatten)]
    failure: Failure<'a>,
}

/// The params of `Ended`: nothing more will come of this command.
#[derive(JsonSchema, Serialize)]
pub(in crate::server) struct EndedParams<'a> {
    /// The command.
    cmd_id: &'a CommandId,
    /// The call that now stands, for commands that make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    callid: Option<&'a CallId>,
}

/// What a client is told of its command, if this dialect has a word for it.
pub(super) fn body(cmd_id: &CommandId, notice: &Notice, time: SystemTime) -> Option<Body> {
    Some(match notice {
        Notice::Event(event) => Body::of("Event", &event_params(cmd_id, event, time)?),
        Notice::Error(error) => {
            Body::of("Error", &ErrorParams { cmd_id, failure: Failure::of(error) })
        }
        Notice::Ended(done) => {
            let callid = done.as_ref().and_then(|done| done.callid.as_ref());
            Body::of("Ended", &EndedParams { cmd_id, callid })
        }
    })
}

fn event_params<'a>(
    cmd_id: &'a CommandId,
    event: &'a Event,
    time: SystemTime,
) -> Option<EventParams<'a>> {
    Some(EventParams {
        cmd_id,
        data: name(&event.kind)?,
        callid: event.callid.as_ref(),
        leg: event.leg,
        uri: event.uri.as_ref(),
        sip_code: event.kind.sip_code(),
        params: match &event.kind {
            EventKind::Reply { params } => Some(params),
            _ => None,
        },
        time: rfc3339(time),
    })
}

fn name(kind: &EventKind) -> Option<EventName> {
    Some(match kind {
        EventKind::Answered => EventName::CallAnswer,
        EventKind::TransferAccepted => EventName::TransferAccept,
        EventKind::CallStarted => EventName::CallStart,
        EventKind::Held => EventName::CallHold,
        EventKind::Unheld => EventName::CallUnhold,
        EventKind::Ringing => EventName::CallRinging,
        EventKind::EarlyMedia => EventName::CallProgress,
        EventKind::TransferProgress { .. } => EventName::TransferProgress,
        EventKind::Reply { .. } => EventName::Reply,
        EventKind::HoldBegun | EventKind::HoldAsked | EventKind::Transferred => return None,
    })
}
