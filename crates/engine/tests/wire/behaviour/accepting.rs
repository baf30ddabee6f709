//! INVITEs that come in: 100, repetitions, CANCEL, refusals, 2xx and ACK (RFC 3261 §9.2, §13.3,
//! §17.2).

use std::time::Duration;

use expect_test::expect;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Wire, log, the, times};

/// When a message is repeated whose interval doubles up to 4 s: RFC 3261 §13.3.1.4, timer G.
const DOUBLING_TO_T2: [u128; 10] =
    [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500];

const LONG: Duration = Duration::from_secs(100);

#[test]
fn an_invite_is_answered_100_at_once_and_without_a_tag() {
    let mut wire = Wire::new();
    let sent = wire.receive(CALLER, invite());
    assert_eq!(sent[0].start(), "SIP/2.0 100 Trying");
    assert_eq!((sent[0].at, sent[0].tag("To")), (Duration::ZERO, None));
}

#[test]
fn ringing_has_the_tag_that_the_2xx_will_have() {
    let mut call = Call::placed(invite());
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
    let accepted = the(&call.wire.receive(CALLEE, &call.answer), "200");
    assert!(ringing.tag("To").is_some());
    assert_eq!(ringing.tag("To"), accepted.tag("To"));
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_answer_again() {
    let mut call = Call::placed(invite());
    let again = call.wire.receive(CALLER, &call.invite);
    expect!["0 caller: 100 Trying (INVITE)\n"].assert_eq(&log(&again));
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    call.wire.receive(CALLEE, ringing);
    let again = call.wire.receive(CALLER, &call.invite);
    expect!["0 caller: 180 Ringing (INVITE)\n"].assert_eq(&log(&again));
}

#[test]
fn a_2xx_without_ack_is_repeated_for_32_seconds_and_then_the_call_is_ended() {
    let mut call = Call::answered();
    let sent = call.wire.run_for(LONG);
    assert_eq!(times(&sent, CALLER, "200"), DOUBLING_TO_T2);
    assert_eq!(times(&sent, CALLER, "BYE")[0], 32_000);
    assert_eq!(times(&sent, CALLEE, "BYE")[0], 32_000);
    call.wire.assert_at_rest();
}

#[test]
fn an_ack_ends_the_repetition_of_a_2xx() {
    let mut call = Call::answered();
    call.wire.run_for(Duration::from_secs(1));
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    assert_eq!(log(&call.wire.run_for(LONG)), "");
}

#[test]
fn an_ack_with_another_number_does_not_end_the_repetition_of_a_2xx() {
    let mut call = Call::answered();
    call.wire.receive(CALLER, call.by_caller("ACK", 2));
    assert_eq!(times(&call.wire.run_for(LONG), CALLER, "200"), DOUBLING_TO_T2);
}

#[test]
fn a_repeated_invite_after_the_2xx_is_absorbed() {
    let mut call = Call::answered();
    assert_eq!(log(&call.wire.receive(CALLER, &call.invite)), "");
}

#[test]
fn a_refusal_without_ack_is_repeated_for_32_seconds() {
    let mut call = Call::ringing();
    let busy = Draft::answer(&call.outgoing, "486 Busy Here", "callee");
    let sent = call.wire.receive(CALLEE, busy);
    assert_eq!(times(&sent, CALLER, "486"), [0]);
    let sent = call.wire.run_for(LONG);
    assert_eq!(times(&sent, CALLER, "486"), DOUBLING_TO_T2);
    assert_eq!(sent.len(), DOUBLING_TO_T2.len(), "{}", log(&sent));
    call.wire.assert_at_rest();
}

#[test]
fn the_ack_of_a_refusal_ends_its_repetition() {
    let mut call = Call::ringing();
    let busy = Draft::answer(&call.outgoing, "486 Busy Here", "callee");
    let busy = the(&call.wire.receive(CALLEE, busy), "486");
    let ack = Draft::request("ACK", "sip:bob@192.0.2.20:5080", CALLER)
        .branch("z9hG4bK-INVITE")
        .set("To", busy.all("To").remove(0));
    assert_eq!(log(&call.wire.receive(CALLER, ack)), "");
    assert_eq!(log(&call.wire.run_for(LONG)), "");
    call.wire.assert_at_rest();
}

#[test]
fn the_487_after_a_cancel_is_repeated_until_its_ack() {
    let mut call = Call::ringing();
    let sent = call.wire.receive(CALLER, call.cancel());
    expect![[r#"
        0 caller: 200 OK (CANCEL)
        0 caller: 487 Request Terminated (INVITE)
        0 callee: CANCEL
    "#]]
    .assert_eq(&log(&sent));
    // RFC 3261 §9.2: the answers to CANCEL and to INVITE come from the same dialog.
    assert_eq!(the(&sent, "200").tag("To"), the(&sent, "487").tag("To"));
    let sent = call.wire.run_for(Duration::from_secs(5));
    assert_eq!(times(&sent, CALLER, "487"), DOUBLING_TO_T2[..3]);
    let ack = call.cancel().start("ACK sip:bob@192.0.2.20:5080 SIP/2.0").set("CSeq", "1 ACK");
    call.wire.receive(CALLER, ack);
    assert_eq!(times(&call.wire.run_for(LONG), CALLER, "487"), [] as [u128; 0]);
    call.wire.assert_at_rest();
}

#[test]
fn a_repeated_cancel_gets_its_answer_again() {
    let mut call = Call::ringing();
    call.wire.receive(CALLER, call.cancel());
    let again = call.wire.receive(CALLER, call.cancel());
    expect!["0 caller: 200 OK (CANCEL)\n"].assert_eq(&log(&again));
}

#[test]
fn a_cancel_without_its_invite_is_481() {
    let mut call = Call::ringing();
    let sent = call.wire.receive(CALLER, call.cancel().branch("z9hG4bK-other"));
    expect!["0 caller: 481 Call/Transaction Does Not Exist (CANCEL)\n"].assert_eq(&log(&sent));
    assert!(the(&sent, "481").tag("To").is_some());
}

#[test]
fn a_cancel_after_the_2xx_changes_nothing() {
    let mut call = Call::answered();
    let sent = call.wire.receive(CALLER, call.cancel());
    expect!["0 caller: 200 OK (CANCEL)\n"].assert_eq(&log(&sent));
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn an_invite_that_comes_by_a_second_path_is_482() {
    let mut call = Call::placed(invite());
    let sent = call.wire.receive(CALLER, invite().branch("z9hG4bK-second-path"));
    expect!["0 caller: 482 Loop Detected (INVITE)\n"].assert_eq(&log(&sent));
}

#[test]
fn a_bye_of_the_caller_before_the_answer_ends_the_call_like_a_cancel() {
    let mut call = Call::placed(invite());
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
    let bye = invite()
        .start("BYE sip:192.0.2.1 SIP/2.0")
        .branch("z9hG4bK-bye")
        .set("To", ringing.all("To").remove(0))
        .set("CSeq", "2 BYE");
    expect![[r#"
        0 caller: 200 OK (BYE)
        0 caller: 487 Request Terminated (INVITE)
        0 callee: CANCEL
    "#]]
    .assert_eq(&log(&call.wire.receive(CALLER, bye)));
}

#[test]
fn an_invite_without_an_offer_gets_the_callees_and_its_ack_brings_the_answer() {
    let without = invite().without("Content-Type").body("application/sdp", "");
    let mut call = Call::placed(without.without("Content-Type"));
    assert!(call.outgoing.body().is_empty());
    let sent = call.wire.receive(CALLEE, &call.answer);
    expect!["0 caller: 200 OK (INVITE)\n"].assert_eq(&log(&sent));
    assert!(!the(&sent, "200").body().is_empty());
    call.accepted = sent.first().cloned();
    let answer = "v=0\r\no=- 9 9 IN IP4 192.0.2.10\r\ns=answer\r\nt=0 0\r\n";
    let ack = call.by_caller("ACK", 1).body("application/sdp", answer);
    let sent = call.wire.receive(CALLER, ack);
    expect!["0 callee: ACK\n"].assert_eq(&log(&sent));
    assert_eq!(String::from_utf8_lossy(sent[0].body()), answer);
}

#[test]
fn record_routes_are_copied_into_provisional_and_final_answers() {
    let routes = ["<sip:192.0.2.31;lr>", "<sip:192.0.2.32;lr>, <sip:192.0.2.33;lr>"];
    let invite = routes.iter().fold(invite(), |invite, route| invite.add("Record-Route", *route));
    let mut call = Call::placed(invite);
    assert!(call.outgoing.all("Record-Route").is_empty(), "ours is a dialog of its own");
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
    let accepted = the(&call.wire.receive(CALLEE, &call.answer), "200");
    assert_eq!(ringing.texts("Record-Route"), routes);
    assert_eq!(accepted.texts("Record-Route"), routes);
}

#[test]
fn an_invite_of_rfc_2543_is_matched_by_its_ack_and_its_cancel() {
    let old = |draft: Draft| {
        draft.set("Via", "SIP/2.0/UDP 192.0.2.10:5070").set("From", "<sip:peer@192.0.2.10:5070>")
    };
    let mut call = Call::placed(old(invite()));
    let again = call.wire.receive(CALLER, &call.invite);
    expect!["0 caller: 100 Trying (INVITE)\n"].assert_eq(&log(&again));
    let busy = Draft::answer(&call.outgoing, "486 Busy Here", "callee");
    let busy = the(&call.wire.receive(CALLEE, busy), "486");
    let ack = old(Draft::request("ACK", "sip:bob@192.0.2.20:5080", CALLER));
    call.wire.receive(CALLER, ack.set("To", busy.all("To").remove(0)));
    assert_eq!(log(&call.wire.run_for(LONG)), "");

    let mut call = Call::placed(old(invite()));
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    call.wire.receive(CALLEE, ringing);
    let cancel = old(Draft::request("CANCEL", "sip:bob@192.0.2.20:5080", CALLER));
    let sent = call.wire.receive(CALLER, cancel);
    assert_eq!((times(&sent, CALLER, "200"), times(&sent, CALLER, "487")), (vec![0], vec![0]));
}

#[test]
fn an_invite_of_rfc_2543_needs_no_tag_and_no_contact() {
    let old = invite()
        .set("Via", "SIP/2.0/UDP 192.0.2.10:5070")
        .set("From", "<sip:peer@192.0.2.10:5070>")
        .without("Contact");
    let mut call = Call::established_with(old, |answer| answer);
    let bye = call.by_callee("BYE", 1);
    let sent = call.wire.receive(CALLEE, bye);
    let bye = the(&sent, "BYE");
    assert_eq!((bye.to, bye.start()), (CALLER, "BYE sip:peer@192.0.2.10:5070 SIP/2.0".into()));
    assert_eq!(bye.text("To"), "<sip:peer@192.0.2.10:5070>");
}

#[test]
fn an_invite_without_contact_is_400() {
    let mut wire = Wire::new();
    let sent = wire.receive(CALLER, invite().without("Contact"));
    expect!["0 caller: 400 Bad Request (INVITE)\n"].assert_eq(&log(&sent));
}

#[test]
fn a_branch_that_is_nothing_but_the_cookie_does_not_join_two_requests() {
    let mut wire = Wire::new();
    let options = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER).branch("z9hG4bK");
    assert_eq!(wire.receive(CALLER, &options).len(), 1);
    let other = options.set("Call-ID", "another").set("CSeq", "2 OPTIONS");
    let sent = wire.receive(CALLER, other);
    assert_eq!(the(&sent, "200").text("Call-ID"), "another");
}
