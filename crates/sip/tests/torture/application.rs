//! RFC 4475 §3.2 to §3.4: messages that only the layers above the parser can judge.

use expect_test::expect;
use sip::sdp::Sdp;
use sip::{Message, Name, NameAddr, Uri};

use super::check;

/// §3.2.1. The branch is only the magic cookie: 400, or matched by the rules of RFC 2543.
#[test]
fn a_missing_transaction_identifier() {
    check(
        "badbranch",
        expect![[r#"
        OPTIONS sip:user@example.com
        Via: UDP 192.0.2.1 branch z9hG4bK
        From:  <sip:caller@example.org> tag 33242
        To:  <sip:user@example.com>
        Call-ID: badbranch.sadonfo23i420jv0as0derf3j3n
        CSeq: 8 OPTIONS
        8 headers, 0 bytes of nothing
    "#]],
    );
}

/// §3.3.1: 400 where possible; without From, To and Call-ID there is no response to make.
#[test]
fn missing_required_headers() {
    check(
        "insuf",
        expect![[r#"
        missing From at byte 0; dropped
    "#]],
    );
}

/// §3.3.2: 416, above the parser.
#[test]
fn a_request_uri_with_an_unknown_scheme() {
    check(
        "unkscm",
        expect![[r#"
        OPTIONS nobodyKnowsThisScheme:totallyopaquecontent
        Via: TCP host9.example.com branch z9hG4bKkdjuw39234
        From:  <sip:caller@example.net> tag 384
        To:  <sip:user@example.com>
        Call-ID: unkscm.nasdfasser0q239nwsdfasdkl34
        CSeq: 3923423 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    );
}

/// §3.3.3: 416, above the parser.
#[test]
fn a_request_uri_with_a_known_but_atypical_scheme() {
    check(
        "novelsc",
        expect![[r#"
        OPTIONS soap.beep://192.0.2.103:3002
        Via: TCP host9.example.com branch z9hG4bKkdjuw39234
        From:  <sip:caller@example.net> tag 384
        To:  <sip:user@example.com>
        Call-ID: novelsc.asdfasser0q239nwsdfasdkl34
        CSeq: 3923423 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    );
}

/// §3.3.4: a registrar answers 400, for To is no SIP address.
#[test]
fn unknown_schemes_in_headers() {
    check(
        "unksm2",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP 192.0.2.21:5060 branch z9hG4bKkdjuw
        From:  <http://www.example.com> tag 3234233
        To:  <isbn:2983792873>
        Call-ID: unksm2.daksdj@hyphenated-host.example.com
        CSeq: 234902 REGISTER
        Contact:  <name:John_Smith>
        8 headers, 0 bytes of nothing
    "#]],
    );
}

/// §3.3.5: 420 with Unsupported, above the parser.
#[test]
fn require_and_proxy_require() {
    let message = check(
        "bext01",
        expect![[r#"
        OPTIONS sip:user@example.com
        Via: TLS fold-and-staple.example.com branch z9hG4bKkdjuw
        From:  <sip:caller@example.net> tag 242etr
        To:  <sip:j_user@example.com>
        Call-ID: bext01.0ha0isndaksdj
        CSeq: 8 OPTIONS
        9 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let options: Vec<_> =
        message.headers().values(Name::Require).map(String::from_utf8_lossy).collect();
    assert_eq!(options, ["nothingSupportsThis", "nothingSupportsThisEither"]);
}

/// §3.3.6: 415, above the parser.
#[test]
fn an_unknown_content_type() {
    check(
        "invut",
        expect![[r#"
        INVITE sip:user@example.com
        Via: UDP somehost.example.com branch z9hG4bKkdjuw
        From:  <sip:caller@example.net> tag 8392034
        To:  <sip:j.user@example.com>
        Call-ID: invut.0ha0isndaksdjadsfij34n23d
        CSeq: 235448 INVITE
        Contact:  <sip:caller@host5.example.net>
        9 headers, 40 bytes of application/unknownformat
    "#]],
    );
}

/// §3.3.7: an unknown scheme of Authorization is ignored or challenged anew.
#[test]
fn an_unknown_authorization_scheme() {
    let message = check(
        "regaut01",
        expect![[r#"
        REGISTER sip:example.com
        Via: TCP 192.0.2.253 branch z9hG4bKkdjuw
        From:  <sip:j.user@example.com> tag 87321hj23128
        To:  <sip:j.user@example.com>
        Call-ID: regaut01.0ha0isndaksdj
        CSeq: 9338 REGISTER
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let authorization = message.headers().text(Name::Authorization);
    assert_eq!(authorization, Some("NoOneKnowsThisScheme opaque-data=here"));
}

/// §3.3.8: 400.
#[test]
fn multiple_values_in_single_value_headers() {
    check(
        "multi01",
        expect![[r#"
        more than one CSeq at byte 197; answered 400
    "#]],
    );
}

/// §3.3.9: an error.
#[test]
fn multiple_content_length_values() {
    check(
        "mcl01",
        expect![[r#"
        more than one Content-Length at byte 268; answered 400
    "#]],
    );
}

/// §3.3.10: a user agent discards it, for it has more than its own Via.
#[test]
fn a_response_with_a_broadcast_address_in_its_second_via() {
    let message = check(
        "bcast",
        expect![[r#"
        200 "OK"
        Via: UDP 192.0.2.198 branch z9hG4bK1324923
        From:  <sip:user@example.com> tag 11141343
        To:  <sip:user@example.edu> tag 2229
        Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf
        CSeq: 35 INVITE
        Contact:  <sip:user@host28.example.com>
        9 headers, 154 bytes of application/sdp
    "#]],
    )
    .unwrap();
    assert_eq!(message.headers().values(Name::Via).count(), 2);
}

/// §3.3.11: a user agent handles it as any other; a proxy answers 483.
#[test]
fn max_forwards_of_zero() {
    let message = check(
        "zeromf",
        expect![[r#"
        OPTIONS sip:user@example.com
        Via: UDP host1.example.com branch z9hG4bKkdjuw2349i
        From:  <sip:caller@example.net> tag 3ghsd41
        To:  <sip:user@example.com>
        Call-ID: zeromf.jfasdlfnm2o2l43r5u0asdfas
        CSeq: 39234321 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(message.headers().number(Name::MaxForwards), Some(0));
}

/// §3.3.12.
#[test]
fn a_parameter_after_a_bare_uri_is_the_contacts() {
    let message = check(
        "cparam01",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP saturn.example.com:5060 branch z9hG4bKkdjuw
        From:  <sip:watson@example.com> tag DkfVgjkrtMwaerKKpe
        To:  <sip:watson@example.com>
        Call-ID: cparam01.70710@saturn.example.com
        CSeq: 2 REGISTER
        Contact:  <sip:+19725552222@gw1.example.net> and 1 parameters
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let contact = message.headers().contact().unwrap();
    assert_eq!(contact.params.get("unknownparam"), Some(""));
}

/// §3.3.13.
#[test]
fn a_parameter_inside_the_brackets_is_the_uris() {
    let message = check(
        "cparam02",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP saturn.example.com:5060 branch z9hG4bKkdjuw
        From:  <sip:watson@example.com> tag 838293
        To:  <sip:watson@example.com>
        Call-ID: cparam02.70710@saturn.example.com
        CSeq: 3 REGISTER
        Contact:  <sip:+19725552222@gw1.example.net;unknownparam>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let contact = message.headers().contact().unwrap();
    assert!(contact.params.is_empty());
    assert_eq!(Uri::parse(contact.uri).unwrap().params.get("unknownparam"), Some(""));
}

/// §3.3.14.
#[test]
fn a_contact_uri_with_an_escaped_header() {
    let message = check(
        "regescrt",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP host5.example.com branch z9hG4bKkdjuw
        From:  <sip:user@example.com> tag 8
        To:  <sip:user@example.com>
        Call-ID: regescrt.k345asrl3fdbv@192.0.2.1
        CSeq: 14398234 REGISTER
        Contact:  <sip:user@example.com?Route=%3Csip:sip.example.com%3E>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let contact = message.headers().contact().unwrap();
    assert_eq!(Uri::parse(contact.uri).unwrap().header("Route"), Some("%3Csip:sip.example.com%3E"));
}

/// §3.3.15: 406 or 400, above the parser.
#[test]
fn an_accept_without_sdp() {
    let message = check(
        "sdp01",
        expect![[r#"
        INVITE sip:user@example.com
        Via: UDP 192.0.2.15 branch z9hG4bKkdjuw
        From:  <sip:caller@example.net> tag 234
        To:  <sip:j_user@example.com>
        Call-ID: sdp01.ndaksdj9342dasdd
        CSeq: 8 INVITE
        Contact:  <sip:caller@host15.example.net>
        10 headers, 150 bytes of application/sdp
    "#]],
    )
    .unwrap();
    assert_eq!(message.headers().text(Name::Accept), Some("text/nobodyKnowsThis"));
    assert_eq!(Sdp::parse(message.headers().body()).unwrap().media().count(), 2);
}

/// §3.4.1: no branch, no From tag, no Content-Length, no Max-Forwards.
#[test]
fn an_invite_with_rfc_2543_syntax() {
    let message = check(
        "inv2543",
        expect![[r#"
        INVITE sip:UserB@example.com
        Via: UDP iftgw.example.com branch none
        From:  <sip:+13035551111@ift.client.example.net;user=phone>
        To:  <sip:+16505552222@ss1.example.net> and 1 parameters
        Call-ID: inv2543.1717@ift.client.example.com
        CSeq: 56 INVITE
        7 headers, 105 bytes of application/sdp
    "#]],
    )
    .unwrap();
    let Message::Request(request) = &message else { panic!("a response") };
    assert_eq!((request.branch(), request.from_tag()), (None, None));
    assert_eq!(request.number(Name::MaxForwards), None);
    let route = request.values(Name::RecordRoute).next().map(NameAddr::parse).unwrap().unwrap();
    assert!(!Uri::parse(route.uri).unwrap().is_loose_route());
}

/// Beside the messages of the RFC's text: no version, and addresses without a scheme.
#[test]
fn a_message_that_has_little_of_sip() {
    check(
        "test",
        expect![[r#"
        bad start line at byte 6; dropped
    "#]],
    );
}
