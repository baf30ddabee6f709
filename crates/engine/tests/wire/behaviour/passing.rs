//! Headers of a re-INVITE, and of its answer, that are meant for the other end.

use std::time::Duration;

use crate::call::Call;
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, the, times};

#[test]
fn the_headers_of_a_re_invite_and_of_its_answer_are_passed_like_those_of_an_invite() {
    for method in ["INVITE", "UPDATE"] {
        let mut call = Call::established();
        let offer = call
            .by_caller(method, 2)
            .sdp()
            .set("X-Why", "hold")
            .set("Subject", "music")
            .set("Supported", "x")
            .set("Session-Expires", "90")
            .set("P-Asserted-Identity", "<sip:boss@192.0.2.10>");
        let passed = the(&call.wire.receive(CALLER, offer), "INVITE");
        assert_eq!((passed.text("X-Why"), passed.text("Subject")), ("hold".into(), "music".into()));
        assert_eq!(passed.text("Supported"), "replaces");
        for name in ["Session-Expires", "P-Asserted-Identity"] {
            assert!(passed.text(name).is_empty(), "{name}");
        }
        let answer = Draft::answer(&passed, "200 OK", "callee").sdp();
        let answer = answer.set("X-Well", "held").set("Server", "phone").set("Require", "timer");
        let sent = call.wire.receive(CALLEE, answer);
        let accepted = the(&sent, "200");
        assert_eq!(
            (accepted.to, accepted.text("X-Well"), accepted.text("Server")),
            (CALLER, "held".into(), "phone".into())
        );
        assert!(accepted.text("Require").is_empty());
    }
}

#[test]
fn a_re_invite_that_waits_for_an_ack_has_its_headers_when_it_goes() {
    let mut call = Call::established();
    // The callee's re-INVITE is answered; the callee has not acknowledged that.
    let offer = the(&call.wire.receive(CALLEE, call.by_callee("INVITE", 1).sdp()), "INVITE");
    call.wire.receive(CALLER, Draft::answer(&offer, "200 OK", "peer").sdp());
    let waits = call.by_caller("INVITE", 2).sdp().set("X-Why", "late");
    let sent = call.wire.receive(CALLER, waits);
    assert_eq!(times(&sent, CALLEE, "INVITE"), [] as [u128; 0]);
    call.wire.receive(CALLEE, call.by_callee("ACK", 1));
    let sent = call.wire.run_for(Duration::from_secs(5));
    assert_eq!((sent[0].is("INVITE"), sent[0].text("X-Why")), (true, "late".into()));
}
