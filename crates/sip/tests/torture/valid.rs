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
    let request = request(check("wsinv", expect![[]]));
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
    assert_eq!((contact.params.get("secondparam"), contact.params.get("q")), (Some(""), Some("0.33")));
}

/// §3.1.1.2. The method is unknown: 501.
#[test]
fn a_wide_range_of_valid_characters() {
    let request = request(check("intmeth", expect![[]]));
    assert_eq!(request.method, Method::Other);
    assert_eq!(request.to().display, b"\"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\"");
    assert_eq!(request.from().params.get("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(request.named("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電".as_bytes()));
}

/// §3.1.1.3.
#[test]
fn a_valid_use_of_the_percent_escape() {
    let request = request(check("esc01", expect![[]]));
    let plain = |text: Option<&str>| text.and_then(unescape).map(String::from).unwrap();
    assert_eq!(plain(Uri::parse(request.uri()).unwrap().user), "sips:user@example.com");
    assert_eq!(plain(Uri::parse(request.to().uri).unwrap().user), "user");
    assert_eq!(plain(Uri::parse(request.from().uri).unwrap().user), "I have spaces");
    let contact = request.contact().unwrap();
    let uri = Uri::parse(contact.uri).unwrap();
    assert_eq!(plain(uri.user), "caller");
    let params: Vec<_> =
        uri.params.iter().map(|(name, value)| (plain(Some(name)), plain(Some(value)))).collect();
    assert_eq!(params, [("lr".to_owned(), String::new()), ("name".to_owned(), "value%41".to_owned())]);
}

/// §3.1.1.4.
#[test]
fn escaped_nulls_in_uris() {
    let request = request(check("escnull", expect![[]]));
    let user = Uri::parse(request.to().uri).unwrap().user.and_then(unescape).unwrap();
    assert_eq!(user, "null-\0-null");
}

/// §3.1.1.5. The method is unknown: 501.
#[test]
fn a_percent_that_is_no_escape() {
    let request = request(check("esc02", expect![[]]));
    assert_eq!(request.method, Method::Other);
    assert_eq!(request.values(Name::Contact).count(), 2);
    assert_eq!(request.named("C%6Fntact"), Some(&b"<sip:alias2@host2.example.com>"[..]));
}

/// §3.1.1.6.
#[test]
fn no_blank_between_a_display_name_and_its_uri() {
    check("lwsdisp", expect![[]]);
}

/// §3.1.1.7.
#[test]
fn long_values_in_headers() {
    let request = request(check("longreq", expect![[]]));
    assert_eq!(request.values(Name::Via).count(), 34);
    assert_eq!(Uri::parse(request.to().uri).unwrap().port, Some(6000));
}

/// §3.1.1.8.
#[test]
fn extra_octets_after_the_body_are_ignored() {
    let request = request(check("dblreq", expect![[]]));
    assert!(request.body().is_empty() && request.bytes().ends_with(b"\r\n\r\n"));
}

/// §3.1.1.9.
#[test]
fn semicolons_in_the_user_part_of_a_uri() {
    let request = request(check("semiuri", expect![[]]));
    let user = Uri::parse(request.uri()).unwrap().user.and_then(unescape).unwrap();
    assert_eq!(user, "user;par=u@example.net");
    assert_eq!(request.values(Name::Accept).count(), 6);
}

/// §3.1.1.10.
#[test]
fn known_and_unknown_transports() {
    let request = request(check("transports", expect![[]]));
    let transports: Vec<_> =
        request.values(Name::Via).map(|via| sip::Via::parse(via).unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

/// §3.1.1.11.
#[test]
fn a_multipart_message_with_a_binary_part() {
    let request = request(check("mpart01", expect![[]]));
    assert!(request.body().contains(&0) && request.body().ends_with(b"--7a9cbec02ceef655--\r\n"));
    assert_eq!(request.via().rport(), Some(""));
}

/// §3.1.1.12.
#[test]
fn an_unusual_reason_phrase() {
    check("unreason", expect![[]]);
}

/// §3.1.1.13.
#[test]
fn an_empty_reason_phrase() {
    check("noreason", expect![[]]);
}
