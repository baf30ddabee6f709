//! Phones that send their callers elsewhere (3xx, RFC 3261 §8.1.3.4): followed, or passed on, as the
//! setting says.

use serde_json::json;

use crate::established::{Established, call};
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone as _, talk, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

const SIP_FAILURE: i64 = -32_020;

const PASSED: &str = "  redirects: pass\n";

with_each_phone! {
    async fn a_command_follows_its_parties_to_where_they_are<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut client = server.client().await;
        let (mut alice, mut bob) = (P::start("alice").await, P::start("bob").await);
        for (mode, digit) in [("refer", '1'), ("bridge", '2')] {
            let old_alice = Sipp::start_knowing("uas-moved", &alice.uri()).await;
            let old_bob = Sipp::start_knowing("uas-moved", &bob.uri()).await;
            let (caller, callee) = (old_alice.uri("alice"), old_bob.uri("bob"));
            let params = json!({"caller": caller, "callee": callee, "mode": mode});
            let call = client.run("CallStart", params).await.call_id();
            old_alice.finish().await;
            old_bob.finish().await;
            talk(&mut alice, &mut bob, &call, digit).await;
            client.run("CallEnd", json!({"callid": call})).await;
            alice.is_in_calls(0).await;
            bob.is_in_calls(0).await;
        }
    }

    async fn a_transfer_follows_its_target<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let Established { mut client, mut alice, mut bob, mut cindy, call, _server, .. } =
            Established::<P>::start().await;
        let old = Sipp::start_knowing("uas-moved", &cindy.uri()).await;
        let params = json!({"callid": call, "leg": "callee", "destination": old.uri("cindy"),
            "mode": "bridge"});
        let new = client.run("CallBlindTransfer", params).await.call_id();
        old.finish().await;
        alice.closes_call(&call).await;
        talk(&mut bob, &mut cindy, &new, '1').await;
    }

    async fn a_phone_that_calls_is_connected_to_where_the_callee_is<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = P::start("bob").await;
        let old = Sipp::start_knowing("uas-moved", &bob.uri()).await;
        alice.dial(&old.uri("bob")).await;
        let call = bob.establishes().await.call_id;
        alice.establishes_call(&call).await;
        old.finish().await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }

    // Each phone follows by itself.
    async fn a_phone_that_calls_follows_by_itself_when_redirects_are_passed<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start_with(PASSED).await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = P::start("bob").await;
        let old = Sipp::start_knowing("uas-moved", &bob.uri()).await;
        alice.dial(&old.uri("bob")).await;
        old.finish().await;
        let call = bob.establishes().await.call_id;
        alice.establishes_call(&call).await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }

    async fn a_command_fails_when_redirects_are_passed<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start_with(PASSED).await;
        let mut client = server.client().await;
        let (mut alice, mut bob) = (P::start("alice").await, P::start("bob").await);
        for mode in ["refer", "bridge"] {
            let old = Sipp::start_knowing("uas-moved", &bob.uri()).await;
            let params = json!({"caller": alice.uri(), "callee": old.uri("bob"), "mode": mode});
            let start = client.run("CallStart", params).await;
            let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": 302});
            start.expect_error(SIP_FAILURE, failure);
            old.finish().await;
            alice.is_in_calls(0).await;
            assert_eq!(bob.calls().await, 0, "{mode}");
        }
    }

    async fn a_transfer_fails_when_redirects_are_passed<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start_with(PASSED).await;
        let mut client = server.client().await;
        let (mut alice, mut bob) = (P::start("alice").await, P::start("bob").await);
        let mut cindy = P::start("cindy").await;
        let call = call(&mut client, &mut alice, &mut bob).await;
        for (mode, digit) in [("refer", '1'), ("bridge", '2')] {
            let old = Sipp::start_knowing("uas-moved", &cindy.uri()).await;
            let params = json!({"callid": call, "leg": "caller", "destination": old.uri("cindy"),
                "mode": mode});
            let transfer = client.run("CallBlindTransfer", params).await;
            let failure = json!({"kind": "sip_failure", "origin": "target", "sip_code": 302});
            transfer.expect_error(SIP_FAILURE, failure);
            old.finish().await;
            alice.is_in_calls(1).await;
            assert_eq!(cindy.calls().await, 0, "{mode}");
            talk(&mut alice, &mut bob, &call, digit).await;
        }
    }
}

#[tokio::test]
async fn a_phone_that_calls_is_told_where_the_callee_is_only_when_that_is_passed() {
    if !can_use(&[Tool::Pjsip, Tool::Sipp]) {
        return;
    }
    for (settings, is_told) in [(PASSED, true), ("", false)] {
        let server = Server::start_with(settings).await;
        let account = Account::of("alice").behind(&server.sip_uri());
        let (mut alice, mut bob) = (Pjsip::start_as(account).await, Pjsip::start("bob").await);
        let old = Sipp::start_knowing("uas-moved", &bob.uri()).await;
        alice.dial(&old.uri("bob")).await;
        bob.establishes().await;
        old.finish().await;
        let told = if is_told { vec![bob.identity()] } else { Vec::new() };
        assert_eq!(alice.redirections().await, told);
    }
}
