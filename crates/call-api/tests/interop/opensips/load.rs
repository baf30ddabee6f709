//! Many commands at once on one OpenSIPS, with numbers. Not among the tests that run by default:
//! `OPENSIPS_BIN=… cargo test --release -p call-api --test interop opensips::load -- --ignored --nocapture --test-threads 1`
//!
//! What is asserted is the truth: every command ends once, the calls that clients were told of are
//! there, and no other ones. What is only printed depends on the machine, which proxy and phones share.

use std::collections::HashMap;
use std::fs;
use std::io::{Write as _, stderr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::{Lab, Opensips};
use crate::lab::expect_within;
use crate::server::Server;
use crate::sipp::Sipp;

/// The longest that a whole load may take.
const LIMIT: Duration = Duration::from_secs(120);

/// One `CallStart` on a thousand, all at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load: see above"]
async fn a_thousand_call_starts_at_once_end_with_the_truth() {
    let Some(lab) = Lab::start().await else { return };
    let phones = Phones::start().await;
    let before = Usage::of(&lab);
    let began = Instant::now();
    let runs = run(&lab.server.url(), phones.starts(1000), Duration::ZERO).await;
    report("1,000 CallStart at once", &runs, began, before.until(&lab));
    tell_the_truth(&lab, &runs).await;
}

/// `CallStart` at several rates.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load: see above"]
async fn call_starts_at_a_rate() {
    for rate in [20, 50, 100, 200, 300] {
        let Some(lab) = Lab::start().await else { return };
        let phones = Phones::start().await;
        let before = Usage::of(&lab);
        let began = Instant::now();
        let pace = Duration::from_secs(1) / rate;
        let runs = run(&lab.server.url(), phones.starts(rate * 5), pace).await;
        report(&format!("CallStart at {rate}/s"), &runs, began, before.until(&lab));
        tell_the_truth(&lab, &runs).await;
    }
}

/// Commands that the proxy answers at once, one after the other on each of some connections.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load: see above"]
async fn call_ends_that_find_no_call() {
    let Some(lab) = Lab::start().await else { return };
    for connections in [1_u32, 50] {
        let url = lab.server.url();
        let before = Usage::of(&lab);
        let began = Instant::now();
        let clients = (0..connections).map(|client| {
            let url = url.clone();
            tokio::spawn(async move {
                let mut runs = Vec::new();
                let mut socket = connect_async(&url).await.expect("a WebSocket").0;
                for command in 0..10_000 / connections {
                    let params =
                        json!({"callid": "nobody", "cmd_id": format!("{connections}-{client}-{command}")});
                    runs.push(one(&mut socket, "CallEnd", params).await);
                }
                runs
            })
        });
        let mut runs = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            runs.extend(client.await.expect("a client that ends"));
        }
        report(
            &format!("CallEnd (404), {connections} at a time"),
            &runs,
            began,
            before.until(&lab),
        );
    }
}

/// How long a command takes to the proxy.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load: see above"]
async fn the_way_to_the_proxy() {
    let Some(proxy) = Opensips::start().await else { return };
    let relay = Relay::start(proxy.mi_port()).await;
    let settings = format!(
        "mi:\n  url: 127.0.0.1:{}\nsip:\n  uri: sip:127.0.0.1:{}\n",
        relay.port,
        proxy.port()
    );
    let server = Server::start_before_proxy(&settings).await;
    let mut socket = connect_async(server.url()).await.expect("a WebSocket").0;
    let busy = Sipp::start_many("uas-busy").await;
    for method in ["CallEnd", "CallStart"] {
        let mut times = Vec::new();
        for number in 0..200 {
            let params = match method {
                "CallEnd" => json!({"callid": "nobody", "cmd_id": format!("end-{number}")}),
                _ => json!({
                    "caller": busy.uri("alice"), "callee": "sip:bob@127.0.0.1",
                    "cmd_id": format!("start-{number}")
                }),
            };
            let sent = Instant::now();
            relay.forget();
            one(&mut socket, method, params).await;
            let wanted = if method == "CallEnd" { "dlg_end_dlg" } else { "t_uac_dlg" };
            times.extend(relay.first(wanted).map(|at| at.saturating_duration_since(sent)));
        }
        say(&format!(
            "{method}: from the client's frame to the proxy's datagram: {}",
            spread(times)
        ));
    }
}

/// A caller and a callee for any number of calls.
struct Phones {
    alice: Sipp,
    bob: Sipp,
}

impl Phones {
    async fn start() -> Self {
        let alice = Sipp::start_many("caller-takes-refer").await;
        let bob = Sipp::start_many("uas-answers-and-hangs-on").await;
        Self { alice, bob }
    }

    /// So many `CallStart`, each with a `cmd_id` of its own.
    fn starts(&self, count: u32) -> Vec<(&'static str, Value)> {
        let command = |number| {
            let cmd_id = format!("start-{number}");
            let params = json!({
                "caller": self.alice.uri("alice"), "callee": self.bob.uri("bob"), "cmd_id": cmd_id,
                "timeout_ms": 60_000
            });
            ("CallStart", params)
        };
        (0..count).map(command).collect()
    }
}

/// What became of one command.
#[derive(Clone, Debug)]
struct Timed {
    sent: Instant,
    started: Option<Instant>,
    ended: Option<Instant>,
    error: Option<Value>,
    call_id: Option<String>,
}

impl Timed {
    fn sent_now() -> Self {
        Self { sent: Instant::now(), started: None, ended: None, error: None, call_id: None }
    }

    /// Takes a message about the command.
    fn take(&mut self, message: &Value) {
        assert!(self.ended.is_none(), "a message after Ended: {message}");
        let now = Instant::now();
        match message["method"].as_str() {
            None => {
                assert_eq!(message["result"]["status"], "Started", "{message}");
                assert!(self.started.replace(now).is_none(), "started twice: {message}");
            }
            Some("Error") => self.error = Some(message["params"].clone()),
            Some("Ended") => {
                self.call_id = message["params"]["callid"].as_str().map(str::to_owned);
                self.ended = Some(now);
            }
            Some(_) => {}
        }
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Sends commands at a pace on one connection, and reads until each has ended.
async fn run(url: &str, commands: Vec<(&'static str, Value)>, pace: Duration) -> Vec<Timed> {
    let (mut write, mut read) = connect_async(url).await.expect("a WebSocket").0.split();
    let mut runs: HashMap<String, Timed> = HashMap::new();
    let count = commands.len();
    let mut commands = commands.into_iter();
    let mut ticks = interval(pace.max(Duration::from_nanos(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut open = count;
    expect_within(LIMIT, "every command to end", async {
        while open > 0 {
            tokio::select! {
                _ = ticks.tick(), if commands.len() > 0 => {
                    let (method, params) = commands.next().expect("there is one");
                    let id = params["cmd_id"].as_str().expect("a cmd_id").to_owned();
                    let text = request(method, params).to_string();
                    runs.insert(id, Timed::sent_now());
                    write.send(Message::text(text)).await.expect("the server reads");
                }
                frame = read.next() => {
                    let Some(message) = message(frame) else { continue };
                    let run = runs.get_mut(cmd_id(&message)).expect("a command of ours");
                    run.take(&message);
                    open -= usize::from(run.ended.is_some());
                }
            }
        }
    })
    .await;
    runs.into_values().collect()
}

/// Runs one command.
async fn one(socket: &mut Socket, method: &str, params: Value) -> Timed {
    let text = request(method, params).to_string();
    let mut run = Timed::sent_now();
    socket.send(Message::text(text)).await.expect("the server reads");
    while run.ended.is_none() {
        if let Some(message) = message(socket.next().await) {
            run.take(&message);
        }
    }
    run
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": params["cmd_id"], "method": method, "params": params})
}

fn message(frame: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Option<Value> {
    match frame.expect("the server keeps the connection").expect("a WebSocket frame") {
        Message::Text(text) => Some(serde_json::from_str(&text).expect("the server speaks JSON")),
        _ => None,
    }
}

/// The command that a message is about. Requests have the same `id`.
fn cmd_id(message: &Value) -> &str {
    message["params"]["cmd_id"].as_str().or(message["id"].as_str()).expect("a cmd_id")
}

/// Checks that the calls which stand are those that clients were told of, then ends them.
async fn tell_the_truth(lab: &Lab, runs: &[Timed]) {
    let mut told: Vec<&str> = runs.iter().filter_map(|run| run.call_id.as_deref()).collect();
    told.sort_unstable();
    lab.proxy.has_only_calls(&told).await;
    let ends = told.iter().enumerate().map(|(number, call_id)| {
        ("CallEnd", json!({"callid": call_id, "cmd_id": format!("end-{number}")}))
    });
    let ends = run(&lab.server.url(), ends.collect(), Duration::from_millis(2)).await;
    let failed: Vec<&Timed> = ends.iter().filter(|end| end.error.is_some()).collect();
    assert!(failed.is_empty(), "CallEnd of a call that stands failed: {failed:?}");
    lab.proxy.has_only_calls(&[]).await;
}

/// Prints what became of some commands.
fn report(what: &str, runs: &[Timed], began: Instant, usage: Usage) {
    let took = began.elapsed();
    let mut errors: HashMap<String, u32> = HashMap::new();
    for error in runs.iter().filter_map(|run| run.error.as_ref()) {
        *errors.entry(error["message"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let succeeded = runs.iter().filter(|run| run.error.is_none()).count();
    let since = |moment: fn(&Timed) -> Option<Instant>| {
        let times = runs.iter().filter_map(|run| Some(moment(run)?.duration_since(run.sent)));
        spread(times.collect())
    };
    let rate = runs.len() as f64 / took.as_secs_f64();
    say(&format!(
        "{what}: {succeeded} of {} succeeded in {took:.2?} ({rate:.0}/s)\n  to Started {}\n  to Ended {}\n  {usage}\n  errors {errors:?}",
        runs.len(),
        since(|run| run.started),
        since(|run| run.ended),
    ));
}

/// Median, 99th percentile and maximum.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    match times.is_empty() {
        true => "never".to_owned(),
        false => format!("p50 {:.2?} p99 {:.2?} max {:.2?}", at(0.5), at(0.99), at(1.0)),
    }
}

fn say(line: &str) {
    // A terminal that is gone is no reason to fail.
    let _ = writeln!(stderr(), "{line}");
}

/// What the server and the proxy have used.
struct Usage {
    server: Duration,
    proxy: Duration,
    /// Resident, in KiB.
    server_memory: u64,
    /// The same for all processes of the proxy, shared memory counted once.
    proxy_memory: u64,
}

impl Usage {
    fn of(lab: &Lab) -> Self {
        let server = [lab.server.process()];
        let proxy = processes_of(lab.proxy.group());
        Self {
            server: server.iter().copied().map(cpu_time).sum(),
            proxy: proxy.iter().copied().map(cpu_time).sum(),
            server_memory: server.iter().copied().map(memory).sum(),
            proxy_memory: proxy.iter().copied().map(memory).sum(),
        }
    }

    /// The time used since, and the memory now.
    fn until(&self, lab: &Lab) -> Self {
        let now = Self::of(lab);
        Self { server: now.server - self.server, proxy: now.proxy - self.proxy, ..now }
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, proxy, server_memory, proxy_memory } = self;
        write!(
            f,
            "call-api {server:.2?} of CPU, {server_memory} KiB; OpenSIPS {proxy:.2?} of CPU, {proxy_memory} KiB"
        )
    }
}

/// The fields of `/proc/PID/stat` from the third on, after the name.
fn stat(process: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().map(str::to_owned).collect()
}

fn processes_of(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("Linux lists its processes");
    let processes = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(|process| stat(*process).get(2) == Some(&group.to_string())).collect()
}

fn cpu_time(process: u32) -> Duration {
    let stat = stat(process);
    let ticks = |at: usize| stat.get(at).and_then(|field| field.parse().ok()).unwrap_or(0_u64);
    // In hundredths of a second, on every Linux that there is.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// Proportional set size, in KiB.
fn memory(process: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Stands between server and management interface, and notes when requests pass.
struct Relay {
    port: u16,
    seen: Arc<Mutex<Vec<(Instant, String)>>>,
    forwarding: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start(to: u16) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = server.local_addr().expect("an address").port();
        let proxy = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        proxy.connect(("127.0.0.1", to)).await.expect("an address of loopback");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let forwarding = tokio::spawn(async move {
            let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
            let mut peer = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = server.recv_from(&mut request) => {
                        let now = Instant::now();
                        let text = String::from_utf8_lossy(&request[..length]).into_owned();
                        notes.lock().expect("no holder panics").push((now, text));
                        peer = Some(from);
                        let _ = proxy.send(&request[..length]).await;
                    }
                    Ok(length) = proxy.recv(&mut answer) => {
                        if let Some(peer) = peer {
                            let _ = server.send_to(&answer[..length], peer).await;
                        }
                    }
                }
            }
        });
        Self { port, seen, forwarding }
    }

    fn forget(&self) {
        self.seen.lock().expect("no holder panics").clear();
    }

    /// When the first request with this word in it passed.
    fn first(&self, word: &str) -> Option<Instant> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.iter().find(|(_, text)| text.contains(word)).map(|(at, _)| *at)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}
