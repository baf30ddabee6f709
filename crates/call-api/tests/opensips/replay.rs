//! Conversations recorded with a real OpenSIPS, played back: what it said (`MI<`, `EVT`) is said to
//! this server, and what a client reads of it is compared with files in `replayed/`.
//!
//! The server that was recorded asked otherwise than this one: it ended its helper with a BYE of its
//! own and never looked into a dialog. Those questions are answered by what the recorded SIP messages
//! show of the dialog at that moment. `captures/README.md` tells where the recordings come from.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use call_api::backend::opensips::events::Happened;
use call_api::backend::opensips::link::{Arrival, FarEnd, Link};
use call_api::backend::opensips::mi::reply::Reply;
use call_api::backend::opensips::{OpenSips, Proxy, Settings};
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
use expect_test::expect_file;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Client;

/// Longer than any recording waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opensips").join(name)
}

/// Every recording: its name and its timeline.
pub(crate) fn recordings() -> Vec<(String, Vec<Line>)> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder("captures")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let timeline = |path: &Path| {
        let mut lines = lines(&std::fs::read_to_string(path).unwrap());
        let unseen = sent_unseen(&name(path), &lines);
        lines.extend(unseen);
        lines.sort_by_key(|line| line.at);
        lines
    };
    paths.iter().map(|path| (name(path), timeline(path))).collect()
}

/// One line of a timeline.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    at: Duration,
    pub(crate) kind: String,
    from: String,
    to: String,
    pub(crate) text: String,
}

fn lines(recording: &str) -> Vec<Line> {
    let timeline = recording.split("# ---------- SIP messages").next().unwrap();
    let line = |line: String| {
        let (at, rest) = line.trim_start().split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let (addresses, text) = rest.trim_start().split_once("  ")?;
        let (from, to) = addresses.split_once(" -> ")?;
        Some(Line {
            at: Duration::from_secs_f64(at.parse().ok()?),
            kind: kind.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            text: text.to_owned(),
        })
    };
    timeline.lines().flat_map(events_of_a_stream).filter_map(line).collect()
}

/// A line of its own for each event that came over TCP. One with another method is a second
/// subscription of the recorded tool, and none of ours.
fn events_of_a_stream(line: &str) -> Vec<String> {
    let Some((at, text)) = line.split_once(" --- TCP event_stream got: ") else {
        return vec![line.to_owned()];
    };
    let events = serde_json::Deserializer::from_str(text).into_iter::<Value>().map(Result::unwrap);
    let ours = events.filter(|event| event["method"].as_str().unwrap().starts_with("E_"));
    ours.map(|event| format!("{at} EVT proxy -> tool  {event}")).collect()
}

/// What clients sent in recordings that show only what came of it.
fn sent_unseen(name: &str, lines: &[Line]) -> Vec<Line> {
    const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"Echo","params":{"a":"b"}}"#;
    const START: &str = r#"{"jsonrpc":"2.0","id":"x1","method":"CallStart","params":{"callee":"sip:bob@127.0.0.1","caller":"sip:alice@127.0.0.1"}}"#;
    const END: &str = r#"{"jsonrpc":"2.0","id":1,"method":"CallEnd","params":{"callid":"nope"}}"#;
    let frame = |(at, text): (f64, &str)| Line {
        at: Duration::from_secs_f64(at),
        kind: "WS>".to_owned(),
        from: "ws".to_owned(),
        to: "call-api".to_owned(),
        text: text.to_owned(),
    };
    match name {
        "38-event-stream" => [
            (0.47, r#"{"jsonrpc":"2.0","id":1,"method":"CallHold","params":{"callid":"c55d93e89d65771f"}}"#),
            (1.0, r#"{"jsonrpc":"2.0","id":2,"method":"CallBlindTransfer","params":{"callid":"c55d93e89d65771f","leg":"callee","destination":"sip:cindy@127.0.0.1"}}"#),
        ]
        .map(frame)
        .to_vec(),
        // The longest that the recorded server lived.
        "60-echo-till-death" => [(0.0, ECHO); 64].map(frame).to_vec(),
        // All but the first two.
        "64-concurrent-callend" => {
            let ends = lines.iter().filter_map(|line| Some((line.at, Recorded::read(line)?)));
            let unseen = ends.filter(|(at, _)| *at > Duration::from_secs(1));
            let text = |callid: &Value| END.replace("\"nope\"", &callid.to_string());
            let frame = |(at, end): (Duration, Recorded)| {
                frame((at.as_secs_f64() - 0.000_01, &text(&end.params["dialog_id"])))
            };
            unseen.map(frame).collect()
        }
        "84-own-callstart-over-mi" => [(0.01, START)].map(frame).to_vec(),
        "91-v36-hold-transfer" => [
            (0.2, r#"{"jsonrpc":"2.0","id":1,"method":"CallHold","params":{"callid":"c2c6e76c520f44f4","leg":"caller"}}"#),
            (0.22, r#"{"jsonrpc":"2.0","id":2,"method":"CallHold","params":{"callid":"c2c6e76c520f44f4"}}"#),
            (0.7, r#"{"jsonrpc":"2.0","id":3,"method":"CallUnHold","params":{"callid":"c2c6e76c520f44f4"}}"#),
            (1.1, r#"{"jsonrpc":"2.0","id":4,"method":"CallBlindTransfer","params":{"callid":"c2c6e76c520f44f4","leg":"callee","destination":"sip:cindy@127.0.0.1"}}"#),
        ]
        .map(frame)
        .to_vec(),
        "83-call-cmd-tool" => [(0.0, START), (0.53, END), (0.55, START)].map(frame).to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn everything_that_was_recorded_is_understood() {
    let mut summary = String::new();
    for (name, lines) in recordings() {
        let (mut answers, mut events) = (HashMap::<&str, usize>::new(), 0);
        for line in &lines {
            match line.kind.as_str() {
                "MI<" => {
                    // The recorded clients counted with numbers.
                    let mut reply: Value = serde_json::from_str(&line.text).unwrap_or_default();
                    if reply.is_object() {
                        reply["id"] = "1".into();
                    }
                    let text =
                        if reply.is_object() { reply.to_string() } else { line.text.clone() };
                    let kind = match Reply::parse(text.as_bytes()) {
                        Reply::To(_, Ok(_)) => "result",
                        Reply::To(_, Err(_)) => "error",
                        Reply::TooLong => "too long",
                        Reply::Foreign => "other text",
                    };
                    *answers.entry(kind).or_default() += 1;
                }
                "EVT" => {
                    assert!(
                        Happened::parse(line.text.as_bytes()).is_some(),
                        "{name}: {}",
                        line.text
                    );
                    events += 1;
                }
                _ => {}
            }
        }
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.sort_unstable();
        let answers: Vec<_> = answers.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        summary += &format!("{name}: {}; {events} events\n", answers.join(", "));
    }
    expect_file!["replayed/understood.txt"].assert_eq(&summary);
}

/// What OpenSIPS 4.0 dies of is none of this.
fn is_harmless(request: &Value) -> bool {
    request.is_object() && request["method"].is_string() && request["id"].is_string()
}

#[test]
fn requests_that_killed_opensips_are_told_from_those_that_are_sent() {
    let mut deaths = 0;
    for (name, _) in recordings().iter().filter(|(name, _)| name.starts_with("40-")) {
        let path = folder("captures").join(format!("{name}.txt"));
        let recording = std::fs::read_to_string(path).unwrap();
        if !recording.contains("OpenSIPS afterwards: DOWN") {
            continue;
        }
        let sent = recording.split("--- send ").nth(1).unwrap().lines().next().unwrap();
        assert!(!is_harmless(&serde_json::from_str(sent).unwrap()), "{sent}");
        deaths += 1;
    }
    assert_eq!(deaths, 5);
}

#[tokio::test(start_paused = true)]
async fn every_recorded_conversation_ends_with_the_truth() {
    for (name, lines) in recordings() {
        if lines.iter().any(|line| line.kind == "WS>") {
            let client = Player::play(&name, lines, Dialect::V1).await;
            let file = folder("replayed").join(format!("{name}.txt"));
            expect_file![file].assert_eq(&client.transcript);
        }
    }
}

/// Plays one recording.
#[derive(Clone)]
pub(crate) struct Player {
    state: Arc<Mutex<State>>,
    arrivals: mpsc::Sender<Arrival>,
    asked: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// Recorded requests that this server has not sent yet.
    recorded: Vec<Recorded>,
    /// Recorded ids and those of this server.
    ids: HashMap<String, String>,
    /// Recorded Call-IDs of helpers and those of this server.
    callids: Vec<(String, String)>,
    /// What the SIP messages show of each Call-ID.
    dialogs: HashMap<String, Dialog>,
    /// Whether the recorded proxy answers nothing.
    is_silent: bool,
}

#[derive(Debug)]
struct Recorded {
    id: String,
    method: String,
    params: Value,
}

#[derive(Debug, Default)]
struct Dialog {
    state: u64,
    transfer_leg: Option<String>,
    transfer_callid: Option<String>,
    /// Flags of caller and callee that were on hold.
    held: [Option<u64>; 2],
    /// When a REFER was sent that is not answered yet.
    referred: Option<Instant>,
}

impl Player {
    pub(crate) async fn play(name: &str, lines: Vec<Line>, dialect: Dialect) -> Client {
        let (link, FarEnd { mut requests, arrivals }) =
            Link::pair(name, "udp:127.0.0.1:5070", Ipv4Addr::LOCALHOST.into());
        let player = Self { state: Arc::default(), arrivals, asked: Arc::default() };
        let answering = player.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                answering.request(&serde_json::from_str(&request.text).unwrap());
            }
        });
        let journal = Arc::new(Journal::default());
        let settings = Settings { sip: None, timeout: Duration::from_secs(5), run: 0 };
        let mut backend = OpenSips::of(vec![Proxy::start(link, settings, journal.clone())]);
        backend.found().await;
        let mut client = Client::on(backend, journal).speaking(dialect);
        player.run(name, lines, &mut client).await;
        let mut left = 600;
        while client.running() > 0 {
            left -= 1;
            assert!(left > 0, "{name}: a command does not end:\n{}", client.transcript);
            tokio::time::sleep(Duration::from_secs(1)).await;
            client.write_down();
        }
        client.write_down();
        client
    }

    async fn run(&self, name: &str, lines: Vec<Line>, client: &mut Client) {
        // The recorded server writes JSON without spaces; the tools beside it do not.
        // Where a tool spoke with OpenSIPS, and no server.
        let is_tool = ["38", "84", "91"].iter().any(|number| name.starts_with(number));
        let ours = |line: &&Line| {
            line.kind == "MI>" && (is_tool || line.text.starts_with(r#"{"jsonrpc":"2.0","#))
        };
        let sockets: Vec<String> =
            lines.iter().filter(ours).map(|line| line.from.clone()).collect();
        let is_answer = |line: &Line| line.kind == "MI<" && sockets.contains(&line.to);
        self.state().is_silent = !sockets.is_empty() && !lines.iter().any(is_answer);
        let of_server = |line: &&Line| line.kind == "MI>" && sockets.contains(&line.from);
        self.state().recorded = lines.iter().filter(of_server).filter_map(Recorded::read).collect();
        let mut began = Instant::now();
        for line in lines {
            sleep_until(began + line.at).await;
            match line.kind.as_str() {
                "WS>" => client.send(&line.text),
                "WS" if name == "62-client-leaves" => client.leave(),
                // Unless this server has refused what it was for.
                "MI>" if sockets.contains(&line.from) && client.running() > 0 => {
                    if let Some(Recorded { id, .. }) = Recorded::read(&line) {
                        let sent = timeout(PATIENCE, self.sent(&id)).await;
                        let told = &client.transcript;
                        assert!(sent.is_ok(), "{name}: not sent: {}\n{told}", line.text);
                        began = Instant::now() - line.at;
                    }
                }
                "MI<" if sockets.contains(&line.to) => self.answer(&line),
                "EVT" => self.event(&line.text),
                "SIP" => self.state().sip(&line.text),
                _ => {}
            }
            tokio::task::yield_now().await;
            client.write_down();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until this server has sent a recorded request.
    async fn sent(&self, id: &str) {
        loop {
            let asked = self.asked.notified();
            if self.state().ids.contains_key(id) {
                return;
            }
            asked.await;
        }
    }

    fn send(&self, arrival: Arrival) {
        self.arrivals.try_send(arrival).unwrap();
    }

    /// Gives the recorded answer, if the request was sent.
    fn answer(&self, line: &Line) {
        let mut reply: Value = serde_json::from_str(&line.text).unwrap();
        let id = format!("{}/{}", line.to, reply["id"]);
        let Some(own) = self.state().ids.get(&id).cloned() else { return };
        reply["id"] = own.into();
        let text = self.state().with_own_callids(&reply.to_string());
        self.send(Arrival::Answer(text.into_bytes()));
    }

    fn event(&self, text: &str) {
        let event: Value = serde_json::from_str(text).unwrap();
        let params = &event["params"];
        let mut state = self.state();
        if event["method"] == "E_CALL_TRANSFER" {
            let callid = params["callid"].as_str().unwrap().to_owned();
            let dialog = state.dialogs.entry(callid).or_default();
            dialog.transfer_callid = params["transfer_callid"].as_str().map(str::to_owned);
            if params["state"] == "ok" || params["state"] == "fail" {
                dialog.transfer_leg = Some(String::new());
            }
        }
        if event["method"] == "E_CALL_HOLD" && params["state"] == "ok" {
            let callid = params["callid"].as_str().unwrap().to_owned();
            let leg = usize::from(params["leg"] == "callee");
            let flags = if params["action"] == "hold" { 12 } else { 0 };
            state.dialogs.entry(callid).or_default().held[leg] = Some(flags);
        }
        let text = state.with_own_callids(text);
        drop(state);
        self.send(Arrival::Event(text.into_bytes()));
    }

    /// Takes a request of this server: it is one that was recorded, or is answered at once.
    fn request(&self, request: &Value) {
        let (id, method) = (request["id"].as_str().unwrap(), request["method"].as_str().unwrap());
        let params = &request["params"];
        assert!(is_harmless(request), "{request}");
        if self.state().is_silent {
            return;
        }
        if self.state().take(id, method, params) {
            self.asked.notify_waiters();
            return;
        }
        let body = self.state().at_once(method, params);
        self.reply(id, body);
    }

    fn reply(&self, id: &str, body: Value) {
        let member = if body.get("code").is_some() { "error" } else { "result" };
        let reply = json!({"jsonrpc": "2.0", member: body, "id": id});
        self.send(Arrival::Answer(reply.to_string().into_bytes()));
    }
}

impl Recorded {
    /// `None` for what this server does not send, or sends otherwise.
    fn read(line: &Line) -> Option<Self> {
        let request: Value = serde_json::from_str(&line.text).ok()?;
        let method = request["method"].as_str()?.to_owned();
        let params = request["params"].clone();
        let is_ours = match method.as_str() {
            "call_transfer" | "call_hold" | "call_unhold" | "dlg_end_dlg" => true,
            "t_uac_dlg" => params["method"] == "INVITE",
            _ => false,
        };
        let id = format!("{}/{}", line.from, request["id"]);
        is_ours.then_some(Self { id, method, params })
    }
}

impl State {
    /// Whether this server's request is one that was recorded.
    fn take(&mut self, id: &str, method: &str, params: &Value) -> bool {
        let own = |callid: &str| {
            let known = self.callids.iter().find(|(recorded, _)| recorded == callid);
            known.map_or(callid.to_owned(), |(_, own)| own.clone())
        };
        let is_it = |recorded: &Recorded| {
            let key = match method {
                "t_uac_dlg" => {
                    return recorded.params["ruri"] == params["ruri"]
                        && params["method"] == "INVITE";
                }
                "dlg_end_dlg" => "dialog_id",
                _ => "callid",
            };
            recorded.params[key].as_str().map(own).as_deref() == params[key].as_str()
        };
        let at =
            self.recorded.iter().position(|recorded| recorded.method == method && is_it(recorded));
        let Some(at) = at else { return false };
        let recorded = self.recorded.remove(at);
        self.ids.insert(recorded.id, id.to_owned());
        if method == "t_uac_dlg" {
            let callid = |params: &Value| {
                let headers = params["headers"].as_str().unwrap();
                let at =
                    headers.to_ascii_lowercase().find("call-id: ").unwrap() + "call-id: ".len();
                headers[at..].split("\r\n").next().unwrap().to_owned()
            };
            let pair = (callid(&recorded.params), callid(params));
            self.callids.push(pair);
        }
        true
    }

    fn with_own_callids(&self, text: &str) -> String {
        let replace = |text: String, (recorded, own): &(String, String)| {
            text.replace(&format!("\"{recorded}\""), &format!("\"{own}\""))
        };
        self.callids.iter().fold(text.to_owned(), replace)
    }

    /// Takes note of a SIP message: `alice -> OpenSIPS  INVITE …  (CSeq 1 INVITE; Call-ID x)`.
    fn sip(&mut self, text: &str) {
        let Some((_, rest)) = text.split_once("Call-ID ") else { return };
        let callid = rest.split(')').next().unwrap();
        let dialog = self.dialogs.entry(callid.to_owned()).or_default();
        let is_to = |method: &str| text.contains(&format!(" {method};"));
        let new_state = match text {
            _ if text.starts_with("INVITE ") && dialog.state == 0 => 1,
            _ if text.starts_with("SIP/2.0 18") && is_to("INVITE") => 2,
            _ if text.starts_with("SIP/2.0 2") && is_to("INVITE") => 3,
            _ if text.starts_with("ACK ") && dialog.state == 3 => 4,
            _ if text.starts_with("BYE ") => 5,
            _ if text.starts_with("SIP/2.0 ") && is_to("INVITE") && dialog.state < 3 => {
                if text.as_bytes()[8] >= b'3' { 5 } else { dialog.state }
            }
            _ => dialog.state,
        };
        dialog.state = dialog.state.max(new_state);
        if text.starts_with("REFER ") {
            dialog.transfer_leg = Some("callee".to_owned());
            dialog.referred.get_or_insert(Instant::now());
        } else if text.starts_with("SIP/2.0 ") && is_to("REFER") {
            dialog.referred = None;
            if text.as_bytes()[8] >= b'3' {
                dialog.transfer_leg = Some(String::new());
            }
        }
    }

    /// Answers a question that was not recorded.
    fn at_once(&mut self, method: &str, params: &Value) -> Value {
        let recorded = |own: &str| {
            let known = self.callids.iter().find(|(_, ours)| ours == own);
            known.map_or(own.to_owned(), |(recorded, _)| recorded.clone())
        };
        match method {
            "uptime" => json!({"Now": "now", "Up since": "then"}),
            "event_subscribe" => json!("OK"),
            "t_uac_dlg" if params["method"] == "OPTIONS" => json!({"Status": "200 OK"}),
            // The only such call in the recordings.
            "t_uac_dlg" => json!({"Status": "476 Unresolvable destination (476/TM)"}),
            "call_transfer" => {
                let callid = recorded(params["callid"].as_str().unwrap());
                let dialog = self.dialogs.entry(callid).or_default();
                if dialog.transfer_leg.is_some() {
                    return json!({"code": 491, "message": "Request Pending"});
                }
                // The recorded server never asked for it, so nothing is known to follow.
                dialog.transfer_leg = Some("callee".to_owned());
                json!("Accepted")
            }
            "call_unhold" => json!({"code": 480, "message": "No dialog legs on hold"}),
            "dlg_end_dlg" => {
                let callid = recorded(params["dialog_id"].as_str().unwrap());
                match self.dialogs.get_mut(&callid).filter(|dialog| dialog.state < 5) {
                    Some(dialog) => {
                        dialog.state = 5;
                        json!("OK")
                    }
                    None => json!({"code": 404, "message": "Requested Dialog not found"}),
                }
            }
            "dlg_list_ctx" => {
                let Some(own) = params["callid"].as_str() else {
                    return json!({"count": 0, "Dialogs": []});
                };
                let callid = recorded(own);
                let Some(dialog) = self.dialogs.get_mut(&callid) else {
                    return json!({"code": 404, "message": "No such dialog"});
                };
                // fr_timeout of the recorded proxy.
                let is_late = |at: &Instant| at.elapsed() >= Duration::from_secs(5);
                if dialog.referred.as_ref().is_some_and(is_late) {
                    dialog.transfer_leg = Some(String::new());
                }
                let mut values = Vec::new();
                if let Some(leg) = &dialog.transfer_leg {
                    values.push(json!({"call_transfer_leg": leg}));
                }
                if let Some(callid) = &dialog.transfer_callid {
                    values.push(json!({"call_transfer_callid": callid}));
                }
                for (name, flags) in
                    ["call_hold_caller", "call_hold_callee"].iter().zip(dialog.held)
                {
                    values.extend(flags.map(|flags| json!({*name: flags})));
                }
                json!({"Dialog": {"ID": own, "state": dialog.state, "callid": own, "context": {"values": values}}})
            }
            _ => json!({"code": 404, "message": "Dialog not found"}),
        }
    }
}
