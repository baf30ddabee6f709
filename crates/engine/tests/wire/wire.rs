//! One engine, a clock that moves only when told to, and what came out when.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{
    CommandId, Config, Engine, Event, Input, Load, Output, StartRequest, TransferRequest,
};

/// Where the engine listens.
pub(crate) const ENGINE: SocketAddr = address(1, 5060);
/// The peer that calls.
pub(crate) const CALLER: SocketAddr = address(10, 5070);
/// The peer that is called.
pub(crate) const CALLEE: SocketAddr = address(20, 5080);
/// Whoever has a name: every name is resolved to this host.
pub(crate) const NAMED: SocketAddr = address(99, 5060);

pub(crate) const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, host)), port)
}

/// The seed of one of the parties of a test.
pub(crate) fn key(seed: u64, party: u8) -> [u8; 32] {
    let mut key = [party; 32];
    key[..8].copy_from_slice(&seed.to_be_bytes());
    key
}

pub(crate) struct Wire {
    pub(crate) now: Instant,
    epoch: Instant,
    pub(crate) engine: Engine,
    /// What the engine told its clients.
    pub(crate) events: Vec<Event>,
}

/// A datagram that the engine sent.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Bytes,
}

impl Wire {
    /// An engine that anybody may call through.
    pub(crate) fn new() -> Self {
        Self::with(None, true)
    }

    pub(crate) fn with(next_hop: Option<&str>, open: bool) -> Self {
        let next_hop = next_hop.map(str::to_owned);
        Self::seeded(Config { next_hop, open, ..Config::at(ENGINE) }, 1)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one real instant: all others are offsets from it"
    )]
    pub(crate) fn seeded(config: Config, seed: u64) -> Self {
        let epoch = Instant::now();
        Self { now: epoch, epoch, engine: Engine::new(config, key(seed, 0)), events: Vec::new() }
    }

    /// Gives the engine a datagram, and returns what it sends at once.
    pub(crate) fn receive(
        &mut self,
        source: SocketAddr,
        datagram: impl Into<Vec<u8>>,
    ) -> Vec<Sent> {
        let bytes = Bytes::from(datagram.into());
        self.engine.handle(self.now, Input::Datagram { source, bytes });
        self.drain()
    }

    /// Lets time pass, and returns what is sent meanwhile.
    pub(crate) fn run_for(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= end) {
            sent.extend(self.expire(at));
        }
        self.now = end;
        sent
    }

    /// Lets a time come at which the engine wants to be woken.
    pub(crate) fn expire(&mut self, at: Instant) -> Vec<Sent> {
        self.now = at.max(self.now);
        self.engine.handle(self.now, Input::Timeout);
        self.drain()
    }

    pub(crate) fn end(&mut self, command: CommandId, call_id: &str) -> Vec<Sent> {
        self.engine.end(self.now, command, call_id, None);
        self.drain()
    }

    pub(crate) fn start(&mut self, command: CommandId, request: StartRequest) -> Vec<Sent> {
        self.engine.start(self.now, command, request);
        self.drain()
    }

    pub(crate) fn transfer(&mut self, command: CommandId, request: TransferRequest) -> Vec<Sent> {
        self.engine.transfer(self.now, command, request);
        self.drain()
    }

    /// How long this wire has existed.
    pub(crate) fn age(&self) -> Duration {
        self.now - self.epoch
    }

    /// Nothing is left: no call, dialog, transaction or timer, and no bug was caught.
    pub(crate) fn assert_at_rest(&mut self) {
        assert_eq!(self.engine.load(), Load::default(), "the engine still holds this");
        assert_eq!(self.engine.next_timeout(), None, "the engine still waits");
    }

    fn drain(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Transmit { to, bytes } => sent.push(Sent { at: self.age(), to, bytes }),
                Output::Resolve { query, port, .. } => {
                    let address = Some(SocketAddr::new(NAMED.ip(), port));
                    self.engine.handle(self.now, Input::Resolved { query, address });
                }
                Output::Event(Event::Bug(text)) => panic!("caught a bug: {text}"),
                Output::Event(event) => self.events.push(event),
            }
        }
        sent
    }
}

impl Sent {
    /// The start line.
    pub(crate) fn start(&self) -> String {
        let end = self.bytes.iter().position(|byte| *byte == b'\r').unwrap_or(self.bytes.len());
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }

    /// Whether the start line begins like this: a method, or a status code.
    pub(crate) fn is(&self, what: &str) -> bool {
        let start = self.start();
        start.strip_prefix("SIP/2.0 ").unwrap_or(&start).split(' ').next() == Some(what)
    }

    /// The values of all lines of this header, as written.
    pub(crate) fn all(&self, name: &str) -> Vec<Vec<u8>> {
        let head = self.head();
        let lines = head.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(|line| {
                let (text, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
                let is_it = text.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
                is_it.then(|| value[1..].trim_ascii().to_vec())
            })
            .collect()
    }

    /// The lines of this header as text.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.all(name).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The one line of this header; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        let mut values = self.texts(name);
        assert!(values.len() < 2, "several {name}: {self}");
        values.pop().unwrap_or_default()
    }

    /// The tag of From or To.
    pub(crate) fn tag(&self, name: &str) -> Option<String> {
        let value = self.text(name);
        value.split(";tag=").nth(1).map(|tag| tag.split(';').next().unwrap_or(tag).to_owned())
    }

    /// Everything before the empty line.
    pub(crate) fn head(&self) -> &[u8] {
        let end = self.bytes.windows(4).position(|window| window == b"\r\n\r\n");
        &self.bytes[..end.unwrap_or(self.bytes.len())]
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.bytes.get(self.head().len() + 4..).unwrap_or_default()
    }
}

impl std::fmt::Display for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        write!(f, "{} ms to {}:\n{text}", self.at.as_millis(), self.to)
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// What was sent, one line each: when, where to, start line and CSeq.
pub(crate) fn log(sent: &[Sent]) -> String {
    let mut text = String::new();
    for sent in sent {
        let to = match sent.to {
            CALLER => "caller".to_owned(),
            CALLEE => "callee".to_owned(),
            to => to.to_string(),
        };
        let start = sent.start();
        let method = sent.text("CSeq");
        let what = match start.strip_prefix("SIP/2.0 ") {
            Some(status) => format!("{status} ({})", method.split(' ').next_back().unwrap_or("")),
            None => start.split(' ').next().unwrap_or_default().to_owned(),
        };
        let _ = writeln!(text, "{} {to}: {what}", sent.at.as_millis());
    }
    text
}

/// The one datagram among these that begins like this.
pub(crate) fn the(sent: &[Sent], what: &str) -> Sent {
    let found: Vec<_> = sent.iter().filter(|sent| sent.is(what)).collect();
    assert!(found.len() == 1, "{} times {what} in\n{}", found.len(), log(sent));
    found[0].clone()
}

/// When the datagrams to somebody that begin like this were sent, in milliseconds.
pub(crate) fn times(sent: &[Sent], to: SocketAddr, what: &str) -> Vec<u128> {
    let such = sent.iter().filter(|sent| sent.to == to && sent.is(what));
    such.map(|sent| sent.at.as_millis()).collect()
}
