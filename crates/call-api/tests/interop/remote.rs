//! The remote control of a phone that is driven by a script of ours: one JSON object a line, over
//! stdin and stdout. Commands are replied to in their order; between the replies come events.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::lab::{expect, show_on_failure};

/// A running phone.
pub(crate) struct Remote {
    name: &'static str,
    commands: ChildStdin,
    messages: Lines<BufReader<ChildStdout>>,
    /// Events that no wait has taken yet, in the order they came.
    events: Vec<Value>,
    _process: Child,
}

impl Remote {
    /// Starts the phone of `name`.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the phone starts");
        let commands = process.stdin.take().expect("a pipe");
        let messages = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        Self { name, commands, messages, events: Vec::new(), _process: process }
    }

    /// Does what a user does at the phone; returns what it says to that.
    pub(crate) async fn command(&mut self, command: Value) -> Value {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.expect("the phone takes commands");
        let what = format!("{}'s phone to answer {command}", self.name);
        loop {
            let message = expect(&what, self.read()).await;
            if message["reply"] != true {
                self.events.push(message);
                continue;
            }
            assert_eq!(message["ok"], true, "{}'s phone: {}", self.name, message["result"]);
            return message["result"].clone();
        }
    }

    /// Waits for an event of this kind.
    pub(crate) async fn event(&mut self, kind: &str) -> Value {
        self.wait(kind, |event| event["event"] == kind).await
    }

    /// Waits for an event of this kind in the call with this Call-ID.
    pub(crate) async fn event_of(&mut self, call_id: &str, kind: &str) -> Value {
        let what = format!("{kind} of call {call_id}");
        self.wait(&what, |event| event["event"] == kind && event["call_id"] == call_id).await
    }

    /// Waits for a wanted event. Those that came before it stay for later waits.
    pub(crate) async fn wait(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{}'s phone to report {what}", self.name);
        expect(&what, async {
            loop {
                if let Some(at) = self.events.iter().position(&wanted) {
                    return self.events.remove(at);
                }
                let event = self.read().await;
                self.events.push(event);
            }
        })
        .await
    }

    async fn read(&mut self) -> Value {
        let line = self.messages.next_line().await.expect("the phone's remote control");
        let line = line.unwrap_or_else(|| panic!("{}'s phone is gone", self.name));
        serde_json::from_str(&line).expect("a line of JSON")
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let title = format!("{}'s phone: events that nobody waited for", self.name);
        show_on_failure(&title, &format!("{:#?}", self.events));
    }
}
