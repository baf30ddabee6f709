//! Calls that ring at one phone and are answered at another, which knows them by their dialog
//! (RFC 5359 §2.16).

use serde_json::json;

use crate::baresip::Baresip;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk_in};
use crate::pjsip::Pjsip;
use crate::server::Server;

/// Alice's phone knows nothing of Replaces: it is called, or calls, as any.
#[tokio::test]
async fn a_phone_picks_up_what_rings_at_another() {
    if !can_use(&[Tool::Baresip, Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start_as(Account::of("alice").behind(&server.sip_uri())).await;
    let mut bob = Pjsip::start_as(Account::of("bob").rings()).await;
    let mut dave = Pjsip::start("dave").await;

    alice.dial(&bob.uri()).await;
    let early = bob.rings_in().await;
    dave.pick_up(&server.sip_uri(), &early).await;
    let new = dave.establishes().await.call_id;
    let call = alice.establishes().await.call_id;
    bob.closes_call(&call).await;
    talk_in((&mut alice, &call), (&mut dave, &new), '1').await;
    dave.hang_up(&new).await;
    alice.closes_call(&call).await;

    for (mode, digit) in [("refer", '2'), ("bridge", '3')] {
        let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": mode});
        let command = client.start("CallStart", params).await;
        let early = bob.rings_in().await;
        dave.pick_up(&server.sip_uri(), &early).await;
        let new = dave.establishes().await.call_id;
        let run = client.finish(&command).await;
        assert_eq!(run.messages.last().map(String::as_str), Some("Ended"), "{run:?}");
        let call = run.call_id();
        talk_in((&mut alice, &call), (&mut dave, &new), digit).await;
        assert_eq!(bob.calls().await, 0);
        client.run("CallEnd", json!({"callid": call})).await;
        dave.closes_call(&new).await;
        alice.closes_call(&call).await;
    }
}

/// A phone that refuses what it picked up leaves the other one ringing.
#[tokio::test]
async fn a_phone_that_picks_up_and_takes_no_offer_is_as_if_it_had_not() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut alice = Pjsip::start_as(Account::of("alice").behind(&server.sip_uri())).await;
    let mut bob = Pjsip::start_as(Account::of("bob").rings()).await;
    let mut dave = Pjsip::start("dave").await;
    dave.refuse_offers().await;
    alice.dial(&bob.uri()).await;
    let early = bob.rings_in().await;
    dave.pick_up(&server.sip_uri(), &early).await;
    let new = dave.establishes().await.call_id;
    dave.closes_call(&new).await;
    let call = bob.rings().await.call_id;
    bob.accept(&call).await;
    alice.establishes_call(&call).await;
    talk_in((&mut alice, &call), (&mut bob, &call), '1').await;
}
