//! A consumer that has its table of calls from snapshot and events alone, while its socket is cut
//! and the server is killed: it ends with the server's own table, and has missed nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::phones::Load;
use crate::server::Server;
use crate::{DEADLINE, below};

#[derive(Default)]
struct Consumer {
    cursor: Value,
    table: BTreeMap<String, Value>,
    /// What it was told, in short: cursor, event, call.
    history: Vec<String>,
    cut: usize,
    resumed: usize,
    gaps: usize,
    /// Calls of which it was told that a restart ended them.
    lost: usize,
}

impl Consumer {
    /// Reads, and loses its connection at random moments, until it has been cut so many times.
    async fn run(&mut self, url: &watch::Receiver<String>, cuts: usize) {
        while self.cut < cuts {
            let Some(mut client) = Client::connect(url).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let moment = Instant::now() + Duration::from_millis(below(150));
            // Cancelled in the middle of whatever it does, as a cut is.
            let _ = tokio::time::timeout_at(moment, self.follow(&mut client)).await;
            self.cut += 1;
        }
    }

    /// Subscribes from where it was, and takes in whatever it is told.
    async fn follow(&mut self, client: &mut Client) {
        let params = json!({"since": self.cursor});
        client.send("Subscribe", &params).await;
        while let Some(message) = client.hear().await {
            self.take_in(&message);
        }
    }

    fn take_in(&mut self, message: &Value) {
        let (result, params) = (&message["result"], &message["params"]);
        if result.is_object() {
            match result["calls"].as_array() {
                Some(calls) => {
                    self.gaps += usize::from(result["gap"] == true);
                    self.table = calls.iter().map(|call| (id(call), call.clone())).collect();
                }
                None => self.resumed += 1,
            }
            self.cursor = result["cursor"].clone();
            return;
        }
        assert_eq!(params["prev"], self.cursor, "a gap that nobody told of: {message}");
        self.cursor = params["cursor"].clone();
        let call = &params["call"];
        self.history.push(format!("{} {} {}", params["cursor"], params["event"], call["id"]));
        match params["event"].as_str() {
            Some("CALL_END") => {
                self.lost += usize::from(call["ended"]["origin"] == "restart");
                self.table.remove(&id(call));
            }
            _ => drop(self.table.insert(id(call), call.clone())),
        }
    }

    /// Reads on until its table is the server's own.
    async fn catch_up(&mut self, url: &watch::Receiver<String>) {
        let caught_up = async {
            let mut client = Client::connect(url).await.expect("the server is there");
            let params = json!({"since": self.cursor});
            client.send("Subscribe", &params).await;
            loop {
                // Nothing new for a moment: it is as it will be.
                while let Ok(message) = timeout(Duration::from_millis(300), client.hear()).await {
                    self.take_in(&message.expect("the server is there"));
                }
                let mut asker = Client::connect(url).await.expect("the server is there");
                let list = asker.ask("CallList", &Value::Null).await.expect("a list");
                let calls = list["result"]["calls"].as_array().unwrap().iter();
                let own: BTreeMap<_, _> = calls.map(|call| (id(call), call.clone())).collect();
                if own == self.table {
                    return;
                }
            }
        };
        timeout(DEADLINE, caught_up).await.expect("the server's own table");
    }
}

fn id(call: &Value) -> String {
    call["id"].as_str().unwrap().to_owned()
}

/// The history that the server tells from `since` on, to somebody who is never cut.
async fn history(url: &watch::Receiver<String>, since: &Value, events: usize) -> Vec<String> {
    let mut reader = Consumer { cursor: since.clone(), ..Consumer::default() };
    let mut client = Client::connect(url).await.expect("the server is there");
    client.send("Subscribe", &json!({"since": since})).await;
    while reader.history.len() < events {
        let message =
            timeout(DEADLINE, client.hear()).await.expect("all of it").expect("a message");
        reader.take_in(&message);
    }
    reader.history
}

/// Runs `kills` servers one after the other on one journal, with `rate` calls a second.
async fn survive(cuts: usize, kills: usize, rate: u32, stay: usize) -> Consumer {
    let mut server = Server::start("").await;
    let url = server.url.subscribe();
    let mut client = Client::connect(&url).await.unwrap();
    let first = client.ask("CallList", &Value::Null).await.unwrap()["result"]["cursor"].clone();
    let mut consumer = Consumer { cursor: first.clone(), ..Consumer::default() };
    let mut load = Load::start(server.sip, rate, stay).await;
    for kill in 1..=kills {
        consumer.run(&url, cuts * kill / (kills + 1)).await;
        let moment = Duration::from_millis(below(200));
        let _ = timeout(moment, consumer.run(&url, usize::MAX)).await;
        server.kill().await;
        drop(load);
        server.resume().await;
        load = Load::start(server.sip, rate, stay).await;
    }
    consumer.run(&url, cuts).await;
    // Calls that stand then stay as they are; those of phones that are gone do, too.
    drop(load);
    consumer.catch_up(&url).await;
    assert!(consumer.table.len() >= stay, "{} calls stand", consumer.table.len());
    assert_eq!(consumer.gaps, 0);
    assert!(consumer.lost >= kills, "each kill ends calls: {}", consumer.lost);
    let told = history(&url, &first, consumer.history.len()).await;
    assert!(told == consumer.history, "it has missed something, or heard it twice");
    server.expect_no_errors();
    let (now, most) = server.memory();
    println!(
        "{} cuts, {kills} kills, {} resumed, {} events, {} calls ended by a restart; the server has {now} kB, at the most {most} kB; journal {} bytes",
        consumer.cut,
        consumer.resumed,
        consumer.history.len(),
        consumer.lost,
        server.journal_bytes()
    );
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_cut_off_and_whose_server_is_killed_ends_with_the_servers_table() {
    let consumer = survive(20, 2, 40, 5).await;
    assert!(consumer.history.len() > 50, "{} events", consumer.history.len());
    assert!(consumer.resumed > 5, "{} resumed", consumer.resumed);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make soak"]
async fn soak_a_thousand_cuts_and_ten_kills() {
    let consumer = survive(1000, 10, 100, 20).await;
    assert!(consumer.history.len() > 10_000, "{} events", consumer.history.len());
}
