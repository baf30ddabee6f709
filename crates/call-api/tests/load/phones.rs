//! Processes of sipp: one that places the calls, and three phones that are called.
//!
//! Each counts what it sees. A message that its scenario does not expect, or a call that is never
//! taken down, makes a failed call.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::interval;

use crate::lab::{Home, Ports, expect, poll};
use crate::process::drops;

/// The phones that are called in one round.
pub(crate) struct Phones {
    callee: Phone,
    target: Phone,
    busy: Phone,
}

/// What one sipp counted.
#[derive(Debug)]
pub(crate) struct Tally {
    name: &'static str,
    /// Calls that went as the scenario says.
    pub(crate) successful: u64,
    /// Calls that did not.
    pub(crate) failed: u64,
    /// Messages that had no place in the scenario of their call.
    pub(crate) unexpected: u64,
    retransmissions: u64,
    out_of_call: u64,
    /// Datagrams that came faster than it read them.
    dropped: u64,
    /// What it says went wrong.
    pub(crate) errors: String,
}

impl Phones {
    /// Starts all three.
    pub(crate) async fn start() -> Self {
        Self {
            callee: Phone::start("callee", "load/sipp/callee", &[]).await,
            target: Phone::start("target", "load/sipp/callee", &[]).await,
            busy: Phone::start("busy", "interop/sipp/uas-busy", &[]).await,
        }
    }

    /// Calls the callee `calls` times, `rate` times in a second, through the server that takes SIP at
    /// the port `server`. Returns when every call is over.
    pub(crate) async fn call(&self, server: u16, calls: usize, rate: usize) -> Tally {
        let [calls, rate] = [calls, rate].map(|number| number.to_string());
        let (server, callee) = (format!("127.0.0.1:{server}"), self.callee.ports.sip.to_string());
        let arguments = ["-key", "callee_port", &callee, "-m", &calls, "-l", &calls, "-r", &rate];
        let arguments: Vec<&str> = arguments.into_iter().chain([&*server]).collect();
        let mut caller = Phone::start("caller", "load/sipp/caller", &arguments).await;
        let mut dropped = 0;
        let mut ticks = interval(Duration::from_millis(500));
        let exit = loop {
            tokio::select! {
                exit = caller.process.wait() => break exit.expect("sipp's exit status"),
                _ = ticks.tick() => dropped = drops(caller.ports.sip).unwrap_or(dropped),
            }
        };
        assert!(matches!(exit.code(), Some(0 | 1)), "sipp (caller) ended with {exit}");
        caller.tally(dropped)
    }

    /// Where the phone is that answers when a party is transferred to it.
    pub(crate) fn target(&self) -> String {
        self.target.uri()
    }

    /// Where the phone is that does not.
    pub(crate) fn busy(&self) -> String {
        self.busy.uri()
    }

    /// Has them leave when their calls are over, and returns what each counted.
    pub(crate) async fn finish(self) -> [Tally; 3] {
        [self.callee.leave().await, self.target.leave().await, self.busy.leave().await]
    }
}

/// A running sipp. Dropping it ends the process without a word to its peers.
struct Phone {
    name: &'static str,
    ports: Ports,
    process: Child,
    home: Home,
}

impl Phone {
    /// Starts the scenario `tests/{scenario}.xml`.
    async fn start(name: &'static str, scenario: &str, arguments: &[&str]) -> Self {
        let ports = Ports::take();
        let home = Home::new(&format!("sipp ({name})"), &["errors", "output"]);
        let [stdout, stderr] = home.outputs("output");
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut process = Command::new("sipp")
            .current_dir(home.path())
            .arg("-sf")
            .arg(tests.join(format!("{scenario}.xml")))
            .args(["-i", "127.0.0.1", "-p", &ports.sip.to_string()])
            .args(["-cp", &ports.control.to_string(), "-mp", &ports.media.to_string()])
            .args(["-timeout", "900s", "-timeout_error", "-nostdin", "-buff_size", "1000000"])
            .args(["-trace_err", "-error_file", "errors"])
            .args(["-trace_stat", "-stf", "statistics", "-fd", "1"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("sipp starts");
        poll(&format!("sipp ({name}) to open its port"), async || {
            let exit = process.try_wait().expect("the state of sipp's process");
            (exit.is_some() || drops(ports.sip).is_some()).then_some(())
        })
        .await;
        Self { name, ports, process, home }
    }

    fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    /// Sends SIGUSR1, upon which sipp waits for the calls it has and leaves.
    async fn leave(mut self) -> Tally {
        let dropped = drops(self.ports.sip).unwrap_or(0);
        let process = self.process.id().expect("sipp still runs");
        let sent = Command::new("sh").arg("-c").arg(format!("kill -USR1 {process}")).status().await;
        assert!(sent.expect("a shell").success(), "sipp ({}) is gone", self.name);
        let what = format!("sipp ({}) to see its last call end", self.name);
        let _: ExitStatus = expect(&what, self.process.wait()).await.expect("sipp's exit status");
        self.tally(dropped)
    }

    /// The last line of sipp's statistics, by the names in its first.
    fn tally(self, dropped: u64) -> Tally {
        let path = self.home.path().join("statistics");
        let text = fs::read_to_string(path).expect("sipp's statistics");
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let (head, last) =
            (lines.next().unwrap_or_default(), lines.next_back().unwrap_or_default());
        let count = |name: &str| {
            let at = head.split(';').position(|each| each == name);
            let at = at.unwrap_or_else(|| panic!("sipp counts no {name}"));
            last.split(';').nth(at).and_then(|count| count.parse().ok()).unwrap_or_else(|| {
                panic!("sipp ({}): no {name} in {last:?}", self.name);
            })
        };
        // It is written only when there are some.
        let errors = fs::read_to_string(self.home.path().join("errors")).unwrap_or_default();
        // The end of a call that waits five seconds and hangs up is written there, too.
        let errors = errors.split("\t17").filter(|each| each.contains("Aborting")).collect();
        Tally {
            name: self.name,
            dropped,
            errors,
            successful: count("SuccessfulCall(C)"),
            failed: count("FailedCall(C)"),
            unexpected: count("FailedUnexpectedMessage(C)"),
            retransmissions: count("Retransmissions(C)"),
            out_of_call: count("OutOfCallMsgs(C)"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, successful, failed, unexpected, out_of_call, .. } = self;
        let Self { retransmissions, dropped, .. } = self;
        write!(
            f,
            "sipp ({name}): {successful} calls went well, {failed} failed; {unexpected} unexpected \
             messages, {out_of_call} of no call, {retransmissions} retransmissions, {dropped} dropped"
        )
    }
}
