//! Many subscriptions, slow readers, and clients that come and go: nothing is lost without a sign,
//! and nothing grows without bound.

use std::collections::BTreeMap;

use call_api::api::CallEvent;
use call_api::backend::EventSink;
use call_api::config::Limits;
use call_api::server::connection::Connection;
use call_api::server::outbox::{Outbox, Outgoing};
use serde_json::{Value, json};

use crate::Client;
use crate::random::Chance;
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

/// A client that keeps a table of calls from what it is told, and comes back when it is cut off.
struct Watcher {
    line: Option<(Connection, Outgoing)>,
    cursor: Option<String>,
    table: BTreeMap<String, Value>,
    gaps: usize,
    resumed: usize,
}

impl Watcher {
    /// Reads up to so many messages.
    fn read(&mut self, at_most: usize, seed: u64) {
        let Some((_, outgoing)) = &mut self.line else { return };
        for _ in 0..at_most {
            let Some(message) = next(outgoing) else { break };
            let (result, params) = (&message["result"], &message["params"]);
            if result.is_object() {
                match result["calls"].as_array() {
                    Some(calls) => {
                        self.gaps += usize::from(result["gap"] == true);
                        let calls = calls.iter().map(|call| (name(call), call.clone()));
                        self.table = calls.collect();
                    }
                    None => self.resumed += 1,
                }
                self.cursor = result["cursor"].as_str().map(str::to_owned);
                continue;
            }
            let prev = params["prev"].as_str().map(str::to_owned);
            assert_eq!(prev, self.cursor, "seed {seed}: a gap that nobody told of: {message}");
            self.cursor = params["cursor"].as_str().map(str::to_owned);
            match params["event"].as_str() {
                Some("CALL_END") => drop(self.table.remove(&name(&params["call"]))),
                _ => drop(self.table.insert(name(&params["call"]), params["call"].clone())),
            }
        }
        if *outgoing.overflowed.borrow() {
            self.line = None;
        }
    }
}

fn name(call: &Value) -> String {
    call["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_follows_from_snapshot_and_events_ends_with_the_servers_own_table() {
    let (mut gaps, mut resumed) = (0, 0);
    for seed in 1..=100 {
        let mut chance = Chance(seed);
        // The smaller it is, the more often a cursor is too old.
        let journal = [3_000, 30_000, 1 << 20][chance.below(3)];
        let server = Client::with_journal_of(journal, &Limits::default());
        let mut watcher =
            Watcher { line: None, cursor: None, table: BTreeMap::new(), gaps: 0, resumed: 0 };
        let mut lives: Vec<std::vec::IntoIter<CallEvent>> = Vec::new();
        for number in 0..400 {
            match chance.below(12) {
                0 => watcher.line = None,
                1 | 2 => lives
                    .push(life(&format!("{number:x}"), &format!("c{}", number % 5)).into_iter()),
                3 | 4 => watcher.read(chance.below(20), seed),
                5 => tokio::task::yield_now().await,
                _ if lives.is_empty() => {}
                _ => {
                    let at = chance.below(lives.len());
                    match lives[at].next() {
                        Some(event) => server.journal.call(event),
                        None => drop(lives.remove(at)),
                    }
                }
            }
            if watcher.line.is_none() {
                let (outbox, outgoing) = Outbox::channel(16 << 10);
                let connection = Connection::new(server.commands.clone(), outbox);
                connection.receive(&subscribe(&json!({"since": watcher.cursor})));
                watcher.line = Some((connection, outgoing));
            }
        }
        for _ in 0..2000 {
            watcher.read(usize::MAX, seed);
            if watcher.line.is_none() {
                let (outbox, outgoing) = Outbox::channel(16 << 10);
                let connection = Connection::new(server.commands.clone(), outbox);
                connection.receive(&subscribe(&json!({"since": watcher.cursor})));
                watcher.line = Some((connection, outgoing));
            }
            tokio::task::yield_now().await;
        }
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "CallList"}).to_string();
        let mut asker = server.another();
        asker.connection.receive(&list);
        let own = next(&mut asker.outgoing).unwrap();
        let own = own["result"]["calls"].as_array().unwrap().iter();
        let own: BTreeMap<_, _> = own.map(|call| (name(call), call.clone())).collect();
        assert_eq!(watcher.table, own, "seed {seed}");
        gaps += watcher.gaps;
        resumed += watcher.resumed;
    }
    assert!(gaps > 100 && resumed > 100, "both ways are tried: {gaps} gaps, {resumed} resumed");
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
