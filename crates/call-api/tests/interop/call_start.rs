//! `CallStart` and `CallEnd` that succeed: two phones end up in a call with each other, and out of
//! it.
//!
//! Whatever the mode, and whatever the caller's phone makes of a REFER, a client reads the same six
//! messages.

use serde_json::json;

use crate::baresip::Baresip;
use crate::client::Client;
use crate::lab::{Tool, can_use};
use crate::phone::{Phone, talk, with_both_phones, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

/// The messages of a `CallStart`, as its documentation shows them.
const CALL_START_FLOW: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];

with_each_phone! {
    async fn two_phones_talk_after_a_refer_and_part_at_call_end<P>() {
        two_phones_talk_and_part::<P>("refer").await;
    }

    async fn two_phones_talk_when_bridged_and_part_at_call_end<P>() {
        two_phones_talk_and_part::<P>("bridge").await;
    }

    async fn two_phones_talk_by_default_and_part_at_call_end<P>() {
        two_phones_talk_and_part::<P>("auto").await;
    }

    async fn a_sipp_callee_is_reached_after_a_refer<P>() {
        a_sipp_callee_is_reached::<P>("refer").await;
    }

    async fn a_sipp_callee_is_reached_when_bridged<P>() {
        a_sipp_callee_is_reached::<P>("bridge").await;
    }

    async fn a_caller_that_refuses_refer_is_bridged<P>() {
        a_caller_that_cannot_be_referred_is_bridged::<P>("refuses-refer").await;
    }
}

with_both_phones! {
    async fn a_caller_that_forgets_a_refer_is_bridged<P>() {
        a_caller_that_cannot_be_referred_is_bridged::<P>("accepts-refer-then-silence").await;
    }
}

#[tokio::test]
async fn phones_of_two_makes_talk_in_every_mode() {
    if !can_use(&[Tool::Baresip, Tool::Pjsip]) {
        return;
    }
    for mode in ["refer", "bridge"] {
        let alice = Baresip::start("alice").await;
        let bob = Pjsip::start("bob").await;
        these_phones_talk_and_part(alice, bob, mode).await;
        let alice = Pjsip::start("alice").await;
        let bob = Baresip::start("bob").await;
        these_phones_talk_and_part(alice, bob, mode).await;
    }
}

async fn two_phones_talk_and_part<P: Phone>(mode: &str) {
    these_phones_talk_and_part(P::start("alice").await, P::start("bob").await, mode).await;
}

async fn these_phones_talk_and_part(mut alice: impl Phone, mut bob: impl Phone, mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();

    assert_eq!(alice.rings().await.peer, bob.uri(), "alice sees who she will talk to");
    alice.establishes_call(&call_id).await;
    bob.establishes_call(&call_id).await;
    talk(&mut alice, &mut bob, &call_id, '1').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1), "each phone is in this call only");
    assert_eq!(bob.rings().await.peer, alice.uri(), "bob sees who calls");

    end_call(&mut client, &call_id).await;
    alice.closes_call(&call_id).await;
    bob.closes_call(&call_id).await;
    assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
}

async fn a_sipp_callee_is_reached<P: Phone>(mode: &str) {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let bob = Sipp::start("uas-answers-and-hangs-on").await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": mode});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();
    alice.establishes_call(&call_id).await;

    end_call(&mut client, &call_id).await;
    alice.closes_call(&call_id).await;
    bob.finish().await;
}

async fn a_caller_that_cannot_be_referred_is_bridged<P: Phone>(caller_behaviour: &'static str) {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start(caller_behaviour).await;
    let mut bob = P::start("bob").await;

    let params = json!({"caller": alice.uri("alice"), "callee": bob.uri(), "mode": "auto"});
    let start = client.run("CallStart", params).await;
    assert_eq!(start.messages, CALL_START_FLOW);
    let call_id = start.call_id();
    assert_eq!(bob.establishes_call(&call_id).await.peer, alice.uri("alice"));
    assert_eq!(bob.calls().await, 1);

    end_call(&mut client, &call_id).await;
    bob.closes_call(&call_id).await;
    alice.finish().await;
}

async fn end_call(client: &mut Client, call_id: &str) {
    let end = client.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
}
