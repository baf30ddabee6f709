//! A client of the API on top of the backend, and what it sends (`>`) and reads (`<`).

use std::sync::Arc;
use std::time::Duration;

use call_api::backend::opensips::{OpenSips, Proxy, Settings};
use call_api::config::Limits;
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
use call_api::server::outbox::{Outbox, Outgoing};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::script::Script;

/// Far longer than any command here may take.
const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) struct Client {
    connection: Connection,
    dialect: Dialect,
    outgoing: Outgoing,
    pub(crate) backend: Arc<OpenSips>,
    commands: Arc<Commands>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) transcript: String,
    /// Everything that was read.
    pub(crate) messages: Vec<Value>,
    /// What is shown instead of what differs from run to run.
    names: Vec<(String, String)>,
}

impl Client {
    /// A server with one proxy.
    pub(crate) async fn of(script: &mut Script) -> Self {
        Self::with(&mut [script]).await
    }

    /// A server with several.
    pub(crate) async fn with(scripts: &mut [&mut Script]) -> Self {
        let journal = Arc::new(Journal::default());
        let mut proxies = Vec::new();
        for script in scripts {
            let settings =
                Settings { sip: None, timeout: Duration::from_secs(5), run: proxies.len() as u32 };
            proxies.push(Proxy::start(script.link(), settings, journal.clone()));
        }
        let mut backend = OpenSips::of(proxies);
        backend.found().await;
        Self::on(backend, journal)
    }

    /// A server with this backend.
    pub(crate) fn on(backend: OpenSips, journal: Arc<Journal>) -> Self {
        let backend = Arc::new(backend);
        let (phase, follow) = watch::channel(Phase::Serving);
        let commands =
            Arc::new(Commands::new(backend.clone(), journal, &Limits::default(), follow));
        let (outbox, outgoing) = Outbox::channel(64 << 20);
        let connection = Connection::new(Arc::clone(&commands), outbox);
        let (transcript, messages, names) = (String::new(), Vec::new(), Vec::new());
        Self {
            connection,
            dialect: Dialect::default(),
            outgoing,
            backend,
            commands,
            phase,
            transcript,
            messages,
            names,
        }
    }

    /// The same client, speaking this dialect.
    pub(crate) fn speaking(self, dialect: Dialect) -> Self {
        Self { connection: self.connection.speaking(dialect), dialect, ..self }
    }

    /// Sends a request: a method and its parameters, which are an object without its braces.
    pub(crate) fn begin(&mut self, method: &str, params: &str) {
        self.transcript += &format!("> {method} {params}\n");
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
        self.connection.receive(&request);
    }

    /// Writes down what comes until a command has ended.
    pub(crate) async fn until_ended(&mut self) {
        loop {
            let message = timeout(DEADLINE, self.outgoing.messages.recv()).await;
            let message = message.expect("every command ends").expect("the connection is open");
            let text = message.text().to_owned();
            self.write_line(&text);
            if text.contains(r#""method":"Ended""#) || text.contains(r#""event":"Ended""#) {
                return;
            }
        }
    }

    /// Sends a command and writes down what comes of it.
    pub(crate) async fn run(&mut self, method: &str, params: &str) {
        self.begin(method, params);
        self.until_ended().await;
    }

    /// Asks something that is answered at once.
    pub(crate) fn query(&mut self, method: &str, params: &str) {
        self.begin(method, params);
        self.write_down();
    }

    /// Writes down what has come.
    pub(crate) fn write_down(&mut self) {
        while let Ok(message) = self.outgoing.messages.try_recv() {
            let text = message.text().to_owned();
            self.write_line(&text);
        }
    }

    /// Sends text as it is.
    pub(crate) fn send(&mut self, text: &str) {
        self.transcript += &format!("> {text}\n");
        self.connection.receive(text);
    }

    /// Goes away, and comes back to hear the rest of its commands.
    pub(crate) fn leave(&mut self) {
        self.write_down();
        self.transcript += "(the client goes, and comes back)\n";
        let (outbox, outgoing) = Outbox::channel(64 << 20);
        self.connection =
            Connection::new(Arc::clone(&self.commands), outbox).speaking(self.dialect);
        self.outgoing = outgoing;
        for (id, name) in &self.names {
            if name.starts_with("cmd_id") {
                self.transcript += &format!("> Subscribe to {name}\n");
                self.connection.receive(&format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{{"filter":{{"cmd_id":"{id}"}}}}}}"#
                ));
            }
        }
    }

    /// How many commands have not ended.
    pub(crate) fn running(&self) -> usize {
        self.commands.running()
    }

    fn write_line(&mut self, message: &str) {
        self.messages.push(serde_json::from_str(message).unwrap());
        let shown = self.masked(message);
        self.transcript += &format!("< {shown}\n");
    }

    /// Without what differs from run to run, and without the frame that every message has.
    fn masked(&mut self, message: &str) -> String {
        let mut parts: Vec<String> = message.split('"').map(str::to_owned).collect();
        for at in 2..parts.len() {
            let name = match parts[at - 2].as_str() {
                "time" | "created" | "answered" | "established" if is_time(&parts[at]) => {
                    "T".to_owned()
                }
                "cursor" | "prev" => "C".to_owned(),
                "cmd_id" | "subscription" => self.name(&parts[at], &parts[at - 2].clone()),
                "callid" if parts[at].starts_with("call-api-") => self.name(&parts[at], "helper"),
                _ => continue,
            };
            parts[at] = name;
        }
        let text = parts.join("\"");
        let text = text.replace(r#""jsonrpc":"2.0","#, "").replace(r#","time":"T""#, "");
        text.replace(r#","cursor":"C""#, "").replace(r#","prev":"C""#, "")
    }

    /// What stands for an id.
    fn name(&mut self, id: &str, kind: &str) -> String {
        if let Some((_, name)) = self.names.iter().find(|(known, _)| known == id) {
            return name.clone();
        }
        let same = self.names.iter().filter(|(_, name)| name.starts_with(kind)).count();
        let name = format!("{kind}-{}", same + 1);
        self.names.push((id.to_owned(), name.clone()));
        name
    }
}

/// `2026-11-23T09:00:00.000Z`
fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z')
}
