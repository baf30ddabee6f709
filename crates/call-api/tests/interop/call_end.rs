//! `CallEnd` at every stage of a call: no phone is left in it.

use serde_json::json;

use crate::client::Client;
use crate::established::{Established, call};
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, with_each_phone};
use crate::server::Server;
use crate::sipp::Sipp;

const INVALID_STATE: i64 = -32_004;
const NOT_FOUND: i64 = -32_003;

with_each_phone! {
    async fn a_caller_that_rings_stops<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start_as(Account::of("alice").rings()).await;
        let mut bob = P::start("bob").await;
        let params = json!({"caller": alice.uri(), "callee": bob.uri(), "verbose": true});
        let start = client.start("CallStart", params).await;
        let call = client.call_id_of(&start, "CALL_RINGING").await;
        assert_eq!(alice.rings().await.call_id, call);

        let end = client.run("CallEnd", json!({"callid": call})).await;
        assert_eq!(end.messages, ["Started", "Ended"]);
        alice.closes_call(&call).await;
        let start = client.finish(&start).await;
        start.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
    }

    async fn a_callee_that_rings_after_a_refer_stops<P>() {
        a_callee_that_rings_stops::<P>("refer").await;
    }

    async fn a_callee_that_rings_when_bridged_stops<P>() {
        a_callee_that_rings_stops::<P>("bridge").await;
    }

    async fn a_callee_that_answers_when_it_is_told_to_stop_is_hung_up<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start("alice").await;
        let bob = Sipp::start("uas-answers-when-cancelled").await;
        let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "verbose": true});
        let start = client.start("CallStart", params).await;
        let call = client.call_id_of_leg(&start, "CALL_RINGING", "callee").await;
        let end = client.run("CallEnd", json!({"callid": call})).await;
        assert_eq!(end.messages, ["Started", "Ended"]);
        let start = client.finish(&start).await;
        start.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        bob.finish().await;
        alice.is_in_calls(0).await;
    }

    async fn a_held_call_is_ended_by_one_of_two<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        client.run("CallHold", json!({"callid": call})).await;
        end_twice(&mut client, &call).await;
        alice.closes_call(&call).await;
        bob.closes_call(&call).await;
        assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
        let late = client.run("CallEnd", json!({"callid": call})).await;
        late.expect_error(NOT_FOUND, json!({"kind": "not_found"}));
    }

    async fn a_call_that_is_being_held_ends_and_the_hold_fails<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start("alice").await;
        let bob = Sipp::start("uas-leaves-reinvite-unanswered").await;
        let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": "bridge"});
        let call = client.run("CallStart", params).await.call_id();
        alice.establishes_call(&call).await;
        let hold = client.start("CallHold", json!({"callid": call})).await;
        // Hers is answered, his never will be.
        alice.comes_to(&call, "recvonly").await;

        end_twice(&mut client, &call).await;
        let hold = client.finish(&hold).await;
        hold.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        alice.closes_call(&call).await;
        bob.finish().await;
        assert_eq!(alice.calls().await, 0);
    }

    async fn an_attended_transfer_ends_with_one_of_its_calls<P>() {
        let Established { mut client, mut alice, mut bob, mut cindy, call: first, _server } =
            Established::<P>::start().await;
        let second = call(&mut client, &mut bob, &mut cindy).await;
        drop(cindy);
        let params = json!({"callid_a": first, "leg_a": "caller", "callid_b": second,
            "leg_b": "callee", "mode": "bridge"});
        let transfer = client.start("CallAttendedTransfer", params).await;
        client.call_id_of(&transfer, "TRANSFER_ACCEPT").await;
        let end = client.run("CallEnd", json!({"callid": first})).await;
        assert_eq!(end.messages, ["Started", "Ended"]);
        let transfer = client.finish(&transfer).await;
        transfer.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        alice.closes_call(&first).await;
        bob.closes_call(&first).await;
        bob.is_in_calls(1).await;
        assert_eq!(bob.direction(&second).await, "sendrecv", "the other call stands");
    }

    async fn a_transfer_by_refer_ends_with_its_call<P>() {
        a_transfer_ends_with_its_call::<P>("refer").await;
    }

    async fn a_transfer_by_bridge_ends_with_its_call<P>() {
        a_transfer_ends_with_its_call::<P>("bridge").await;
    }
}

async fn a_transfer_ends_with_its_call<P: Phone>(mode: &str) {
    let cindy = P::start_as(Account::of("cindy").rings()).await;
    let Established { mut client, mut alice, mut bob, mut cindy, call, _server, .. } =
        Established::<P>::with_cindy(cindy).await;
    let params = json!({"callid": call, "leg": "callee", "destination": cindy.uri(),
        "mode": mode});
    let transfer = client.start("CallBlindTransfer", params).await;
    let ringing = cindy.rings().await.call_id;

    let end = client.run("CallEnd", json!({"callid": call})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    let transfer = client.finish(&transfer).await;
    transfer.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
    alice.closes_call(&call).await;
    bob.closes_call(&call).await;
    cindy.closes_call(&ringing).await;
    for phone in [&mut alice, &mut bob, &mut cindy] {
        phone.is_in_calls(0).await;
    }
}

/// Two commands at once.
async fn end_twice(client: &mut Client, call: &str) {
    let params = json!({"callid": call});
    let one = client.start("CallEnd", params.clone()).await;
    let other = client.start("CallEnd", params).await;
    let ends = [client.finish(&one).await, client.finish(&other).await];
    // Commands run side by side, and the phones may be quicker than the later of the two.
    let late = ends.iter().filter(|end| end.error.is_some()).collect::<Vec<_>>();
    assert!(late.len() < 2, "one of them ends the call: {ends:?}");
    late.iter().for_each(|end| end.expect_error(NOT_FOUND, json!({"kind": "not_found"})));
}

async fn a_callee_that_rings_stops<P: Phone>(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let mut bob = P::start_as(Account::of("bob").rings()).await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
    let start = client.start("CallStart", params).await;
    let call = client.call_id_of(&start, "CALL_START").await;
    assert_eq!(bob.rings().await.call_id, call);

    let end = client.run("CallEnd", json!({"callid": call})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    bob.closes_call(&call).await;
    let start = client.finish(&start).await;
    start.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
}
