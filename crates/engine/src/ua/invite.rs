//! Our INVITE: its answers, their ACKs, the CANCEL that takes it back (RFC 3261 §9.1, §13.2), and
//! the BYE that ends what it began (§15).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip::{Headers, Method, Response, Writer};

use super::capabilities::ALLOW;
use super::early::Accepted;
use super::leg::{Acked, Cancel, Fork, Offer, Owed, State};
use super::{Cause, Event, Failure, Leg, LegId, Owner, Purpose, UserAgent};
use crate::dialog::{Dialog, Identity};
use crate::ids::Branch;
use crate::limits::MAX_FORKS;
use crate::passing::copy_passed_except;
use crate::timer::T1X64;
use crate::transaction::Hop;

/// What an INVITE says.
#[derive(Clone, Debug)]
pub struct Invite<'a> {
    /// Request URI.
    pub uri: &'a str,
    /// From, without tag: `"Bob" <sip:bob@example.com>`.
    pub from: &'a [u8],
    /// To, without tag.
    pub to: &'a [u8],
    /// Call-ID: a new one when `None`.
    pub call_id: Option<Arc<str>>,
    /// Where to send it: the request URI's host when `None`.
    pub hop: Option<Hop>,
    /// Max-Forwards.
    pub max_forwards: u32,
    /// The offer. Without one the peer makes it, and the answer goes into the ACK.
    pub offer: Option<Bytes>,
    /// Further header lines, name and value.
    pub headers: &'a [(String, String)],
    /// The message of another leg whose headers are passed on.
    pub passed: Option<&'a Headers>,
    /// Whether provisional answers may come reliably (RFC 3262).
    pub reliable: bool,
}

impl UserAgent {
    /// Calls somebody. The outcome comes as an event of the returned leg.
    pub fn invite(&mut self, now: Instant, invite: Invite<'_>) -> LegId {
        let id = self.ids.tag();
        let branch = self.ids.branch();
        let call_id = invite.call_id.unwrap_or_else(|| self.ids.call_id().into());
        let seq = self.ids.cseq();
        let dialog = Dialog::outgoing(call_id, id, invite.from, invite.to, invite.uri, seq);
        let mut writer =
            dialog.request_within(Method::Invite, seq, branch, &self.identity, invite.max_forwards);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        for (name, value) in invite.headers {
            writer.header(name, value);
        }
        if let Some(passed) = invite.passed {
            // What the client says itself stands once (RFC 3261 §7.3.1).
            let said =
                |name: &str| invite.headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
            copy_passed_except(&mut writer, passed, said);
        }
        writer.header("Allow", ALLOW);
        match invite.reliable {
            true => writer.header("Supported", self.supported_with("100rel")),
            false => writer.header("Supported", self.supported()),
        };
        self.write_session(&mut writer, id);
        let offered = invite.offer.is_some();
        let bytes = finish(writer, invite.offer.as_deref());
        let cancel = Cancel::No;
        let state =
            State::Inviting { branch, provisional: false, tags: Vec::new(), offered, cancel };
        let hop = invite.hop.or_else(|| dialog.hop());
        let unreachable = hop.is_none();
        let hop = hop.unwrap_or(Hop::Name { host: Box::default(), port: 0 });
        self.legs.insert(id, Box::new(Leg::new(dialog, hop.clone(), state)));
        let owner = Owner { leg: id, purpose: Purpose::Invite };
        if unreachable
            || self.transactions.request(now, branch, Method::Invite, hop, bytes, owner).is_err()
        {
            self.end(now, id, Cause::Refused(Failure::unreachable()));
        }
        id
    }

    /// Sends the answer to an offer that came in a 2xx, in its ACK; or in a provisional answer, in its
    /// PRACK.
    pub fn acknowledge(&mut self, now: Instant, id: LegId, answer: &[u8]) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if let Some(owed) = leg.owed.take() {
            self.send_ack(now, id, owed.seq, Some(answer));
        } else {
            self.acknowledge_early(now, id, answer);
        }
    }

    pub(super) fn on_progress(&mut self, now: Instant, id: LegId, response: Response) {
        let described = self.takes_progress(now, id, &response);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.learn_abilities(&response);
        let State::Inviting { provisional, tags, cancel, .. } = &mut leg.state else { return };
        *provisional = true;
        if let Some(tag) = response.to_tag().filter(|_| tags.len() < MAX_FORKS)
            && !tags.iter().any(|known| **known == *tag)
        {
            tags.push(tag.into());
        }
        if matches!(cancel, Cancel::Wanted) {
            self.send_cancel(now, id);
        } else if let Some(sdp) = described.filter(|_| response.status > 100) {
            self.tell(id, Event::Progress(id, response, sdp));
        }
    }

    /// A 2xx to our INVITE: the first makes the dialog, others are repetitions or other forks.
    pub(super) fn on_answer(&mut self, now: Instant, id: LegId, response: Response) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.on_stray_answer(now, id, &response);
        };
        let State::Inviting { offered, branch, .. } = leg.state else {
            return self.on_another_answer(now, id, &response);
        };
        let accepted = self.takes_answer(id, &response);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.invite = Some(branch);
        leg.dialog.establish(&response);
        leg.learn_abilities(&response);
        leg.state = State::Established;
        // A peer whose Contact we cannot reach is sought where its INVITE went.
        leg.hop = leg.way(&leg.dialog);
        let seq = response.cseq().number;
        self.on_session_agreed(now, id, &response);
        let sdp = match accepted {
            Accepted::Plain(sdp) => {
                self.answered(now, id, seq, offered, &sdp);
                Some(sdp)
            }
            Accepted::Early(sdp) => {
                self.send_ack(now, id, seq, None);
                Some(sdp)
            }
            Accepted::Deferred => {
                self.send_ack(now, id, seq, None);
                None
            }
        };
        match sdp {
            _ if self.legs.get(&id).is_some_and(|leg| leg.released) => self.close(now, id),
            Some(sdp) => self.tell(id, Event::Answered(id, response, sdp)),
            None => drop(self.resumes_deferred(now, id)),
        }
    }

    /// Acknowledges a 2xx, at once or when our user has the answer to the offer it carries.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        id: LegId,
        seq: u32,
        offered: bool,
        body: &[u8],
    ) {
        if offered || body.is_empty() {
            return self.send_ack(now, id, seq, None);
        }
        if let Some(leg) = self.legs.get_mut(&id) {
            let offer = Bytes::copy_from_slice(body);
            leg.owed = Some(Owed { seq, offer, give_up: now + T1X64 });
            self.arm(id);
        }
    }

    /// A 2xx to an INVITE that we gave up, or of a fork when all else is over: the phone must not
    /// believe to be in a call.
    fn on_stray_answer(&mut self, now: Instant, id: LegId, response: &Response) {
        let Some(dialog) = Dialog::stray(id, response) else { return };
        let Some(hop) = dialog.hop() else { return };
        let seq = response.cseq().number;
        // Told once is enough: when the BYE is answered, repetitions of this 2xx are dropped.
        let invite = response.branch().and_then(Branch::parse);
        let leg = Leg { released: true, invite, ..Leg::new(dialog, hop, State::Established) };
        self.legs.insert(id, Box::new(leg));
        self.send_ack(now, id, seq, None);
        self.close(now, id);
    }

    /// A 2xx to a re-INVITE of ours in a dialog that is over: the ACK lets the peer forget it.
    pub(super) fn acknowledge_stray(&mut self, id: LegId, response: &Response) {
        let Some(dialog) = Dialog::stray(id, response) else { return };
        let Some(hop) = dialog.hop() else { return };
        let bytes = ack(&dialog, response.cseq().number, self.ids.branch(), &self.identity, None);
        self.transactions.send(&hop, bytes);
    }

    fn on_another_answer(&mut self, now: Instant, id: LegId, response: &Response) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if response.to_tag() == leg.dialog.remote_tag.as_deref() {
            let acked = leg.acked.as_ref().filter(|acked| acked.seq == response.cseq().number);
            if let Some(bytes) = acked.map(|acked| acked.bytes.clone()) {
                self.transactions.send(&leg.hop, bytes);
            }
            return;
        }
        let tag = response.to_tag().unwrap_or_default();
        if let Some(fork) = leg.forks.iter().find(|fork| *fork.tag == *tag) {
            return self.transactions.send(&fork.hop, fork.ack.clone());
        }
        if leg.forks.len() >= MAX_FORKS {
            return;
        }
        // RFC 3261 §13.2.2.4: each fork that answered is a dialog of its own, which we do not want.
        let mut dialog = leg.dialog.clone();
        dialog.establish(response);
        let hop = leg.way(&dialog);
        let seq = response.cseq().number;
        let ack = ack(&dialog, seq, self.ids.branch(), &self.identity, None);
        leg.forks.push(Fork { tag: tag.into(), hop: hop.clone(), ack: ack.clone() });
        self.transactions.send(&hop, ack);
        self.send_bye(now, id, &mut dialog, hop, Purpose::Courtesy);
    }

    /// Acknowledges a 2xx whose offer our user will not answer any more: the media is refused.
    pub(super) fn acknowledge_owed(&mut self, now: Instant, id: LegId) {
        if let Some(owed) = self.legs.get_mut(&id).and_then(|leg| leg.owed.take()) {
            self.send_ack(now, id, owed.seq, Some(&sip::sdp::rejecting(&owed.offer)));
        }
    }

    pub(super) fn send_ack(&mut self, now: Instant, id: LegId, seq: u32, answer: Option<&[u8]>) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let bytes = ack(&leg.dialog, seq, branch, &self.identity, answer);
        leg.acked = Some(Acked { seq, bytes: bytes.clone(), until: now + T1X64 });
        self.transactions.send(&leg.hop, bytes);
        self.arm(id);
    }

    pub(super) fn send_cancel(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let State::Inviting { branch, cancel, .. } = &mut leg.state else { return };
        *cancel = Cancel::Sent(now + T1X64);
        let branch = *branch;
        let parting = leg.parting.clone();
        let owner = Owner { leg: id, purpose: Purpose::Courtesy };
        self.transactions.cancel(now, branch, owner, parting.as_deref());
        self.arm(id);
    }

    /// RFC 3261 §9.1: after 64·T1 without a final answer the cancelled INVITE counts as ended.
    pub(super) fn expire_cancel(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get(&id) else { return };
        if let State::Inviting { branch, cancel: Cancel::Sent(give_up), .. } = leg.state
            && give_up <= now
        {
            self.transactions.abandon(now, branch);
            self.end(now, id, Cause::Released);
        }
    }

    /// Sends BYE, as soon as the peer may get one: a 2xx of ours must be acknowledged first
    /// (RFC 3261 §15), and one of the peer's too.
    pub(super) fn close(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if matches!(leg.state, State::Closing) || leg.unacked.is_some() {
            return;
        }
        leg.state = State::Closing;
        if let Offer::Backoff { .. } = leg.offer {
            leg.offer = Offer::None;
        }
        self.acknowledge_owed(now, id);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (mut dialog, hop) = (leg.dialog.clone(), leg.hop.clone());
        leg.dialog.local_seq += 1;
        if self.send_bye(now, id, &mut dialog, hop, Purpose::Bye) {
            self.arm(id);
        } else {
            self.end(now, id, Cause::Released);
        }
    }

    /// Sends BYE. False when there is no room for its transaction.
    pub(super) fn send_bye(
        &mut self,
        now: Instant,
        id: LegId,
        dialog: &mut Dialog,
        hop: Hop,
        purpose: Purpose,
    ) -> bool {
        let (seq, branch) = (dialog.next_seq(), self.ids.branch());
        let mut writer = dialog.request(Method::Bye, seq, branch, &self.identity);
        if let Some(leg) = self.legs.get(&id)
            && let Some(parting) = &leg.parting
        {
            parting.write(&mut writer);
        }
        let owner = Owner { leg: id, purpose };
        self.transactions.request(now, branch, Method::Bye, hop, writer.finish(), owner).is_ok()
    }
}

/// The ACK of a 2xx: a request in the dialog with the INVITE's number (RFC 3261 §13.2.2.4).
fn ack(
    dialog: &Dialog,
    seq: u32,
    branch: Branch,
    identity: &Identity,
    answer: Option<&[u8]>,
) -> Bytes {
    finish(dialog.request(Method::Ack, seq, branch, identity), answer)
}

/// Ends a message with a session description, or without.
pub(super) fn finish(writer: Writer, sdp: Option<&[u8]>) -> Bytes {
    match sdp {
        Some(sdp) if !sdp.is_empty() => writer.body("application/sdp", sdp),
        _ => writer.finish(),
    }
}
