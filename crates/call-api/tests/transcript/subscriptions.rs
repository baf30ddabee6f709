//! Many subscriptions, slow readers, and clients that come and go: nothing is lost without a sign,
//! and nothing grows without bound.

use std::collections::BTreeMap;

use call_api::api::{CallEvent, RegistrationChange};
use call_api::backend::EventSink;
use call_api::config::Limits;
use call_api::server::connection::Connection;
use call_api::server::outbox::{Outbox, Outgoing};
use serde_json::{Value, json};

use crate::Client;
use crate::random::Chance;
use crate::registrations::event as registration;
use crate::watching::life;

fn subscribe(params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "Subscribe", "params": params}).to_string()
}

fn next(outgoing: &mut Outgoing) -> Option<Value> {
    outgoing.messages.try_recv().ok().map(|message| serde_json::from_str(message.text()).unwrap())
}

#[tokio::test]
async fn a_connection_has_so_many_subscriptions_and_gets_one_back_for_one_it_ends() {
    let mut client = Client::new();
    let mut names = Vec::new();
    for _ in 0..Limits::default().subscriptions {
        client.connection.receive(&subscribe(&json!({})));
        names.push(next(&mut client.outgoing).unwrap()["result"]["subscription"].clone());
    }
    client.connection.receive(&subscribe(&json!({})));
    let refusal = next(&mut client.outgoing).unwrap();
    assert_eq!(refusal["error"]["data"]["kind"], "rate_limited", "{refusal}");
    let end = json!({"jsonrpc": "2.0", "id": 2, "method": "Unsubscribe", "params": {"subscription": names[0]}});
    client.connection.receive(&end.to_string());
    assert!(next(&mut client.outgoing).unwrap().get("result").is_some());
    client.connection.receive(&subscribe(&json!({})));
    assert!(next(&mut client.outgoing).unwrap().get("result").is_some());
}

#[tokio::test]
async fn a_batch_cannot_ask_for_any_amount_of_lists() {
    let mut client = Client::new();
    for number in 0..6000 {
        client.journal.call(life(&format!("{number:x}"), &format!("c{number}")).remove(0));
    }
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "CallList"});
    client.connection.receive(&json!([list, list, list, list]).to_string());
    let replies = next(&mut client.outgoing).unwrap();
    let results = replies.as_array().unwrap().iter().map(|reply| reply["result"].is_object());
    assert_eq!(results.collect::<Vec<_>>(), [true, true, false, false]);
}

#[tokio::test]
async fn a_batch_cannot_ask_for_any_amount_of_descriptions() {
    let mut client = Client::new();
    let discover = json!({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"});
    client.connection.receive(&json!(vec![discover; 1000]).to_string());
    let replies = next(&mut client.outgoing).unwrap();
    let (given, refused): (Vec<_>, Vec<_>) =
        replies.as_array().unwrap().iter().partition(|reply| reply["result"].is_object());
    assert!((1..200).contains(&given.len()), "{}", given.len());
    assert_eq!(refused[0]["error"]["data"]["kind"], "rate_limited");
}

#[tokio::test]
async fn a_list_longer_than_the_queue_arrives_and_holds_up_nothing() {
    let client = Client::new();
    for number in 0..500 {
        client.journal.call(life(&format!("{number:x}"), &format!("c{number}")).remove(0));
    }
    let (outbox, mut outgoing) = Outbox::channel(64 << 10);
    let connection = Connection::new(client.commands.clone(), outbox);
    connection.receive(&subscribe(&json!({})));
    client.journal.call(life("ffff", "later").remove(0));
    client.idle().await;
    let snapshot = next(&mut outgoing).unwrap();
    assert_eq!(snapshot["result"]["calls"].as_array().unwrap().len(), 500);
    client.idle().await;
    assert_eq!(next(&mut outgoing).unwrap()["params"]["event"], "CALL_START");
    assert!(!*outgoing.overflowed.borrow());
}

#[tokio::test]
async fn a_reader_that_stops_costs_nothing_and_is_cut_off_when_the_journal_has_gone_on() {
    let client = Client::with_journal_of(1 << 20, &Limits::default());
    let (outbox, mut outgoing) = Outbox::channel(64 << 10);
    let connection = Connection::new(client.commands.clone(), outbox);
    connection.receive(&subscribe(&json!({})));
    for _ in 0..1000 {
        life("0a", "c").into_iter().for_each(|event| client.journal.call(event));
        tokio::task::yield_now().await;
    }
    assert!(!*outgoing.overflowed.borrow(), "it may still read on");
    // It reads again, what was queued; what was not is gone.
    let mut last = Value::Null;
    for _ in 0..2000 {
        if let Some(message) = next(&mut outgoing) {
            last = message["params"]["cursor"].clone();
        }
        tokio::task::yield_now().await;
    }
    assert!(*outgoing.overflowed.borrow(), "it is told to go");
    let (outbox, mut outgoing) = Outbox::channel(64 << 10);
    let connection = Connection::new(client.commands.clone(), outbox);
    connection.receive(&subscribe(&json!({"since": last})));
    let reply = next(&mut outgoing).unwrap();
    assert_eq!(reply["result"]["gap"], true, "{reply}");
}

/// A client that keeps a table of calls, or of registrations, from what it is told, and comes back when
/// it is cut off.
struct Watcher {
    /// What it watches: `call` or `registration`.
    subject: &'static str,
    line: Option<(Connection, Outgoing)>,
    cursor: Option<String>,
    table: BTreeMap<String, Value>,
    gaps: usize,
    resumed: usize,
}

impl Watcher {
    fn new(subject: &'static str) -> Self {
        Self { subject, line: None, cursor: None, table: BTreeMap::new(), gaps: 0, resumed: 0 }
    }

    /// Comes back, unless it is there, and goes on from where it was.
    fn come_back(&mut self, server: &Client) {
        if self.line.is_none() {
            let (outbox, outgoing) = Outbox::channel(16 << 10);
            let connection = Connection::new(server.commands.clone(), outbox);
            let filter = match self.subject {
                "call" => json!({}),
                _ => json!({"registrations": true}),
            };
            connection.receive(&subscribe(&json!({"filter": filter, "since": self.cursor})));
            self.line = Some((connection, outgoing));
        }
    }

    /// Reads up to so many messages.
    fn read(&mut self, at_most: usize, seed: u64) {
        let Some((_, outgoing)) = &mut self.line else { return };
        for _ in 0..at_most {
            let Some(message) = next(outgoing) else { break };
            let (result, params) = (&message["result"], &message["params"]);
            if result.is_object() {
                match listed(self.subject, result) {
                    Some(table) => {
                        self.gaps += usize::from(result["gap"] == true);
                        self.table = table;
                    }
                    None => self.resumed += 1,
                }
                self.cursor = result["cursor"].as_str().map(str::to_owned);
                continue;
            }
            let prev = params["prev"].as_str().map(str::to_owned);
            assert_eq!(prev, self.cursor, "seed {seed}: a gap that nobody told of: {message}");
            self.cursor = params["cursor"].as_str().map(str::to_owned);
            let subject = &params[self.subject];
            match params["event"].as_str() {
                Some("CALL_END" | "EXPIRED" | "REMOVED") => {
                    drop(self.table.remove(&name(subject)));
                }
                _ => drop(self.table.insert(name(subject), lasting(subject))),
            }
        }
        if *outgoing.overflowed.borrow() {
            self.line = None;
        }
    }

    /// The server's own table.
    fn truth(&self, server: &Client) -> BTreeMap<String, Value> {
        let list = if self.subject == "call" { "CallList" } else { "RegistrationList" };
        let mut asker = server.another();
        asker.connection.receive(&json!({"jsonrpc": "2.0", "id": 1, "method": list}).to_string());
        let reply = next(&mut asker.outgoing).unwrap();
        listed(self.subject, &reply["result"]).expect("a list is a list")
    }
}

/// The calls, or registrations, that a result lists by their names.
fn listed(subject: &str, result: &Value) -> Option<BTreeMap<String, Value>> {
    let entries = result[format!("{subject}s")].as_array()?;
    Some(entries.iter().map(|entry| (name(entry), lasting(entry))).collect())
}

/// What stays true of an entry: the seconds that are left of a registration pass.
fn lasting(entry: &Value) -> Value {
    let mut entry = entry.clone();
    entry.as_object_mut().expect("an entry is an object").remove("expires");
    entry
}

/// What there is one of in a table.
fn name(entry: &Value) -> String {
    let members = ["id", "aor", "contact"].iter().filter_map(|member| entry[member].as_str());
    members.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn whoever_follows_from_snapshot_and_events_ends_with_the_servers_own_table() {
    let (mut gaps, mut resumed) = ([0, 0], [0, 0]);
    for seed in 1..=100 {
        let mut chance = Chance(seed);
        // The smaller it is, the more often a cursor is too old.
        let journal = [3_000, 30_000, 1 << 20][chance.below(3)];
        let server = Client::with_journal_of(journal, &Limits::default());
        let mut watchers = [Watcher::new("call"), Watcher::new("registration")];
        let mut lives: Vec<std::vec::IntoIter<CallEvent>> = Vec::new();
        let mut phones = [false; 5];
        for number in 0..600 {
            let watcher = &mut watchers[chance.below(2)];
            match chance.below(14) {
                0 => watcher.line = None,
                1 | 2 => lives
                    .push(life(&format!("{number:x}"), &format!("c{}", number % 5)).into_iter()),
                3 | 4 => watcher.read(chance.below(20), seed),
                5 => tokio::task::yield_now().await,
                6 | 7 => come_or_go(&server, &mut phones, &mut chance),
                _ if lives.is_empty() => {}
                _ => {
                    let at = chance.below(lives.len());
                    match lives[at].next() {
                        Some(event) => server.journal.call(event),
                        None => drop(lives.remove(at)),
                    }
                }
            }
            watchers.iter_mut().for_each(|watcher| watcher.come_back(&server));
        }
        for _ in 0..2000 {
            for watcher in &mut watchers {
                watcher.read(usize::MAX, seed);
                watcher.come_back(&server);
            }
            tokio::task::yield_now().await;
        }
        for (at, watcher) in watchers.iter().enumerate() {
            assert_eq!(watcher.table, watcher.truth(&server), "seed {seed}");
            gaps[at] += watcher.gaps;
            resumed[at] += watcher.resumed;
        }
    }
    let often = gaps.iter().chain(&resumed).all(|count| *count > 100);
    assert!(often, "both ways are tried by both: {gaps:?} gaps, {resumed:?} resumed");
}

/// One of alice's phones registers, or its registration ends in one way or the other.
fn come_or_go(server: &Client, phones: &mut [bool], chance: &mut Chance) {
    let at = chance.below(phones.len());
    let change = match (phones[at], chance.below(2)) {
        (false, _) => RegistrationChange::Registered,
        (true, 0) => RegistrationChange::Removed,
        (true, _) => RegistrationChange::Expired,
    };
    phones[at] = !phones[at];
    server.journal.registration(registration(change, &format!("phone-{at}"), 600));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_misses_nothing_while_events_come_on_another_thread() {
    const CALLS: usize = 500;
    let server = Client::new();
    let (outbox, mut outgoing) = Outbox::channel(64 << 10);
    let connection = Connection::new(server.commands.clone(), outbox);
    connection.receive(&subscribe(&json!({})));
    let journal = server.journal.clone();
    let telling = tokio::task::spawn_blocking(move || {
        let lives = (0..CALLS).flat_map(|number| life(&format!("{number:x}"), "shared"));
        lives.for_each(|event| journal.call(event));
    });
    let mut cursor = Value::Null;
    let mut ended = 0;
    while ended < CALLS {
        let message = outgoing.messages.recv().await.expect("nobody is cut off");
        let message: Value = serde_json::from_str(message.text()).unwrap();
        if let Some(start) = message["result"].get("cursor") {
            cursor = start.clone();
            continue;
        }
        assert_eq!(message["params"]["prev"], cursor, "{message}");
        cursor = message["params"]["cursor"].clone();
        ended += usize::from(message["params"]["event"] == "CALL_END");
    }
    telling.await.unwrap();
}
