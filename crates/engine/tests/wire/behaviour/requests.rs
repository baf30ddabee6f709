//! Requests outside any call (RFC 3261 §8.2, §11).

use std::time::Duration;

use expect_test::expect;

use crate::call::invite;
use crate::draft::Draft;
use crate::wire::{CALLER, Sent, Wire, log, the};

const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, PRACK, MESSAGE";

/// The one thing that comes back.
fn answer(request: Draft) -> Sent {
    let mut wire = Wire::new();
    let mut sent = wire.receive(CALLER, request);
    assert_eq!(sent.len(), 1, "{}", log(&sent));
    wire.run_for(Duration::from_secs(64));
    wire.assert_at_rest();
    sent.remove(0)
}

fn to_us(method: &str) -> Draft {
    Draft::request(method, "sip:192.0.2.1:5060", CALLER)
}

#[test]
fn options_tells_what_we_take() {
    let answer = answer(to_us("OPTIONS"));
    assert_eq!(answer.start(), "SIP/2.0 200 OK");
    assert_eq!(
        (answer.text("Allow"), answer.text("Accept")),
        (ALLOW.into(), "application/sdp".into())
    );
    assert!(answer.tag("To").is_some());
}

#[test]
fn options_to_somebody_else_is_404() {
    assert!(answer(Draft::request("OPTIONS", "sip:192.0.2.77", CALLER)).is("404"));
}

#[test]
fn a_method_that_we_know_and_do_not_take_is_405_with_what_we_do() {
    for method in ["SUBSCRIBE", "PUBLISH"] {
        let answer = answer(to_us(method));
        assert!(answer.is("405"), "{method}: {answer}");
        assert_eq!(answer.text("Allow"), ALLOW);
    }
}

#[test]
fn a_message_outside_a_call_is_403() {
    assert!(answer(to_us("MESSAGE")).is("403"));
}

#[test]
fn a_method_that_we_do_not_know_is_501() {
    assert!(answer(to_us("NEWMETHOD")).is("501"));
    assert!(answer(to_us("options")).is("501"), "methods are told apart by case");
}

#[test]
fn what_only_makes_sense_in_a_call_is_481_outside() {
    for method in ["BYE", "PRACK", "UPDATE", "NOTIFY", "CANCEL", "INFO"] {
        let answer = answer(to_us(method));
        assert!(answer.is("481") && answer.tag("To").is_some(), "{method}: {answer}");
    }
}

#[test]
fn an_ack_is_never_answered() {
    let mut wire = Wire::new();
    assert_eq!(log(&wire.receive(CALLER, to_us("ACK"))), "");
    assert_eq!(log(&wire.receive(CALLER, to_us("ACK").without("CSeq"))), "");
    wire.assert_at_rest();
}

#[test]
fn refer_outside_a_call_is_declined() {
    assert!(answer(to_us("REFER").set("Refer-To", "<sip:a@b>")).is("603"));
}

#[test]
fn a_required_extension_is_420_and_named() {
    let answer = answer(to_us("OPTIONS").set("Require", "100rel, x").add("Require", "y"));
    assert!(answer.is("420"));
    assert_eq!(answer.texts("Unsupported"), ["100rel", "x", "y"]);
}

#[test]
fn a_scheme_that_we_do_not_know_is_416() {
    for uri in ["nobodyKnows:this", "sips:bob@192.0.2.20", "http://192.0.2.20/"] {
        assert!(answer(Draft::request("OPTIONS", uri, CALLER)).is("416"), "{uri}");
    }
}

#[test]
fn a_body_that_is_no_session_description_is_415_with_what_we_take() {
    let mut wire = Wire::new();
    let sent = wire.receive(CALLER, invite().body("text/plain", "hello"));
    let answer = the(&sent, "415");
    assert_eq!(answer.text("Accept"), "application/sdp");
    let sent = wire.receive(
        CALLER,
        invite().branch("z9hG4bK2").set("Call-ID", "2").set("Content-Encoding", "gzip"),
    );
    assert_eq!(the(&sent, "415").text("Accept-Encoding"), "identity");
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let mut wire = Wire::new();
    let first = wire.receive(CALLER, to_us("OPTIONS"));
    wire.run_for(Duration::from_secs(31));
    let again = wire.receive(CALLER, to_us("OPTIONS"));
    assert_eq!(first[0].bytes, again[0].bytes);
}

#[test]
fn an_invite_to_us_that_nobody_was_referred_with_is_404() {
    for uri in ["sip:192.0.2.1", "sip:alice@192.0.2.1", "sip:0123456789abcdef@192.0.2.1:5060"] {
        let mut wire = Wire::new();
        let sent = wire.receive(CALLER, Draft::request("INVITE", uri, CALLER).sdp());
        the(&sent, "404");
    }
}

#[test]
fn a_stranger_may_not_call_through_us() {
    let mut wire = Wire::with(None, false);
    let sent = wire.receive(CALLER, invite());
    expect![[r#"
        0 caller: 100 Trying (INVITE)
        0 caller: 403 Forbidden (INVITE)
    "#]]
    .assert_eq(&log(&sent));
}
