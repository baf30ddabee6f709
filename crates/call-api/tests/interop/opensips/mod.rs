//! Call API in front of a real OpenSIPS, with the configuration of `examples/opensips/`.
//!
//! OpenSIPS is in no distribution, so these tests run where `OPENSIPS_BIN` names its program, and
//! `OPENSIPS_MODULES` the directory of its modules unless that stands in the example. Elsewhere they
//! say aloud that they were skipped. Phones and clients are those of the other interop tests, and
//! what a client reads of a command is what it reads of one on the engine.

mod calls;
mod failures;
mod load;
mod outages;
mod transfers;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::baresip::Baresip;
use crate::client::{Client, Run};
use crate::lab::{Home, Ports, Tool, can_use, expect, poll};
use crate::phone::{Account, Answer, Phone as _};
use crate::server::Server;

/// How long the management interface may take to answer what it knows.
const ANSWER: Duration = Duration::from_secs(1);

/// A running OpenSIPS. Dropping it kills its processes.
pub(crate) struct Opensips {
    binary: PathBuf,
    configuration: PathBuf,
    ports: Ports,
    process: Child,
    /// The process group, which outlives a killed first process.
    group: u32,
    _home: Home,
}

impl Opensips {
    /// Starts the proxy on ports of its own and returns when it answers; `None` where there is none
    /// to start.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|example| example).await
    }

    /// The same, with a changed configuration.
    pub(crate) async fn start_with(change: fn(String) -> String) -> Option<Self> {
        let Some(binary) = env::var_os("OPENSIPS_BIN").filter(|path| !path.is_empty()) else {
            static SAID: Once = Once::new();
            // A terminal that is gone is no reason to fail.
            SAID.call_once(|| {
                let _ = writeln!(
                    stderr(),
                    "\n*** SKIPPED *** the tests with a real OpenSIPS: OPENSIPS_BIN does not say where it is\n"
                );
            });
            return None;
        };
        if !can_use(&[Tool::Baresip, Tool::Sipp]) {
            return None;
        }
        let ports = Ports::take();
        let home = Home::new("OpenSIPS", &["output"]);
        let configuration = home.path().join("opensips.cfg");
        fs::write(&configuration, change(example(&ports))).expect("the proxy's configuration");
        let binary = PathBuf::from(binary);
        let (process, group) = spawn(&binary, &configuration, &home);
        let proxy = Self { binary, configuration, ports, process, group, _home: home };
        proxy.wait_until_up().await;
        Some(proxy)
    }

    /// Ends every process of the proxy without a word to anybody, as a crash does.
    pub(crate) async fn kill(&mut self) {
        kill_group(self.group);
        expect("OpenSIPS to be gone", self.process.wait()).await.expect("its exit status");
    }

    /// Starts it again after [`Opensips::kill`], on the same ports, knowing nothing.
    pub(crate) async fn restart(&mut self) {
        (self.process, self.group) = spawn(&self.binary, &self.configuration, &self._home);
        self.wait_until_up().await;
    }

    async fn wait_until_up(&self) {
        poll("OpenSIPS to answer", async || self.ask("version", json!({})).await).await;
    }

    /// Where the proxy takes SIP.
    pub(crate) fn port(&self) -> u16 {
        self.ports.sip
    }

    /// Where it takes requests of its management interface.
    pub(crate) fn mi_port(&self) -> u16 {
        self.ports.control
    }

    /// Where it takes the same over HTTP, when it is configured.
    pub(crate) fn http_port(&self) -> u16 {
        self.ports.media
    }

    /// The first process and its children.
    pub(crate) fn group(&self) -> u32 {
        self.group
    }

    /// The address of a user whose phone is registered.
    pub(crate) fn uri(&self, user: &str) -> String {
        format!("sip:{user}@127.0.0.1:{}", self.ports.sip)
    }

    /// Asks the management interface; `None` when it does not answer.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Option<Value> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(("127.0.0.1", self.ports.control)).await.expect("an address of loopback");
        // An object without members is as good as none, but for OpenSIPS 3.
        let request = match params.as_object().is_some_and(serde_json::Map::is_empty) {
            true => json!({"jsonrpc": "2.0", "id": "1", "method": method}),
            false => json!({"jsonrpc": "2.0", "id": "1", "method": method, "params": params}),
        };
        let mut answer = vec![0; 65_536];
        socket.send(request.to_string().as_bytes()).await.ok()?;
        let length = timeout(ANSWER, socket.recv(&mut answer)).await.ok()?.ok()?;
        let answer: Value = serde_json::from_slice(&answer[..length]).ok()?;
        Some(answer["result"].clone())
    }

    /// The calls the proxy has that are not over, by Call-ID, with their state.
    pub(crate) async fn calls(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        let mut index = 0;
        loop {
            let page = self.ask("dlg_list", json!({"index": index, "counter": PAGE})).await;
            let page = page.expect("the proxy lists its dialogs");
            let dialogs = page["Dialogs"].as_array().expect("a list of dialogs");
            for dialog in dialogs {
                let state = dialog["state"].as_u64().expect("a state");
                if state < DELETED {
                    let call_id = dialog["callid"].as_str().expect("a Call-ID").to_owned();
                    calls.insert(call_id, state);
                }
            }
            if dialogs.len() < PAGE {
                return calls;
            }
            index += PAGE;
        }
    }

    /// What the proxy says it is: "OpenSIPS (4.0.1 (x86_64/linux))".
    pub(crate) async fn version(&self) -> String {
        let version = self.ask("version", json!({})).await.expect("the proxy says what it is");
        version["Server"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until these are all the calls that the proxy has.
    pub(crate) async fn has_only_calls(&self, call_ids: &[&str]) {
        let what = format!("the calls {call_ids:?} to be all that the proxy has");
        poll(&what, async || {
            self.calls().await.into_keys().eq(call_ids.iter().copied()).then_some(())
        })
        .await;
    }
}

/// How many dialogs are asked for at once: more may not fit a datagram.
const PAGE: usize = 20;

/// The state of a dialog that is over and still listed, for some seconds.
const DELETED: u64 = 5;

impl Drop for Opensips {
    fn drop(&mut self) {
        kill_group(self.group);
    }
}

/// Starts the processes of a proxy, in a group of their own.
fn spawn(binary: &Path, configuration: &Path, home: &Home) -> (Child, u32) {
    let [stdout, stderr] = home.outputs("output");
    let process = Command::new(binary)
        .args(["-F", "-m", "256", "-w"])
        .arg(home.path())
        .arg("-f")
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .expect("OPENSIPS_BIN starts");
    let group = process.id().expect("a process that was just started");
    (process, group)
}

/// The processes may be gone already.
fn kill_group(group: u32) {
    let kill = format!("kill -KILL -{group} 2>&-");
    let _ = std::process::Command::new("sh").arg("-c").arg(kill).status();
}

/// The example configuration with these ports, and a log that a failing test shows.
fn example(ports: &Ports) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/opensips/opensips.cfg");
    let mut text = fs::read_to_string(path).expect("the example configuration");
    let mut replace = |from: &str, to: &str| {
        assert!(text.contains(from), "the example configuration has no {from}");
        text = text.replace(from, to);
    };
    replace("127.0.0.1:5060", &format!("127.0.0.1:{}", ports.sip));
    replace("127.0.0.1:8080", &format!("127.0.0.1:{}", ports.control));
    replace("\"port\", 8888", &format!("\"port\", {}", ports.media));
    if let Some(modules) = env::var_os("OPENSIPS_MODULES") {
        let modules = modules.to_str().expect("OPENSIPS_MODULES is a path in UTF-8");
        replace("/usr/lib/x86_64-linux-gnu/opensips/modules/", &format!("{modules}/"));
    }
    text
}

/// A proxy with a server in front and a client of it.
pub(crate) struct Lab {
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) proxy: Opensips,
}

impl Lab {
    /// Starts all three; `None` where there is no OpenSIPS.
    pub(crate) async fn start() -> Option<Self> {
        let proxy = Opensips::start().await?;
        let server = before(&[&proxy]).await;
        Some(Self { client: server.client().await, server, proxy })
    }

    /// Starts a server with these settings, which say how it reaches the proxy.
    pub(crate) async fn of(proxy: Opensips, mi: &str) -> Self {
        let settings = format!("mi:\n{mi}sip:\n  uri: sip:127.0.0.1:{}\n", proxy.port());
        let server = Server::start_before_proxy(&settings).await;
        Self { client: server.client().await, server, proxy }
    }

    /// Starts the phone of a user of the proxy.
    pub(crate) async fn phone(&self, name: &'static str, answer: Answer) -> Baresip {
        let port = self.proxy.port();
        let proxy = format!("sip:127.0.0.1:{port}");
        let account =
            Account { answer, ..Account::of(name) }.registered(port, "none").behind(&proxy);
        let mut phone = Baresip::start_as(account).await;
        phone.registers(true).await;
        phone
    }

    /// Has two registered phones of these users talk; returns them and the Call-ID of their call.
    pub(crate) async fn call(
        &self,
        caller: &'static str,
        callee: &'static str,
    ) -> (Baresip, Baresip, String) {
        let mut alice = self.phone(caller, Answer::Auto).await;
        let mut bob = self.phone(callee, Answer::Auto).await;
        let call_id = self.dial(&mut alice, &self.proxy.uri(callee)).await;
        bob.establishes_call(&call_id).await;
        (alice, bob, call_id)
    }

    /// Has a phone call somebody who answers; returns the Call-ID.
    pub(crate) async fn dial(&self, phone: &mut Baresip, to: &str) -> String {
        phone.dial(to).await;
        let call_id = phone.establishes().await.call_id;
        self.is_confirmed(&call_id).await;
        call_id
    }

    /// Waits until the proxy has seen a call's ACK.
    pub(crate) async fn is_confirmed(&self, call_id: &str) {
        poll("the call to be confirmed", async || {
            (self.proxy.calls().await.get(call_id) == Some(&4)).then_some(())
        })
        .await;
    }

    /// Runs a command from its request to its `Ended`.
    pub(crate) async fn run(&mut self, method: &str, params: Value) -> Run {
        self.client.run(method, params).await
    }
}

/// Starts a server in front of these proxies.
pub(crate) async fn before(proxies: &[&Opensips]) -> Server {
    let urls: Vec<String> =
        proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.mi_port())).collect();
    let next_hop = proxies.first().map_or(0, |proxy| proxy.port());
    let settings =
        format!("mi:\n  urls: [{}]\nsip:\n  uri: sip:127.0.0.1:{next_hop}\n", urls.join(", "));
    Server::start_before_proxy(&settings).await
}
