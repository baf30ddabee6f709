//! The user agent (RFC 3261 §8, §12–§15): legs on top of transactions.
//!
//! It does what every user agent must (ACK, CANCEL, the BYE of lost forks, retransmitted 2xx, glare,
//! 481 and its kin) and leaves what one may decide to its user: the call engine, or a software
//! phone. A leg that was born ends with exactly one [`Event::Ended`]; after
//! [`hang_up`](UserAgent::hang_up) that is all its user hears of it.

mod again;
mod answer;
mod capabilities;
mod early;
mod event;
mod inside;
mod invite;
mod leg;
pub(crate) mod nat;
mod offer;
mod redirect;
mod refer;
mod register;
mod reliable;
mod replaces;
mod session;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Headers, Message, Method, Name, Request, Response, Writer};

use self::capabilities::ALLOW;
pub use self::event::{Cause, Event, Failure, FailureKind, Stats};
pub use self::invite::Invite;
pub use self::leg::{Allow, LegId};
use self::leg::{Cancel, Leg, Offer, Refer, State};
use self::register::{Password, Registration};
pub(crate) use self::reliable::takes_reliable;
pub use self::replaces::Replaced;
pub use crate::dialog::Identity;
use crate::hash::{Keyed, Map};
use crate::ids::{Ids, Tag};
use crate::limits::MIN_SESSION_SECONDS;
use crate::passing::Parting;
use crate::timer::Deadlines;
use crate::transaction::{self, Transactions};
pub use crate::transaction::{Output, ServerKey};

/// What a client transaction was for.
#[derive(Clone, Copy, Debug)]
struct Owner {
    leg: LegId,
    purpose: Purpose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Invite,
    Offer,
    Refer,
    Register,
    /// The UPDATE that refreshes a session.
    Refresh,
    Bye,
    /// Another leg's request, which waits for the answer.
    Pass {
        from: LegId,
        key: ServerKey,
    },
    /// CANCEL, NOTIFY, the BYE of a lost fork: nothing depends on the answer.
    Courtesy,
}

/// Legs on top of transactions.
pub struct UserAgent {
    identity: Identity,
    /// Knows no extension but session timers.
    is_simple: bool,
    /// Whether we send provisional responses reliably where we need not.
    prefers_reliable: bool,
    /// Whether our user sends INVITEs elsewhere that are answered 3xx.
    follows: bool,
    /// How long our sessions are, unless they are refreshed; `None` without end.
    session_seconds: Option<u32>,
    ids: Ids,
    transactions: Transactions<Owner>,
    /// Boxed: a table of pointers costs little where most of its places are empty.
    legs: Map<LegId, Box<Leg>>,
    deadlines: Deadlines<LegId>,
    events: VecDeque<Event>,
    stats: Stats,
    registration: Option<Registration>,
    password: Option<Password>,
    /// The last BYE or CANCEL that ended a leg.
    farewell: Option<(LegId, Headers)>,
}

impl UserAgent {
    /// A user agent that appears as `identity`. The seed must come from the operating system's
    /// entropy: tags and branches are made of it.
    pub fn new(identity: Identity, seed: [u8; 32]) -> Self {
        let mut ids = Ids::new(seed);
        let hash = Keyed::new(ids.key());
        Self {
            identity,
            is_simple: false,
            prefers_reliable: false,
            follows: false,
            session_seconds: None,
            ids,
            transactions: Transactions::new(hash),
            legs: hash.map(),
            deadlines: Deadlines::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            registration: None,
            password: None,
            farewell: None,
        }
    }

    /// How we appear to others.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Knows no Replaces and no reliable provisional responses from now on, as simple phones do.
    pub fn forget_extensions(&mut self) {
        self.is_simple = true;
    }

    /// A datagram from the network. What cannot be parsed is answered 400 or dropped.
    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: Bytes) {
        match Message::parse(datagram.clone()) {
            Ok(message) => {
                let event = self.transactions.receive(now, source, message);
                self.on_transaction(now, event);
            }
            Err(error) => match sip::bad_request(&datagram, source, &error.to_string()) {
                Some(answer) => {
                    self.stats.refused += 1;
                    self.transactions.transmit(source, answer);
                }
                None => self.stats.dropped += 1,
            },
        }
    }

    /// The answer to [`Output::Resolve`]: an address, or none.
    pub fn resolved(&mut self, now: Instant, query: u64, address: Option<SocketAddr>) {
        let event = self.transactions.resolved(now, query, address);
        self.on_transaction(now, event);
    }

    /// Runs everything that is due.
    pub fn expire(&mut self, now: Instant) {
        while let Some(event) = self.transactions.expire(now) {
            self.on_transaction(now, Some(event));
        }
        while let Some(id) = self.expired(now) {
            self.on_leg_timeout(now, id);
        }
    }

    /// When [`Self::expire`] wants to be called next.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let legs = &self.legs;
        let leg = self.deadlines.next(|id| legs.get(&id)?.next_timeout());
        [leg, self.transactions.next_timeout()].into_iter().flatten().min()
    }

    /// The next thing to do outside.
    pub fn poll(&mut self) -> Option<Output> {
        self.transactions.poll()
    }

    /// The next thing the user must hear of.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether no leg, transaction or timer is left.
    pub fn is_idle(&mut self) -> bool {
        self.legs.is_empty() && self.transactions.len() == 0 && self.next_timeout().is_none()
    }

    /// Transactions that are not over, and names being resolved.
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// Legs that are not over.
    pub fn leg_count(&self) -> usize {
        self.legs.len()
    }

    /// What became of broken datagrams.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The Call-ID of a leg's dialog.
    pub fn call_id(&self, leg: LegId) -> Option<std::sync::Arc<str>> {
        self.legs.get(&leg).map(|leg| leg.dialog.call_id.clone())
    }

    /// What the peer's Allow listed.
    pub fn allow(&self, leg: LegId) -> Allow {
        self.legs.get(&leg).map(|leg| leg.allow).unwrap_or_default()
    }

    /// What the BYE or CANCEL said with which a leg's peer has just ended it.
    pub(crate) fn take_farewell(&mut self, leg: LegId) -> Option<Parting> {
        let (_, headers) = self.farewell.take_if(|(of, _)| *of == leg)?;
        Some(Parting::Passed(headers))
    }

    /// Answers a request that came outside any dialog.
    pub fn respond(&mut self, now: Instant, key: ServerKey, response: Writer, status: u16) {
        self.transactions.respond(now, key, status, response.finish());
    }

    /// An answer to `request` with our Allow, as 200 to OPTIONS and 405 need it.
    pub fn answer_to(&mut self, request: &Request, source: SocketAddr, status: u16) -> Writer {
        let tag = self.ids.tag().to_string();
        let mut response = sip::respond(request, status, &tag, source);
        let capabilities = status == 200 && request.method == Method::Options;
        if capabilities || status == 405 {
            response.header("Allow", ALLOW);
        }
        if capabilities {
            response
                .header("Accept", "application/sdp")
                .header("Supported", self.supported_with("100rel"));
        }
        response
    }

    /// Random identifiers for the user's own needs.
    pub(crate) fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// Ends a leg in whatever way its state asks for: refuses (with `status`), cancels, or hangs
    /// up. Its `Ended` comes when the peer agreed or can no longer object.
    pub fn hang_up(&mut self, now: Instant, id: LegId, status: u16) {
        self.part(now, id, status, None);
    }

    /// The same, with what the BYE or CANCEL says of it.
    pub(crate) fn part(&mut self, now: Instant, id: LegId, status: u16, parting: Option<&Parting>) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| !leg.released) else { return };
        leg.released = true;
        leg.parting = parting.cloned().map(Box::new);
        match &mut leg.state {
            State::Invited { .. } => self.reject(now, id, status),
            State::Inviting { branch, cancel, provisional, .. } => {
                *cancel = Cancel::Wanted;
                if self.transactions.take_unsent(*branch) {
                    self.end(now, id, Cause::Released);
                } else if *provisional {
                    self.send_cancel(now, id);
                } else if self.transactions.sent(*branch).is_some_and(|invite| replaces(&invite)) {
                    // It cannot be cancelled yet (RFC 3261 §9.1), and a phone that is back only now would
                    // take it at once, and leave the call it is in.
                    self.transactions.hush(*branch);
                }
            }
            State::Established => self.close(now, id),
            State::Closing => {}
        }
    }

    fn on_transaction(&mut self, now: Instant, event: Option<transaction::Event<Owner>>) {
        use transaction::Event as E;
        match event {
            None => {}
            Some(E::Request { key, request, source, merged }) => {
                self.on_request(now, key, request, source, merged);
            }
            Some(E::Ack { request }) => self.on_ack(now, &request),
            Some(E::Cancel { key, request, source, found, leg }) => {
                let status = if found { 200 } else { 481 };
                self.on_cancel(now, key, &request, source, status, leg);
            }
            Some(E::Response { owner, response }) => self.on_response(now, owner, response),
            Some(E::TimedOut { owner }) => self.on_failure(now, owner, Failure::timed_out()),
            Some(E::Unreachable { owner }) => self.on_failure(now, owner, Failure::unreachable()),
        }
    }

    fn on_response(&mut self, now: Instant, owner: Owner, response: Response) {
        let lost = is_lost(&response).then(|| Failure::answered(&response));
        match (owner.purpose, response.status) {
            (Purpose::Invite, 100..=199) => self.on_progress(now, owner.leg, response),
            (Purpose::Invite, 200..=299) => self.on_answer(now, owner.leg, response),
            (Purpose::Offer, 100..=199) => self.on_offer_progress(now, owner.leg),
            (Purpose::Offer, 200..=299) => self.on_offer_accepted(now, owner.leg, response),
            (Purpose::Refer, 200..=299) => {
                self.tell(owner.leg, Event::ReferAnswered(owner.leg, Ok(())));
            }
            (Purpose::Register, 200..=299) => {
                self.events.push_back(Event::Registered(Ok(response)));
            }
            (Purpose::Invite | Purpose::Register, 401 | 407)
                if self.authenticate(now, owner, &response) => {}
            (Purpose::Invite, 300..) if self.is_redirected(owner, &response) => {}
            (Purpose::Invite, 421) if self.ask_reliably(now, owner, &response) => {}
            (Purpose::Invite | Purpose::Offer | Purpose::Refresh, 422)
                if self.ask_for_longer(now, owner, &response) => {}
            (Purpose::Refresh, 200..=299) => self.on_refreshed(now, owner.leg, &response),
            (Purpose::Bye, 200..) => self.end(now, owner.leg, Cause::Released),
            (Purpose::Pass { from, key }, 200..) => self.on_passed(now, from, key, &response),
            (_, 300..) => self.on_failure(now, owner, Failure::answered(&response)),
            (
                Purpose::Offer
                | Purpose::Refer
                | Purpose::Register
                | Purpose::Refresh
                | Purpose::Bye,
                _,
            )
            | (Purpose::Pass { .. } | Purpose::Courtesy | Purpose::Invite, _) => {}
        }
        if let Some(failure) = lost {
            self.lose(now, owner.leg, failure);
        }
    }

    /// A request of ours got a refusal, silence, or nowhere.
    fn on_failure(&mut self, now: Instant, owner: Owner, failure: Failure) {
        match owner.purpose {
            Purpose::Invite => {
                // A refusal by another fork, or after the 2xx, changes nothing.
                if self
                    .legs
                    .get(&owner.leg)
                    .is_some_and(|leg| matches!(leg.state, State::Inviting { .. }))
                {
                    self.end(now, owner.leg, Cause::Refused(failure));
                }
            }
            Purpose::Offer => self.on_offer_failure(now, owner.leg, failure),
            Purpose::Refer => {
                if let Some(leg) = self.legs.get_mut(&owner.leg) {
                    leg.refer = None;
                }
                self.tell(owner.leg, Event::ReferAnswered(owner.leg, Err(failure)));
            }
            Purpose::Register => self.events.push_back(Event::Registered(Err(failure))),
            Purpose::Refresh => self.on_refresh_failed(now, owner.leg, &failure),
            Purpose::Bye => self.end(now, owner.leg, Cause::Released),
            Purpose::Pass { from, key } => self.on_pass_failed(now, from, key, &failure),
            Purpose::Courtesy => {}
        }
    }

    /// A new request, whatever it is.
    fn on_request(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
        merged: bool,
    ) {
        if let Some(status) = self.refusal(&request, merged) {
            return self.refuse_request(now, key, &request, source, status);
        }
        let Some(tag) = request.to_tag() else {
            return match request.method {
                Method::Invite => self.on_invite(now, key, request, source),
                // Without a dialog there is nothing to end, to confirm, to change or to add to.
                Method::Bye | Method::Prack | Method::Update | Method::Info => {
                    self.refuse_request(now, key, &request, source, 481);
                }
                _ => self.events.push_back(Event::Request { key, request, source }),
            };
        };
        let leg = Tag::parse(tag)
            .filter(|id| self.legs.get(id).is_some_and(|leg| leg.dialog.is_of(&request)));
        let Some(id) = leg else { return self.refuse_request(now, key, &request, source, 481) };
        let in_order =
            self.legs.get_mut(&id).is_some_and(|leg| leg.dialog.accept_seq(request.cseq().number));
        if !in_order {
            return self.refuse_request(now, key, &request, source, 500);
        }
        match request.method {
            Method::Invite => self.on_offer(now, id, key, request, source),
            Method::Update => self.on_update(now, id, key, request, source),
            Method::Prack => self.on_prack(now, id, key, request, source),
            Method::Bye => self.on_bye(now, id, key, &request, source),
            Method::Refer => self.on_refer(now, id, key, request, source),
            Method::Notify => self.on_notify(now, id, key, request, source),
            Method::Info | Method::Message => self.on_inside(now, id, key, request, source),
            Method::Options => self.refuse_request(now, key, &request, source, 200),
            Method::Other => self.refuse_request(now, key, &request, source, 501),
            _ => self.refuse_request(now, key, &request, source, 405),
        }
    }

    /// Answers a request at once, with what the status asks for beside it.
    fn refuse_request(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        source: SocketAddr,
        status: u16,
    ) {
        let mut response = self.answer_to(request, source, status);
        match status {
            415 => drop(
                response.header("Accept", "application/sdp").header("Accept-Encoding", "identity"),
            ),
            420 => {
                for required in request.values(Name::Require) {
                    response.bytes("Unsupported", required);
                }
            }
            422 => drop(response.header("Min-SE", MIN_SESSION_SECONDS)),
            489 => drop(response.header("Allow-Events", "refer")),
            500 => drop(response.header("Retry-After", self.ids.number() % 10)),
            _ => {}
        }
        self.respond(now, key, response, status);
    }

    fn on_leg_timeout(&mut self, now: Instant, id: LegId) {
        self.expire_cancel(now, id);
        self.expire_unacked(now, id);
        self.expire_offer(now, id);
        self.expire_session(now, id);
        self.expire_reliable(now, id);
        self.arm(id);
    }

    /// Remembers the leg's earliest deadline, after anything that may have moved it. Also later: the
    /// next one, which was hidden behind it, is not remembered yet.
    fn arm(&mut self, id: LegId) {
        if let Some(at) = self.legs.get(&id).and_then(|leg| leg.next_timeout()) {
            self.deadlines.set(at, id);
        }
    }

    fn expired(&mut self, now: Instant) -> Option<LegId> {
        let legs = &self.legs;
        self.deadlines.expired(now, |id| legs.get(&id)?.next_timeout())
    }

    /// Reports on a leg, unless its user has hung up.
    fn tell(&mut self, id: LegId, event: Event) {
        if self.legs.get(&id).is_some_and(|leg| !leg.released) {
            self.events.push_back(event);
        }
    }

    /// The one place where a leg goes away.
    fn end(&mut self, now: Instant, id: LegId, cause: Cause) {
        let Some(leg) = self.legs.remove(&id) else { return };
        let cause = if leg.released { Cause::Released } else { cause };
        if let Some(branch) = leg.invite {
            self.transactions.settle(branch, leg.dialog.remote_tag.as_deref());
        }
        match leg.offer {
            // What the peer asked and nobody will answer any more.
            Offer::Received { key, request, source, .. } => {
                self.refuse_request(now, key, &request, source, 487);
            }
            // What we asked: the peer need not answer in a dialog that is over.
            Offer::Sent { branch, .. } => self.transactions.abandon(now, branch),
            Offer::None | Offer::Backoff { .. } => {}
        }
        for inside::Passing { key, request, source } in leg.passing {
            self.refuse_request(now, key, &request, source, 481);
        }
        match leg.refer {
            Some(Refer::Received { key, request, source }) => {
                self.refuse_request(now, key, &request, source, 481);
            }
            Some(Refer::Sent { branch, .. }) => self.transactions.abandon(now, branch),
            Some(Refer::Notifying { .. }) | None => {}
        }
        self.events.push_back(Event::Ended(id, cause));
    }

    /// What every user agent refuses, before it looks at the method (RFC 3261 §8.2).
    fn refusal(&self, request: &Request, merged: bool) -> Option<u16> {
        let is_sdp = |content: &str| content.eq_ignore_ascii_case("application/sdp");
        if merged {
            return Some(482);
        }
        if !matches!(
            sip::Uri::parse(request.uri()).map(|uri| uri.scheme),
            Ok(sip::Scheme::Sip | sip::Scheme::Tel)
        ) {
            return Some(416);
        }
        if request.method == Method::Other && request.to_tag().is_none() {
            return Some(501);
        }
        let is_known = |option: &[u8]| match request.method {
            Method::Register => option == b"path",
            Method::Invite | Method::Update => {
                let known = self.supported_with("100rel");
                known.split(", ").any(|known| known.as_bytes().eq_ignore_ascii_case(option))
            }
            _ => false,
        };
        if !request.values(Name::Require).all(is_known) {
            return Some(420);
        }
        if self.is_too_short(request) {
            return Some(422);
        }
        if matches!(request.method, Method::Invite | Method::Update) && !request.body().is_empty() {
            let encoded = request
                .value(Name::ContentEncoding)
                .is_some_and(|value| !value.eq_ignore_ascii_case(b"identity"));
            if encoded || !request.content_type().is_none_or(is_sdp) {
                return Some(415);
            }
        }
        None
    }
}

/// Whether the peer says that it knows nothing of the dialog that our request was in (RFC 3261
/// §12.2.1.2). What a NOTIFY loses so is its subscription (RFC 6665 §4.2.2), a CANCEL or a PRACK what
/// it was for; INVITE and UPDATE are looked at where they are answered. Silence is another matter: a
/// phone may know the dialog and not the method, and its session timer tells whether it is there.
fn is_lost(response: &Response) -> bool {
    let method = response.cseq().method;
    response.status == 481 && matches!(method, Method::Refer | Method::Info | Method::Message)
}

/// Whether an INVITE takes the place of another call at its receiver (RFC 3891).
fn replaces(invite: &Request) -> bool {
    invite.value(Name::Replaces).is_some()
}

/// The Q.850 cause of a Reason header (RFC 3326).
fn q850(headers: &Headers) -> Option<u16> {
    headers.values(Name::Reason).filter_map(|reason| str::from_utf8(reason).ok()).find_map(
        |reason| {
            let (protocol, parameters) = reason.split_once(';')?;
            protocol.trim().eq_ignore_ascii_case("Q.850").then_some(())?;
            parameters.split(';').find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("cause").then(|| value.trim().parse().ok())?
            })
        },
    )
}
