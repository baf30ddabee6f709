//! Many clients that watch, some of which never read: the others get every event, and soon.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::{Barrier, watch};
use tokio::time::{sleep, timeout};

use crate::DEADLINE;
use crate::client::Client;
use crate::phones::Load;
use crate::server::Server;

/// What a client that reads has seen: how many events, the last cursor, and delays in milliseconds.
struct Seen {
    cursors: Vec<String>,
    delays: Vec<u64>,
}

/// Subscribes, and reads until `until` says up to which cursor.
async fn watch_all(
    url: watch::Receiver<String>,
    ready: Arc<Barrier>,
    mut until: watch::Receiver<Option<String>>,
) -> Seen {
    let mut client = Client::connect(&url).await.expect("the server is there");
    client.send("Subscribe", &Value::Null).await;
    let reply = client.hear().await.expect("a reply");
    let mut last = reply["result"]["cursor"].as_str().unwrap().to_owned();
    ready.wait().await;
    let mut seen = Seen { cursors: Vec::new(), delays: Vec::new() };
    loop {
        if until.borrow().as_ref().is_some_and(|until| number(&last) >= number(until)) {
            return seen;
        }
        let text = tokio::select! {
            text = client.hear_text() => text.expect("nobody who reads is cut off"),
            _ = until.changed() => continue,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(member(&text, "prev"), last, "a gap: {text}");
        last = member(&text, "cursor").to_owned();
        seen.cursors.push(last.clone());
        seen.delays.push(millis_since(member(&text, "time"), now));
    }
}

/// The last string member of this name: a whole parse of each message would be most of the load.
fn member<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.rsplit_once(&format!("\"{name}\":\"")).expect(name);
    rest.split('"').next().unwrap()
}

fn number(cursor: &str) -> u64 {
    cursor.rsplit('-').next().unwrap().parse().unwrap()
}

/// Milliseconds from a time of this hour to now.
fn millis_since(time: &str, now: Duration) -> u64 {
    let number = |from, to| time.get(from..to).unwrap().parse::<u64>().unwrap();
    let of_hour = number(14, 16) * 60_000 + number(17, 19) * 1000 + number(20, 23);
    (u64::try_from(now.as_millis()).unwrap() + 3_600_000 - of_hour) % 3_600_000
}

async fn crowd(readers: usize, idle: usize, rate: u32, time: Duration) {
    let limits = format!("limits:\n  connections: {}\n", readers + idle + 10);
    let server = Server::start(&limits).await;
    let url = server.url.subscribe();
    let mut deaf = Vec::new();
    for _ in 0..idle {
        let mut client = Client::connect(&url).await.expect("the server is there");
        client.send("Subscribe", &Value::Null).await;
        deaf.push(client);
    }
    let ready = Arc::new(Barrier::new(readers + 1));
    let until = watch::Sender::new(None);
    let watchers: Vec<_> = (0..readers)
        .map(|_| tokio::spawn(watch_all(url.clone(), ready.clone(), until.subscribe())))
        .collect();
    timeout(DEADLINE, ready.wait()).await.expect("everybody has subscribed");
    let (before, _) = server.memory();
    let load = Load::start(server.sip, rate, 0).await;
    sleep(time).await;
    drop(load);
    // Until what the phones left behind is over: 32 s after they are gone.
    sleep(Duration::from_secs(1)).await;
    let mut asker = Client::connect(&url).await.expect("the server is there");
    let list = asker.ask("CallList", &Value::Null).await.unwrap();
    let last = list["result"]["cursor"].as_str().unwrap().to_owned();
    until.send_replace(Some(last.clone()));
    let (mut delays, mut cursors): (Vec<u64>, Option<Vec<String>>) = (Vec::new(), None);
    for watcher in watchers {
        let mut seen = timeout(DEADLINE, watcher).await.expect("all events in time").unwrap();
        // What came after the question, some have read and some have not.
        seen.cursors.retain(|cursor| number(cursor) <= number(&last));
        delays.extend(seen.delays);
        assert!(cursors.is_none_or(|cursors| cursors == seen.cursors), "all are told the same");
        cursors = Some(seen.cursors);
    }
    server.expect_no_errors();
    delays.sort_unstable();
    let at = |permille: usize| delays[(delays.len() - 1) * permille / 1000];
    let (now, most) = server.memory();
    println!(
        "{readers} clients that read and {idle} that do not, {rate} calls/s for {time:?}: {} events each, delay p50 {} ms, \
         p99 {} ms, most {} ms; the server has {now} kB, before the calls {before} kB, at the most {most} kB",
        cursors.map_or(0, |cursors| cursors.len()),
        at(500),
        at(990),
        at(1000)
    );
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_keep_no_event_from_the_others() {
    crowd(20, 5, 20, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make soak"]
async fn soak_a_thousand_clients() {
    crowd(950, 50, 3, Duration::from_secs(60)).await;
}
