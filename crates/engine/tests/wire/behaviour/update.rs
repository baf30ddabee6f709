//! UPDATE (RFC 3311), and what session timers look like on the wire (RFC 4028).

use std::time::Duration;

use engine::Config;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, ENGINE, Wire, the, times};

#[test]
fn an_update_with_an_offer_goes_on_as_a_re_invite_and_its_answer_comes_back_without_an_ack() {
    let mut call = Call::established();
    let sent = call.wire.receive(CALLER, call.by_caller("UPDATE", 2).sdp());
    let offer = the(&sent, "INVITE");
    assert_eq!((sent.len(), offer.to), (1, CALLEE), "no 100 to what is no INVITE");
    assert_eq!(offer.text("Content-Type"), "application/sdp");
    let answer = Draft::answer(&offer, "200 OK", "callee").sdp();
    let sent = call.wire.receive(CALLEE, answer);
    let updated = the(&sent, "200");
    assert_eq!((updated.to, &*updated.text("CSeq")), (CALLER, "2 UPDATE"));
    assert!(!updated.body().is_empty());
    assert_eq!(times(&sent, CALLEE, "ACK"), [0]);
    // Nobody waits for an ACK of it: the next one is taken at once.
    let sent = call.wire.receive(CALLER, call.by_caller("UPDATE", 3).sdp());
    assert_eq!(times(&sent, CALLEE, "INVITE"), [0]);
}

#[test]
fn an_update_that_the_other_party_refuses_is_refused() {
    let mut call = Call::established();
    let offer = the(&call.wire.receive(CALLER, call.by_caller("UPDATE", 2).sdp()), "INVITE");
    let sent =
        call.wire.receive(CALLEE, Draft::answer(&offer, "488 Not Acceptable Here", "callee"));
    assert_eq!(the(&sent, "488").text("CSeq"), "2 UPDATE");
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 3)), "BYE");
}

#[test]
fn an_update_does_not_wait_for_a_user_to_be_asked() {
    let mut call = Call::established();
    let offer = the(&call.wire.receive(CALLER, call.by_caller("UPDATE", 2).sdp()), "INVITE");
    call.wire.receive(CALLEE, Draft::answer(&offer, "100 Trying", ""));
    let sent = call.wire.run_for(Duration::from_secs(11));
    assert_eq!(times(&sent, CALLEE, "CANCEL")[0], 10_000);
    let sent = call.wire.receive(CALLEE, Draft::answer(&offer, "487 Request Terminated", "callee"));
    assert_eq!(the(&sent, "504").text("CSeq"), "2 UPDATE");
    assert_eq!(call.wire.engine.load().calls, 1, "the call stands");
    // A user who was quicker than that has its answer told.
    let offer = the(&call.wire.receive(CALLER, call.by_caller("UPDATE", 3).sdp()), "INVITE");
    call.wire.receive(CALLEE, Draft::answer(&offer, "100 Trying", ""));
    call.wire.run_for(Duration::from_secs(11));
    let sent = call.wire.receive(CALLEE, Draft::answer(&offer, "200 OK", "callee").sdp());
    assert_eq!(the(&sent, "200").text("CSeq"), "3 UPDATE");
}

#[test]
fn one_offer_at_a_time() {
    let mut call = Call::established();
    the(&call.wire.receive(CALLER, call.by_caller("UPDATE", 2).sdp()), "INVITE");
    // RFC 3311 §5.2: a second one before the first was answered.
    let second = the(&call.wire.receive(CALLER, call.by_caller("UPDATE", 3).sdp()), "500");
    assert!(second.text("Retry-After").parse::<u32>().is_ok_and(|seconds| seconds < 10));
    // The callee's own crosses the one that is on its way to it.
    the(&call.wire.receive(CALLEE, call.by_callee("UPDATE", 2).sdp()), "491");
}

#[test]
fn an_update_without_a_body_is_answered_at_once_and_moves_the_target() {
    let mut call = Call::established();
    let moved = call.by_callee("UPDATE", 2).set("Contact", "<sip:peer@192.0.2.99:5070>");
    let sent = call.wire.receive(CALLEE, moved);
    assert_eq!(the(&sent, "200").text("Contact"), "<sip:192.0.2.1:5060>");
    assert_eq!(sent.len(), 1, "it is between that phone and us");
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!(bye.to.to_string(), "192.0.2.99:5070");
}

#[test]
fn an_update_before_the_answer_refreshes_or_waits_and_the_phone_rings_on() {
    let mut call = Call::placed(invite());
    let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
    let ringing = the(&call.wire.receive(CALLEE, ringing), "180");
    let update = |seq: u32| {
        Draft::request("UPDATE", "sip:192.0.2.1", CALLER)
            .branch(&format!("z9hG4bK-update-{seq}"))
            .set("To", ringing.all("To").remove(0))
            .set("CSeq", format!("{seq} UPDATE"))
    };
    the(&call.wire.receive(CALLER, update(2)), "200");
    the(&call.wire.receive(CALLER, update(3).sdp()), "500");
    the(&call.wire.receive(CALLEE, &call.answer), "200");
}

#[test]
fn an_update_that_belongs_to_nothing_or_brings_what_we_do_not_know_is_refused() {
    let mut call = Call::established();
    let stray = call.by_caller("UPDATE", 2).set("Call-ID", "another@call");
    the(&call.wire.receive(CALLER, stray), "481");
    let odd = call.by_caller("UPDATE", 3).body("text/plain", "hello");
    the(&call.wire.receive(CALLER, odd), "415");
    let required = call.by_caller("UPDATE", 4).set("Require", "unknown");
    the(&call.wire.receive(CALLER, required), "420");
}

#[test]
fn a_phone_may_require_session_timers_when_they_are_on_and_not_when_they_are_off() {
    let required = || invite().set("Require", "timer").set("Supported", "timer");
    let mut off = Wire::new();
    let refused = the(&off.receive(CALLER, required()), "420");
    assert_eq!(refused.text("Unsupported"), "timer");
    let config = Config { open: true, session_seconds: Some(1800), ..Config::at(ENGINE) };
    let mut on = Wire::seeded(config, 1);
    the(&on.receive(CALLER, required().set("Session-Expires", "600")), "INVITE");
    let short = required().branch("z9hG4bK-short").set("Call-ID", "short@peer");
    let refused = the(&on.receive(CALLER, short.set("Session-Expires", "89")), "422");
    assert_eq!(refused.text("Min-SE"), "90");
    on.run_for(Duration::from_secs(200));
}

/// A call with session timers, from this INVITE, whose caller has acknowledged.
fn timed(invite: Draft) -> Call {
    let config = Config { open: true, session_seconds: Some(1800), ..Config::at(ENGINE) };
    let mut wire = Wire::seeded(config, 1);
    let outgoing = the(&wire.receive(CALLER, &invite), "INVITE");
    // The callee's own session is long, and its to refresh.
    let answer = Draft::answer(&outgoing, "200 OK", "callee").sdp();
    let answer = answer.set("Session-Expires", "36000;refresher=uas");
    let accepted = Some(the(&wire.receive(CALLEE, &answer), "200"));
    let mut call = Call { wire, invite, outgoing, answer, accepted };
    let ack = call.by_caller("ACK", 1);
    call.wire.receive(CALLER, ack);
    call
}

#[test]
fn who_refreshes_is_said_as_rfc_4028_table_2_has_it() {
    for (supported, asked, said, required) in [
        ("timer", "", "1800;refresher=uas", "timer"),
        ("timer", "600", "600;refresher=uas", "timer"),
        ("timer", "600;refresher=uac", "600;refresher=uac", "timer"),
        ("timer", "600;refresher=uas", "600;refresher=uas", "timer"),
        // A proxy asked for it.
        ("", "600", "600;refresher=uas", ""),
        ("", "", "", ""),
    ] {
        let mut draft = invite().set("Supported", supported);
        if !asked.is_empty() {
            draft = draft.set("Session-Expires", asked);
        }
        let accepted = timed(draft).accepted.expect("it is answered");
        let actual = (accepted.text("Session-Expires"), accepted.text("Require"));
        assert_eq!(actual, (said.to_owned(), required.to_owned()), "{supported} {asked}");
    }
}

#[test]
fn a_peers_min_se_is_kept_to_in_every_refresh() {
    let mut call = timed(
        invite()
            .set("Supported", "timer")
            .set("Min-SE", "4000")
            .set("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE"),
    );
    let said = call.accepted.as_ref().expect("it is answered").text("Session-Expires");
    assert_eq!(said, "4000;refresher=uas");
    let sent = call.wire.run_for(Duration::from_secs(2000));
    let refresh = sent.iter().find(|sent| sent.to == CALLER && sent.is("UPDATE"));
    let refresh = refresh.expect("it is refreshed at half time").clone();
    let said = (refresh.text("Session-Expires"), refresh.text("Min-SE"));
    assert_eq!(said, ("4000;refresher=uac".to_owned(), "4000".to_owned()));
    // It wants more: so it gets, at once and from then on.
    let refused = Draft::answer(&refresh, "422 Session Interval Too Small", "");
    call.wire.receive(CALLER, refused.set("Min-SE", "5000"));
    let again = call.wire.run_for(Duration::from_secs(1));
    let again = again.iter().find(|sent| sent.is("UPDATE")).expect("it is asked again");
    let said = (again.text("Session-Expires"), again.text("Min-SE"));
    assert_eq!(said, ("5000;refresher=uac".to_owned(), "5000".to_owned()));
    // But not without end.
    let refused = Draft::answer(again, "422 Session Interval Too Small", "");
    call.wire.receive(CALLER, refused.set("Min-SE", "4294967295"));
    assert_eq!(times(&call.wire.run_for(Duration::from_secs(5)), CALLER, "UPDATE"), []);
}
