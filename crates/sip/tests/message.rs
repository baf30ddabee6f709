//! The rules that a datagram is read by, and what can be asked of a message.

use bytes::Bytes;
use sip::{
    ErrorKind, MAX_HEADERS, MAX_MESSAGE, Message, Method, Name, ParseError, Request, Response,
};

const HEADERS: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
    Call-ID: x@y\r\nCSeq: 1 INVITE\r\n";

fn parse(text: impl Into<Vec<u8>>) -> Result<Message, ParseError> {
    Message::parse(Bytes::from(text.into()))
}

fn fault(text: impl Into<Vec<u8>>) -> ErrorKind {
    parse(text).expect_err("a message that must be refused").kind
}

/// A request with these headers after the mandatory ones, and what follows them.
fn invite(more: &str) -> String {
    format!("INVITE sip:c@d SIP/2.0\r\n{HEADERS}{more}\r\n")
}

fn request(text: impl Into<Vec<u8>>) -> Request {
    Request::parse(Bytes::from(text.into())).expect("a request that must be read")
}

fn response(start: &str) -> Result<Response, ParseError> {
    match parse(format!("{start}\r\n{HEADERS}\r\n"))? {
        Message::Response(response) => Ok(response),
        Message::Request(request) => panic!("a request: {request:?}"),
    }
}

#[test]
fn a_request_gives_its_mandatory_parts() {
    let request = request(invite(""));
    assert_eq!(
        (request.method, request.method_name(), request.uri()),
        (Method::Invite, "INVITE", "sip:c@d")
    );
    assert_eq!(
        (request.call_id(), request.cseq().number, request.cseq_method()),
        ("x@y", 1, "INVITE")
    );
    assert_eq!((request.from().uri, request.from_tag()), ("sip:a@b", Some("1")));
    assert_eq!((request.to().uri, request.to_tag()), ("sip:c@d", None));
    assert_eq!((request.via().host, request.branch()), ("a", Some("z9hG4bK1")));
    assert!(request.body().is_empty());
}

#[test]
fn a_response_gives_its_status_and_reason() {
    let ringing = response("SIP/2.0 180 Ringing  now").unwrap();
    assert_eq!((ringing.status, ringing.reason()), (180, &b"Ringing  now"[..]));
    assert_eq!(response("sip/2.0 200 ").unwrap().reason(), b"");
    assert_eq!(response("SIP/2.0 699").unwrap().reason_text(), "");
    assert_eq!(response("SIP/2.0 486 Occup\u{e9}").unwrap().reason_text(), "Occup\u{e9}");
}

#[test]
fn a_status_line_of_another_shape_is_refused() {
    for status in ["99 X", "700 X", "20 OK", "2000 OK", "-20 OK", "", "OK", "200OK"] {
        assert_eq!(
            response(&format!("SIP/2.0 {status}")).unwrap_err().kind,
            ErrorKind::Status,
            "{status}"
        );
    }
    assert_eq!(response("SIP/3.0 200 OK").unwrap_err().kind, ErrorKind::Version);
    assert_eq!(response("SIP/ 200 OK").unwrap_err().kind, ErrorKind::StartLine);
}

#[test]
fn a_request_line_of_another_shape_is_refused() {
    for (line, kind, at) in [
        ("INVITE", ErrorKind::StartLine, 0),
        ("INVITE sip:c@d", ErrorKind::StartLine, 6),
        ("INVITE sip:c@d ", ErrorKind::StartLine, 15),
        ("INVITE sip:c@d HTTP/1.1", ErrorKind::StartLine, 15),
        ("INVITE sip:c@d SIP/2.00", ErrorKind::Version, 15),
        ("INVITE sip:c@d SIP/1.0", ErrorKind::Version, 15),
        ("INV(ITE sip:c@d SIP/2.0", ErrorKind::Method, 0),
        (" sip:c@d SIP/2.0", ErrorKind::Method, 0),
        ("INVITE <sip:c@d> SIP/2.0", ErrorKind::Uri, 7),
        ("INVITE sip:c@d; lr SIP/2.0", ErrorKind::Uri, 7),
        ("INVITE  sip:c@d SIP/2.0", ErrorKind::Uri, 7),
        ("INVITE sip:c@d:0 SIP/2.0", ErrorKind::Uri, 15),
        ("INVITE sip:c@d?Route=x SIP/2.0", ErrorKind::Uri, 15),
    ] {
        assert_eq!(
            parse(format!("{line}\r\n{HEADERS}\r\n")).unwrap_err(),
            ParseError { kind, at },
            "{line}"
        );
    }
    assert_eq!(request(invite("").replace("SIP/2.0\r\n", "sip/2.0\r\n")).uri(), "sip:c@d");
}

#[test]
fn unknown_methods_and_schemes_are_the_callers_to_judge() {
    let text = invite("").replace("INVITE", "invite").replace("sip:c@d ", "nobodyKnows:it ");
    let request = request(text);
    assert_eq!(
        (request.method, request.method_name(), request.uri()),
        (Method::Other, "invite", "nobodyKnows:it")
    );
}

#[test]
fn keep_alives_are_empty_and_line_ends_before_a_message_are_skipped() {
    for datagram in ["", "\r\n\r\n", "\0\0\0\0", "  \r\n", "\r\n\0"] {
        assert_eq!(fault(datagram), ErrorKind::Empty, "{datagram:?}");
    }
    let request = request(format!("\r\n\n\r\n{}", invite("")));
    assert_eq!(request.bytes(), invite("").as_bytes());
    let late = parse(format!("\r\n{}", invite("nonsense\r\n"))).unwrap_err();
    assert_eq!(late.at, 2 + invite("").len() - 2 + "nonsense".len());
}

#[test]
fn every_mandatory_header_must_be_there_once() {
    for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
        let without = invite("").replace(&format!("\r\n{name}: "), "\r\nX: ");
        assert_eq!(fault(without), ErrorKind::MissingHeader(name));
    }
    for again in ["f: <sip:a@b>", "To: <sip:c@d>", "i: x", "CSeq: 1 INVITE"] {
        assert!(
            matches!(fault(invite(&format!("{again}\r\n"))), ErrorKind::Duplicate(_)),
            "{again}"
        );
    }
    let twice = invite("Max-Forwards: 70\r\nMax-Forwards: 70\r\n");
    assert_eq!(fault(twice), ErrorKind::Duplicate(Name::MaxForwards));
    assert!(parse(invite("Via: SIP/2.0/UDP b\r\n")).is_ok());
}

#[test]
fn mandatory_headers_that_cannot_be_read_are_refused() {
    for (from, to, kind) in [
        ("SIP/2.0/UDP a", "SIP/2.0 a", ErrorKind::Via),
        ("<sip:a@b>;tag=1", "<sip:a@b", ErrorKind::Address(Name::From)),
        ("<sip:c@d>", "c", ErrorKind::Address(Name::To)),
        ("x@y", "", ErrorKind::CallId),
        ("x@y", "x y", ErrorKind::CallId),
        ("x@y", "x\0y", ErrorKind::CallId),
        ("1 INVITE", "2147483648 INVITE", ErrorKind::CSeq),
        ("1 INVITE", "1 BYE", ErrorKind::CSeqMethod),
    ] {
        assert_eq!(fault(invite("").replace(from, to)), kind, "{to}");
    }
    let mut call_id_in_latin_1 = invite("").into_bytes();
    let at = invite("").find("x@y").unwrap();
    call_id_in_latin_1[at] = 0xe4;
    assert_eq!(fault(call_id_in_latin_1), ErrorKind::CallId);
}

#[test]
fn the_body_is_as_long_as_content_length_says() {
    let body =
        |more: &str, body: &str| parse(invite(more) + body).map(|it| it.headers().body().to_vec());
    assert_eq!(body("", "to the end").unwrap(), b"to the end");
    assert_eq!(body("Content-Length: 3\r\n", "abcdef").unwrap(), b"abc");
    assert_eq!(body("l: 0003\r\nContent-Length: 0003\r\n", "abc").unwrap(), b"abc");
    let fault = |more: &str| body(more, "abc").unwrap_err().kind;
    assert_eq!(fault("Content-Length: 4\r\n"), ErrorKind::Truncated);
    assert_eq!(fault("Content-Length: 3\r\nl: 2\r\n"), ErrorKind::Duplicate(Name::ContentLength));
    for length in ["-1", "five", "", "3 3", "0x3", "+3", "99999999999999999999"] {
        assert_eq!(
            fault(&format!("Content-Length: {length}\r\n")),
            ErrorKind::ContentLength,
            "{length}"
        );
    }
}

#[test]
fn messages_and_header_counts_have_a_limit() {
    let size = MAX_MESSAGE - invite("").len();
    assert_eq!(parse(invite("") + &"x".repeat(size)).unwrap().headers().body().len(), size);
    assert_eq!(fault(invite("") + &"x".repeat(size + 1)), ErrorKind::TooLarge);
    assert!(parse(invite(&"X: y\r\n".repeat(MAX_HEADERS - 5))).is_ok());
    assert_eq!(fault(invite(&"X: y\r\n".repeat(MAX_HEADERS - 4))), ErrorKind::TooManyHeaders);
}

#[test]
fn folded_headers_are_joined_by_blanks() {
    let folded =
        invite("Subject:\r\n first\r\n\tsecond \n  third\r\nX: y\r\n \r\n") + " body\r\n stays";
    let request = request(folded);
    assert_eq!(request.text(Name::Subject), Some("first  \tsecond    third"));
    assert_eq!(request.named("x"), Some(&b"y"[..]));
    assert_eq!(request.body(), b" body\r\n stays");
}

#[test]
fn line_ends_that_others_may_read_otherwise_are_refused() {
    assert_eq!(fault(invite("Subject: a\rEvil: b\r\n")), ErrorKind::Header);
    assert_eq!(fault(invite("").replace("SIP/2.0\r\nVia", "SIP/2.0\rVia")), ErrorKind::Header);
    assert_eq!(fault(invite("").trim_end()), ErrorKind::Header);
    assert!(parse(invite("Subject: a\r\n").replace("\r\n", "\n")).is_ok());
}

#[test]
fn header_lines_without_a_name_are_refused() {
    for line in ["nonsense", ": value", "two words: x", "n(me: x", "n\u{e4}me: x"] {
        assert_eq!(fault(invite(&format!("{line}\r\n"))), ErrorKind::Header, "{line}");
    }
    assert_eq!(
        fault(format!("INVITE sip:c@d SIP/2.0\r\n folded: x\r\n{HEADERS}\r\n")),
        ErrorKind::Header
    );
}

#[test]
fn a_byte_that_is_no_text_hides_only_its_own_header() {
    let mut text = invite("Subject: J?rg\r\nUser-Agent: phone\r\n").into_bytes();
    let at = text.iter().position(|byte| *byte == b'?').unwrap();
    text[at] = 0xf6;
    let request = request(text);
    assert_eq!(
        (request.value(Name::Subject), request.text(Name::Subject)),
        (Some(&b"J\xf6rg"[..]), None)
    );
    assert_eq!(request.text(Name::UserAgent), Some("phone"));
}

#[test]
fn headers_keep_their_order_and_their_names_as_written() {
    let request = request(invite("x-custom: 1\r\nk: timer\r\nX-Custom: 2\r\n"));
    let tail: Vec<_> = request.iter().skip(5).map(|header| (header.name, header.text)).collect();
    assert_eq!(
        tail,
        [(Name::Other, "x-custom"), (Name::Supported, "k"), (Name::Other, "X-Custom")]
    );
    assert_eq!(request.named("X-CUSTOM"), Some(&b"1"[..]));
}

#[test]
fn lists_are_read_across_lines_and_commas() {
    let more = "m: *\r\nContact: \"a, b\" <sip:1@h>, <sip:2@h>;q=0.5\r\nSupported: timer,\r\n 100rel\r\nk: replaces\r\n";
    let request = request(invite(more));
    let contacts: Vec<_> = request.values(Name::Contact).map(String::from_utf8_lossy).collect();
    assert_eq!(contacts, ["*", "\"a, b\" <sip:1@h>", "<sip:2@h>;q=0.5"]);
    assert_eq!(request.contact().map(|contact| contact.uri), Some("sip:1@h"));
    for token in ["timer", "100REL", "replaces"] {
        assert!(request.has_token(Name::Supported, token), "{token}");
    }
    assert!(
        !request.has_token(Name::Supported, "100") && !request.has_token(Name::Require, "timer")
    );
}

#[test]
fn numbers_are_the_leading_digits_that_fit() {
    let more = "Max-Forwards: 0068\r\nExpires: 3600;x\r\nMin-SE: 4294967296\r\nRetry-After: soon\r\n\
        Session-Expires: 1800 ;refresher=uac\r\n";
    let request = request(invite(more));
    assert_eq!(request.number(Name::MaxForwards), Some(68));
    assert_eq!(request.number(Name::Expires), Some(3600));
    assert_eq!(request.number(Name::SessionExpires), Some(1800));
    for name in [Name::MinSe, Name::RetryAfter, Name::RSeq] {
        assert_eq!(request.number(name), None, "{name}");
    }
}

#[test]
fn the_media_type_comes_without_its_parameters() {
    let content_type = |more: &str| request(invite(more)).content_type().map(str::to_owned);
    assert_eq!(
        content_type("c: message/sipfrag ; version=2.0\r\n").as_deref(),
        Some("message/sipfrag")
    );
    assert_eq!(content_type(""), None);
}

#[test]
fn a_message_prints_as_it_was_read_with_clean_line_ends() {
    let text = "OPTIONS sip:c@d sip/2.0\nv  :  SIP/2.0/UDP a\nFrom:\n <sip:a@b>\nt: <sip:c@d>\ni: 1\nCSeq: 1 OPTIONS\n\
        Subject:\nl: 2\n\nabXX";
    let printed = parse(text).unwrap().to_bytes();
    let expected = "OPTIONS sip:c@d SIP/2.0\r\nv  :  SIP/2.0/UDP a\r\nFrom:  <sip:a@b>\r\nt: <sip:c@d>\r\ni: 1\r\n\
        CSeq: 1 OPTIONS\r\nSubject:\r\nl: 2\r\n\r\nab";
    assert_eq!(printed, expected.as_bytes());
    let printed = Message::Response(response("SIP/2.0 200").unwrap()).to_bytes();
    assert_eq!(printed, format!("SIP/2.0 200 \r\n{HEADERS}\r\n").as_bytes());
}

#[test]
fn a_response_is_no_request() {
    let kind =
        Request::parse(Bytes::from(format!("SIP/2.0 200 OK\r\n{HEADERS}\r\n"))).unwrap_err().kind;
    assert_eq!(kind, ErrorKind::StartLine);
}

#[test]
fn faults_say_what_and_where() {
    let text = |text: String| parse(text).unwrap_err().to_string();
    assert_eq!(text(invite("").replace("1 INVITE", "x")), "bad CSeq at byte 118");
    assert_eq!(text(invite("").replace("To: ", "X: ")), "missing To at byte 0");
    assert_eq!(text(invite("f: x\r\n")), "more than one From at byte 128");
}
