//! RFC 4475 §3.1.1: syntactically valid messages.

use expect_test::expect;
use sip::uri::unescape;
use sip::{Message, Method, Name, Request, Uri};

use super::check;

fn request(message: Option<Message>) -> Request {
    match message {
        Some(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

/// §3.1.1.1.
#[test]
fn a_short_tortuous_invite() {
    let request = request(check(
        "wsinv",
        expect![[r#"
        INVITE sip:vivekg@chair-dnrc.example.com;unknownparam
        Via: UDP 192.0.2.2 branch 390skdjuw
        From: \"J Rosenberg \\\\\\\"\" <sip:jdrosen@example.com> tag 98asjd8
        To:  <sip:vivekg@chair-dnrc.example.com> tag 1918181833n
        Call-ID: wsinv.ndaksdj@192.0.2.1
        CSeq: 9 INVITE
        Contact: \"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> and 3 parameters
        14 headers, 150 bytes of application/sdp
    "#]],
    ));
    assert_eq!(request.number(Name::MaxForwards), Some(68));
    assert_eq!(request.text(Name::Subject), Some(""));
    assert_eq!(request.values(Name::Via).count(), 3);
    assert_eq!(request.named("unknownheaderwithunusualvalue"), Some(&b";;,,;;,;"[..]));
    let newfangled = request.named("NewFangledHeader").unwrap();
    assert_eq!(newfangled, b"newfangled value   continued newfangled value");
    let uri = Uri::parse(request.uri()).unwrap();
    assert_eq!((uri.user, uri.params.get("unknownparam")), (Some("vivekg"), Some("")));
    let contact = request.contact().unwrap();
    assert_eq!(contact.params.get("newparam"), Some("newvalue"));
    assert_eq!(
        (contact.params.get("secondparam"), contact.params.get("q")),
        (Some(""), Some("0.33"))
    );
}

/// §3.1.1.2. The method is unknown: 501.
#[test]
fn a_wide_range_of_valid_characters() {
    let request = request(check(
        "intmeth",
        expect![[r#"
        !interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*:&it+ha... (107 bytes)
        Via: TCP host1.example.com branch z9hG4bK-.!%66*_+`\'~
        From: token1~` token2\'+_ token3*%!.- <sip:mundane@example.com> tag _token~1\'+`*%!-. and 1 parameters
        To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>
        Call-ID: intmeth.word%ZK-!.*_+\'@word`~)(><:\\/\"][?}{
        CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
        8 headers, 0 bytes of nothing
    "#]],
    ));
    assert_eq!(request.method, Method::Other);
    assert_eq!(request.to().display, b"\"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\"");
    assert_eq!(request.from().params.get("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(request.named("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電".as_bytes()));
}

/// §3.1.1.3.
#[test]
fn a_valid_use_of_the_percent_escape() {
    let request = request(check(
        "esc01",
        expect![[r#"
        INVITE sip:sips%3Auser%40example.com@example.net
        Via: UDP host5.example.net branch z9hG4bKkdjuw
        From:  <sip:I%20have%20spaces@example.net> tag 938
        To:  <sip:%75se%72@example.com>
        Call-ID: esc01.239409asdfakjkn23onasd0-3234
        CSeq: 234234 INVITE
        Contact:  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
        9 headers, 150 bytes of application/sdp
    "#]],
    ));
    let plain = |text: Option<&str>| text.and_then(unescape).map(String::from).unwrap();
    assert_eq!(plain(Uri::parse(request.uri()).unwrap().user), "sips:user@example.com");
    assert_eq!(plain(Uri::parse(request.to().uri).unwrap().user), "user");
    assert_eq!(plain(Uri::parse(request.from().uri).unwrap().user), "I have spaces");
    let contact = request.contact().unwrap();
    let uri = Uri::parse(contact.uri).unwrap();
    assert_eq!(plain(uri.user), "caller");
    let params: Vec<_> =
        uri.params.iter().map(|(name, value)| (plain(Some(name)), plain(Some(value)))).collect();
    assert_eq!(
        params,
        [("lr".to_owned(), String::new()), ("name".to_owned(), "value%41".to_owned())]
    );
}

/// §3.1.1.4.
#[test]
fn escaped_nulls_in_uris() {
    let request = request(check(
        "escnull",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP host5.example.com branch z9hG4bKkdjuw
        From:  <sip:null-%00-null@example.com> tag 839923423
        To:  <sip:null-%00-null@example.com>
        Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
        CSeq: 14398234 REGISTER
        Contact:  <sip:%00@host5.example.com>
        Contact:  <sip:%00%00@host5.example.com>
        9 headers, 0 bytes of nothing
    "#]],
    ));
    let user = Uri::parse(request.to().uri).unwrap().user.and_then(unescape).unwrap();
    assert_eq!(user, "null-\0-null");
}

/// §3.1.1.5. The method is unknown: 501.
#[test]
fn a_percent_that_is_no_escape() {
    let request = request(check(
        "esc02",
        expect![[r#"
        RE%47IST%45R sip:registrar.example.com
        Via: TCP host.example.com branch z9hG4bK209%fzsnel234
        From: \"%Z%45\" <sip:resource@example.com> tag f232jadfj23
        To: \"%Z%45\" <sip:resource@example.com>
        Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
        CSeq: 29344 RE%47IST%45R
        Contact:  <sip:alias1@host1.example.com>
        Contact:  <sip:alias3@host3.example.com>
        10 headers, 0 bytes of nothing
    "#]],
    ));
    assert_eq!(request.method, Method::Other);
    assert_eq!(request.values(Name::Contact).count(), 2);
    assert_eq!(request.named("C%6Fntact"), Some(&b"<sip:alias2@host2.example.com>"[..]));
}

/// §3.1.1.6.
#[test]
fn no_blank_between_a_display_name_and_its_uri() {
    check(
        "lwsdisp",
        expect![[r#"
        OPTIONS sip:user@example.com
        Via: UDP funky.example.com branch z9hG4bKkdjuw
        From: caller <sip:caller@example.com> tag 323
        To:  <sip:user@example.com>
        Call-ID: lwsdisp.1234abcd@funky.example.com
        CSeq: 60 OPTIONS
        7 headers, 0 bytes of nothing
    "#]],
    );
}

/// §3.1.1.7.
#[test]
fn long_values_in_headers() {
    let request = request(check(
        "longreq",
        expect![[r#"
        INVITE sip:user@example.com
        Via: TCP sip33.example.com branch none
        From:  <sip:amazinglylongcallernameamazinglylongcallernameamazinglyl... (131 bytes)> tag 129829829829829829829829829829829829829829829829829829829829... (155 bytes) and 2 parameters
        To: \"I have a user name of extremeextremeextremeextremeextremee... (105 bytes) <sip:user@example.com:6000;unknownparam1=verylonglonglonglong... (379 bytes)>
        Call-ID: longreq.onereallyreallyreallyreallyreallyreallyreallyreallyr... (141 bytes)
        CSeq: 3882340 INVITE
        Contact:  <sip:amazinglylongcallernameamazinglylongcallernameamazinglyl... (137 bytes)>
        43 headers, 150 bytes of application/sdp
    "#]],
    ));
    assert_eq!(request.values(Name::Via).count(), 34);
    assert_eq!(Uri::parse(request.to().uri).unwrap().port, Some(6000));
}

/// §3.1.1.8.
#[test]
fn extra_octets_after_the_body_are_ignored() {
    let request = request(check(
        "dblreq",
        expect![[r#"
        REGISTER sip:example.com
        Via: UDP 192.0.2.125 branch z9hG4bKkdjuw23492
        From:  <sip:j.user@example.com> tag 43251j3j324
        To:  <sip:j.user@example.com>
        Call-ID: dblreq.0ha0isndaksdj99sdfafnl3lk233412
        CSeq: 8 REGISTER
        Contact:  <sip:j.user@host.example.com>
        8 headers, 0 bytes of nothing
    "#]],
    ));
    assert!(request.body().is_empty() && request.bytes().ends_with(b"\r\n\r\n"));
}

/// §3.1.1.9.
#[test]
fn semicolons_in_the_user_part_of_a_uri() {
    let request = request(check(
        "semiuri",
        expect![[r#"
        OPTIONS sip:user;par=u%40example.net@example.com
        Via: UDP 192.0.2.1 branch z9hG4bKkdjuw
        From:  <sip:caller@example.org> tag 33242
        To:  <sip:j_user@example.com>
        Call-ID: semiuri.0ha0isndaksdj
        CSeq: 8 OPTIONS
        8 headers, 0 bytes of nothing
    "#]],
    ));
    let user = Uri::parse(request.uri()).unwrap().user.and_then(unescape).unwrap();
    assert_eq!(user, "user;par=u@example.net");
    assert_eq!(request.values(Name::Accept).count(), 6);
}

/// §3.1.1.10.
#[test]
fn known_and_unknown_transports() {
    let request = request(check(
        "transports",
        expect![[r#"
        OPTIONS sip:user@example.com
        Via: UDP t1.example.com branch z9hG4bKkdjuw
        From:  <sip:caller@example.com> tag 323
        To:  <sip:user@example.com>
        Call-ID: transports.kijh4akdnaqjkwendsasfdj
        CSeq: 60 OPTIONS
        12 headers, 0 bytes of nothing
    "#]],
    ));
    let transports: Vec<_> =
        request.values(Name::Via).map(|via| sip::Via::parse(via).unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

/// §3.1.1.11.
#[test]
fn a_multipart_message_with_a_binary_part() {
    let request = request(check(
        "mpart01",
        expect![[r#"
        MESSAGE sip:kumiko@example.org
        Via: UDP 127.0.0.1:5070 branch z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-
        From:  <sip:fluffy@example.com> tag 2fb0dcc9
        To:  <sip:kumiko@example.org>
        Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
        CSeq: 1 MESSAGE
        Contact:  <sip:fluffy@127.0.0.1:5070>
        14 headers, 553 bytes of multipart/mixed
    "#]],
    ));
    assert!(request.body().contains(&0) && request.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
    assert_eq!(request.via().rport(), Some(""));
}

/// §3.1.1.12.
#[test]
fn an_unusual_reason_phrase() {
    check(
        "unreason",
        expect![[r#"
        200 "= 2**3 * 5**2 но сто девяносто девять - простое"
        Via: UDP 192.0.2.198 branch z9hG4bK1324923
        From:  <sip:user@example.com> tag 11141343
        To:  <sip:user@example.edu> tag 2229
        Call-ID: unreason.1234ksdfak3j2erwedfsASdf
        CSeq: 35 INVITE
        Contact:  <sip:user@host198.example.com>
        8 headers, 154 bytes of application/sdp
    "#]],
    );
}

/// §3.1.1.13.
#[test]
fn an_empty_reason_phrase() {
    check(
        "noreason",
        expect![[r#"
        100 ""
        Via: UDP 192.0.2.105 branch z9hG4bK2398ndaoe
        From:  <sip:user@example.com> tag 39ansfi3
        To:  <sip:user@example.edu> tag 902jndnke3
        Call-ID: noreason.asndj203insdf99223ndf
        CSeq: 35 INVITE
        Contact:  <sip:user@host105.example.com>
        7 headers, 0 bytes of nothing
    "#]],
    );
}
