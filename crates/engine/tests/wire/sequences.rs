//! Calls as they go, with broken and changed copies of their own datagrams thrown in at random:
//! nothing panics, nothing is caught as a bug, and nothing is left at the end.
//!
//! `WIRE_SEED=7 cargo test -p engine --test wire sequences` replays one run; `WIRE_SEEDS=100000`
//! runs that many.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine::phone::{Answer, Notify, OnRefer, Phone};
use engine::{CommandId, Config, Error, Event, Mode, StartRequest, ua};
use sip::Message;

use crate::wire::{CALLEE, CALLER, ENGINE, Sent, Wire, address, key};

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn millis(&mut self, below: usize) -> Duration {
        Duration::from_millis(self.below(below) as u64)
    }
}

/// The engine, two phones, and everything the engine has seen or said.
struct Scene {
    wire: Wire,
    phones: [(SocketAddr, Phone); 2],
    heard: Vec<(SocketAddr, Bytes)>,
    /// How many commands had succeeded, and failed, when all was over.
    ends: [usize; 2],
    /// Call-IDs of what the engine sent.
    call_ids: BTreeSet<String>,
    random: Random,
    commands: u64,
    /// One in so many datagrams gets lost; none when 0.
    loss: usize,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let config = Config { open: true, ..Config::at(ENGINE) };
        let phone = |user, address, party| {
            (address, Phone::new(user, address, Some(ENGINE), key(seed, party)))
        };
        let mut phones = [phone("alice", CALLER, 1), phone("bob", CALLEE, 2)];
        for (_, phone) in &mut phones {
            let wait = random.millis(3000);
            let answers = [Answer::Refuse(486, wait), Answer::Never, Answer::After(wait)];
            // Mostly they answer.
            let first = random.below(3);
            phone.behaviour.answer = random.pick(&answers[first..]);
            phone.behaviour.refer =
                random.pick(&[OnRefer::Call, OnRefer::Call, OnRefer::Refuse(603)]);
            phone.behaviour.notify = random.pick(&[Notify::Sipfrag, Notify::Empty, Notify::Never]);
        }
        let loss = random.pick(&[0, 0, 5, 20]);
        let wire = Wire::seeded(config, seed);
        Self {
            wire,
            phones,
            heard: Vec::new(),
            ends: [0; 2],
            call_ids: BTreeSet::new(),
            random,
            commands: 0,
            loss,
        }
    }

    /// Delivers what was sent, and what is sent because of that, until all are quiet.
    fn deliver(&mut self, sent: Vec<Sent>) {
        let mut moving = sent;
        loop {
            for Sent { to, bytes, .. } in std::mem::take(&mut moving) {
                let own = bytes.starts_with(b"SIP/2.0 400") || bytes.starts_with(b"SIP/2.0 505");
                let readable = Message::parse(bytes.clone());
                // A refusal of what is broken repeats what is broken.
                assert!(own || readable.is_ok(), "sent {}: {readable:?}", bytes.escape_ascii());
                self.call_ids.extend(readable.map(|it| it.headers().call_id().to_owned()));
                self.keep(to, &bytes);
                let now = self.wire.now;
                let lost = self.loss > 0 && self.random.below(self.loss) == 0;
                let phone = self.phones.iter_mut().find(|(address, _)| *address == to && !lost);
                if let Some((_, phone)) = phone {
                    phone.receive(now, ENGINE, bytes);
                }
            }
            for index in 0..2 {
                while let Some(output) = self.phones[index].1.poll() {
                    let ua::Output::Transmit { bytes, .. } = output else { continue };
                    let source = self.phones[index].0;
                    self.keep(source, &bytes);
                    if self.loss == 0 || self.random.below(self.loss) > 0 {
                        moving.extend(self.wire.receive(source, bytes.to_vec()));
                    }
                }
            }
            if moving.is_empty() {
                return;
            }
        }
    }

    /// Remembers a datagram, in place of any other once there are many.
    fn keep(&mut self, peer: SocketAddr, bytes: &Bytes) {
        if self.heard.len() < 64 {
            self.heard.push((peer, bytes.clone()));
        } else {
            let place = self.random.below(64);
            self.heard[place] = (peer, bytes.clone());
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.wire.now + time;
        loop {
            let phones = self.phones.iter_mut().map(|(_, phone)| phone.next_timeout());
            let phones: Vec<_> = phones.collect();
            let engine = self.wire.engine.next_timeout();
            let next = phones.into_iter().chain([engine]).flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            let sent = self.wire.expire(at);
            for (_, phone) in &mut self.phones {
                phone.expire(at);
            }
            self.deliver(sent);
        }
        self.wire.now = end;
    }

    /// One thing that somebody does who means no harm.
    fn act(&mut self) {
        let now = self.wire.now;
        let phone = self.random.below(2);
        let uris = [self.phones[0].1.uri(), self.phones[1].1.uri()];
        let mut sent = Vec::new();
        match self.random.below(8) {
            0..=2 => {
                self.commands += 1;
                let mode = self.random.pick(&[Mode::Auto, Mode::Refer, Mode::Bridge]);
                let [caller, callee] = uris;
                let request = StartRequest {
                    caller,
                    callee,
                    from: None,
                    display: None,
                    mode,
                    headers: Vec::new(),
                    auto_answer: false,
                    timeout: None,
                };
                sent = self.wire.start(CommandId(self.commands), request);
            }
            3 | 4 => drop(self.phones[phone].1.dial(now, &uris[1 - phone])),
            5 => self.on_calls(phone, |phone, call| phone.hold(now, call, true)),
            6 => self.on_calls(phone, |phone, call| phone.hang_up(now, call)),
            _ => {
                let ended = self.wire.events.iter().rev().find_map(|event| match event {
                    Event::Progress(_, progress) => Some(progress.call_id.clone()),
                    Event::Done(_, Ok(call_id)) => call_id.clone(),
                    Event::Done(..)
                    | Event::Call(_)
                    | Event::Registration { .. }
                    | Event::Bug(_) => None,
                });
                if let Some(call_id) = ended {
                    self.commands += 1;
                    sent = self.wire.end(CommandId(self.commands), &call_id);
                }
            }
        }
        self.deliver(sent);
    }

    fn on_calls(&mut self, index: usize, act: impl Fn(&mut Phone, ua::LegId)) {
        let phone = &mut self.phones[index].1;
        for call in phone.calls() {
            act(phone, call);
        }
    }

    /// One datagram of somebody who does.
    fn attack(&mut self) {
        if self.heard.is_empty() {
            return;
        }
        let pick = self.random.below(self.heard.len());
        let (peer, datagram) = self.heard[pick].clone();
        let other = self.random.below(self.heard.len());
        let other = self.heard[other].1.clone();
        let mut changed = datagram.to_vec();
        for _ in 0..self.random.below(3) {
            changed = mutate(&mut self.random, changed, &other);
        }
        let source = self.random.pick(&[peer, peer, CALLER, CALLEE, address(66, 6666)]);
        let sent = self.wire.receive(source, changed);
        self.deliver(sent);
    }

    /// A forged 200 and a forged ACK together make a call that no phone knows. Without session
    /// timers (RFC 4028) only a command can end it.
    fn end_calls_that_no_phone_knows(&mut self) {
        self.ends = [true, false].map(|good| {
            let is_such =
                |event: &&Event| matches!(event, Event::Done(_, end) if end.is_ok() == good);
            self.wire.events.iter().filter(is_such).count()
        });
        let mut names: Vec<_> = self.call_ids.iter().cloned().collect();
        while let Some(name) = names.pop() {
            self.commands += 1;
            let sent = self.wire.end(CommandId(self.commands), &name);
            self.deliver(sent);
            if let Some(Event::Done(_, Err(Error::Ambiguous(several)))) = self.wire.events.last() {
                names.extend(several.iter().cloned());
            }
        }
    }

    /// Everybody hangs up and time passes: what is left then is left for ever.
    fn settle(&mut self) {
        self.loss = 0;
        self.run_for(Duration::from_secs(200));
        for index in 0..2 {
            self.phones[index].1.behaviour.answer = Answer::Refuse(480, Duration::ZERO);
            let now = self.wire.now;
            self.on_calls(index, |phone, call| phone.hang_up(now, call));
        }
        self.deliver(Vec::new());
        self.run_for(Duration::from_secs(200));
        self.end_calls_that_no_phone_knows();
        self.run_for(Duration::from_secs(200));
        self.wire.assert_at_rest();
        assert!(self.phones.iter_mut().all(|(_, phone)| phone.is_idle()), "a phone still waits");
        let mut ends = HashMap::<_, u32>::new();
        for event in &self.wire.events {
            if let Event::Done(command, _) = event {
                *ends.entry(*command).or_default() += 1;
            }
        }
        assert_eq!(ends.len() as u64, self.commands, "a command never ended");
        assert!(ends.values().all(|times| *times == 1), "a command ended twice: {ends:?}");
    }
}

/// Pieces that mean something to a parser, or to what comes behind it.
const PIECES: [&[u8]; 40] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"@",
    b" ",
    b"%00",
    b"z9hG4bK",
    b";tag=x",
    b";lr",
    b"sip:",
    b"sips:",
    b"tel:1",
    b"[::1]",
    b"0",
    b"4294967295",
    b"-1",
    b"SIP/2.0 200 OK\r\n",
    b"SIP/2.0 481 No\r\n",
    b"Require: x\r\n",
    b"Route: <sip:a;lr>\r\n",
    b"Record-Route: <sip:192.0.2.66>\r\n",
    b"Contact: <sip:x@192.0.2.66:6666>\r\n",
    b"Content-Length: 0\r\n",
    b"INVITE",
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"REFER",
    b"NOTIFY",
    b"OPTIONS",
    b"\xf6",
];

fn mutate(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let at = random.below(bytes.len());
    let end = (at + random.below(40)).min(bytes.len());
    match random.below(10) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => drop(bytes.drain(at..end)),
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, random.pick(&PIECES).to_vec())),
        4 => drop(bytes.splice(at..end, random.pick(&PIECES).to_vec())),
        5 => bytes.extend_from_slice(&other[random.below(other.len())..]),
        6 => {
            let head = random.below(other.len());
            bytes = [&other[..head], &bytes[at..]].concat();
        }
        7 => {
            let digits: Vec<_> =
                (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            if let Some(at) = digits.get(random.below(digits.len())) {
                bytes[*at] = b'0' + random.below(10) as u8;
            }
        }
        8 => bytes = with_line_of(random, &bytes, other),
        _ => bytes = another_method(random, &bytes),
    }
    bytes
}

/// A line of another message in the place of one of this: tags, branches, targets of other dialogs.
fn with_line_of(random: &mut Random, bytes: &[u8], other: &[u8]) -> Vec<u8> {
    let name =
        |line: &[u8]| line.iter().take_while(|byte| **byte != b':').copied().collect::<Vec<_>>();
    let others: Vec<_> = other.split_inclusive(|byte| *byte == b'\n').collect();
    let Some(line) = others.get(random.below(others.len())) else { return bytes.to_vec() };
    let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for place in &mut lines {
        if name(place) == name(line) {
            *place = line;
        }
    }
    lines.concat()
}

/// The same in another method, in the start line and in CSeq.
fn another_method(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    const METHODS: [&str; 9] =
        ["INVITE", "ACK", "BYE", "CANCEL", "REFER", "NOTIFY", "OPTIONS", "UPDATE", "NEW"];
    let (old, new) = (random.pick(&METHODS), random.pick(&METHODS));
    let text = String::from_utf8_lossy(bytes);
    text.replace(&format!("{old} "), &format!("{new} "))
        .replace(&format!(" {old}\r"), &format!(" {new}\r"))
        .into()
}

/// Runs one seed, and tells how many commands succeeded and how many failed.
fn run(seed: u64) -> [usize; 2] {
    let mut scene = Scene::new(seed);
    for _ in 0..1 + scene.random.below(4) {
        scene.act();
        for _ in 0..scene.random.below(30) {
            scene.attack();
            if scene.random.below(4) == 0 {
                let pause = scene.random.pick(&[20, 600, 6000, 40_000]);
                let pause = scene.random.millis(pause);
                scene.run_for(pause);
            }
        }
    }
    scene.settle();
    scene.ends
}

#[test]
fn whatever_is_thrown_in_nothing_breaks_and_nothing_is_left() {
    if let Ok(seed) = std::env::var("WIRE_SEED") {
        run(seed.parse().expect("WIRE_SEED is a number"));
        return;
    }
    let seeds = std::env::var("WIRE_SEEDS")
        .map_or(8000, |seeds| seeds.parse().expect("WIRE_SEEDS is a number"));
    let mut ends = [0; 2];
    for seed in 0..seeds {
        let of_seed = std::panic::catch_unwind(|| run(seed));
        let of_seed = of_seed.unwrap_or_else(|_| panic!("WIRE_SEED={seed}"));
        ends = [ends[0] + of_seed[0], ends[1] + of_seed[1]];
    }
    println!("{seeds} seeds: {} commands succeeded, {} failed", ends[0], ends[1]);
    // Where everything fails, or nothing does, little is tested.
    assert!(ends.iter().all(|count| *count as u64 * 20 > seeds), "lopsided: {ends:?}");
}
