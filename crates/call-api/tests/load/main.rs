//! Many calls at once, placed by sipp, through the built server, with commands on them meanwhile.
//!
//! However many there are, each command ends as its phones made it end, no phone sees a message that
//! it did not expect, and nothing is left: no call, and no memory. `make load` runs it in the size that
//! is worth measuring and shows what it measured; among the other tests it is small. Times are reported
//! and never asserted: they are the machine's.

#[path = "../interop/client.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod client;
mod commands;
#[path = "../interop/lab.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod lab;
mod phones;
mod process;
#[path = "../interop/server.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod server;

use std::fmt::Display;
use std::io::{Write as _, stderr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::commands::Commands;
use crate::lab::{Tool, can_use, expect_within};
use crate::phones::Phones;
use crate::process::{cpu_time, drops, memory};
use crate::server::Server;

/// How long a transaction may outlive its call (RFC 3261 timers H and J, 64·T1), how long the allocator
/// keeps what is free before it gives it back, and a little more.
const LINGER: Duration = Duration::from_secs(32 + 10 + 4);

/// Memory for the last events, in bytes: little, so that what calls leave behind would show beside it.
const JOURNAL: usize = 1 << 20;

/// Memory that may be left beside what there was before the first call, in kB: that journal, the commands that
/// are remembered for retries, and the threads' stacks and caches. A kilobyte that each call leaves would be more.
const RESIDUE: u64 = 16 << 10;

/// How much there is to do.
struct Size {
    /// Calls of one round.
    calls: usize,
    /// Commands of one round.
    commands: usize,
    /// Calls placed in a second.
    rate: usize,
    /// How often it is done to the same server. With more than one, memory must come back after each.
    rounds: usize,
}

impl Size {
    fn from_environment() -> Self {
        Self {
            calls: setting("LOAD_CALLS", 200),
            commands: setting("LOAD_COMMANDS", 40),
            rate: setting("LOAD_RATE", 100),
            rounds: setting("LOAD_ROUNDS", 1),
        }
    }

    /// A healthy round takes a third of this, whatever the machine has to do beside it.
    fn patience(&self) -> Duration {
        Duration::from_secs(60 + 3 * (self.calls / self.rate) as u64)
    }
}

fn setting<T: FromStr<Err: Display>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |value| {
        value.parse().unwrap_or_else(|error| panic!("{name}={value}: {error}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_with_commands_on_them_leave_nothing_behind() {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let size = Size::from_environment();
    let server = Server::start_with(&format!("journal:\n  memory_bytes: {JOURNAL}\n")).await;
    let own_memory = || memory(server.process(), "RssAnon");
    let mut resident = vec![own_memory()];
    for round in 1..=size.rounds {
        tell(&format!("round {round}: {} calls, {} a second", size.calls, size.rate));
        play(&server, &size).await;
        if size.rounds > 1 {
            sleep(LINGER).await;
        }
        resident.push(own_memory());
    }
    let peak = memory(server.process(), "VmHWM");
    tell(&format!(
        "memory of its own: {resident:?} kB before and after each round; with the program {peak} kB at its peak"
    ));
    if size.rounds > 1 {
        let most = resident[0] + RESIDUE;
        assert!(resident.iter().all(|each| *each <= most), "it did not come back: {resident:?} kB");
    }
    assert_eq!(server.terminate().await.code(), Some(0));
}

/// One round, from the first call to the last.
async fn play(server: &Server, size: &Size) {
    let (cpu, start) = (cpu_time(server.process()), Instant::now());
    let phones = Phones::start().await;
    let mut commands = Commands::connect(&server.url(), size.calls, size.commands, &phones).await;
    let calls = phones.call(server.sip_port(), size.calls, size.rate);
    let calls = commands.follow(calls);
    let caller = expect_within(size.patience(), "every call and command to end", calls).await;
    let (cpu, took) = (cpu_time(server.process()) - cpu, start.elapsed());
    let report = commands.finish().await;
    tell(&report.to_string());
    let per_call = cpu.as_secs_f64() * 1e6 / size.calls as f64;
    let dropped = drops(server.sip_port()).expect("the server has its socket");
    tell(&format!("took {took:.1?}; {cpu:.2?} of CPU, {per_call:.0} µs for each call"));
    tell(&format!("datagrams that the server had no room for, so far: {dropped}"));

    let called = phones.finish().await;
    let tallies = [&caller].into_iter().chain(&called);
    tallies.clone().for_each(|tally| tell(&tally.to_string()));
    let went_wrong = tallies.filter(|tally| tally.failed + tally.unexpected > 0);
    let went_wrong: Vec<_> = went_wrong.map(|tally| format!("{tally}\n{}", tally.errors)).collect();
    assert!(went_wrong.is_empty(), "{}", went_wrong.join("\n"));
    assert_eq!(caller.successful, size.calls as u64, "each call that was placed went well");
    report.assert_as_the_phones_made_it(size.commands);
}

/// Says it on the terminal when it is measured, past the capture of the test runner.
fn tell(line: &str) {
    if std::env::var_os("LOAD_CALLS").is_some() {
        // A terminal that is gone is no reason to fail.
        let _ = writeln!(stderr(), "{line}");
    }
}
