//! Re-INVITEs, ours and the peer's: one at a time in a dialog, and what happens when two cross
//! (RFC 3261 §14).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::{Headers, Method, Request, Response};

use super::early::Early;
use super::invite::finish;
use super::leg::{Offer, State, Unacked};
use super::{Event, Failure, FailureKind, Leg, LegId, Owner, Purpose, UserAgent};
use crate::ids::Branch;
use crate::limits::{MAX_GLARE_RETRIES, RING_TIMEOUT, UPDATE_TIMEOUT};
use crate::passing::copy_passed;
use crate::timer::T1X64;
use crate::transaction::ServerKey;

impl UserAgent {
    /// Sends a re-INVITE, with an offer or asking for one. Waits its turn when another one is
    /// under way.
    pub fn offer(&mut self, now: Instant, id: LegId, body: Option<Bytes>) {
        self.send_offer(now, id, body, 0);
    }

    /// Makes an offer in an UPDATE (RFC 3311), as phones do that need not ask their user. It is refused
    /// at once while another one is under way.
    pub fn update(&mut self, now: Instant, id: LegId, offer: Bytes) {
        let is_free = self.legs.get(&id).is_some_and(|leg| !leg.is_negotiating());
        if self.takes_offer(id) && is_free {
            self.make_offer(now, id, Method::Update, Some(offer), MAX_GLARE_RETRIES);
        } else {
            let failure = Failure::ours(FailureKind::Answered, 491, "Request Pending");
            self.tell(id, Event::OfferRefused(id, failure));
        }
    }

    /// Passes on a re-INVITE of somebody else. Unlike one of our own it is not tried again after a
    /// 491: who made it gets the 491, and knows by RFC 3261 §14.1 how long to wait. The headers of
    /// `passed` go with it.
    pub fn pass_offer(&mut self, now: Instant, id: LegId, body: Option<Bytes>, passed: &Headers) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.passed = Some(Box::new(passed.clone()));
        }
        self.send_offer(now, id, body, MAX_GLARE_RETRIES);
    }

    /// Puts another offer in the place of one that waits to be sent (again).
    pub(crate) fn renew_offer(&mut self, id: LegId, offer: Bytes) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        match (&mut leg.offer, &mut leg.waiting) {
            (Offer::Backoff { body, .. }, _) | (_, Some((body, ..))) => *body = Some(offer),
            (Offer::None | Offer::Sent { .. } | Offer::Received { .. }, None) => {}
        }
    }

    /// Takes back a re-INVITE of ours that waits to be sent, or asks the peer to give up one that it
    /// has: then it is still answered. False when nothing is left to be answered.
    pub(crate) fn withdraw_offer(&mut self, now: Instant, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        leg.waiting = None;
        leg.passed = None;
        match &mut leg.offer {
            Offer::Sent { attempt, .. } => {
                // Refused for glare, it is not tried again.
                *attempt = MAX_GLARE_RETRIES;
                self.cancel_offer(now, id);
                true
            }
            Offer::Backoff { .. } => {
                leg.offer = Offer::None;
                self.arm(id);
                false
            }
            Offer::None | Offer::Received { .. } => false,
        }
    }

    /// Whether a re-INVITE is under way, ours or the peer's.
    pub(crate) fn is_offering(&self, id: LegId) -> bool {
        let idle = |leg: &Leg| matches!(leg.offer, Offer::None) && leg.waiting.is_none();
        self.legs.get(&id).is_some_and(|leg| !idle(leg))
    }

    /// Whether another one has to wait: one is under way, or its ACK is missing.
    pub(crate) fn is_negotiating(&self, id: LegId) -> bool {
        let is_busy = |leg: &Leg| leg.is_negotiating() || leg.waiting.is_some();
        self.legs.get(&id).is_some_and(|leg| is_busy(leg))
    }

    /// The re-INVITE that waits for an answer, and where it came from.
    pub fn offered(&self, id: LegId) -> Option<(&Request, SocketAddr)> {
        match &self.legs.get(&id)?.offer {
            Offer::Received { request, source, .. } => Some((request, *source)),
            Offer::None | Offer::Sent { .. } | Offer::Backoff { .. } => None,
        }
    }

    /// Accepts the peer's re-INVITE, with the answer to its offer or the offer it lacked. `passed` is
    /// the message of another leg whose headers are passed on.
    pub fn accept_offer(&mut self, now: Instant, id: LegId, sdp: &[u8], passed: Option<&Headers>) {
        let Some((key, request, source)) = self.take_offer(now, id) else { return };
        let mut response = sip::respond(&request, 200, "", source);
        response.header("Contact", format_args!("<{}>", self.identity.contact));
        self.capabilities(&mut response);
        if self.legs.get(&id).is_some_and(|leg| matches!(leg.state, State::Established)) {
            self.agree_on_session(now, id, &request, &mut response);
        }
        passed.inspect(|passed| copy_passed(&mut response, passed));
        let bytes = finish(response, Some(sdp));
        // An UPDATE needs no ACK.
        if request.method == Method::Invite
            && let Some(leg) = self.legs.get_mut(&id)
        {
            leg.unacked = Some(Unacked::new(now, key, request.cseq().number, bytes.clone()));
        }
        self.transactions.respond(now, key, 200, bytes);
        self.arm(id);
    }

    /// Refuses the peer's re-INVITE: the session stays as it is.
    pub fn refuse_offer(&mut self, now: Instant, id: LegId, status: u16) {
        if let Some((key, request, source)) = self.take_offer(now, id) {
            // RFC 3311 §5.2: it was taken back because somebody has to be asked, or does not answer.
            let is_late = matches!(status, 408 | 487) && request.method == Method::Update;
            let status = if is_late { 504 } else { status };
            self.refuse_request(now, key, &request, source, status);
        }
    }

    /// Sends a CANCEL for our re-INVITE. Its answer, 487 or another that crossed it, ends it.
    pub fn cancel_offer(&mut self, now: Instant, id: LegId) {
        if let Some(Offer::Sent { branch, .. }) = self.legs.get(&id).map(|leg| &leg.offer)
            && self.transactions.is_proceeding(*branch)
        {
            let owner = Owner { leg: id, purpose: Purpose::Courtesy };
            self.transactions.cancel(now, *branch, owner, None);
        }
    }

    /// A phone that says it works on our re-INVITE is there: its user may take as long as for a call.
    pub(super) fn on_offer_progress(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if let Offer::Sent { give_up, progressed, .. } = &mut leg.offer
            && !std::mem::replace(progressed, true)
        {
            *give_up = now + RING_TIMEOUT;
            self.arm(id);
        }
    }

    /// Takes the peer's re-INVITE, which is about to be answered; ours, if one waited for that, is
    /// next.
    fn take_offer(
        &mut self,
        now: Instant,
        id: LegId,
    ) -> Option<(ServerKey, Box<Request>, SocketAddr)> {
        let leg = self.legs.get_mut(&id)?;
        if !matches!(leg.offer, Offer::Received { .. }) {
            return None;
        }
        let taken = std::mem::replace(&mut leg.offer, Offer::None);
        if let Some((body, attempt, at)) = leg.waiting.take() {
            leg.offer = Offer::Backoff { body, at: at.max(now), attempt };
        }
        self.arm(id);
        let Offer::Received { key, request, source, .. } = taken else { return None };
        Some((key, request, source))
    }

    /// A re-INVITE of the peer.
    pub(super) fn on_offer(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let is_update = request.method == Method::Update;
        let refusal = match (&leg.state, &leg.offer) {
            (State::Closing, _) => Some(481),
            (State::Inviting { .. } | State::Invited { .. }, _) if leg.released => Some(481),
            (State::Inviting { .. } | State::Invited { .. }, _) if !is_update => Some(491),
            // RFC 3311 §5.2: the first offer and its answer are still under way.
            (state @ (State::Inviting { .. } | State::Invited { .. }), Offer::None)
                if !matches!(leg.early, Early::Agreed { .. }) =>
            {
                Some(if leg.early.is_ours_to_answer(state) { 500 } else { 491 })
            }
            // RFC 3261 §14.2: two offers cross, or the second comes before the first was answered.
            (_, Offer::Sent { .. }) => Some(491),
            (_, Offer::Received { .. }) => Some(500),
            // It overtook the ACK of the INVITE before it (RFC 5407 §3.1.4).
            (State::Established, _) if leg.unacked.is_some() || leg.owed.is_some() => Some(491),
            (_, Offer::None | Offer::Backoff { .. }) => None,
        };
        if let Some(status) = refusal {
            return self.refuse_request(now, key, &request, source, status);
        }
        leg.learn_source(&request, source);
        leg.refresh(&request);
        leg.early.supersede();
        let trying = (request.method == Method::Invite)
            .then(|| sip::respond(&request, 100, "", source).finish());
        let patience = trying.is_none().then_some(now + UPDATE_TIMEOUT);
        // Ours, if it waits out a 491, is tried again later: the peer's goes first.
        if let Offer::Backoff { body, at, attempt } = std::mem::replace(
            &mut leg.offer,
            Offer::Received { key, request: Box::new(request), source, patience },
        ) {
            leg.waiting = Some((body, attempt, at));
        }
        if let Some(trying) = trying {
            self.transactions.respond(now, key, 100, trying);
            self.transactions.set_leg(key, id);
        }
        self.arm(id);
        self.events.push_back(Event::Offered(id));
    }

    fn send_offer(&mut self, now: Instant, id: LegId, body: Option<Bytes>, attempt: u32) {
        if !self.takes_offer(id) {
            return self.tell(id, Event::OfferRefused(id, Failure::unreachable()));
        }
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.is_negotiating() {
            return self.back_off(now, id, body, attempt);
        }
        // Before the INVITE is answered there is no re-INVITE (RFC 3261 §14.1).
        let is_up = matches!(leg.state, State::Established);
        let method = if is_up { Method::Invite } else { Method::Update };
        self.make_offer(now, id, method, body, attempt);
    }

    fn make_offer(
        &mut self,
        now: Instant,
        id: LegId,
        method: Method,
        body: Option<Bytes>,
        attempt: u32,
    ) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.early.supersede();
        let is_up = matches!(leg.state, State::Established);
        let seq = leg.dialog.next_seq();
        let mut writer = leg.dialog.request(method, seq, branch, &self.identity);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        self.capabilities(&mut writer);
        if is_up {
            self.write_session(&mut writer, id);
        }
        let passed = self.legs.get_mut(&id).and_then(|leg| leg.passed.take());
        passed.inspect(|passed| copy_passed(&mut writer, passed));
        let bytes = finish(writer, body.as_deref());
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.offer = Offer::Sent { branch, body, give_up: now + T1X64, progressed: false, attempt };
        let owner = Owner { leg: id, purpose: Purpose::Offer };
        let hop = leg.way(&leg.dialog);
        if self.transactions.request(now, branch, method, hop, bytes, owner).is_err() {
            self.on_offer_failure(now, id, Failure::unreachable());
        }
        self.arm(id);
    }

    pub(super) fn on_offer_accepted(&mut self, now: Instant, id: LegId, response: Response) {
        // An UPDATE needs no ACK.
        let is_update = response.cseq().method == Method::Update;
        let Some(leg) = self.legs.get_mut(&id) else {
            if !is_update {
                self.acknowledge_stray(id, &response);
            }
            return;
        };
        let seq = response.cseq().number;
        let current = response.branch().and_then(Branch::parse);
        let body = match &leg.offer {
            Offer::Sent { branch, body, .. } if Some(*branch) == current => body,
            // The 2xx of an earlier one once more: so is its ACK.
            Offer::Sent { .. } | Offer::None | Offer::Backoff { .. } | Offer::Received { .. } => {
                if let Some(acked) = leg.acked.as_ref().filter(|acked| acked.seq == seq) {
                    self.transactions.send(&leg.hop, acked.bytes.clone());
                }
                return;
            }
        };
        let offered = body.is_some();
        leg.offer = Offer::None;
        leg.refresh(&response);
        if is_update {
            if matches!(leg.state, State::Established) {
                self.on_session_agreed(now, id, &response);
            }
            self.arm(id);
            return self.tell(id, Event::OfferAccepted(id, response));
        }
        if matches!(leg.state, State::Closing) {
            let offer = (!offered).then(|| sip::sdp::rejecting(response.body()));
            return self.send_ack(now, id, seq, offer.as_deref());
        }
        self.on_session_agreed(now, id, &response);
        self.answered(now, id, seq, offered, response.body());
        if self.takes_deferred(id) {
            let offer = Bytes::copy_from_slice(response.body());
            return self.tell(id, Event::Answered(id, response, offer));
        }
        self.tell(id, Event::OfferAccepted(id, response));
    }

    pub(super) fn on_offer_failure(&mut self, now: Instant, id: LegId, failure: Failure) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Offer::Sent { body, attempt, .. } = &leg.offer else { return };
        let (body, attempt) = (body.clone(), *attempt);
        leg.offer = Offer::None;
        let is_up = matches!(leg.state, State::Established | State::Closing);
        let is_deferred = matches!(leg.early, Early::Deferred { is_over: false, .. });
        match failure.status {
            491 if attempt < MAX_GLARE_RETRIES => self.back_off(now, id, body, attempt + 1),
            // RFC 3261 §12.2.1.2: the peer knows nothing of the dialog, or is gone.
            408 | 481 if is_up => self.lose(now, id, failure),
            _ if is_deferred => self.lose(now, id, failure),
            _ => self.tell(id, Event::OfferRefused(id, failure)),
        }
        self.arm(id);
    }

    /// RFC 3261 §14.1: the owner of the Call-ID waits longer, so that the two do not meet again.
    fn back_off(&mut self, now: Instant, id: LegId, body: Option<Bytes>, attempt: u32) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (low, high) = if leg.dialog.is_uac { (2100, 4000) } else { (0, 2000) };
        let wait = self.ids.wait(Duration::from_millis(low), Duration::from_millis(high));
        if matches!(leg.offer, Offer::None) {
            leg.offer = Offer::Backoff { body, at: now + wait, attempt };
        } else {
            leg.waiting = Some((body, attempt, now + wait));
        }
        self.arm(id);
    }

    pub(super) fn expire_offer(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.owed.as_ref().is_some_and(|owed| owed.give_up <= now) {
            // Our user never answered: the peer's offer is refused, and the call with it.
            return self.lose(now, id, Failure::timed_out());
        }
        match &mut leg.offer {
            Offer::Received { patience, .. } if patience.is_some_and(|at| at <= now) => {
                *patience = None;
                self.tell(id, Event::OfferCancelled(id));
            }
            Offer::Backoff { body, at, attempt } if *at <= now => {
                let (body, attempt) = (body.clone(), *attempt);
                leg.offer = Offer::None;
                self.send_offer(now, id, body, attempt);
            }
            Offer::Sent { branch, give_up, .. } if *give_up <= now => {
                let branch: Branch = *branch;
                self.cancel_offer(now, id);
                self.transactions.abandon(now, branch);
                self.on_offer_failure(now, id, Failure::timed_out());
            }
            Offer::None | Offer::Sent { .. } | Offer::Backoff { .. } | Offer::Received { .. } => {}
        }
    }
}
