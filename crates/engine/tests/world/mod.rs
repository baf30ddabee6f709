//! The engine, some phones, a network and a clock that moves only when told to.
//!
//! Scenario tests script it and compare the ladder it draws; the simulation lets chance script it.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod transfers;
mod watch;
mod watcher;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::ladder::Ladder;
use engine::phone::{Phone, PhoneEvent};
use engine::ua::LegId;
use engine::{
    BindingChange, CallKey, CallView, CommandId, Config, Engine, Error, Event, HoldRequest, Input,
    Load, Mode, Output, Side, StartRequest, Step, User, Users,
};
use sip::digest::Algorithm;
use sip::{Message, Method, Request};
use watch::Watch;

pub(crate) const CALLER: usize = 0;
pub(crate) const CALLEE: usize = 1;
pub(crate) const OTHER: usize = 2;

/// Realm of the engine's users, when it has some.
pub(crate) const REALM: &str = "call-api";

/// What the network does to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Arrives after this time.
    Arrives(Duration),
    /// Arrives twice.
    Doubled(Duration, Duration),
    Lost,
}

/// Decides the fate of each datagram: sender's and receiver's lane, and its text.
pub(crate) type Network = Box<dyn FnMut(usize, usize, &Message) -> Fate>;

/// Changes a datagram on its way: sender's and receiver's lane, and its text. For phones that
/// misbehave in ways that no [`engine::phone::Behaviour`] has.
pub(crate) type Rewrite = Box<dyn FnMut(usize, usize, &str) -> String>;

/// How long a transaction waits at most (RFC 3261 §17.1.1.2, timer B).
const T1X64: Duration = Duration::from_secs(32);

pub(crate) struct World {
    pub(crate) now: Instant,
    epoch: Instant,
    pub(crate) engine: Engine,
    pub(crate) phones: Vec<Phone>,
    pub(crate) network: Network,
    pub(crate) rewrite: Option<Rewrite>,
    /// Every message that was sent, with its sender's lane, lost ones too.
    pub(crate) sent: Vec<(usize, Message)>,
    /// Names the engine can resolve; any other has no address.
    pub(crate) names: HashMap<String, SocketAddr>,
    /// What has come for the engine while its process is suspended.
    asleep: Option<Vec<(SocketAddr, Bytes)>>,
    in_flight: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Bytes)>,
    arrivals: u64,
    pub(crate) ladder: Ladder,
    /// The lanes that are drawn. Whoever stands further right is drawn in the last one.
    lanes: Vec<&'static str>,
    next_command: u64,
    /// How each command ended.
    pub(crate) done: HashMap<CommandId, Result<Option<String>, Error>>,
    /// Everything the engine reported.
    pub(crate) events: Vec<Event>,
    pub(crate) progress: Vec<(CommandId, Step, String)>,
    pub(crate) shown: Vec<(usize, PhoneEvent)>,
    /// Address-of-record and contact of every phone that is registered, as a watcher has them.
    registered: BTreeSet<(String, String)>,
    /// Calls by their names, as a watcher has them.
    pub(crate) watched: BTreeMap<CallKey, CallView>,
    /// How often a party became another one.
    pub(crate) transferred: u64,
    /// Whether the ladder shows what a watcher is told, marked `*`.
    pub(crate) show_watcher: bool,
    watch: Watch,
}

pub(crate) fn address(lane: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], if lane == 0 { 5060 } else { 5070 + lane as u16 }))
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_config(seed, Self::config())
    }

    /// An engine that lets everybody call everybody.
    pub(crate) fn config() -> Config {
        Config { open: true, ..Config::at(address(0)) }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one real instant: all others are offsets from it"
    )]
    pub(crate) fn with_config(seed: u64, config: Config) -> Self {
        let epoch = Instant::now();
        let key = |lane: u64| {
            let mut key = [lane as u8; 32];
            key[..8].copy_from_slice(&seed.to_be_bytes());
            key
        };
        let phone =
            |lane: usize, user| Phone::new(user, address(lane), Some(address(0)), key(lane as u64));
        Self {
            now: epoch,
            epoch,
            engine: Engine::new(config, key(0)),
            phones: vec![phone(1, "alice"), phone(2, "bob"), phone(3, "cindy")],
            network: latency(0),
            rewrite: None,
            sent: Vec::new(),
            names: HashMap::new(),
            asleep: None,
            in_flight: BTreeMap::new(),
            arrivals: 0,
            ladder: Ladder::new(&["call-api", "caller", "callee"]),
            lanes: vec!["call-api", "caller", "callee"],
            next_command: 0,
            done: HashMap::new(),
            events: Vec::new(),
            progress: Vec::new(),
            shown: Vec::new(),
            registered: BTreeSet::new(),
            watched: BTreeMap::new(),
            transferred: 0,
            show_watcher: false,
            watch: Watch::default(),
        }
    }

    /// An engine that is not open and has these users, by name and password.
    pub(crate) fn with_users(seed: u64, users: &[(&str, &str)]) -> Self {
        let ha1 = |algorithm: Algorithm, (name, password)| algorithm.ha1(name, REALM, password);
        let users = users.iter().map(|user| User {
            name: user.0.to_owned(),
            sha256: Some(ha1(Algorithm::Sha256, *user)),
            md5: Some(ha1(Algorithm::Md5, *user)),
        });
        let users = Some(Users { realm: REALM.to_owned(), users: users.collect() });
        Self::with_config(seed, Config { users, ..Config::at(address(0)) })
    }

    /// Draws the third phone too, under this name. To be said first.
    pub(crate) fn show_other(&mut self, name: &'static str) {
        self.lanes = vec!["call-api", "caller", "callee", name];
        self.draw_from_here();
    }

    /// Draws only what comes from here on. Returns what was drawn.
    pub(crate) fn draw_from_here(&mut self) -> Ladder {
        std::mem::replace(&mut self.ladder, Ladder::new(&self.lanes))
    }

    /// Lets the engine start a call between the first two phones.
    pub(crate) fn start(&mut self, mode: Mode) -> CommandId {
        let request = self.request(mode);
        self.start_with(request)
    }

    pub(crate) fn request(&self, mode: Mode) -> StartRequest {
        StartRequest {
            caller: self.phones[CALLER].uri(),
            callee: self.phones[CALLEE].uri(),
            from: None,
            display: None,
            mode,
            headers: Vec::new(),
            auto_answer: false,
            timeout: None,
        }
    }

    pub(crate) fn start_with(&mut self, request: StartRequest) -> CommandId {
        let command = self.command("> CallStart");
        self.engine.start(self.now, command, request);
        self.drain();
        command
    }

    pub(crate) fn end(&mut self, call_id: &str) -> CommandId {
        self.end_within(call_id, None)
    }

    pub(crate) fn end_within(&mut self, call_id: &str, timeout: Option<Duration>) -> CommandId {
        let command = self.command("> CallEnd");
        self.engine.end(self.now, command, call_id, timeout);
        self.drain();
        command
    }

    /// Puts the parties of a call on hold, or takes them back.
    pub(crate) fn call_hold(&mut self, call_id: &str, side: Option<Side>, held: bool) -> CommandId {
        self.call_hold_for(call_id, side, held, None)
    }

    pub(crate) fn call_hold_for(
        &mut self,
        call_id: &str,
        side: Option<Side>,
        held: bool,
        timeout: Option<Duration>,
    ) -> CommandId {
        self.change_hold(HoldRequest { call_id: call_id.to_owned(), side, held, timeout })
    }

    pub(crate) fn change_hold(&mut self, request: HoldRequest) -> CommandId {
        let name = if request.held { "CallHold" } else { "CallUnHold" };
        let whom = request.side.map_or(String::new(), |side| format!(" {side:?}").to_lowercase());
        let command = self.command(&format!("> {name}{whom}"));
        self.engine.hold(self.now, command, request);
        self.drain();
        command
    }

    /// The Call-ID that a successful command named.
    pub(crate) fn call_id(&self, command: CommandId) -> String {
        match &self.done[&command] {
            Ok(Some(call_id)) => call_id.clone(),
            other => panic!("the command did not make a call: {other:?}"),
        }
    }

    pub(crate) fn dial(&mut self, phone: usize, uri: &str) {
        let now = self.now;
        self.phones[phone].dial(now, uri);
        self.drain();
    }

    /// Lets the caller's phone call the callee's, and a second go by.
    pub(crate) fn talk(&mut self) {
        let callee = self.phones[CALLEE].uri();
        self.dial(CALLER, &callee);
        self.run_for(Duration::from_secs(1));
    }

    pub(crate) fn dial_without_offer(&mut self, phone: usize, uri: &str) {
        let now = self.now;
        self.phones[phone].dial_without_offer(now, uri);
        self.drain();
    }

    /// Lets a phone register at the engine; 0 seconds take that back.
    pub(crate) fn register(&mut self, phone: usize, expires: u32) {
        let now = self.now;
        self.phones[phone].register(now, expires);
        self.drain();
    }

    /// Lets a phone hang up one of its calls.
    pub(crate) fn hang_up_one(&mut self, phone: usize, call: LegId) {
        let now = self.now;
        self.phones[phone].hang_up(now, call);
        self.drain();
    }

    /// Lets a phone hang up every call it has.
    pub(crate) fn hang_up(&mut self, phone: usize) {
        let now = self.now;
        for call in self.phones[phone].calls() {
            self.phones[phone].hang_up(now, call);
        }
        self.drain();
    }

    /// Lets a phone press a key in every call it has.
    pub(crate) fn press(&mut self, phone: usize, digit: char) {
        let now = self.now;
        for call in self.phones[phone].calls() {
            self.phones[phone].press(now, call, digit);
        }
        self.drain();
    }

    pub(crate) fn hold(&mut self, phone: usize, held: bool) {
        let now = self.now;
        for call in self.phones[phone].calls() {
            self.phones[phone].hold(now, call, held);
        }
        self.drain();
    }

    /// The same in an UPDATE, also in calls that are not answered.
    pub(crate) fn update(&mut self, phone: usize, held: bool) {
        let now = self.now;
        for call in self.phones[phone].calls() {
            self.phones[phone].update(now, call, held);
        }
        self.drain();
    }

    /// Lets a phone ask the other party of each of its calls for a new offer.
    pub(crate) fn ask_for_offer(&mut self, phone: usize) {
        let now = self.now;
        for call in self.phones[phone].calls() {
            self.phones[phone].ask_for_offer(now, call);
        }
        self.drain();
    }

    /// Puts a datagram of our own making on the wire to the engine.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        if let Some(lane) = lane(from) {
            let at = self.now - self.epoch;
            self.ladder.message(at, lane.min(self.last_lane()), 0, datagram, false);
        }
        self.watch.received(&Bytes::copy_from_slice(datagram));
        self.engine.handle(
            self.now,
            Input::Datagram { source: from, bytes: Bytes::copy_from_slice(datagram) },
        );
        self.drain();
    }

    /// Runs until nothing moves and nobody waits.
    pub(crate) fn run(&mut self) {
        while let Some(at) = self.next_event() {
            self.step(at);
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    /// Suspends the engine's process for this time. For it the clock leaps ahead: everything that was
    /// due, and everything that came, is there at once, and it looks at the one or the other first.
    pub(crate) fn suspend(&mut self, time: Duration, timers_first: bool) {
        self.asleep = Some(Vec::new());
        self.run_for(time);
        let arrived = self.asleep.take().unwrap_or_default();
        if timers_first {
            self.engine.handle(self.now, Input::Timeout);
            self.drain();
            if time >= T1X64 {
                arrived.iter().for_each(|(_, bytes)| self.watch.received_too_late(bytes));
            }
        }
        for (from, bytes) in arrived {
            self.deliver(from, address(0), bytes);
        }
        self.engine.handle(self.now, Input::Timeout);
        self.drain();
    }

    /// Runs until this many milliseconds after the beginning.
    pub(crate) fn run_until(&mut self, millis: u64) {
        let end = self.epoch + Duration::from_millis(millis);
        self.run_for(end.saturating_duration_since(self.now));
    }

    /// The Call-ID that the report of this step named.
    pub(crate) fn call_id_of(&self, step: Step) -> String {
        let mut progress = self.progress.iter();
        let found = progress.find(|(_, reported, _)| *reported == step);
        found.unwrap_or_else(|| panic!("no {step:?}\n{}", self.ladder)).2.clone()
    }

    /// The latest request with this method that a lane sent.
    pub(crate) fn sent_request(&self, from: usize, method: Method) -> &Request {
        let requests = self.sent.iter().rev().filter(|(lane, _)| *lane == from);
        requests
            .filter_map(|(_, message)| match message {
                Message::Request(request) if request.method == method => Some(request),
                Message::Request(_) | Message::Response(_) => None,
            })
            .next()
            .unwrap_or_else(|| panic!("lane {from} sent no {}\n{}", method.as_str(), self.ladder))
    }

    /// The Call-ID that the latest report of a command named.
    pub(crate) fn helper_call_id(&self) -> Option<String> {
        self.progress.last().map(|(_, _, call_id)| call_id.clone())
    }

    /// The Call-ID of the latest call that a command made or that a phone placed.
    pub(crate) fn last_call_id(&self) -> Option<String> {
        self.sent.iter().rev().find_map(|(_, message)| match message {
            Message::Request(request) if request.method == Method::Invite => {
                Some(request.call_id().to_owned())
            }
            Message::Request(_) | Message::Response(_) => None,
        })
    }

    /// Nothing is left anywhere: no call, command, dialog, subscription, transaction or timer.
    pub(crate) fn assert_at_rest(&mut self) {
        assert_eq!(
            self.engine.load(),
            Load::default(),
            "the engine still holds this\n{}",
            self.ladder
        );
        assert_eq!(self.engine.next_timeout(), None, "the engine still waits\n{}", self.ladder);
        for (index, phone) in self.phones.iter_mut().enumerate() {
            assert!(phone.is_idle(), "phone {index} still holds something\n{}", self.ladder);
        }
        self.watch.assert_settled(&self.ladder);
    }

    fn last_lane(&self) -> usize {
        self.lanes.len() - 1
    }

    fn command(&mut self, text: &str) -> CommandId {
        self.next_command += 1;
        self.note(text);
        CommandId(self.next_command)
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.ladder.note(self.now - self.epoch, text);
    }

    fn next_event(&mut self) -> Option<Instant> {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let timers = self.phones.iter_mut().map(Phone::next_timeout).collect::<Vec<_>>();
        let engine = self.engine.next_timeout().filter(|_| self.asleep.is_none());
        timers.into_iter().chain([arrival, engine]).flatten().min()
    }

    fn step(&mut self, at: Instant) {
        assert!(at >= self.now, "time went back\n{}", self.ladder);
        self.now = at;
        let due = self.in_flight.first_key_value().filter(|((due, _), _)| *due <= at);
        if due.is_some() {
            let Some((_, (from, to, bytes))) = self.in_flight.pop_first() else { return };
            return self.deliver(from, to, bytes);
        }
        if self.asleep.is_none() && self.engine.next_timeout().is_some_and(|due| due <= at) {
            self.engine.handle(at, Input::Timeout);
        }
        for phone in &mut self.phones {
            if phone.next_timeout().is_some_and(|due| due <= at) {
                phone.expire(at);
            }
        }
        self.drain();
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        if let (true, Some(arrived)) = (to == address(0), &mut self.asleep) {
            return arrived.push((from, bytes));
        }
        if to == address(0) {
            self.watch.received(&bytes);
            self.engine.handle(self.now, Input::Datagram { source: from, bytes });
        } else if let Some(phone) = lane(to).and_then(|lane| self.phones.get_mut(lane - 1)) {
            phone.receive(self.now, from, bytes);
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Transmit { to, bytes } => {
                    self.watch.sent(&bytes, &self.ladder);
                    self.transmit(address(0), to, bytes);
                }
                Output::Resolve { query, host, port } => {
                    let address = self
                        .names
                        .get(&*host)
                        .map(|known| SocketAddr::new(known.ip(), port.max(known.port())));
                    self.engine.handle(self.now, Input::Resolved { query, address });
                }
                Output::Event(event) => self.on_event(event),
            }
        }
        self.assert_watched();
        for index in 0..self.phones.len() {
            while let Some(output) = self.phones[index].poll() {
                if let engine::ua::Output::Transmit { to, bytes } = output {
                    self.transmit(address(index + 1), to, bytes);
                }
            }
            while let Some(event) = self.phones[index].poll_event() {
                self.shown.push((index, event));
            }
        }
    }

    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Bytes) {
        let (from_lane, to_lane, last) = (lane(from).unwrap_or(0), lane(to), self.last_lane());
        if let Some(rewrite) = &mut self.rewrite {
            let text = String::from_utf8_lossy(&bytes);
            bytes = rewrite(from_lane, to_lane.unwrap_or(last), &text).into();
        }
        let message = Message::parse(bytes.clone()).unwrap_or_else(|error| {
            panic!("sent a broken message: {error}\n{}", String::from_utf8_lossy(&bytes))
        });
        let fate = match to_lane {
            Some(to_lane) => (self.network)(from_lane, to_lane, &message),
            None => Fate::Lost,
        };
        let at = self.now - self.epoch;
        let shown = |lane: usize| lane.min(last);
        let (left, right) = (shown(from_lane), shown(to_lane.unwrap_or(last)));
        self.ladder.message(at, left, right, &bytes, fate == Fate::Lost);
        self.sent.push((from_lane, message));
        let arrivals = match fate {
            Fate::Lost => vec![],
            Fate::Arrives(after) => vec![after],
            Fate::Doubled(first, second) => vec![first, second],
        };
        for after in arrivals {
            self.arrivals += 1;
            self.in_flight.insert((self.now + after, self.arrivals), (from, to, bytes.clone()));
        }
    }

    fn on_event(&mut self, event: Event) {
        self.events.push(event.clone());
        match event {
            Event::Progress(command, progress) => {
                assert!(
                    !self.done.contains_key(&command),
                    "progress after the end\n{}",
                    self.ladder
                );
                self.progress.push((command, progress.step, progress.call_id.to_string()));
                if progress.step == Step::HoldAsked {
                    return; // The ladder shows the INVITE itself.
                }
                let side = format!("{:?}", progress.side).to_lowercase();
                self.note(&match progress.step {
                    Step::Ringing => format!("< CALL_RINGING {side}"),
                    Step::EarlyMedia => format!("< CALL_PROGRESS {side}"),
                    Step::Answered => format!("< CALL_ANSWER {side}"),
                    Step::TransferAccepted => "< TRANSFER_ACCEPT".to_owned(),
                    Step::TransferProgress(status) => format!("< TRANSFER_PROGRESS {status}"),
                    Step::CallStarted => "< CALL_START".to_owned(),
                    Step::HoldAsked => unreachable!("it was left out"),
                    Step::Held => format!("< CALL_HOLD {side}"),
                    Step::Unheld => format!("< CALL_UNHOLD {side}"),
                });
            }
            Event::Done(command, result) => {
                if let Err(error) = &result {
                    self.note(&format!("< Error: {error}"));
                }
                self.note("< Ended");
                let result = result.map(|call_id| call_id.map(|call_id| call_id.to_string()));
                let before = self.done.insert(command, result);
                assert!(before.is_none(), "{command:?} ended twice\n{}", self.ladder);
            }
            Event::Call(event) => self.on_call_event(*event),
            Event::Registration { aor, contact, change, .. } => {
                self.on_registration(&aor, &contact, change);
                if change == BindingChange::Renewed {
                    return;
                }
                let change = format!("{change:?}").to_lowercase();
                let (name, _) = aor.split_once('@').expect("an address-of-record has a user");
                let (_, contact) = contact.split_once(':').expect("a URI has a scheme");
                self.note(&format!("{change} {}: {contact}", &name[4..]));
            }
            Event::Bug(text) => panic!("caught a bug: {text}\n{}", self.ladder),
        }
    }
}

/// A network that takes this many milliseconds from anywhere to anywhere.
pub(crate) fn latency(millis: u64) -> Network {
    Box::new(move |_, _, _| Fate::Arrives(Duration::from_millis(millis)))
}

fn lane(address: SocketAddr) -> Option<usize> {
    // The address of a phone in a network of its own leads nowhere.
    if !address.ip().is_loopback() {
        return None;
    }
    match address.port() {
        5060 => Some(0),
        port @ 5071..=5073 => Some(usize::from(port) - 5070),
        _ => None,
    }
}
