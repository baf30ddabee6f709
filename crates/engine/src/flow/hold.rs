//! `CallHold` and `CallUnHold`: RFC 5359 §2.1 with the engine in the place of the phone whose user
//! presses the button.
//!
//! ```text
//!  caller         engine         callee
//!    |<-INVITE------|--INVITE------>|      what each has, sendonly (hold) or as it was (unhold)
//!    |--200 OK----->|<-200 OK-------|      CALL_HOLD or CALL_UNHOLD (caller, callee)
//!    |<-ACK---------|--ACK--------->|
//! ```
//!
//! Only the party that is put on hold gets a re-INVITE: it stops sending, and may still receive.
//! The other party is told nothing, for what it sends is as welcome as before, and hears nothing.
//! When both are held nothing flows. A hold changes directions only (RFC 3264 §8.4); see
//! [`Description`](crate::description::Description) for what happens to what phones say meanwhile.
//!
//! Either every party that was to change has changed, or those that did are asked back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Call, CallKey};
use crate::engine::{Engine, Waiter};
use crate::error::Error;
use crate::event::{CommandId, Event, Progress, Side, Step};
use crate::limits::HOLD_TIMEOUT;
use crate::ua::Failure;

/// The parameters of a `CallHold` or `CallUnHold`.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    /// The call: its Call-ID, or the engine's own name for it.
    pub call_id: String,
    /// The party that is put on hold, or taken back; both when `None`.
    pub side: Option<Side>,
    /// Whether to hold or to take back.
    pub held: bool,
    /// Time for the whole command, up to [`HOLD_TIMEOUT`].
    pub timeout: Option<Duration>,
}

/// A hold, or the end of one, that is under way.
pub(crate) struct Hold {
    /// Until it has been told how it ended.
    command: Option<CommandId>,
    /// The call as the client named it.
    call_id: Arc<str>,
    held: bool,
    caller: Part,
    callee: Part,
    /// Why it fails, as soon as that is known: from then on everything goes back.
    failure: Option<Error>,
    deadline: Option<Instant>,
}

/// How far one party is. The flag is whether it shall be on hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing is asked of it.
    Out,
    /// It is asked as soon as the re-INVITE that is being passed on is through, ACK and all.
    Due(bool),
    /// It has our re-INVITE.
    Asked(bool),
    /// It accepted.
    Changed,
}

const SIDES: [Side; 2] = [Side::Caller, Side::Callee];

impl Engine {
    /// Puts one or both parties of a call on hold, or takes them back. The command is done when
    /// each has accepted; when one does not, the other is brought back to what it was.
    pub fn hold(&mut self, now: Instant, command: CommandId, request: HoldRequest) {
        match self.plan_hold(&request) {
            Err(error) => self.report(Event::Done(command, Err(error))),
            Ok((key, [caller, callee])) => {
                let deadline = now + request.timeout.unwrap_or(HOLD_TIMEOUT).min(HOLD_TIMEOUT);
                let hold = Hold {
                    command: Some(command),
                    call_id: request.call_id.into(),
                    held: request.held,
                    caller,
                    callee,
                    failure: None,
                    deadline: Some(deadline),
                };
                if let Some(call) = self.calls.get_mut(&key) {
                    call.hold = Some(Box::new(hold));
                }
                self.deadlines.set(deadline, Waiter::Call(key));
                self.advance_hold(now, key);
            }
        }
        self.run(now);
    }

    /// Whether a party of a call is on hold: by a command, or because the other party's phone
    /// said so. `None` when the call is not known, or by several.
    pub fn is_held(&self, call_id: &str, side: Side) -> Option<bool> {
        let call = self.calls.get(&self.find(call_id).ok()?)?;
        Some(match side {
            Side::Caller => call.caller_has.is_held(),
            Side::Callee => call.callee_has.is_held(),
        })
    }

    /// Which call it is, and what is to be asked of its parties.
    fn plan_hold(&self, request: &HoldRequest) -> Result<(CallKey, [Part; 2]), Error> {
        let key = self.find_standing(&request.call_id)?;
        let call = self.calls.get(&key).ok_or(Error::NoSuchCall)?;
        let part = |side: Side, is_held: bool| match request.side {
            Some(only) if only != side => Part::Out,
            _ if is_held == request.held => Part::Out,
            _ => Part::Due(request.held),
        };
        let parts = [
            part(Side::Caller, call.caller_has.is_held_by_command()),
            part(Side::Callee, call.callee_has.is_held_by_command()),
        ];
        match (parts, request.held) {
            ([Part::Out, Part::Out], true) => Err(Error::InvalidState("already on hold")),
            ([Part::Out, Part::Out], false) => Err(Error::InvalidState("not on hold")),
            _ => Ok((key, parts)),
        }
    }

    /// Asks those whose turn has come; when nobody is left to ask, it is over.
    pub(crate) fn advance_hold(&mut self, now: Instant, key: CallKey) {
        for side in SIDES {
            let Some(call) = self.calls.get_mut(&key) else { return };
            let Some((leg, Part::Due(held))) = call.leg(side).zip(call.hold_part(side)) else {
                continue;
            };
            if self.ua.is_negotiating(leg) {
                continue;
            }
            match call.has(side).offer(held) {
                Some(offer) => {
                    call.set_hold_part(side, Part::Asked(held));
                    let told = call.hold.as_ref().filter(|hold| hold.held == held);
                    let told = told.and_then(|hold| Some((hold.command?, hold.call_id.clone())));
                    if let Some((command, call_id)) = told {
                        let step = Step::HoldAsked;
                        let progress = Progress { step, side, uri: None, call_id };
                        self.report(Event::Progress(command, progress));
                    }
                    self.ua.offer(now, leg, Some(offer));
                }
                None => {
                    call.set_hold_part(side, Part::Out);
                    call.fail_hold(Error::InvalidState("the call has no media to hold"));
                }
            }
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let is_waiting = SIDES
            .iter()
            .any(|side| matches!(call.hold_part(*side), Some(Part::Due(_) | Part::Asked(_))));
        if let Some(hold) = call.hold.take_if(|_| !is_waiting)
            && let Some(command) = hold.command
        {
            self.report(Event::Done(command, hold.failure.map_or(Ok(None), Err)));
        }
    }

    /// Whether the offer that a party has just answered was a hold's.
    pub(crate) fn is_holding(&self, key: CallKey, side: Side) -> bool {
        let part = self.calls.get(&key).and_then(|call| call.hold_part(side));
        matches!(part, Some(Part::Asked(_)))
    }

    /// A party accepted a hold, or its end, or its undoing.
    pub(crate) fn on_hold_accepted(&mut self, now: Instant, key: CallKey, side: Side) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(Part::Asked(held)) = call.hold_part(side) else { return };
        call.has(side).set_held(held);
        let Some(hold) = &call.hold else { return };
        let next = match (held == hold.held, &hold.failure) {
            (true, None) => Part::Changed,
            (true, Some(_)) => Part::Due(!held),
            (false, _) => Part::Out,
        };
        let (command, call_id) = (hold.command, hold.call_id.clone());
        call.set_hold_part(side, next);
        if let Some(command) = command {
            let step = if held { Step::Held } else { Step::Unheld };
            self.report(Event::Progress(command, Progress { step, side, uri: None, call_id }));
        }
        self.advance_hold(now, key);
    }

    /// A party refused: it stays as it was.
    pub(crate) fn on_hold_refused(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        failure: Failure,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.set_hold_part(side, Part::Out);
        call.fail_hold(Error::Party(side, failure));
        self.advance_hold(now, key);
    }

    /// A party's own re-INVITE went through while ours waits: ours is made again, of what the party
    /// has now.
    pub(crate) fn renew_hold(&mut self, key: CallKey, side: Side) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let (Some(Part::Asked(held)), Some(leg)) = (call.hold_part(side), call.leg(side))
            && let Some(offer) = call.has(side).offer(held)
        {
            self.ua.renew_offer(leg, offer);
        }
    }

    /// Somebody does not answer. The command is told at once; what was changed goes back, and who
    /// answers late goes back as well.
    pub(crate) fn on_hold_timeout(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let waits =
            |side: &Side| matches!(call.hold_part(*side), Some(Part::Due(_) | Part::Asked(_)));
        let silent = SIDES.into_iter().find(waits).unwrap_or(Side::Caller);
        call.fail_hold(Error::Party(silent, Failure::timed_out()));
        let Some(hold) = &mut call.hold else { return };
        hold.deadline = None;
        if let (Some(command), Some(error)) = (hold.command.take(), hold.failure.clone()) {
            self.report(Event::Done(command, Err(error)));
        }
        self.advance_hold(now, key);
    }
}

impl Call {
    fn hold_part(&self, side: Side) -> Option<Part> {
        let hold = self.hold.as_ref()?;
        Some(match side {
            Side::Caller => hold.caller,
            Side::Callee => hold.callee,
        })
    }

    fn set_hold_part(&mut self, side: Side, part: Part) {
        let Some(hold) = &mut self.hold else { return };
        match side {
            Side::Caller => hold.caller = part,
            Side::Callee => hold.callee = part,
        }
    }

    /// The first failure counts. Whoever changed goes back, as soon as it can; whoever was not asked
    /// yet is left.
    fn fail_hold(&mut self, error: Error) {
        let Some(hold) = &mut self.hold else { return };
        hold.failure.get_or_insert(error);
        let held = hold.held;
        for each in SIDES {
            match self.hold_part(each) {
                Some(Part::Changed) => self.set_hold_part(each, Part::Due(!held)),
                Some(Part::Due(to)) if to == held => self.set_hold_part(each, Part::Out),
                Some(Part::Out | Part::Asked(_) | Part::Due(_)) | None => {}
            }
        }
    }
}

impl Hold {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// The command, if it has not been told how it ended.
    pub(crate) fn command(&self) -> Option<CommandId> {
        self.command
    }
}
