//! One call of sipp, by a scenario that is named after what the phone does in it.
//!
//! sipp plays phones that are hard to find: one that refuses REFER, one that accepts it and then
//! forgets. And it reads what other phones show to nobody: a scenario may say which headers a message
//! must have. A scenario is strict: a message it does not expect, or a call that is never taken down,
//! ends sipp with an error. So [`Sipp::finish`] also proves that every message had its place and
//! that no dialog was left behind.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::lab::{Home, Ports, expect, poll};

/// What a single call keeps for those who look why it failed.
const TRACE: [&str; 3] = ["-trace_msg", "-message_file", "messages"];

/// A running scenario. Dropping it ends the process without a word to its peers.
pub(crate) struct Sipp {
    scenario: &'static str,
    ports: Ports,
    process: Child,
    _home: Home,
}

impl Sipp {
    /// Starts the scenario `tests/interop/sipp/{scenario}.xml`: a phone that waits for one call.
    pub(crate) async fn start(scenario: &'static str) -> Self {
        Self::start_with(scenario, "1", &TRACE).await
    }

    /// The same, where the scenario says `[address]` for somebody's SIP URI.
    pub(crate) async fn start_knowing(scenario: &'static str, address: &str) -> Self {
        let options = [&TRACE[..], &["-key", "address", address]].concat();
        Self::start_with(scenario, "1", &options).await
    }

    /// Starts a phone that sends its requests to this port of loopback, and calls the SIP URI for
    /// which the scenario says `[address]`.
    pub(crate) async fn call(scenario: &'static str, address: &str, port: u16) -> Self {
        let server = format!("127.0.0.1:{port}");
        let options = [&TRACE[..], &["-key", "address", address, &server]].concat();
        Self::start_with(scenario, "1", &options).await
    }

    /// Starts a phone that takes any number of calls, and sees only that each goes as the scenario
    /// says.
    pub(crate) async fn start_many(scenario: &'static str) -> Self {
        Self::start_with(scenario, "1000000", &["-l", "10000", "-buff_size", "4194304"]).await
    }

    async fn start_with(scenario: &'static str, calls: &str, options: &[&str]) -> Self {
        let ports = Ports::take();
        let home = Home::new(&format!("sipp ({scenario})"), &["messages", "errors", "output"]);
        let [stdout, stderr] = home.outputs("output");
        let mut process = Command::new("sipp")
            .current_dir(home.path())
            .arg("-sf")
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join(format!("tests/interop/sipp/{scenario}.xml")),
            )
            .args(["-i", "127.0.0.1", "-p", &ports.sip.to_string()])
            .args(["-cp", &ports.control.to_string(), "-mp", &ports.media.to_string()])
            .args(["-m", calls, "-timeout", "90s", "-timeout_error", "-nostdin"])
            .args(["-trace_err", "-error_file", "errors"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("sipp starts");
        poll(&format!("sipp ({scenario}) to open its port"), async || {
            let exit = process.try_wait().expect("the state of sipp's process");
            (exit.is_some() || is_bound(ports.sip)).then_some(())
        })
        .await;
        Self { scenario, ports, process, _home: home }
    }

    /// Where the phone takes calls, as the user `name`.
    pub(crate) fn uri(&self, name: &str) -> String {
        format!("sip:{name}@127.0.0.1:{}", self.ports.sip)
    }

    /// Waits until the call is over, and checks that it went as the scenario says.
    pub(crate) async fn finish(mut self) {
        let what = format!("sipp ({}) to see its call through", self.scenario);
        let status = expect(&what, self.process.wait()).await.expect("sipp's exit status");
        assert!(
            status.success(),
            "sipp ({}) saw something else than its scenario: {status}",
            self.scenario
        );
    }
}

/// Whether somebody has a UDP socket on `port`. Binding it to find out could win the race against
/// sipp itself.
fn is_bound(port: u16) -> bool {
    let sockets = fs::read_to_string("/proc/net/udp").expect("Linux lists its UDP sockets");
    sockets.contains(&format!(":{port:04X} "))
}
