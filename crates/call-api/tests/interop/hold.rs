//! `CallHold` and `CallUnHold`: which way sound flows, as the phones say.

use serde_json::json;

use crate::established::Established;
use crate::lab::{Tool, can_use};
use crate::phone::{Phone as _, talk, with_each_phone};
use crate::pjsip::Pjsip;

const INVALID_STATE: i64 = -32_004;
const SIP_FAILURE: i64 = -32_020;

with_each_phone! {
    async fn each_party_is_held_and_taken_back<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        for (leg, digit) in [("caller", '1'), ("callee", '2')] {
            let hold = client.run("CallHold", json!({"callid": call, "leg": leg})).await;
            assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
            assert_eq!(hold.events[0]["leg"], leg);
            // Who is held sends nothing; nobody asked anything of the other one.
            let (held, other) =
                if leg == "caller" { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            held.comes_to(&call, "recvonly").await;
            assert_eq!(other.direction(&call).await, "sendrecv");
            let again = client.run("CallHold", json!({"callid": call, "leg": leg})).await;
            again.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));

            let back = client.run("CallUnHold", json!({"callid": call, "leg": leg})).await;
            assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
            held.comes_to(&call, "sendrecv").await;
            talk(&mut alice, &mut bob, &call, digit).await;
        }
        assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
    }

    async fn both_parties_are_held_and_taken_back<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        let hold = client.run("CallHold", json!({"callid": call})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
        alice.comes_to(&call, "recvonly").await;
        bob.comes_to(&call, "recvonly").await;
        let again = client.run("CallHold", json!({"callid": call})).await;
        again.expect_error(INVALID_STATE, json!({"kind": "invalid_state"}));

        // Under its other name.
        let back = client.run("CallUnhold", json!({"callid": call})).await;
        assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "CALL_UNHOLD", "Ended"]);
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }

    async fn a_phones_own_hold_and_that_of_a_command_do_not_mix<P>() {
        let Established { mut client, mut alice, mut bob, call, _server, .. } =
            Established::<P>::start().await;
        let hold = client.run("CallHold", json!({"callid": call, "leg": "caller"})).await;
        assert_eq!(hold.messages, ["Started", "CALL_HOLD", "Ended"]);
        alice.comes_to(&call, "recvonly").await;
        bob.hold(&call).await;
        bob.comes_to(&call, "sendonly").await;
        bob.resume(&call).await;
        bob.comes_to(&call, "sendrecv").await;
        assert_eq!(alice.direction(&call).await, "recvonly", "the command's hold stands");
        let back = client.run("CallUnHold", json!({"callid": call})).await;
        assert_eq!(back.messages, ["Started", "CALL_UNHOLD", "Ended"]);
        alice.comes_to(&call, "sendrecv").await;
        talk(&mut alice, &mut bob, &call, '1').await;
    }
}

#[tokio::test]
async fn a_phone_that_refuses_a_hold_stays_as_it_was_and_so_does_the_other_one() {
    if !can_use(&[Tool::Pjsip]) {
        return;
    }
    let Established { mut client, mut alice, mut bob, call, _server, .. } =
        Established::<Pjsip>::start().await;
    bob.refuse_offers().await;
    for params in [json!({"callid": call, "leg": "callee"}), json!({"callid": call})] {
        let hold = client.run("CallHold", params).await;
        let failure = json!({"kind": "sip_failure", "origin": "callee", "sip_code": 488});
        hold.expect_error(SIP_FAILURE, failure);
        alice.comes_to(&call, "sendrecv").await;
        bob.comes_to(&call, "sendrecv").await;
    }
    talk(&mut alice, &mut bob, &call, '1').await;
    assert_eq!((alice.calls().await, bob.calls().await), (1, 1));
}
