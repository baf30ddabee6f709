//! Commands on OpenSIPS that fail: each ends with the truth, soon, and nothing is left in the proxy.

use serde_json::json;

use super::Lab;
use crate::lab::expect;
use crate::phone::{Answer, Phone as _};
use crate::sipp::Sipp;

const SIP_FAILURE: i64 = -32020;
const TIMEOUT: i64 = -32007;
const NOT_FOUND: i64 = -32003;
const INVALID_STATE: i64 = -32004;

#[tokio::test]
async fn a_caller_that_is_busy_is_named_in_the_error() {
    let Some(mut lab) = Lab::start().await else { return };
    let alice = Sipp::start("uas-busy").await;
    let params = json!({"caller": alice.uri("alice"), "callee": lab.proxy.uri("bob")});
    let run = lab.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "Error", "Ended"]);
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "caller", "sip_code": 486, "sip_reason": "Busy Here"}),
    );
    alice.finish().await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_caller_that_is_not_registered_is_not_found() {
    let Some(mut lab) = Lab::start().await else { return };
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": lab.proxy.uri("bob")});
    let run = lab.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "Error", "Ended"]);
    run.expect_error(SIP_FAILURE, json!({"kind": "sip_failure", "sip_code": 404}));
}

#[tokio::test]
async fn a_caller_that_never_answers_is_cancelled() {
    let Some(mut lab) = Lab::start().await else { return };
    let alice = Sipp::start("uas-rings-behind-proxy-until-cancel").await;
    let params = json!({
        "caller": alice.uri("alice"), "callee": lab.proxy.uri("bob"), "timeout_ms": 2000
    });
    let run = lab.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "Error", "Ended"]);
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "caller"}));
    alice.finish().await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_caller_that_refuses_refer_is_named_in_the_error() {
    let Some(mut lab) = Lab::start().await else { return };
    let alice = Sipp::start("refuses-refer").await;
    let params = json!({"caller": alice.uri("alice"), "callee": lab.proxy.uri("bob")});
    let command = lab.client.start("CallStart", params).await;
    let run = expect("a refused REFER to be noticed", lab.client.finish(&command)).await;
    assert_eq!(run.messages, ["Started", "CALL_ANSWER", "Error", "Ended"]);
    // callops keeps the status code to itself.
    run.expect_error(SIP_FAILURE, json!({"kind": "sip_failure", "origin": "caller"}));
    alice.finish().await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_caller_that_never_answers_a_refer_is_named_in_the_error() {
    let Some(mut lab) = Lab::start().await else { return };
    let alice = Sipp::start("caller-ignores-refer").await;
    let params = json!({"caller": alice.uri("alice"), "callee": lab.proxy.uri("bob")});
    let run = lab.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "CALL_ANSWER", "Error", "Ended"]);
    alice.finish().await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_caller_that_forgets_a_refer_is_given_up_at_the_deadline() {
    let Some(mut lab) = Lab::start().await else { return };
    let alice = Sipp::start("accepts-refer-then-silence").await;
    let params = json!({
        "caller": alice.uri("alice"), "callee": lab.proxy.uri("bob"), "timeout_ms": 4000
    });
    let run = lab.run("CallStart", params).await;
    assert_eq!(run.messages.first().map(String::as_str), Some("Started"));
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "caller"}));
    alice.finish().await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_callee_that_is_busy_is_named_in_the_error() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-busy").await;
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": bob.uri("bob")});
    let run = lab.run("CallStart", params).await;
    assert_eq!(
        run.messages,
        ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]
    );
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "callee", "sip_code": 486}),
    );
    bob.finish().await;
    alice.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_callee_that_is_not_registered_is_not_found() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": lab.proxy.uri("bob")});
    let run = lab.run("CallStart", params).await;
    // callops reports 408 of what the proxy itself refuses; the phone's NOTIFY says 404.
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "callee", "sip_code": 404}),
    );
    alice.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_callee_that_never_answers_is_cancelled() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-rings-behind-proxy-until-cancel").await;
    let params = json!({
        "caller": lab.proxy.uri("alice"), "callee": bob.uri("bob"), "timeout_ms": 3000
    });
    let run = lab.run("CallStart", params).await;
    assert_eq!(
        run.messages,
        ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]
    );
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "callee"}));
    bob.finish().await;
    alice.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;
}

#[tokio::test]
async fn a_party_that_refuses_to_be_held_is_named_in_the_error() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-answers-and-refuses-reinvite-488").await;
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": bob.uri("bob")});
    let call_id = lab.run("CallStart", params).await.call_id();

    let hold = lab.run("CallHold", json!({"callid": call_id})).await;
    // callops keeps the status code to itself.
    hold.expect_error(SIP_FAILURE, json!({"kind": "sip_failure", "origin": "callee"}));
    lab.proxy.has_only_calls(&[&call_id]).await;

    let end = lab.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    bob.finish().await;
    alice.is_in_calls(0).await;
}

#[tokio::test]
async fn a_call_that_is_over_is_not_found() {
    let Some(mut lab) = Lab::start().await else { return };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;
    bob.hang_up(&call_id).await;
    bob.is_in_calls(0).await;
    alice.is_in_calls(0).await;
    lab.proxy.has_only_calls(&[]).await;

    let carol = lab.proxy.uri("carol");
    for (method, params) in [
        ("CallHold", json!({"callid": call_id})),
        ("CallUnHold", json!({"callid": call_id})),
        ("CallEnd", json!({"callid": call_id})),
        ("CallBlindTransfer", json!({"callid": call_id, "leg": "callee", "destination": carol})),
        ("CallEnd", json!({"callid": "nobody-ever-called"})),
    ] {
        let run = lab.run(method, params).await;
        assert_eq!(run.messages, ["Started", "Error", "Ended"], "{method}");
        run.expect_error(NOT_FOUND, json!({"kind": "not_found"}));
    }
}

#[tokio::test]
async fn a_call_whose_phone_refused_a_transfer_takes_no_other() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut alice = lab.phone("alice", Answer::Auto).await;
    let bob = Sipp::start("refuses-refer").await;
    let carol = lab.phone("carol", Answer::Auto).await;
    let params = json!({"caller": lab.proxy.uri("alice"), "callee": bob.uri("bob")});
    let call_id = lab.run("CallStart", params).await.call_id();

    let params = json!({"callid": call_id, "leg": "callee", "destination": lab.proxy.uri("carol")});
    let refused = lab.run("CallBlindTransfer", params.clone()).await;
    refused.expect_error(SIP_FAILURE, json!({"kind": "sip_failure", "origin": "callee"}));
    // callops takes the transfer for pending, for as long as the call lives.
    let again = lab.run("CallBlindTransfer", params).await;
    assert_eq!(again.messages, ["Started", "Error", "Ended"]);
    again.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));

    lab.proxy.has_only_calls(&[&call_id]).await;
    lab.run("CallEnd", json!({"callid": call_id})).await;
    bob.finish().await;
    alice.is_in_calls(0).await;
    drop(carol);
}
