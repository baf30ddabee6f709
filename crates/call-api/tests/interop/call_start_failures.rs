//! `CallStart` that fails: the client reads who failed and how, and no phone is left in a call.

use serde_json::json;

use crate::baresip::{Answer, Baresip};
use crate::lab::{Tool, can_use};
use crate::server::Server;
use crate::sipp::Sipp;

const TIMEOUT: i64 = -32_007;
const SIP_FAILURE: i64 = -32_020;

#[tokio::test]
async fn a_caller_that_is_busy_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start("uas-busy").await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    let run =
        client.run("CallStart", json!({"caller": alice.uri("alice"), "callee": bob.uri()})).await;
    assert_eq!(run.messages, ["Started", "Error", "Ended"]);
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "caller", "sip_code": 486}),
    );
    alice.finish().await;
    assert_eq!(bob.calls().await, 0);
}

#[tokio::test]
async fn a_caller_that_refuses_refer_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start("caller-refuses-refer-405").await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    let params = json!({"caller": alice.uri("alice"), "callee": bob.uri(), "mode": "refer"});
    let run = client.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "CALL_ANSWER", "Error", "Ended"]);
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "caller", "sip_code": 405}),
    );
    alice.finish().await;
    assert_eq!(bob.calls().await, 0);
}

#[tokio::test]
async fn a_caller_that_forgets_a_refer_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start("caller-accepts-refer-then-silence").await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    let params = json!({"caller": alice.uri("alice"), "callee": bob.uri(), "mode": "refer"});
    let run = client.run("CallStart", params).await;
    assert_eq!(run.messages, ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "Error", "Ended"]);
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "caller"}));
    alice.finish().await;
    assert_eq!(bob.calls().await, 0);
}

#[tokio::test]
async fn a_callee_that_declines_after_a_refer_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    a_callee_declines("refer").await;
}

#[tokio::test]
async fn a_callee_that_declines_when_bridged_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    a_callee_declines("bridge").await;
}

async fn a_callee_declines(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Manual).await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
    let command = client.start("CallStart", params).await;
    bob.wait_event("CALL_INCOMING").await;
    bob.command("hangup", "").await;
    let run = client.finish(&command).await;
    assert_eq!(
        run.messages,
        ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]
    );
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "callee", "sip_code": 486}),
    );
    alice.wait_until_idle().await;
    bob.wait_until_idle().await;
}

#[tokio::test]
async fn a_callee_that_is_busy_is_named_in_the_error() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-busy").await;

    let run =
        client.run("CallStart", json!({"caller": alice.uri(), "callee": bob.uri("bob")})).await;
    run.expect_error(
        SIP_FAILURE,
        json!({"kind": "sip_failure", "origin": "callee", "sip_code": 486}),
    );
    bob.finish().await;
    alice.wait_until_idle().await;
}

#[tokio::test]
async fn a_callee_that_never_answers_after_a_refer_is_cancelled() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_callee_never_answers("refer").await;
}

#[tokio::test]
async fn a_callee_that_never_answers_when_bridged_is_cancelled() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    a_callee_never_answers("bridge").await;
}

async fn a_callee_never_answers(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-rings-forever-until-cancel").await;

    let params =
        json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": mode, "timeout_ms": 3000});
    let run = client.run("CallStart", params).await;
    assert_eq!(
        run.messages,
        ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]
    );
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "callee"}));
    bob.finish().await;
    alice.wait_until_idle().await;
}
