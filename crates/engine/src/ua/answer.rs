//! The INVITE of somebody else: our provisional and final answers, the ACK, and the CANCEL or BYE
//! that takes it back (RFC 3261 §9.2, §13.3, §15.1.2).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Headers, Request, Writer};

use super::invite::finish;
use super::leg::{Offer, State, Unacked};
use super::nat::is_behind_nat;
use super::{Allow, Cause, Event, Failure, Leg, LegId, Purpose, UserAgent, q850};
use crate::dialog::Dialog;
use crate::ids::Tag;
use crate::passing::copy_passed;
use crate::timer::T2;
use crate::transaction::{Hop, ServerKey};

impl UserAgent {
    /// The INVITE that a leg has not answered yet, and where it came from.
    pub fn invitation(&self, id: LegId) -> Option<(&Request, SocketAddr)> {
        match &self.legs.get(&id)?.state {
            State::Invited { request, source, .. } => Some((request, *source)),
            State::Inviting { .. } | State::Established | State::Closing => None,
        }
    }

    /// Answers an INVITE provisionally (101–199), with early media or without. One that its caller
    /// wants reliably, and that would have to carry an offer and does not, is not sent.
    /// `passed` is the message of another leg whose headers are passed on.
    pub fn progress(
        &mut self,
        now: Instant,
        id: LegId,
        status: u16,
        sdp: &[u8],
        passed: Option<&Headers>,
    ) {
        let Some((is_reliable, sdp)) = self.reliability(id, sdp, passed) else { return };
        let rseq = if is_reliable { self.next_rseq(id) } else { 0 };
        let Some((key, mut response)) = self.answer(id, status, &[], passed) else { return };
        if is_reliable {
            response.header("Require", "100rel").header("RSeq", rseq);
            let bytes = finish(response, Some(sdp));
            self.send_reliable(now, id, key, (status, !sdp.is_empty(), bytes));
        } else {
            self.transactions.respond(now, key, status, finish(response, Some(sdp)));
        }
    }

    /// Accepts an INVITE. The description is the answer to its offer, or the offer it lacked.
    pub fn accept(&mut self, now: Instant, id: LegId, sdp: &[u8], passed: Option<&Headers>) {
        if self.keeps_accept(id, sdp, passed) {
            return;
        }
        // RFC 3262 §5: the offer was in a provisional answer, and had its answer.
        let sdp = if self.has_offered_early(id) { b"" } else { sdp };
        let Some((key, mut response)) = self.answer(id, 200, &[], passed) else { return };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let State::Invited { request, .. } = &leg.state else { return };
        let request = request.clone();
        self.agree_on_session(now, id, &request, &mut response);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let bytes = finish(response, Some(sdp));
        leg.unacked = Some(Unacked::new(now, key, request.cseq().number, bytes.clone()));
        leg.state = State::Established;
        self.transactions.respond(now, key, 200, bytes);
        self.arm(id);
    }

    /// Refuses an INVITE (300–699).
    pub fn reject(&mut self, now: Instant, id: LegId, status: u16) {
        self.reject_with(now, id, status, &[]);
    }

    /// Refuses an INVITE, with further header lines.
    pub fn reject_with(
        &mut self,
        now: Instant,
        id: LegId,
        status: u16,
        headers: &[(&str, String)],
    ) {
        if let Some((key, response)) = self.answer(id, status, headers, None) {
            self.transactions.respond(now, key, status, response.finish());
            self.end(now, id, Cause::Released);
        }
    }

    /// An INVITE outside any dialog.
    pub(super) fn on_invite(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let id = self.ids.tag();
        let seq = self.ids.cseq();
        let Some(dialog) = Dialog::incoming(&request, id, seq) else {
            // RFC 3261 §8.1.1.8: an INVITE has a Contact, or nobody could answer it.
            return self.refuse_request(now, key, &request, source, 400);
        };
        let hop = dialog.hop().unwrap_or(Hop::Address(source));
        // Without a tag: a 100 makes no dialog (RFC 3261 §8.2.6.1).
        let trying = sip::respond(&request, 100, "", source);
        self.transactions.respond(now, key, 100, trying.finish());
        self.transactions.set_leg(key, id);
        let allow = Allow::of(&request).unwrap_or_default();
        let replaces = request.has_token(sip::Name::Supported, "replaces");
        let is_behind_nat = is_behind_nat(&request, &dialog.target, source);
        let state = State::Invited { key, request: Box::new(request), source };
        let mut leg = Leg { allow, replaces, ..Leg::new(dialog, hop, state) };
        if is_behind_nat {
            leg.source = Some(Box::new(source));
            leg.hop = leg.way(&leg.dialog);
        }
        self.legs.insert(id, Box::new(leg));
        self.events.push_back(Event::Incoming(id));
    }

    /// The ACK of a 2xx of ours, to an INVITE or a re-INVITE.
    pub(super) fn on_ack(&mut self, now: Instant, request: &Request) {
        let Some(id) = request.to_tag().and_then(Tag::parse) else { return };
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| leg.dialog.is_of(request)) else {
            return;
        };
        let seq = request.cseq().number;
        if leg.unacked.take_if(|unacked| unacked.seq == seq).is_none() {
            return;
        }
        let released = leg.released;
        self.arm(id);
        if released {
            self.close(now, id);
        } else if !self.resumes_deferred(now, id) {
            self.events.push_back(Event::Acknowledged(id, Bytes::copy_from_slice(request.body())));
        }
    }

    pub(super) fn on_cancel(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        source: SocketAddr,
        status: u16,
        leg: Option<LegId>,
    ) {
        // RFC 3261 §9.2: the tag of the answer to the INVITE.
        let tag = leg.unwrap_or_else(|| self.ids.tag()).to_string();
        let answer = sip::respond(request, status, &tag, source);
        self.respond(now, key, answer, status);
        let Some(id) = leg else { return };
        match self.legs.get(&id).map(|leg| (&leg.state, &leg.offer)) {
            // An UPDATE, which may wait there too, cannot be cancelled (RFC 3261 §9.1).
            Some((State::Invited { .. }, _)) => self.take_back(now, id, request),
            Some((_, Offer::Received { .. })) => self.tell(id, Event::OfferCancelled(id)),
            _ => {}
        }
    }

    pub(super) fn on_bye(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: &Request,
        source: SocketAddr,
    ) {
        self.refuse_request(now, key, request, source, 200);
        let Some(leg) = self.legs.get(&id) else { return };
        match leg.state {
            State::Invited { .. } => self.take_back(now, id, request),
            State::Established => {
                self.acknowledge_owed(now, id);
                self.farewell = Some((id, (**request).clone()));
                self.end(now, id, Cause::Bye(q850(request)));
            }
            // Both hang up at once: our own BYE is about to be answered too.
            State::Closing | State::Inviting { .. } => {}
        }
    }

    /// The caller gave up before we answered.
    fn take_back(&mut self, now: Instant, id: LegId, request: &Request) {
        if let Some((key, response)) = self.answer(id, 487, &[], None) {
            self.transactions.respond(now, key, 487, response.finish());
            self.farewell = Some((id, (**request).clone()));
            self.end(now, id, Cause::Cancelled);
        }
    }

    /// An answer to the INVITE of a leg that has not been answered finally.
    pub(super) fn answer(
        &self,
        id: LegId,
        status: u16,
        headers: &[(&str, String)],
        passed: Option<&Headers>,
    ) -> Option<(ServerKey, Writer)> {
        let State::Invited { key, request, source } = &self.legs.get(&id)?.state else {
            return None;
        };
        let mut response = sip::respond(request, status, &id.to_string(), *source);
        if status < 300 {
            response.copy_all(request, sip::Name::RecordRoute);
            response.header("Contact", format_args!("<{}>", self.identity.contact));
        }
        if status < 300 || status == 405 {
            self.capabilities(&mut response);
        }
        for (name, value) in headers {
            response.header(name, value);
        }
        passed.inspect(|passed| copy_passed(&mut response, passed));
        Some((*key, response))
    }

    /// Repeats a 2xx until it is acknowledged (RFC 3261 §13.3.1.4); without an ACK in 64·T1 the
    /// session is ended.
    pub(super) fn expire_unacked(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.acked.take_if(|acked| acked.until <= now);
        let Some(unacked) = &mut leg.unacked else { return };
        if unacked.give_up <= now {
            leg.unacked = None;
            return self.lose(now, id, Failure::timed_out());
        }
        if unacked.retransmit <= now {
            unacked.interval = (unacked.interval * 2).min(T2);
            unacked.retransmit += unacked.interval;
            let (key, bytes) = (unacked.key, unacked.bytes.clone());
            self.transactions.respond(now, key, 200, bytes);
        }
    }

    /// The peer has lost the dialog, or we have lost the peer: BYE in case it still listens, and an
    /// end that does not wait for the answer.
    pub(super) fn lose(&mut self, now: Instant, id: LegId, failure: Failure) {
        self.acknowledge_owed(now, id);
        let Some(leg) = self.legs.get(&id) else { return };
        if !matches!(leg.state, State::Closing) {
            let (mut dialog, hop) = (leg.dialog.clone(), leg.hop.clone());
            self.send_bye(now, id, &mut dialog, hop, Purpose::Courtesy);
        }
        self.end(now, id, Cause::Lost(failure));
    }
}
