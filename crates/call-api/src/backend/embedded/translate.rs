//! The engine's words and the API's: the one place where the two meet. Public for those who drive
//! an engine in another way than [`super::Embedded`] does, as tests in virtual time do.

use std::time::Duration;

use engine::{Change, Error, FailureKind, Step};

use crate::api::call::{EndedBy, Ending, Party, Reached, Stage};
use crate::api::{
    Call, CallAttendedTransfer, CallBlindTransfer, CallChange, CallEvent, CallHold, CallId,
    CallStart, CallUnHold, CommandError, Done, Event, EventKind, Mode, Origin, Registration,
    RegistrationChange, RegistrationEvent, Side, SipUri,
};

/// The engine's form of a `CallStart`.
#[must_use]
pub fn start(start: CallStart) -> engine::StartRequest {
    engine::StartRequest {
        caller: start.caller.to_string(),
        callee: start.callee.to_string(),
        from: start.from.map(|from| from.to_string()),
        display: start.display.map(|display| display.to_string()),
        mode: mode(start.mode),
        headers: start.headers.as_slice().to_vec(),
        auto_answer: start.auto_answer,
        timeout: start.timeout,
    }
}

/// The engine's form of a `CallBlindTransfer`.
#[must_use]
pub fn blind_transfer(transfer: CallBlindTransfer) -> engine::TransferRequest {
    engine::TransferRequest {
        call_id: transfer.callid.to_string(),
        side: engine_side(transfer.leg),
        to: engine::Target::Uri(transfer.destination.to_string()),
        mode: mode(transfer.mode),
        headers: transfer.headers.as_slice().to_vec(),
        timeout: transfer.timeout,
    }
}

/// The engine's form of a `CallAttendedTransfer`.
#[must_use]
pub fn attended_transfer(transfer: CallAttendedTransfer) -> engine::TransferRequest {
    engine::TransferRequest {
        call_id: transfer.callid_a.to_string(),
        side: engine_side(transfer.leg_a),
        to: engine::Target::Party {
            call_id: transfer.callid_b.to_string(),
            side: engine_side(transfer.leg_b),
            uri: transfer.destination.map(|destination| destination.to_string()),
        },
        mode: mode(transfer.mode),
        headers: transfer.headers.as_slice().to_vec(),
        timeout: transfer.timeout,
    }
}

fn mode(mode: Mode) -> engine::Mode {
    match mode {
        Mode::Auto => engine::Mode::Auto,
        Mode::Refer => engine::Mode::Refer,
        Mode::Bridge => engine::Mode::Bridge,
    }
}

/// The engine's form of a `CallHold`.
#[must_use]
pub fn hold(hold: CallHold) -> engine::HoldRequest {
    let CallHold { callid, leg, timeout } = hold;
    engine::HoldRequest {
        call_id: callid.to_string(),
        side: leg.map(engine_side),
        held: true,
        timeout,
    }
}

/// The engine's form of a `CallUnHold`.
#[must_use]
pub fn unhold(unhold: CallUnHold) -> engine::HoldRequest {
    let CallUnHold { callid, leg, timeout } = unhold;
    engine::HoldRequest {
        call_id: callid.to_string(),
        side: leg.map(engine_side),
        held: false,
        timeout,
    }
}

/// A step of the engine's as an event.
#[must_use]
pub fn progress(progress: &engine::Progress) -> Event {
    let kind = match progress.step {
        Step::Ringing => EventKind::Ringing,
        Step::EarlyMedia => EventKind::EarlyMedia,
        Step::Answered => EventKind::Answered,
        Step::TransferAccepted => EventKind::TransferAccepted,
        Step::TransferProgress(sip_code) => EventKind::TransferProgress { sip_code },
        Step::CallStarted => EventKind::CallStarted,
        Step::HoldAsked => EventKind::HoldAsked,
        Step::Held => EventKind::Held,
        Step::Unheld => EventKind::Unheld,
    };
    let (event, side) = (Event::new(kind), side(progress.side));
    // A phone's Contact may be none that the API takes.
    let event = match progress.uri.as_deref().and_then(SipUri::parse) {
        Some(uri) => event.at(side, uri),
        None => event.at_leg(side),
    };
    match call_id(&progress.call_id) {
        Some(call_id) => event.in_call(call_id),
        None => event,
    }
}

/// How a command ended.
///
/// # Errors
///
/// When the command failed.
pub fn outcome(result: Result<Option<std::sync::Arc<str>>, Error>) -> Result<Done, CommandError> {
    match result {
        Ok(made) => Ok(Done { callid: made.as_deref().and_then(call_id) }),
        Err(error) => Err(failure(error)),
    }
}

/// A transition of a call.
#[must_use]
pub fn call(event: engine::CallEvent) -> CallEvent {
    let engine::CallEvent { change, call } = event;
    let change = match change {
        Change::Created => CallChange::Created,
        Change::Ringing(at) => CallChange::Ringing(side(at)),
        Change::EarlyMedia(at) => CallChange::EarlyMedia(side(at)),
        Change::Answered(at) => CallChange::Answered(side(at)),
        Change::Established => CallChange::Established,
        Change::Held(at) => CallChange::Held(side(at)),
        Change::Unheld(at) => CallChange::Unheld(side(at)),
        Change::Transferred(at) => CallChange::Transferred(side(at)),
        Change::Ending => CallChange::Ending,
        Change::Ended => CallChange::Ended,
    };
    let id = call_id(&call.name.to_string()).expect("a number is visible ASCII");
    let stage = match call.stage {
        engine::Stage::Calling => Stage::Calling,
        engine::Stage::Answered => Stage::Answered,
        engine::Stage::Established => Stage::Established,
        engine::Stage::Ending => Stage::Ending,
    };
    let ending = call.ending.map(|ending| Ending {
        by: match ending.by {
            engine::EndedBy::Party(by) => EndedBy::Party(side(by)),
            engine::EndedBy::Command => EndedBy::Command,
            engine::EndedBy::Transfer => EndedBy::Transfer,
            engine::EndedBy::Engine => EndedBy::Server,
        },
        status: ending.status,
        q850: ending.q850.and_then(|cause| u8::try_from(cause).ok()),
    });
    let (caller, callee) = (party(&call.caller), party(&call.callee));
    let call = Call { id, callid: call_id(&call.call_id), stage, caller, callee, ending };
    CallEvent { change, call }
}

/// What became of a registration. `None` when a phone gave a contact that no client could call.
#[must_use]
pub fn registration(
    aor: &str,
    contact: &str,
    change: engine::BindingChange,
    expires: Duration,
) -> Option<RegistrationEvent> {
    let change = match change {
        engine::BindingChange::Registered => RegistrationChange::Registered,
        engine::BindingChange::Renewed => RegistrationChange::Renewed,
        engine::BindingChange::Expired => RegistrationChange::Expired,
        engine::BindingChange::Removed => RegistrationChange::Removed,
    };
    let (aor, contact) = (SipUri::parse(aor)?, SipUri::parse(contact)?);
    Some(RegistrationEvent { change, registration: Registration { aor, contact }, expires })
}

fn party(party: &engine::Party) -> Party {
    let reached = match party.reached {
        engine::Reached::Calling => Reached::Calling,
        engine::Reached::Ringing => Reached::Ringing,
        engine::Reached::EarlyMedia => Reached::EarlyMedia,
        engine::Reached::Answered => Reached::Answered,
    };
    let callid = party.call_id.as_deref().and_then(call_id);
    Party { uri: SipUri::parse(&party.uri), callid, reached, held: party.held }
}

fn side(side: engine::Side) -> Side {
    match side {
        engine::Side::Caller => Side::Caller,
        engine::Side::Callee => Side::Callee,
    }
}

fn failure(error: Error) -> CommandError {
    let text = error.to_string();
    match error {
        Error::NoSuchCall => CommandError::no_such_call(),
        Error::Ambiguous(_) | Error::InvalidState(_) | Error::Superseded => {
            CommandError::InvalidState(text)
        }
        Error::Party(engine::Side::Caller, failure) => failed(Origin::Caller, failure),
        Error::Party(engine::Side::Callee, failure) => failed(Origin::Callee, failure),
        Error::Target(failure) => failed(Origin::Target, failure),
        Error::Full => CommandError::RateLimited(text),
        Error::Bug => CommandError::Internal(text),
    }
}

fn failed(origin: Origin, failure: engine::Failure) -> CommandError {
    match failure.kind {
        FailureKind::TimedOut => CommandError::Timeout { origin },
        FailureKind::Answered | FailureKind::Unreachable => CommandError::Sip {
            origin,
            code: failure.status,
            reason: failure.reason,
            q850: failure.q850.and_then(|cause| u8::try_from(cause).ok()),
        },
    }
}

fn engine_side(leg: Side) -> engine::Side {
    match leg {
        Side::Caller => engine::Side::Caller,
        Side::Callee => engine::Side::Callee,
    }
}

/// A Call-ID as the API writes it. A phone's may hold what the API's callers could not send back;
/// such a call is named by nobody.
fn call_id(text: &str) -> Option<CallId> {
    CallId::parse(text)
}
