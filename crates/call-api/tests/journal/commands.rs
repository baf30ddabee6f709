//! Commands that are sent again and again over connections that break, to servers that are killed:
//! each places one call at the most, and each ends once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::client::Client;
use crate::phones::{Called, Line};
use crate::server::Server;
use crate::{DEADLINE, below};

/// Commands that are on their way at a time.
const AT_ONCE: usize = 50;

/// What a client knows of its command.
#[derive(Debug, Default)]
struct Story {
    errors: usize,
    ended: usize,
    restarted: bool,
}

/// Two phones, and a place to count the calls that the first one gets, by its user part.
struct Place {
    url: watch::Receiver<String>,
    phones: [SocketAddr; 2],
}

impl Place {
    /// Sends a command until it is answered, over one connection after the other, each cut at a
    /// random moment. Returns how often it was sent.
    async fn order(&self, name: &str) -> usize {
        let [alice, bob] = self.phones;
        let params = json!({
            "caller": format!("sip:{name}@{alice}"), "callee": format!("sip:bob@{bob}"),
            "mode": "bridge", "cmd_id": name,
        });
        let mut sent = 0;
        // At least twice, so that there is a retry of each.
        let mut answers = 0;
        while answers < 2 {
            let Some(mut client) = Client::connect(&self.url).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let moment = Instant::now() + Duration::from_millis(below(60));
            sent += 1;
            if let Ok(Some(reply)) = timeout_at(moment, client.ask("CallStart", &params)).await {
                assert_eq!(reply["result"]["cmd_id"], name, "{reply}");
                answers += 1;
                assert!(answers == 1 || reply["result"]["replayed"] == true, "{reply}");
            }
        }
        sent
    }

    /// Reads everything that a command told, from its beginning to its end.
    async fn story(&self, name: &str) -> Story {
        let told = async {
            loop {
                let Some(mut client) = Client::connect(&self.url).await else {
                    sleep(Duration::from_millis(20)).await;
                    continue;
                };
                if let Some(story) = read(&mut client, name).await {
                    return story;
                }
            }
        };
        timeout(DEADLINE, told).await.unwrap_or_else(|_| panic!("{name} has no end"))
    }
}

async fn read(client: &mut Client, name: &str) -> Option<Story> {
    let mut story = Story::default();
    client.send("Subscribe", &json!({"filter": {"cmd_id": name}})).await;
    let reply = client.hear().await?;
    assert_eq!(reply["result"].get("gap"), None, "{name}: {reply}");
    while story.ended == 0 {
        let message = client.hear().await?;
        match message["method"].as_str() {
            Some("Event") => assert_eq!(story.errors, 0, "{message}"),
            Some("Error") => {
                story.errors += 1;
                let text = message["params"]["message"].as_str().unwrap();
                story.restarted = text.starts_with("the server was restarted");
                let kind = &message["params"]["data"]["kind"];
                assert!(!story.restarted || *kind == "draining", "{message}");
            }
            Some("Ended") => story.ended += 1,
            _ => panic!("{message}"),
        }
    }
    // Nothing follows: a reply to something else comes next.
    client.send("CallGet", &json!({"callid": "none"})).await;
    let next = client.hear().await?;
    assert_eq!(next["id"], "CallGet", "after the end of {name}: {next}");
    Some(story)
}

/// What became of `count` commands while the server was killed so many times.
async fn order_all(count: usize, kills: usize) {
    let mut server = Server::start("").await;
    let called = Called::default();
    let alice = Line::new("alice", server.sip, called.clone()).await;
    let mut bob = Line::new("bob", server.sip, Called::default()).await;
    // So that a kill meets commands that have not ended.
    bob.answer_after(Duration::from_millis(100));
    let phones = [alice.address(), bob.address()];
    let lines = [alice.serve(), bob.serve()];
    let place = Arc::new(Place { url: server.url.subscribe(), phones });
    let (next, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (place, next, sent) = (place.clone(), next.clone(), sent.clone());
            tokio::spawn(async move {
                let mut stories = HashMap::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return stories;
                    }
                    let name = format!("order-{number}");
                    sent.fetch_add(place.order(&name).await, Ordering::Relaxed);
                    stories.insert(name.clone(), place.story(&name).await);
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        let done = count * kill / (kills + 1);
        let far = async {
            while next.load(Ordering::Relaxed) < done {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE * 10, far).await.expect("progress");
        server.kill().await;
        server.resume().await;
    }
    let mut stories = HashMap::new();
    for client in clients {
        stories.extend(client.await.unwrap());
    }
    let took = began.elapsed();
    lines.iter().for_each(tokio::task::JoinHandle::abort);
    let called = called.lock().unwrap();
    let (mut restarted, mut placed, mut failed) = (0, 0, 0);
    for (name, story) in &stories {
        let calls = called.get(name).map_or(0, |callids| callids.len());
        assert!(calls <= 1, "{name} was placed {calls} times");
        assert!(calls == 1 || story.restarted, "{name} was not placed: {story:?}");
        placed += calls;
        restarted += usize::from(story.restarted);
        failed += usize::from(story.errors > 0 && !story.restarted);
    }
    assert_eq!(stories.len(), count);
    assert!(
        failed == 0 && (restarted > 0) == (kills > 0),
        "{restarted} restarted, {failed} failed"
    );
    server.expect_no_errors();
    println!(
        "{count} commands sent {} times in {took:.1?}, {kills} kills: {placed} calls placed, {restarted} cut short by a kill, {failed} failed",
        sent.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_sent_again_places_one_call_and_ends_once() {
    order_all(60, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_sent_again_to_a_server_that_was_killed_ends_once() {
    order_all(150, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_for_something_else_is_a_conflict_after_a_kill_too() {
    let mut server = Server::start("").await;
    let url = server.url.subscribe();
    let ask = async |method: &str, params: Value| {
        let mut client = Client::connect(&url).await.unwrap();
        client.ask(method, &params).await.unwrap()
    };
    let reply = ask("Echo", json!({"n": 1, "cmd_id": "order-7"})).await;
    assert_eq!(reply["result"].get("replayed"), None, "{reply}");
    server.kill().await;
    server.resume().await;
    let reply = ask("Echo", json!({"cmd_id": "order-7", "n": 1})).await;
    assert_eq!(reply["result"]["replayed"], true, "{reply}");
    let reply = ask("Echo", json!({"cmd_id": "order-7", "n": 2})).await;
    assert_eq!(reply["error"]["data"]["kind"], "conflict", "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make soak"]
async fn soak_ten_thousand_commands_sent_again() {
    order_all(10_000, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make soak"]
async fn soak_commands_sent_again_through_ten_kills() {
    order_all(3_000, 10).await;
}
