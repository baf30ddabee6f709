//! Phones behind NAT (RFC 3581): bob's phone is 10.0.0.7 in its own network, and seen from here as
//! [`CALLEE`].

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Sent, Wire, address, the};

const BOB: &str = "sip:bob@192.0.2.1:5060";
const INSIDE: &str = "<sip:bob@10.0.0.7:5062>";

fn register(contact: &str) -> Draft {
    Draft::request("REGISTER", "sip:192.0.2.1:5060", CALLEE)
        .set("From", format!("<{BOB}>;tag=bob"))
        .set("To", format!("<{BOB}>"))
        .set("Contact", contact)
}

/// The INVITE to bob after this REGISTER.
fn called(register: Draft) -> (Wire, Sent) {
    let mut wire = Wire::new();
    the(&wire.receive(CALLEE, register), "200");
    let sent = wire.receive(CALLER, Draft::request("INVITE", BOB, CALLER).sdp());
    let invite = the(&sent, "INVITE");
    (wire, invite)
}

#[test]
fn a_phone_is_called_where_its_register_came_from_by_the_contact_it_gave() {
    let (_, invite) = called(register(INSIDE));
    assert_eq!(invite.start(), "INVITE sip:bob@10.0.0.7:5062 SIP/2.0");
    assert_eq!(invite.to, CALLEE);
}

#[test]
fn a_phone_that_asks_for_nothing_or_says_where_it_is_is_called_at_its_contact() {
    let via = format!("SIP/2.0/UDP {CALLEE};branch=z9hG4bK-r");
    // No rport: answers go elsewhere, too.
    let (_, invite) = called(register(INSIDE).set("Via", via));
    assert_eq!(invite.to.to_string(), "10.0.0.7:5062");
    // By another port it is the same phone.
    let (_, invite) = called(register("<sip:bob@192.0.2.20:5090>"));
    assert_eq!(invite.to, address(20, 5090));
    // A proxy sent it, which is no way to the phone unless it says so.
    let (_, invite) = called(register(INSIDE).add("Via", "SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK-p"));
    assert_eq!(invite.to.to_string(), "10.0.0.7:5062");
    // A name can be looked up.
    let (_, invite) = called(register("<sip:bob@phone.example.com>"));
    assert_eq!(invite.to, address(99, 5060));
}

#[test]
fn a_path_goes_before_what_a_register_came_from() {
    let path = register(INSIDE).set("Path", "<sip:192.0.2.50;lr>").set("Supported", "path");
    let (_, invite) = called(path);
    assert_eq!(
        (invite.to, invite.text("Route")),
        (address(50, 5060), "<sip:192.0.2.50;lr>".into())
    );
}

#[test]
fn a_contact_that_could_not_be_called_is_not_called_elsewhere() {
    let mut wire = Wire::new();
    the(&wire.receive(CALLEE, register("<sips:bob@10.0.0.7>")), "416");
}

#[test]
fn the_whole_call_goes_to_a_callee_where_it_registered() {
    let (mut wire, invite) = called(register(INSIDE));
    let reliable = Draft::answer(&invite, "180 Ringing", "callee").set("Contact", INSIDE);
    wire.receive(CALLEE, reliable);
    let answer = Draft::answer(&invite, "200 OK", "callee").set("Contact", INSIDE).sdp();
    let sent = wire.receive(CALLEE, &answer);
    let ack = the(&sent, "ACK");
    assert_eq!((ack.to, &*ack.start()), (CALLEE, "ACK sip:bob@10.0.0.7:5062 SIP/2.0"));
    let accepted = Some(the(&sent, "200"));
    let mut call = Call { wire, invite: self::invite(), outgoing: invite, answer, accepted };
    call.wire.receive(CALLER, call.by_caller("ACK", 1));
    // Its NAT gives it another address; its next request tells.
    let moved = address(20, 40_000);
    let update = call.by_callee("UPDATE", 1).set("Contact", INSIDE);
    assert_eq!(the(&call.wire.receive(moved, update), "200").to, moved);
    let bye = the(&call.wire.receive(CALLER, call.by_caller("BYE", 2)), "BYE");
    assert_eq!(bye.to, moved);
}

#[test]
fn a_callee_that_answers_with_an_address_of_our_network_is_sought_there() {
    let (mut wire, invite) = called(register(INSIDE));
    let answer = Draft::answer(&invite, "200 OK", "callee");
    let answer = answer.set("Contact", "<sip:bob@192.0.2.77:5070>").sdp();
    assert_eq!(the(&wire.receive(CALLEE, answer), "ACK").to, address(77, 5070));
}

#[test]
fn a_callee_behind_a_proxy_is_sought_by_the_proxys_record_route() {
    let (mut wire, invite) = called(register(INSIDE));
    let answer = Draft::answer(&invite, "200 OK", "callee").set("Contact", INSIDE).sdp();
    let answer = answer.set("Record-Route", "<sip:192.0.2.50;lr>");
    assert_eq!(the(&wire.receive(CALLEE, answer), "ACK").to, address(50, 5060));
}

#[test]
fn a_caller_behind_nat_is_hung_up_where_it_called_from() {
    for (contact, via, to) in [
        ("<sip:alice@10.0.0.8:5064>", ";rport", CALLER.to_string()),
        ("<sip:alice@10.0.0.8:5064>", "", "10.0.0.8:5064".to_owned()),
        // An address that everybody reaches is believed.
        ("<sip:alice@198.51.100.8:5064>", ";rport", "198.51.100.8:5064".to_owned()),
    ] {
        let via = format!("SIP/2.0/UDP 10.0.0.8:5064;branch=z9hG4bK-INVITE{via}");
        let mut call =
            Call::established_with(invite().set("Contact", contact).set("Via", via), |answer| {
                answer
            });
        let bye = the(&call.wire.receive(CALLEE, call.by_callee("BYE", 1)), "BYE");
        assert_eq!(bye.to.to_string(), to);
        assert_eq!(bye.start(), format!("BYE {} SIP/2.0", contact.trim_matches(['<', '>'])));
    }
}

#[test]
fn a_phone_behind_nat_may_be_where_a_call_is_sent() {
    let mut wire = Wire::new();
    the(&wire.receive(CALLEE, register(INSIDE)), "200");
    let sent = wire.receive(CALLER, Draft::request("INVITE", "sip:carol@192.0.2.30", CALLER).sdp());
    let moved = Draft::answer(&the(&sent, "INVITE"), "302 Moved Temporarily", "carol");
    let sent = wire.receive(address(30, 5060), moved.set("Contact", format!("<{BOB}>")));
    let invite = the(&sent, "INVITE");
    assert_eq!((invite.to, &*invite.start()), (CALLEE, "INVITE sip:bob@10.0.0.7:5062 SIP/2.0"));
    let answer = Draft::answer(&invite, "200 OK", "bob").set("Contact", INSIDE).sdp();
    assert_eq!(the(&wire.receive(CALLEE, answer), "ACK").to, CALLEE);
}
