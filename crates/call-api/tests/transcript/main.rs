//! Transcripts: what one client sends (`>`) and what it gets (`<`), on a backend without SIP.
//!
//! Ids that the server chose are shown as `cmd-1`, `cmd-2`, … or `sub-1`, … in the order they appear,
//! times as `T`; cursors are shown in subscriptions only. After each request the transcript waits until the commands it started have ended.
//! `UPDATE_EXPECT=1` rewrites the expectations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod bad_requests;
mod batches;
mod flows;
mod hold;
mod outcomes;
mod random;
mod registrations;
mod restart;
mod retries;
mod subscriptions;
mod transfer;
mod v2;
mod watching;

use std::sync::Arc;

use call_api::backend::fake::Fake;
use call_api::config::{Keep, Limits};
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
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
    journal: Arc<Journal>,
    phase: Arc<watch::Sender<Phase>>,
    transcript: String,
    /// What the server chose, and how it is shown.
    ids: Vec<(String, String)>,
}

impl Client {
    fn new() -> Self {
        Self::with_limits(&Limits::default())
    }

    fn with_limits(limits: &Limits) -> Self {
        Self::with_journal_of(Keep::default().memory_bytes, limits)
    }

    /// The journal of this client's server keeps so many bytes.
    fn with_journal_of(journal_bytes: usize, limits: &Limits) -> Self {
        Self::with_journal(Arc::new(Journal::new(0xa, journal_bytes)), limits)
    }

    fn with_journal(journal: Arc<Journal>, limits: &Limits) -> Self {
        let backend = Arc::new(Fake::default());
        let (phase, follow) = watch::channel(Phase::Serving);
        let commands = Commands::new(backend.clone(), journal.clone(), limits, follow);
        Self::connect(Arc::new(commands), backend, journal, Arc::new(phase))
    }

    /// The same client, speaking this dialect.
    fn speaking(self, dialect: Dialect) -> Self {
        Self { connection: self.connection.speaking(dialect), ..self }
    }

    /// Another client of the same server.
    fn another(&self) -> Self {
        let Self { commands, backend, journal, phase, .. } = self;
        Self::connect(commands.clone(), backend.clone(), journal.clone(), phase.clone())
    }

    fn connect(
        commands: Arc<Commands>,
        backend: Arc<Fake>,
        journal: Arc<Journal>,
        phase: Arc<watch::Sender<Phase>>,
    ) -> Self {
        let (outbox, outgoing) = Outbox::channel(64 << 20);
        let connection = Connection::new(commands.clone(), outbox);
        Self {
            connection,
            outgoing,
            commands,
            backend,
            journal,
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
        self.connection.receive(&self.with_ids(request));
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
            if is_ended(message.text()) {
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
        let message = without_own_cursor(&mask_times(&self.mask_ids(message)));
        self.transcript += &format!("< {message}\n");
    }

    /// A request in which the shown ids are the server's own.
    fn with_ids(&self, request: &str) -> String {
        let fill = |text: String, (id, name): &(String, String)| {
            text.replace(&format!("\"{name}\""), &format!("\"{id}\""))
        };
        self.ids.iter().fold(request.to_owned(), fill)
    }

    /// Replaces every UUID.
    fn mask_ids(&mut self, message: &str) -> String {
        let mut masked = String::new();
        for part in message.split_inclusive('"') {
            let id = part.trim_end_matches('"');
            if id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
                let known = self.ids.iter().position(|(known, _)| known == id);
                let at = known.unwrap_or_else(|| {
                    let is_subscription = masked.ends_with("\"subscription\":\"");
                    let kind = if is_subscription { "sub" } else { "cmd" };
                    let before = self.ids.iter().filter(|(_, name)| name.starts_with(kind));
                    let name = format!("{kind}-{}", before.count() + 1);
                    self.ids.push((id.to_owned(), name));
                    self.ids.len() - 1
                });
                masked += &format!("{}\"", self.ids[at].1);
            } else {
                masked += part;
            }
        }
        masked
    }
}

/// Whether this is the last message of a command, in either dialect.
fn is_ended(message: &str) -> bool {
    message.contains(r#""method":"Ended""#) || message.contains(r#""event":"Ended""#)
}

/// Replaces every time.
fn mask_times(message: &str) -> String {
    let is_time = |part: &str| part.len() == 24 && part.starts_with("20") && part.ends_with('Z');
    let parts: Vec<_> = message.split('"').map(|p| if is_time(p) { "T" } else { p }).collect();
    parts.join("\"")
}

/// Leaves out the cursor of a notification that belongs to no subscription.
fn without_own_cursor(message: &str) -> String {
    const MEMBER: &str = r#","cursor":""#;
    match message.find(MEMBER) {
        Some(at) if message.contains("cmd_id") && !message.contains("subscription") => {
            let end = message[at + MEMBER.len()..].find('"').expect("a string ends");
            format!("{}{}", &message[..at], &message[at + MEMBER.len() + end + 1..])
        }
        _ => message.to_owned(),
    }
}
