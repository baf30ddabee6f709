//! Transfers of calls that go through OpenSIPS, by REFER to the phone that goes.

use serde_json::json;

use super::Lab;
use crate::baresip::Baresip;
use crate::phone::{Account, Answer, Phone as _, talk};
use crate::sipp::Sipp;

/// The messages of a transfer, as its documentation shows them.
const TRANSFER_FLOW: [&str; 4] = ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"];

#[tokio::test]
async fn the_callee_is_sent_to_a_third_user() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    let mut carol = lab.phone("carol", Answer::Auto).await;

    let params = json!({"callid": call_id, "leg": "callee", "destination": lab.proxy.uri("carol")});
    let transfer = lab.run("CallBlindTransfer", params).await;
    assert_eq!(transfer.messages, TRANSFER_FLOW);
    let new_call = transfer.call_id();
    alice.closes_call(&call_id).await;
    carol.establishes_call(&new_call).await;
    talk(&mut bob, &mut carol, &new_call, '1').await;
    assert_eq!((bob.calls().await, carol.calls().await), (1, 1));
    lab.proxy.has_only_calls(&[&new_call]).await;

    // What came of a transfer is a call as any other.
    lab.is_confirmed(&new_call).await;
    let hold = lab.run("CallHold", json!({"callid": new_call})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    let end = lab.run("CallEnd", json!({"callid": new_call})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    bob.is_in_calls(0).await;
    carol.is_in_calls(0).await;
}

#[tokio::test]
async fn the_caller_is_sent_to_a_third_user() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    let mut carol = lab.phone("carol", Answer::Auto).await;

    let params = json!({"callid": call_id, "leg": "caller", "destination": lab.proxy.uri("carol")});
    let transfer = lab.run("CallBlindTransfer", params).await;
    assert_eq!(transfer.messages, TRANSFER_FLOW);
    bob.closes_call(&call_id).await;
    carol.establishes_call(&transfer.call_id()).await;
    talk(&mut alice, &mut carol, &transfer.call_id(), '1').await;
    lab.proxy.has_only_calls(&[&transfer.call_id()]).await;
}

#[tokio::test]
async fn a_call_stands_when_the_target_is_busy_and_goes_to_the_next() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    let busy = Sipp::start("uas-busy").await;
    let mut carol = lab.phone("carol", Answer::Auto).await;

    let params = json!({"callid": call_id, "leg": "callee", "destination": busy.uri("dora")});
    let failed = lab.run("CallBlindTransfer", params).await;
    assert_eq!(failed.messages, ["Started", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]);
    failed
        .expect_error(-32020, json!({"kind": "sip_failure", "origin": "target", "sip_code": 486}));
    busy.finish().await;
    lab.proxy.has_only_calls(&[&call_id]).await;
    talk(&mut alice, &mut bob, &call_id, '1').await;

    let params = json!({"callid": call_id, "leg": "callee", "destination": lab.proxy.uri("carol")});
    let transfer = lab.run("CallBlindTransfer", params).await;
    assert_eq!(transfer.messages, TRANSFER_FLOW);
    alice.closes_call(&call_id).await;
    talk(&mut bob, &mut carol, &transfer.call_id(), '3').await;
}

#[tokio::test]
async fn a_call_stands_when_the_target_is_not_registered() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;

    let params =
        json!({"callid": call_id, "leg": "caller", "destination": lab.proxy.uri("nobody")});
    let failed = lab.run("CallBlindTransfer", params).await;
    failed
        .expect_error(-32020, json!({"kind": "sip_failure", "origin": "target", "sip_code": 404}));
    lab.proxy.has_only_calls(&[&call_id]).await;
    talk(&mut alice, &mut bob, &call_id, '1').await;
}

#[tokio::test]
async fn the_callees_of_two_calls_are_joined_by_replaces() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("takes-refer-with-replaces").await;
    // It takes the INVITE with Replaces for a call of its own.
    let carol = Sipp::start_many("uas-answers-and-hangs-on").await;
    let call_a = lab.dial(&mut alice, &bob.uri("bob")).await;
    let call_b = lab.dial(&mut alice, &carol.uri("carol")).await;

    let params =
        json!({"callid_a": call_a, "leg_a": "callee", "callid_b": call_b, "leg_b": "callee"});
    let transfer = lab.run("CallAttendedTransfer", params).await;
    assert_eq!(transfer.messages, TRANSFER_FLOW);
    alice.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[&transfer.call_id()]).await;
    lab.run("CallEnd", json!({"callid": transfer.call_id()})).await;
    bob.finish().await;
}

#[tokio::test]
async fn the_callees_of_two_calls_are_joined_by_a_phone_without_replaces() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_a) = lab.call("alice", "bob").await;
    let mut carol = lab.phone("carol", Answer::Auto).await;
    let call_b = lab.dial(&mut alice, &lab.proxy.uri("carol")).await;

    // bob's phone calls carol and forgets Replaces, so callops does not know what the call is for. The
    // phone's NOTIFY tells that it is answered, and not which one it is.
    let params =
        json!({"callid_a": call_a, "leg_a": "callee", "callid_b": call_b, "leg_b": "callee"});
    let transfer = lab.run("CallAttendedTransfer", params).await;
    assert_eq!(transfer.messages, TRANSFER_FLOW);
    alice.is_in_calls(0).await;
    carol.establishes_call(&call_b).await;
    let new_call = carol.establishes().await.call_id;
    talk(&mut bob, &mut carol, &new_call, '1').await;
    assert_eq!((bob.calls().await, carol.calls().await), (1, 1));
}

#[tokio::test]
async fn a_call_that_the_phone_places_past_the_proxy_is_told() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    // This phone knows no outbound proxy.
    let mut bob = Baresip::start_as(Account::of("bob").registered(lab.proxy.port(), "none")).await;
    bob.registers(true).await;
    let busy = Sipp::start("uas-busy").await;
    let call_id = lab.dial(&mut alice, &lab.proxy.uri("bob")).await;

    let params = json!({"callid": call_id, "leg": "callee", "destination": busy.uri("dora")});
    let failed = lab.run("CallBlindTransfer", params).await;
    assert_eq!(failed.messages, ["Started", "TRANSFER_ACCEPT", "Error", "Ended"]);
    failed
        .expect_error(-32020, json!({"kind": "sip_failure", "origin": "target", "sip_code": 486}));
    busy.finish().await;
    talk(&mut alice, &mut bob, &call_id, '1').await;
}
