//! Joining two legs whose media the engine brings together: RFC 3725 §4.4 (flow IV), the other way
//! of `CallStart`; and the passing of a party's re-INVITE to the other.
//!
//! ```text
//!  caller         engine         callee
//!    |              |--INVITE------>|      without an offer
//!    |              |<-200 OK-------|      offer
//!    |<-INVITE------|               |      that offer
//!    |--200 OK----->|               |      answer
//!    |<-ACK---------|--ACK--------->|      that answer
//! ```

use std::time::Instant;

use sip::sdp::Sdp;
use sip::{Method, Response};

use crate::call::{Call, CallKey, State};
use crate::description::{Description, Role};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{CommandId, Side, Step};
use crate::flow::start::StartRequest;
use crate::limits::RING_TIMEOUT;
use crate::passing::told;
use crate::ua::{Failure, Invite, LegId};
use crate::watch::{Change, Party, Reached};

impl Engine {
    /// Makes a call of the caller's leg, which is up, and a new one to the callee.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        command: CommandId,
        caller: LegId,
        has: Description,
        request: &StartRequest,
    ) -> CallKey {
        let call_id = self.ua.call_id(caller).unwrap_or_default();
        let parties = [
            Party::new(&request.caller, Reached::Answered),
            Party::new(&request.callee, Reached::Calling),
        ];
        let mut call = Call::new(call_id.clone(), caller, now + RING_TIMEOUT, parties);
        call.errand = Some(command.into());
        call.joins = true;
        call.caller_has = has;
        let key = self.add_call(call);
        self.set_role(caller, key, Side::Caller);
        let callee = &request.callee;
        let (from, to) = (format!("<{}>", request.caller), format!("<{callee}>"));
        let invite = Invite {
            uri: callee,
            from: from.as_bytes(),
            to: to.as_bytes(),
            call_id: Some(call_id),
            hop: None,
            max_forwards: 70,
            offer: None,
            headers: &request.headers,
            passed: None,
            reliable: true,
        };
        self.call_callee(now, key, &invite);
        key
    }

    /// The callee, whose phone still rings, makes an offer: the caller is asked to take it, so that it
    /// hears what it is sent.
    pub(crate) fn join_early(&mut self, now: Instant, key: CallKey, caller: LegId, offer: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        match Sdp::parse(offer) {
            Ok(_) => {
                let offer = call.caller_has.next(offer, Role::Offer);
                self.ua.offer(now, caller, Some(offer));
            }
            Err(_) => {
                let failure = Failure::no_description();
                self.take_down(now, key, Error::Party(Side::Callee, failure));
            }
        }
    }

    /// The callee of a caller that is up has answered: with an offer, unless it made that before.
    pub(crate) fn on_joined_callee_answered(
        &mut self,
        now: Instant,
        key: CallKey,
        sdp: &[u8],
        has_agreed: bool,
    ) {
        if has_agreed {
            self.tell_callee(key, Reached::Answered);
            self.on_joined(now, key);
        } else {
            self.join_caller(now, key, sdp);
        }
    }

    /// The callee answered with an offer: the caller is asked to take it.
    pub(crate) fn join_caller(&mut self, now: Instant, key: CallKey, offer: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Ok(_), Some(caller)) = (Sdp::parse(offer), call.caller) else {
            let failure = Failure::no_description();
            return self.take_down(now, key, Error::Party(Side::Callee, failure));
        };
        call.state = State::Joining;
        // Where it did not wait for the answer to its early offer, that one is still asked about.
        if !self.ua.is_offering(caller) {
            let offer = call.caller_has.next(offer, Role::Offer);
            self.ua.offer(now, caller, Some(offer));
        }
        self.tell_callee(key, Reached::Answered);
    }

    /// A party sent a re-INVITE: the other one gets it.
    pub(crate) fn pass_offer(&mut self, now: Instant, key: CallKey, side: Side, leg: LegId) {
        let is_joining = self.is_joining(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let is_able = matches!(call.state, State::Established | State::Calling(_));
        let other = call.only_leg(side.other()).filter(|_| call.only_leg(side) == Some(leg));
        let (Some(other), true, Some((request, _)), false) =
            (other, is_able, self.ua.offered(leg), is_joining)
        else {
            // RFC 3261 §14.2, between the parties: one offer at a time, and a transfer's goes first.
            return self.ua.refuse_offer(now, leg, 491);
        };
        // An UPDATE, as it is before the answer, asks for no offer.
        let is_askable = !request.body().is_empty() || call.state == State::Established;
        if !is_askable || self.ua.is_offering(other) {
            return self.ua.refuse_offer(now, leg, 491);
        }
        if !self.ua.takes_offer(other) {
            // RFC 3311 §5.2: what that party has is not settled yet, or its user has to be asked.
            let status = match (request.method, self.ua.has_agreed(other)) {
                (Method::Invite, _) => 491,
                (_, true) => 504,
                (_, false) => 500,
            };
            return self.ua.refuse_offer(now, leg, status);
        }
        let request = request.clone();
        let offer = call.pass(side.other(), request.body(), Role::Offer);
        let offer = Some(offer).filter(|offer| !offer.is_empty());
        self.ua.pass_offer(now, other, offer, &request);
    }

    /// A party's session is to be refreshed: it gets what it has, once more. When something else is
    /// under way that is as good, or it is asked again.
    pub(crate) fn refresh_session(&mut self, now: Instant, key: CallKey, side: Side, leg: LegId) {
        if self.ua.is_offering(leg) || self.ua.is_unacknowledged(leg) || self.is_joining(key) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.state != State::Established || call.hold.is_some() || call.mend.is_some() {
            return;
        }
        // With a version of its own where what it has was used up.
        let again = call.has(side).current().or_else(|| call.has(side).offer_again());
        if let Some(offer) = again {
            call.refreshing[side as usize] = true;
            self.ua.offer(now, leg, Some(offer));
        }
    }

    /// Whether the re-INVITE that a party has answered only refreshed its session.
    fn is_refreshed(&mut self, key: CallKey, side: Side) -> bool {
        let call = self.calls.get_mut(&key);
        call.is_some_and(|call| std::mem::take(&mut call.refreshing[side as usize]))
    }

    /// A party takes its re-INVITE back: so does the engine, and passes on what the other one then
    /// says.
    pub(crate) fn pass_cancel(&mut self, now: Instant, key: CallKey, side: Side) {
        if let Some(other) = self.calls.get(&key).and_then(|call| call.only_leg(side.other())) {
            self.ua.cancel_offer(now, other);
        }
    }

    /// A party took an offer that we made, or passed on.
    pub(crate) fn on_offer_accepted(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        response: &Response,
    ) {
        let body = response.body();
        if self.is_holding(key, side) {
            return self.on_hold_accepted(now, key, side);
        }
        if self.is_refreshed(key, side) {
            if let Some(call) = self.calls.get_mut(&key) {
                call.has(side).took_again();
            }
            return self.advance(now, key);
        }
        if self.is_mending(key, side) {
            self.on_mend_accepted(now, key, side, body);
            return self.advance(now, key);
        }
        if let Some(transfer) = self.transfer_offer(key, side) {
            return self.on_transfer_offer_accepted(now, transfer, body);
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let other = call.only_leg(side.other());
        let is_early = other.is_some_and(|other| self.ua.owes_answer(other));
        if call.state != State::Joining && !is_early {
            let reply = call.pass_reply(side, body);
            if let Some(other) = other {
                self.ua.accept_offer(now, other, &reply, Some(response));
            }
            self.renew_hold(key, side.other());
            return self.advance(now, key);
        }
        let (true, Some(callee)) = (Sdp::parse(body).is_ok(), other) else {
            let failure = Failure::no_description();
            return self.take_down(now, key, Error::Party(Side::Caller, failure));
        };
        let answer = call.pass_reply(side, body);
        self.ua.acknowledge(now, callee, &answer);
        if !is_early {
            self.on_joined(now, key);
        }
    }

    /// Both have taken the other's description, and answered.
    fn on_joined(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.state = State::Established;
        let (errand, call_id) = (call.errand, call.call_id.clone());
        self.tell(key, Change::Established);
        if let Some(errand) = errand {
            self.progress(errand, Side::Callee, &call_id, Step::Answered);
            self.on_errand_up(now, errand);
        }
    }

    /// A party refused an offer that we made, or passed on.
    pub(crate) fn on_offer_refused(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        failure: Failure,
    ) {
        if self.is_holding(key, side) {
            return self.on_hold_refused(now, key, side, failure);
        }
        if self.is_refreshed(key, side) {
            return self.advance(now, key);
        }
        if self.is_mending(key, side) {
            self.on_mend_refused(key, side);
            return self.advance(now, key);
        }
        if let Some(transfer) = self.transfer_offer(key, side) {
            return self.on_transfer_offer_refused(now, transfer, failure);
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let other = call.only_leg(side.other());
        let is_early = other.is_some_and(|other| self.ua.owes_answer(other));
        if call.state == State::Joining || is_early {
            return self.take_down(now, key, Error::Party(side, failure));
        }
        call.has(side).refused();
        if let Some(other) = other {
            self.ua.refuse_offer(now, other, told(failure.status));
        }
        self.advance(now, key);
    }

    /// Lets whoever waits until nothing else is under way in a dialog have its turn.
    pub(crate) fn advance(&mut self, now: Instant, key: CallKey) {
        self.advance_hold(now, key);
        if let Some(transfer) = self.calls.get(&key).and_then(|call| call.transfer) {
            self.advance_transfer(now, transfer);
        }
    }
}
