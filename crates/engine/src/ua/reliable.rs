//! Provisional responses that arrive (RFC 3262): ours are repeated until the caller's PRACK, the
//! callee's are answered with one. What the descriptions in them mean is in [`early`](super::early).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::{Headers, Name, Request, Response};

use super::early::{Early, description};
use super::leg::State;
use super::{Cause, Failure, LegId, Owner, UserAgent};
use crate::limits::{MAX_FORKS, MAX_UNPRACKED};
use crate::timer::{T1, T1X64};
use crate::transaction::ServerKey;

/// Whether the sender of an INVITE takes reliable provisional responses.
pub(crate) fn takes_reliable(invite: &Request) -> bool {
    [Name::Supported, Name::Require].iter().any(|name| invite.has_token(*name, "100rel"))
}

/// What a leg waits for, or remembers, of reliable provisional responses.
#[derive(Default)]
pub(super) struct Reliable {
    /// The number of our last one.
    last: u32,
    /// The one that the caller has not acknowledged.
    sent: Option<Sent>,
    /// Those that wait for their turn: status, whether with a description, and the response.
    queue: VecDeque<(u16, bool, Bytes)>,
    /// Our 2xx, which must not overtake an answer (RFC 3262 §3).
    accept: Option<(Bytes, Option<Headers>)>,
    /// The peer's last numbers, by the tags of its early dialogs.
    received: Vec<(Box<str>, u32)>,
}

struct Sent {
    key: ServerKey,
    /// Of the INVITE.
    seq: u32,
    status: u16,
    /// Whether it carries a description.
    answers: bool,
    bytes: Bytes,
    retransmit: Instant,
    interval: Duration,
    give_up: Instant,
}

impl Reliable {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.sent.as_ref().map(|sent| sent.retransmit.min(sent.give_up))
    }

    /// Whether a description was not acknowledged, or waits for its turn.
    fn is_describing(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.answers)
            || self.queue.iter().any(|(_, answers, _)| *answers)
    }

    /// What the caller's next PRACK must say: the number of our response and that of its INVITE.
    fn expected(&self) -> Option<(u32, u32)> {
        // Those in the queue have the numbers after it.
        Some((self.last - self.queue.len() as u32, self.sent.as_ref()?.seq))
    }
}

impl UserAgent {
    /// Sends provisional responses reliably from now on to callers that know it.
    pub fn prefer_reliable(&mut self) {
        self.prefers_reliable = true;
    }

    /// How a provisional answer to a leg's INVITE goes: reliably or not, and with this description.
    /// `None` when it cannot go.
    pub(super) fn reliability<'a>(
        &self,
        id: LegId,
        sdp: &'a [u8],
        passed: Option<&Headers>,
    ) -> Option<(bool, &'a [u8])> {
        let (request, _) = self.invitation(id)?;
        let came_so = passed.is_some_and(|passed| passed.has_token(Name::Require, "100rel"));
        let must = !self.is_simple && request.has_token(Name::Require, "100rel");
        let may = !self.is_simple && request.has_token(Name::Supported, "100rel");
        let is_reliable = must || (may && (came_so || self.prefers_reliable));
        if !request.body().is_empty() {
            return Some((is_reliable, sdp));
        }
        match self.legs.get(&id)?.early {
            // RFC 3262 §5: the first reliable response carries the offer. What came unreliably is
            // none: the callee makes its offer later, and may make another one.
            Early::None if !is_reliable => Some((false, sdp)),
            Early::None if !sdp.is_empty() && (came_so || passed.is_none()) => Some((true, sdp)),
            Early::None if must => None,
            Early::None => Some((false, sdp)),
            Early::Offered | Early::Agreed { .. } | Early::Owed { .. } | Early::Deferred { .. } => {
                Some((is_reliable, b""))
            }
        }
    }

    /// Calls again with reliable provisional answers, which a 421 asks for (RFC 3261 §21.4.15). False
    /// when it does not, or our INVITE allowed them.
    pub(super) fn ask_reliably(&mut self, now: Instant, owner: Owner, response: &Response) -> bool {
        let Some(request) = self.transactions.answered(response) else { return false };
        let is_asked = response.has_token(Name::Require, "100rel");
        if self.is_simple || !is_asked || request.has_token(Name::Supported, "100rel") {
            return false;
        }
        let (branch, uri) = (self.ids.branch(), request.uri().to_owned());
        let headers = [("Supported", self.supported_with("100rel"))];
        self.send_again(now, owner, &request, &uri, branch, &headers)
    }

    /// The number of the next reliable response of a leg.
    pub(super) fn next_rseq(&mut self, id: LegId) -> u32 {
        // RFC 3262 §3: the first is chosen between 1 and 2^31 - 1.
        let first = (self.ids.number() % 0x7fff) as u32 + 1;
        let Some(leg) = self.legs.get_mut(&id) else { return first };
        let reliable = leg.reliable.get_or_insert_default();
        reliable.last = if reliable.last == 0 { first } else { reliable.last + 1 };
        reliable.last
    }

    /// Sends a reliable response, or keeps it until the one before is acknowledged.
    pub(super) fn send_reliable(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        (status, answers, bytes): (u16, bool, Bytes),
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let State::Invited { request, .. } = &leg.state else { return };
        let seq = request.cseq().number;
        if answers && request.body().is_empty() {
            leg.early = Early::Offered;
        }
        let reliable = leg.reliable.get_or_insert_default();
        if reliable.sent.is_some() {
            if reliable.queue.len() < MAX_UNPRACKED {
                reliable.queue.push_back((status, answers, bytes));
            } else {
                // Its number is the next one's.
                reliable.last -= 1;
            }
            return;
        }
        reliable.sent = Some(Sent {
            key,
            seq,
            status,
            answers,
            bytes: bytes.clone(),
            retransmit: now + T1,
            interval: T1,
            give_up: now + T1X64,
        });
        self.transactions.respond(now, key, status, bytes);
        self.arm(id);
    }

    /// Keeps a 2xx that must not overtake an unacknowledged answer. True when it does.
    pub(super) fn keeps_accept(&mut self, id: LegId, sdp: &[u8], passed: Option<&Headers>) -> bool {
        let reliable = self.legs.get_mut(&id).and_then(|leg| leg.reliable.as_mut());
        let Some(reliable) = reliable.filter(|reliable| reliable.is_describing()) else {
            return false;
        };
        reliable.accept = Some((Bytes::copy_from_slice(sdp), passed.cloned()));
        true
    }

    /// Whether a description in a provisional response of ours awaits its PRACK.
    pub(crate) fn is_describing(&self, id: LegId) -> bool {
        let reliable = self.legs.get(&id).and_then(|leg| leg.reliable.as_ref());
        reliable.is_some_and(|reliable| reliable.is_describing())
    }

    /// The caller acknowledges a provisional response of ours. Our final answer may have overtaken it
    /// (RFC 3262 §3): to 481 the caller would end its dialog.
    pub(super) fn on_prack(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let acknowledged = request.text(Name::RAck).and_then(read_rack);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let expected = leg.reliable.as_ref().and_then(|reliable| reliable.expected());
        let (Some(reliable), true) =
            (&mut leg.reliable, expected.is_some() && acknowledged == expected)
        else {
            return self.refuse_request(now, key, &request, source, 481);
        };
        let described = reliable.sent.as_ref().is_some_and(|sent| sent.answers);
        let is_offer = !request.body().is_empty() && !matches!(leg.early, Early::Offered);
        if is_offer {
            // A new offer before the call is answered: in an UPDATE.
            return self.refuse_request(now, key, &request, source, 488);
        }
        if described && !self.on_description_acknowledged(id, request.body()) {
            return self.refuse_request(now, key, &request, source, 400);
        }
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(reliable) = &mut leg.reliable else { return };
        reliable.sent = None;
        let (next, invite_key) = (reliable.queue.pop_front(), key_of(&leg.state));
        if invite_key.is_none() {
            leg.reliable = None;
        }
        self.arm(id);
        self.refuse_request(now, key, &request, source, 200);
        if let (Some(next), Some(key)) = (next, invite_key) {
            return self.send_reliable(now, id, key, next);
        }
        let accept = self.legs.get_mut(&id).and_then(|leg| leg.reliable.as_mut()?.accept.take());
        if let Some((sdp, passed)) = accept {
            self.accept(now, id, &sdp, passed.as_ref());
        }
    }

    pub(super) fn expire_reliable(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if !matches!(leg.state, State::Invited { .. }) {
            // After a final answer it is not repeated; its PRACK may still come.
            let reliable = leg.reliable.as_mut();
            match reliable.and_then(|reliable| reliable.sent.as_mut()) {
                Some(sent) if now < sent.give_up => sent.retransmit = sent.give_up,
                Some(_) => leg.reliable = None,
                None => {}
            }
            return;
        }
        let Some(sent) = leg.reliable.as_mut().and_then(|reliable| reliable.sent.as_mut()) else {
            return;
        };
        if sent.give_up <= now {
            // RFC 3262 §3: the caller is not there any more.
            let failure = Failure::timed_out();
            if let Some((key, response)) = self.answer(id, 504, &[], None) {
                self.transactions.respond(now, key, 504, response.finish());
            }
            return self.end(now, id, Cause::Lost(failure));
        }
        if sent.retransmit <= now {
            sent.interval *= 2;
            sent.retransmit += sent.interval;
            let (key, status, bytes) = (sent.key, sent.status, sent.bytes.clone());
            self.transactions.respond(now, key, status, bytes);
        }
    }

    /// A provisional answer to our INVITE: what our user is to hear of its description. A reliable one
    /// is acknowledged; one that comes again, or out of order, is not heard of (§4).
    pub(super) fn takes_progress(
        &mut self,
        now: Instant,
        id: LegId,
        response: &Response,
    ) -> Option<Bytes> {
        let leg = self.legs.get_mut(&id)?;
        let number = response.number(Name::RSeq);
        let (Some(number), true) = (number, response.has_token(Name::Require, "100rel")) else {
            let is_first = matches!(leg.early, Early::None);
            return Some(if is_first { description(response) } else { Bytes::new() });
        };
        // The next one may not come before its offer is answered (§3).
        if matches!(leg.early, Early::Owed { .. }) {
            return None;
        }
        let tag = response.to_tag()?;
        let reliable = leg.reliable.get_or_insert_default();
        let count = reliable.received.len();
        match reliable.received.iter_mut().find(|(known, _)| **known == *tag) {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) => return None,
            None if count >= MAX_FORKS => return None,
            None => reliable.received.push((tag.into(), number)),
        }
        let mut dialog = leg.dialog.clone();
        dialog.establish(response);
        let described = self.takes_description(id, response);
        if let Some(body) = described.prack {
            self.send_prack(now, id, dialog, (number, response.cseq().number), &body);
        }
        Some(described.sdp)
    }
}

fn key_of(state: &State) -> Option<ServerKey> {
    match state {
        State::Invited { key, .. } => Some(*key),
        State::Inviting { .. } | State::Established | State::Closing => None,
    }
}

/// RAck (§7.2): the number of the response and that of its INVITE.
fn read_rack(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_ascii_whitespace();
    let (number, seq) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next() == Some("INVITE") && words.next().is_none()).then_some((number, seq))
}
