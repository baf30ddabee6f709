//! Provisional responses that arrive (RFC 3262), byte by byte.

use std::time::Duration;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Sent, log, the, times};

/// A call of a caller that takes reliable responses.
fn placed() -> Call {
    Call::placed(invite().set("Supported", "100rel"))
}

/// A reliable provisional answer of the callee.
pub(super) fn reliable(call: &Call, status: &str, number: u32) -> Draft {
    Draft::answer(&call.outgoing, status, "callee")
        .set("Require", "100rel")
        .set("RSeq", number.to_string())
}

/// Gives the engine the callee's reliable answer, whose PRACK the callee answers. What the caller gets.
pub(super) fn passed(call: &mut Call, answer: Draft) -> Sent {
    let sent = call.wire.receive(CALLEE, answer);
    let acknowledged = Draft::answer(&the(&sent, "PRACK"), "200 OK", "");
    assert_eq!(log(&call.wire.receive(CALLEE, acknowledged)), "");
    sent.into_iter().find(|sent| sent.to == CALLER).expect("the caller is told")
}

/// The caller's acknowledgement of a provisional answer; `seq` is its own number.
pub(super) fn prack(answer: &Sent, seq: u32) -> Draft {
    let uri = answer.text("Contact");
    Draft::request("PRACK", uri.trim_matches(['<', '>']), CALLER)
        .branch(&format!("z9hG4bK-prack-{seq}"))
        .set("To", answer.all("To").remove(0))
        .set("CSeq", format!("{seq} PRACK"))
        .set("RAck", format!("{} {}", answer.text("RSeq"), answer.text("CSeq")))
}

#[test]
fn a_reliable_answer_is_acknowledged_once_and_in_the_dialog_that_it_makes() {
    let mut call = placed();
    assert_eq!(call.outgoing.text("Supported"), "replaces, 100rel");
    let ringing = reliable(&call, "180 Ringing", 77).set("Record-Route", "<sip:192.0.2.50;lr>");
    let sent = call.wire.receive(CALLEE, &ringing);
    let prack = the(&sent, "PRACK");
    assert_eq!(prack.text("RAck"), format!("77 {}", call.outgoing.text("CSeq")));
    assert_eq!(prack.tag("To").as_deref(), Some("callee"));
    assert_eq!(prack.start(), "PRACK sip:peer@192.0.2.20:5080 SIP/2.0");
    assert_eq!(prack.text("Route"), "<sip:192.0.2.50;lr>");
    assert_eq!(prack.to.to_string(), "192.0.2.50:5060");
    assert!(the(&sent, "180").text("RSeq").parse::<u32>().is_ok_and(|number| number > 0));
    // It comes again, and another one overtakes the one before it: neither is heard.
    assert_eq!(log(&call.wire.receive(CALLEE, &ringing)), "");
    let early = reliable(&call, "183 Session Progress", 79);
    assert_eq!(log(&call.wire.receive(CALLEE, early)), "");
    let next = reliable(&call, "183 Session Progress", 78);
    assert_eq!(the(&call.wire.receive(CALLEE, next), "PRACK").text("RAck")[..3], *"78 ");
}

#[test]
fn a_reliable_answer_is_repeated_at_doubling_intervals_and_given_up_with_504() {
    let mut call = placed();
    let ringing = reliable(&call, "180 Ringing", 1);
    passed(&mut call, ringing);
    let sent = call.wire.run_for(Duration::from_secs(100));
    assert_eq!(times(&sent, CALLER, "180"), [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert_eq!(times(&sent, CALLER, "504")[0], 32_000);
    assert_eq!(times(&sent, CALLEE, "CANCEL")[0], 32_000);
}

#[test]
fn a_prack_that_names_no_answer_of_ours_is_481_and_the_answer_is_repeated() {
    let mut call = placed();
    let ringing = reliable(&call, "180 Ringing", 1);
    let ringing = passed(&mut call, ringing);
    let number: u32 = ringing.text("RSeq").parse().expect("it is reliable");
    let others = [
        format!("{} 1 INVITE", number + 1),
        format!("{number} 2 INVITE"),
        format!("{number} 1 UPDATE"),
        format!("{number}"),
        "x".to_owned(),
    ];
    for (seq, rack) in (2..).zip(others) {
        let prack = prack(&ringing, seq).set("RAck", rack.clone());
        assert!(the(&call.wire.receive(CALLER, prack), "481").text("RSeq").is_empty(), "{rack}");
    }
    the(&call.wire.receive(CALLER, prack(&ringing, 9).without("RAck")), "481");
    assert_eq!(times(&call.wire.run_for(Duration::from_secs(1)), CALLER, "180"), [500]);
    the(&call.wire.receive(CALLER, prack(&ringing, 10)), "200");
    assert_eq!(log(&call.wire.run_for(Duration::from_secs(40))), "");
    the(&call.wire.receive(CALLER, prack(&ringing, 11)), "481");
}

#[test]
fn a_prack_that_our_200_overtook_is_answered_and_the_call_stands() {
    let mut call = placed();
    let ringing = reliable(&call, "180 Ringing", 1);
    let ringing = passed(&mut call, ringing);
    call.accepted = Some(the(&call.wire.receive(CALLEE, &call.answer), "200"));
    let answer = the(&call.wire.receive(CALLER, prack(&ringing, 2)), "200");
    assert_eq!(answer.text("CSeq"), "2 PRACK");
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    assert_eq!(log(&call.wire.run_for(Duration::from_secs(40))), "");
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn an_answer_that_our_200_overtook_is_not_repeated() {
    let mut call = placed();
    let ringing = reliable(&call, "180 Ringing", 1);
    passed(&mut call, ringing);
    call.accepted = Some(the(&call.wire.receive(CALLEE, &call.answer), "200"));
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    assert_eq!(log(&call.wire.run_for(Duration::from_secs(40))), "");
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
}

#[test]
fn a_200_waits_until_an_answer_before_it_is_acknowledged() {
    let mut call = placed();
    let media = reliable(&call, "183 Session Progress", 1).sdp();
    let media = passed(&mut call, media);
    let sent = call.wire.receive(CALLEE, &call.answer);
    assert_eq!(log(&sent), "0 callee: ACK\n");
    let sent = call.wire.receive(CALLER, prack(&media, 2));
    let statuses: Vec<_> = sent.iter().map(|sent| sent.text("CSeq")).collect();
    assert_eq!(statuses, ["2 PRACK", "1 INVITE"]);
}

#[test]
fn a_new_offer_in_a_prack_is_488_and_one_without_it_is_taken() {
    let mut call = placed();
    let ringing = reliable(&call, "180 Ringing", 1);
    let ringing = passed(&mut call, ringing);
    the(&call.wire.receive(CALLER, prack(&ringing, 2).sdp()), "488");
    the(&call.wire.receive(CALLER, prack(&ringing, 3)), "200");
}

#[test]
fn a_caller_may_require_reliable_answers_but_nothing_that_nobody_knows() {
    let mut call = Call::placed(invite().set("Require", "100rel"));
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
    assert_eq!(ringing.text("Require"), "100rel");
    let sent = crate::wire::Wire::new().receive(CALLER, invite().set("Require", "100rel, x"));
    assert_eq!(the(&sent, "420").texts("Unsupported"), ["100rel", "x"]);
}

#[test]
fn a_callee_that_answers_after_it_was_given_up_is_hung_up_by_a_number_above_that_of_the_prack() {
    let mut call = placed();
    let sent = call.wire.receive(CALLEE, reliable(&call, "180 Ringing", 1));
    let prack = the(&sent, "PRACK");
    // The caller is silent, too: 32 s until the CANCEL, and 32 s for the answer to the INVITE.
    call.wire.run_for(Duration::from_secs(80));
    let sent = call.wire.receive(CALLEE, &call.answer);
    let number = |request: &Sent| -> u32 {
        let seq = request.text("CSeq");
        seq.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    assert!(number(&the(&sent, "BYE")) > number(&prack), "RFC 3261 §12.2.2: else it is 500");
}
