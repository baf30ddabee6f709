//! The documents are true: every example is a conversation that a real server has, every table is
//! the code's, every link leads somewhere.
//!
//! The examples run on the embedded engine with software phones on loopback. A phone's address in a
//! document stands for the address that it has here; ids and times differ from run to run, so an id
//! only has to be the same wherever the document shows the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod schemas;

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use call_api::api::{self, ErrorKind, Invocation};
use call_api::backend::embedded::{Embedded, Settings, Udp};
use call_api::config::{Config, Keep, Limits, SipListen, WsServer};
use call_api::server::Phase;
use call_api::server::access::token::Tokens;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::discovery::Discovery;
use call_api::server::journal::{self, Journal};
use call_api::server::outbox::{Outbox, Outgoing};
use engine::limits;
use engine::phone::{Answer, Phone};
use engine::ua::Output;
use schemas::Schemas;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// Far longer than any example takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// The phones of the examples: name, port in the documents, and what they do when they are called.
const PHONES: [(&str, u16, Answer); 5] = [
    ("alice", 5071, Answer::After(Duration::ZERO)),
    ("bob", 5072, Answer::After(Duration::ZERO)),
    ("cindy", 5073, Answer::After(Duration::ZERO)),
    ("dora", 5074, Answer::Refuse(486, Duration::ZERO)),
    ("nobody", 5079, Answer::Silent),
];

#[tokio::test]
async fn every_example_goes_as_the_document_tells() {
    let mut examples = 0;
    for document in ["README.md", "docs/api.md", "docs/embedded.md"] {
        let mut lab = Lab::start().await;
        let text = read(document);
        for (language, dialect) in [("json", Dialect::V1), ("json v2", Dialect::V2)] {
            for example in blocks(&text, language) {
                lab.replay(document, dialect, &example).await;
                examples += 1;
            }
        }
    }
    assert!(examples >= 8, "only {examples} examples were found");
}

#[test]
fn the_documented_errors_are_the_errors_there_are() {
    let documented: Vec<_> = rows(&section(&read("docs/api.md"), "## Errors"))
        .into_iter()
        .filter(|row| row[0].starts_with('-'))
        .map(|row| (row[0].parse::<i32>().unwrap(), row[1].clone()))
        .collect();
    let table = ErrorKind::TABLE.map(|(_, code, name)| (code, name.to_owned()));
    assert_eq!(documented, table);
}

#[test]
fn the_documented_commands_are_the_commands_there_are() {
    let manual = section(&read("docs/api.md"), "## Commands");
    let documented: Vec<_> = manual.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(documented, api::Command::NAMES);
}

#[test]
fn the_documented_queries_are_the_queries_there_are() {
    let manual = section(&read("docs/api.md"), "## Watching");
    let documented: Vec<_> = manual.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(documented, api::Query::NAMES);
}

#[test]
fn the_documented_bound_of_subscriptions_is_the_servers() {
    let manual = section(&read("docs/api.md"), "## Watching");
    let bound = Limits::default().subscriptions;
    assert!(manual.contains(&format!("up to {bound} subscriptions")));
    let promises = section(&read("docs/api.md"), "## What a client can rely on");
    assert!(promises.contains(&format!("the last {} MiB", Keep::default().memory_bytes >> 20)));
    let (bytes, patience) = (Keep::default().max_bytes >> 20, journal::PATIENCE.as_secs());
    assert!(promises.contains(&format!("({bytes} MiB,")));
    assert!(promises.contains(&format!("more than {patience} seconds")));
}

#[test]
fn every_documented_parameter_is_taken_and_every_mandatory_one_is_missed() {
    let manual = section(&read("docs/api.md"), "## Commands");
    let all = json!({
        "caller": "sip:a@h", "callee": "sip:b@h", "callid": "x", "leg": "caller", "destination": "sip:c@h",
        "callid_a": "x", "leg_a": "caller", "callid_b": "y", "leg_b": "callee",
    });
    let mut taken = 0;
    for command in api::Command::NAMES.into_iter().filter(|name| *name != "Echo") {
        let table = rows(&section(&manual, &format!("### {command}")));
        let listed = |row: &Vec<String>| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>();
        let mandatory = table.iter().filter(|row| row[1].contains("mandatory")).flat_map(listed);
        let mandatory: Vec<_> = mandatory.collect();
        let mut params = json!({});
        for name in table.iter().skip(1).flat_map(listed) {
            params[&name] =
                if mandatory.contains(&name) { all[&name].clone() } else { Value::Null };
            taken += 1;
        }
        Invocation::parse(command, params.clone()).unwrap();
        for name in mandatory {
            let mut without = params.clone();
            without.as_object_mut().unwrap().remove(&name);
            assert!(Invocation::parse(command, without).is_err(), "{command} without {name}");
        }
    }
    assert_eq!(taken, 42, "the parameters of all six commands");
}

#[test]
fn the_documented_limits_are_the_settings_and_their_defaults() {
    let table = rows(&section(&read("docs/api.md"), "## Limits"));
    let documented: Vec<_> = table
        .iter()
        .filter_map(|row| Some(format!("{}: {}", row[0].strip_prefix("limits.")?, row[1])))
        .collect();
    let sample = Config::sample();
    let settings = sample.split_once("\nlimits:\n").unwrap().1.lines();
    let settings: Vec<_> = settings
        .filter_map(|line| line.strip_prefix("  #").filter(|setting| !setting.starts_with(' ')))
        .collect();
    assert_eq!(documented, settings);
}

#[test]
fn the_documented_token_is_one_and_its_table_has_all_it_may_hold() {
    let manual = read("docs/access.md");
    let example = blocks(&manual, "yaml").into_iter().find(|block| block.starts_with("shop:"));
    let example = example.expect("an example of a token");
    let tokens = Tokens::parse(&example, &Tokens::default()).unwrap();
    assert_eq!(tokens.len(), 1);
    let table = rows(&section(&manual, "## Tokens"));
    let documented: BTreeSet<_> = table.iter().skip(1).map(|row| row[0].clone()).collect();
    let keys = example.lines().skip(1).filter_map(|line| Some(line.trim().split_once(':')?.0));
    let keys: BTreeSet<_> = keys.filter(|key| *key != "sha256").map(str::to_owned).collect();
    assert_eq!(documented, keys);
}

#[test]
fn the_documented_refusals_are_errors_there_are() {
    let table = rows(&section(&read("docs/access.md"), "## Refusals"));
    assert!(table.len() > 8, "{table:?}");
    for row in table.iter().skip(1) {
        let known = |kind: &ErrorKind| kind.code().to_string() == row[1] && kind.name() == row[2];
        assert!(ErrorKind::TABLE.iter().any(|(kind, ..)| known(kind)), "{row:?}");
    }
}

#[test]
fn the_documented_deadlines_are_the_engines() {
    let table = rows(&section(&read("docs/embedded.md"), "## Deadlines"));
    let deadline = |wait: &str| {
        let row = table.iter().find(|row| row[0].starts_with(wait));
        let seconds = row.and_then(|row| row[1].strip_suffix(" s")).expect("a row in seconds");
        Duration::from_secs(seconds.parse().unwrap())
    };
    assert_eq!(deadline("a phone rings"), limits::RING_TIMEOUT);
    assert_eq!(deadline("the answer to REFER"), limits::REFER_TIMEOUT);
    assert_eq!(deadline("both phones accept a hold"), limits::HOLD_TIMEOUT);
    assert_eq!(deadline("the referred phone's call"), limits::REFER_TIMEOUT);
    assert_eq!(deadline("a phone, or its address, says nothing"), engine::timer::T1X64);
}

#[test]
fn every_link_leads_somewhere() {
    let mut astray = Vec::new();
    let documents = documents();
    assert!(documents.len() > 8, "{documents:?}");
    for document in &documents {
        for link in links(&read(document)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => root().join(document),
                file => root().join(document).parent().unwrap().join(file),
            };
            let leads =
                target.exists() && (heading.is_empty() || anchors(&target).contains(heading));
            if !leads {
                astray.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(astray.is_empty(), "links that lead nowhere:\n  {}", astray.join("\n  "));
}

#[test]
fn every_flow_is_listed_by_its_command() {
    let listed: BTreeSet<String> = links(&read("docs/flows/README.md")).into_iter().collect();
    let files = std::fs::read_dir(root().join("docs/flows")).unwrap();
    let ladders = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let missing: Vec<_> =
        ladders.filter(|name| name.ends_with(".txt") && !listed.contains(name.as_str())).collect();
    assert_eq!(missing, [""; 0], "ladders that docs/flows/README.md does not name");
}

/// A server, its phones, and one client.
struct Lab {
    /// One for each dialect; what they read comes together.
    connections: [(Dialect, Connection); 2],
    outgoing: Outgoing,
    /// Addresses: in the documents, and here.
    addresses: Vec<(String, String)>,
    shown: Ids,
    heard: Ids,
    schemas: Schemas,
    /// The methods of the requests that were sent, by their ids.
    asked: HashMap<String, String>,
    _phase: watch::Sender<Phase>,
}

impl Lab {
    async fn start() -> Self {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let udp = Udp::listen(&SipListen::Udp(any)).await.unwrap();
        let engine = udp.local();
        let journal = Arc::new(Journal::default());
        let settings = Settings::default();
        let backend = Arc::new(Embedded::start(udp, settings, journal.clone()).unwrap());
        let (phase, follow) = watch::channel(Phase::Serving);
        let schemas = Schemas::new(&Discovery::new(&*backend, &WsServer::default()));
        let commands = Arc::new(Commands::new(backend, journal, &Limits::default(), follow));
        let (outbox, outgoing) = Outbox::channel(1 << 20);
        let mut addresses = Vec::new();
        for (name, port, answer) in PHONES {
            let here = start_phone(name, engine, answer).await;
            addresses.push((format!("127.0.0.1:{port}"), here.to_string()));
        }
        let connections = [Dialect::V1, Dialect::V2].map(|dialect| {
            (dialect, Connection::new(commands.clone(), outbox.clone()).speaking(dialect))
        });
        let (shown, heard) = (Ids::default(), Ids::default());
        let asked = HashMap::new();
        Self { connections, outgoing, addresses, shown, heard, schemas, asked, _phase: phase }
    }

    /// Sends what the client sends in an example, and compares what it reads with what it gets.
    async fn replay(&mut self, document: &str, dialect: Dialect, example: &str) {
        let mut text = example.to_owned();
        for (documented, here) in &self.addresses {
            text = text.replace(documented, here);
        }
        let messages: Vec<Value> = serde_json::Deserializer::from_str(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{document}: {error} in\n{example}"));
        assert!(is_request(&messages[0]), "{document}: the client speaks first in\n{example}");
        let mut running = 0;
        for mut shown in messages {
            if is_request(&shown) {
                self.name_as_here(&mut shown);
                self.ask(&shown);
                let spoken = |(known, _): &&(Dialect, Connection)| *known == dialect;
                let (_, connection) = self.connections.iter().find(spoken).unwrap();
                connection.receive(&shown.to_string());
                continue;
            }
            let heard = timeout(DEADLINE, self.outgoing.messages.recv()).await;
            let heard = heard.expect("a message in time").expect("the connection is open");
            let mut heard: Value = serde_json::from_str(heard.text()).unwrap();
            self.check(&heard);
            self.shown.mask(&mut shown);
            self.heard.mask(&mut heard);
            assert_eq!(format!("{heard:#}"), format!("{shown:#}"), "{document}:\n{example}");
            running += started(&heard);
            running -= i32::from(heard["method"] == "Ended" || heard["params"]["event"] == "Ended");
        }
        assert_eq!(running, 0, "{document}: an example shows all, up to Ended:\n{example}");
        assert!(self.outgoing.messages.try_recv().is_err(), "{document}: more came of\n{example}");
    }

    /// Remembers what was asked. Valid parameters are valid by the published schemas, too.
    fn ask(&mut self, request: &Value) {
        if let Value::Array(batch) = request {
            return batch.iter().for_each(|request| self.ask(request));
        }
        let (method, params) = (request["method"].as_str().unwrap(), &request["params"]);
        if Invocation::parse(method, params.clone()).is_ok() {
            self.schemas.check_params(method, params);
        }
        self.asked.insert(request["id"].to_string(), method.to_owned());
    }

    /// What the server says is as the published schemas tell.
    fn check(&self, message: &Value) {
        match message {
            Value::Array(batch) => batch.iter().for_each(|reply| self.check(reply)),
            notification if notification.get("method").is_some() => {
                self.schemas.check_notification(notification);
            }
            reply if reply.get("result").is_some() => {
                let method = &self.asked[&reply["id"].to_string()];
                self.schemas.check_result(method, &reply["result"]);
            }
            _error => {}
        }
    }

    /// Replaces the ids that the document had from its server by those that we had from ours.
    fn name_as_here(&mut self, request: &mut Value) {
        for_ids(request, &mut |id| match self.shown.0.iter().position(|shown| *shown == id) {
            Some(number) => self.heard.0[number].clone(),
            None => {
                self.shown.0.push(id.clone());
                self.heard.0.push(id.clone());
                id
            }
        });
    }
}

/// A phone on a port of its own.
async fn start_phone(name: &str, engine: SocketAddr, answer: Answer) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut phone = Phone::new(name, address, Some(engine), [name.len() as u8; 32]);
    phone.behaviour.answer = answer;
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        loop {
            let deadline = phone.next_timeout().map(Instant::from_std);
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    let datagram = Bytes::copy_from_slice(&buffer[..length]);
                    phone.receive(Instant::now().into_std(), from, datagram);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    phone.expire(Instant::now().into_std());
                }
            }
            while phone.poll_event().is_some() {}
            while let Some(output) = phone.poll() {
                if let Output::Transmit { to, bytes } = output {
                    socket.send_to(&bytes, to).await.unwrap();
                }
            }
        }
    });
    address
}

fn is_request(message: &Value) -> bool {
    match message {
        Value::Array(batch) => batch.iter().any(is_request),
        _ => {
            // What is told has the name of an event, or of a notification.
            let is_told = |method| ["Event", "Error", "Ended"].contains(&method);
            message["params"].get("event").is_none()
                && message["method"].as_str().is_some_and(|method| !is_told(method))
        }
    }
}

/// How many commands a reply says are started.
fn started(reply: &Value) -> i32 {
    match reply {
        Value::Array(batch) => batch.iter().map(started).sum(),
        _ => {
            i32::from(reply["result"]["status"] == "Started" && reply["result"]["replayed"] != true)
        }
    }
}

/// The ids that one side named, in the order they appeared.
#[derive(Default)]
struct Ids(Vec<String>);

impl Ids {
    /// Replaces ids by their numbers, and times by a word. Leaves out the cursors of commands, as the
    /// document does.
    fn mask(&mut self, message: &mut Value) {
        let params = message.get_mut("params").and_then(Value::as_object_mut);
        if let Some(params) = params.filter(|params| !params.contains_key("subscription")) {
            params.remove("cursor");
        }
        for_ids(message, &mut |id| {
            let known = self.0.iter().position(|known| *known == id);
            let number = known.unwrap_or_else(|| {
                self.0.push(id);
                self.0.len() - 1
            });
            format!("id {number}")
        });
        mask_times(message);
    }
}

fn mask_times(message: &mut Value) {
    match message {
        Value::Array(list) => list.iter_mut().for_each(mask_times),
        Value::Object(members) => {
            for (name, value) in members {
                if ["time", "created", "answered", "established"].contains(&name.as_str()) {
                    let text = value.as_str().unwrap_or_default();
                    let length = "2026-11-23T09:00:00.000Z".len();
                    assert!(text.len() == length && text.ends_with('Z'), "{name}: {value}");
                    *value = json!("a time");
                } else {
                    mask_times(value);
                }
            }
        }
        _ => {}
    }
}

/// The members that name a command, a call, a subscription or a place in the journal.
const NAMES: [&str; 6] = ["cmd_id", "callid", "id", "subscription", "cursor", "since"];

/// Lets `rename` see, and change, every id in a message.
fn for_ids(message: &mut Value, rename: &mut impl FnMut(String) -> String) {
    match message {
        Value::Array(batch) => batch.iter_mut().for_each(|message| for_ids(message, rename)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(id) if NAMES.contains(&name.as_str()) => {
                        *id = rename(std::mem::take(id));
                    }
                    value => for_ids(value, rename),
                }
            }
        }
        _ => {}
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file of ours, from the root of the repository.
fn documents() -> Vec<String> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let output = Command::new("git").args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The fenced blocks of a language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let blocks = document.split(&opening).skip(1);
    blocks.map(|rest| rest.split_once("\n```").expect("a fence has an end").0.to_owned()).collect()
}

/// What stands under a heading, up to the next one of its level or above.
fn section(document: &str, heading: &str) -> String {
    let level = heading.split(' ').next().unwrap().len();
    let ends = |line: &&str| {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        (1..=level).contains(&marks) && line[marks..].starts_with(' ')
    };
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no {heading}");
    lines.take_while(|line| !ends(line)).collect::<Vec<_>>().join("\n")
}

/// The rows of the tables in a text, without the lines between head and body; cells without their
/// backquotes.
fn rows(text: &str) -> Vec<Vec<String>> {
    let table = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows = table.filter(|line| !line.starts_with(" ---"));
    rows.map(|line| line.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// Where a document's links lead, other than to the web.
fn links(document: &str) -> Vec<String> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|link| !link.contains("://")).collect()
}

/// The names of a document's headings in links.
fn anchors(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let names = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    names
        .map(|name| {
            let kept = name.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
