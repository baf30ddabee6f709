//! A transfer that fails: what it has set up is taken down, and the call goes on as it was.
//!
//! Before the target has answered nobody was asked anything, so there is nothing to give back. After
//! that a phone may have an offer that leads nowhere. It is taken back, if the phone lets us; one that
//! takes it all the same gets an offer of what it had, and one that has made an offer itself gets that
//! as its answer.

use std::time::Instant;

use super::{AskedBy, Phase, To, Transfer, TransferKey};
use crate::call::{CallKey, Mend};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Event, Side};

impl Engine {
    /// Ends a transfer without success. What it had set up is taken down, and the call goes on, if
    /// both its parties are still there.
    pub(crate) fn fail_transfer(&mut self, now: Instant, key: TransferKey, error: Error) {
        let Some(transfer) = self.forget_transfer(key) else { return };
        let transfer = *transfer;
        match transfer.asked_by {
            AskedBy::Command(command) => self.report(Event::Done(command, Err(error.clone()))),
            AskedBy::Phone(leg) => self.ua.notify(now, leg, Some(status_of(&error)), true),
            AskedBy::Nobody => {}
        }
        let calls = transfer.calls();
        for call in transfer.calls() {
            if let Some(call) = self.calls.get_mut(&call).filter(|call| call.transfer == Some(key))
            {
                call.transfer = None;
            }
        }
        self.undo_transfer(now, transfer, &error);
        for key in calls {
            self.take_down_rest(now, key, &error);
        }
    }

    /// Takes back what a transfer has begun.
    fn undo_transfer(&mut self, now: Instant, transfer: Transfer, error: &Error) {
        let Transfer { call, side, to, phase, .. } = transfer;
        match phase {
            Phase::Referring { .. } => self.forget_referral(now, call, side),
            // The phone still reports what became of its call; nobody need hear it.
            Phase::Placed(new) => {
                self.abandon_referral(now, call, side);
                if let Some(key) = new {
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.errand = None;
                    }
                    self.take_down(now, key, told_in_new_call(error));
                }
            }
            Phase::Calling(fork) => self.let_go(now, fork.legs().collect()),
            Phase::Asking { asked } => {
                if let (To::Party { call, side, .. }, true) = (to, asked) {
                    self.mend(now, call, side);
                }
            }
            Phase::Joining { target, offer, asked } => {
                if asked {
                    self.mend(now, call, side);
                }
                match to {
                    To::Party { call, side, .. } => self.answer_again(now, call, side, &offer),
                    To::Uri(_) | To::Caller => self.let_go(now, vec![target]),
                }
            }
            Phase::Replacing { caller, asked } => {
                if asked {
                    self.mend(now, call, side);
                }
                self.roles.remove(&caller);
                self.ua.hang_up(now, caller, status_of(error));
            }
            Phase::Releasing { .. } => {}
        }
    }

    /// Ends what is left of a call whose transfer failed when a party has left it meanwhile.
    fn take_down_rest(&mut self, now: Instant, key: CallKey, error: &Error) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(left) = call.left.take() {
            call.ending.get_or_insert(*left);
            self.take_down(now, key, error.clone());
        }
    }

    /// A party has, or is about to take, an offer of a transfer that failed: what it had is to be
    /// given back to it if it takes it.
    pub(super) fn mend(&mut self, now: Instant, key: CallKey, side: Side) {
        let Some(leg) = self.leg_of(key, side) else { return };
        let is_asked = self.ua.withdraw_offer(now, leg);
        let Some(call) = self.calls.get_mut(&key) else { return };
        if is_asked {
            call.mend = Some(Mend { side, is_back: false });
        } else {
            call.has(side).refused();
        }
    }

    /// Whether the offer that a party has just answered is left of a transfer that failed.
    pub(crate) fn is_mending(&self, key: CallKey, side: Side) -> bool {
        let mend = self.calls.get(&key).and_then(|call| call.mend);
        mend.is_some_and(|mend| mend.side == side)
    }

    /// It took it, or made the offer that it was asked for.
    pub(crate) fn on_mend_accepted(&mut self, now: Instant, key: CallKey, side: Side, body: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(mend), Some(leg)) = (call.mend.take(), call.leg(side)) else { return };
        if mend.is_back {
            return call.has(side).took_again();
        }
        if call.has(side).proposed().is_none() {
            return self.answer_again(now, key, side, body);
        }
        call.has(side).refused();
        if let Some(offer) = call.has(side).offer_again() {
            call.mend = Some(Mend { side, is_back: true });
            self.ua.offer(now, leg, Some(offer));
        }
    }

    /// It refused it: what it had stands.
    pub(crate) fn on_mend_refused(&mut self, key: CallKey, side: Side) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.mend = None;
        call.has(side).refused();
    }

    /// A party of a call that goes on has made an offer for nothing: the answer is what it has.
    pub(super) fn answer_again(&mut self, now: Instant, key: CallKey, side: Side, offer: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.leg(side) else { return };
        let answer = call.has(side).again(offer);
        let answer = answer.unwrap_or_else(|| sip::sdp::rejecting(offer).into());
        self.ua.acknowledge(now, leg, &answer);
    }
}

/// What a phone is told that asked for a transfer.
fn status_of(error: &Error) -> u16 {
    match error {
        Error::Party(_, failure) | Error::Target(failure) => failure.status,
        Error::Superseded => 487,
        Error::NoSuchCall | Error::Ambiguous(_) | Error::InvalidState(_) => 481,
        Error::Full => 503,
        Error::Bug => 500,
    }
}

/// Why the call that the party has placed is taken down.
fn told_in_new_call(error: &Error) -> Error {
    match error {
        Error::Target(failure) => Error::Party(Side::Callee, failure.clone()),
        Error::Party(_, failure) => Error::Party(Side::Caller, failure.clone()),
        other => other.clone(),
    }
}
