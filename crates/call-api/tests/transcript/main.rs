//! Transcripts: what one client sends (`>`) and what it gets (`<`), on a backend without SIP.
//!
//! Ids that the server chose are shown as `cmd-1`, `cmd-2`, … in the order they appear, times as
//! `T`. After each request the transcript waits until the commands it started have ended.
//! `UPDATE_EXPECT=1` rewrites the expectations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_requests;
mod batches;
mod flows;
mod hold;
mod outcomes;
mod random;
mod retries;

use std::sync::Arc;

use call_api::backend::fake::Fake;
use call_api::config::Limits;
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::outbox::{Outbox, Outgoing};
use expect_test::Expect;
use tokio::sync::watch;

/// Sends `requests` one after another, over one connection.
async fn check(requests: &[&str], transcript: Expect) {
    let mut client = Client::new();
    for request in requests {
        client.send(request).await;
    }
    transcript.assert_eq(&client.transcript);
}

struct Client {
    connection: Connection,
    outgoing: Outgoing,
    commands: Arc<Commands>,
    backend: Arc<Fake>,
    phase: Arc<watch::Sender<Phase>>,
    transcript: String,
    ids: Vec<String>,
}

impl Client {
    fn new() -> Self {
        Self::with_limits(&Limits::default())
    }

    fn with_limits(limits: &Limits) -> Self {
        let backend = Arc::new(Fake::default());
        let (phase, follow) = watch::channel(Phase::Serving);
        let commands = Arc::new(Commands::new(backend.clone(), limits, follow));
        Self::connect(commands, backend, Arc::new(phase))
    }

    /// Another client of the same server.
    fn another(&self) -> Self {
        Self::connect(self.commands.clone(), self.backend.clone(), self.phase.clone())
    }

    fn connect(
        commands: Arc<Commands>,
        backend: Arc<Fake>,
        phase: Arc<watch::Sender<Phase>>,
    ) -> Self {
        let (outbox, outgoing) = Outbox::channel(64 << 20);
        let connection = Connection::new(commands.clone(), outbox);
        Self {
            connection,
            outgoing,
            commands,
            backend,
            phase,
            transcript: String::new(),
            ids: Vec::new(),
        }
    }

    /// Sends a request and waits until no command runs.
    async fn send(&mut self, request: &str) {
        self.begin(request);
        while self.commands.running() > 0 {
            tokio::task::yield_now().await;
        }
        self.write_down();
    }

    /// Sends a request and writes down what comes back at once.
    fn begin(&mut self, request: &str) {
        self.transcript += &format!("> {request}\n");
        self.connection.receive(request);
        self.write_down();
    }

    /// Gives every task that can run the time to do so.
    async fn idle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for messages until an `Ended`.
    async fn until_ended(&mut self) {
        loop {
            let message = self.outgoing.messages.recv().await.expect("the connection is open");
            self.write_line(message.text());
            if message.text().contains(r#""method":"Ended""#) {
                return;
            }
        }
    }

    fn write_down(&mut self) {
        while let Ok(message) = self.outgoing.messages.try_recv() {
            self.write_line(message.text());
        }
    }

    fn write_line(&mut self, message: &str) {
        let message = mask_time(self.mask_ids(message));
        self.transcript += &format!("< {message}\n");
    }

    /// Replaces every UUID.
    fn mask_ids(&mut self, message: &str) -> String {
        let mut masked = String::new();
        for part in message.split_inclusive('"') {
            let id = part.trim_end_matches('"');
            if id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
                let known = self.ids.iter().position(|known| known == id);
                let number = known.unwrap_or_else(|| {
                    self.ids.push(id.to_owned());
                    self.ids.len() - 1
                });
                masked += &format!("cmd-{}\"", number + 1);
            } else {
                masked += part;
            }
        }
        masked
    }
}

/// Replaces the time of an event.
fn mask_time(message: String) -> String {
    const MEMBER: &str = r#""time":""#;
    match message.find(MEMBER).map(|at| at + MEMBER.len()) {
        Some(at) if message[at..].starts_with("20") => {
            let length = "2026-11-23T09:00:00.000Z".len();
            format!("{}T{}", &message[..at], &message[at + length..])
        }
        _ => message,
    }
}
