//! `CallHold` and `CallUnHold`: which way sound flows, as the phones say.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::established::Established;
use crate::lab::{Tool, can_use};
use crate::phone::{Phone, talk, with_both_phones, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

const INVALID_STATE: i64 = -32_004;
const SIP_FAILURE: i64 = -32_020;

with_each_phone! {
    async fn each_party_is_held_and_taken_back<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        for (leg, digit) in [("caller", '1'), ("callee", '2')] {
            let hold = client.run("CallHold", json!({"callid": call, "leg": leg})).await;
            assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
            assert_eq!(hold.events[0]["leg"], leg);
            // Who is held sends nothing; nobody asked anything of the other one.
            let (held, other) =
                if leg == "caller" { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            held.comes_to(&call, "recvonly").await;
            assert_eq!(other.direction(&call).await, "sendrecv");
            let again = client.run("CallHold", json!({"callid": call, "leg": leg})).await;
            again.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));

            let back = client.run("CallUnHold", json!({"callid": call, "leg": leg})).await;
            assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
            held.comes_to(&call, "sendrecv").await;
            talk(&mut alice, &mut bob, &call, digit).await;
        }
        assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
    }

    async fn both_parties_are_held_and_taken_back<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        let hold = client.run("CallHold", json!({"callid": call})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
        alice.comes_to(&call, "recvonly").await;
        bob.comes_to(&call, "recvonly").await;
        let again = client.run("CallHold", json!({"callid": call})).await;
        again.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));

        // Under its other name.
        let back = client.run("CallUnhold", json!({"callid": call})).await;
        assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "CALL_UNHOLD", "Ended"]);
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }

    async fn a_phones_own_hold_and_that_of_a_command_do_not_mix<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        let hold = client.run("CallHold", json!({"callid": call, "leg": "caller"})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
        alice.comes_to(&call, "recvonly").await;
        bob.hold(&call).await;
        bob.comes_to(&call, "sendonly").await;
        bob.resume(&call).await;
        bob.comes_to(&call, "sendrecv").await;
        assert_eq!(alice.direction(&call).await, "recvonly", "the command's hold stands");
        let back = client.run("CallUnHold", json!({"callid": call})).await;
        assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
        alice.comes_to(&call, "sendrecv").await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }
}

with_both_phones! {
    // Both as RFC 3261 §14.1 says: who made the Call-ID waits longer. The scenarios know how long at
    // most.
    async fn a_phone_that_is_about_to_change_the_session_itself_is_asked_again<P>() {
        if can_use(&[Tool::Sipp]) {
            tokio::join!(callee_is_asked_again::<P>(), caller_is_asked_again::<P>());
        }
    }

    async fn a_phone_that_always_asks_to_wait_is_given_up_and_stays<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut bob = P::start("bob").await;
        let scenario = "caller-answers-each-reinvite-491";
        let alice = Sipp::call(scenario, &bob.uri(), server.sip_port()).await;
        let call = bob.establishes().await.call_id;
        client.sees_established(&call).await;
        let hold = client.run("CallHold", json!({"callid": call})).await;
        let failure = json!({"kind": "sip_failure", "origin": "caller", "sip_code": 491});
        hold.expect_error(SIP_FAILURE, failure);
        bob.comes_to(&call, "sendrecv").await;
        assert_eq!(bob.calls().await, 1);
        bob.hang_up(&call).await;
        alice.finish().await;
    }
}

#[tokio::test]
async fn a_phone_that_hangs_up_when_it_is_held_ends_the_call() {
    if !can_use(&[Tool::Pjsip, Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Pjsip::start("alice").await;
    let bob = Sipp::start("uas-hangs-up-when-held").await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": "bridge"});
    let call = client.run("CallStart", params).await.call_id();
    let hold = client.run("CallHold", json!({"callid": call})).await;
    hold.expect_error(SIP_FAILURE, json!({"origin": "callee"}));
    bob.finish().await;
    alice.closes_call(&call).await;
    assert_eq!(alice.calls().await, 0);
}

async fn callee_is_asked_again<P: Phone>() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let bob = Sipp::start("uas-answers-first-reinvite-491").await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": "bridge"});
    let call = client.run("CallStart", params).await.call_id();
    let began = Instant::now();
    let hold = client.run("CallHold", json!({"callid": call, "leg": "callee"})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
    assert!(began.elapsed() >= Duration::from_millis(2100), "{:?}", began.elapsed());
    client.run("CallEnd", json!({"callid": call})).await;
    alice.is_in_calls(0).await;
    bob.finish().await;
}

async fn caller_is_asked_again<P: Phone>() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut bob = P::start("bob").await;
    let scenario = "caller-answers-first-reinvite-491";
    let alice = Sipp::call(scenario, &bob.uri(), server.sip_port()).await;
    let call = bob.establishes().await.call_id;
    client.sees_established(&call).await;
    let hold = client.run("CallHold", json!({"callid": call})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    bob.comes_to(&call, "recvonly").await;
    bob.hang_up(&call).await;
    alice.finish().await;
}

#[tokio::test]
async fn a_phone_that_refuses_a_hold_stays_as_it_was_and_so_does_the_other_one() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let Established { mut client, mut alice, mut bob, call, _server, .. } =
        Established::<Pjsip>::start().await;
    bob.refuse_offers().await;
    for params in [json!({"callid": call, "leg": "callee"}), json!({"callid": call})] {
        let hold = client.run("CallHold", params).await;
        let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": 488});
        hold.expect_error(SIP_FAILURE, failure);
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
    }
    talk(&mut alice, &mut bob, &call, '1').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
}
