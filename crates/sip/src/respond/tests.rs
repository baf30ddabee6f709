//! Answers: what they copy, what they add, and to whom a broken request is answered.

use expect_test::{Expect, expect};

use super::*;

const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 1], 40114);

fn request(via: &str, to: &str) -> Request {
    let text = format!(
        "OPTIONS sip:bob@b SIP/2.0\r\n{via}From: \"A\" <sip:a@b>;tag=1\r\nt: {to}\r\n\
         i: c1\r\nCSeq: 007 OPTIONS\r\nSubject: not copied\r\n\r\n"
    );
    Request::parse(Bytes::from(text)).unwrap()
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).replace("\r\n", "\n")
}

fn top_via(sent: &str, source: impl Into<SocketAddr>) -> String {
    let request = request(&format!("Via: {sent}\r\n"), "<sip:bob@b>");
    let response = text(&respond(&request, 200, "t", source.into()).finish());
    response.lines().find_map(|line| line.strip_prefix("Via: ")).unwrap().to_owned()
}

#[test]
fn a_response_copies_what_it_must_and_tags_to() {
    let request = request(
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nv: SIP/2.0/TCP x, SIP/2.0/TCP y\r\n",
        "<sip:bob@b>",
    );
    expect![[r#"
        SIP/2.0 404 Not Found
        Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa
        Via: SIP/2.0/TCP x, SIP/2.0/TCP y
        From: "A" <sip:a@b>;tag=1
        To: <sip:bob@b>;tag=t9
        Call-ID: c1
        CSeq: 7 OPTIONS
        Content-Length: 0

    "#]]
    .assert_eq(&text(&respond(&request, 404, "t9", SOURCE.into()).finish()));
}

#[test]
fn a_to_that_has_a_tag_keeps_it_and_no_tag_adds_none() {
    let to = |request: &Request, tag| {
        let response = text(&respond(request, 100, tag, SOURCE.into()).finish());
        response.lines().find(|line| line.starts_with("To")).unwrap().to_owned()
    };
    assert_eq!(
        to(&request("Via: SIP/2.0/UDP a\r\n", "<sip:bob@b>;tag=old"), "new"),
        "To: <sip:bob@b>;tag=old"
    );
    assert_eq!(to(&request("Via: SIP/2.0/UDP a\r\n", "sip:bob@b"), ""), "To: sip:bob@b");
    assert_eq!(to(&request("Via: SIP/2.0/UDP a\r\n", "sip:bob@b"), "new"), "To: sip:bob@b;tag=new");
}

#[test]
fn the_source_is_added_only_where_the_via_does_not_say_it() {
    assert_eq!(
        top_via("SIP/2.0/UDP 192.0.2.1:5060;branch=z", SOURCE),
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z"
    );
    assert_eq!(
        top_via("SIP/2.0/UDP 10.0.0.5;branch=z", SOURCE),
        "SIP/2.0/UDP 10.0.0.5;branch=z;received=192.0.2.1"
    );
    assert_eq!(
        top_via("SIP/2.0/UDP host.example.com", SOURCE),
        "SIP/2.0/UDP host.example.com;received=192.0.2.1"
    );
    let ipv6 = ("2001:db8::1".parse::<IpAddr>().unwrap(), 5060);
    assert_eq!(
        top_via("SIP/2.0/UDP [2001:DB8:0::1];branch=z", ipv6),
        "SIP/2.0/UDP [2001:DB8:0::1];branch=z"
    );
    assert_eq!(
        top_via("SIP/2.0/UDP a;branch=z", ipv6),
        "SIP/2.0/UDP a;branch=z;received=2001:db8::1"
    );
}

#[test]
fn a_port_that_is_asked_for_is_filled_in_with_the_address_beside_it() {
    assert_eq!(
        top_via("SIP/2.0/UDP 192.0.2.1 ; rport ; branch=z", SOURCE),
        "SIP/2.0/UDP 192.0.2.1;rport=40114;branch=z;received=192.0.2.1"
    );
}

#[test]
fn what_a_sender_claims_about_its_source_is_replaced() {
    assert_eq!(
        top_via("SIP/2.0/UDP 10.0.0.5;received=6.6.6.6;rport=1;branch=z;note=\"a;b\"", SOURCE),
        "SIP/2.0/UDP 10.0.0.5;rport=40114;branch=z;note=\"a;b\";received=192.0.2.1"
    );
}

#[test]
fn only_the_first_element_of_a_joined_via_is_ours_to_change() {
    assert_eq!(
        top_via("SIP/2.0/UDP 10.0.0.5;rport , SIP/2.0/UDP 10.0.0.6;rport", SOURCE),
        "SIP/2.0/UDP 10.0.0.5;rport=40114;received=192.0.2.1, SIP/2.0/UDP 10.0.0.6;rport"
    );
}

fn check_bad_request(datagram: &str, expected: Expect) {
    let datagram = datagram.replace('\n', "\r\n");
    let fault = crate::Message::parse(Bytes::from(datagram.clone())).unwrap_err();
    let answer = bad_request(datagram.as_bytes(), SOURCE.into(), &fault.to_string());
    expected.assert_eq(&answer.map_or("nothing".to_owned(), |answer| text(&answer)));
}

#[test]
fn a_broken_request_is_answered_with_what_can_be_read_of_it() {
    check_bad_request(
        "INVITE sip:bob@b SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z\nnonsense\nFrom: <sip:a@b>;tag=1\n\
         To:\n sip:bob@b\nCall-ID: c1\nCSeq: 1 INVITE\n\n",
        expect![[r#"
            SIP/2.0 400 bad header line at byte 71
            Via: SIP/2.0/UDP 192.0.2.1;branch=z
            From: <sip:a@b>;tag=1
            To: sip:bob@b;tag=5321520f4c9efec6
            Call-ID: c1
            CSeq: 1 INVITE
            Content-Length: 0

        "#]],
    );
}

#[test]
fn unreadable_headers_are_echoed_as_they_came() {
    check_bad_request(
        "INVITE sip:bob@b SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.15;;,;,,\nFrom: <sip:a@b>;tag=1\n\
         To: \"open <sip:bob@b>\n folded\nCall-ID: c 1\nCSeq: x\n\n",
        expect![[r#"
            SIP/2.0 400 bad Via at byte 54
            Via: SIP/2.0/UDP 192.0.2.15;;,;,,
            From: <sip:a@b>;tag=1
            To: "open <sip:bob@b>   folded
            Call-ID: c 1
            CSeq: x
            Content-Length: 0

        "#]],
    );
}

#[test]
fn another_version_of_sip_is_answered_with_505() {
    check_bad_request(
        "OPTIONS sip:bob@b SIP/7.0\nVia: SIP/7.0/UDP c;branch=z\nFrom: <sip:a@b>;tag=1\nTo: <sip:bob@b>;tag=2\n\
         Call-ID: c1\nCSeq: 1 OPTIONS\n\n",
        expect![[r#"
            SIP/2.0 505 Version Not Supported
            Via: SIP/7.0/UDP c;branch=z;received=192.0.2.1
            From: <sip:a@b>;tag=1
            To: <sip:bob@b>;tag=2
            Call-ID: c1
            CSeq: 1 OPTIONS
            Content-Length: 0

        "#]],
    );
}

#[test]
fn nobody_is_answered_who_did_not_ask() {
    let headers = "Via: SIP/2.0/UDP a\nFrom: <sip:a@b>\nTo: <sip:b@b>\nCall-ID: c\nCSeq: x\n\n";
    for start in
        ["ACK sip:bob@b SIP/2.0", "SIP/2.0 999 X", "GARBAGE", " sip:bob@b SIP/2.0", "a:b c d"]
    {
        check_bad_request(&format!("{start}\n{headers}"), expect!["nothing"]);
    }
    for missing in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let rest = headers.replace(&format!("{missing}: "), "X: ");
        check_bad_request(&format!("INVITE sip:bob@b SIP/2.0\n{rest}"), expect!["nothing"]);
    }
    check_bad_request("\n\n", expect!["nothing"]);
    check_bad_request("", expect!["nothing"]);
}

#[test]
fn an_answer_to_a_broken_request_is_a_sound_message() {
    let datagram = b"INVITE  sip:bob@b SIP/2.0\r\nv: SIP/2.0/UDP 10.9.9.9;rport\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>\r\ni: c\r\nCSeq: 1 INVITE\r\n\r\n";
    let answer = bad_request(datagram, SOURCE.into(), "bad\r\nEvil: 1").unwrap();
    let crate::Message::Response(response) = crate::Message::parse(answer).unwrap() else {
        panic!("a request")
    };
    assert_eq!((response.status, response.reason()), (400, &b"bad  Evil: 1"[..]));
    assert_eq!(
        (response.via().rport(), response.via().received()),
        (Some("40114"), Some("192.0.2.1"))
    );
    assert!(response.to_tag().is_some_and(|tag| tag.len() == 16));
}
