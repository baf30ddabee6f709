//! A software phone: a user agent that rings, answers, takes REFER and can be told to misbehave.
//!
//! The demo's phones, and the peers of scenario tests and simulation. Like the engine it is a
//! value; it stands on the same legs and transactions and shares nothing else with it. Its media
//! is a session description: nothing is ever sent to the port it names.

mod behaviour;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::NameAddr;
use sip::sdp::{Direction, Sdp};

pub use self::behaviour::{Answer, Behaviour, Notify, OnOffer, OnRefer};
use crate::dialog::Identity;
use crate::hash::{Keyed, Map};
use crate::timer::Deadlines;
use crate::transaction::Hop;
use crate::transaction::ServerKey;
use crate::ua::{Cause, Event, Invite, LegId, Output, Replaced, UserAgent};

/// What a phone's display shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneEvent {
    /// Somebody calls: their address as the display shows it.
    Ringing(LegId, String),
    /// The call is up.
    Established(LegId),
    /// The other party sent this inside the call: the method and body of an INFO or MESSAGE.
    Received(LegId, String),
    /// The call is over.
    Closed(LegId, Cause),
    /// The one whom this phone asked to call somebody reports: the status it got.
    Transfer(LegId, u16),
    /// The registrar answered with this status; 408 for silence.
    Registered(u16),
}

struct PhoneCall {
    /// The dialog in which we were asked to place this call.
    referred_in: Option<LegId>,
    /// What we do next, and when.
    next: Option<(Instant, Next)>,
    version: u64,
    established: bool,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Answer,
    Refuse(u16),
    Dial,
}

/// A software phone.
pub struct Phone {
    user: String,
    address: SocketAddr,
    proxy: Option<SocketAddr>,
    /// Whom it registers as: its own name, until it is told another.
    account: String,
    registered: bool,
    /// May be changed at any time; calls that ring already keep what they were to do.
    pub behaviour: Behaviour,
    ua: UserAgent,
    calls: Map<LegId, PhoneCall>,
    /// Whom a REFER asked us to call, until we do.
    refer_targets: Map<LegId, String>,
    deadlines: Deadlines<LegId>,
    events: VecDeque<PhoneEvent>,
}

impl Phone {
    /// A phone that listens on `address` and calls through `proxy` when there is one.
    pub fn new(user: &str, address: SocketAddr, proxy: Option<SocketAddr>, seed: [u8; 32]) -> Self {
        let identity = Identity {
            sent_by: address.to_string().into(),
            contact: format!("sip:{user}@{address}").into(),
        };
        let mut ua = UserAgent::new(identity, seed);
        let hash = Keyed::new(ua.ids().key());
        Self {
            user: user.to_owned(),
            address,
            proxy,
            account: user.to_owned(),
            registered: false,
            behaviour: Behaviour::default(),
            ua,
            calls: hash.map(),
            refer_targets: hash.map(),
            deadlines: Deadlines::new(),
            events: VecDeque::new(),
        }
    }

    /// The phone's own address.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.user, self.address)
    }

    /// The address by which others call this phone once it is registered at its proxy.
    pub fn aor(&self) -> String {
        format!("sip:{}@{}", self.account, self.proxy.unwrap_or(self.address))
    }

    /// Registers as this user, and answers challenges with this password, from now on.
    pub fn set_account(&mut self, user: &str, password: &str) {
        user.clone_into(&mut self.account);
        self.ua.set_password(user, password);
    }

    /// Registers at the proxy for this many seconds, once; 0 takes it back.
    pub fn register(&mut self, now: Instant, expires: u32) {
        let Some(proxy) = self.proxy else { return };
        let (registrar, aor) = (format!("sip:{proxy}"), self.aor());
        self.ua.register(now, Hop::Address(proxy), &registrar, &aor, expires);
        self.registered = expires > 0;
        self.run(now);
    }

    /// A datagram from the network.
    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: Bytes) {
        if self.behaviour.answer != Answer::Silent {
            self.ua.receive(now, source, datagram);
            self.run(now);
        }
    }

    /// Runs everything that is due.
    pub fn expire(&mut self, now: Instant) {
        self.ua.expire(now);
        self.run(now);
        loop {
            let calls = &self.calls;
            let Some(id) = self.deadlines.expired(now, |id| next(calls, id)) else { return };
            let Some((_, next)) = self.calls.get_mut(&id).and_then(|call| call.next.take()) else {
                return;
            };
            match next {
                Next::Answer => self.pick_up(now, id),
                Next::Refuse(status) => self.ua.reject(now, id, status),
                Next::Dial => self.dial_referred(now, id),
            }
            self.run(now);
        }
    }

    /// When [`Self::expire`] is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let calls = &self.calls;
        let ours = self.deadlines.next(|id| next(calls, id));
        [ours, self.ua.next_timeout()].into_iter().flatten().min()
    }

    /// The next thing to do outside. A phone knows addresses only: it resolves no names.
    pub fn poll(&mut self) -> Option<Output> {
        self.ua.poll()
    }

    /// The next thing the display shows.
    pub fn poll_event(&mut self) -> Option<PhoneEvent> {
        self.events.pop_front()
    }

    /// Whether no call, transaction or timer is left.
    pub fn is_idle(&mut self) -> bool {
        self.calls.is_empty() && self.ua.is_idle()
    }

    /// The calls that are not over.
    pub fn calls(&self) -> Vec<LegId> {
        let mut calls: Vec<_> = self.calls.keys().copied().collect();
        calls.sort();
        calls
    }

    /// Calls somebody.
    pub fn dial(&mut self, now: Instant, uri: &str) -> LegId {
        let offer = self.description(1, Direction::SendRecv);
        self.call(now, uri, Some(offer), None, &[])
    }

    /// Calls somebody and leaves the offer to them (RFC 3261 §13.2.1).
    pub fn dial_without_offer(&mut self, now: Instant, uri: &str) -> LegId {
        self.call(now, uri, None, None, &[])
    }

    /// Hangs up, refuses, or gives up a call.
    pub fn hang_up(&mut self, now: Instant, call: LegId) {
        self.ua.hang_up(now, call, 603);
        self.run(now);
    }

    /// Sends a digit as many phones do: in an INFO.
    pub fn press(&mut self, now: Instant, call: LegId, digit: char) {
        let body = format!("Signal={digit}\r\nDuration=160\r\n");
        self.ua.send_inside(
            now,
            call,
            sip::Method::Info,
            "application/dtmf-relay",
            body.as_bytes(),
        );
        self.run(now);
    }

    /// Asks the other party of a call to call this URI, or with `replaces` the other party of that
    /// other call of ours, in its place.
    pub fn refer(&mut self, now: Instant, call: LegId, uri: &str, replaces: Option<LegId>) {
        let replaces = replaces.and_then(|other| self.ua.replaces(other));
        let replaces = replaces.map(|replaces| sip::uri::escape_header(&replaces));
        let refer_to =
            replaces.map_or(uri.to_owned(), |replaces| format!("{uri}?Replaces={replaces}"));
        let own = if self.registered { self.aor() } else { self.uri() };
        self.ua.refer(now, call, &refer_to, &own);
        self.run(now);
    }

    /// Calls somebody with this Replaces header (RFC 3891).
    pub fn dial_replacing(&mut self, now: Instant, uri: &str, replaces: &str) -> LegId {
        let offer = self.description(1, Direction::SendRecv);
        let headers = [("Replaces".to_owned(), replaces.to_owned())];
        self.call(now, uri, Some(offer), None, &headers)
    }

    /// What names a call of ours to somebody who is to take its place.
    pub fn replaces(&self, call: LegId) -> Option<String> {
        self.ua.replaces(call)
    }

    /// Speaks of session timers from now on, or not any more: so many seconds.
    pub fn set_session_timer(&mut self, seconds: Option<u32>) {
        self.ua.set_session_timer(seconds);
    }

    /// Knows no Replaces from now on.
    pub fn forget_extensions(&mut self) {
        self.ua.forget_extensions();
    }

    /// Puts the other party on hold, or takes the call back.
    pub fn hold(&mut self, now: Instant, call: LegId, held: bool) {
        if let Some(offer) = self.new_offer(call, held) {
            self.ua.offer(now, call, Some(offer));
        }
        self.run(now);
    }

    /// Offers the other party what it may send, in an UPDATE, also before the call is answered
    /// (RFC 3311).
    pub fn update(&mut self, now: Instant, call: LegId, held: bool) {
        let offer = self.new_offer(call, held);
        offer.into_iter().for_each(|offer| self.ua.update(now, call, offer));
        self.run(now);
    }

    /// Asks the other party for a new offer, as a phone does that changes its address.
    pub fn ask_for_offer(&mut self, now: Instant, call: LegId) {
        self.ua.offer(now, call, None);
        self.run(now);
    }

    fn call(
        &mut self,
        now: Instant,
        uri: &str,
        offer: Option<Bytes>,
        referred_in: Option<LegId>,
        headers: &[(String, String)],
    ) -> LegId {
        let own = if self.registered { self.aor() } else { self.uri() };
        let (from, to) = (format!("\"{}\" <{own}>", self.user), format!("<{uri}>"));
        let invite = Invite {
            uri,
            from: from.as_bytes(),
            to: to.as_bytes(),
            call_id: None,
            hop: self.proxy.filter(|_| referred_in.is_none()).map(Hop::Address),
            max_forwards: 70,
            offer,
            headers,
            passed: None,
            reliable: self.behaviour.reliable,
        };
        let id = self.ua.invite(now, invite);
        self.calls
            .insert(id, PhoneCall { referred_in, next: None, version: 1, established: false });
        self.run(now);
        id
    }

    fn run(&mut self, now: Instant) {
        while let Some(event) = self.ua.poll_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Incoming(id) => self.on_call(now, id),
            Event::Progress(id, response, sdp) => {
                if self.ua.owes_answer(id) {
                    let answer = self.answer_to(id, &sdp);
                    self.ua.acknowledge(now, id, &answer);
                }
                self.report(now, id, response.status, false);
            }
            Event::Answered(id, response, sdp) => {
                self.report(now, id, response.status, true);
                let answer = self.answer_to(id, &sdp);
                self.ua.acknowledge(now, id, &answer);
                self.established(id);
                self.leave(now, id);
            }
            Event::Acknowledged(id, _) => self.established(id),
            Event::Offered(id) => self.on_offer(now, id),
            Event::OfferCancelled(id) => self.ua.refuse_offer(now, id, 487),
            Event::OfferAccepted(id, response) => {
                let answer = self.answer_to(id, response.body());
                self.ua.acknowledge(now, id, &answer);
            }
            Event::Referred(id) => self.on_refer(now, id),
            Event::Inside(id, request) => {
                self.shown_inside(id, request);
                self.ua.answer_inside(now, id, request, 200);
            }
            Event::Ended(id, cause) => self.on_ended(now, id, cause),
            Event::Request { key, request, source } => {
                let status = if request.method == sip::Method::Options { 200 } else { 405 };
                let response = self.ua.answer_to(&request, source, status);
                self.ua.respond(now, key, response, status);
            }
            Event::Registered(answer) => {
                let status = match answer {
                    Ok(response) => response.status,
                    Err(failure) => failure.status,
                };
                self.events.push_back(PhoneEvent::Registered(status));
            }
            Event::ReferAnswered(id, Err(failure)) | Event::Notified(id, Some(failure)) => {
                self.events.push_back(PhoneEvent::Transfer(id, failure.status));
            }
            // It does not follow.
            Event::Redirected(id, failure) => self.ua.end_redirect(now, id, failure),
            Event::RefreshDue(id) => {
                let version = self.calls.get(&id).map_or(1, |call| call.version);
                let offer = self.description(version, Direction::SendRecv);
                self.ua.offer(now, id, Some(offer));
            }
            Event::AnsweredEarly(..)
            | Event::OfferRefused(..)
            | Event::ReferAnswered(..)
            | Event::Notified(..) => {}
        }
    }

    fn on_call(&mut self, now: Instant, id: LegId) {
        let Some((request, _)) = self.ua.invitation(id) else { return };
        let from = request.from();
        let shown = format!("{} <{}>", String::from_utf8_lossy(from.display), from.uri);
        self.events.push_back(PhoneEvent::Ringing(id, shown.trim_start().to_owned()));
        if let Some(replaces) = request.text(sip::Name::Replaces) {
            let replaces = sip::Replaces::parse(replaces).ok();
            let replaced = replaces.and_then(|replaces| self.ua.replaced(&replaces));
            return self.replace(now, id, replaced);
        }
        let offer = Bytes::copy_from_slice(request.body());
        if self.behaviour.reliable {
            self.ua.prefer_reliable();
        }
        self.ua.progress(now, id, 180, b"", None);
        // Without an offer in the INVITE it is one of ours, which must arrive (RFC 3262 §5).
        let may_offer = self.behaviour.reliable && self.ua.takes_early_offer(id);
        if self.behaviour.early_media && (!offer.is_empty() || may_offer) {
            let answer = self.answer_to(id, &offer);
            self.ua.progress(now, id, 183, &answer, None);
        }
        let next = match self.behaviour.answer {
            Answer::After(wait) => Some((now + wait, Next::Answer)),
            Answer::Refuse(status, wait) => Some((now + wait, Next::Refuse(status))),
            Answer::Never | Answer::Silent => None,
        };
        self.calls
            .insert(id, PhoneCall { referred_in: None, next, version: 0, established: false });
        if let Some((at, _)) = next {
            self.deadlines.set(at, id);
        }
    }

    /// A call in the place of another one: taken at once, if there is that one (RFC 3891 §3).
    fn replace(&mut self, now: Instant, id: LegId, replaced: Option<(LegId, Replaced)>) {
        let Some((old, Replaced::Confirmed)) = replaced else {
            return self.ua.reject(now, id, 481);
        };
        let call = PhoneCall { referred_in: None, next: None, version: 0, established: false };
        self.calls.insert(id, call);
        self.pick_up(now, id);
        self.ua.hang_up(now, old, 487);
    }

    /// The call that somebody asked for is up: phones differ in what becomes of the one before.
    fn leave(&mut self, now: Instant, id: LegId) {
        let old = self.calls.get(&id).and_then(|call| call.referred_in);
        if let Some(old) = old.filter(|_| self.behaviour.leaves) {
            self.ua.hang_up(now, old, 487);
        }
    }

    fn shown_inside(&mut self, id: LegId, request: ServerKey) {
        if let Some(request) = self.ua.inside(id, request) {
            let body = String::from_utf8_lossy(request.body());
            let shown = format!("{} {body}", request.method_name());
            self.events.push_back(PhoneEvent::Received(id, shown));
        }
    }

    fn pick_up(&mut self, now: Instant, id: LegId) {
        let Some((request, _)) = self.ua.invitation(id) else { return };
        let offer = request.body().to_vec();
        // RFC 6337 §3.1.1: what was agreed before is not said again.
        let answer = match self.ua.has_agreed(id) {
            true => Bytes::new(),
            false => self.answer_to(id, &offer),
        };
        self.ua.accept(now, id, &answer, None);
    }

    fn established(&mut self, id: LegId) {
        if let Some(call) = self.calls.get_mut(&id)
            && !std::mem::replace(&mut call.established, true)
        {
            self.events.push_back(PhoneEvent::Established(id));
        }
    }

    fn on_refer(&mut self, now: Instant, id: LegId) {
        match self.behaviour.refer {
            OnRefer::Refuse(status) => self.ua.refuse_refer(now, id, status),
            OnRefer::AcceptOnly => self.ua.accept_refer(now, id),
            OnRefer::Call => {
                let target = self.ua.referred(id).and_then(|(request, _)| {
                    let refer_to = NameAddr::parse(request.value(sip::Name::ReferTo)?).ok()?;
                    Some(refer_to.uri.to_owned())
                });
                let Some(target) = target else { return self.ua.refuse_refer(now, id, 400) };
                self.ua.accept_refer(now, id);
                self.notify(now, id, 100, false);
                let at = now + self.behaviour.dial_after;
                if let Some(call) = self.calls.get_mut(&id) {
                    call.next = Some((at, Next::Dial));
                    self.refer_targets.insert(id, target);
                    self.deadlines.set(at, id);
                }
            }
        }
    }

    fn on_offer(&mut self, now: Instant, id: LegId) {
        if let OnOffer::Refuse(status) = self.behaviour.offer {
            return self.ua.refuse_offer(now, id, status);
        }
        let Some((request, _)) = self.ua.offered(id) else { return };
        let offer = request.body().to_vec();
        let answer = self.answer_to(id, &offer);
        self.ua.accept_offer(now, id, &answer, None);
    }

    fn dial_referred(&mut self, now: Instant, id: LegId) {
        let Some(target) = self.refer_targets.remove(&id) else { return };
        let offer = self.description(1, Direction::SendRecv);
        let (uri, replaces) = target.split_once("?Replaces=").unwrap_or((&target, ""));
        let replaces = sip::uri::unescape(replaces).unwrap_or_default().into_owned();
        let headers = [("Replaces".to_owned(), replaces)];
        let headers = if headers[0].1.is_empty() { &[][..] } else { &headers[..] };
        self.call(now, uri, Some(offer), Some(id), headers);
    }

    /// Tells who referred us how the call stands.
    fn report(&mut self, now: Instant, id: LegId, status: u16, last: bool) {
        if let Some(referrer) = self.calls.get(&id).and_then(|call| call.referred_in) {
            self.notify(now, referrer, status, last);
        }
    }

    fn notify(&mut self, now: Instant, id: LegId, status: u16, last: bool) {
        match self.behaviour.notify {
            Notify::Sipfrag => self.ua.notify(now, id, Some(status), last),
            Notify::Empty => self.ua.notify(now, id, None, last),
            Notify::Never => {}
        }
    }

    fn on_ended(&mut self, now: Instant, id: LegId, cause: Cause) {
        if let Cause::Refused(failure) = &cause {
            self.report(now, id, failure.status, true);
        }
        self.refer_targets.remove(&id);
        if self.calls.remove(&id).is_some() {
            self.events.push_back(PhoneEvent::Closed(id, cause));
        }
    }

    fn new_offer(&mut self, call: LegId, held: bool) -> Option<Bytes> {
        let state = self.calls.get_mut(&call)?;
        state.version += 1;
        let version = state.version;
        let direction = if held { Direction::SendOnly } else { Direction::SendRecv };
        Some(self.description(version, direction))
    }

    /// Our answer to an offer, or our offer when there is none.
    fn answer_to(&mut self, id: LegId, offer: &[u8]) -> Bytes {
        let direction = Sdp::parse(offer)
            .ok()
            .and_then(|sdp| sdp.media().next().map(|media| media.direction.reverse()))
            .unwrap_or(Direction::SendRecv);
        let version = self.calls.get_mut(&id).map_or(1, |call| {
            call.version += 1;
            call.version
        });
        self.description(version, direction)
    }

    fn description(&self, version: u64, direction: Direction) -> Bytes {
        let ip = self.address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let (user, port, direction) =
            (&self.user, u32::from(self.address.port()) % 10_000 + 20_000, direction.as_str());
        Bytes::from(format!(
            "v=0\r\no={user} 1 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        ))
    }
}

fn next(calls: &Map<LegId, PhoneCall>, id: LegId) -> Option<Instant> {
    calls.get(&id)?.next.map(|(at, _)| at)
}
