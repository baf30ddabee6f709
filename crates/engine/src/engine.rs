//! The engine: a back-to-back user agent as a value. Feed it, then drain it.
//!
//! It owns calls and the commands that act on them, and uses a [`UserAgent`] for everything a
//! single leg needs. Files beside this one hold the flows, one each; this one routes: inputs to the
//! user agent, its events to the flow that owns the leg.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sip::{Method, Request, Scheme, Uri};

use crate::call::{Call, CallKey, Errand, State};
use crate::dialog::{Identity, hop_of};
use crate::error::Error;
use crate::event::{CommandId, Event, Progress, Side, Step};
use crate::flow::start::Start;
use crate::flow::transfer::{Transfer, TransferKey};
use crate::hash::{Keyed, Map};
use crate::limits::{MAX_CALLS, MAX_PROVISIONAL_EVENTS};
use crate::registrar::{RecordId, Registrar, Users};
use crate::timer::Deadlines;
use crate::transaction::Hop;
use crate::ua::{self, LegId, ServerKey, Stats, UserAgent};
use crate::watch::Change;

/// What the engine is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where we listen. Request URIs with this address mean us.
    pub address: SocketAddr,
    /// Host, or host and port, that others reach us by, when it is not that address: it goes into
    /// our Via and Contact, and request URIs with it mean us too.
    pub advertise: Option<String>,
    /// SIP URI of the proxy that gets every call. Without it a call goes to the host of its
    /// request URI.
    pub next_hop: Option<String>,
    /// Whether anybody may call through us. Otherwise only the next hop may, phones that were
    /// referred here, and users.
    pub open: bool,
    /// How many seconds a session lasts that nobody refreshes (RFC 4028); `None` is for ever.
    pub session_seconds: Option<u32>,
    /// Whether we call the addresses that a phone's 3xx names; else its caller is told them.
    pub follow_redirects: bool,
    /// Whether each phone that we call gets a Call-ID of our own, instead of its caller's.
    pub hide_call_id: bool,
    /// Who may register here. Without users everybody may if `open`, and else nobody.
    pub users: Option<Users>,
}

impl Config {
    /// An engine at this address that nobody may call through, without users, next hop and session
    /// timers.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            advertise: None,
            next_hop: None,
            open: false,
            session_seconds: None,
            follow_redirects: true,
            hide_call_id: false,
            users: None,
        }
    }
}

/// What comes from outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A datagram.
    Datagram {
        /// Sender.
        source: SocketAddr,
        /// The whole datagram.
        bytes: Bytes,
    },
    /// The answer to [`Output::Resolve`]; there must be one to each.
    Resolved {
        /// Which question.
        query: u64,
        /// The address, or `None` when the name has none.
        address: Option<SocketAddr>,
    },
    /// [`Engine::next_timeout`] has come.
    Timeout,
}

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// Receiver.
        to: SocketAddr,
        /// The whole datagram.
        bytes: Bytes,
    },
    /// Resolve a host name and answer with [`Input::Resolved`].
    Resolve {
        /// Names the question in the answer.
        query: u64,
        /// Host name.
        host: Box<str>,
        /// Port to put into the address.
        port: u16,
    },
    /// Tell the clients.
    Event(Event),
}

/// How much an engine holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls between two parties that are not over.
    pub calls: usize,
    /// `CallStart`s and transfers that have not ended.
    pub commands: usize,
    /// Dialogs, early and confirmed.
    pub legs: usize,
    /// Transactions, and names being resolved.
    pub transactions: usize,
    /// Addresses-of-record that are registered.
    pub registered: usize,
}

/// Whose leg it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// The dialog in which a `CallStart` asks the caller's phone to place the call.
    Helper(CommandId),
    /// A party of a call.
    Party(CallKey, Side),
    /// A leg that a transfer has made, or is to release.
    Transfer(TransferKey),
}

/// Who waits for a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiter {
    Start(CommandId),
    Call(CallKey),
    Transfer(TransferKey),
    Record(RecordId),
}

/// All calls, and the commands that run on them.
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) next_hop: Option<Hop>,
    pub(crate) ua: UserAgent,
    /// Boxed, as the legs are.
    pub(crate) calls: Map<CallKey, Box<Call>>,
    pub(crate) by_call_id: Map<Arc<str>, Vec<CallKey>>,
    pub(crate) starts: Map<CommandId, Start>,
    pub(crate) helpers: Map<Arc<str>, CommandId>,
    /// The one-time URIs that referred phones may call, by their user part.
    pub(crate) one_time: Map<u64, Errand>,
    pub(crate) transfers: Map<TransferKey, Box<Transfer>>,
    pub(crate) roles: Map<LegId, Role>,
    pub(crate) registrar: Registrar,
    pub(crate) deadlines: Deadlines<Waiter>,
    out: VecDeque<Output>,
}

impl Engine {
    /// An engine without calls. The seed must come from the operating system's entropy: tags,
    /// branches and one-time URIs are made of it.
    pub fn new(mut config: Config, seed: [u8; 32]) -> Self {
        let authority = config.advertise.clone().unwrap_or(config.address.to_string());
        let identity =
            Identity { contact: format!("sip:{authority}").into(), sent_by: authority.into() };
        let mut ua = UserAgent::new(identity, seed);
        ua.set_session_timer(config.session_seconds);
        ua.follow_redirects(config.follow_redirects);
        let hash = Keyed::new(ua.ids().key());
        Self {
            registrar: Registrar::new(config.users.take(), hash),
            next_hop: config.next_hop.as_deref().and_then(hop_of),
            config,
            ua,
            calls: hash.map(),
            by_call_id: hash.map(),
            starts: hash.map(),
            helpers: hash.map(),
            one_time: hash.map(),
            transfers: hash.map(),
            roles: hash.map(),
            deadlines: Deadlines::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes what came from outside. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.guarded(None, |engine| match input {
            Input::Datagram { source, bytes } => engine.ua.receive(now, source, bytes),
            Input::Resolved { query, address } => engine.ua.resolved(now, query, address),
            Input::Timeout => engine.ua.expire(now),
        });
        self.run(now);
        while let Some(waiter) = self.expired(now) {
            let blamed = match waiter {
                Waiter::Start(command) => Some(Role::Helper(command)),
                Waiter::Call(key) => Some(Role::Party(key, Side::Caller)),
                Waiter::Transfer(key) => Some(Role::Transfer(key)),
                Waiter::Record(_) => None,
            };
            self.guarded(blamed.map(|role| (now, role)), |engine| match waiter {
                Waiter::Start(command) => engine.on_start_timeout(now, command),
                Waiter::Call(key) => engine.on_call_timeout(now, key),
                Waiter::Transfer(key) => engine.on_transfer_timeout(now, key),
                Waiter::Record(id) => engine.on_record_timeout(now, id),
            });
            self.run(now);
        }
    }

    /// The next thing to do outside, in the order it came up.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let (calls, starts) = (&self.calls, &self.starts);
        let (transfers, registrar) = (&self.transfers, &self.registrar);
        let ours =
            self.deadlines.next(|waiter| deadline(calls, starts, transfers, registrar, waiter));
        [ours, self.ua.next_timeout()].into_iter().flatten().min()
    }

    /// How much the engine holds. All zero at rest.
    pub fn load(&self) -> Load {
        Load {
            calls: if self.calls.is_empty() { self.by_call_id.len() } else { self.calls.len() },
            commands: (self.starts.len() + self.transfers.len())
                .max(self.helpers.len())
                .max(self.one_time.len()),
            legs: self.ua.leg_count().max(self.roles.len()),
            transactions: self.ua.transaction_count(),
            registered: self.registrar.len(),
        }
    }

    /// What became of broken datagrams.
    pub fn stats(&self) -> Stats {
        self.ua.stats()
    }

    /// Lets the flows hear what the user agent has to say, and gathers what goes out, in order.
    pub(crate) fn run(&mut self, now: Instant) {
        loop {
            self.gather();
            let Some(event) = self.ua.poll_event() else { return };
            let role = leg_of(&event).and_then(|leg| self.roles.get(&leg).copied());
            self.guarded(role.map(|role| (now, role)), |engine| engine.on_event(now, role, event));
        }
    }

    pub(crate) fn report(&mut self, event: Event) {
        self.gather();
        self.out.push_back(Output::Event(event));
    }

    /// Reports a step of a `CallStart` or a transfer; provisional ones up to a bound.
    pub(crate) fn progress(
        &mut self,
        errand: impl Into<Errand>,
        side: Side,
        call_id: &Arc<str>,
        step: Step,
    ) {
        let errand = errand.into();
        let (command, provisional) = match errand {
            Errand::Start(command) => {
                let Some(start) = self.starts.get_mut(&command) else { return };
                (command, &mut start.provisional)
            }
            Errand::Transfer(key) => {
                let Some(transfer) = self.transfers.get_mut(&key) else { return };
                let Some(command) = transfer.command() else { return };
                (command, &mut transfer.provisional)
            }
        };
        if matches!(step, Step::Ringing | Step::EarlyMedia | Step::TransferProgress(_)) {
            if *provisional >= MAX_PROVISIONAL_EVENTS {
                return;
            }
            *provisional += 1;
        }
        let uri = match errand {
            Errand::Start(command) => self.starts.get(&command).map(|start| start.uri(side).into()),
            // All else of a transfer happens to the party that goes.
            Errand::Transfer(key) => match step {
                Step::CallStarted | Step::Ringing | Step::EarlyMedia => self.target_uri(key),
                _ => None,
            },
        };
        let progress = Progress { step, side, uri, call_id: call_id.clone() };
        self.report(Event::Progress(command, progress));
    }

    pub(crate) fn has_room(&self) -> bool {
        self.calls.len() + self.starts.len() < MAX_CALLS
    }

    /// Whether a request URI means us.
    pub(crate) fn is_us(&self, uri: &Uri<'_>) -> bool {
        self.is_here(uri, Some(uri.port.unwrap_or(5060)))
    }

    /// Whether the URI of a From or To is an address-of-record of ours. There, many phones leave the
    /// port out, whatever it is: RFC 3261 §19.1.1, table 1, wants it so.
    pub(crate) fn is_of_us(&self, uri: &Uri<'_>) -> bool {
        self.is_here(uri, uri.port)
    }

    /// Whether this is our host, and our port where one is given.
    fn is_here(&self, uri: &Uri<'_>, port: Option<u16>) -> bool {
        let address = self.config.address;
        // What a program on this machine calls it.
        let local = address.ip().is_loopback() && uri.host.eq_ignore_ascii_case("localhost");
        let advertised = self.config.advertise.as_deref().is_some_and(|authority| {
            let (host, at) = match authority.rsplit_once(':') {
                Some((host, at)) if !at.ends_with(']') => (host, at.parse().unwrap_or(5060)),
                _ => (authority, 5060),
            };
            port.is_none_or(|port| port == at) && host.eq_ignore_ascii_case(uri.host)
        });
        let is_our_port = port.is_none_or(|port| port == address.port());
        advertised || (is_our_port && (local || uri.ip() == Some(address.ip())))
    }

    /// Where a call to this URI goes. `None` when it is none we can send to.
    pub(crate) fn route(&self, uri: &str) -> Option<Hop> {
        match Uri::parse(uri).ok()?.scheme {
            // It asks for TLS on every hop (RFC 3261 §26.2.2), which we do not speak.
            Scheme::Sips => None,
            Scheme::Sip => self.next_hop.clone().or_else(|| hop_of(uri)),
            Scheme::Tel | Scheme::Other => self.next_hop.clone(),
        }
    }

    fn gather(&mut self) {
        while let Some(output) = self.ua.poll() {
            self.out.push_back(match output {
                ua::Output::Transmit { to, bytes } => Output::Transmit { to, bytes },
                ua::Output::Resolve { query, host, port } => Output::Resolve { query, host, port },
            });
        }
    }

    fn on_event(&mut self, now: Instant, role: Option<Role>, event: ua::Event) {
        match (event, role) {
            (ua::Event::Incoming(leg), _) => self.on_incoming(now, leg),
            (ua::Event::Request { key, request, source }, _) => {
                self.on_request(now, key, &request, source);
            }
            (ua::Event::Redirected(leg, failure), _) => self.on_redirected(now, leg, failure),
            (ua::Event::Ended(leg, cause), role) => {
                self.roles.remove(&leg);
                match role {
                    Some(Role::Helper(command)) => self.on_helper_ended(now, command, leg, cause),
                    Some(Role::Party(key, side)) => self.on_party_ended(now, key, side, leg, cause),
                    Some(Role::Transfer(key)) => self.on_transfer_leg_ended(now, key, leg, cause),
                    None => {}
                }
            }
            (event, Some(Role::Helper(command))) => self.on_helper(now, command, event),
            (event, Some(Role::Party(key, side))) => self.on_party(now, key, side, event),
            (event, Some(Role::Transfer(key))) => self.on_transfer_leg(now, key, event),
            // A leg that its flow has let go of.
            (_, None) => {}
        }
    }

    /// Requests outside any dialog, other than INVITE.
    fn on_request(&mut self, now: Instant, key: ServerKey, request: &Request, source: SocketAddr) {
        if request.method == Method::Register {
            return self.on_register(now, key, request, source);
        }
        let for_us = Uri::parse(request.uri()).is_ok_and(|uri| self.is_us(&uri));
        let status = match request.method {
            Method::Options if for_us => 200,
            Method::Options => 404,
            // RFC 3515 §2.4.2: outside a call there is nothing here to refer.
            Method::Refer => 603,
            // A report on something that is no more.
            Method::Notify => 481,
            // Nobody here reads it, and it is passed on in a call only.
            Method::Message => 403,
            _ => 405,
        };
        let response = self.ua.answer_to(request, source, status);
        self.ua.respond(now, key, response, status);
    }

    fn expired(&mut self, now: Instant) -> Option<Waiter> {
        let (calls, starts) = (&self.calls, &self.starts);
        let (transfers, registrar) = (&self.transfers, &self.registrar);
        let due = |waiter| deadline(calls, starts, transfers, registrar, waiter);
        self.deadlines.expired(now, due)
    }

    /// A panic is a bug of ours. It costs the call it happened in, not the process.
    fn guarded(&mut self, role: Option<(Instant, Role)>, act: impl FnOnce(&mut Self)) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| act(self))) else { return };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
        self.report(Event::Bug(text.to_owned()));
        match role {
            Some((now, Role::Helper(command))) => self.fail_start(now, command, Error::Bug),
            Some((now, Role::Party(key, _))) => self.take_down(now, key, Error::Bug),
            Some((now, Role::Transfer(key))) => self.fail_transfer(now, key, Error::Bug),
            None => {}
        }
    }
}

fn leg_of(event: &ua::Event) -> Option<LegId> {
    use ua::Event as E;
    match event {
        E::Incoming(leg)
        | E::Progress(leg, ..)
        | E::AnsweredEarly(leg, _)
        | E::Answered(leg, ..)
        | E::Acknowledged(leg, _)
        | E::Offered(leg)
        | E::OfferCancelled(leg)
        | E::OfferAccepted(leg, _)
        | E::OfferRefused(leg, _)
        | E::RefreshDue(leg)
        | E::Redirected(leg, _)
        | E::ReferAnswered(leg, _)
        | E::Notified(leg, _)
        | E::Referred(leg)
        | E::Inside(leg, _)
        | E::Ended(leg, _) => Some(*leg),
        E::Request { .. } | E::Registered(_) => None,
    }
}

fn deadline(
    calls: &Map<CallKey, Box<Call>>,
    starts: &Map<CommandId, Start>,
    transfers: &Map<TransferKey, Box<Transfer>>,
    registrar: &Registrar,
    waiter: Waiter,
) -> Option<Instant> {
    match waiter {
        Waiter::Start(command) => starts.get(&command)?.next_timeout(),
        Waiter::Call(key) => calls.get(&key)?.next_timeout(),
        Waiter::Transfer(key) => transfers.get(&key)?.next_timeout(),
        Waiter::Record(id) => registrar.next_timeout(id),
    }
}

/// Keeps the books of calls: by key, by Call-ID, and which leg is whose.
impl Engine {
    pub(crate) fn add_call(&mut self, call: Call) -> CallKey {
        let key = CallKey(self.ua.ids().number());
        self.by_call_id.entry(call.call_id.clone()).or_default().push(key);
        if let State::Calling(deadline) = call.state {
            self.deadlines.set(deadline, Waiter::Call(key));
        }
        self.calls.insert(key, Box::new(call));
        self.tell(key, Change::Created);
        key
    }

    pub(crate) fn arm_call(&mut self, key: CallKey) {
        if let Some(at) = self.calls.get(&key).and_then(|call| call.next_timeout()) {
            self.deadlines.set(at, Waiter::Call(key));
        }
    }

    pub(crate) fn set_role(&mut self, leg: LegId, key: CallKey, side: Side) {
        self.roles.insert(leg, Role::Party(key, side));
    }

    /// Forgets a call whose legs are both down, and lets the commands that waited for that end.
    pub(crate) fn forget_call(&mut self, key: CallKey) {
        let Some(call) = self.calls.remove(&key) else { return };
        for call_id in call.call_ids() {
            self.forget_name(call_id, key);
        }
        self.tell_ended(key, &call);
        for end in call.ends {
            self.report(Event::Done(end.command, Ok(None)));
        }
        if let Some(transfer) = call.transfer {
            self.on_transfer_call_gone(transfer, key);
        }
    }

    /// The leg of a party has this Call-ID, by which the call is known as well.
    pub(crate) fn bring_name(&mut self, key: CallKey, side: Side, call_id: Arc<str>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let new = Some(call_id).filter(|call_id| *call_id != call.call_id);
        if call.party(side).call_id != new {
            self.change_names(key, |call| call.party(side).call_id = new);
        }
    }

    /// Changes a call so that it is known by other Call-IDs.
    pub(crate) fn change_names<T>(
        &mut self,
        key: CallKey,
        change: impl FnOnce(&mut Call) -> T,
    ) -> Option<T> {
        let call = self.calls.get_mut(&key)?;
        let old: Vec<_> = call.call_ids().cloned().collect();
        let changed = change(call);
        let new: Vec<_> = call.call_ids().cloned().collect();
        old.iter().for_each(|call_id| self.forget_name(call_id, key));
        new.into_iter().for_each(|call_id| self.by_call_id.entry(call_id).or_default().push(key));
        Some(changed)
    }

    /// A call has this Call-ID no more.
    pub(crate) fn forget_name(&mut self, call_id: &Arc<str>, key: CallKey) {
        if let Some(keys) = self.by_call_id.get_mut(call_id) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_call_id.remove(call_id);
            }
        }
    }
}
