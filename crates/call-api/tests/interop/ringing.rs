//! What a caller gets before it is answered: provisional answers that arrive (100rel, RFC 3262), and
//! early media.

use serde_json::{Value, json};

use crate::blind_transfer::transfer_of;
use crate::established::Established;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

/// PJSIP takes no call without 100rel, and makes none.
const REQUIRED: [&str; 1] = ["--reliable"];

with_each_phone! {
    async fn a_callee_that_rings_reliably_is_acknowledged_when_bridged<P>() {
        let alice = P::start("alice").await;
        a_callee_rings_reliably(alice, "bridge").await;
    }

    async fn a_caller_that_requires_it_rings_reliably_whatever_the_callee_knows<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut bob = P::start_as(Account::of("bob").rings()).await;
        let port = server.sip_port();
        let alice = Sipp::call("caller-requires-reliable-ringing", &bob.uri(), port).await;
        let call = bob.rings().await.call_id;
        bob.accept(&call).await;
        bob.establishes_call(&call).await;
        bob.hang_up(&call).await;
        alice.finish().await;
        bob.is_in_calls(0).await;
    }

    async fn a_phone_that_requires_it_calls<P>() {
        if !can_use(&[Tool::Pjsip]) {
            return;
        }
        let server = Server::start().await;
        let account = Account::of("alice").behind(&server.sip_uri());
        let mut alice = Pjsip::start_with(account, &REQUIRED).await;
        let mut bob = P::start_as(Account::of("bob").rings()).await;
        alice.dial(&bob.uri()).await;
        let call = alice.hears_ringing().await.call_id;
        bob.rings().await;
        bob.accept(&call).await;
        alice.establishes_call(&call).await;
        bob.establishes_call(&call).await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }

    async fn a_phone_that_requires_it_is_the_target_of_a_transfer<P>() {
        if !can_use(&[Tool::Pjsip]) {
            return;
        }
        for mode in ["refer", "bridge"] {
            let Established { mut client, mut alice, mut bob, call, _server, .. } =
                Established::<P>::start().await;
            let mut dave = Pjsip::start_with(Account::of("dave"), &REQUIRED).await;
            let params = transfer_of("caller", &call, &dave, mode);
            let transfer = client.run("CallBlindTransfer", params).await;
            let flow = ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"];
            assert_eq!(transfer.messages, flow, "{mode}");
            let new = transfer.call_id();
            bob.closes_call(&call).await;
            talk(&mut alice, &mut dave, &new, '1').await;
        }
    }

    async fn a_caller_hears_what_a_phone_plays_before_it_answers<P>() {
        if !can_use(&[Tool::Pjsip]) {
            return;
        }
        let server = Server::start().await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = Pjsip::start_as(Account::of("bob").rings()).await;
        alice.dial(&bob.uri()).await;
        let call = bob.rings().await.call_id;
        bob.plays_early(&call).await;
        alice.comes_to(&call, "sendrecv").await;
        bob.press(&call, '1').await;
        alice.hears('1').await;
        bob.accept(&call).await;
        alice.establishes_call(&call).await;
        talk(&mut alice, &mut bob, &call, '2').await;
    }
}

#[tokio::test]
async fn a_callee_that_rings_reliably_is_acknowledged_after_a_refer() {
    if can_use(&[Tool::Pjsip]) {
        let alice = Pjsip::start_with(Account::of("alice"), &REQUIRED).await;
        a_callee_rings_reliably(alice, "refer").await;
    }
}

async fn a_callee_rings_reliably(mut alice: impl Phone, mode: &str) {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let bob = Sipp::start("uas-rings-reliably").await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": mode});
    let call = client.run("CallStart", params).await.call_id();
    alice.establishes_call(&call).await;
    alice.comes_to(&call, "sendrecv").await;
    client.run("CallEnd", json!({"callid": call})).await;
    alice.closes_call(&call).await;
    bob.finish().await;
}

#[tokio::test]
async fn a_client_is_told_of_ringing_and_early_media_when_it_asks() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Pjsip::start("alice").await;
    let mut bob = Pjsip::start_with(Account::of("bob").rings(), &REQUIRED).await;
    for mode in ["refer", "bridge"] {
        let params =
            json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode, "verbose": true});
        let start = client.start("CallStart", params).await;
        let call = bob.rings().await.call_id;
        bob.plays_early(&call).await;
        assert_eq!(client.call_id_of(&start, "CALL_PROGRESS").await, call);
        bob.accept(&call).await;
        let start = client.finish(&start).await;
        let of_bob = |event: &&Value| event["leg"] == "callee";
        let told: Vec<_> = start.events.iter().filter(of_bob).map(|event| &event["data"]).collect();
        assert_eq!(told, ["CALL_START", "CALL_RINGING", "CALL_PROGRESS", "CALL_ANSWER"], "{mode}");
        client.run("CallEnd", json!({"callid": call})).await;
        bob.closes_call(&call).await;
    }
}
