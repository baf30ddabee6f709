//! `CallBlindTransfer`: one party goes to a third, who talks to it; the other party is released. When
//! that fails, the two that were in the call still are.

use serde_json::{Value, json};

use crate::client::Run;
use crate::established::{Established, call};
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, with_both_phones, with_each_phone};
use crate::server::Server;
use crate::sipp::Sipp;

const TIMEOUT: i64 = -32_007;
const SIP_FAILURE: i64 = -32_020;

/// The messages of a transfer, as its documentation shows them.
const FLOW: [&str; 4] = ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"];

with_each_phone! {
    async fn each_party_goes_by_refer<P>() {
        each_party_goes::<P>("refer").await;
    }

    async fn each_party_goes_by_bridge<P>() {
        each_party_goes::<P>("bridge").await;
    }

    async fn each_party_goes_by_default<P>() {
        each_party_goes::<P>("auto").await;
    }

    async fn a_target_that_declines_after_a_refer_leaves_the_call_as_it_was<P>() {
        a_target_declines::<P>("refer").await;
    }

    async fn a_target_that_declines_a_bridge_leaves_the_call_as_it_was<P>() {
        a_target_declines::<P>("bridge").await;
    }

    async fn a_target_that_is_silent_after_a_refer_leaves_the_call_as_it_was<P>() {
        a_target_is_silent::<P>("refer").await;
    }

    async fn a_target_that_is_silent_in_a_bridge_leaves_the_call_as_it_was<P>() {
        a_target_is_silent::<P>("bridge").await;
    }

    async fn a_target_that_is_busy_leaves_the_call_as_it_was<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        let cindy = Sipp::start("uas-busy").await;
        let params = json!({"callid": call, "leg": "caller", "destination": cindy.uri("cindy")});
        let transfer = client.run("CallBlindTransfer", params).await;
        let failure = json!({"kind": "sip_failure", "origin": "target", "sip_code": 486});
        transfer.expect_error(SIP_FAILURE, failure);
        cindy.finish().await;
        still_talk(&mut alice, &mut bob, &call).await;
    }

    async fn a_phone_that_refuses_a_refer_stays<P>() {
        let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": 603});
        let transfer = a_sipp_callee_is_sent_away::<P>("refuses-refer", "refer").await;
        transfer.expect_error(SIP_FAILURE, failure);
    }

    async fn a_phone_that_refuses_a_refer_is_bridged<P>() {
        let transfer = a_sipp_callee_is_sent_away::<P>("refuses-refer", "auto").await;
        assert_eq!(transfer.messages, FLOW);
    }

    async fn a_phone_that_dies_after_a_refer_goes_nowhere<P>() {
        let cindy = P::start_as(Account::of("cindy").rings()).await;
        let Established { mut client, mut alice, bob, mut cindy, call, _server, .. } =
            Established::<P>::with_cindy(cindy).await;
        let mut params = transfer_of("callee", &call, &cindy, "refer");
        params["timeout_ms"] = json!(4000);
        let transfer = client.start("CallBlindTransfer", params).await;
        let ringing = cindy.rings().await.call_id;
        drop(bob);
        let transfer = client.finish(&transfer).await;
        transfer.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "target"}));
        cindy.closes_call(&ringing).await;
        assert_eq!(alice.calls().await, 1, "the call stands for the one that is left");
        assert_eq!(alice.direction(&call).await, "sendrecv");
    }
}

with_both_phones! {
    async fn a_phone_that_forgets_a_refer_stays<P>() {
        let failure = json!({"kind": "timeout", "origin": "callee"});
        let transfer = a_sipp_callee_is_sent_away::<P>("accepts-refer-then-silence", "refer").await;
        transfer.expect_error(TIMEOUT, failure);
    }

    async fn a_phone_that_forgets_a_refer_is_bridged<P>() {
        let transfer = a_sipp_callee_is_sent_away::<P>("accepts-refer-then-silence", "auto").await;
        assert_eq!(transfer.messages, FLOW);
    }

    async fn a_phone_that_died_before_a_refer_goes_nowhere<P>() {
        let Established { mut client, mut alice, bob, mut cindy, call, _server, .. } =
            Established::<P>::start().await;
        drop(bob);
        let params = transfer_of("callee", &call, &cindy, "refer");
        let transfer = client.run("CallBlindTransfer", params).await;
        transfer.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "callee"}));
        assert_eq!(cindy.calls().await, 0);
        assert_eq!(alice.calls().await, 1, "the call stands for the one that is left");
        assert_eq!(alice.direction(&call).await, "sendrecv");
    }

    async fn a_phone_that_dies_while_it_is_bridged_goes_nowhere<P>() {
        let cindy = P::start_as(Account::of("cindy").rings()).await;
        let Established { mut client, mut alice, bob, mut cindy, call, _server, .. } =
            Established::<P>::with_cindy(cindy).await;
        let params = transfer_of("callee", &call, &cindy, "bridge");
        let transfer = client.start("CallBlindTransfer", params).await;
        let ringing = cindy.rings().await.call_id;
        drop(bob);
        cindy.accept(&ringing).await;
        let transfer = client.finish(&transfer).await;
        transfer.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "callee"}));
        cindy.is_in_calls(0).await;
        assert_eq!(alice.calls().await, 1, "the call stands for the one that is left");
        assert_eq!(alice.direction(&call).await, "sendrecv");
    }
}

pub(crate) fn transfer_of(leg: &str, call: &str, to: &impl Phone, mode: &str) -> Value {
    json!({"callid": call, "leg": leg, "destination": to.uri(), "mode": mode})
}

async fn each_party_goes<P: Phone>(mode: &str) {
    let Established { mut client, mut alice, mut bob, mut cindy, call: first, _server, .. } =
        Established::<P>::start().await;
    goes(&mut client, (&mut alice, "caller"), &mut bob, &mut cindy, &first, mode).await;
    let second = call(&mut client, &mut alice, &mut bob).await;
    goes(&mut client, (&mut bob, "callee"), &mut alice, &mut cindy, &second, mode).await;
}

async fn goes<P: Phone>(
    client: &mut crate::client::Client,
    (goes, leg): (&mut P, &str),
    stays: &mut P,
    target: &mut P,
    old: &str,
    mode: &str,
) {
    let params = transfer_of(leg, old, target, mode);
    let transfer = client.run("CallBlindTransfer", params).await;
    assert_eq!(transfer.messages, FLOW);
    let new = transfer.call_id();
    assert_eq!(new == old, mode == "bridge", "a phone that was referred has placed another call");

    assert_eq!(target.rings().await.peer, goes.uri(), "the target sees who calls");
    target.establishes_call(&new).await;
    if mode != "bridge" {
        goes.establishes_call(&new).await;
        goes.closes_call(old).await;
    }
    stays.closes_call(old).await;
    let digit = if leg == "caller" { '1' } else { '2' };
    talk(goes, target, &new, digit).await;
    assert_eq!(goes.direction(&new).await, "sendrecv");
    assert_eq!((goes.calls().await, stays.calls().await, target.calls().await), (1, 0, 1));

    let end = client.run("CallEnd", json!({"callid": new})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    goes.closes_call(&new).await;
    target.closes_call(&new).await;
}

/// The two that were in a call still are, in that one only.
async fn still_talk(alice: &mut impl Phone, bob: &mut impl Phone, call: &str) {
    alice.is_in_calls(1).await;
    bob.is_in_calls(1).await;
    alice.comes_to(call, "sendrecv").await;
    bob.comes_to(call, "sendrecv").await;
    talk(alice, bob, call, '9').await;
}

async fn a_target_declines<P: Phone>(mode: &str) {
    let cindy = P::start_as(Account::of("cindy").rings()).await;
    let Established { mut client, mut alice, mut bob, mut cindy, call, _server, .. } =
        Established::<P>::with_cindy(cindy).await;
    let params = transfer_of("callee", &call, &cindy, mode);
    let transfer = client.start("CallBlindTransfer", params).await;
    let ringing = cindy.rings().await.call_id;
    cindy.hang_up(&ringing).await;
    let transfer = client.finish(&transfer).await;
    assert_eq!(transfer.messages, ["Started", "TRANSFER_ACCEPT", "CALL_START", "Error", "Ended"]);
    let failure = json!({"kind": "sip_failure", "origin": "target", "sip_code": P::DECLINE});
    transfer.expect_error(SIP_FAILURE, failure);
    cindy.is_in_calls(0).await;
    still_talk(&mut alice, &mut bob, &call).await;
}

async fn a_target_is_silent<P: Phone>(mode: &str) {
    let cindy = P::start_as(Account::of("cindy").rings()).await;
    let Established { mut client, mut alice, mut bob, mut cindy, call, _server, .. } =
        Established::<P>::with_cindy(cindy).await;
    let mut params = transfer_of("caller", &call, &cindy, mode);
    params["timeout_ms"] = json!(3000);
    let transfer = client.run("CallBlindTransfer", params).await;
    transfer.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "target"}));
    let ringing = cindy.rings().await.call_id;
    cindy.closes_call(&ringing).await;
    cindy.is_in_calls(0).await;
    still_talk(&mut alice, &mut bob, &call).await;
}

/// Alice talks to a phone that makes what it likes of a REFER, which is to go to cindy. Alice's phone
/// and cindy's must show what the outcome says.
async fn a_sipp_callee_is_sent_away<P: Phone>(scenario: &'static str, mode: &str) -> Run {
    if !can_use(&[Tool::Sipp]) {
        return Run::default();
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = P::start("alice").await;
    let mut cindy = P::start("cindy").await;
    let bob = Sipp::start(scenario).await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": "refer"});
    let call = client.run("CallStart", params).await.call_id();
    alice.establishes_call(&call).await;

    let params = transfer_of("callee", &call, &cindy, mode);
    let transfer = client.run("CallBlindTransfer", params).await;
    let has_gone = transfer.error.is_none();
    if has_gone {
        cindy.establishes_call(&call).await;
        alice.closes_call(&call).await;
    } else {
        assert_eq!(alice.direction(&call).await, "sendrecv");
    }
    assert_eq!((alice.calls().await, cindy.calls().await), if has_gone { (0, 1) } else { (1, 0) });
    let end = client.run("CallEnd", json!({"callid": call})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    bob.finish().await;
    transfer
}
