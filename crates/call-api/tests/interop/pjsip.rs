//! A headless PJSIP phone, by its Python binding: the full phone, which knows Replaces, session
//! timers and PRACK.
//!
//! `pjsip.py` is its remote control.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::lab::{Home, Ports, Tool, pjsip_python};
use crate::phone::{Account, Answer, Phone, Shown};
use crate::remote::Remote;

/// A dialog of a phone that rings, by its Call-ID and the tags of both ends.
pub(crate) struct Early {
    call_id: String,
    caller: String,
    callee: String,
}

/// A running phone.
pub(crate) struct Pjsip {
    name: &'static str,
    ports: Ports,
    remote: Remote,
    _home: Home,
}

impl Phone for Pjsip {
    const TOOL: Tool = Tool::Pjsip;
    const DECLINE: u64 = 603;
    const STAYS_AFTER_FAILED_TRANSFER: bool = true;

    async fn start_as(account: Account) -> Self {
        Self::start_with(account, &[]).await
    }

    fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    /// Without a port, as in every From of PJSIP (RFC 3261 §19.1.1, table 1).
    fn identity(&self) -> String {
        format!("sip:{}@127.0.0.1", self.name)
    }

    async fn dial(&mut self, to: &str) {
        self.remote.command(json!({"command": "dial", "to": to})).await;
    }

    async fn accept(&mut self, call_id: &str) {
        self.remote.command(json!({"command": "answer", "call_id": call_id, "code": 200})).await;
    }

    async fn hang_up(&mut self, call_id: &str) {
        self.remote.command(json!({"command": "hangup", "call_id": call_id})).await;
    }

    async fn hold(&mut self, call_id: &str) {
        self.remote.command(json!({"command": "hold", "call_id": call_id})).await;
    }

    async fn resume(&mut self, call_id: &str) {
        self.remote.command(json!({"command": "resume", "call_id": call_id})).await;
    }

    async fn transfer(&mut self, call_id: &str, to: &str) {
        self.remote.command(json!({"command": "transfer", "call_id": call_id, "to": to})).await;
    }

    async fn press(&mut self, call_id: &str, digit: char) {
        self.remote.command(json!({"command": "press", "call_id": call_id, "digit": digit})).await;
    }

    async fn rings(&mut self) -> Shown {
        shown(&self.remote.event("incoming").await)
    }

    async fn hears_ringing(&mut self) -> Shown {
        shown(&self.remote.event("ringing").await)
    }

    async fn establishes(&mut self) -> Shown {
        shown(&self.remote.event("established").await)
    }

    async fn establishes_call(&mut self, call_id: &str) -> Shown {
        shown(&self.remote.event_of(call_id, "established").await)
    }

    async fn closes(&mut self) -> Shown {
        shown(&self.remote.event("closed").await)
    }

    async fn closes_call(&mut self, call_id: &str) -> Shown {
        shown(&self.remote.event_of(call_id, "closed").await)
    }

    async fn hears(&mut self, digit: char) {
        let digit = digit.to_string();
        let wanted = |event: &Value| event["event"] == "digit" && event["digit"] == digit.as_str();
        self.remote.wait(&format!("the digit {digit}"), wanted).await;
    }

    async fn transfer_fails(&mut self, call_id: &str, status: u64) {
        assert_eq!(self.transfer_ends(call_id).await, status);
    }

    async fn registers(&mut self, succeeds: bool) {
        let wanted = |event: &Value| event["event"] == "registration";
        let event = self.remote.wait("what became of its registration", wanted).await;
        assert_eq!(event["code"] == 200, succeeds, "{event}");
    }

    async fn direction(&mut self, call_id: &str) -> String {
        let direction =
            self.remote.command(json!({"command": "direction", "call_id": call_id})).await;
        direction.as_str().expect("a direction").to_owned()
    }

    async fn calls(&mut self) -> usize {
        self.remote.command(json!({"command": "calls"})).await.as_u64().expect("a number") as usize
    }
}

impl Pjsip {
    /// Starts a phone with options of `pjsip.py` beside.
    pub(crate) async fn start_with(account: Account, options: &[&str]) -> Self {
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
        command.args(options);
        let [stderr, _] = home.outputs("errors");
        let remote = Remote::start(name, command.stderr(stderr));
        let mut phone = Self { name, ports, remote, _home: home };
        // An answer means that it takes calls, too.
        phone.calls().await;
        phone
    }

    /// Sends the other party of `call_id` to that of `other`, in the place of this phone (RFC 3891).
    pub(crate) async fn connect(&mut self, call_id: &str, other: &str) {
        self.remote.command(json!({"command": "connect", "call_id": call_id, "with": other})).await;
    }

    /// Calls `to` in the place of the phone that has this early dialog (RFC 3891).
    pub(crate) async fn pick_up(&mut self, to: &str, early: &Early) {
        let Early { call_id, caller, callee } = early;
        let replaces = format!("{call_id};to-tag={caller};from-tag={callee};early-only");
        self.remote.command(json!({"command": "dial", "to": to, "replaces": replaces})).await;
    }

    /// Rings; returns the dialog in which it does, as its group may know it (RFC 4235).
    pub(crate) async fn rings_in(&mut self) -> Early {
        let event = self.remote.event("rings").await;
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let [caller, callee] = [0, 1].map(|at| text(&event["tags"][at]));
        Early { call_id: text(&event["call_id"]), caller, callee }
    }

    /// Waits until the phone learns what became of a transfer that it asked for; returns the status
    /// code.
    pub(crate) async fn transfer_ends(&mut self, call_id: &str) -> u64 {
        let wanted = |event: &Value| {
            event["event"] == "transfer" && event["call_id"] == call_id && event["final"] == true
        };
        let event = self.remote.wait("the end of its transfer", wanted).await;
        event["code"].as_u64().expect("a status code")
    }

    /// Waits until an INVITE with Replaces takes the place of a call; returns the new one's Call-ID.
    pub(crate) async fn is_replaced(&mut self, call_id: &str) -> String {
        let wanted = |event: &Value| event["event"] == "replaced" && event["call_id"] == call_id;
        let event = self.remote.wait("another call in the place of the old one", wanted).await;
        event["by"].as_str().expect("a Call-ID").to_owned()
    }

    /// Rings, and lets the caller hear it before it is answered (183 with a description).
    pub(crate) async fn plays_early(&mut self, call_id: &str) {
        self.remote.command(json!({"command": "answer", "call_id": call_id, "code": 183})).await;
    }

    /// Says again, in an UPDATE (RFC 3311), what the sound is to be like; returns the status code of the
    /// answer.
    pub(crate) async fn updates(&mut self, call_id: &str) -> u64 {
        self.remote.command(json!({"command": "update", "call_id": call_id})).await;
        let event = self.remote.event_of(call_id, "updated").await;
        event["code"].as_u64().expect("a status code")
    }

    /// Waits until the other side asks for a change of the sound, a hold for one.
    pub(crate) async fn is_offered(&mut self, call_id: &str) {
        self.remote.event_of(call_id, "offered").await;
    }

    /// Presses a digit that goes with the signalling, in an INFO.
    pub(crate) async fn presses_by_info(&mut self, call_id: &str, digit: char) {
        let command = json!({"command": "press_by_info", "call_id": call_id, "digit": digit});
        self.remote.command(command).await;
    }

    /// Sends a text within the call, in a MESSAGE (RFC 3428); returns the status code of the answer.
    pub(crate) async fn says(&mut self, call_id: &str, text: &str) -> u64 {
        self.remote.command(json!({"command": "say", "call_id": call_id, "text": text})).await;
        let event = self.remote.event_of(call_id, "delivered").await;
        event["code"].as_u64().expect("a status code")
    }

    /// Waits for a text within the call.
    pub(crate) async fn reads(&mut self, call_id: &str) -> String {
        let event = self.remote.event_of(call_id, "message").await;
        event["text"].as_str().expect("a text").to_owned()
    }

    /// Takes its registration back.
    pub(crate) async fn unregisters(&mut self) {
        self.remote.command(json!({"command": "unregister"})).await;
        self.registers(true).await;
    }

    /// Where it was sent instead, call by call, so far; as in [`Phone::identity`], without ports.
    pub(crate) async fn redirections(&mut self) -> Vec<String> {
        let told = self.remote.command(json!({"command": "redirections"})).await;
        let told = told.as_array().expect("a list").iter();
        told.map(|uri| uri.as_str().expect("a URI").to_owned()).collect()
    }

    /// Refuses, from now on, every change that the other side asks for of the sound, a hold for one.
    pub(crate) async fn refuse_offers(&mut self) {
        self.remote.command(json!({"command": "refuse_offers"})).await;
    }
}

fn shown(event: &Value) -> Shown {
    let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
    Shown { call_id: text("call_id"), peer: text("peer"), why: text("why") }
}
