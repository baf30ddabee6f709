//! Every message of RFC 4475, as a datagram to an engine that anybody may call through: what comes
//! of it, beside what the RFC asks. The messages are those of the parser's own torture test.
//!
//! `torture.txt` lists every message with both. `UPDATE_EXPECT=1 cargo test` redraws it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::Config;
use expect_test::{expect, expect_file};

use crate::wire::{CALLER, ENGINE, Sent, Wire, the};

/// Each message with its section, and what that asks of an element like this one.
const ASKED: [(&str, &str, &str); 50] = [
    ("wsinv", "3.1.1.1", "well formed; but it claims a dialog, by its To tag, that we do not have"),
    ("intmeth", "3.1.1.2", "well formed; an unknown method is 501"),
    ("esc01", "3.1.1.3", "well formed; escapes are not to be undone"),
    ("escnull", "3.1.1.4", "well formed; another domain's"),
    ("esc02", "3.1.1.5", "well formed; % in a method is no escape: an unknown method, 501"),
    ("lwsdisp", "3.1.1.6", "to be accepted as well formed"),
    ("longreq", "3.1.1.7", "well formed"),
    ("dblreq", "3.1.1.8", "the octets after the first request are ignored"),
    ("semiuri", "3.1.1.9", "well formed; the semicolon is part of the user"),
    ("transports", "3.1.1.10", "well formed; all Vias come back"),
    ("mpart01", "3.1.1.11", "well formed; we take no MESSAGE"),
    ("unreason", "3.1.1.12", "well formed; answers no request of ours"),
    ("noreason", "3.1.1.13", "well formed; answers no request of ours"),
    ("badinv01", "3.1.2.1", "400"),
    ("clerr", "3.1.2.2", "400"),
    ("ncl", "3.1.2.3", "an error"),
    ("scalar02", "3.1.2.4", "400 for its CSeq"),
    ("scalarlg", "3.1.2.5", "discarded"),
    ("quotbal", "3.1.2.6", "400"),
    ("ltgtruri", "3.1.2.7", "400"),
    ("lwsruri", "3.1.2.8", "400"),
    ("lwsstart", "3.1.2.9", "400"),
    ("trws", "3.1.2.10", "400, or the blanks are ignored"),
    ("escruri", "3.1.2.11", "400, or the headers in the URI are ignored"),
    ("baddate", "3.1.2.12", "400, or the date is ignored"),
    ("regbadct", "3.1.2.13", "400 of its registrar; it is another domain's"),
    ("badaspec", "3.1.2.14", "400, or the blanks are ignored"),
    ("baddn", "3.1.2.15", "400, or the comma taken as part of the name; it lacks the empty line"),
    ("badvers", "3.1.2.16", "505"),
    ("mismatch01", "3.1.2.17", "400"),
    ("mismatch02", "3.1.2.18", "400, or 501"),
    ("bigcode", "3.1.2.19", "dropped"),
    ("badbranch", "3.2.1", "400, or the rules of RFC 2543"),
    ("insuf", "3.3.1", "400 if possible; without From, To and Call-ID it is not"),
    ("unkscm", "3.3.2", "416"),
    ("novelsc", "3.3.3", "416"),
    ("unksm2", "3.3.4", "well formed; another domain's"),
    ("bext01", "3.3.5", "420 with what is not supported"),
    ("invut", "3.3.6", "415 with what is taken"),
    ("regaut01", "3.3.7", "for the registrar of another domain"),
    ("multi01", "3.3.8", "400"),
    ("mcl01", "3.3.9", "400"),
    ("bcast", "3.3.10", "dropped: its second Via is not for us"),
    ("zeromf", "3.3.11", "an endpoint takes no notice of Max-Forwards"),
    ("cparam01", "3.3.12", "well formed; another domain's"),
    ("cparam02", "3.3.13", "well formed; another domain's"),
    ("regescrt", "3.3.14", "well formed; another domain's"),
    ("sdp01", "3.3.15", "406 or 400 of an endpoint; it is passed on to one"),
    ("inv2543", "3.4.1", "accepted by whom compatibility matters"),
    // Not of the RFC, but of the same collection: no version, no Via, no CSeq.
    ("test", "-", "dropped"),
];

/// The messages by name.
#[expect(clippy::disallowed_methods, reason = "what is read are test data")]
fn data() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sip/tests/data/torture");
    let files = std::fs::read_dir(folder).expect("the messages are there").flatten();
    let named = files.filter_map(|file| {
        let name = file.file_name().to_str()?.strip_suffix(".dat")?.to_owned();
        Some((name, std::fs::read(file.path()).ok()?))
    });
    named.collect()
}

/// What the engine sends when it gets this message.
fn sent(name: &str) -> (Wire, Vec<Sent>) {
    let mut wire = Wire::new();
    let sent = wire.receive(CALLER, data()[name].clone());
    (wire, sent)
}

fn outcome(sent: &[Sent]) -> String {
    let told = |sent: &Sent| {
        let start = sent.start();
        let start = start.strip_prefix("SIP/2.0 ").unwrap_or(&start).trim_end_matches(" SIP/2.0");
        let shown: Vec<_> = ["Unsupported", "Accept", "Allow-Events", "Retry-After"]
            .into_iter()
            .filter(|name| *name != "Accept" || !sent.is("200"))
            .filter(|name| !sent.all(name).is_empty())
            .map(|name| format!(" [{name}: {}]", sent.texts(name).join(", ")))
            .collect();
        let start =
            if start.len() > 90 { format!("{}...", &start[..90]) } else { start.to_owned() };
        format!("{start}{}", shown.concat())
    };
    // Every INVITE gets a 100 first.
    let told: Vec<_> = sent.iter().filter(|sent| !sent.is("100")).map(told).collect();
    if told.is_empty() { "dropped".to_owned() } else { told.join(", ") }
}

#[test]
fn every_message_has_the_outcome_it_should_have() {
    let data = data();
    let asked: Vec<_> = ASKED.iter().map(|(name, ..)| *name).collect();
    for name in data.keys() {
        assert!(asked.contains(&name.as_str()), "{name}.dat has no case");
    }
    let mut text = String::new();
    for (name, section, asks) in ASKED {
        let mut wire = Wire::new();
        let sent = wire.receive(CALLER, data[name].clone());
        text += &format!("{name} ({section}: {asks})\n    {}\n", outcome(&sent));
        wire.run_for(Duration::from_secs(200));
        wire.assert_at_rest();
    }
    expect_file!["torture.txt"].assert_eq(&text);
}

#[test]
fn escapes_and_odd_names_reach_the_other_side_as_they_were_written() {
    let invite = the(&sent("esc01").1, "INVITE");
    assert_eq!(invite.start(), "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0");
    assert!(invite.text("From").starts_with("<sip:I%20have%20spaces@example.net>;tag="));
    assert_eq!(invite.text("Max-Forwards"), "86");
    assert!(invite.body().starts_with(b"v=0\r\no=mhandley 29739 7272939"));
    assert_eq!(invite.text("Call-ID"), "esc01.239409asdfakjkn23onasd0-3234");
}

#[test]
fn long_values_reach_the_other_side_whole() {
    let (_, sent) = sent("longreq");
    let invite = the(&sent, "INVITE");
    let from = format!("<sip:{}@example.net>;tag=", "amazinglylongcallername".repeat(5));
    assert!(invite.text("From").starts_with(&from));
    assert_eq!(invite.text("Call-ID"), format!("longreq.one{}longcallid", "really".repeat(20)));
    let trying = the(&sent, "100");
    let vias = trying.texts("Via");
    assert_eq!(vias.len(), 34);
    assert!(vias[33].contains(&"long".repeat(50)));
}

#[test]
fn an_old_invite_is_passed_on_and_its_sender_found_again() {
    let (mut wire, sent) = sent("inv2543");
    let invite = the(&sent, "INVITE");
    assert_eq!(invite.start(), "INVITE sip:UserB@example.com SIP/2.0");
    let from = "<sip:+13035551111@ift.client.example.net;user=phone>;tag=";
    assert!(invite.text("From").starts_with(from));
    assert!(invite.body().ends_with(b"m=audio 49217 RTP/AVP 0\r\n"));
    let again = wire.receive(CALLER, data()["inv2543"].clone());
    assert_eq!((again.len(), again[0].is("100")), (1, true));
}

#[test]
fn every_via_of_whatever_transport_comes_back() {
    let answer = sent("transports").1.remove(0);
    let transports = ["UDP t1", "SCTP t2", "TLS t3", "UNKNOWN t4", "TCP t5"];
    for (via, transport) in answer.texts("Via").iter().zip(transports) {
        assert!(via.starts_with(&format!("SIP/2.0/{transport}.example.com;branch=")), "{via}");
    }
}

#[test]
fn the_registrar_of_their_domain_takes_or_refuses_the_registrations() {
    let config =
        Config { advertise: Some("example.com".to_owned()), open: true, ..Config::at(ENGINE) };
    let mut text = String::new();
    for name in ["escnull", "dblreq", "regbadct", "unksm2", "cparam01", "cparam02", "regescrt"] {
        let mut wire = Wire::seeded(config.clone(), 1);
        let answer = wire.receive(CALLER, data()[name].clone()).remove(0);
        text += &format!("{name}: {}\n", outcome(std::slice::from_ref(&answer)));
        for contact in answer.texts("Contact") {
            text += &format!("    {contact}\n");
        }
    }
    expect![[r#"
        escnull: 200 OK
            <sip:%00@host5.example.com>;expires=3600
            <sip:%00%00@host5.example.com>;expires=3600
        dblreq: 200 OK
            <sip:j.user@host.example.com>;expires=3600
        regbadct: 400 Bad Request
        unksm2: 404 Not Found
        cparam01: 200 OK
            <sip:+19725552222@gw1.example.net>;expires=3600
        cparam02: 200 OK
            <sip:+19725552222@gw1.example.net;unknownparam>;expires=3600
        regescrt: 403 Forbidden
    "#]]
    .assert_eq(&text);
}
