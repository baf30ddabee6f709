//! Nothing that a client or a peer says starts a line of its own in what the engine sends: line
//! ends, and every other control character, become blanks on the way out.

use std::time::Duration;

use engine::{CommandId, Mode, StartRequest};

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Sent, Wire, log};

/// What would become a header, and a body, of its own.
const EVIL: &str = "x\r\nEvil: 1\nEvil: 2\rEvil: 3\0\t\x0b\x0c\x7f\r\n\r\nEvil: body";

/// Every line is one that the engine writes itself, and holds no control character.
#[track_caller]
fn assert_clean(sent: &[Sent]) {
    const NAMES: [&str; 25] = [
        // Passed on from the other party, one line for one line.
        "Subject",
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Max-Forwards",
        "Contact",
        "Allow",
        "Accept",
        "Accept-Encoding",
        "Allow-Events",
        "Supported",
        "Unsupported",
        "Route",
        "Record-Route",
        "Content-Type",
        "Content-Length",
        "Retry-After",
        "Refer-To",
        "Referred-By",
        "Event",
        "Subscription-State",
        "Reason",
        "Warning",
    ];
    for sent in sent {
        let head = sent.head();
        assert!(head.len() + 4 <= sent.bytes.len(), "no end of the header lines: {sent}");
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            assert!(NAMES.contains(&&*name), "a line of its own: {name:?} in {sent}");
            assert!(!line.iter().any(u8::is_ascii_control), "a control character: {sent}");
        }
        assert!(!sent.start().chars().any(char::is_control), "{sent}");
        assert!(!String::from_utf8_lossy(sent.body()).contains("Evil"), "{sent}");
    }
}

#[test]
fn nothing_that_a_client_says_starts_a_line() {
    let plain = StartRequest {
        caller: "sip:alice@192.0.2.10:5070".to_owned(),
        callee: "sip:bob@192.0.2.20:5080".to_owned(),
        from: None,
        display: None,
        mode: Mode::Auto,
        headers: Vec::new(),
        auto_answer: false,
        timeout: None,
    };
    let evil = |uri: &str| format!("{uri}{EVIL}");
    let requests = [
        StartRequest { caller: evil("sip:alice@192.0.2.10:5070;p="), ..plain.clone() },
        StartRequest { callee: evil("sip:bob@192.0.2.20:5080;p="), ..plain.clone() },
        StartRequest { from: Some(evil("sip:shown@192.0.2.77")), ..plain.clone() },
        StartRequest { display: Some(evil("\"Bob\\")), ..plain.clone() },
        StartRequest { display: Some(EVIL.to_owned()), from: Some(EVIL.to_owned()), ..plain },
    ];
    for (mode, takes_refer) in [(Mode::Auto, true), (Mode::Bridge, false)] {
        for request in &requests {
            let request = StartRequest { mode, ..request.clone() };
            let callable = sip::Uri::parse(&request.caller).is_ok();
            let mut wire = Wire::with(Some("sip:192.0.2.10:5070"), true);
            let mut sent = wire.start(CommandId(1), request);
            if !callable {
                assert!(sent.is_empty(), "nothing is sent to what is no URI: {}", log(&sent));
                continue;
            }
            assert_eq!(sent.len(), 1, "{}", log(&sent));
            let allow = if takes_refer { "INVITE, REFER" } else { "INVITE" };
            // A phone that copied the worst of these would give an answer that cannot be read.
            let tag = sent[0].tag("From").expect("our requests have a tag");
            let answer = Draft::answer(&sent[0], "200 OK", "")
                .set("From", format!("<sip:shown@192.0.2.77>;tag={tag}"))
                .set("To", "<sip:alice@192.0.2.10>;tag=alice")
                .set("Allow", allow)
                .sdp();
            sent.extend(wire.receive(CALLER, answer));
            assert_eq!(sent.len(), 3, "ACK, and REFER or the callee's INVITE: {}", log(&sent));
            sent.extend(wire.run_for(Duration::from_secs(200)));
            assert_clean(&sent);
            wire.assert_at_rest();
        }
    }
}

/// What a peer can get into one header value without making the datagram another one.
fn smuggled() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = (0_u8..32)
        .chain([0x7f])
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map(|byte| [b"a", &[byte][..], b"Evil: 1"].concat())
        .collect();
    // Folded lines, which are one header, and must not be two on the way out.
    values.extend(
        [&b"a\r\n Evil: 1"[..], b"a\n\tEvil: 1", b"a\r\n \r\n Evil: 1"].map(<[u8]>::to_vec),
    );
    values
}

#[test]
fn nothing_in_an_invite_starts_a_line() {
    let mut passed_on = 0;
    for text in smuggled() {
        let quoted = [b"\"", &text[..], b"\" <sip:peer@192.0.2.10>;tag=1"].concat();
        let uri = [b"<sip:peer@192.0.2.10;p=", &text[..], b">;tag=1"].concat();
        let param = [b"<sip:peer@192.0.2.10>;tag=1;p=\"", &text[..], b"\""].concat();
        for (name, value) in [
            ("From", &quoted),
            ("From", &uri),
            ("From", &param),
            ("To", &[&quoted[..quoted.len() - 6], b";x=y"].concat()),
            ("Contact", &quoted),
            ("Contact", &uri),
            ("Contact", &param),
            ("Record-Route", &quoted),
            ("Record-Route", &[&param[..], b";lr, ", &uri[..]].concat()),
            ("Call-ID", &text),
            ("Require", &text),
            ("Content-Type", &[b"application/sdp;p=\"", &text[..], b"\""].concat()),
            (
                "Via",
                &[b"SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK1;p=\"", &text[..], b"\""].concat(),
            ),
            ("Subject", &text),
        ] {
            let mut wire = Wire::new();
            let mut sent = wire.receive(CALLER, invite().set(name, value.clone()));
            if let Some(outgoing) = sent.iter().find(|sent| sent.is("INVITE")).cloned() {
                passed_on += 1;
                let ringing = Draft::answer(&outgoing, "180 Ringing", "callee")
                    .add("Record-Route", value.clone());
                sent.extend(wire.receive(CALLEE, ringing));
                sent.extend(
                    wire.receive(CALLEE, Draft::answer(&outgoing, "200 OK", "callee").sdp()),
                );
            }
            sent.extend(wire.run_for(Duration::from_secs(200)));
            assert_clean(&sent);
            wire.assert_at_rest();
        }
    }
    assert!(passed_on > 200, "only {passed_on} of these were passed on: the test is for nothing");
}

#[test]
fn nothing_in_an_answer_starts_a_line() {
    for text in smuggled() {
        let quoted = [b"\"", &text[..], b"\" <sip:peer@192.0.2.20:5080>"].concat();
        for name in ["Contact", "Record-Route", "To", "Reason", "Allow", "Warning"] {
            let mut call = Call::placed(invite());
            let value =
                if name == "To" { [&quoted[..], b";tag=evil"].concat() } else { quoted.clone() };
            let answer = call.answer.clone().without(name).add(name, value);
            let mut sent = call.wire.receive(CALLEE, answer);
            sent.extend(call.wire.run_for(Duration::from_secs(200)));
            assert_clean(&sent);
        }
        let phrases = [[b"486 ", &text[..]].concat(), [b"200 ", &text[..]].concat()];
        for start in phrases.map(|phrase| [b"SIP/2.0 ", &phrase[..]].concat()) {
            let mut call = Call::placed(invite());
            let mut sent = call.wire.receive(CALLEE, call.answer.clone().start(start));
            sent.extend(call.wire.run_for(Duration::from_secs(200)));
            assert_clean(&sent);
            call.wire.assert_at_rest();
        }
    }
}

#[test]
fn nothing_in_a_broken_request_starts_a_line() {
    for text in smuggled() {
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            let mut wire = Wire::new();
            let sent = wire.receive(CALLER, invite().set(name, text.clone()));
            assert_clean(&sent);
            let broken = invite().set(name, text.clone()).set("Content-Length", "x");
            assert_clean(&wire.receive(CALLER, broken));
        }
    }
}
