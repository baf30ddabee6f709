//! What a BYE and a CANCEL say beside what they must (RFC 3326), passed on and of our own.

use std::time::Duration;

use engine::{CommandId, Mode, StartRequest};

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Wire, the};

const WHY: &str = "Q.850;cause=31;text=\"Normal, unspecified\"";

#[test]
fn what_a_bye_says_to_the_other_end_is_passed_and_nothing_else() {
    let mut call = Call::established();
    let bye = call
        .by_caller("BYE", 2)
        .set("Reason", WHY)
        .add("Reason", "SIP;cause=200")
        .set("X-Why", "enough said")
        .set("Content-Disposition", "render")
        .set("P-Asserted-Identity", "<sip:boss@192.0.2.10>")
        .set("Proxy-Authorization", "Digest x")
        .set("Supported", "timer");
    let sent = call.wire.receive(CALLER, bye);
    let bye = the(&sent, "BYE");
    assert_eq!(bye.texts("Reason"), [WHY, "SIP;cause=200"]);
    assert_eq!(bye.text("X-Why"), "enough said");
    for name in ["Content-Disposition", "P-Asserted-Identity", "Proxy-Authorization", "Supported"] {
        assert_eq!(bye.texts(name), [] as [&str; 0], "{name}");
    }
    assert!(the(&sent, "200").text("Reason").is_empty());
}

#[test]
fn a_callees_bye_says_it_to_the_caller() {
    let mut call = Call::established();
    let bye = the(&call.wire.receive(CALLEE, call.by_callee("BYE", 1).set("Reason", WHY)), "BYE");
    assert_eq!((bye.to, bye.text("Reason")), (CALLER, WHY.to_owned()));
}

#[test]
fn a_bye_without_a_reason_is_given_none() {
    let mut call = Call::established();
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert!(bye.text("Reason").is_empty());
}

#[test]
fn what_a_cancel_says_is_passed_at_once_or_when_a_cancel_may_be_sent() {
    for rings in [true, false] {
        let mut call = if rings { Call::ringing() } else { Call::placed(invite()) };
        let reason = "SIP;cause=200;text=\"Call completed elsewhere\"";
        let mut sent = call.wire.receive(CALLER, call.cancel().set("Reason", reason));
        if !rings {
            let trying = Draft::answer(&call.outgoing, "100 Trying", "");
            sent = call.wire.receive(CALLEE, trying);
        }
        assert_eq!(the(&sent, "CANCEL").text("Reason"), reason);
    }
}

#[test]
fn a_callee_that_answers_what_was_cancelled_is_told_by_the_bye_too() {
    let mut call = Call::ringing();
    call.wire.receive(CALLER, call.cancel().set("Reason", WHY));
    let bye = the(&call.wire.receive(CALLEE, &call.answer), "BYE");
    assert_eq!(bye.text("Reason"), WHY);
}

#[test]
fn a_phone_that_rang_for_too_long_is_told_so() {
    let mut call = Call::ringing();
    let sent = call.wire.run_for(Duration::from_secs(121));
    let cancel = sent.iter().find(|sent| sent.is("CANCEL")).expect("it is cancelled");
    assert_eq!(cancel.text("Reason"), "SIP;cause=408;text=\"Request Timeout\"");
}

#[test]
fn a_caller_that_was_to_be_joined_to_a_callee_is_told_why_that_failed() {
    let mut wire = Wire::new();
    let request = StartRequest {
        caller: "sip:alice@192.0.2.10:5070".to_owned(),
        callee: "sip:bob@192.0.2.20:5080".to_owned(),
        from: None,
        display: None,
        mode: Mode::Bridge,
        headers: Vec::new(),
        auto_answer: false,
        timeout: None,
    };
    let invite = the(&wire.start(CommandId(1), request), "INVITE");
    let sent = wire.receive(CALLER, Draft::answer(&invite, "200 OK", "caller").sdp());
    let busy = Draft::answer(&the(&sent, "INVITE"), "486 Busy \"here\"", "callee")
        .set("Reason", "Q.850;cause=17");
    let bye = the(&wire.receive(CALLEE, busy), "BYE");
    assert_eq!(bye.to, CALLER);
    assert_eq!(bye.texts("Reason"), ["SIP;cause=486;text=\"Busy \\\"here\\\"\"", "Q.850;cause=17"]);
}
