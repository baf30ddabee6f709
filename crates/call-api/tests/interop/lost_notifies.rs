//! A phone that is referred and places the call, and whose NOTIFYs never arrive: some phones send none,
//! though RFC 3515 §2.4.4 wants them. The call itself is the proof.

use serde_json::json;

use crate::blind_transfer::transfer_of;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipjs::SipJs;

const SIP_FAILURE: i64 = -32_020;

#[tokio::test]
async fn a_phone_whose_notifies_are_lost_places_the_call_that_a_command_starts() {
    if !can_use(&[Tool::SipJs, Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let (mut alice, mut bob) = (SipJs::start("alice").await, Pjsip::start("bob").await);
    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": "refer"});
    let start = client.run("CallStart", params).await;
    let flow = ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];
    assert_eq!(start.messages, flow);
    let call = start.call_id();
    alice.establishes_call(&call).await;
    bob.establishes_call(&call).await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1), "the helper dialog is gone");
    let end = client.run("CallEnd", json!({"callid": call})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.closes_call(&call).await;
    bob.closes_call(&call).await;
}

#[tokio::test]
async fn a_phone_whose_notifies_are_lost_is_transferred() {
    if !can_use(&[Tool::SipJs, Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let (mut alice, mut bob) = (SipJs::start("alice").await, Pjsip::start("bob").await);
    let mut cindy = Pjsip::start("cindy").await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": "bridge"});
    let call = client.run("CallStart", params).await.call_id();
    alice.establishes_call(&call).await;

    let params = transfer_of("caller", &call, &cindy, "refer");
    let transfer = client.run("CallBlindTransfer", params).await;
    assert_eq!(transfer.messages, ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"]);
    let new = transfer.call_id();
    alice.is_referred(&call).await;
    alice.establishes_call(&new).await;
    cindy.establishes_call(&new).await;
    alice.closes_call(&call).await;
    bob.closes_call(&call).await;
    assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 0, 1));
}

#[tokio::test]
async fn a_phone_whose_notifies_are_lost_keeps_its_call_when_the_target_declines() {
    if !can_use(&[Tool::SipJs, Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let (mut alice, mut bob) = (SipJs::start("alice").await, Pjsip::start("bob").await);
    let mut cindy = Pjsip::start_as(Account::of("cindy").rings()).await;
    let params = json!({"caller": alice.uri(), "callee": bob.uri(), "mode": "bridge"});
    let call = client.run("CallStart", params).await.call_id();
    alice.establishes_call(&call).await;

    let params = transfer_of("caller", &call, &cindy, "refer");
    let transfer = client.start("CallBlindTransfer", params).await;
    let ringing = cindy.rings().await.call_id;
    cindy.hang_up(&ringing).await;
    let transfer = client.finish(&transfer).await;
    let failure = json!({"kind": "sip_failure", "origin": "target", "sip_code": Pjsip::DECLINE});
    transfer.expect_error(SIP_FAILURE, failure);
    alice.closes_call(&ringing).await;
    assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 1, 0));
    assert_eq!(bob.direction(&call).await, "sendrecv");
}
