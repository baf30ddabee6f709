//! INVITEs that go out: repetitions, ACK, CANCEL and forks (RFC 3261 §9.1, §13.2, §17.1).

use std::time::Duration;

use expect_test::expect;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Wire, address, log, the, times};

const LONG: Duration = Duration::from_secs(100);

#[test]
fn an_invite_is_repeated_at_doubling_intervals_and_given_up_after_32_seconds() {
    let mut call = Call::placed(invite());
    let sent = call.wire.run_for(LONG);
    assert_eq!(times(&sent, CALLEE, "INVITE"), [500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(times(&sent, CALLER, "408")[0], 32_000);
    call.wire.assert_at_rest();
}

#[test]
fn a_provisional_answer_ends_the_repetition_of_an_invite() {
    let mut call = Call::placed(invite());
    let trying = Draft::answer(&call.outgoing, "100 Trying", "");
    call.wire.receive(CALLEE, trying);
    assert_eq!(log(&call.wire.run_for(Duration::from_secs(60))), "");
}

#[test]
fn a_phone_that_rings_for_two_minutes_is_cancelled() {
    let mut call = Call::ringing();
    let sent = call.wire.run_for(Duration::from_secs(300));
    assert_eq!(times(&sent, CALLEE, "CANCEL")[0], 120_000);
    assert_eq!(times(&sent, CALLER, "408")[0], 120_000);
    call.wire.assert_at_rest();
}

#[test]
fn max_forwards_goes_down_by_one_and_zero_is_483() {
    let with = |value: &str| invite().set("Max-Forwards", value);
    assert_eq!(Call::placed(with("7")).outgoing.text("Max-Forwards"), "6");
    assert_eq!(Call::placed(with("1")).outgoing.text("Max-Forwards"), "0");
    assert_eq!(Call::placed(invite().without("Max-Forwards")).outgoing.text("Max-Forwards"), "69");
    let sent = Wire::new().receive(CALLER, with("0"));
    assert_eq!(the(&sent, "483").start(), "SIP/2.0 483 Too Many Hops");
}

#[test]
fn the_ack_of_a_2xx_has_the_number_of_the_invite_and_a_branch_of_its_own() {
    let mut call = Call::placed(invite());
    let ack = the(&call.wire.receive(CALLEE, &call.answer), "ACK");
    let number = |cseq: String| cseq.split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(number(ack.text("CSeq")), number(call.outgoing.text("CSeq")));
    assert_ne!(ack.text("Via"), call.outgoing.text("Via"));
    assert_eq!(ack.start(), "ACK sip:peer@192.0.2.20:5080 SIP/2.0");
}

#[test]
fn the_ack_of_a_refusal_is_part_of_the_invites_transaction() {
    let mut call = Call::placed(invite());
    let busy = Draft::answer(&call.outgoing, "486 Busy Here", "callee");
    let ack = the(&call.wire.receive(CALLEE, &busy), "ACK");
    for name in ["Via", "From", "Call-ID"] {
        assert_eq!(ack.text(name), call.outgoing.text(name));
    }
    assert_eq!(ack.tag("To").as_deref(), Some("callee"));
    assert_eq!(ack.start(), call.outgoing.start().replace("INVITE", "ACK"));
    assert_eq!(ack.text("CSeq"), call.outgoing.text("CSeq").replace("INVITE", "ACK"));
    let again = call.wire.receive(CALLEE, &busy);
    assert_eq!(the(&again, "ACK").bytes, ack.bytes);
}

#[test]
fn a_repeated_2xx_is_acknowledged_again() {
    let mut call = Call::placed(invite());
    let ack = the(&call.wire.receive(CALLEE, &call.answer), "ACK");
    let again = call.wire.receive(CALLEE, &call.answer);
    expect!["0 callee: ACK\n"].assert_eq(&log(&again));
    assert_eq!(again[0].bytes, ack.bytes);
}

#[test]
fn a_cancel_has_the_branch_and_the_route_of_its_invite() {
    let mut call = Call::ringing();
    let cancel = the(&call.wire.receive(CALLER, call.cancel()), "CANCEL");
    for name in ["Via", "Route", "From", "To", "Call-ID"] {
        assert_eq!(cancel.texts(name), call.outgoing.texts(name), "{name}");
    }
    assert_eq!(cancel.texts("Via").len(), 1);
    assert_eq!(
        (cancel.to, cancel.start()),
        (CALLEE, call.outgoing.start().replace("INVITE", "CANCEL"))
    );
    assert_eq!(cancel.text("CSeq"), call.outgoing.text("CSeq").replace("INVITE", "CANCEL"));
}

#[test]
fn a_cancel_waits_for_a_provisional_answer() {
    let mut call = Call::placed(invite());
    let sent = call.wire.receive(CALLER, call.cancel());
    assert_eq!(times(&sent, CALLEE, "CANCEL"), [] as [u128; 0], "{}", log(&sent));
    let trying = Draft::answer(&call.outgoing, "100 Trying", "");
    the(&call.wire.receive(CALLEE, trying), "CANCEL");
}

#[test]
fn a_callee_that_answers_while_it_is_cancelled_is_hung_up() {
    let mut call = Call::ringing();
    call.wire.receive(CALLER, call.cancel());
    let sent = call.wire.receive(CALLEE, &call.answer);
    expect![[r#"
        0 callee: ACK
        0 callee: BYE
    "#]]
    .assert_eq(&log(&sent));
}

#[test]
fn a_callee_that_answers_after_it_was_given_up_is_hung_up() {
    let mut call = Call::placed(invite());
    call.wire.run_for(Duration::from_secs(40));
    let sent = call.wire.receive(CALLEE, &call.answer);
    expect![[r#"
        40000 callee: ACK
        40000 callee: BYE
    "#]]
    .assert_eq(&log(&sent));
}

#[test]
fn a_second_fork_that_answers_is_acknowledged_and_hung_up() {
    let mut call = Call::answered();
    let fork = Draft::answer(&call.outgoing, "200 OK", "fork")
        .set("Contact", "<sip:fork@192.0.2.40:5090>")
        .sdp();
    let sent = call.wire.receive(CALLEE, &fork);
    expect![[r#"
        0 192.0.2.40:5090: ACK
        0 192.0.2.40:5090: BYE
    "#]]
    .assert_eq(&log(&sent));
    let (ack, bye) = (the(&sent, "ACK"), the(&sent, "BYE"));
    assert_eq!(ack.tag("To").as_deref(), Some("fork"));
    assert_eq!((bye.tag("To"), bye.tag("From")), (ack.tag("To"), ack.tag("From")));
    assert_eq!(ack.start(), "ACK sip:fork@192.0.2.40:5090 SIP/2.0");
    let again = call.wire.receive(CALLEE, &fork);
    assert_eq!(log(&again), "0 192.0.2.40:5090: ACK\n", "the BYE goes on for itself");
    assert_eq!(call.wire.engine.load().calls, 1, "the first call stands");
}

#[test]
fn a_second_fork_that_refuses_changes_nothing() {
    let mut call = Call::answered();
    let fork = Draft::answer(&call.outgoing, "486 Busy Here", "fork");
    call.wire.receive(CALLEE, fork);
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn a_bye_is_repeated_as_timer_e_says_and_given_up_after_32_seconds() {
    let mut call = Call::established();
    call.wire.receive(CALLER, call.by_caller("BYE", 2));
    let sent = call.wire.run_for(LONG);
    assert_eq!(
        times(&sent, CALLEE, "BYE"),
        [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500]
    );
    call.wire.assert_at_rest();
}

#[test]
fn a_2xx_without_contact_is_answered_where_the_invite_went() {
    let mut call = Call::established_with(invite(), |answer| answer.without("Contact"));
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!((bye.to, bye.start()), (CALLEE, "BYE sip:bob@192.0.2.20:5080 SIP/2.0".into()));
}

#[test]
fn a_redirection_or_challenge_of_the_callee_is_not_the_callers_business() {
    for (status, told) in
        [("302 Moved", "480"), ("401 Unauthorized", "403"), ("407 Proxy", "403"), ("604 No", "604")]
    {
        let mut call = Call::placed(invite());
        let refusal = Draft::answer(&call.outgoing, status, "callee").without("Contact");
        the(&call.wire.receive(CALLEE, refusal), told);
    }
}

#[test]
fn every_call_goes_to_the_next_hop_when_there_is_one_a_tel_uri_too() {
    let mut wire = Wire::with(Some("sip:192.0.2.50:5066"), true);
    let sent = wire.receive(CALLER, Draft::request("INVITE", "tel:+358-555-1234567", CALLER).sdp());
    let invite = the(&sent, "INVITE");
    assert_eq!(invite.to, address(50, 5066));
    assert_eq!(invite.start(), "INVITE tel:+358-555-1234567 SIP/2.0");
    assert_eq!(invite.text("To"), "<tel:+358-555-1234567>");
}

#[test]
fn a_tel_uri_without_a_next_hop_is_416() {
    let sent = Wire::new().receive(CALLER, Draft::request("INVITE", "tel:+358555", CALLER).sdp());
    the(&sent, "416");
}
