//! Session timers (RFC 4028) as phones that know them negotiate them: how long a session is, who
//! refreshes it, and 422. What happens when it is not refreshed takes longer than a test may: that is
//! proven in virtual time.

use serde_json::json;

use crate::baresip::Baresip;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

/// Shorter than what the phones here want.
const FIVE_MINUTES: &str = "  session_seconds: 300\n";

with_each_phone! {
    async fn a_callee_that_wants_longer_sessions_is_asked_again_and_refreshes<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start_with(FIVE_MINUTES).await;
        let mut client = server.client().await;
        let mut alice = P::start("alice").await;
        let bob = Sipp::start("uas-wants-longer-sessions").await;
        let params = json!({"caller": alice.uri(), "callee": bob.uri("bob"), "mode": "bridge"});
        let call = client.run("CallStart", params).await.call_id();
        alice.establishes_call(&call).await;
        alice.closes_call(&call).await;
        bob.finish().await;
    }

    async fn a_caller_that_wants_shorter_sessions_is_told_the_shortest<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut bob = P::start("bob").await;
        let port = server.sip_port();
        let alice = Sipp::call("caller-asks-for-short-sessions", &bob.uri(), port).await;
        let call = bob.establishes().await.call_id;
        bob.closes_call(&call).await;
        alice.finish().await;
        bob.is_in_calls(0).await;
    }
}

#[tokio::test]
async fn a_phone_that_requires_them_is_called_in_every_mode() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start_with(FIVE_MINUTES).await;
    let mut client = server.client().await;
    let mut alice = requiring("alice", None).await;
    let mut bob = requiring("bob", None).await;
    for (mode, digit) in [("refer", '1'), ("bridge", '2')] {
        let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
        let call = client.run("CallStart", params).await.call_id();
        talk(&mut alice, &mut bob, &call, digit).await;
        // Its re-INVITE is refused 422 no more.
        let hold = client.run("CallHold", json!({"callid": call})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
        bob.comes_to(&call, "recvonly").await;
        client.run("CallEnd", json!({"callid": call})).await;
        alice.is_in_calls(0).await;
        bob.is_in_calls(0).await;
    }
}

#[tokio::test]
async fn a_phone_that_requires_them_calls_one_that_does_not_know_them() {
    if !can_use(&[Tool::Baresip, Tool::Pjsip]) {
        return;
    }
    let server = Server::start_with(FIVE_MINUTES).await;
    let mut alice = requiring("alice", Some(&server)).await;
    let mut bob = Baresip::start("bob").await;
    alice.dial(&bob.uri()).await;
    let call = bob.establishes().await.call_id;
    alice.establishes_call(&call).await;
    talk(&mut alice, &mut bob, &call, '1').await;
    bob.hang_up(&call).await;
    alice.closes_call(&call).await;
}

/// A phone that takes no call without a session timer, of ten minutes at least.
async fn requiring(name: &'static str, server: Option<&Server>) -> Pjsip {
    let mut account = Account::of(name);
    if let Some(server) = server {
        account = account.behind(&server.sip_uri());
    }
    Pjsip::start_with(account, &["--timer=600"]).await
}
