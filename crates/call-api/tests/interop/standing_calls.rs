//! Calls that no command is busy with: a phone calls a phone through the server, and a call
//! outlives the server that made it.

use serde_json::json;

use crate::baresip::{Answer, Baresip};
use crate::lab::{Tool, can_use};
use crate::server::Server;

#[tokio::test]
async fn a_phone_calls_a_phone_through_the_server() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let server = Server::start().await;
    let mut alice = Baresip::start_behind("alice", Answer::Auto, &server.sip_uri()).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;

    alice.command("dial", &bob.uri()).await;
    assert_eq!(alice.wait_event("CALL_ESTABLISHED").await.peer, bob.uri());
    assert_eq!(bob.wait_event("CALL_ESTABLISHED").await.peer, alice.uri());
    alice.is_heard_by(&mut bob, '5').await;
    bob.is_heard_by(&mut alice, '7').await;

    alice.command("hangup", "").await;
    alice.wait_event("CALL_CLOSED").await;
    bob.wait_event("CALL_CLOSED").await;
    assert_eq!((alice.calls().await, bob.calls().await), (0, 0));
}

#[tokio::test]
async fn a_call_outlives_the_server_that_made_it() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Baresip::start("alice", Answer::Auto).await;
    let mut bob = Baresip::start("bob", Answer::Auto).await;
    let start = client.run("CallStart", json!({"caller": alice.uri(), "callee": bob.uri()})).await;
    let call_id = start.call_id();
    alice.wait_event_of(&call_id, "CALL_ESTABLISHED").await;
    bob.wait_event_of(&call_id, "CALL_ESTABLISHED").await;

    assert_eq!(server.terminate().await.code(), Some(0));
    alice.is_heard_by(&mut bob, '5').await;
    bob.is_heard_by(&mut alice, '7').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
}
