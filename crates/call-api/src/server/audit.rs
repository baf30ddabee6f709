//! The audit log: who was let in or refused, who commanded what, and what came of it.
//!
//! Each entry is a line of JSON, logged under the target [`TARGET`]; `telemetry` leads it to
//! `log.audit_path`, or into the log with everything else. Tokens have names, and only these are
//! written; of a command's parameters those are that say who is called and which call is meant.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::access::Principal;
use super::dialect::rfc3339;
use crate::api::{Command, CommandError, CommandId, RequestError};

/// The target of audit entries in the log.
pub const TARGET: &str = "audit";

#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    what: &'static str,
    #[serde(flatten)]
    more: Map<String, Value>,
    outcome: &'a str,
}

/// A client was let in, or left.
pub(super) fn connection(principal: &Principal, outcome: &'static str) {
    write(principal, "connection", Value::Null, outcome);
}

/// A client was not let in.
pub(super) fn denied(peer: SocketAddr, error: &RequestError) {
    let more = json!({"message": error.message});
    write(&Principal::from(peer), "connection", more, error.kind.name());
}

/// A command was given: what was answered.
pub(super) fn command(
    principal: &Principal,
    command: &Command,
    answer: Result<(&CommandId, &'static str), &RequestError>,
) {
    let (cmd_id, outcome) = match answer {
        Ok((cmd_id, outcome)) => (Some(cmd_id), outcome),
        Err(error) => (None, error.kind.name()),
    };
    let mut more = json!({"method": command.name(), "params": shown(command)});
    if let Some(cmd_id) = cmd_id {
        more["cmd_id"] = json!(cmd_id);
    }
    write(principal, "command", more, outcome);
}

/// A command has ended.
pub(super) fn ended(
    principal: &Principal,
    method: &'static str,
    cmd_id: &CommandId,
    error: Option<&CommandError>,
) {
    let mut more = json!({"method": method, "cmd_id": cmd_id});
    if let Some(error) = error {
        more["message"] = json!(error.to_string());
    }
    write(principal, "end", more, error.map_or("done", |error| error.kind().name()));
}

fn write(principal: &Principal, what: &'static str, more: Value, outcome: &str) {
    let more = match more {
        Value::Object(more) => more,
        _ => Map::new(),
    };
    let (time, owner) = (rfc3339(SystemTime::now()), principal.owner());
    let peer = principal.peer().map(|peer| peer.to_string());
    let entry = Entry { time, peer, token: owner.name(), what, more, outcome };
    let line = serde_json::to_string(&entry).expect("an entry is strings and maps of them");
    tracing::info!(target: TARGET, "{}", printable(&line));
}

/// The same JSON without the characters that JSON lets through and terminals, or those who read line by
/// line, do not: a phone may say why it refuses in any.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            text += &format!("\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// The parameters that matter.
fn shown(command: &Command) -> Value {
    match command {
        Command::CallStart(start) => {
            json!({"caller": start.caller, "callee": start.callee, "from": start.from})
        }
        Command::CallBlindTransfer(transfer) => json!({
            "callid": transfer.callid, "leg": transfer.leg, "destination": transfer.destination,
        }),
        Command::CallAttendedTransfer(transfer) => json!({
            "callid_a": transfer.callid_a, "leg_a": transfer.leg_a,
            "callid_b": transfer.callid_b, "leg_b": transfer.leg_b,
            "destination": transfer.destination,
        }),
        Command::CallHold(hold) => json!({"callid": hold.callid, "leg": hold.leg}),
        Command::CallUnHold(unhold) => json!({"callid": unhold.callid, "leg": unhold.leg}),
        Command::CallEnd(end) => json!({"callid": end.callid}),
        Command::Echo(_) | Command::Mistaken(_) => Value::Null,
    }
}
