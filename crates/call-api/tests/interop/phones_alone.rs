//! The phones without the server: what the other tests lean on. Where these fail, look at the
//! machine, not at Call API.

use crate::baresip::Baresip;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, with_each_phone};
use crate::pjsip::Pjsip;
use crate::sipp::Sipp;

with_each_phone! {
    async fn two_phones_talk_hold_and_hang_up<P>() {
        let mut alice = P::start("alice").await;
        let mut bob = P::start("bob").await;
        alice.dial(&bob.uri()).await;
        let call = alice.establishes().await;
        assert_eq!(call.peer, bob.uri());
        assert_eq!(bob.establishes_call(&call.call_id).await.peer, alice.identity());
        talk(&mut alice, &mut bob, &call.call_id, '1').await;
        alice.hold(&call.call_id).await;
        alice.comes_to(&call.call_id, "sendonly").await;
        bob.comes_to(&call.call_id, "recvonly").await;
        alice.resume(&call.call_id).await;
        bob.comes_to(&call.call_id, "sendrecv").await;
        bob.hang_up(&call.call_id).await;
        alice.closes_call(&call.call_id).await;
        bob.closes_call(&call.call_id).await;
        assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
    }

    async fn a_phone_rings_until_its_user_declines<P>() {
        let mut alice = P::start("alice").await;
        let mut bob = P::start_as(Account::of("bob").rings()).await;
        alice.dial(&bob.uri()).await;
        alice.hears_ringing().await;
        let call = bob.rings().await;
        assert_eq!(bob.calls().await, 1);
        bob.hang_up(&call.call_id).await;
        let why = alice.closes_call(&call.call_id).await.why;
        assert!(why.starts_with(&P::DECLINE.to_string()), "{why}");
    }

    async fn a_phone_follows_a_transfer<P>() {
        let mut alice = P::start("alice").await;
        let mut bob = P::start("bob").await;
        let mut cindy = P::start("cindy").await;
        alice.dial(&bob.uri()).await;
        let old = alice.establishes().await.call_id;
        bob.establishes_call(&old).await;
        alice.transfer(&old, &cindy.uri()).await;
        let new = cindy.establishes().await;
        assert_eq!(new.peer, bob.identity());
        talk(&mut bob, &mut cindy, &new.call_id, '1').await;
    }
}

#[tokio::test]
async fn a_pjsip_phone_takes_the_place_of_another() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let mut alice = Pjsip::start("alice").await;
    let mut bob = Pjsip::start("bob").await;
    let mut cindy = Pjsip::start("cindy").await;
    alice.dial(&bob.uri()).await;
    let first = alice.establishes().await.call_id;
    alice.dial(&cindy.uri()).await;
    let second = alice.establishes().await.call_id;
    alice.connect(&first, &second).await;
    let new = cindy.is_replaced(&second).await;
    bob.establishes_call(&new).await;
    assert_eq!(alice.transfer_ends(&first).await, 200);
    talk(&mut bob, &mut cindy, &new, '1').await;
    cindy.closes_call(&second).await;
}

#[tokio::test]
async fn a_sipp_phone_answers_takes_a_hold_and_leaves() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice").await;
    let bob = Sipp::start("uas-answers-and-hangs-on").await;
    alice.dial(&bob.uri("bob")).await;
    let call = alice.establishes().await.call_id;
    alice.hold(&call).await;
    alice.comes_to(&call, "sendonly").await;
    alice.hang_up(&call).await;
    bob.finish().await;
}

#[tokio::test]
async fn a_sipp_phone_is_busy() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice").await;
    let bob = Sipp::start("uas-busy").await;
    alice.dial(&bob.uri("bob")).await;
    assert_eq!(alice.closes().await.why, "486 Busy Here");
    bob.finish().await;
}

#[tokio::test]
async fn a_sipp_phone_rings_until_the_caller_gives_up() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let mut alice = Baresip::start("alice").await;
    let bob = Sipp::start("uas-rings-forever-until-cancel").await;
    alice.dial(&bob.uri("bob")).await;
    let call = alice.hears_ringing().await.call_id;
    alice.hang_up(&call).await;
    bob.finish().await;
}

#[tokio::test]
async fn sipp_phones_refuse_or_forget_a_refer_and_stay() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    for scenario in ["refuses-refer", "accepts-refer-then-silence"] {
        let mut server = Baresip::start("server").await;
        let caller = Sipp::start(scenario).await;
        server.dial(&caller.uri("alice")).await;
        let call = server.establishes().await.call_id;
        server.transfer(&call, "sip:bob@127.0.0.1").await;
        server.hang_up(&call).await;
        caller.finish().await;
    }
}

#[tokio::test]
async fn a_baresip_phone_sends_everything_through_its_proxy() {
    if !can_use(&[Tool::Baresip, Tool::Sipp]) {
        return;
    }
    let proxy = Sipp::start("uas-busy").await;
    let mut alice = Baresip::start_as(Account::of("alice").behind(&proxy.uri("proxy"))).await;
    // Nobody takes calls on port 9: only the proxy can have answered.
    alice.dial("sip:bob@127.0.0.1:9").await;
    assert_eq!(alice.closes().await.why, "486 Busy Here");
    proxy.finish().await;
}
