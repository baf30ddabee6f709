//! Transfers that a phone's user asks for, in calls through the server.

use serde_json::json;
use sip::digest::Algorithm;

use crate::established::call;
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, talk_in, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;
use crate::sipp::Sipp;

with_each_phone! {
    async fn a_caller_sends_the_callee_to_somebody_else<P>() {
        let server = Server::start().await;
        let (mut alice, mut bob, mut cindy) = three::<P>(&server, Account::of("cindy")).await;
        let call = dial(&mut alice, &mut bob).await;
        alice.transfer(&call, &cindy.uri()).await;
        let new = cindy.establishes().await;
        assert_eq!(new.peer, bob.uri(), "cindy sees who calls");
        alice.is_in_calls(0).await;
        talk_in((&mut bob, &call), (&mut cindy, &new.call_id), '1').await;
        bob.hang_up(&call).await;
        cindy.closes_call(&new.call_id).await;
    }

    async fn a_callee_sends_the_caller_to_somebody_else<P>() {
        let server = Server::start().await;
        let (mut alice, mut bob, mut cindy) = three::<P>(&server, Account::of("cindy")).await;
        let call = dial(&mut alice, &mut bob).await;
        bob.transfer(&call, &cindy.uri()).await;
        let new = cindy.establishes().await;
        assert_eq!(new.peer, alice.identity(), "cindy sees who calls");
        bob.is_in_calls(0).await;
        talk_in((&mut alice, &call), (&mut cindy, &new.call_id), '1').await;
    }

    async fn a_target_that_declines_leaves_the_call_to_the_phone<P>() {
        let server = Server::start().await;
        let (mut alice, mut bob, mut cindy) =
            three::<P>(&server, Account::of("cindy").rings()).await;
        let call = dial(&mut alice, &mut bob).await;
        alice.transfer(&call, &cindy.uri()).await;
        let ringing = cindy.rings().await.call_id;
        cindy.hang_up(&ringing).await;
        alice.transfer_fails(&call, P::DECLINE).await;
        cindy.is_in_calls(0).await;
        if P::STAYS_AFTER_FAILED_TRANSFER {
            talk(&mut alice, &mut bob, &call, '1').await;
        } else {
            bob.closes_call(&call).await;
        }
    }

    async fn a_callee_that_wants_no_reports_gets_none<P>() {
        if !can_use(&[Tool::Pjsip, Tool::Sipp]) {
            return;
        }
        let server = Server::start().await;
        let mut alice = Pjsip::start_as(Account::of("alice").behind(&server.sip_uri())).await;
        let mut cindy = P::start("cindy").await;
        let bob = Sipp::start_knowing("transfers-without-reports", &cindy.uri()).await;
        alice.dial(&bob.uri("bob")).await;
        let call = alice.establishes().await.call_id;
        alice.presses_by_info(&call, '1').await;
        let new = cindy.establishes().await.call_id;
        bob.finish().await;
        talk_in((&mut alice, &call), (&mut cindy, &new), '2').await;
    }

    async fn a_registered_phone_may_and_another_may_not<P>() {
        let users = [("alice", "wonderland")];
        let server = Server::start_with_users(&users, Algorithm::Md5).await;
        let mut client = server.client().await;
        let account = Account::of("alice").registered(server.sip_port(), users[0].1);
        let mut alice = P::start_as(account).await;
        alice.registers(true).await;
        let (mut bob, mut cindy) = (P::start("bob").await, P::start("cindy").await);
        let name = format!("sip:alice@127.0.0.1:{}", server.sip_port());
        let params = json!({"caller": name, "callee": bob.uri(), "mode": "bridge"});
        let call = client.run("CallStart", params.clone()).await.call_id();
        bob.transfer(&call, &cindy.uri()).await;
        bob.transfer_fails(&call, 603).await;
        assert_eq!(cindy.calls().await, 0);
        if P::STAYS_AFTER_FAILED_TRANSFER {
            talk(&mut alice, &mut bob, &call, '1').await;
            bob.hang_up(&call).await;
        }
        alice.closes_call(&call).await;

        let call = client.run("CallStart", params).await.call_id();
        alice.transfer(&call, &cindy.uri()).await;
        let new = cindy.establishes().await.call_id;
        alice.is_in_calls(0).await;
        talk_in((&mut bob, &call), (&mut cindy, &new), '2').await;
    }
}

#[tokio::test]
async fn a_phone_connects_its_two_calls() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let (mut alice, mut bob, mut cindy) = three::<Pjsip>(&server, Account::of("cindy")).await;
    let first = dial(&mut alice, &mut bob).await;
    alice.hold(&first).await;
    bob.comes_to(&first, "recvonly").await;
    let second = dial(&mut alice, &mut cindy).await;
    alice.connect(&first, &second).await;
    assert_eq!(alice.transfer_ends(&first).await, 200);
    alice.is_in_calls(0).await;
    bob.comes_to(&first, "sendrecv").await;
    talk_in((&mut bob, &first), (&mut cindy, &second), '1').await;
    assert_eq!((bob.calls().await, cindy.calls().await), (1, 1));
}

/// Dave's phone is asked by alice's, in a call without the server, to take her place in one through
/// it: his INVITE has a Replaces header (RFC 3891).
#[tokio::test]
async fn a_phone_takes_the_place_of_another() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let (mut alice, mut bob) = (Pjsip::start("alice").await, Pjsip::start("bob").await);
    let mut dave = Pjsip::start_as(Account::of("dave").behind(&server.sip_uri())).await;
    let through = call(&mut client, &mut alice, &mut bob).await;
    let direct = dial(&mut alice, &mut dave).await;
    alice.connect(&direct, &through).await;

    let new = dave.establishes().await;
    assert_ne!(new.call_id, through);
    assert_eq!(alice.transfer_ends(&direct).await, 200);
    alice.closes_call(&through).await;
    talk_in((&mut dave, &new.call_id), (&mut bob, &through), '1').await;
    assert_eq!(bob.calls().await, 1);
    bob.hang_up(&through).await;
    dave.closes_call(&new.call_id).await;
}

/// Three phones of which the first two call through the server.
async fn three<P: Phone>(server: &Server, cindy: Account) -> (P, P, P) {
    let proxy = server.sip_uri();
    let behind = |name| P::start_as(Account::of(name).behind(&proxy));
    (behind("alice").await, behind("bob").await, P::start_as(cindy).await)
}

/// A phone calls another; returns the Call-ID.
async fn dial(caller: &mut impl Phone, callee: &mut impl Phone) -> String {
    caller.dial(&callee.uri()).await;
    let call = callee.establishes().await.call_id;
    caller.establishes_call(&call).await;
    call
}
