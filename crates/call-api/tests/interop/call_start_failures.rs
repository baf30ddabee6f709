//! `CallStart` that fails: the client reads who failed and how, and no phone is left in a call.

use serde_json::{Value, json};

use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, with_both_phones, with_each_phone};
use crate::server::Server;
use crate::sipp::Sipp;

const TIMEOUT: i64 = -32_007;
const SIP_FAILURE: i64 = -32_020;

/// The messages of a `CallStart` whose callee fails.
const UP_TO_CALL_START: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"];

with_each_phone! {
    async fn a_caller_that_is_busy_is_named_in_the_error<P>() {
        let failure = json!({"kind": "sip_failure", "origin": "caller", "sip_code": 486});
        a_caller_fails::<P>("uas-busy", &["Started", "Error", "Ended"], SIP_FAILURE, failure).await;
    }

    async fn a_caller_that_refuses_refer_is_named_in_the_error<P>() {
        let failure = json!({"kind": "sip_failure", "origin": "caller", "sip_code": 603});
        let messages = ["Started", "CALL_ANSWER", "Error", "Ended"];
        a_caller_fails::<P>("refuses-refer", &messages, SIP_FAILURE, failure).await;
    }

    async fn a_caller_that_declines_is_named_in_the_error<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start_as(Account::of("alice").rings()).await;
        let mut bob = P::start("bob").await;

        let params = json!({"caller": alice.uri(), "callee": bob.uri()});
        let command = client.start("CallStart", params).await;
        let call = alice.rings().await.call_id;
        alice.hang_up(&call).await;
        let run = client.finish(&command).await;
        assert_eq!(run.messages, ["Started", "Error", "Ended"]);
        let failure = json!({"kind": "sip_failure", "origin": "caller", "sip_code": P::DECLINE});
        run.expect_error(SIP_FAILURE, failure);
        alice.is_in_calls(0).await;
        assert_eq!(bob.calls().await, 0);
    }

    async fn a_caller_that_never_answers_is_cancelled<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start_as(Account::of("alice").rings()).await;
        let mut bob = P::start("bob").await;

        let params = json!({"caller": alice.uri(), "callee": bob.uri(), "timeout_ms": 1500});
        let run = client.run("CallStart", params).await;
        assert_eq!(run.messages, ["Started", "Error", "Ended"]);
        run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "caller"}));
        let call = alice.rings().await.call_id;
        alice.closes_call(&call).await;
        alice.is_in_calls(0).await;
        assert_eq!(bob.calls().await, 0);
    }

    async fn a_callee_that_declines_after_a_refer_is_named_in_the_error<P>() {
        a_callee_declines::<P>("refer").await;
    }

    async fn a_callee_that_declines_when_bridged_is_named_in_the_error<P>() {
        a_callee_declines::<P>("bridge").await;
    }

    async fn a_callee_that_is_busy_is_named_in_the_error<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start("alice").await;
        let bob = Sipp::start("uas-busy").await;

        let params = json!({"caller": alice.uri(), "callee": bob.uri("bob")});
        let run = client.run("CallStart", params).await;
        let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": 486});
        run.expect_error(SIP_FAILURE, failure);
        bob.finish().await;
        alice.is_in_calls(0).await;
    }

    async fn a_callee_that_never_answers_after_a_refer_is_cancelled<P>() {
        a_callee_never_answers::<P>("refer").await;
    }

    async fn a_callee_that_never_answers_when_bridged_is_cancelled<P>() {
        a_callee_never_answers::<P>("bridge").await;
    }
}

with_both_phones! {
    async fn a_caller_that_forgets_a_refer_is_named_in_the_error<P>() {
        let failure = json!({"kind": "timeout", "origin": "caller"});
        let messages = ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "Error", "Ended"];
        a_caller_fails::<P>("accepts-refer-then-silence", &messages, TIMEOUT, failure).await;
    }
}

async fn a_caller_fails<P: Phone>(
    scenario: &'static str,
    messages: &[&str],
    code: i64,
    failure: Value,
) {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let alice = Sipp::start(scenario).await;
    let mut bob = P::start("bob").await;

    let params = json!({"caller": alice.uri("alice"), "callee": bob.uri(), "mode": "refer"});
    let run = client.run("CallStart", params).await;
    assert_eq!(run.messages, messages);
    run.expect_error(code, failure);
    alice.finish().await;
    assert_eq!(bob.calls().await, 0);
}

async fn a_callee_declines<P: Phone>(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let mut bob = P::start_as(Account::of("bob").rings()).await;

    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
    let command = client.start("CallStart", params).await;
    let call = bob.rings().await.call_id;
    bob.hang_up(&call).await;
    let run = client.finish(&command).await;
    assert_eq!(run.messages, UP_TO_CALL_START);
    let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": P::DECLINE});
    run.expect_error(SIP_FAILURE, failure);
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
}

async fn a_callee_never_answers<P: Phone>(mode: &str) {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let mut bob = P::start_as(Account::of("bob").rings()).await;

    let params =
        json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode, "timeout_ms": 3000});
    let run = client.run("CallStart", params).await;
    assert_eq!(run.messages, UP_TO_CALL_START);
    run.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "callee"}));
    let call = bob.rings().await.call_id;
    bob.closes_call(&call).await;
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
}
