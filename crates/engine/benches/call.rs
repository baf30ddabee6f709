//! What a call costs: `cargo bench -p engine`.
//!
//! Two phones call each other through the engine, without sockets; only the engine's part is timed
//! and counted. The bound in the same run is a relay that parses and prints the same datagrams and
//! knows nothing else. Numbers are the best of several rounds, for the machine may be shared.

use std::alloc::System;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::phone::Phone;
use engine::{Config, Engine, Input, Load, Output};
use sip::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: u32 = 2_000;
const ROUNDS: usize = 5;
/// Time between calls: twenty begin, and later end, each second.
const PAUSE: Duration = Duration::from_millis(50);

#[expect(clippy::print_stdout, reason = "a benchmark reports")]
fn main() {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| Round::run()).collect();
    let best = |of: fn(&Round) -> f64| rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let last = &rounds[ROUNDS - 1];
    println!("a B2BUA call, {CALLS} calls a round, best of {ROUNDS} rounds");
    println!("  messages                  {:>9.1} per call", last.messages);
    println!("  engine                    {:>9.2} µs per call", best(|round| round.engine));
    println!("  bound: parse and print    {:>9.2} µs per call", best(|round| round.bound));
    println!("  allocations               {:>9.1} per call", last.allocations);
    println!("  held while established    {:>9.0} bytes per call", last.held);
    println!("  held after the end        {:>9.0} bytes per call", last.left);
}

/// One round's numbers, each per call.
struct Round {
    messages: f64,
    engine: f64,
    bound: f64,
    allocations: f64,
    held: f64,
    left: f64,
}

struct Bench {
    now: Instant,
    engine: Engine,
    phones: [Phone; 2],
    spent: Duration,
    stats: Stats,
    /// What the engine sent, copied out so that its buffers are freed where they are counted.
    sent: Vec<(SocketAddr, Vec<u8>)>,
    /// Everything that passed the engine, for the bound.
    passed: Vec<Vec<u8>>,
    record: bool,
    messages: u32,
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Round {
    fn run() -> Self {
        let calls = f64::from(CALLS);
        let mut bench = Bench::new();
        bench.record = true;
        let bob = bench.phones[1].uri();
        for _ in 0..CALLS {
            let now = bench.now;
            bench.phones[0].dial(now, &bob);
            bench.settle();
            bench.pass(PAUSE);
        }
        // The transactions of the beginning are forgotten: what is held now is held for hours.
        bench.pass(Duration::from_secs(60));
        let held = bench.held() / calls;
        for call in bench.phones[0].calls() {
            let now = bench.now;
            bench.phones[0].hang_up(now, call);
            bench.settle();
            bench.pass(PAUSE);
        }
        let (engine, messages) = (bench.spent, bench.messages);
        let allocations = bench.stats.allocations as f64 / calls;
        bench.pass(Duration::from_secs(60));
        assert_eq!(bench.engine.load(), Load::default(), "every call has ended");
        let bound = bound(&bench.passed);
        Self {
            messages: f64::from(messages) / calls,
            engine: engine.as_secs_f64() * 1e6 / calls,
            bound: bound.as_secs_f64() * 1e6 / calls,
            allocations,
            held,
            left: bench.held() / calls,
        }
    }
}

/// Parses and prints every message that the engine got, and prints as often as it sent.
fn bound(passed: &[Vec<u8>]) -> Duration {
    let began = clock();
    for datagram in passed {
        let message =
            Message::parse(Bytes::copy_from_slice(datagram)).expect("it was parsed before");
        std::hint::black_box(message.to_bytes());
    }
    clock() - began
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

impl Bench {
    fn new() -> Self {
        let address_of_ours = address(5060);
        let session_seconds = Some(1800);
        let config = Config { open: true, session_seconds, ..Config::at(address_of_ours) };
        let proxy = Some(address(5060));
        Self {
            now: clock(),
            engine: Engine::new(config, [1; 32]),
            phones: [
                Phone::new("alice", address(5071), proxy, [2; 32]),
                Phone::new("bob", address(5072), proxy, [3; 32]),
            ],
            spent: Duration::ZERO,
            stats: Stats::default(),
            sent: Vec::new(),
            passed: Vec::new(),
            record: false,
            messages: 0,
        }
    }

    /// Bytes that the engine holds.
    fn held(&self) -> f64 {
        let Stats { bytes_allocated, bytes_deallocated, bytes_reallocated, .. } = self.stats;
        bytes_allocated as f64 - bytes_deallocated as f64 + bytes_reallocated as f64
    }

    /// Carries messages until all is quiet.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for index in 0..2 {
                while let Some(output) = self.phones[index].poll() {
                    if let engine::ua::Output::Transmit { bytes, .. } = output {
                        self.feed(address(5071 + index as u16), &bytes);
                        quiet = false;
                    }
                }
            }
            for (to, datagram) in std::mem::take(&mut self.sent) {
                let phone = &mut self.phones[usize::from(to.port() - 5071)];
                phone.receive(self.now, address(5060), Bytes::from(datagram));
                let now = self.now;
                phone.expire(now);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn feed(&mut self, source: SocketAddr, datagram: &Bytes) {
        self.messages += 1;
        if self.record {
            self.passed.push(datagram.to_vec());
        }
        let now = self.now;
        self.measured(|engine| {
            // As a socket does: the engine gets a buffer of its own.
            let bytes = Bytes::copy_from_slice(datagram);
            engine.handle(now, Input::Datagram { source, bytes });
        });
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let engine = self.engine.next_timeout();
            let phones = self.phones.iter_mut().filter_map(Phone::next_timeout).min();
            let Some(at) = [engine, phones].into_iter().flatten().min().filter(|at| *at <= end)
            else {
                break;
            };
            self.now = at;
            if engine.is_some_and(|due| due <= at) {
                self.measured(|engine| engine.handle(at, Input::Timeout));
            }
            for phone in &mut self.phones {
                phone.expire(at);
            }
            self.settle();
        }
        self.now = end;
    }

    /// Times and counts what the engine does, its output included.
    fn measured(&mut self, act: impl FnOnce(&mut Engine)) {
        let mut out: [Option<Output>; 16] = Default::default();
        let region = Region::new(ALLOCATOR);
        let began = clock();
        act(&mut self.engine);
        let mut count = 0;
        while let Some(output) = self.engine.poll() {
            out[count] = Some(output);
            count += 1;
        }
        self.spent += clock() - began;
        let copies: Vec<(SocketAddr, Vec<u8>)> = out.iter().flatten().filter_map(copied).collect();
        let copied_bytes: usize = copies.iter().map(|(_, datagram)| datagram.capacity()).sum();
        let vector = copies.capacity() * size_of::<(SocketAddr, Vec<u8>)>();
        drop(out);
        let change = region.change();
        self.stats = Stats {
            allocations: self.stats.allocations + change.allocations
                - copies.len()
                - usize::from(vector > 0),
            bytes_allocated: self.stats.bytes_allocated + change.bytes_allocated
                - copied_bytes
                - vector,
            bytes_deallocated: self.stats.bytes_deallocated + change.bytes_deallocated,
            bytes_reallocated: self.stats.bytes_reallocated + change.bytes_reallocated,
            ..self.stats
        };
        self.messages += copies.len() as u32;
        self.sent.extend(copies);
    }
}

fn copied(output: &Output) -> Option<(SocketAddr, Vec<u8>)> {
    match output {
        Output::Transmit { to, bytes } => Some((*to, bytes.to_vec())),
        Output::Resolve { .. } | Output::Event(_) => None,
    }
}
