//! Offers and answers before the call is answered, byte by byte: in reliable provisional answers and
//! PRACKs (RFC 3262 §5), and in UPDATEs (RFC 3311).

use std::time::Duration;

use engine::{CommandId, Mode, Side, StartRequest, Target, TransferRequest};

use super::reliable::{passed, prack, reliable};
use crate::call::{Call, invite};
use crate::draft::{Draft, SDP};
use crate::wire::{CALLEE, CALLER, Sent, Wire, address, log, the, times};

/// A call of a caller that leaves the offer to the callee, and says this of 100rel.
fn placed_without_offer(header: &str) -> Call {
    let uri = crate::call::CALLEE_URI;
    Call::placed(Draft::request("INVITE", uri, CALLER).set(header, "100rel"))
}

/// A session description that says something else.
fn other_sdp(version: u32) -> String {
    SDP.replace("o=- 1 1", &format!("o=- 1 {version}")).replace("sendrecv", "sendonly")
}

/// The callee's answers without a description.
fn callee_says(call: &Call, status: &str) -> Draft {
    Draft::answer(&call.outgoing, status, "callee")
}

/// A call whose caller has offered and whose callee has answered, reliably and acknowledged, and not
/// picked up; both take UPDATE. The answer as the caller got it.
fn agreed() -> (Call, Sent) {
    agreed_with("INVITE, ACK, BYE, CANCEL, PRACK, UPDATE")
}

fn agreed_with(callee_allows: &str) -> (Call, Sent) {
    let invite = invite().set("Supported", "100rel").set("Allow", "INVITE, ACK, UPDATE, PRACK");
    let mut call = Call::placed(invite);
    let media = reliable(&call, "183 Session Progress", 1).set("Allow", callee_allows).sdp();
    let media = passed(&mut call, media);
    the(&call.wire.receive(CALLER, prack(&media, 2)), "200");
    (call, media)
}

/// A request of the caller in the early dialog.
fn by_caller(media: &Sent, method: &str, seq: u32) -> Draft {
    prack(media, seq)
        .start(format!("{method} sip:192.0.2.1 SIP/2.0"))
        .branch(&format!("z9hG4bK-early-{seq}"))
        .set("CSeq", format!("{seq} {method}"))
        .without("RAck")
}

#[test]
fn the_offer_of_a_reliable_answer_is_answered_in_the_prack_and_the_200_says_nothing_more() {
    for header in ["Supported", "Require"] {
        let mut call = placed_without_offer(header);
        assert_eq!(call.outgoing.text("Supported"), "replaces, 100rel");
        assert!(call.outgoing.body().is_empty());
        let offer = reliable(&call, "183 Session Progress", 1).sdp();
        let sent = call.wire.receive(CALLEE, &offer);
        assert_eq!(
            log(&sent),
            "0 caller: 183 Session Progress (INVITE)\n",
            "its PRACK waits for the answer"
        );
        let media = the(&sent, "183");
        assert_eq!((media.text("Require").as_str(), media.body()), ("100rel", SDP.as_bytes()));
        assert_eq!(log(&call.wire.receive(CALLEE, &offer)), "", "it comes again until then");
        let sent = call.wire.receive(CALLER, prack(&media, 2).body("application/sdp", SDP));
        assert_eq!(the(&sent, "200").text("CSeq"), "2 PRACK");
        let answer = the(&sent, "PRACK");
        assert_eq!(answer.text("RAck"), format!("1 {}", call.outgoing.text("CSeq")));
        assert_eq!((answer.to, answer.body()), (CALLEE, SDP.as_bytes()));
        // What comes next goes as reliably, and says nothing of media.
        let ringing = reliable(&call, "180 Ringing", 2);
        let ringing = passed(&mut call, ringing);
        assert_eq!((ringing.text("Require").as_str(), ringing.body()), ("100rel", &b""[..]));
        the(&call.wire.receive(CALLER, prack(&ringing, 3)), "200");
        let sent = call.wire.receive(CALLEE, callee_says(&call, "200 OK"));
        assert!(the(&sent, "200").body().is_empty() && the(&sent, "ACK").body().is_empty());
        call.accepted = Some(the(&sent, "200"));
        assert_eq!(log(&call.wire.receive(CALLER, call.by_caller("ACK", 1))), "");
        assert_eq!(call.wire.engine.load().calls, 1);
        // From here on it is a call like any other.
        let offer = call.by_caller("INVITE", 4).body("application/sdp", other_sdp(2));
        the(&call.wire.receive(CALLER, offer), "INVITE");
    }
}

#[test]
fn a_caller_that_requires_reliable_answers_hears_of_an_unreliable_callee_when_it_answers() {
    let mut call = placed_without_offer("Require");
    for answer in [callee_says(&call, "180 Ringing"), callee_says(&call, "183 Media").sdp()] {
        // It would have to carry an offer, and the callee has made none that stands.
        assert_eq!(log(&call.wire.receive(CALLEE, answer)), "");
    }
    let sent = call.wire.receive(CALLEE, &call.answer);
    let accepted = the(&sent, "200");
    assert_eq!(accepted.body(), SDP.as_bytes());
    call.accepted = Some(accepted);
    let ack = the(&call.wire.receive(CALLER, call.by_caller("ACK", 1).sdp()), "ACK");
    assert_eq!((ack.to, ack.body()), (CALLEE, SDP.as_bytes()));
    assert_eq!(log(&call.wire.run_for(Duration::from_secs(60))), "");
}

#[test]
fn a_caller_that_takes_both_hears_unreliably_what_carries_no_offer() {
    let mut call = placed_without_offer("Supported");
    // An answer that should have carried the offer, and one that cannot.
    let ringing = reliable(&call, "180 Ringing", 1);
    let ringing = passed(&mut call, ringing);
    assert_eq!(ringing.text("Require"), "");
    let preview = callee_says(&call, "183 Session Progress").sdp();
    let preview = the(&call.wire.receive(CALLEE, preview), "183");
    assert_eq!(preview.text("Require"), "");
    // The offer may follow.
    let offer = reliable(&call, "183 Session Progress", 2).sdp();
    let media = the(&call.wire.receive(CALLEE, offer), "183");
    assert_eq!(media.text("Require"), "100rel");
    the(&call.wire.receive(CALLER, prack(&media, 2).sdp()), "PRACK");
}

#[test]
fn a_prack_without_the_answer_that_it_owes_is_400_and_the_offer_is_repeated() {
    let mut call = placed_without_offer("Supported");
    let offer = reliable(&call, "183 Session Progress", 1).sdp();
    let media = the(&call.wire.receive(CALLEE, offer), "183");
    the(&call.wire.receive(CALLER, prack(&media, 2)), "400");
    assert_eq!(times(&call.wire.run_for(Duration::from_secs(1)), CALLER, "183"), [500]);
    the(&call.wire.receive(CALLER, prack(&media, 3).sdp()), "PRACK");
}

#[test]
fn a_200_that_does_not_wait_for_the_answer_to_its_offer_gets_it_in_the_ack() {
    let mut call = placed_without_offer("Supported");
    let offer = reliable(&call, "183 Session Progress", 1).sdp();
    let media = the(&call.wire.receive(CALLEE, offer), "183");
    assert_eq!(log(&call.wire.receive(CALLEE, &call.answer)), "", "the caller's 200 waits");
    let sent = call.wire.receive(CALLER, prack(&media, 2).sdp());
    assert_eq!(the(&sent, "ACK").body(), SDP.as_bytes());
    let accepted = sent.iter().find(|sent| sent.text("CSeq") == "1 INVITE").expect("it is let go");
    assert!(accepted.is("200") && accepted.body().is_empty());
}

#[test]
fn an_early_offer_that_nobody_can_answer_is_put_off_until_the_call_is_answered() {
    // The callee requires it, and its caller does not know it.
    let uri = crate::call::CALLEE_URI;
    let mut call = Call::placed(Draft::request("INVITE", uri, CALLER));
    let required = callee_says(&call, "421 Extension Required").set("Require", "100rel");
    call.outgoing = the(&call.wire.receive(CALLEE, required), "INVITE");
    assert_eq!(call.outgoing.text("Supported"), "replaces, 100rel");
    let media = reliable(&call, "183 Session Progress", 1).sdp();
    let sent = call.wire.receive(CALLEE, media);
    let answer = the(&sent, "PRACK");
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("m=audio 9 RTP/AVP 0\r\na=inactive"), "{text}");
    assert!(the(&sent, "183").body().is_empty());
    let sent = call.wire.receive(CALLEE, callee_says(&call, "200 OK"));
    assert!(the(&sent, "ACK").body().is_empty());
    let again = the(&sent, "INVITE");
    assert_eq!((again.to, again.body()), (CALLEE, &b""[..]));
    let sent = call.wire.receive(CALLEE, Draft::answer(&again, "200 OK", "").sdp());
    let accepted = the(&sent, "200");
    assert_eq!((accepted.to, accepted.body()), (CALLER, SDP.as_bytes()));
    call.accepted = Some(accepted);
    let ack = the(&call.wire.receive(CALLER, call.by_caller("ACK", 1).sdp()), "ACK");
    // One session in one dialog (RFC 3264 §8).
    let origin = |text: &str| text.lines().nth(1).map(str::to_owned).unwrap_or_default();
    let (first, then) = (origin(&text), origin(&String::from_utf8_lossy(ack.body())));
    assert_eq!(first.replace(" 1 IN", " 2 IN"), then);
}

#[test]
fn a_phone_that_makes_no_other_offer_in_the_place_of_one_put_off_ends_the_call() {
    let uri = crate::call::CALLEE_URI;
    let mut call = Call::placed(Draft::request("INVITE", uri, CALLER));
    let media = reliable(&call, "183 Session Progress", 1).sdp();
    the(&call.wire.receive(CALLEE, media), "PRACK");
    let again = the(&call.wire.receive(CALLEE, callee_says(&call, "200 OK")), "INVITE");
    let sent = call.wire.receive(CALLEE, Draft::answer(&again, "488 Not Acceptable Here", ""));
    the(&sent, "BYE");
    assert_eq!(the(&sent, "488").to, CALLER);
}

#[test]
fn an_answer_that_is_not_repeated_reaches_a_caller_that_takes_no_reliable_ones() {
    let mut call = Call::placed(invite());
    let required = callee_says(&call, "421 Extension Required").set("Require", "100rel");
    call.outgoing = the(&call.wire.receive(CALLEE, required), "INVITE");
    let media = reliable(&call, "183 Session Progress", 1).sdp();
    let media = passed(&mut call, media);
    assert_eq!((media.text("Require").as_str(), media.body()), ("", SDP.as_bytes()));
    let sent = call.wire.receive(CALLEE, callee_says(&call, "200 OK"));
    assert_eq!(the(&sent, "200").body(), SDP.as_bytes());
}

#[test]
fn a_421_that_asks_for_what_the_invite_offered_or_for_something_else_is_a_refusal() {
    let mut call = Call::placed(invite().set("Supported", "100rel"));
    let required = callee_says(&call, "421 Extension Required").set("Require", "100rel");
    the(&call.wire.receive(CALLEE, required), "421");
    let mut call = Call::placed(invite());
    let required = callee_says(&call, "421 Extension Required").set("Require", "sec-agree");
    the(&call.wire.receive(CALLEE, required), "421");
}

#[test]
fn an_offer_of_another_branch_than_the_first_is_asked_about_once_the_caller_is_up() {
    let mut call = placed_without_offer("Supported");
    let offer = reliable(&call, "183 Session Progress", 1).sdp();
    let media = the(&call.wire.receive(CALLEE, offer), "183");
    the(&call.wire.receive(CALLER, prack(&media, 2).sdp()), "PRACK");
    // Its offer must be answered, too (RFC 3262 §5), and is not the caller's.
    let other = Draft::answer(&call.outgoing, "183 Session Progress", "other").sdp();
    let sent = call.wire.receive(CALLEE, other.set("Require", "100rel").set("RSeq", "5"));
    assert!(String::from_utf8_lossy(the(&sent, "PRACK").body()).contains("m=audio 0"));
    let other = Draft::answer(&call.outgoing, "200 OK", "other");
    let sent = call.wire.receive(CALLEE, other.body("application/sdp", other_sdp(1)));
    let accepted = the(&sent, "200");
    assert!(accepted.body().is_empty());
    call.accepted = Some(accepted);
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    let sent = call.wire.run_for(Duration::from_secs(5));
    let asked = sent.iter().find(|sent| sent.is("INVITE")).expect("the caller is asked");
    assert!(asked.to == CALLER && asked.body().ends_with(b"a=sendonly\r\n"), "{asked}");
    let sent = call.wire.receive(CALLER, Draft::answer(asked, "200 OK", "").sdp());
    let acks: Vec<_> = sent.iter().filter(|sent| sent.is("ACK") && sent.to == CALLEE).collect();
    assert!(!acks[0].body().is_empty() && acks[0].tag("To").as_deref() == Some("other"));
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn an_early_update_goes_to_the_other_party_and_its_answer_comes_back() {
    let (mut call, media) = agreed();
    let update = by_caller(&media, "UPDATE", 3).body("application/sdp", other_sdp(2));
    let offer = the(&call.wire.receive(CALLER, update), "UPDATE");
    assert_eq!((offer.to, offer.tag("To").as_deref()), (CALLEE, Some("callee")));
    assert_eq!(offer.body(), other_sdp(2).as_bytes());
    assert!(offer.text("Session-Expires").is_empty() && !offer.text("Contact").is_empty());
    let answer = Draft::answer(&offer, "200 OK", "").body("application/sdp", other_sdp(3));
    let sent = call.wire.receive(CALLEE, answer);
    assert_eq!(sent.len(), 1, "an UPDATE has no ACK\n{}", log(&sent));
    let updated = the(&sent, "200");
    assert_eq!((&*updated.text("CSeq"), updated.body()), ("3 UPDATE", other_sdp(3).as_bytes()));
    // The callee's, to the caller.
    let update = call.by_callee("UPDATE", 7).body("application/sdp", other_sdp(4));
    let offer = the(&call.wire.receive(CALLEE, update), "UPDATE");
    assert_eq!((offer.to, offer.tag("To").as_deref()), (CALLER, Some("peer")));
    let refused = Draft::answer(&offer, "488 Not Acceptable Here", "");
    let sent = call.wire.receive(CALLER, refused);
    assert_eq!(the(&sent, "488").text("CSeq"), "7 UPDATE");
    // What was answered first is not said again, for it is not true any more.
    let sent = call.wire.receive(CALLEE, callee_says(&call, "200 OK"));
    assert!(the(&sent, "200").body().is_empty());
}

#[test]
fn an_early_update_that_comes_too_soon_or_crosses_another_is_refused_as_rfc_3311_says() {
    let ringing = |mut call: Call| {
        let ringing = callee_says(&call, "180 Ringing");
        let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
        (call, ringing)
    };
    // The caller's own offer was not answered; a callee that answers unreliably takes none either.
    let (mut call, answer) = ringing(Call::placed(invite()));
    let refused = the(&call.wire.receive(CALLER, by_caller(&answer, "UPDATE", 2).sdp()), "500");
    assert!(refused.text("Retry-After").parse::<u32>().is_ok_and(|seconds| seconds < 10));
    // Ours awaits its answer.
    let mut call = placed_without_offer("Supported");
    let offer = reliable(&call, "183 Session Progress", 1).sdp();
    let media = the(&call.wire.receive(CALLEE, offer), "183");
    the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 2).sdp()), "491");
    the(&call.wire.receive(CALLEE, call.by_callee("UPDATE", 1).sdp()), "500");
    // One at a time, on each leg and between the two.
    let (mut call, media) = agreed();
    the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 3).sdp()), "UPDATE");
    the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 4).sdp()), "500");
    the(&call.wire.receive(CALLEE, call.by_callee("UPDATE", 1).sdp()), "491");
    // The callee takes none before it is picked up: its user would have to be asked.
    let (mut call, media) = agreed_with("INVITE, ACK, BYE, CANCEL, PRACK");
    the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 3).sdp()), "504");
    the(&call.wire.receive(CALLER, by_caller(&media, "INVITE", 4).sdp()), "491");
}

#[test]
fn a_call_is_cancelled_and_answered_while_an_early_update_is_under_way() {
    let (mut call, media) = agreed();
    the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 3).sdp()), "UPDATE");
    let sent = call.wire.receive(CALLER, call.cancel());
    let statuses: Vec<_> = sent.iter().filter(|sent| sent.to == CALLER).map(Sent::start).collect();
    assert_eq!(
        statuses,
        ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated", "SIP/2.0 487 Request Terminated"]
    );
    the(&sent, "CANCEL");

    let (mut call, media) = agreed();
    let offer = the(&call.wire.receive(CALLER, by_caller(&media, "UPDATE", 3).sdp()), "UPDATE");
    let sent = call.wire.receive(CALLEE, callee_says(&call, "200 OK"));
    call.accepted = Some(the(&sent, "200"));
    let ack = call.by_caller("ACK", 1);
    assert_eq!(log(&call.wire.receive(CALLER, ack)), "");
    let sent = call.wire.receive(CALLEE, Draft::answer(&offer, "200 OK", "").sdp());
    assert_eq!((sent.len(), &*the(&sent, "200").text("CSeq")), (1, "3 UPDATE"));
}

#[test]
fn a_transfer_reaches_a_phone_that_requires_reliable_answers_and_changes_nothing_before() {
    let (other, mut call) = (address(30, 5090), Call::established());
    let request = TransferRequest {
        call_id: call.outgoing.text("Call-ID"),
        side: Side::Caller,
        to: Target::Uri(format!("sip:dora@{other}")),
        mode: Mode::Bridge,
        headers: Vec::new(),
        timeout: None,
    };
    let first = the(&call.wire.transfer(CommandId(1), request), "INVITE");
    assert_eq!((first.to, &*first.text("Supported")), (other, "replaces"));
    let required = Draft::answer(&first, "421 Extension Required", "dora").set("Require", "100rel");
    let second = the(&call.wire.receive(other, required), "INVITE");
    let ringing = Draft::answer(&second, "180 Ringing", "dora").sdp();
    let sent = call.wire.receive(other, ringing.set("Require", "100rel").set("RSeq", "3"));
    assert_eq!((sent.len(), the(&sent, "PRACK").to), (1, other), "{}", log(&sent));
    let again = the(&call.wire.receive(other, Draft::answer(&second, "200 OK", "dora")), "INVITE");
    assert_eq!((again.to, again.body()), (other, &b""[..]));
    let offer = Draft::answer(&again, "200 OK", "").body("application/sdp", other_sdp(1));
    let asked = the(&call.wire.receive(other, offer), "INVITE");
    assert!(asked.to == CALLER && asked.body().ends_with(b"a=sendonly\r\n"));
    let sent = call.wire.receive(CALLER, Draft::answer(&asked, "200 OK", "").sdp());
    let answer = sent.iter().find(|sent| sent.is("ACK") && sent.to == other);
    assert!(answer.is_some_and(|answer| !answer.body().is_empty()), "{}", log(&sent));
}

#[test]
fn nobody_who_is_called_by_us_need_refuse_for_want_of_reliable_answers() {
    let mut wire = Wire::new();
    let request = StartRequest {
        caller: format!("sip:alice@{CALLER}"),
        callee: format!("sip:bob@{CALLEE}"),
        from: None,
        display: None,
        mode: Mode::Bridge,
        headers: Vec::new(),
        auto_answer: false,
        timeout: None,
    };
    let first = the(&wire.start(CommandId(1), request), "INVITE");
    assert_eq!(first.text("Supported"), "replaces, 100rel");
    let media = Draft::answer(&first, "183 Session Progress", "alice");
    let media = media.set("Require", "100rel").set("RSeq", "9").sdp();
    the(&wire.receive(CALLER, media), "PRACK");
    // It does not repeat its description: it is the answer all the same.
    let sent = wire.receive(CALLER, Draft::answer(&first, "200 OK", "alice"));
    let second = the(&sent, "INVITE");
    assert_eq!((second.to, &*second.text("Supported")), (CALLEE, "replaces, 100rel"));
}
