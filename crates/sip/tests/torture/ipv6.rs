//! RFC 5118: IPv6 addresses in messages. The files are typed in from its §4; where the length of a
//! body as printed there is another than its Content-Length says, the latter was set right.

use std::net::IpAddr;

use expect_test::{Expect, expect};
use sip::sdp::Sdp;
use sip::{Message, Name, Request, Uri, Via};

use super::{IPV6_FOLDER, check_in};

fn check(name: &str, expected: Expect) -> Option<Request> {
    match check_in(IPV6_FOLDER, name, expected)? {
        Message::Request(request) => Some(request),
        Message::Response(response) => panic!("a response: {response:?}"),
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// §4.1.
#[test]
fn a_valid_message_with_an_ipv6_reference() {
    let request = check(
        "ipv6-good",
        expect![[r#"
        REGISTER sip:[2001:db8::10]
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.com>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 98176 REGISTER
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(Uri::parse(request.uri()).unwrap().ip(), ip("2001:db8::10"));
    assert_eq!(Uri::parse(request.contact().unwrap().uri).unwrap().ip(), ip("2001:db8::1"));
}

/// §4.2: 400.
#[test]
fn an_ipv6_address_without_brackets() {
    check(
        "ipv6-bad",
        expect![[r#"
        bad URI at byte 13; answered 400
    "#]],
    );
}

/// §4.3: what was meant as a port is part of the address.
#[test]
fn a_port_within_the_brackets() {
    let request = check(
        "port-ambiguous",
        expect![[r#"
        REGISTER sip:[2001:db8::10:5070]
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.com>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 98176 REGISTER
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let uri = Uri::parse(request.uri()).unwrap();
    assert_eq!((uri.ip(), uri.port), (ip("2001:db8::10:5070"), None));
}

/// §4.4.
#[test]
fn a_port_after_the_brackets() {
    let request = check(
        "port-unambiguous",
        expect![[r#"
        REGISTER sip:[2001:db8::10]:5070
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.com>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 98176 REGISTER
        Contact: \"Caller\" <sip:caller@[2001:db8::1]>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let uri = Uri::parse(request.uri()).unwrap();
    assert_eq!((uri.ip(), uri.port), (ip("2001:db8::10"), Some(5070)));
}

/// §4.5: against the grammar, but to be read.
#[test]
fn a_received_parameter_with_brackets() {
    let request = check(
        "via-received-param-with-delim",
        expect![[r#"
        BYE sip:[2001:db8::10]
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.com> tag bd76ya
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 321 BYE
        7 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(request.via().received(), Some("[2001:db8::9:255]"));
}

/// §4.5.
#[test]
fn a_received_parameter_without_brackets() {
    let request = check(
        "via-received-param-no-delim",
        expect![[r#"
        OPTIONS sip:[2001:db8::10]
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.com>
        Call-ID: SSG95523997077@hlau_4100
        CSeq: 921 OPTIONS
        Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>
        8 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(request.via().received(), Some("2001:db8::9:255"));
}

/// §4.6.
#[test]
fn ipv6_addresses_in_sdp() {
    let request = check(
        "ipv6-in-sdp",
        expect![[r#"
        INVITE sip:user@[2001:db8::10]
        Via: UDP [2001:db8::20] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@[2001:db8::10]>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 8612 INVITE
        Contact: \"Caller\" <sip:caller@[2001:db8::20]>
        9 headers, 251 bytes of application/sdp
    "#]],
    )
    .unwrap();
    let sdp = Sdp::parse(request.body()).unwrap();
    let media: Vec<_> = sdp.media().map(|media| (media.port, media.connection)).collect();
    assert_eq!(media, [(6000, Some("2001:db8::20")), (6024, Some("2001:db8::20"))]);
}

/// §4.7.
#[test]
fn addresses_of_both_kinds_in_headers() {
    let request = check(
        "mult-ip-in-header",
        expect![[r#"
        BYE sip:user@host.example.net
        Via: UDP [2001:db8::9:1]:6050 branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@example.net> tag 9817--94
        Call-ID: 997077@lau_4100
        CSeq: 89187 BYE
        9 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    let vias = request.values(Name::Via).map(|via| Via::parse(via).unwrap());
    let hosts: Vec<_> = vias.map(|via| (via.host, via.port)).collect();
    assert_eq!(
        hosts,
        [("[2001:db8::9:1]", Some(6050)), ("192.0.2.1", None), ("[2001:db8::9:255]", None)]
    );
}

/// §4.8.
#[test]
fn addresses_of_both_kinds_in_sdp() {
    let request = check(
        "mult-ip-in-sdp",
        expect![[r#"
        INVITE sip:user@[2001:db8::10]
        Via: UDP [2001:db8::9:1] branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 81x2
        To:  <sip:user@[2001:db8::10]>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 8912 INVITE
        Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>
        9 headers, 189 bytes of application/sdp
    "#]],
    )
    .unwrap();
    let sdp = Sdp::parse(request.body()).unwrap();
    let addresses: Vec<_> = sdp.media().map(|media| media.connection.unwrap()).collect();
    assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
}

/// §4.9.
#[test]
fn ipv4_mapped_addresses() {
    let request = check(
        "ipv4-mapped-ipv6",
        expect![[r#"
        INVITE sip:user@example.com
        Via: UDP [::ffff:192.0.2.10]:19823 branch z9hG4bKbh19
        From:  <sip:user@east.example.com> tag 81x2
        To:  <sip:user@example.com>
        Call-ID: SSG9559905523997077@hlau_4100
        CSeq: 612 INVITE
        Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>
        10 headers, 245 bytes of application/sdp
    "#]],
    )
    .unwrap();
    assert_eq!((request.via().host, request.via().port), ("[::ffff:192.0.2.10]", Some(19823)));
    assert_eq!(Uri::parse(request.contact().unwrap().uri).unwrap().ip(), ip("::ffff:192.0.2.2"));
}

/// §4.10: a fault in the grammar of RFC 3261, to be tolerated.
#[test]
fn three_colons_before_an_ipv4_part() {
    let request = check(
        "ipv6-bug-abnf-3-colons",
        expect![[r#"
        OPTIONS sip:user@[2001:db8:::192.0.2.1]
        Via: UDP lab1.east.example.com branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 810x2
        To:  <sip:user@[2001:db8:::192.0.2.1]>
        Call-ID: G9559905523997077@hlau_4100
        CSeq: 689 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(Uri::parse(request.uri()).unwrap().ip(), ip("2001:db8::192.0.2.1"));
}

/// §4.10.
#[test]
fn two_colons_before_an_ipv4_part() {
    let request = check(
        "ipv6-correct-abnf-2-colons",
        expect![[r#"
        OPTIONS sip:user@[2001:db8::192.0.2.1]
        Via: UDP lab1.east.example.com branch z9hG4bKas3-111
        From:  <sip:user@example.com> tag 810x2
        To:  <sip:user@[2001:db8::192.0.2.1]>
        Call-ID: G9559905523997077@hlau_4100
        CSeq: 689 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    )
    .unwrap();
    assert_eq!(Uri::parse(request.uri()).unwrap().ip(), ip("2001:db8::192.0.2.1"));
}
