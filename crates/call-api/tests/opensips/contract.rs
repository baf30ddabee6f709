//! What every backend keeps in both dialects, whatever it is asked: `Started` comes first, `Ended` once and
//! last, nothing has an unknown name, and a deadline is a deadline.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use call_api::backend::Backend;
use call_api::backend::embedded::{self, Embedded, Udp};
use call_api::backend::fake::Fake;
use call_api::backend::opensips::{OpenSips, Proxy, Settings};
use call_api::config::{Limits, SipListen};
use call_api::server::Phase;
use call_api::server::commands::Commands;
use call_api::server::connection::Connection;
use call_api::server::dialect::Dialect;
use call_api::server::journal::Journal;
use call_api::server::outbox::Outbox;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::script::{Phone, Script, World};

/// Longer than any deadline below, and than what taking a call down needs after it.
const PATIENCE: Duration = Duration::from_secs(45);

const V1: [&str; 7] = [
    "CALL_ANSWER",
    "TRANSFER_ACCEPT",
    "CALL_START",
    "CALL_HOLD",
    "CALL_UNHOLD",
    "CALL_RINGING",
    "REPLY",
];

const V2: [&str; 13] = [
    "CallerAnswered",
    "Transferring",
    "TransferStart",
    "TransferPending",
    "CalleeAnswered",
    "TransferSuccessful",
    "CallHolding",
    "CallHoldStart",
    "CallHoldSuccessful",
    "CallUnholding",
    "CallUnholdStart",
    "CallUnholdSuccessful",
    "Reply",
];

#[tokio::test]
async fn the_fake_backend_keeps_the_contract() {
    check(Arc::new(Fake::default()), Arc::default(), "127.0.0.1:1").await;
}

#[tokio::test]
async fn the_embedded_engine_keeps_the_contract() {
    // A phone that never says anything.
    let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listen = SipListen::Udp((Ipv4Addr::LOCALHOST, 0).into());
    let udp = Udp::listen(&listen).await.unwrap();
    let journal = Arc::new(Journal::default());
    let engine = Embedded::start(udp, embedded::Settings::default(), journal.clone()).unwrap();
    let phone = phone.local_addr().unwrap().to_string();
    check(Arc::new(engine), journal, &phone).await;
}

#[tokio::test]
async fn opensips_keeps_the_contract() {
    for world in [World::default(), World { caller: Phone::Rings, ..World::default() }] {
        let mut script = Script::new(world);
        let journal = Arc::new(Journal::default());
        let settings = Settings { sip: None, timeout: Duration::from_secs(1), run: 1 };
        let proxy = Proxy::start(script.link(), settings, journal.clone());
        let mut backend = OpenSips::of(vec![proxy]);
        backend.found().await;
        check(Arc::new(backend), journal, "127.0.0.1").await;
    }
}

#[tokio::test]
async fn opensips_keeps_the_contract_when_it_says_nothing() {
    let mut script = Script::new(World { is_frozen: true, ..World::default() });
    let journal = Arc::new(Journal::default());
    let settings = Settings { sip: None, timeout: Duration::from_secs(1), run: 1 };
    let proxy = Proxy::start(script.link(), settings, journal.clone());
    check(Arc::new(OpenSips::of(vec![proxy])), journal, "127.0.0.1").await;
}

async fn check(backend: Arc<dyn Backend>, journal: Arc<Journal>, host: &str) {
    for dialect in [Dialect::V1, Dialect::V2] {
        check_in(dialect, Arc::clone(&backend), Arc::clone(&journal), host).await;
    }
}

/// Sends every command, all at once, and follows what is said of each.
async fn check_in(dialect: Dialect, backend: Arc<dyn Backend>, journal: Arc<Journal>, host: &str) {
    let (_phase, follow) = watch::channel(Phase::Serving);
    let commands = Arc::new(Commands::new(backend, journal, &Limits::default(), follow));
    let (outbox, mut outgoing) = Outbox::channel(1 << 20);
    let connection = Connection::new(Arc::clone(&commands), outbox).speaking(dialect);
    let requests = requests(dialect, host);
    for (id, (method, params)) in requests.iter().enumerate() {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        connection.receive(&request.to_string());
    }
    let all_ended = async {
        while commands.running() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, all_ended).await.expect("every command ends by its deadline");
    sleep(Duration::from_millis(200)).await;
    let mut lives = BTreeMap::<String, Vec<String>>::new();
    while let Ok(message) = outgoing.messages.try_recv() {
        let message: Value = serde_json::from_str(message.text()).unwrap();
        let cmd_id = [&message["params"]["cmd_id"], &message["result"]["cmd_id"]];
        let cmd_id = cmd_id.into_iter().find_map(Value::as_str).expect("it is about a command");
        let said = match (dialect, message["method"].as_str()) {
            (_, None) => message["result"]["status"].as_str().unwrap(),
            (Dialect::V1, Some("Event")) => known(&V1, &message["params"]["data"]),
            (Dialect::V1, Some(method)) => method,
            (Dialect::V2, Some(_)) => match message["params"]["event"].as_str().unwrap() {
                last @ ("Error" | "Ended") => last,
                _ => known(&V2, &message["params"]["event"]),
            },
        };
        lives.entry(cmd_id.to_owned()).or_default().push(said.to_owned());
    }
    assert_eq!(lives.len(), requests.len());
    for life in lives.values() {
        let of = |what: &str| life.iter().filter(|said| *said == what).count();
        assert_eq!(life.first().map(String::as_str), Some("Started"), "{life:?}");
        assert_eq!(life.last().map(String::as_str), Some("Ended"), "{life:?}");
        assert_eq!((of("Started"), of("Ended")), (1, 1), "{life:?}");
        assert!(of("Error") <= 1, "{life:?}");
        let error_at = life.iter().position(|said| said == "Error");
        assert!(error_at.is_none_or(|at| at + 2 == life.len()), "{life:?}");
    }
}

/// An event, if it has a name of these.
fn known<'a>(names: &[&str], name: &'a Value) -> &'a str {
    let name = name.as_str().unwrap();
    assert!(names.contains(&name), "{name}");
    name
}

fn requests(dialect: Dialect, host: &str) -> Vec<(&'static str, Value)> {
    let (alice, bob) = (format!("sip:alice@{host}"), format!("sip:bob@{host}"));
    let call =
        |mode: &str| json!({"caller": alice, "callee": bob, "mode": mode, "timeout_ms": 500});
    let blind =
        |leg: &str| json!({"callid": "x", "leg": leg, "destination": bob, "timeout_ms": 500});
    let mut requests = vec![
        ("Echo", json!({"a": [1, 2]})),
        ("CallStart", call("auto")),
        ("CallStart", call("refer")),
        ("CallStart", call("bridge")),
        ("CallBlindTransfer", blind("caller")),
        ("CallBlindTransfer", blind("callee")),
        (
            "CallAttendedTransfer",
            json!({"callid_a": "x", "leg_a": "caller", "callid_b": "y", "leg_b": "callee", "timeout_ms": 500}),
        ),
        ("CallHold", json!({"callid": "x", "timeout_ms": 500})),
        ("CallHold", json!({"callid": "x", "leg": "callee", "timeout_ms": 500})),
        ("CallUnHold", json!({"callid": "x", "timeout_ms": 500})),
        ("CallEnd", json!({"callid": "x", "timeout_ms": 500})),
    ];
    // Refused in the reply in v1.
    if dialect == Dialect::V2 {
        requests.extend([
            ("CallStart", json!({"caller": "nobody", "callee": bob})),
            ("CallHold", json!({})),
        ]);
    }
    requests
}
