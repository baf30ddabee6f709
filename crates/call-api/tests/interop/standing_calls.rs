//! Calls that no command is busy with: a phone calls a phone through the server, and a call
//! outlives the server that made it.

use serde_json::json;

use crate::lab::{Tool, can_use};
use crate::phone::{Account, talk, with_each_phone};
use crate::server::Server;
use crate::sipp::Sipp;

with_each_phone! {
    async fn a_phone_calls_a_phone_through_the_server_and_holds_it<P>() {
        let server = Server::start().await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = P::start("bob").await;

        alice.dial(&bob.uri()).await;
        let call = alice.establishes().await;
        assert_eq!(call.peer, bob.uri());
        let call = call.call_id;
        assert_eq!(bob.establishes_call(&call).await.peer, alice.identity());
        talk(&mut alice, &mut bob, &call, '1').await;

        alice.hold(&call).await;
        alice.comes_to(&call, "sendonly").await;
        bob.comes_to(&call, "recvonly").await;
        bob.hold(&call).await;
        alice.comes_to(&call, "inactive").await;
        bob.comes_to(&call, "inactive").await;
        alice.resume(&call).await;
        alice.comes_to(&call, "recvonly").await;
        bob.comes_to(&call, "sendonly").await;
        bob.resume(&call).await;
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
        talk(&mut alice, &mut bob, &call, '2').await;

        alice.hang_up(&call).await;
        alice.closes_call(&call).await;
        bob.closes_call(&call).await;
        assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
    }

    async fn a_phone_that_is_called_through_the_server_declines<P>() {
        let server = Server::start().await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = P::start_as(Account::of("bob").rings()).await;
        alice.dial(&bob.uri()).await;
        alice.hears_ringing().await;
        let call = bob.rings().await.call_id;
        bob.hang_up(&call).await;
        let why = alice.closes_call(&call).await.why;
        assert!(why.starts_with(&P::DECLINE.to_string()), "{why}");
    }

    async fn a_phone_that_calls_through_the_server_gives_up<P>() {
        let server = Server::start().await;
        let mut alice = P::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut bob = P::start_as(Account::of("bob").rings()).await;
        alice.dial(&bob.uri()).await;
        let call = alice.hears_ringing().await.call_id;
        bob.rings().await;
        alice.hang_up(&call).await;
        bob.closes_call(&call).await;
        alice.is_in_calls(0).await;
    }

    async fn a_phone_that_makes_no_offer_is_given_the_callees<P>() {
        if !can_use(&[Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut bob = P::start("bob").await;
        let scenario = "caller-leaves-offer-to-callee";
        let alice = Sipp::call(scenario, &bob.uri(), server.sip_port()).await;
        let call = bob.establishes().await.call_id;
        bob.comes_to(&call, "recvonly").await;
        bob.hang_up(&call).await;
        alice.finish().await;
        bob.is_in_calls(0).await;
    }

    async fn a_call_outlives_the_server_that_made_it<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start("alice").await;
        let mut bob = P::start("bob").await;
        let start =
            client.run("CallStart", json!({"caller": alice.uri(), "callee": bob.uri()})).await;
        let call = start.call_id();
        alice.establishes_call(&call).await;
        bob.establishes_call(&call).await;

        assert_eq!(server.terminate().await.code(), Some(0));
        talk(&mut alice, &mut bob, &call, '1').await;
        assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
    }
}
