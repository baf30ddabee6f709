//! Where answers go, and datagrams that are odd, foreign or broken (RFC 3261 §18, RFC 3581).

use std::time::Duration;

use expect_test::expect;

use crate::call::{Call, invite};
use crate::draft::{Draft, SDP};
use crate::wire::{CALLEE, CALLER, Sent, Wire, address, log, the};

fn options(via: &str) -> Sent {
    let request = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER).set("Via", via);
    the(&Wire::new().receive(address(10, 40_000), request), "200")
}

#[test]
fn an_answer_goes_to_the_port_in_via_without_rport() {
    let answer = options("SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK1");
    assert_eq!(answer.to, address(10, 5070));
    assert_eq!(answer.text("Via"), "SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK1");
    assert_eq!(options("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1").to, address(10, 5060));
}

#[test]
fn an_answer_goes_to_the_address_it_came_from_and_says_so() {
    let answer = options("SIP/2.0/UDP phone.example.com:5070;branch=z9hG4bK1");
    assert_eq!(answer.to, address(10, 5070));
    let via = "SIP/2.0/UDP phone.example.com:5070;branch=z9hG4bK1;received=192.0.2.10";
    assert_eq!(answer.text("Via"), via);
    // Neither an address in Via nor one that the sender calls its own is believed.
    let answer = options("SIP/2.0/UDP 203.0.113.9:5070;branch=z9hG4bK1;received=203.0.113.8");
    assert_eq!(answer.to, address(10, 5070));
}

#[test]
fn an_answer_goes_to_the_port_it_came_from_with_rport() {
    let answer = options("SIP/2.0/UDP 10.0.0.9:5070;rport;branch=z9hG4bK1");
    assert_eq!(answer.to, address(10, 40_000));
    let via = answer.text("Via");
    assert!(via.contains(";rport=40000") && via.contains(";received=192.0.2.10"), "{via}");
}

#[test]
fn every_via_comes_back_in_order() {
    let vias = [
        "SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK1",
        "SIP/2.0/TCP a;branch=z9hG4bKa, SIP/2.0/UDP b",
    ];
    let request =
        Draft::request("OPTIONS", "sip:192.0.2.1", CALLER).set("Via", vias[0]).add("Via", vias[1]);
    assert_eq!(the(&Wire::new().receive(CALLER, request), "200").texts("Via"), vias);
}

#[test]
fn the_same_branch_from_another_host_is_another_request() {
    let mut wire = Wire::new();
    let options = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER);
    the(&wire.receive(CALLER, &options), "200");
    let other =
        options.set("Via", "SIP/2.0/UDP 192.0.2.12;branch=z9hG4bK-OPTIONS").set("Call-ID", "2");
    the(&wire.receive(address(12, 5060), other), "200");
}

#[test]
fn a_name_that_is_not_utf_8_reaches_the_other_side_as_it_is() {
    let from = b"\"J\xf6rg \\\"X\\\"\" <sip:joerg@192.0.2.10>;tag=j".to_vec();
    let call = Call::placed(invite().set("From", from).set("Subject", b"\xe4".to_vec()));
    let sent = call.outgoing.all("From").remove(0);
    assert!(
        sent.starts_with(b"\"J\xf6rg \\\"X\\\"\" <sip:joerg@192.0.2.10>;tag="),
        "{}",
        call.outgoing
    );
}

#[test]
fn odd_but_legal_framing_is_understood() {
    let mut wire = Wire::new();
    let compact = format!(
        "\r\n\r\nINVITE sip:bob@192.0.2.20:5080 SIP/2.0\n\
         v:SIP/2.0/UDP 192.0.2.10:5070\n ;branch=z9hG4bKx\n\
         f:<sip:a@192.0.2.10>;tag=1\nt: sip:bob@192.0.2.20\ni:1\nCSEQ :\t7\n INVITE\n\
         m:<sip:a@192.0.2.10>\nc:application/sdp\nl:{}\n\n{SDP}and more",
        SDP.len()
    );
    let invite = the(&wire.receive(CALLER, compact), "INVITE");
    assert_eq!(
        String::from_utf8_lossy(invite.body()),
        SDP,
        "what follows the body is not part of it"
    );
    let open_end = Draft::request("INVITE", "sip:bob@192.0.2.20:5080", CALLER).sdp().bytes();
    let open_end = String::from_utf8_lossy(&open_end)
        .replace(&format!("Content-Length: {}\r\n", SDP.len()), "");
    let invite = the(&wire.receive(CALLER, open_end), "INVITE");
    assert_eq!(String::from_utf8_lossy(invite.body()), SDP);
}

#[test]
fn keep_alives_are_not_answered() {
    let mut wire = Wire::new();
    for keep_alive in ["", "\r\n", "\r\n\r\n", "\0", "\0\0\0\0", " \r\n"] {
        assert_eq!(log(&wire.receive(CALLER, keep_alive)), "");
    }
    wire.assert_at_rest();
}

#[test]
fn broken_datagrams_do_not_stop_anything() {
    let mut wire = Wire::new();
    for broken in [
        &b"S sip:r SIP/2.0\nl:18446744073709551615\r\n\r\n"[..],
        b"S sip:r SIP/2.0\nl:18446744073709551616\r\n\r\n",
        b"S sip:r SIP/2.0\nl:-1\r\n\r\n",
        b"SIP/2.0 200 OK\r\nl:4294967295\r\n\r\n",
        b"SIP/2.0 4294967295 OK\r\n\r\n",
        b"INVITE",
        b"INVITE \r",
        b"INVITE sip:[ SIP/2.0\r\n\r\n",
        b"INVITE sip:a@[::1 SIP/2.0\r\nVia: SIP/2.0/UDP [\r\n\r\n",
        b"A sip:a SIP/2.0\r\n:\r\n ;\r\n,\r\n\r\n",
        b"\xff\xfe\x00\x01",
        b"\"\"\"\"\"\"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        assert_eq!(log(&wire.receive(CALLER, broken)), "", "{}", broken.escape_ascii());
    }
    assert_eq!(wire.engine.stats().dropped, 13);
    the(&wire.receive(CALLER, Draft::request("OPTIONS", "sip:192.0.2.1", CALLER)), "200");
    wire.run_for(Duration::from_secs(64));
    wire.assert_at_rest();
}

#[test]
fn a_response_with_a_second_via_is_dropped() {
    let mut call = Call::placed(invite());
    let doubled = call.answer.clone().add("Via", "SIP/2.0/UDP 192.0.2.20;branch=z9hG4bK1");
    assert_eq!(log(&call.wire.receive(CALLEE, doubled)), "");
    let comma = call.outgoing.text("Via") + ", SIP/2.0/UDP 255.255.255.255";
    assert_eq!(log(&call.wire.receive(CALLEE, call.answer.clone().set("Via", comma))), "");
    the(&call.wire.receive(CALLEE, &call.answer), "ACK");
}

#[test]
fn a_response_that_nobody_asked_for_is_dropped() {
    let mut call = Call::placed(invite());
    let (answer, seq) = (&call.answer, call.outgoing.text("CSeq"));
    let stray = [
        answer.clone().branch("z9hG4bK0123456789abcdef"),
        answer.clone().branch("z9hG4bK"),
        answer.clone().branch("foreign"),
        answer.clone().set("Via", "SIP/2.0/UDP 192.0.2.1"),
        answer.clone().set("CSeq", seq.replace("INVITE", "BYE")),
        answer.clone().set("CSeq", seq.replace("INVITE", "CANCEL")),
    ];
    for stray in stray {
        assert_eq!(log(&call.wire.receive(CALLEE, &stray)), "", "{stray:?}");
    }
    the(&call.wire.receive(CALLEE, &call.answer), "ACK");
}

#[test]
fn a_broken_request_is_answered_400_with_a_tag_that_stays_the_same() {
    let mut wire = Wire::new();
    let broken = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER).set("CSeq", "x OPTIONS");
    let first = the(&wire.receive(CALLER, &broken), "400");
    expect!["SIP/2.0 400 bad CSeq at byte 209"].assert_eq(&first.start());
    assert_eq!((first.to, first.tag("To").is_some()), (CALLER, true));
    assert_eq!(wire.receive(CALLER, &broken)[0].bytes, first.bytes);
    assert_eq!(wire.engine.stats().refused, 2);
    wire.assert_at_rest();
}
