//! RFC 4475 §3.2 to §3.4: messages that only the layers above the parser can judge.

use expect_test::expect;
use sip::sdp::Sdp;
use sip::{Message, Name, NameAddr, Uri};

use super::check;

/// §3.2.1. The branch is only the magic cookie: 400, or matched by the rules of RFC 2543.
#[test]
fn a_missing_transaction_identifier() {
    check("badbranch", expect![[]]);
}

/// §3.3.1: 400 where possible; without From, To and Call-ID there is no response to make.
#[test]
fn missing_required_headers() {
    check("insuf", expect![[]]);
}

/// §3.3.2: 416, above the parser.
#[test]
fn a_request_uri_with_an_unknown_scheme() {
    check("unkscm", expect![[]]);
}

/// §3.3.3: 416, above the parser.
#[test]
fn a_request_uri_with_a_known_but_atypical_scheme() {
    check("novelsc", expect![[]]);
}

/// §3.3.4: a registrar answers 400, for To is no SIP address.
#[test]
fn unknown_schemes_in_headers() {
    check("unksm2", expect![[]]);
}

/// §3.3.5: 420 with Unsupported, above the parser.
#[test]
fn require_and_proxy_require() {
    let message = check("bext01", expect![[]]).unwrap();
    let options: Vec<_> = message.headers().values(Name::Require).map(String::from_utf8_lossy).collect();
    assert_eq!(options, ["nothingSupportsThis", "nothingSupportsThisEither"]);
}

/// §3.3.6: 415, above the parser.
#[test]
fn an_unknown_content_type() {
    check("invut", expect![[]]);
}

/// §3.3.7: an unknown scheme of Authorization is ignored or challenged anew.
#[test]
fn an_unknown_authorization_scheme() {
    let message = check("regaut01", expect![[]]).unwrap();
    let authorization = message.headers().text(Name::Authorization);
    assert_eq!(authorization, Some("NoOneKnowsThisScheme opaque-data=here"));
}

/// §3.3.8: 400.
#[test]
fn multiple_values_in_single_value_headers() {
    check("multi01", expect![[]]);
}

/// §3.3.9: an error.
#[test]
fn multiple_content_length_values() {
    check("mcl01", expect![[]]);
}

/// §3.3.10: a user agent discards it, for it has more than its own Via.
#[test]
fn a_response_with_a_broadcast_address_in_its_second_via() {
    let message = check("bcast", expect![[]]).unwrap();
    assert_eq!(message.headers().values(Name::Via).count(), 2);
}

/// §3.3.11: a user agent handles it as any other; a proxy answers 483.
#[test]
fn max_forwards_of_zero() {
    let message = check("zeromf", expect![[]]).unwrap();
    assert_eq!(message.headers().number(Name::MaxForwards), Some(0));
}

/// §3.3.12.
#[test]
fn a_parameter_after_a_bare_uri_is_the_contacts() {
    let message = check("cparam01", expect![[]]).unwrap();
    let contact = message.headers().contact().unwrap();
    assert_eq!(contact.params.get("unknownparam"), Some(""));
}

/// §3.3.13.
#[test]
fn a_parameter_inside_the_brackets_is_the_uris() {
    let message = check("cparam02", expect![[]]).unwrap();
    let contact = message.headers().contact().unwrap();
    assert!(contact.params.is_empty());
    assert_eq!(Uri::parse(contact.uri).unwrap().params.get("unknownparam"), Some(""));
}

/// §3.3.14.
#[test]
fn a_contact_uri_with_an_escaped_header() {
    let message = check("regescrt", expect![[]]).unwrap();
    let contact = message.headers().contact().unwrap();
    assert_eq!(Uri::parse(contact.uri).unwrap().header("Route"), Some("%3Csip:sip.example.com%3E"));
}

/// §3.3.15: 406 or 400, above the parser.
#[test]
fn an_accept_without_sdp() {
    let message = check("sdp01", expect![[]]).unwrap();
    assert_eq!(message.headers().text(Name::Accept), Some("text/nobodyKnowsThis"));
    assert_eq!(Sdp::parse(message.headers().body()).unwrap().media().count(), 2);
}

/// §3.4.1: no branch, no From tag, no Content-Length, no Max-Forwards.
#[test]
fn an_invite_with_rfc_2543_syntax() {
    let message = check("inv2543", expect![[]]).unwrap();
    let Message::Request(request) = &message else { panic!("a response") };
    assert_eq!((request.branch(), request.from_tag()), (None, None));
    assert_eq!(request.number(Name::MaxForwards), None);
    let route = request.values(Name::RecordRoute).next().map(NameAddr::parse).unwrap().unwrap();
    assert!(!Uri::parse(route.uri).unwrap().is_loose_route());
}

/// Beside the messages of the RFC's text: no version, and addresses without a scheme.
#[test]
fn a_message_that_has_little_of_sip() {
    check("test", expect![[]]);
}
