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

use bytes::Bytes;
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
        call.refreshing[Side::Caller as usize] = self.ua.is_offering(caller);
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
        // Where it did not wait for the answer to its early offer, that one is still asked about.
        let asked = self.ua.is_offering(caller) && !call.refreshing[Side::Caller as usize];
        if !asked {
            call.caller_has.next(offer, Role::Offer);
        }
        call.state = State::Joining { asked };
        self.advance_join(now, key);
        self.tell_callee(key, Reached::Answered);
    }

    /// Asks the caller, as soon as nothing else is under way in its dialog.
    fn advance_join(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (State::Joining { asked: false }, Some(caller)) = (&call.state, call.caller) else {
            return;
        };
        if self.ua.is_negotiating(caller) {
            return;
        }
        call.state = State::Joining { asked: true };
        self.ua.offer(now, caller, call.caller_has.proposed().cloned());
    }

    /// A party sent a re-INVITE or UPDATE with an offer: the other one gets it. While a party that is
    /// up has nobody to talk to, the engine answers it.
    pub(crate) fn pass_offer(&mut self, now: Instant, key: CallKey, side: Side, leg: LegId) {
        let is_joining = self.is_joining(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some((request, _)) = self.ua.offered(leg) else { return };
        let request = request.clone();
        let is_calling = matches!(call.state, State::Calling(_));
        let is_able = !is_joining && (is_calling || call.state == State::Established);
        let is_party = call.only_leg(side) == Some(leg);
        let other = call.only_leg(side.other()).filter(|_| is_able && is_party);
        let is_taken = other.is_some_and(|other| self.ua.takes_offer(other));
        let is_alone = call.leg(side.other()).is_none() && (call.joins || !is_calling);
        // An offer of ours that waits out a glare comes first.
        let is_asked = is_joining || call.has(side).proposed().is_some();
        if is_alone && !is_asked && !is_taken {
            let answer = call.has(side).reply(request.body());
            return self.answer_offer(now, leg, answer);
        }
        // An UPDATE, as it is before the answer, asks for no offer.
        let is_askable = !request.body().is_empty() || !is_calling;
        let is_free = |other: &LegId| is_askable && !self.ua.is_offering(*other);
        let Some(other) = other.filter(is_free) else {
            // RFC 3261 §14.2, between the parties: one offer at a time, and a transfer's goes first.
            return self.ua.refuse_offer(now, leg, 491);
        };
        if !is_taken {
            // RFC 3311 §5.2: what that party has is not settled yet, or its user has to be asked.
            let status = match (request.method, self.ua.has_agreed(other)) {
                (Method::Invite, _) => 491,
                (_, true) => 504,
                (_, false) => 500,
            };
            return self.ua.refuse_offer(now, leg, status);
        }
        let offer = call.pass(side.other(), request.body(), Role::Offer);
        let offer = Some(offer).filter(|offer| !offer.is_empty());
        self.ua.pass_offer(now, other, offer, &request);
    }

    /// Accepts a re-INVITE with this description, if there is one.
    pub(crate) fn answer_offer(&mut self, now: Instant, leg: LegId, sdp: Option<Bytes>) {
        match sdp {
            Some(sdp) => self.ua.accept_offer(now, leg, &sdp, None),
            None => self.ua.refuse_offer(now, leg, 488),
        }
    }

    /// A party's session is to be refreshed: it gets what it has, once more, whatever is being done
    /// with the call. Flows wait until that is through. When its phone is being asked something else
    /// that is as good, or this comes again.
    pub(crate) fn refresh_session(&mut self, now: Instant, key: CallKey, side: Side, leg: LegId) {
        if self.ua.is_negotiating(leg) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(offer) = call.has(side).refresh() {
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
        if !matches!(call.state, State::Joining { .. }) && !is_early {
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
        self.on_early_refers(now, key);
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
        if matches!(call.state, State::Joining { .. }) || is_early {
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
        self.advance_join(now, key);
        self.advance_hold(now, key);
        if let Some(transfer) = self.calls.get(&key).and_then(|call| call.transfer) {
            self.advance_transfer(now, transfer);
        }
    }
}
