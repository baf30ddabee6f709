//! Phones that register: called by their user's name, put on hold and taken back.

use serde_json::json;

use crate::baresip::{Answer, Baresip};
use crate::lab::{Tool, can_use};
use crate::server::Server;

#[tokio::test]
async fn registered_phones_are_called_by_name_held_and_taken_back() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let users = [("alice", "wonderland"), ("bob", "builder")];
    let server = Server::start_with_users(&users).await;
    let mut client = server.client().await;
    let port = server.sip_port();
    let mut alice = Baresip::start_registering("alice", Answer::Auto, port, users[0].1).await;
    let mut bob = Baresip::start_registering("bob", Answer::Auto, port, users[1].1).await;
    alice.wait_for_registration("OK").await;
    bob.wait_for_registration("OK").await;

    let name = |user: &str| format!("sip:{user}@127.0.0.1:{port}");
    let params = json!({"caller": name("alice"), "callee": name("bob"), "mode": "bridge"});
    let start = client.run("CallStart", params).await;
    let call_id = start.call_id();
    alice.wait_event_of(&call_id, "CALL_ESTABLISHED").await;
    bob.wait_event_of(&call_id, "CALL_ESTABLISHED").await;
    alice.is_heard_by(&mut bob, '1').await;
    bob.is_heard_by(&mut alice, '2').await;

    // Each is asked to stop sending, and says so.
    for (leg, digit) in [("caller", '3'), ("callee", '4')] {
        let hold = client.run("CallHold", json!({"callid": call_id, "leg": leg})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
        let again = client.run("CallHold", json!({"callid": call_id, "leg": leg})).await;
        again.expect_error(-32004, json!({"kind": "invalid_state"}));
        let back = client.run("CallUnHold", json!({"callid": call_id, "leg": leg})).await;
        assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
        alice.is_heard_by(&mut bob, digit).await;
        bob.is_heard_by(&mut alice, digit).await;
    }
    let hold = client.run("CallHold", json!({"callid": call_id})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    let back = client.run("CallUnhold", json!({"callid": call_id})).await;
    assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "CALL_UNHOLD", "Ended"]);
    alice.is_heard_by(&mut bob, '5').await;
    bob.is_heard_by(&mut alice, '6').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));

    let end = client.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.wait_event_of(&call_id, "CALL_CLOSED").await;
    bob.wait_event_of(&call_id, "CALL_CLOSED").await;
}

#[tokio::test]
async fn a_phone_with_a_wrong_password_is_not_registered() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let server = Server::start_with_users(&[("alice", "wonderland")]).await;
    let mut client = server.client().await;
    let port = server.sip_port();
    let mut alice = Baresip::start_registering("alice", Answer::Auto, port, "guessed").await;
    alice.wait_for_registration("ERR").await;

    let name = |user: &str| format!("sip:{user}@127.0.0.1:{port}");
    let params = json!({"caller": name("alice"), "callee": name("alice")});
    let start = client.run("CallStart", params).await;
    start.expect_error(
        -32020,
        json!({"kind": "sip_failure", "origin": "caller", "sip_code": 480,
        "sip_reason": "Temporarily Unavailable"}),
    );
}
