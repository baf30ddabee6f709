//! What a client, and a phone, say beside the call: `headers`, `from`, `display` and `auto_answer`, and
//! the headers that pass from phone to phone. sipp reads them.

use serde_json::{Value, json};

use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

#[tokio::test]
async fn a_clients_headers_reach_both_phones_and_only_the_callers_is_asked_to_answer() {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    for (scenario, auto_answer) in
        [("uas-asked-to-answer", true), ("uas-not-asked-to-answer", false)]
    {
        let alice = Sipp::start(scenario).await;
        let bob = Sipp::start("uas-not-asked-to-answer").await;
        let params = json!({
            "caller": alice.uri("alice"), "callee": bob.uri("bob"), "mode": "bridge",
            "from": "sip:desk@127.0.0.1", "display": "Front desk",
            "headers": {"X-Order": "7", "Subject": "Your order"}, "auto_answer": auto_answer,
        });
        let call = client.run("CallStart", params).await.call_id();
        client.run("CallEnd", json!({"callid": call})).await;
        alice.finish().await;
        bob.finish().await;
    }
}

with_each_phone! {
    // Neither baresip 1.0 nor PJSIP acts on what asks a phone to answer by itself.
    async fn a_phone_that_does_not_know_what_asks_it_to_answer_rings<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let mut alice = P::start_as(Account::of("alice").rings()).await;
        let mut bob = P::start("bob").await;
        let params = json!({"caller": alice.uri(), "callee": bob.uri(), "auto_answer": true});
        let start = client.start("CallStart", params).await;
        let ringing = alice.rings().await.call_id;
        assert_eq!(bob.calls().await, 0);
        alice.accept(&ringing).await;
        let call = client.finish(&start).await.call_id();
        alice.establishes_call(&call).await;
        bob.establishes_call(&call).await;
    }
}

#[tokio::test]
async fn a_client_cannot_set_what_defines_the_dialog() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut alice = Pjsip::start("alice").await;
    for name in ["From", "To", "Call-ID", "CSeq", "Via", "Contact", "Route", "t", "Content-Length"]
    {
        let headers: Value = [(name.to_owned(), json!("<sip:x@127.0.0.1>"))].into_iter().collect();
        let params = json!({"caller": alice.uri(), "callee": alice.uri(), "headers": headers});
        let error = client.refused("CallStart", params).await;
        assert_eq!(error["code"], -32_602, "{name}: {error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("headers")), "{error}");
    }
    assert_eq!(alice.calls().await, 0);
}

/// INVITE, 200, INFO, MESSAGE, NOTIFY and BYE.
#[tokio::test]
async fn headers_for_the_other_end_pass_both_ways_and_others_do_not() {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let bob = Sipp::start("callee-reads-headers").await;
    let alice = Sipp::call("caller-sends-headers", &bob.uri("bob"), server.sip_port()).await;
    alice.finish().await;
    bob.finish().await;
}
