//! What tokens own and see when a server starts on the journal of one that was killed.

use std::path::Path;
use std::time::Duration;

use call_api::api::{CallChange, CallEvent};
use call_api::backend::EventSink;
use call_api::config::{Keep, Limits};
use call_api::server::access::token::{Entry, Scope};
use call_api::server::journal::Journal;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::Client;
use crate::access::{Holder, between, granted, only, start};

/// Far longer than a disk takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server on the journal in this directory.
async fn on(directory: &Path) -> Client {
    let keep = Keep { directory: Some(directory.to_owned()), ..Keep::default() };
    Client::with_journal(Journal::start(&keep).await.unwrap(), &Limits::default())
}

/// What a kill at this moment leaves.
fn killed(directory: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for file in ["journal.redb", "journal.whole"] {
        std::fs::copy(directory.join(file), left.path().join(file)).unwrap();
    }
    left
}

/// The notifications up to this one, each in a word or two.
async fn told(holder: &mut Holder, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|word| word != last) {
        let message = timeout(DEADLINE, holder.outgoing.messages.recv()).await;
        let message = message.unwrap_or_else(|_| panic!("no {last} after {told:?}")).unwrap();
        let message: Value = serde_json::from_str(message.text()).unwrap();
        let params = &message["params"];
        match message["method"].as_str() {
            Some("CallEvent") => {
                told.push(format!("{} {}", params["event"], params["call"]["id"]).replace('"', ""));
            }
            Some("Event") if params["data"] == "REPLY" => {
                told.push(params["params"]["n"].to_string())
            }
            Some("Event") => told.push(params["data"].as_str().unwrap().to_owned()),
            Some("Error") => told.push(params["data"]["kind"].as_str().unwrap().to_owned()),
            Some("Ended") => told.push("Ended".to_owned()),
            _ => assert!(message.get("error").is_none(), "{message}"),
        }
    }
    told
}

fn watching(parties: &str) -> Entry {
    Entry { parties: only(parties), ..granted(&[Scope::Watch, Scope::Control]) }
}

#[tokio::test]
async fn a_call_is_seen_by_those_who_saw_it_begin_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(directory.path()).await;
    let mut shop = Holder::new(&server, "shop", &watching("*@shop"));
    shop.send("Subscribe", &json!({}));
    let since = shop.next().unwrap()["result"]["cursor"].clone();
    server.journal.call(between("1", "sip:desk@shop", "sip:x@away"));
    server.journal.call(between("2", "sip:desk@far", "sip:x@away"));
    // Transfers put the one's phone into the other's call.
    for (id, caller) in [("1", "sip:desk@far"), ("2", "sip:desk@shop")] {
        let CallEvent { call, .. } = between(id, caller, "sip:x@away");
        let change = CallChange::Established;
        server.journal.call(CallEvent { change, call });
    }
    server.journal.settled(server.journal.last()).await;

    let left = killed(directory.path());
    let server = on(left.path()).await;
    server.journal.call(between("3", "sip:desk@shop", "sip:desk@far"));
    server.journal.settled(server.journal.last()).await;
    for (name, call) in [("shop", "1"), ("far", "2")] {
        let mut holder = Holder::new(&server, name, &watching(&format!("*@{name}")));
        holder.send("Subscribe", &json!({"since": since}));
        let expected =
            ["CALL_START", "CALL_ESTABLISHED", "CALL_END"].map(|e| format!("{e} {call}"));
        let told = told(&mut holder, "CALL_START 3").await;
        assert_eq!(told[..told.len() - 1], expected, "{name}");
        assert_eq!(holder.ask("CallGet", &json!({"callid": call})), "not_found");
        assert_eq!(holder.ask("CallGet", &json!({"callid": "3"})), "ok");
    }
    let mut other = Holder::new(&server, "other", &watching("*@other"));
    assert_eq!(other.ask("CallGet", &json!({"callid": "3"})), "not_found");
}

#[tokio::test]
async fn a_cmd_id_and_its_command_are_their_tokens_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = on(directory.path()).await;
    let entry = granted(&[Scope::Control]);
    let mut one = Holder::new(&server, "one", &entry);
    let mut two = Holder::new(&server, "two", &entry);
    let echo = |n: u32| json!({"cmd_id": "order-7", "n": n});
    let mut call = start("sip:alice@h", "sip:hang@h");
    call["cmd_id"] = json!("order-7");
    assert_eq!(one.ask("CallStart", &call), "Started");
    assert_eq!(two.ask("Echo", &echo(2)), "Started");
    told(&mut one, "CALL_START").await;
    told(&mut two, "Ended").await;
    server.journal.settled(server.journal.last()).await;

    let left = killed(directory.path());
    let server = on(left.path()).await;
    let mut one = Holder::new(&server, "one", &entry);
    let mut two = Holder::new(&server, "two", &entry);
    let mut new = Holder::new(&server, "new", &entry);
    let mut admin = Holder::new(&server, "admin", &granted(&[Scope::Admin]));
    for (holder, method, params) in [(&mut one, "CallStart", &call), (&mut two, "Echo", &echo(2))] {
        holder.send(method, params);
        let reply = holder.next().unwrap();
        assert_eq!(reply["result"]["replayed"], true, "{reply}");
        assert_eq!(holder.ask("Echo", &echo(3)), "conflict");
    }
    new.send("Echo", &echo(3));
    let reply = new.next().unwrap();
    assert_eq!(
        (&reply["result"]["status"], reply["result"].get("replayed")),
        (&json!("Started"), None)
    );
    told(&mut new, "Ended").await;

    let call = ["CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START"];
    let mut everything = Vec::from(call);
    everything.extend(["2", "Ended", "draining", "Ended", "3", "Ended"]);
    let ended = everything.iter().filter(|word| **word == "Ended").count();
    admin.send("Subscribe", &json!({"filter": {"cmd_id": "order-7"}}));
    let mut all = Vec::new();
    for _ in 0..ended {
        all.extend(told(&mut admin, "Ended").await);
    }
    // The call's events and the reply came in an order of their own.
    all[..5].sort_unstable();
    everything[..5].sort_unstable();
    assert_eq!(all, everything);
    let mine =
        [[&call[..], &["draining", "Ended"]].concat(), vec!["2", "Ended"], vec!["3", "Ended"]];
    for (holder, mine) in [&mut one, &mut two, &mut new].into_iter().zip(mine) {
        holder.send("Subscribe", &json!({"filter": {"cmd_id": "order-7"}}));
        assert_eq!(told(holder, "Ended").await, mine);
    }
    // Nothing of the others' follows.
    server.idle().await;
    for holder in [&mut one, &mut two, &mut new] {
        assert_eq!(holder.next(), None);
    }
}
