//! RFC 4475 §3.1.2: invalid messages. Where the RFC leaves the choice, a request whose fault lies in
//! a part that we use is refused.

use expect_test::expect;
use sip::{ErrorKind, Message, Name};

use super::check;

/// §3.1.2.1: 400.
#[test]
fn extraneous_header_separators() {
    check(
        "badinv01",
        expect![[r#"
            bad Via at byte 217; answered 400
        "#]],
    );
}

/// §3.1.2.2: 400 over UDP.
#[test]
fn content_length_larger_than_the_message() {
    check(
        "clerr",
        expect![[r#"
        body shorter than Content-Length at byte 498; answered 400
    "#]],
    );
}

/// §3.1.2.3: an error.
#[test]
fn a_negative_content_length() {
    check(
        "ncl",
        expect![[r#"
        bad Content-Length at byte 326; answered 400
    "#]],
    );
}

/// §3.1.2.4: 400, for CSeq.
#[test]
fn a_request_with_overlarge_numbers() {
    check(
        "scalar02",
        expect![[r#"
            bad CSeq at byte 174; answered 400
        "#]],
    );
}

/// §3.1.2.5: discarded.
#[test]
fn a_response_with_overlarge_numbers() {
    check(
        "scalarlg",
        expect![[r#"
        bad CSeq at byte 198; dropped
    "#]],
    );
}

/// §3.1.2.6: 400.
#[test]
fn an_unterminated_quoted_string_in_a_display_name() {
    check(
        "quotbal",
        expect![[r#"
            bad To at byte 41; answered 400
        "#]],
    );
}

/// §3.1.2.7: 400 is always reasonable.
#[test]
fn brackets_around_the_request_uri() {
    check(
        "ltgtruri",
        expect![[r#"
        bad URI at byte 7; answered 400
    "#]],
    );
}

/// §3.1.2.8: 400.
#[test]
fn blanks_in_the_request_uri() {
    check(
        "lwsruri",
        expect![[r#"
        bad URI at byte 7; answered 400
    "#]],
    );
}

/// §3.1.2.9: may be refused.
#[test]
fn several_blanks_between_the_parts_of_the_request_line() {
    check(
        "lwsstart",
        expect![[r#"
        bad URI at byte 7; answered 400
    "#]],
    );
}

/// §3.1.2.10: may be refused.
#[test]
fn blanks_at_the_end_of_the_request_line() {
    check(
        "trws",
        expect![[r#"
        bad start line at byte 47; answered 400
    "#]],
    );
}

/// §3.1.2.11: may be refused with 400.
#[test]
fn escaped_headers_in_the_request_uri() {
    check(
        "escruri",
        expect![[r#"
        bad URI at byte 28; answered 400
    "#]],
    );
}

/// §3.1.2.12: may be read by whoever does not look at Date, as we do not.
#[test]
fn an_invalid_time_zone_in_date() {
    let message = check(
        "baddate",
        expect![[r#"
        INVITE sip:user@example.com
        Via: UDP host.example.com branch z9hG4bKkdjuw
        From:  <sip:caller@example.net> tag 2234923
        To:  <sip:user@example.com>
        Call-ID: baddate.239423mnsadf3j23lj42--sedfnm234
        CSeq: 1392934 INVITE
        Contact:  <sip:caller@host5.example.net>
        10 headers, 150 bytes of application/sdp
    "#]],
    );
    assert!(message.is_some_and(|message| message.headers().named("date").is_some()));
}

/// §3.1.2.13: the Contact cannot be read. Refusing the REGISTER with 400 is the registrar's part.
#[test]
fn a_uri_with_headers_that_is_not_enclosed_in_brackets() {
    let message = check(
        "regbadct",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP 135.180.130.133:5060 branch z9hG4bKkdjuw
        From:  <sip:user@example.com> tag 998332
        To:  <sip:user@example.com>
        Call-ID: regbadct.k345asrl3fdbv@10.0.0.1
        CSeq: 1 REGISTER
        Contact: bad address at byte 52
        8 headers, 0 bytes of nothing
    "#]],
    );
    assert!(message.is_some_and(|message| message.headers().contact().is_none()));
}

/// §3.1.2.14: 400 is reasonable.
#[test]
fn blanks_within_an_address() {
    check(
        "badaspec",
        expect![[r#"
            bad To at byte 206; answered 400
        "#]],
    );
}

/// §3.1.2.15: 400 is always reasonable. The archive's file also lacks the empty line that ends the
/// headers, so the fault that the RFC means is looked for in a copy with that line.
#[test]
fn separators_in_an_unquoted_display_name() {
    check(
        "baddn",
        expect![[r#"
        bad header line at byte 331; answered 400
    "#]],
    );
    let mut complete = super::datagram(&format!("{}/baddn.dat", super::FOLDER)).to_vec();
    complete.extend_from_slice(b"\r\n");
    let fault = Message::parse(complete.into()).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Address(Name::From));
}

/// §3.1.2.16: 505.
#[test]
fn an_unknown_protocol_version() {
    check(
        "badvers",
        expect![[r#"
        unsupported SIP version at byte 33; answered 505
    "#]],
    );
}

/// §3.1.2.17: 400.
#[test]
fn the_start_line_and_cseq_name_different_methods() {
    check(
        "mismatch01",
        expect![[r#"
        CSeq names another method at byte 165; answered 400
    "#]],
    );
}

/// §3.1.2.18: 400 or 501.
#[test]
fn an_unknown_method_differs_from_that_in_cseq() {
    check(
        "mismatch02",
        expect![[r#"
        CSeq names another method at byte 167; answered 400
    "#]],
    );
}

/// §3.1.2.19: dropped.
#[test]
fn an_overlarge_response_code() {
    check(
        "bigcode",
        expect![[r#"
        bad status code at byte 7; dropped
    "#]],
    );
}
