//! A client that watches every call, and commands some of them.
//!
//! It learns of calls as any watcher does, by `Subscribe`, and keeps the table of calls that follows
//! from what it is told. Every so many calls one that has just been established gets a [`Plan`]: some
//! commands, one after the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::lab::expect;
use crate::phones::Phones;

/// What is done to a call, or to two.
#[derive(Clone, Copy)]
enum Plan {
    HoldBoth,
    HoldCaller,
    HoldCallee,
    SendCaller,
    SendCalleeAndEnd,
    SendHeldCaller,
    SendToBusyPhone,
    Join,
    End,
}

/// In turn; those that end a call are no more than needed, so that most calls end as calls do.
const PLANS: [Plan; 9] = [
    Plan::HoldBoth,
    Plan::HoldCaller,
    Plan::SendCaller,
    Plan::SendToBusyPhone,
    Plan::Join,
    Plan::HoldCallee,
    Plan::SendCalleeAndEnd,
    Plan::SendHeldCaller,
    Plan::End,
];

/// How a command must end.
const WELL: &str = "went well";
const BUSY: &str = "target: 486";

/// A command to run.
struct Step {
    method: &'static str,
    params: Value,
    outcome: &'static str,
}

/// A command that runs, and those that come after it.
struct Running {
    step: Step,
    next: std::vec::IntoIter<Step>,
    sent: Instant,
    started: Option<Duration>,
    error: Option<String>,
}

/// The client.
pub(crate) struct Commands {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    target: String,
    busy: String,
    /// How many commands there are to be, and every how many calls a plan begins.
    wanted: usize,
    stride: usize,
    established: usize,
    plans: usize,
    sent: usize,
    /// The call that waits for another one to be joined with.
    waiting: Option<String>,
    running: HashMap<String, Running>,
    /// The calls there are, by the server's names for them.
    calls: HashSet<String>,
    /// The last event that was told.
    cursor: Value,
    report: Report,
}

/// What became of the commands.
#[derive(Default)]
pub(crate) struct Report {
    commands: usize,
    /// Commands by what they did and how they ended.
    outcomes: BTreeMap<(&'static str, String), usize>,
    /// How many ended otherwise than their phones made them end, and the first of these.
    surprises: Vec<String>,
    started: Vec<Duration>,
    ended: BTreeMap<&'static str, Vec<Duration>>,
    most_calls: usize,
    calls_left: Vec<String>,
    registrations_left: usize,
}

impl Commands {
    /// Connects, and watches from here on. Of `calls` calls some get commands, `wanted` in all.
    pub(crate) async fn connect(url: &str, calls: usize, wanted: usize, phones: &Phones) -> Self {
        let (socket, _) =
            expect("a WebSocket", connect_async(url)).await.expect("the server takes WebSockets");
        let mut client = Self {
            socket,
            target: phones.target(),
            busy: phones.busy(),
            wanted,
            stride: (calls / wanted.max(1)).max(1),
            established: 0,
            plans: 0,
            sent: 0,
            waiting: None,
            running: HashMap::new(),
            calls: HashSet::new(),
            cursor: Value::Null,
            report: Report::default(),
        };
        let opening = client.ask("Subscribe").await;
        assert_eq!(opening["calls"], json!([]), "the server begins without calls");
        client.cursor = opening["cursor"].clone();
        client
    }

    /// Follows the calls, with commands on some, until `placed` is over, and every call and command.
    /// Returns what `placed` did.
    pub(crate) async fn follow<T>(&mut self, placed: impl Future<Output = T>) -> T {
        let mut placed = std::pin::pin!(placed);
        let result = loop {
            tokio::select! {
                message = read(&mut self.socket) => self.on_message(&message).await,
                result = &mut placed => break result,
            }
        };
        while !(self.running.is_empty() && self.calls.is_empty()) {
            let message = read(&mut self.socket).await;
            self.on_message(&message).await;
        }
        result
    }

    /// Asks the server what it has left, and says how it went.
    pub(crate) async fn finish(mut self) -> Report {
        let calls = self.ask("CallList").await;
        let calls = calls["calls"].as_array().expect("a list").iter();
        self.report.calls_left = calls.map(Value::to_string).collect();
        let registrations = self.ask("RegistrationList").await;
        self.report.registrations_left =
            registrations["registrations"].as_array().expect("a list").len();
        self.report.commands = self.sent;
        self.report
    }

    async fn on_message(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("CallEvent") => self.on_call_event(params).await,
            Some("Event") => {}
            Some("Error") => {
                let data = &params["data"];
                let error = match data["sip_code"].as_u64() {
                    Some(code) => format!("{}: {code}", data["origin"].as_str().unwrap_or("?")),
                    None => format!("{}: {}", data["kind"], params["message"]),
                };
                self.command(params).error = Some(error);
            }
            Some("Ended") => self.on_ended(params).await,
            _ => {
                let result = &message["result"];
                assert_eq!(result["status"], "Started", "a command was not started: {message}");
                let running = self.command(result);
                running.started = Some(running.sent.elapsed());
            }
        }
    }

    async fn on_call_event(&mut self, params: &Value) {
        assert_eq!(params["prev"], self.cursor, "an event is missing before {params}");
        self.cursor = params["cursor"].clone();
        let id = params["call"]["id"].as_str().expect("a call has a name").to_owned();
        match params["event"].as_str() {
            Some("CALL_END") => drop(self.calls.remove(&id)),
            Some("CALL_ESTABLISHED") => {
                let call = params["call"]["callid"].as_str().expect("a Call-ID").to_owned();
                self.on_established(call).await;
            }
            _ => drop(self.calls.insert(id)),
        }
        self.report.most_calls = self.report.most_calls.max(self.calls.len());
    }

    async fn on_established(&mut self, call: String) {
        self.established += 1;
        if let Some(first) = self.waiting.take() {
            return self.run(self.join(&first, &call)).await;
        }
        if self.sent >= self.wanted || !self.established.is_multiple_of(self.stride) {
            return;
        }
        let plan = PLANS[self.plans % PLANS.len()];
        self.plans += 1;
        match plan {
            Plan::Join => self.waiting = Some(call),
            plan => self.run(self.steps(plan, &call)).await,
        }
    }

    fn steps(&self, plan: Plan, call: &str) -> Vec<Step> {
        let hold = |params: Value| step("CallHold", params);
        let unhold = |params: Value| step("CallUnHold", params);
        let send = |leg: &str, destination: &str| {
            let params = json!({"callid": call, "leg": leg, "destination": destination,
                "mode": "bridge"});
            step("CallBlindTransfer", params)
        };
        let (both, caller, callee) = (
            json!({"callid": call}),
            json!({"callid": call, "leg": "caller"}),
            json!({"callid": call, "leg": "callee"}),
        );
        match plan {
            Plan::HoldBoth => vec![hold(both.clone()), unhold(both)],
            Plan::HoldCaller => vec![hold(caller.clone()), unhold(caller)],
            Plan::HoldCallee => vec![hold(callee.clone()), unhold(callee)],
            Plan::SendCaller => vec![send("caller", &self.target)],
            // Two phones that are called have nobody to hang up.
            Plan::SendCalleeAndEnd => vec![send("callee", &self.target), step("CallEnd", both)],
            Plan::SendHeldCaller => vec![hold(both), send("caller", &self.target)],
            Plan::SendToBusyPhone => vec![Step { outcome: BUSY, ..send("callee", &self.busy) }],
            Plan::End => vec![step("CallEnd", both)],
            Plan::Join => unreachable!("it takes two calls"),
        }
    }

    /// The caller of one call is to talk to the callee of another.
    fn join(&self, first: &str, second: &str) -> Vec<Step> {
        let params = json!({"callid_a": first, "leg_a": "caller", "callid_b": second,
            "leg_b": "callee", "mode": "bridge"});
        vec![step("CallAttendedTransfer", params)]
    }

    async fn run(&mut self, steps: Vec<Step>) {
        self.go_on(steps.into_iter()).await;
    }

    /// Sends the next command, if there is one.
    async fn go_on(&mut self, mut next: std::vec::IntoIter<Step>) {
        let Some(step) = next.next() else { return };
        self.sent += 1;
        let cmd_id = format!("{}-{}", self.cursor.as_str().unwrap_or_default(), self.sent);
        let mut params = step.params.clone();
        params["cmd_id"] = json!(cmd_id);
        let request =
            json!({"jsonrpc": "2.0", "id": cmd_id, "method": step.method, "params": params});
        let running = Running { step, next, sent: Instant::now(), started: None, error: None };
        self.running.insert(cmd_id, running);
        self.socket.send(Message::text(request.to_string())).await.expect("the server reads");
    }

    async fn on_ended(&mut self, params: &Value) {
        let cmd_id = params["cmd_id"].as_str().unwrap_or_default();
        let running = self.running.remove(cmd_id);
        let Running { step, next, sent, started, error } =
            running.unwrap_or_else(|| panic!("no such command runs: {params}"));
        self.report.started.push(started.expect("Started comes first"));
        self.report.ended.entry(step.method).or_default().push(sent.elapsed());
        let outcome = error.unwrap_or_else(|| WELL.to_owned());
        if outcome != step.outcome {
            self.report.surprises.push(format!("{} {}: {outcome}", step.method, step.params));
        }
        *self.report.outcomes.entry((step.method, outcome)).or_default() += 1;
        self.go_on(next).await;
    }

    fn command(&mut self, params: &Value) -> &mut Running {
        let cmd_id = params["cmd_id"].as_str().unwrap_or_default();
        self.running.get_mut(cmd_id).unwrap_or_else(|| panic!("no such command runs: {params}"))
    }

    /// The result of a query, while nothing else is said.
    async fn ask(&mut self, query: &str) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": query, "method": query, "params": {}});
        self.socket.send(Message::text(request.to_string())).await.expect("the server reads");
        let mut reply = expect("the reply to a query", read(&mut self.socket)).await;
        assert_eq!(reply["id"], query, "a reply to something else: {reply}");
        reply["result"].take()
    }
}

fn step(method: &'static str, params: Value) -> Step {
    Step { method, params, outcome: WELL }
}

async fn read(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Value {
    loop {
        let frame = socket.next().await.expect("the server keeps the connection");
        if let Message::Text(text) = frame.expect("a WebSocket frame") {
            return serde_json::from_str(&text).expect("the server speaks JSON");
        }
    }
}

impl Report {
    /// All that was wanted was done, every command ended as its phones made it end, and nothing is
    /// left.
    pub(crate) fn assert_as_the_phones_made_it(&self, wanted: usize) {
        assert_eq!(self.surprises, [""; 0], "no error that a phone did not cause");
        assert_eq!(self.calls_left, [""; 0], "no call is left");
        assert_eq!(self.registrations_left, 0, "no registration is left");
        assert!(self.commands >= wanted, "only {} commands of {wanted}", self.commands);
        let busy = self.outcomes.keys().filter(|(_, outcome)| outcome == BUSY).count();
        assert_eq!(busy, 1, "a busy phone was tried");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} commands, {} calls at a time at most", self.commands, self.most_calls)?;
        for ((method, outcome), count) in &self.outcomes {
            writeln!(f, "  {method}: {count} {outcome}")?;
        }
        writeln!(f, "  to Started: {}", Percentiles::of(&self.started))?;
        for (method, times) in &self.ended {
            writeln!(f, "  {method} to Ended: {}", Percentiles::of(times))?;
        }
        write!(
            f,
            "left: {} calls, {} registrations",
            self.calls_left.len(),
            self.registrations_left
        )
    }
}

struct Percentiles {
    half: Duration,
    most: Duration,
    all: Duration,
}

impl Percentiles {
    fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| {
            sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
        };
        let [half, most, all] = [50, 99, 100].map(|percent| at(percent).unwrap_or_default());
        Self { half, most, all }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { half, most, all } = self;
        write!(f, "p50 {half:.2?}, p99 {most:.2?}, at most {all:.2?}")
    }
}
