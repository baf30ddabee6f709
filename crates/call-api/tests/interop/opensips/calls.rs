//! `CallStart`, `CallHold`, `CallUnHold`, `CallEnd` and `CallList` of calls that go through OpenSIPS.

use serde_json::{Value, json};

use super::{Lab, Opensips};
use crate::lab::{Ports, poll};
use crate::phone::{Answer, Phone as _, talk};
use crate::sipp::Sipp;

/// The messages of a `CallStart`, as its documentation shows them.
const CALL_START_FLOW: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];

#[tokio::test]
async fn two_users_talk_and_part() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let mut bob = lab.phone("bob", Answer::Auto).await;

    let params = json!({"caller": lab.proxy.uri("alice"), "callee": lab.proxy.uri("bob")});
    let start = lab.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();

    let shown = alice.rings().await.peer;
    assert_eq!(shown, lab.proxy.uri("bob"), "alice sees who she will talk to");
    alice.establishes_call(&call_id).await;
    assert_eq!(bob.establishes_call(&call_id).await.peer, lab.proxy.uri("alice"));
    talk(&mut alice, &mut bob, &call_id, '5').await;
    lab.proxy.has_only_calls(&[&call_id]).await;
    // The call by which alice was asked to place this one is over.
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));

    let end = lab.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn users_talk_when_events_come_over_tcp() {
    let Some(proxy) = Opensips::start().await else { return };
    let mi = format!(
        "  url: 127.0.0.1:{}\n  events: tcp:127.0.0.1:{}\n",
        proxy.mi_port(),
        Ports::take().control
    );
    talk_and_hold(Lab::of(proxy, &mi).await).await;
}

#[tokio::test]
async fn users_talk_when_opensips_is_asked_over_http() {
    // The example has it as a comment.
    let with_http = |example: String| {
        ["httpd", "mi_http"].into_iter().fold(example, |example, module| {
            let load = format!("loadmodule \"{module}.so\"");
            let set = format!("modparam(\"{module}\"");
            example.replace(&format!("#{load}"), &load).replace(&format!("#{set}"), &set)
        })
    };
    let Some(proxy) = Opensips::start_with(with_http).await else { return };
    let mi = format!("  url: http://127.0.0.1:{}/mi\n", proxy.http_port());
    talk_and_hold(Lab::of(proxy, &mi).await).await;
}

async fn talk_and_hold(mut lab: Lab) {
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let mut bob = lab.phone("bob", Answer::Auto).await;
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": lab.proxy.uri("bob")});
    let start = lab.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    alice.establishes_call(&start.call_id()).await;
    bob.establishes_call(&start.call_id()).await;
    let hold = lab.run("CallHold", json!({"callid": start.call_id()})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    let end = lab.run("CallEnd", json!({"callid": start.call_id()})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
}

#[tokio::test]
async fn a_phone_that_is_not_registered_is_reached_at_its_address() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-answers-and-hangs-on").await;

    let params = json!({"caller": lab.proxy.uri("alice"), "callee": bob.uri("bob")});
    let start = lab.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    alice.establishes_call(&start.call_id()).await;
    lab.proxy.has_only_calls(&[&start.call_id()]).await;

    let end = lab.run("CallEnd", json!({"callid": start.call_id()})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    bob.finish().await;
    alice.is_in_calls(0).await;
}

#[tokio::test]
async fn a_ringing_call_is_ended() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let mut bob = lab.phone("bob", Answer::Manual).await;
    alice.dial(&lab.proxy.uri("bob")).await;
    let call_id = bob.rings().await.call_id;

    let end = lab.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_call_between_phones_is_held_and_taken_back() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    talk(&mut alice, &mut bob, &call_id, '1').await;

    let hold = lab.run("CallHold", json!({"callid": call_id})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    alice.comes_to(&call_id, "inactive").await;
    bob.comes_to(&call_id, "inactive").await;
    let again = lab.run("CallHold", json!({"callid": call_id})).await;
    again.expect_error(-32004, json!({"kind": "invalid_state"}));

    let back = lab.run("CallUnHold", json!({"callid": call_id})).await;
    assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "CALL_UNHOLD", "Ended"]);
    alice.comes_to(&call_id, "sendrecv").await;
    bob.comes_to(&call_id, "sendrecv").await;
    talk(&mut alice, &mut bob, &call_id, '2').await;
    let again = lab.run("CallUnHold", json!({"callid": call_id})).await;
    again.expect_error(-32004, json!({"kind": "invalid_state"}));
}

#[tokio::test]
async fn one_party_is_held_and_hears_the_other() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;

    let hold = lab.run("CallHold", json!({"callid": call_id, "leg": "caller"})).await;
    if lab.proxy.version().await.starts_with("OpenSIPS (3.") {
        hold.expect_error(-32008, json!({"kind": "unsupported"}));
        return;
    }
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
    alice.comes_to(&call_id, "recvonly").await;
    bob.comes_to(&call_id, "sendonly").await;
    let back = lab.run("CallUnHold", json!({"callid": call_id, "leg": "caller"})).await;
    assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
    alice.comes_to(&call_id, "sendrecv").await;
    talk(&mut alice, &mut bob, &call_id, '1').await;
}

#[tokio::test]
async fn the_call_of_two_phones_is_listed_until_it_is_over() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    let call = poll("the call to be listed", async || {
        let list = lab.client.ask("CallList", json!({})).await;
        list["calls"]
            .as_array()
            .and_then(|calls| calls.iter().find(|c| c["callid"] == call_id))
            .cloned()
    })
    .await;
    assert_eq!(call["state"], "established", "{call}");
    let uris: Vec<&Value> = [0, 1].iter().map(|leg| &call["legs"][leg]["uri"]).collect();
    assert_eq!(uris, [&json!(lab.proxy.uri("alice")), &json!(lab.proxy.uri("bob"))], "{call}");

    alice.hang_up(&call_id).await;
    bob.is_in_calls(0).await;
    poll("the call to be gone from the list", async || {
        let list = lab.client.ask("CallList", json!({})).await;
        let calls = list["calls"].as_array().expect("a list of calls");
        (!calls.iter().any(|call| call["callid"] == call_id)).then_some(())
    })
    .await;
}
