//! A backend without SIP, for tests of the server.
//!
//! Calls succeed at once, unless the user part of `caller` or `callee` says otherwise: `sip:busy@…`
//! is busy, `sip:silent@…` never answers, and so on (see `fault`). `sip:hang@…` hangs until
//! [`Fake::release`], and `sip:panic@…` is a bug. Every call but `unknown` is known, can be held and
//! taken back, transferred and ended; `held` is on hold already, of `half-held` only the caller. A
//! transfer fails as the user part of its destination says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::{Backend, Outcome, Progress};
use crate::api::{
    CallAttendedTransfer, CallBlindTransfer, CallId, CallStart, Command, CommandError, Done, Event,
    EventKind, Origin, Side, SipUri,
};

/// A backend without SIP.
#[derive(Debug)]
pub struct Fake {
    calls: AtomicU64,
    /// Closed once hanging calls may go on.
    hanging: Semaphore,
    given_up: AtomicBool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            hanging: Semaphore::new(0),
            given_up: AtomicBool::new(false),
        }
    }
}

impl Fake {
    /// Lets every call to `sip:hang@…` go on, now and later.
    pub fn release(&self) {
        self.hanging.close();
    }

    async fn start(&self, start: CallStart, progress: &Progress) -> Result<Done, CommandError> {
        let CallStart { caller, callee, .. } = start;
        if let Some(fault) = fault(&caller, Origin::Caller) {
            return Err(fault);
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let callid = CallId::parse(&format!("call-{number}@fake"))
            .expect("a prefix and a number are visible ASCII");
        let report = |kind, leg, uri: &SipUri| {
            progress.report(Event::new(kind).at(leg, uri.clone()).in_call(callid.clone()));
        };
        report(EventKind::Ringing, Side::Caller, &caller);
        report(EventKind::Answered, Side::Caller, &caller);
        report(EventKind::TransferAccepted, Side::Caller, &caller);
        report(EventKind::CallStarted, Side::Callee, &callee);
        report(EventKind::EarlyMedia, Side::Callee, &callee);
        report(EventKind::TransferProgress { sip_code: 180 }, Side::Callee, &callee);
        if user(&callee) == "hang" {
            // The only way out is `release`, which closes the semaphore.
            let _ = self.hanging.acquire().await;
            if self.given_up.load(Ordering::Acquire) {
                return Err(CommandError::InvalidState("the call was taken down".to_owned()));
            }
        }
        if let Some(fault) = fault(&callee, Origin::Callee) {
            return Err(fault);
        }
        report(EventKind::Answered, Side::Callee, &callee);
        Ok(Done { callid: Some(callid) })
    }
}

impl Backend for Fake {
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_> {
        Box::pin(async move {
            match command {
                Command::CallStart(start) => self.start(start, &progress).await,
                Command::CallBlindTransfer(CallBlindTransfer {
                    callid, leg, destination, ..
                }) => transfer(&callid, leg, destination, &progress),
                Command::CallAttendedTransfer(attended)
                    if attended.callid_b.as_str() == "unknown" =>
                {
                    Err(CommandError::no_such_call())
                }
                Command::CallAttendedTransfer(CallAttendedTransfer {
                    callid_a,
                    leg_a,
                    destination,
                    ..
                }) => {
                    let other = || SipUri::parse("sip:other@fake").expect("a user and a host");
                    transfer(&callid_a, leg_a, destination.unwrap_or_else(other), &progress)
                }
                Command::CallHold(hold) if hold.callid.as_str() == "held" => {
                    Err(CommandError::InvalidState("already on hold".to_owned()))
                }
                Command::CallHold(hold) => {
                    change(&hold.callid, hold.leg, &EventKind::Held, &progress)
                }
                Command::CallUnHold(unhold) => {
                    let half = unhold.callid.as_str() == "half-held";
                    let leg = unhold.leg.or(half.then_some(Side::Caller));
                    change(&unhold.callid, leg, &EventKind::Unheld, &progress)
                }
                Command::CallEnd(end) if end.callid.as_str() == "unknown" => {
                    Err(CommandError::no_such_call())
                }
                Command::CallEnd(_) => Ok(Done::default()),
                Command::Mistaken(mistaken) => Err(mistaken.into()),
                Command::Echo(echo) => {
                    progress.report(Event::new(EventKind::Reply { params: echo.params }));
                    Ok(Done::default())
                }
            }
        })
    }

    fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.release();
    }
}

/// Sends a party to a target, which takes the place of the other party.
fn transfer(
    callid: &CallId,
    leg: Side,
    target: SipUri,
    progress: &Progress,
) -> Result<Done, CommandError> {
    if callid.as_str() == "unknown" {
        return Err(CommandError::no_such_call());
    }
    let report = |event: Event| progress.report(event.in_call(callid.clone()));
    report(Event::new(EventKind::TransferAccepted).at_leg(leg));
    let place = leg.other();
    report(Event::new(EventKind::CallStarted).at(place, target.clone()));
    report(Event::new(EventKind::Ringing).at_leg(place));
    match fault(&target, Origin::Target) {
        Some(fault) => Err(fault),
        None => Ok(Done { callid: Some(callid.clone()) }),
    }
}

/// Reports the same of one leg or both.
fn change(
    callid: &CallId,
    leg: Option<Side>,
    kind: &EventKind,
    progress: &Progress,
) -> Result<Done, CommandError> {
    if callid.as_str() == "unknown" {
        return Err(CommandError::no_such_call());
    }
    for kind in [&EventKind::HoldAsked, kind] {
        for side in [Side::Caller, Side::Callee] {
            if leg.is_none_or(|leg| leg == side) {
                progress.report(Event::new(kind.clone()).at_leg(side).in_call(callid.clone()));
            }
        }
    }
    Ok(Done::default())
}

/// What goes wrong with a party, by its user part.
fn fault(party: &SipUri, origin: Origin) -> Option<CommandError> {
    Some(match user(party) {
        "busy" => {
            CommandError::Sip { origin, code: 486, reason: "Busy Here".to_owned(), q850: Some(17) }
        }
        "silent" => CommandError::Timeout { origin },
        "gone" => CommandError::NotFound(format!("{party} is not registered")),
        "engaged" => CommandError::InvalidState("a transfer is under way".to_owned()),
        "foreign" => CommandError::Unsupported("this backend cannot do that".to_owned()),
        "offline" => CommandError::BackendUnavailable("the proxy does not answer".to_owned()),
        "crowded" => CommandError::RateLimited("too many calls".to_owned()),
        "closing" => CommandError::Draining,
        "broken" => CommandError::Internal("this is a bug".to_owned()),
        "panic" => panic!("the fake backend was asked to panic"),
        _ => return None,
    })
}

fn user(uri: &SipUri) -> &str {
    let rest = uri.as_str().split_once(':').map_or("", |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}
