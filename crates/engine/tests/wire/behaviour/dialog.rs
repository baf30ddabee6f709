//! Requests within a call: order, routes, targets, re-INVITEs (RFC 3261 §12.2, §14, §15).

use std::time::Duration;

use expect_test::expect;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Sent, Wire, address, log, the, times};

#[test]
fn a_bye_goes_through_and_is_answered_at_once() {
    let mut call = Call::established();
    let sent = call.wire.receive(CALLER, call.by_caller("BYE", 2));
    expect![[r#"
        0 caller: 200 OK (BYE)
        0 callee: BYE
    "#]]
    .assert_eq(&log(&sent));
    let bye = the(&sent, "BYE");
    call.wire.receive(CALLEE, Draft::answer(&bye, "200 OK", ""));
    let again = call.wire.receive(CALLER, call.by_caller("BYE", 2));
    expect!["0 caller: 200 OK (BYE)\n"].assert_eq(&log(&again));
    call.wire.run_for(Duration::from_secs(100));
    call.wire.assert_at_rest();
}

#[test]
fn a_bye_whose_number_leaves_a_gap_is_legal() {
    let mut call = Call::established();
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 4711)), "200");
}

#[test]
fn a_request_with_a_lower_number_is_500_with_a_time_to_wait() {
    let mut call = Call::established();
    the(&call.wire.receive(CALLER, call.by_caller("OPTIONS", 10)), "200");
    let late = the(&call.wire.receive(CALLER, call.by_caller("INFO", 9)), "500");
    assert!(late.text("Retry-After").parse::<u32>().is_ok_and(|seconds| seconds < 10));
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 11)), "BYE");
}

#[test]
fn a_request_right_behind_the_ack_is_not_lost() {
    let mut call = Call::answered();
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    let sent = call.wire.receive(CALLER, call.by_caller("BYE", 2));
    assert_eq!((sent.len(), times(&sent, CALLEE, "BYE")), (2, vec![0]));

    let mut call = Call::answered();
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    let sent = call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp());
    assert_eq!(times(&sent, CALLEE, "INVITE"), [0]);
}

#[test]
fn a_bye_that_overtakes_the_ack_ends_the_call() {
    let mut call = Call::answered();
    let sent = call.wire.receive(CALLER, call.by_caller("BYE", 2));
    assert_eq!(times(&sent, CALLEE, "BYE"), [0]);
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    assert_eq!(times(&call.wire.run_for(Duration::from_secs(100)), CALLER, "200"), [] as [u128; 0]);
    call.wire.assert_at_rest();
}

#[test]
fn a_bye_for_a_dialog_that_is_not_there_is_481_with_a_tag() {
    let mut call = Call::established();
    for (header, value) in [
        ("To", "<sip:bob@192.0.2.20:5080>;tag=unknown"),
        ("To", "<sip:bob@192.0.2.20:5080>;tag=0123456789abcdef"),
        ("To", "<sip:bob@192.0.2.20:5080>"),
        ("From", "<sip:peer@192.0.2.10:5070>;tag=other"),
        ("From", "<sip:peer@192.0.2.10:5070>"),
        ("Call-ID", "other"),
    ] {
        let bye =
            call.by_caller("BYE", 2).branch(&format!("z9hG4bK{}", header.len() + value.len()));
        let answer = the(&call.wire.receive(CALLER, bye.set(header, value)), "481");
        assert!(answer.tag("To").is_some(), "{value}");
    }
    assert_eq!(call.wire.engine.load().calls, 1);
}

/// The re-INVITE that the engine passes on, and the 200 that its sender gets.
fn renegotiate(call: &mut Call, request: Draft) -> (Sent, Sent) {
    let invite = the(&call.wire.receive(CALLER, request), "INVITE");
    let sent = call.wire.receive(CALLEE, Draft::answer(&invite, "200 OK", "").sdp());
    (invite, the(&sent, "200"))
}

#[test]
fn a_re_invite_with_a_new_contact_moves_our_next_request_there() {
    let mut call = Call::established();
    let moved = call.by_caller("INVITE", 2).set("Contact", "<sip:new@192.0.2.11:5071>").sdp();
    let (passed_on, accepted) = renegotiate(&mut call, moved);
    assert_eq!(passed_on.tag("To").as_deref(), Some("callee"));
    assert!(!accepted.body().is_empty() && !accepted.text("Contact").is_empty());
    call.wire.receive(CALLER, call.by_caller("ACK", 2));
    let bye = the(&call.wire.receive(CALLEE, call.by_callee("BYE", 1)), "BYE");
    assert_eq!(
        (bye.to, bye.start()),
        (address(11, 5071), "BYE sip:new@192.0.2.11:5071 SIP/2.0".into())
    );
}

#[test]
fn a_2xx_to_our_re_invite_with_a_new_contact_moves_our_next_request_there() {
    let mut call = Call::established();
    let invite = the(&call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp()), "INVITE");
    let moved = Draft::answer(&invite, "200 OK", "").set("Contact", "<sip:new@192.0.2.21:5081>");
    let ack = the(&call.wire.receive(CALLEE, moved.sdp()), "ACK");
    assert_eq!(ack.to, address(21, 5081));
    call.wire.receive(CALLER, call.by_caller("ACK", 2));
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 3)), "BYE");
    assert_eq!(
        (bye.to, bye.start()),
        (address(21, 5081), "BYE sip:new@192.0.2.21:5081 SIP/2.0".into())
    );
}

#[test]
fn a_refused_re_invite_leaves_the_call_as_it_was() {
    let mut call = Call::established();
    let invite = the(&call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp()), "INVITE");
    let sent = call.wire.receive(CALLEE, Draft::answer(&invite, "488 Not Acceptable Here", ""));
    expect![[r#"
        0 callee: ACK
        0 caller: 488 Not Acceptable Here (INVITE)
    "#]]
    .assert_eq(&log(&sent));
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn a_re_invite_without_an_offer_gets_the_other_sides_and_its_ack_brings_the_answer() {
    let mut call = Call::established();
    let (passed_on, accepted) = {
        let request = call.by_caller("INVITE", 2);
        let invite = the(&call.wire.receive(CALLER, request), "INVITE");
        let sent = call.wire.receive(CALLEE, Draft::answer(&invite, "200 OK", "").sdp());
        assert_eq!(times(&sent, CALLEE, "ACK"), [] as [u128; 0], "its ACK brings the answer");
        (invite, the(&sent, "200"))
    };
    assert!(passed_on.body().is_empty() && !accepted.body().is_empty());
    let sent = call.wire.receive(CALLER, call.by_caller("ACK", 2).sdp());
    expect!["0 callee: ACK\n"].assert_eq(&log(&sent));
    assert!(!sent[0].body().is_empty());
}

#[test]
fn a_re_invite_of_each_side_at_once_is_491_for_one_of_them() {
    let mut call = Call::established();
    the(&call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp()), "INVITE");
    let sent = call.wire.receive(CALLEE, call.by_callee("INVITE", 1).sdp());
    expect!["0 callee: 491 Request Pending (INVITE)\n"].assert_eq(&log(&sent));
}

#[test]
fn a_491_of_one_side_is_for_the_other_to_wait_out() {
    let mut call = Call::established();
    let invite = the(&call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp()), "INVITE");
    let sent = call.wire.receive(CALLEE, Draft::answer(&invite, "491 Request Pending", ""));
    expect![[r#"
        0 callee: ACK
        0 caller: 491 Request Pending (INVITE)
    "#]]
    .assert_eq(&log(&sent));
}

#[test]
fn a_second_re_invite_before_the_first_was_answered_is_500() {
    let mut call = Call::established();
    call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp());
    let second = the(&call.wire.receive(CALLER, call.by_caller("INVITE", 3).sdp()), "500");
    assert!(!second.text("Retry-After").is_empty());
}

#[test]
fn record_routes_of_an_answer_are_followed_in_reverse() {
    let mut call = Call::placed(invite());
    call.answer = call
        .answer
        .add("Record-Route", "<sip:192.0.2.31;lr>, <sip:192.0.2.32:5062;lr;x=y>")
        .add("Record-Route", "\"p,3\" <sip:192.0.2.33;lr>");
    let sent = call.wire.receive(CALLEE, &call.answer);
    call.accepted = Some(the(&sent, "200"));
    let ack = the(&sent, "ACK");
    let expected =
        ["\"p,3\" <sip:192.0.2.33;lr>", "<sip:192.0.2.32:5062;lr;x=y>", "<sip:192.0.2.31;lr>"];
    assert_eq!(
        (ack.to, ack.texts("Route")),
        (address(33, 5060), expected.map(String::from).into())
    );
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!((bye.to, bye.texts("Route")), (ack.to, ack.texts("Route")));
    assert_eq!(bye.start(), "BYE sip:peer@192.0.2.20:5080 SIP/2.0");
}

#[test]
fn record_routes_of_an_invite_are_followed_in_order() {
    let routed = invite()
        .add("Record-Route", "<sip:192.0.2.31:5061;lr>, <sip:192.0.2.32;lr>")
        .add("Record-Route", "<sip:192.0.2.33;lr>");
    let mut call = Call::established_with(routed, |answer| answer);
    let bye = the(&call.wire.receive(CALLEE, call.by_callee("BYE", 1)), "BYE");
    let expected = ["<sip:192.0.2.31:5061;lr>", "<sip:192.0.2.32;lr>", "<sip:192.0.2.33;lr>"];
    assert_eq!(
        (bye.to, bye.texts("Route")),
        (address(31, 5061), expected.map(String::from).into())
    );
    assert_eq!(bye.start(), "BYE sip:peer@192.0.2.10:5070 SIP/2.0");
}

#[test]
fn a_strict_router_gets_its_own_uri_and_the_target_last() {
    let mut call = Call::established_with(invite(), |answer| {
        answer
            .add("Record-Route", "<sip:192.0.2.31;lr>")
            .add("Record-Route", "<sip:old@192.0.2.32>")
    });
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!((bye.to, bye.start()), (address(32, 5060), "BYE sip:old@192.0.2.32 SIP/2.0".into()));
    assert_eq!(bye.texts("Route"), ["<sip:192.0.2.31;lr>", "<sip:peer@192.0.2.20:5080>"]);
}

#[test]
fn what_is_no_uri_is_never_put_into_our_start_line() {
    for (contact, target) in [
        ("<sip:192.0.2.125060>", "sip:bob@192.0.2.20:5080"),
        ("<sip:a@b@c>", "sip:bob@192.0.2.20:5080"),
        ("<nonsense>", "sip:bob@192.0.2.20:5080"),
        ("<sip:b?b@192.0.2.20:5080;x=y?Route=z&a=b>", "sip:b?b@192.0.2.20:5080;x=y"),
        ("<sip:a@b@c>, <sip:second@192.0.2.20:5080>", "sip:bob@192.0.2.20:5080"),
    ] {
        let mut call = Call::established_with(invite(), |answer| {
            answer
                .set("Contact", contact)
                .set("Record-Route", "<sip:a@b@c>, <sip:192.0.2.31?Route=x>")
        });
        let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
        assert_eq!((bye.to, bye.start()), (CALLEE, format!("BYE {target} SIP/2.0")), "{contact}");
        assert!(bye.all("Route").is_empty());
    }
    let sent = Wire::new().receive(CALLER, invite().set("Contact", "<sip:a@b@c>"));
    the(&sent, "400");
}

#[test]
fn a_target_by_name_is_resolved() {
    let contact = "<sip:bob@phone.example.com:5099>";
    let mut call = Call::established_with(invite(), |answer| answer.set("Contact", contact));
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!(bye.to, address(99, 5099));
}

#[test]
fn options_in_a_call_is_200_and_the_call_stands() {
    let mut call = Call::established();
    let sent = call.wire.receive(CALLER, call.by_caller("OPTIONS", 2));
    expect!["0 caller: 200 OK (OPTIONS)\n"].assert_eq(&log(&sent));
    assert_eq!(call.wire.engine.load().calls, 1);
}

#[test]
fn methods_in_a_call_that_we_do_not_take_are_405_with_what_we_do() {
    let mut call = Call::established();
    for (seq, method) in ["SUBSCRIBE", "PUBLISH"].into_iter().enumerate() {
        let request = call.by_caller(method, 2 + seq as u32);
        let answer = the(&call.wire.receive(CALLER, request), "405");
        let allow =
            "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, PRACK, MESSAGE";
        assert_eq!(answer.text("Allow"), allow);
    }
    the(&call.wire.receive(CALLER, call.by_caller("NEWMETHOD", 20)), "501");
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 21)), "200");
}

#[test]
fn a_refer_that_asks_for_no_one_call_is_refused() {
    let mut call = Call::established();
    let bye = call.by_caller("REFER", 2).set("Refer-To", "<sip:cindy@192.0.2.30;method=BYE>");
    the(&call.wire.receive(CALLER, bye), "603");
    let two = call.by_caller("REFER", 3).set("Refer-To", "<sip:a@192.0.2.30>, <sip:b@192.0.2.30>");
    the(&call.wire.receive(CALLER, two), "400");
    the(&call.wire.receive(CALLER, call.by_caller("REFER", 4)), "400");
}

#[test]
fn a_notify_without_a_subscription_is_481_and_without_an_event_489() {
    let mut call = Call::established();
    let notify = |seq, event: &str| {
        call.by_caller("NOTIFY", seq).set("Event", event).set("Subscription-State", "active")
    };
    let requests = [notify(2, "refer"), notify(4, ""), notify(5, ";id=1")];
    let answers = requests.map(|request| call.wire.receive(CALLER, request).remove(0));
    assert_eq!(answers.each_ref().map(|answer| answer.is("481")), [true, false, false]);
    for other in &answers[1..] {
        assert!(other.is("489"), "{other}");
        assert_eq!(other.text("Allow-Events"), "refer");
    }
    let missing = call.by_caller("NOTIFY", 6);
    the(&call.wire.receive(CALLER, missing), "489");
}

#[test]
fn info_message_and_notify_go_to_the_other_party_with_their_body_and_so_does_the_answer() {
    let mut call = Call::established();
    for (seq, method) in [(2, "INFO"), (3, "MESSAGE"), (4, "NOTIFY")] {
        let request = call
            .by_caller(method, seq)
            .set("Event", "presence")
            .set("Subscription-State", "active")
            .set("X-Kept", "yes")
            .set("Session-Expires", "90")
            .body("text/plain", "hello");
        let passed = the(&call.wire.receive(CALLER, request), method);
        assert_eq!((passed.text("X-Kept"), passed.body()), ("yes".into(), &b"hello"[..]));
        assert_eq!(passed.text("Content-Type"), "text/plain");
        assert!(passed.texts("Session-Expires").is_empty(), "that is between us and one party");
        let answer = Draft::answer(&passed, "202 Fine", "").set("X-Back", "too");
        let back = the(&call.wire.receive(CALLEE, answer), "202");
        assert_eq!(back.text("X-Back"), "too");
    }
}

#[test]
fn a_required_extension_in_a_call_is_420() {
    let mut call = Call::established();
    let bye = call.by_caller("BYE", 2).set("Require", "nothing, nothing-either");
    let answer = the(&call.wire.receive(CALLER, bye), "420");
    assert_eq!(answer.texts("Unsupported"), ["nothing", "nothing-either"]);
}

#[test]
fn a_481_to_our_request_ends_that_side_and_the_other() {
    let mut call = Call::established();
    let invite = the(&call.wire.receive(CALLER, call.by_caller("INVITE", 2).sdp()), "INVITE");
    let sent = call.wire.receive(CALLEE, Draft::answer(&invite, "481 No Such Call", ""));
    assert_eq!(times(&sent, CALLER, "BYE"), [0], "{}", log(&sent));
    call.wire.run_for(Duration::from_secs(100));
    call.wire.assert_at_rest();
}

#[test]
fn a_reinvite_that_is_taken_back_is_taken_back_from_the_other_party_too() {
    let mut call = Call::established();
    let reinvite = call.by_caller("INVITE", 2).branch("z9hG4bK-re").sdp();
    let passed = the(&call.wire.receive(CALLER, reinvite), "INVITE");
    call.wire.receive(CALLEE, Draft::answer(&passed, "100 Trying", ""));
    let cancel = call.by_caller("CANCEL", 2).branch("z9hG4bK-re");
    let sent = call.wire.receive(CALLER, cancel);
    the(&sent, "200");
    let cancel = the(&sent, "CANCEL");
    assert_eq!(cancel.all("Via"), passed.all("Via"));
    call.wire.receive(CALLEE, Draft::answer(&cancel, "200 OK", ""));
    let sent = call.wire.receive(CALLEE, Draft::answer(&passed, "487 Request Terminated", ""));
    the(&sent, "ACK");
    the(&sent, "487");
    the(&call.wire.receive(CALLER, call.by_caller("BYE", 3)), "200");
}
