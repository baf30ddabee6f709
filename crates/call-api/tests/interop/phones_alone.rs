//! The phones without the server: what the other tests lean on. Where these fail, look at the
//! machine, not at Call API.

use crate::baresip::{Answer, Baresip};
use crate::lab::{Tool, can_use};
use crate::sipp::Sipp;

#[tokio::test]
async fn two_baresip_phones_talk_and_hang_up() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;
    alice.command("dial", &bob.uri()).await;
    let call = alice.wait_event("CALL_ESTABLISHED").await;
    assert_eq!(call.peer, bob.uri());
    assert_eq!(bob.wait_event_of(&call.call_id, "CALL_ESTABLISHED").await.peer, alice.uri());
    alice.is_heard_by(&mut bob, '5').await;
    bob.is_heard_by(&mut alice, '7').await;
    bob.command("hangup", "").await;
    alice.wait_event_of(&call.call_id, "CALL_CLOSED").await;
    bob.wait_event_of(&call.call_id, "CALL_CLOSED").await;
    assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
}

#[tokio::test]
async fn a_baresip_phone_rings_until_its_user_declines() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Manual).await;
    alice.command("dial", &bob.uri()).await;
    let call = bob.wait_event("CALL_INCOMING").await;
    assert_eq!(bob.calls().await, 1);
    bob.command("hangup", "").await;
    assert_eq!(alice.wait_event_of(&call.call_id, "CALL_CLOSED").await.param, "486 Rejected");
}

#[tokio::test]
async fn a_baresip_phone_follows_a_transfer() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;
    let mut cindy = Baresip::start("cindy", Answer::Auto).await;
    alice.command("dial", &bob.uri()).await;
    alice.wait_event("CALL_ESTABLISHED").await;
    alice.command("transfer", &cindy.uri()).await;
    let call = cindy.wait_event("CALL_ESTABLISHED").await;
    assert_eq!(call.peer, bob.uri());
    bob.is_heard_by(&mut cindy, '3').await;
}

#[tokio::test]
async fn a_sipp_phone_answers_takes_a_hold_and_leaves() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-answers-and-hangs-on").await;
    alice.command("dial", &bob.uri("bob")).await;
    alice.wait_event("CALL_REMOTE_SDP").await;
    alice.wait_event("CALL_ESTABLISHED").await;
    alice.command("hold", "").await;
    alice.wait_event("CALL_REMOTE_SDP").await;
    alice.command("hangup", "").await;
    bob.finish().await;
}

#[tokio::test]
async fn a_sipp_phone_is_busy() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-busy").await;
    alice.command("dial", &bob.uri("bob")).await;
    assert_eq!(alice.wait_event("CALL_CLOSED").await.param, "486 Busy Here");
    bob.finish().await;
}

#[tokio::test]
async fn a_sipp_phone_rings_until_the_caller_gives_up() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let bob = Sipp::start("uas-rings-forever-until-cancel").await;
    alice.command("dial", &bob.uri("bob")).await;
    alice.wait_event("CALL_RINGING").await;
    alice.command("hangup", "").await;
    bob.finish().await;
}

#[tokio::test]
async fn sipp_phones_refuse_or_forget_a_refer_and_stay() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    for scenario in ["caller-refuses-refer-405", "caller-accepts-refer-then-silence"] {
        let mut server = Baresip::start("server", Answer::Auto).await;
        let caller = Sipp::start(scenario).await;
        server.command("dial", &caller.uri("alice")).await;
        server.wait_event("CALL_ESTABLISHED").await;
        server.command("transfer", "sip:bob@127.0.0.1").await;
        server.command("hangup", "").await;
        caller.finish().await;
    }
}

#[tokio::test]
async fn a_baresip_phone_sends_everything_through_its_proxy() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let proxy = Sipp::start("uas-busy").await;
    let mut alice = Baresip::start_behind("alice", Answer::Auto, &proxy.uri("proxy")).await;
    // Nobody takes calls on port 9: only the proxy can have answered.
    alice.command("dial", "sip:bob@127.0.0.1:9").await;
    assert_eq!(alice.wait_event("CALL_CLOSED").await.param, "486 Busy Here");
    proxy.finish().await;
}
