//! What phones say to each other within a call: digits by INFO, texts by MESSAGE, and an UPDATE.

use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;

with_each_phone! {
    async fn a_digit_that_goes_with_the_signalling_is_heard<P>() {
        if !can_use(&[Tool::Pjsip]) {
            return;
        }
        let (server, mut bob) = (Server::start().await, P::start("bob").await);
        let (mut alice, call) = call_through(&server, &mut bob).await;
        alice.presses_by_info(&call, '5').await;
        bob.hears('5').await;
        assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
    }

    async fn a_description_that_comes_in_an_update_is_passed_on<P>() {
        if !can_use(&[Tool::Pjsip]) {
            return;
        }
        let (server, mut bob) = (Server::start().await, P::start("bob").await);
        let (mut alice, call) = call_through(&server, &mut bob).await;
        assert_eq!(alice.updates(&call).await, 200);
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
        alice.press(&call, '1').await;
        bob.hears('1').await;
    }
}

#[tokio::test]
async fn texts_are_read_by_the_other_phone() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let (server, mut bob) = (Server::start().await, Pjsip::start("bob").await);
    let (mut alice, call) = call_through(&server, &mut bob).await;
    assert_eq!(alice.says(&call, "Ground floor, please.").await, 200);
    assert_eq!(bob.reads(&call).await, "Ground floor, please.");
    assert_eq!(bob.says(&call, "Wait: ä, ß, 漢.").await, 200);
    assert_eq!(alice.reads(&call).await, "Wait: ä, ß, 漢.");
}

#[tokio::test]
async fn an_update_is_a_re_invite_for_the_other_phone_which_may_refuse_it() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let (server, mut bob) = (Server::start().await, Pjsip::start("bob").await);
    let (mut alice, call) = call_through(&server, &mut bob).await;
    assert_eq!(alice.updates(&call).await, 200);
    bob.is_offered(&call).await;
    bob.refuse_offers().await;
    assert_eq!(alice.updates(&call).await, 488);
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
}

/// Alice's phone calls bob's through the server.
async fn call_through(server: &Server, bob: &mut impl Phone) -> (Pjsip, String) {
    let mut alice = Pjsip::start_as(Account::of("alice").behind(&server.sip_uri())).await;
    alice.dial(&bob.uri()).await;
    let call = bob.establishes().await.call_id;
    alice.establishes_call(&call).await;
    (alice, call)
}
