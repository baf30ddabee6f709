//! Phones that register: called by their user's name, all of them at once.

use serde_json::json;
use sip::digest::Algorithm;

use crate::baresip::Baresip;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

const USERS: [(&str, &str); 2] = [("alice", "wonderland"), ("bob", "builder")];

with_each_phone! {
    async fn registered_phones_are_called_by_name<P>() {
        phones_register_and_call::<P>(Algorithm::Md5).await;
    }

    async fn a_phone_with_a_wrong_password_is_not_registered<P>() {
        let server = Server::start_with_users(&USERS, Algorithm::Md5).await;
        let mut client = server.client().await;
        let port = server.sip_port();
        let mut alice = P::start_as(Account::of("alice").registered(port, "guessed")).await;
        alice.registers(false).await;

        let name = format!("sip:alice@127.0.0.1:{port}");
        let start = client.run("CallStart", json!({"caller": name, "callee": name})).await;
        start.expect_error(
            -32020,
            json!({"kind": "sip_failure", "origin": "caller", "sip_code": 480,
            "sip_reason": "Temporarily Unavailable"}),
        );
    }
}

#[tokio::test]
async fn a_phone_registers_with_sha_256() {
    if can_use(&[Tool::Pjsip]) {
        phones_register_and_call::<Pjsip>(Algorithm::Sha256).await;
    }
}

async fn phones_register_and_call<P: Phone>(algorithm: Algorithm) {
    let server = Server::start_with_users(&USERS, algorithm).await;
    let mut client = server.client().await;
    let port = server.sip_port();
    let [(_, wonderland), (_, builder)] = USERS;
    let mut alice = P::start_as(Account::of("alice").registered(port, wonderland)).await;
    let mut bob = P::start_as(Account::of("bob").registered(port, builder)).await;
    alice.registers(true).await;
    bob.registers(true).await;

    let name = |user: &str| format!("sip:{user}@127.0.0.1:{port}");
    let params = json!({"caller": name("alice"), "callee": name("bob")});
    let start = client.run("CallStart", params).await;
    let call_id = start.call_id();
    alice.establishes_call(&call_id).await;
    bob.establishes_call(&call_id).await;
    talk(&mut alice, &mut bob, &call_id, '1').await;
    let end = client.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.closes_call(&call_id).await;
    bob.closes_call(&call_id).await;

    // And one phone calls the other.
    alice.dial(&name("bob")).await;
    let call = bob.establishes().await.call_id;
    alice.establishes_call(&call).await;
    talk(&mut alice, &mut bob, &call, '2').await;
}

#[tokio::test]
async fn a_phone_registers_at_two_addresses_and_takes_them_back() {
    if !can_use(&[Tool::Sipp]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let port = server.sip_port();
    let name = format!("sip:alice@127.0.0.1:{port}");
    Sipp::call("registers", &name, port).await.finish().await;
    let list = client.ask("RegistrationList", json!({})).await;
    assert_eq!(list["registrations"], json!([]), "{list}");
}

#[tokio::test]
async fn a_phone_that_unregisters_is_called_no_more() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start_with_users(&USERS, Algorithm::Sha256).await;
    let mut client = server.client().await;
    let port = server.sip_port();
    let mut bob = Pjsip::start_as(Account::of("bob").registered(port, USERS[1].1)).await;
    bob.registers(true).await;
    let list = client.ask("RegistrationList", json!({})).await;
    assert_eq!(list["registrations"].as_array().map(Vec::len), Some(1), "{list}");
    bob.unregisters().await;
    let name = format!("sip:bob@127.0.0.1:{port}");
    let start = client.run("CallStart", json!({"caller": name, "callee": name})).await;
    let failure = json!({"kind": "sip_failure", "origin": "caller", "sip_code": 480});
    start.expect_error(-32_020, failure);
    assert_eq!(bob.calls().await, 0);
}

#[tokio::test]
async fn all_phones_of_a_user_ring_until_one_is_answered() {
    if !can_use(&[Tool::Baresip, Tool::Pjsip]) {
        return;
    }
    let server = Server::start_with_users(&USERS, Algorithm::Md5).await;
    let port = server.sip_port();
    let [(_, wonderland), (_, builder)] = USERS;
    let bob = || Account::of("bob").registered(port, builder).rings();
    let mut alice = Pjsip::start_as(Account::of("alice").registered(port, wonderland)).await;
    let mut desk = Baresip::start_as(bob()).await;
    let mut mobile = Pjsip::start_as(bob()).await;
    desk.registers(true).await;
    mobile.registers(true).await;
    alice.registers(true).await;

    for (round, digit) in ["desk", "mobile"].into_iter().zip("12".chars()) {
        alice.dial(&format!("sip:bob@127.0.0.1:{port}")).await;
        let call = desk.rings().await.call_id;
        assert_eq!(mobile.rings().await.call_id, call);
        if round == "desk" {
            desk.accept(&call).await;
            mobile.closes_call(&call).await;
            desk.establishes_call(&call).await;
            talk(&mut alice, &mut desk, &call, digit).await;
        } else {
            mobile.accept(&call).await;
            desk.closes_call(&call).await;
            mobile.establishes_call(&call).await;
            talk(&mut alice, &mut mobile, &call, digit).await;
        }
        alice.hang_up(&call).await;
        desk.is_in_calls(0).await;
        mobile.is_in_calls(0).await;
    }
}
