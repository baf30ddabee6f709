//! A headless PJSIP phone, by its Python binding: the full phone, which knows Replaces, session
//! timers and PRACK.
//!
//! `pjsip.py` is its remote control: one JSON object a line, over stdin and stdout.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::lab::{Home, Ports, Tool, expect, pjsip_python, show_on_failure};
use crate::phone::{Account, Answer, Phone, Shown};

/// A running phone.
pub(crate) struct Pjsip {
    name: &'static str,
    ports: Ports,
    commands: ChildStdin,
    messages: Lines<BufReader<ChildStdout>>,
    /// Events that no wait has taken yet, in the order they came.
    events: Vec<Value>,
    _process: Child,
    _home: Home,
}

impl Phone for Pjsip {
    const TOOL: Tool = Tool::Pjsip;
    const DECLINE: u64 = 603;
    const STAYS_AFTER_FAILED_TRANSFER: bool = true;

    async fn start_as(account: Account) -> Self {
        let ports = Ports::take();
        let Account { name, answer, proxy, registrar } = account;
        let home = Home::new(&format!("{name}'s phone"), &["errors", "log"]);
        let mut command = Command::new(pjsip_python());
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/pjsip.py"))
            .args([name, &ports.sip.to_string(), &ports.media.to_string()])
            .arg(home.path().join("log"))
            .arg(match answer {
                Answer::Auto => "--answer=auto",
                Answer::Manual => "--answer=manual",
            });
        if let Some(proxy) = proxy {
            command.arg(format!("--proxy={proxy}"));
        }
        if let Some((port, password)) = &registrar {
            command.arg(format!("--registrar={port}")).arg(format!("--password={password}"));
        }
        let [stderr, _] = home.outputs("errors");
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let commands = process.stdin.take().expect("a pipe");
        let messages = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut phone = Self {
            name,
            ports,
            commands,
            messages,
            events: Vec::new(),
            _process: process,
            _home: home,
        };
        // An answer means that it takes calls, too.
        phone.calls().await;
        phone
    }

    fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    /// Without a port, as in every From of PJSIP (RFC 3261 §19.1.1, table 1).
    fn identity(&self) -> String {
        format!("sip:{}@127.0.0.1", self.name)
    }

    async fn dial(&mut self, to: &str) {
        self.command(json!({"command": "dial", "to": to})).await;
    }

    async fn accept(&mut self, call_id: &str) {
        self.command(json!({"command": "answer", "call_id": call_id, "code": 200})).await;
    }

    async fn hang_up(&mut self, call_id: &str) {
        self.command(json!({"command": "hangup", "call_id": call_id})).await;
    }

    async fn hold(&mut self, call_id: &str) {
        self.command(json!({"command": "hold", "call_id": call_id})).await;
    }

    async fn resume(&mut self, call_id: &str) {
        self.command(json!({"command": "resume", "call_id": call_id})).await;
    }

    async fn transfer(&mut self, call_id: &str, to: &str) {
        self.command(json!({"command": "transfer", "call_id": call_id, "to": to})).await;
    }

    async fn press(&mut self, call_id: &str, digit: char) {
        self.command(json!({"command": "press", "call_id": call_id, "digit": digit})).await;
    }

    async fn rings(&mut self) -> Shown {
        self.wait_event("incoming").await
    }

    async fn hears_ringing(&mut self) -> Shown {
        self.wait_event("ringing").await
    }

    async fn establishes(&mut self) -> Shown {
        self.wait_event("established").await
    }

    async fn establishes_call(&mut self, call_id: &str) -> Shown {
        self.wait_event_of(call_id, "established").await
    }

    async fn closes(&mut self) -> Shown {
        self.wait_event("closed").await
    }

    async fn closes_call(&mut self, call_id: &str) -> Shown {
        self.wait_event_of(call_id, "closed").await
    }

    async fn hears(&mut self, digit: char) {
        let digit = digit.to_string();
        let wanted = |event: &Value| event["event"] == "digit" && event["digit"] == digit.as_str();
        self.wait(&format!("the digit {digit}"), wanted).await;
    }

    async fn transfer_fails(&mut self, call_id: &str, status: u64) {
        assert_eq!(self.transfer_ends(call_id).await, status);
    }

    async fn registers(&mut self, succeeds: bool) {
        let wanted = |event: &Value| event["event"] == "registration";
        let event = self.wait("what became of its registration", wanted).await;
        assert_eq!(event["code"] == 200, succeeds, "{event}");
    }

    async fn direction(&mut self, call_id: &str) -> String {
        let direction = self.command(json!({"command": "direction", "call_id": call_id})).await;
        direction.as_str().expect("a direction").to_owned()
    }

    async fn calls(&mut self) -> usize {
        self.command(json!({"command": "calls"})).await.as_u64().expect("a number") as usize
    }
}

impl Pjsip {
    /// Sends the other party of `call_id` to that of `other`, in the place of this phone (RFC 3891).
    pub(crate) async fn connect(&mut self, call_id: &str, other: &str) {
        self.command(json!({"command": "connect", "call_id": call_id, "with": other})).await;
    }

    /// Waits until the phone learns what became of a transfer that it asked for; returns the status
    /// code.
    pub(crate) async fn transfer_ends(&mut self, call_id: &str) -> u64 {
        let wanted = |event: &Value| {
            event["event"] == "transfer" && event["call_id"] == call_id && event["final"] == true
        };
        let event = self.wait("the end of its transfer", wanted).await;
        event["code"].as_u64().expect("a status code")
    }

    /// Waits until an INVITE with Replaces takes the place of a call; returns the new one's Call-ID.
    pub(crate) async fn is_replaced(&mut self, call_id: &str) -> String {
        let wanted = |event: &Value| event["event"] == "replaced" && event["call_id"] == call_id;
        let event = self.wait("another call in the place of the old one", wanted).await;
        event["by"].as_str().expect("a Call-ID").to_owned()
    }

    /// Does what a user does at the phone; returns what it says to that.
    async fn command(&mut self, command: Value) -> Value {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.expect("the phone takes commands");
        let what = format!("{}'s phone to answer {command}", self.name);
        loop {
            let message = expect(&what, self.read_message()).await;
            if message["reply"] != true {
                self.events.push(message);
                continue;
            }
            assert_eq!(message["ok"], true, "{}'s phone: {}", self.name, message["result"]);
            return message["result"].clone();
        }
    }

    async fn wait_event(&mut self, kind: &str) -> Shown {
        shown(&self.wait(kind, |event| event["event"] == kind).await)
    }

    async fn wait_event_of(&mut self, call_id: &str, kind: &str) -> Shown {
        let what = format!("{kind} of call {call_id}");
        let wanted = |event: &Value| event["event"] == kind && event["call_id"] == call_id;
        shown(&self.wait(&what, wanted).await)
    }

    /// Waits for a wanted event. Those that came before it stay for later waits.
    async fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{}'s phone to report {what}", self.name);
        expect(&what, async {
            loop {
                if let Some(at) = self.events.iter().position(&wanted) {
                    return self.events.remove(at);
                }
                let event = self.read_message().await;
                self.events.push(event);
            }
        })
        .await
    }

    async fn read_message(&mut self) -> Value {
        let line = self.messages.next_line().await.expect("the phone's remote control");
        let line = line.unwrap_or_else(|| panic!("{}'s phone is gone", self.name));
        serde_json::from_str(&line).expect("a line of JSON")
    }
}

impl Drop for Pjsip {
    fn drop(&mut self) {
        let title = format!("{}'s phone: events that nobody waited for", self.name);
        show_on_failure(&title, &format!("{:#?}", self.events));
    }
}

fn shown(event: &Value) -> Shown {
    let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
    Shown { call_id: text("call_id"), peer: text("peer"), why: text("why") }
}
