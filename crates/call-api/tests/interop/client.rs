//! A client of the API: JSON-RPC 2.0 over a WebSocket, one conversation, every message checked for
//! its form.
//!
//! [`Client::run`] is what a user sees of a command: its messages by name, in order, from `Started`
//! to `Ended`. The form that every message must have (version, `cmd_id`, nothing after `Ended`) is
//! checked as it is read.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::lab::{expect, expect_within, poll, show_on_failure};

/// Longer than any command here may take: a phone that stays silent costs the server up to 32 s
/// (RFC 3261 timer B or F).
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What became of a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Its messages in order: `Started`, the `data` of each `Event`, `Error`, `Ended`.
    pub(crate) messages: Vec<String>,
    /// The parameters of each `Event`.
    pub(crate) events: Vec<Value>,
    /// The parameters of its `Error`.
    pub(crate) error: Option<Value>,
    /// The parameters of its `Ended`, null before.
    pub(crate) ended: Value,
}

impl Run {
    /// The Call-ID that a later command would use.
    pub(crate) fn call_id(&self) -> String {
        self.ended["callid"]
            .as_str()
            .unwrap_or_else(|| panic!("no callid in the Ended of {self:?}"))
            .to_owned()
    }

    /// Checks that the command failed with `code`, and that the error's `data` says at least
    /// `data`.
    pub(crate) fn expect_error(&self, code: i64, data: Value) {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("no Error in {self:?}"));
        assert_eq!(error["code"], code, "{error}");
        for (member, value) in data.as_object().expect("an object") {
            assert_eq!(&error["data"][member], value, "{member} in {error}");
        }
    }
}

/// A connected client.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests_sent: u64,
    /// Every command this client started, by `cmd_id`.
    runs: HashMap<String, Run>,
}

impl Client {
    /// Connects to the API at `url`.
    pub(crate) async fn connect(url: &str) -> Self {
        let (socket, _) =
            expect("a WebSocket", connect_async(url)).await.expect("the server takes WebSockets");
        Self { socket, requests_sent: 0, runs: HashMap::new() }
    }

    /// Runs a command from its request to its `Ended`.
    pub(crate) async fn run(&mut self, method: &str, params: Value) -> Run {
        let command = self.start(method, params).await;
        self.finish(&command).await
    }

    /// Starts a command; returns its `cmd_id` once the server said `Started`.
    pub(crate) async fn start(&mut self, method: &str, params: Value) -> String {
        self.requests_sent += 1;
        let id = self.requests_sent.to_string();
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).await.expect("the server reads");
        loop {
            let message = expect("the reply to a command", self.read()).await;
            if message.get("method").is_some() {
                self.keep(&message);
                continue;
            }
            assert_eq!(message["id"], id.as_str(), "a reply to nothing: {message}");
            assert_eq!(
                message["result"]["status"], "Started",
                "{method} was not started: {message}"
            );
            let command = message["result"]["cmd_id"].as_str().expect("a cmd_id").to_owned();
            let started = vec!["Started".to_owned()];
            let run =
                Run { messages: started, events: Vec::new(), error: None, ended: Value::Null };
            self.runs.insert(command.clone(), run);
            return command;
        }
    }

    /// Waits for the `Ended` of a started command.
    pub(crate) async fn finish(&mut self, command: &str) -> Run {
        expect_within(COMMAND_LIMIT, "the command to end", async {
            while self.runs[command].ended.is_null() {
                let message = self.read().await;
                self.keep(&message);
            }
        })
        .await;
        self.runs[command].clone()
    }

    /// Waits for an event of a started command; returns the Call-ID that it names.
    pub(crate) async fn call_id_of(&mut self, command: &str, event: &str) -> String {
        self.event(command, event, |params| params["data"] == event).await
    }

    /// The same, where it is about this party.
    pub(crate) async fn call_id_of_leg(&mut self, command: &str, event: &str, leg: &str) -> String {
        let wanted = |params: &Value| params["data"] == event && params["leg"] == leg;
        self.event(command, &format!("{event} of the {leg}"), wanted).await
    }

    async fn event(
        &mut self,
        command: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> String {
        expect(&format!("the event {what}"), async {
            loop {
                let mut events = self.runs[command].events.iter();
                if let Some(found) = events.find(|params| wanted(params)) {
                    return found["callid"].as_str().expect("a callid").to_owned();
                }
                let message = self.read().await;
                self.keep(&message);
            }
        })
        .await
    }

    /// Sends a request as it is; returns all that is read until its command has ended. No other
    /// command may run.
    pub(crate) async fn exchange(&mut self, request: &Value) -> Vec<Value> {
        self.socket.send(Message::text(request.to_string())).await.expect("the server reads");
        expect_within(COMMAND_LIMIT, "the command to end", async {
            let mut read: Vec<Value> = Vec::new();
            while read.last().is_none_or(|message| message["method"] != "Ended") {
                read.push(self.read().await);
            }
            read
        })
        .await
    }

    /// Asks what is no command; returns the result.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.reply(method, params).await["result"].clone()
    }

    /// Waits until a call that a phone placed stands: its caller has acknowledged the answer.
    pub(crate) async fn sees_established(&mut self, call: &str) {
        poll(&format!("call {call} to be established"), async || {
            let call = self.ask("CallGet", json!({"callid": call})).await;
            (call["state"] == "established").then_some(())
        })
        .await;
    }

    /// Sends what must not be taken; returns the error.
    pub(crate) async fn refused(&mut self, method: &str, params: Value) -> Value {
        let reply = self.reply(method, params).await;
        assert!(reply["error"].is_object(), "{method} was taken: {reply}");
        reply["error"].clone()
    }

    async fn reply(&mut self, method: &str, params: Value) -> Value {
        self.requests_sent += 1;
        let id = self.requests_sent.to_string();
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string())).await.expect("the server reads");
        loop {
            let message = expect("the reply to a request", self.read()).await;
            if message.get("method").is_some() {
                self.keep(&message);
                continue;
            }
            assert_eq!(message["id"], id.as_str(), "a reply to nothing: {message}");
            return message;
        }
    }

    /// Puts a notification where it belongs.
    fn keep(&mut self, message: &Value) {
        let params = &message["params"];
        let command = params["cmd_id"].as_str().unwrap_or_else(|| panic!("no cmd_id in {message}"));
        let run = self.runs.get_mut(command);
        let run = run.unwrap_or_else(|| panic!("no such command was started: {message}"));
        assert!(run.ended.is_null(), "a message after Ended: {message}");
        match message["method"].as_str() {
            Some("Event") => {
                let name = params["data"].as_str().expect("an Event names itself");
                run.messages.push(name.to_owned());
                run.events.push(params.clone());
            }
            Some("Error") => {
                run.messages.push("Error".to_owned());
                run.error = Some(params.clone());
            }
            Some("Ended") => {
                run.messages.push("Ended".to_owned());
                run.ended = params.clone();
            }
            _ => panic!("not a notification of this API: {message}"),
        }
    }

    async fn read(&mut self) -> Value {
        loop {
            let frame = self.socket.next().await.expect("the server keeps the connection");
            if let Message::Text(text) = frame.expect("a WebSocket frame") {
                let message: Value = serde_json::from_str(&text).expect("the server speaks JSON");
                assert_eq!(message["jsonrpc"], "2.0", "not JSON-RPC 2.0: {message}");
                return message;
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        show_on_failure("client", &format!("{:#?}", self.runs));
    }
}
