//! `CallStart` and `CallEnd` that succeed: two phones end up in a call with each other, and out of
//! it.
//!
//! Whatever the mode, and whatever the caller's phone makes of a REFER, a client reads the same six
//! messages.

use serde_json::json;

use crate::baresip::{Answer, Baresip};
use crate::client::Client;
use crate::lab::{Tool, can_use};
use crate::server::Server;
use crate::sipp::Sipp;

/// The messages of a `CallStart`, as its documentation shows them.
const CALL_START_FLOW: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];

#[tokio::test]
async fn two_phones_talk_after_a_refer_and_part_at_call_end() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    two_phones_talk_and_part("refer").await;
}

#[tokio::test]
async fn two_phones_talk_when_bridged_and_part_at_call_end() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    two_phones_talk_and_part("bridge").await;
}

async fn two_phones_talk_and_part(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();

    // A phone that answers by itself reports no CALL_INCOMING: the offer is the first it says.
    let shown = alice.wait_event("CALL_REMOTE_SDP").await.peer;
    assert_eq!(shown, bob.uri(), "alice sees who she will talk to");
    alice.wait_event_of(&call_id, "CALL_ESTABLISHED").await;
    assert_eq!(bob.wait_event_of(&call_id, "CALL_ESTABLISHED").await.peer, alice.uri());
    alice.is_heard_by(&mut bob, '5').await;
    bob.is_heard_by(&mut alice, '7').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1), "each phone is in this call only");

    end_call(&mut client, &call_id).await;
    alice.wait_event_of(&call_id, "CALL_CLOSED").await;
    bob.wait_event_of(&call_id, "CALL_CLOSED").await;
    assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
}

#[tokio::test]
async fn a_sipp_callee_is_reached_after_a_refer() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_sipp_callee_is_reached("refer").await;
}

#[tokio::test]
async fn a_sipp_callee_is_reached_when_bridged() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_sipp_callee_is_reached("bridge").await;
}

async fn a_sipp_callee_is_reached(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-answers-and-hangs-on").await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": mode});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();
    alice.wait_event_of(&call_id, "CALL_ESTABLISHED").await;

    end_call(&mut client, &call_id).await;
    alice.wait_event_of(&call_id, "CALL_CLOSED").await;
    bob.finish().await;
}

#[tokio::test]
async fn a_caller_that_refuses_refer_is_bridged() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_caller_that_cannot_be_referred_is_bridged("caller-refuses-refer-405").await;
}

#[tokio::test]
async fn a_caller_that_forgets_a_refer_is_bridged() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_caller_that_cannot_be_referred_is_bridged("caller-accepts-refer-then-silence").await;
}

async fn a_caller_that_cannot_be_referred_is_bridged(caller_behaviour: &'static str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start(caller_behaviour).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    let params = json!({"caller": alice.uri("alice"), "callee": bob.uri(), "mode": "auto"});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();
    assert_eq!(bob.wait_event_of(&call_id, "CALL_ESTABLISHED").await.peer, alice.uri("alice"));
    assert_eq!(bob.calls().await, 1);

    end_call(&mut client, &call_id).await;
    bob.wait_event_of(&call_id, "CALL_CLOSED").await;
    alice.finish().await;
}

async fn end_call(client: &mut Client, call_id: &str) {
    let end = client.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
}
