//! `CallAttendedTransfer`: a party of one call and a party of another talk, and the one who was in
//! both is left out.

use serde_json::{Value, json};

use crate::baresip::Baresip;
use crate::client::Client;
use crate::established::{Established, call};
use crate::lab::{Tool, can_use};
use crate::phone::{Account, Phone, talk, talk_in, with_each_phone};
use crate::pjsip::Pjsip;
use crate::server::Server;

const INVALID_STATE: i64 = -32_004;
const NOT_FOUND: i64 = -32_003;
const TIMEOUT: i64 = -32_007;
const SIP_FAILURE: i64 = -32_020;

const FLOW: [&str; 4] = ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"];

/// Which party of the first call talks to which party of the second, and whether the command says
/// where that is.
const PAIRS: [(&str, &str, bool); 4] = [
    ("caller", "caller", true),
    ("caller", "callee", false),
    ("callee", "caller", false),
    ("callee", "callee", true),
];

with_each_phone! {
    async fn any_two_parties_are_joined_by_bridge<P>() {
        let mut lab = Established::<P>::start().await;
        hang_up(&mut lab).await;
        for (pair, digit) in PAIRS.into_iter().zip("1234".chars()) {
            let [first, second] = two_calls(&mut lab, pair).await;
            let Established { client, alice, bob, cindy, .. } = &mut lab;
            let params = transfer(&first, &second, pair, &cindy.uri(), "bridge");
            let joined = client.run("CallAttendedTransfer", params).await;
            assert_eq!(joined.messages, FLOW, "{pair:?}");
            assert_eq!(joined.call_id(), first);

            bob.closes_call(&first).await;
            bob.closes_call(&second).await;
            // Each is still in the call that it was in.
            talk_in((&mut *alice, &first), (&mut *cindy, &second), digit).await;
            assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 0, 1));
            // The second call's name means the new one, too.
            let end = client.run("CallEnd", json!({"callid": second})).await;
            assert_eq!(end.messages, ["Started", "Ended"]);
            alice.closes_call(&first).await;
            cindy.closes_call(&second).await;
        }
    }

    async fn a_target_that_is_silent_in_a_bridge_leaves_both_calls_as_they_were<P>() {
        a_target_is_silent::<P>("bridge").await;
    }

    async fn what_cannot_be_joined_is_refused_and_stays<P>() {
        let dave = P::start_as(Account::of("dave").rings()).await;
        let mut lab = Established::<P>::with_cindy(dave).await;
        let Established { client, alice, bob, cindy: dave, call, .. } = &mut lab;
        let join = |a: &str, leg_a: &str, b: &str, leg_b: &str| {
            json!({"callid_a": a, "leg_a": leg_a, "callid_b": b, "leg_b": leg_b})
        };
        let same = client.run("CallAttendedTransfer", join(call, "caller", call, "callee")).await;
        same.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        let none = client.run("CallAttendedTransfer", join(call, "caller", "x", "callee")).await;
        none.expect_error(NOT_FOUND, json!({"kind": "not_found"}));

        // Whoever rings cannot be joined.
        let params = json!({"caller": bob.uri(), "callee": dave.uri(), "mode": "bridge"});
        let start = client.start("CallStart", params).await;
        let ringing = dave.rings().await.call_id;
        let early =
            client.run("CallAttendedTransfer", join(call, "caller", &ringing, "callee")).await;
        early.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));
        dave.accept(&ringing).await;
        client.finish(&start).await;
        talk(alice, bob, call, '1').await;
        talk(bob, dave, &ringing, '2').await;
    }
}

#[tokio::test]
async fn any_two_parties_are_joined_by_refer_when_their_phones_know_replaces() {
    if can_use(&[Tool::Pjsip]) {
        any_two_parties_are_joined_by_refer("refer").await;
    }
}

#[tokio::test]
async fn any_two_parties_are_joined_by_refer_by_default_when_their_phones_know_replaces() {
    if can_use(&[Tool::Pjsip]) {
        any_two_parties_are_joined_by_refer("auto").await;
    }
}

async fn any_two_parties_are_joined_by_refer(mode: &str) {
    let mut lab = Established::<Pjsip>::start().await;
    hang_up(&mut lab).await;
    for (pair, digit) in PAIRS.into_iter().zip("1234".chars()) {
        let [first, second] = two_calls(&mut lab, pair).await;
        let Established { client, alice, bob, cindy, .. } = &mut lab;
        let params = transfer(&first, &second, pair, &cindy.uri(), mode);
        let joined = client.run("CallAttendedTransfer", params).await;
        assert_eq!(joined.messages, FLOW, "{pair:?}");
        let new = joined.call_id();
        assert!(new != first && new != second, "alice's phone has placed another call");

        assert_eq!(cindy.is_replaced(&second).await, new);
        cindy.closes_call(&second).await;
        alice.establishes_call(&new).await;
        alice.closes_call(&first).await;
        bob.closes_call(&first).await;
        bob.closes_call(&second).await;
        talk(alice, cindy, &new, digit).await;
        assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 0, 1));
        let end = client.run("CallEnd", json!({"callid": new})).await;
        assert_eq!(end.messages, ["Started", "Ended"]);
        alice.closes_call(&new).await;
        cindy.closes_call(&new).await;
    }
}

#[tokio::test]
async fn a_target_that_is_silent_after_a_refer_leaves_both_calls_as_they_were() {
    if can_use(&[Tool::Pjsip]) {
        a_target_is_silent::<Pjsip>("refer").await;
    }
}

/// Cindy's phone has lost its power.
async fn a_target_is_silent<P: Phone>(mode: &str) {
    let Established { mut client, mut alice, mut bob, mut cindy, call: first, _server } =
        Established::<P>::start().await;
    let second = call(&mut client, &mut bob, &mut cindy).await;
    let pair = ("caller", "callee", false);
    let mut params = transfer(&first, &second, pair, &cindy.uri(), mode);
    params["timeout_ms"] = json!(2000);
    drop(cindy);
    let failed = client.run("CallAttendedTransfer", params).await;
    failed.expect_error(TIMEOUT, json!({"kind": "timeout", "origin": "target"}));
    alice.is_in_calls(1).await;
    bob.is_in_calls(2).await;
    talk(&mut alice, &mut bob, &first, '1').await;
    assert_eq!(bob.direction(&second).await, "sendrecv");
}

#[tokio::test]
async fn a_target_that_does_not_know_replaces_is_bridged_by_default() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let mut lab = Established::<Baresip>::start().await;
    hang_up(&mut lab).await;
    let pair = ("caller", "callee", false);
    let [first, second] = two_calls(&mut lab, pair).await;
    let Established { client, alice, bob, cindy, .. } = &mut lab;
    let params = transfer(&first, &second, pair, &cindy.uri(), "auto");
    assert_eq!(client.run("CallAttendedTransfer", params).await.messages, FLOW);
    bob.is_in_calls(0).await;
    talk_in((alice, &first), (cindy, &second), '1').await;
}

#[tokio::test]
async fn a_target_that_does_not_know_replaces_leaves_both_calls_as_they_were() {
    if !can_use(&[Tool::Baresip]) {
        return;
    }
    let mut lab = Established::<Baresip>::start().await;
    hang_up(&mut lab).await;
    let pair = ("caller", "callee", false);
    let [first, second] = two_calls(&mut lab, pair).await;
    let Established { client, alice, bob, cindy, .. } = &mut lab;
    let params = transfer(&first, &second, pair, &cindy.uri(), "refer");
    let failed = client.run("CallAttendedTransfer", params).await;
    let failure = json!({"kind": "sip_failure", "origin": "target", "sip_code": 420});
    failed.expect_error(SIP_FAILURE, failure);
    alice.is_in_calls(1).await;
    cindy.is_in_calls(1).await;
    talk(alice, bob, &first, '1').await;
    talk(bob, cindy, &second, '2').await;
}

/// Its INVITE is one to the server, which puts the Replaces into its own.
#[tokio::test]
async fn a_phone_that_does_not_know_replaces_takes_the_place_of_another_all_the_same() {
    if !can_use(&[Tool::Baresip, Tool::Pjsip]) {
        return;
    }
    let server = Server::start().await;
    let mut client = server.client().await;
    let (mut alice, mut bob) = (Baresip::start("alice").await, Baresip::start("bob").await);
    let mut cindy = Pjsip::start("cindy").await;
    let first = call(&mut client, &mut alice, &mut bob).await;
    let second = call(&mut client, &mut bob, &mut cindy).await;
    let pair = ("caller", "callee", false);
    let params = transfer(&first, &second, pair, &cindy.uri(), "refer");
    let joined = client.run("CallAttendedTransfer", params).await;
    assert_eq!(joined.messages, FLOW);
    let new = joined.call_id();
    assert_eq!(cindy.is_replaced(&second).await, new);
    talk(&mut alice, &mut cindy, &new, '1').await;
    assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 0, 1));
}

/// Ends the call that the phones began with.
async fn hang_up<P: Phone>(lab: &mut Established<P>) {
    lab.client.run("CallEnd", json!({"callid": lab.call})).await;
    lab.alice.closes_call(&lab.call).await;
    lab.bob.closes_call(&lab.call).await;
}

/// Bob in a call with alice, and in one with cindy; the other two are these parties of them.
async fn two_calls<P: Phone>(
    lab: &mut Established<P>,
    (leg_a, leg_b, _): (&str, &str, bool),
) -> [String; 2] {
    let Established { client, alice, bob, cindy, .. } = lab;
    [one_call(client, alice, bob, leg_a).await, one_call(client, cindy, bob, leg_b).await]
}

async fn one_call<P: Phone>(client: &mut Client, party: &mut P, bob: &mut P, leg: &str) -> String {
    if leg == "caller" { call(client, party, bob).await } else { call(client, bob, party).await }
}

fn transfer(
    first: &str,
    second: &str,
    (leg_a, leg_b, has_destination): (&str, &str, bool),
    target: &str,
    mode: &str,
) -> Value {
    let mut params = json!({"callid_a": first, "leg_a": leg_a, "callid_b": second, "leg_b": leg_b,
        "mode": mode});
    if has_destination {
        params["destination"] = json!(target);
    }
    params
}
