//! URIs: the grammar, the hostile ones, and RFC 3261 §19.1.4's examples of equality.

use super::*;

fn parse(text: &str) -> Uri<'_> {
    Uri::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn every_part_of_a_sip_uri_is_read_and_printed_back() {
    let text = "sips:alice:secretword@atlanta.com:5061;transport=tcp;lr?subject=project%20x&priority=urgent";
    let uri = parse(text);
    assert_eq!(
        (uri.scheme, uri.user, uri.password),
        (Scheme::Sips, Some("alice"), Some("secretword"))
    );
    assert_eq!((uri.host, uri.port), ("atlanta.com", Some(5061)));
    assert_eq!((uri.params.get("transport"), uri.is_loose_route()), (Some("tcp"), true));
    assert_eq!((uri.header("Subject"), uri.header("to")), (Some("project%20x"), None));
    assert_eq!(uri.to_string(), text);
}

#[test]
fn parts_may_be_missing() {
    let uri = parse("sip:10.0.0.1");
    assert_eq!((uri.user, uri.host, uri.port), (None, "10.0.0.1", None));
    assert!(uri.params.is_empty() && uri.headers.is_empty() && !uri.is_loose_route());
}

#[test]
fn the_user_part_may_have_semicolons_and_odd_characters() {
    assert_eq!(
        parse("sip:user;par=u%40example.net@example.com").user,
        Some("user;par=u%40example.net")
    );
    let odd = "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
    assert_eq!(parse(odd).password, Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(parse("sip:*21#@pbx").user, Some("*21#"));
    assert_eq!(parse("sip:jörg@pbx").user, Some("jörg"));
}

#[test]
fn addresses_are_told_from_names() {
    assert_eq!(parse("sip:a@192.0.2.1:5080").ip(), Some([192, 0, 2, 1].into()));
    let uri = parse("sip:a@[2001:db8::10]:5070");
    assert_eq!((uri.host, uri.port), ("[2001:db8::10]", Some(5070)));
    assert_eq!(uri.ip(), Some("2001:db8::10".parse().unwrap()));
    assert_eq!(parse("sip:a@pbx-1.example.com.").ip(), None);
}

#[test]
fn tel_and_other_schemes_keep_what_follows() {
    let uri = parse("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!((uri.scheme, uri.host), (Scheme::Tel, "+1-201-555-0123"));
    assert_eq!(uri.params.get("phone-context"), Some("example.com"));
    let uri = parse("soap.beep://192.0.2.103:3002");
    assert_eq!((uri.scheme, uri.host), (Scheme::Other, "//192.0.2.103:3002"));
}

#[test]
fn what_is_no_uri_is_refused_with_its_place() {
    for (text, at) in [
        ("", 0),
        ("bob", 0),
        ("sip:", 0),
        ("sip:bob@", 8),
        ("sip:@host", 4),
        ("sip:bob@host:0", 13),
        ("sip:bob@host:65536", 13),
        ("sip:bob@host:", 13),
        ("sip:bob@host:5060x", 13),
        ("sip:bob@1.2.3.400", 8),
        ("sip:bob@-host", 8),
        ("sip:bob@ho..st", 8),
        ("sip:bob@[::1", 8),
        ("sip:bob@[::g]", 8),
        ("sip:bob@[::1]x", 8),
        ("sip:b%4@host", 4),
        ("sip:bob@host;", 13),
        ("sip:bob@host;a;;b", 15),
        ("sip:bob@host;a=b@c", 13),
        ("sip:bob@host?", 13),
        ("tel:", 0),
        ("tel:bob!", 4),
    ] {
        assert_eq!(Uri::parse(text), Err(ParseError::new(ErrorKind::Uri, at)), "{text}");
    }
}

#[test]
fn nothing_that_could_break_out_of_a_header_is_a_uri() {
    for bad in ["\r\n", "\n", "\0", " ", "\t", "<", ">", "\"", "\x7f"] {
        for text in [
            format!("sip:a{bad}@b"),
            format!("sip:a@b;x={bad}y"),
            format!("x:a{bad}"),
            format!("sip:a@b{bad}"),
        ] {
            assert!(Uri::parse(&text).is_err(), "{text:?}");
        }
    }
}

/// The examples of RFC 3261 §19.1.4.
#[test]
fn uris_are_equivalent_as_rfc_3261_shows() {
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0::1]"),
    ] {
        assert!(equivalent(&parse(a), &parse(b)), "{a} {b}");
        assert!(equivalent(&parse(b), &parse(a)), "{b} {a}");
    }
}

/// The counter-examples of RFC 3261 §19.1.4.
#[test]
fn uris_differ_as_rfc_3261_shows() {
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a%40b@c", "sip:a@c"),
        ("sip:a@b", "sip:a:secret@b"),
    ] {
        assert!(!equivalent(&parse(a), &parse(b)), "{a} {b}");
        assert!(!equivalent(&parse(b), &parse(a)), "{b} {a}");
    }
}
