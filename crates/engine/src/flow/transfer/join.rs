//! A transfer by the engine: it calls the target, or asks the target's phone in the other call, for
//! an offer, has the party that goes take it, and so joins the two (RFC 3725 §4.4). The party's phone
//! needs nothing but re-INVITE, and learns of nothing before the target has answered.
//!
//! ```text
//!  the one who goes   engine      the other one    target
//!    |                  |--INVITE-------------------->|      TRANSFER_ACCEPT, CALL_START
//!    |                  |<-200 OK---------------------|      offer
//!    |<-INVITE----------|               |             |      that offer
//!    |--200 OK--------->|               |             |      answer
//!    |<-ACK-------------|--ACK----------------------->|      that answer
//!    |                  |--BYE--------->|             |      Ended
//! ```

use std::time::Instant;

use bytes::Bytes;
use sip::Response;
use sip::sdp::Sdp;

use super::{AskedBy, Phase, To, TransferKey};
use crate::description::Description;
use crate::engine::{Engine, Role};
use crate::error::Error;
use crate::event::Step;
use crate::flow::fork::Fork;
use crate::limits::{HOLD_TIMEOUT, RING_TIMEOUT};
use crate::ua::{self, Failure, Invite, LegId};
use crate::watch::{Change, Party, Reached};

impl Engine {
    /// Calls the target, or asks the target's phone for an offer if it is in another call.
    pub(super) fn call_target(&mut self, now: Instant, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let (side, to) = (transfer.side, transfer.to.clone());
        // What its phone had begun was told then.
        let was_accepted = !matches!(transfer.phase, Phase::Referring { accepted: false });
        let was_placed = matches!(transfer.phase, Phase::Placed(_));
        let Some(call) = self.calls.get(&transfer.call) else { return };
        let call_id = call.call_id.clone();
        let (goes, headers) = (transfer.goes.clone(), transfer.headers_to_target());
        if !was_accepted {
            self.progress(key, side, &call_id, Step::TransferAccepted);
        }
        if !was_placed {
            self.progress(key, side.other(), &call_id, Step::CallStarted);
        }
        let To::Uri(uri) = to else {
            self.set_phase(key, Phase::Asking { asked: false }, Some(now + HOLD_TIMEOUT));
            return self.advance_transfer(now, key);
        };
        let (from, to) = (format!("<{goes}>"), format!("<{uri}>"));
        let invite = Invite {
            uri: &uri,
            from: from.as_bytes(),
            to: to.as_bytes(),
            call_id: Some(call_id),
            hop: None,
            max_forwards: 70,
            offer: None,
            headers: &headers,
            passed: None,
            reliable: false,
        };
        match self.call_all(now, &invite) {
            Err(failure) => self.fail_transfer(now, key, Error::Target(failure)),
            Ok(legs) => {
                for leg in &legs {
                    self.roles.insert(*leg, Role::Transfer(key));
                }
                self.set_phase(key, Phase::Calling(Fork::of(legs)), Some(now + RING_TIMEOUT));
            }
        }
    }

    /// Something happened to a leg that the transfer has made.
    pub(crate) fn on_transfer_leg(&mut self, now: Instant, key: TransferKey, event: ua::Event) {
        match event {
            ua::Event::Progress(leg, response, sdp) => {
                // The party that goes talks to the other one until the target answers.
                if self.ua.owes_answer(leg) {
                    self.defer(now, leg, &sdp);
                }
                self.on_target_progress(now, key, &response);
            }
            ua::Event::Answered(leg, _, sdp) => self.on_target_answered(now, key, leg, &sdp),
            // There is no other party for it yet.
            ua::Event::Offered(leg) => self.ua.refuse_offer(now, leg, 491),
            ua::Event::Referred(leg) => self.ua.refuse_refer(now, leg, 603),
            ua::Event::Inside(leg, request) => self.ua.answer_inside(now, leg, request, 480),
            _ => {}
        }
    }

    fn on_target_progress(&mut self, now: Instant, key: TransferKey, response: &Response) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let (side, asked_by) = (transfer.side, transfer.asked_by);
        let Some(call) = self.calls.get(&transfer.call) else { return };
        let step = if response.body().is_empty() { Step::Ringing } else { Step::EarlyMedia };
        self.progress(key, side.other(), &call.call_id.clone(), step);
        if let AskedBy::Phone(leg) = asked_by {
            self.ua.notify(now, leg, Some(response.status), false);
        }
    }

    fn on_target_answered(&mut self, now: Instant, key: TransferKey, leg: LegId, sdp: &[u8]) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        let Phase::Calling(fork) = &mut transfer.phase else { return };
        if fork.picked_up(leg).is_some() {
            transfer.to = To::Caller;
        }
        let others = fork.answered(leg);
        self.stop_ringing(now, others);
        self.ask_party(now, key, leg, sdp);
    }

    /// The target has made an offer: the party that goes is to take it.
    fn ask_party(&mut self, now: Instant, key: TransferKey, target: LegId, offer: &[u8]) {
        let offer = Bytes::copy_from_slice(offer);
        let is_offer = Sdp::parse(&offer).is_ok();
        let phase = Phase::Joining { target, offer, asked: false };
        self.set_phase(key, phase, Some(now + HOLD_TIMEOUT));
        if !is_offer {
            return self.fail_transfer(now, key, Error::Target(Failure::no_description()));
        }
        self.advance_transfer(now, key);
    }

    /// Asks whoever is to make or take an offer, as soon as nothing else is under way in its dialog.
    pub(crate) fn advance_transfer(&mut self, now: Instant, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let (call, side) = match (&transfer.phase, &transfer.to) {
            (Phase::Asking { asked: false }, To::Party { call, side, .. }) => (*call, *side),
            (Phase::Joining { asked: false, .. } | Phase::Replacing { asked: false, .. }, _) => {
                (transfer.call, transfer.side)
            }
            _ => return,
        };
        let Some(leg) = self.leg_of(call, side) else { return };
        if self.ua.is_negotiating(leg) {
            return;
        }
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        let offer = match &mut transfer.phase {
            Phase::Asking { asked } => {
                *asked = true;
                None
            }
            Phase::Joining { offer, asked, .. } => {
                *asked = true;
                Some(offer.clone())
            }
            Phase::Replacing { caller, asked } => {
                *asked = true;
                let invitation = self.ua.invitation(*caller);
                invitation.map(|(request, _)| Bytes::copy_from_slice(request.body()))
            }
            _ => return,
        };
        let Some(call) = self.calls.get_mut(&call) else { return };
        let offer = offer.filter(|offer| !offer.is_empty());
        let offer = offer.map(|offer| call.has(side).next_unheld(&offer));
        self.ua.offer(now, leg, offer);
    }

    /// A party took the offer of a transfer, or made the one it was asked for.
    pub(crate) fn on_transfer_offer_accepted(
        &mut self,
        now: Instant,
        key: TransferKey,
        body: &[u8],
    ) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let (goes, side) = (transfer.call, transfer.side);
        match (&transfer.phase, &transfer.to) {
            (Phase::Asking { .. }, To::Party { call, side, .. }) => {
                if let Some(target) = self.leg_of(*call, *side) {
                    self.ask_party(now, key, target, body);
                }
            }
            // RFC 3264 §5: without an answer there is nothing to talk with.
            (Phase::Joining { .. } | Phase::Replacing { .. }, _) if Sdp::parse(body).is_err() => {
                self.fail_transfer(now, key, Error::Party(side, Failure::no_description()));
            }
            (Phase::Joining { target, .. }, to) => {
                let (target, to) = (*target, to.clone());
                let has = self.take_description(target, &to);
                let Some(call) = self.calls.get_mut(&goes) else { return };
                let (answer, has) = call.introduce(side, body, has);
                self.ua.acknowledge(now, target, &answer);
                self.take_target(now, key, target, has);
            }
            (Phase::Replacing { caller, .. }, _) => {
                let caller = *caller;
                let Some(call) = self.calls.get_mut(&goes) else { return };
                let (reply, has) = call.introduce(side, body, Description::default());
                self.ua.accept(now, caller, &reply, None);
                self.take_target(now, key, caller, has);
            }
            _ => {}
        }
    }

    /// A party refused the offer of a transfer, or to make one.
    pub(crate) fn on_transfer_offer_refused(
        &mut self,
        now: Instant,
        key: TransferKey,
        failure: Failure,
    ) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        let (call, side) = (transfer.call, transfer.side);
        match &mut transfer.phase {
            Phase::Asking { asked } => {
                *asked = false;
                self.fail_transfer(now, key, Error::Target(failure));
            }
            Phase::Joining { asked, .. } | Phase::Replacing { asked, .. } => {
                *asked = false;
                if let Some(call) = self.calls.get_mut(&call) {
                    call.has(side).refused();
                }
                self.fail_transfer(now, key, Error::Party(side, failure));
            }
            _ => {}
        }
    }

    /// The two talk: the target takes the place of the party that is released.
    fn take_target(&mut self, now: Instant, key: TransferKey, target: LegId, has: Description) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let (call_key, place, to) = (transfer.call, transfer.side.other(), transfer.to.clone());
        let mut rest = Vec::new();
        let party = match to {
            To::Uri(uri) => {
                Party { call_id: self.ua.call_id(target), ..Party::new(&uri, Reached::Answered) }
            }
            To::Caller => self.calling_party(target),
            To::Party { call, side, uri } => {
                let Some(other) = self.calls.get_mut(&call) else { return };
                let call_id =
                    Some(other.party(side).call_id.clone().unwrap_or(other.call_id.clone()));
                let party = other.party(side);
                let uri = uri.map_or(party.uri.clone(), Into::into);
                let party = Party { uri, call_id, ..party.clone() };
                other.clear(side);
                let call_ids: Vec<_> = other.call_ids().cloned().collect();
                for call_id in call_ids {
                    self.forget_name(&call_id, call);
                }
                rest.push(call);
                party
            }
        };
        let changed = self.change_names(call_key, |call| {
            let call_id = party.call_id.filter(|call_id| *call_id != call.call_id);
            call.transfer = None;
            call.left = None;
            let released = call.replace(place, target, Party { call_id, ..party }, has);
            (released, call.call_id.clone())
        });
        let Some((released, made)) = changed else { return };
        self.set_role(target, call_key, place);
        self.tell(call_key, Change::Transferred(place));
        self.tell_held(call_key);
        self.release(now, key, made, released.into_iter().collect(), rest);
    }

    /// What a target has from us; one that is in another call is on hold no more.
    fn take_description(&mut self, target: LegId, to: &To) -> Description {
        let To::Party { call, side, .. } = to else {
            return self.ua.deferred(target).map(Description::of).unwrap_or_default();
        };
        let call = self.calls.get_mut(call);
        let mut has = call.map(|call| std::mem::take(call.has(*side))).unwrap_or_default();
        has.lift_hold();
        has
    }

    /// Whoever has called to take a place.
    pub(crate) fn calling_party(&self, caller: LegId) -> Party {
        let party = Party::new(&self.ua.remote_uri(caller).unwrap_or_default(), Reached::Answered);
        Party { call_id: self.ua.call_id(caller), ..party }
    }
}
