//! Datagrams that are no SIP, or not quite, by kind: each is answered or dropped, and counted.
//!
//! `broken.txt` lists every kind with what becomes of it. `UPDATE_EXPECT=1 cargo test` redraws it.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Stats;
use expect_test::expect_file;

use crate::draft::Draft;
use crate::wire::{CALLER, Wire, log, the};

/// A request that is right in every way, before it is broken.
fn right() -> Draft {
    Draft::request("INVITE", "sip:bob@192.0.2.20:5080", CALLER).sdp()
}

/// Kinds by name, each a datagram.
#[derive(Default)]
struct Kinds(BTreeMap<String, Vec<u8>>);

impl Kinds {
    fn add(&mut self, name: impl Into<String>, datagram: impl Into<Vec<u8>>) {
        let name = name.into();
        let before = self.0.insert(name.clone(), datagram.into());
        assert!(before.is_none(), "two kinds are named {name}");
    }

    fn set(&mut self, header: &str, what: &str, value: impl Into<Vec<u8>>) {
        self.add(format!("{header}: {what}"), right().set(header, value));
    }
}

const MANDATORY: [&str; 5] = ["Via", "From", "To", "Call-ID", "CSeq"];

/// Every mandatory header missing, doubled, empty, or something else altogether.
fn headers(kinds: &mut Kinds) {
    for name in MANDATORY {
        kinds.add(format!("{name}: missing"), right().without(name));
        if name != "Via" {
            let value = right().value(name);
            kinds.add(format!("{name}: twice"), right().add(name, value.clone()));
            kinds.add(format!("{name}: twice, once compact"), {
                let compact = match name {
                    "From" => "f",
                    "To" => "t",
                    "Call-ID" => "i",
                    _ => "CSEQ",
                };
                right().add(compact, value)
            });
        }
        kinds.set(name, "empty", "");
        kinds.set(name, "blank", " \t ");
        kinds.set(name, "a NUL", "\0");
        kinds.set(name, "an open quote", "\"");
        kinds.set(name, "a folded nothing", "\r\n ");
        kinds.set(name, "a comma", ",");
        kinds.add(
            format!("{name}: no colon"),
            right().without(name).add("X", format!("y\r\n{name} z")),
        );
        kinds.add(format!("{name}: broken twice"), right().set(name, ";").add(name, ";"));
        if name != "Call-ID" {
            kinds.set(name, "binary", b"\xff\xfe\x80\x81".to_vec());
            kinds.set(name, "a number", "17");
            kinds.set(name, "very long", "x".repeat(5000));
        } else {
            kinds.set(name, "binary", b"\xff\xfe\x80\x81".to_vec());
            kinds.set(name, "two words", "a b");
            kinds.set(name, "a NUL inside", "a\0b");
            kinds.set(name, "folded", "a\r\n b");
        }
    }
    for name in ["Max-Forwards", "Content-Length"] {
        kinds.add(format!("{name}: twice, differing"), right().set(name, "5").add(name, "6"));
    }
    kinds.add("128 headers and one", (0..129).fold(right(), |draft, _| draft.add("X", "y")));
    kinds.add("nothing but a start line", "INVITE sip:bob@192.0.2.20 SIP/2.0\r\n\r\n");
}

fn vias(kinds: &mut Kinds) {
    for value in [
        "SIP/2.0",
        "SIP/2.0/",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/UDP;branch=z9hG4bK1",
        "SIP 2.0 UDP a",
        "/2.0/UDP a",
        "SIP//UDP a",
        "SIP/2.0/ UDP",
        "SIP/2.0/UDP :5060",
        "SIP/2.0/UDP a:",
        "SIP/2.0/UDP a:0",
        "SIP/2.0/UDP a:65536",
        "SIP/2.0/UDP a:-1",
        "SIP/2.0/UDP a:99999999999999999999",
        "SIP/2.0/UDP a:b",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP []",
        "SIP/2.0/UDP [x]",
        "SIP/2.0/UDP ::1",
        "SIP/2.0/UDP a;",
        "SIP/2.0/UDP a;;",
        "SIP/2.0/UDP a;=b",
        "SIP/2.0/UDP a;b=",
        "SIP/2.0/UDP a;branch=\"x",
        "SIP/2.0/UDP a;branch=x y",
        "SIP/2.0/UDP a/b",
        "SIP/2.0/UDP <a>",
        "SIP/2.0/U\"P a",
        "SIP/2.0/UDP a@b",
        "SIP/2.0/UDP a;br\0nch=x",
    ] {
        kinds.set("Via", value, value);
    }
}

fn addresses(kinds: &mut Kinds) {
    for value in [
        "<",
        ">",
        "<>",
        "< >",
        "<sip:a@b",
        "sip:a@b>",
        "<<sip:a@b>>",
        "<sip:a@b>>",
        "<sip:a@b><sip:c@d>",
        "\"a <sip:a@b>",
        "a\" <sip:a@b>",
        "\"a\"\"b\" <sip:a@b>",
        "\"a\\\" <sip:a@b>",
        "\"a\" b <sip:a@b>",
        "a, b <sip:a@b>",
        "a@b <sip:a@b>",
        "\"\\\"\\\\\"\" <sip:a@b>",
        "<sip:a b@c>",
        "< sip:a@b>",
        "<sip:a@b >",
        "<sip:a@b>;",
        "<sip:a@b>;;tag=1",
        "<sip:a@b>;=1",
        "<sip:a@b>;tag=",
        "<sip:a@b>;tag=\"",
        "<sip:a@b>;tag=a b",
        "<sip:a@b>;t\0g=1",
        "<sip:a@b> tag=1",
        "a",
        "a@b",
        ":a@b",
        "<:a>",
        "<sip>",
        "1:a",
        "<sip:a@b>,<sip:c@d>",
        "<a\"b:c>",
        "sip:a@b,sip:c@d",
        "\"",
    ] {
        kinds.set("From", value, value);
        kinds.set("To", value, value);
    }
}

fn numbers(kinds: &mut Kinds) {
    for value in [
        "INVITE",
        "1",
        "1INVITE",
        "-1 INVITE",
        "+1 INVITE",
        "1.0 INVITE",
        "0x1 INVITE",
        "x INVITE",
        "2147483648 INVITE",
        "4294967296 INVITE",
        "18446744073709551616 INVITE",
        "1 BYE",
        "1 invite",
        "1 INVITE x",
        "1 INV ITE",
        "1 INVITE,",
        "1 \"INVITE\"",
        "1\0INVITE",
        "1 IN\0VITE",
        "1,INVITE",
    ] {
        kinds.set("CSeq", value, value);
    }
    for value in [
        "-1",
        "+1",
        "",
        "five",
        "0x10",
        "1 1",
        "1,1",
        "1.0",
        "\"1\"",
        "1;x",
        "999999",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "\0",
        "1\0",
    ] {
        kinds.set("Content-Length", value, value);
    }
}

const START_LINES: &[&str] = &[
    "INVITE",
    "INVITE ",
    "INVITE sip:a@b",
    "INVITE sip:a@b ",
    "INVITE  sip:a@b SIP/2.0",
    "INVITE sip:a@b  SIP/2.0",
    " INVITE sip:a@b SIP/2.0",
    "INVITE sip:a@b SIP/2.0 ",
    "INVITE\tsip:a@b\tSIP/2.0",
    "INVITE sip:a@b\tSIP/2.0",
    "INVITE sip:a@b SIP/2.0\t",
    "INVITE sip:a@b SIP/1.0",
    "INVITE sip:a@b SIP/2.1",
    "INVITE sip:a@b SIP/3.0",
    "INVITE sip:a@b SIP/20",
    "INVITE sip:a@b SIP/",
    "INVITE sip:a@b SIP",
    "INVITE sip:a@b HTTP/1.1",
    "INVITE sip:a@b SIPS/2.0",
    "INVITE sip:a@b SIP/2.00",
    "INVITE sip:a@b SIP/02.0",
    "INVITE sip:a@b SIP/99999999999999999999.0",
    "INVITE sip:a@b SIP/-2.0",
    "INVITE sip:a@b 2.0/SIP",
    "INVITE <sip:a@b> SIP/2.0",
    "INVITE \"a\" SIP/2.0",
    "INVITE a SIP/2.0",
    "INVITE : SIP/2.0",
    "INVITE sip: SIP/2.0",
    "INVITE sip:@ SIP/2.0",
    "INVITE sip:@b SIP/2.0",
    "INVITE sip:a@ SIP/2.0",
    "INVITE sip:a@b@c SIP/2.0",
    "INVITE sip:a@b: SIP/2.0",
    "INVITE sip:a@b:0 SIP/2.0",
    "INVITE sip:a@b:65536 SIP/2.0",
    "INVITE sip:a@b:x SIP/2.0",
    "INVITE sip:a@[::1 SIP/2.0",
    "INVITE sip:a@[] SIP/2.0",
    "INVITE sip:a@b;; SIP/2.0",
    "INVITE sip:a@b;=x SIP/2.0",
    "INVITE sip:a@b?Route=x SIP/2.0",
    "INVITE sip:a@b?a SIP/2.0",
    "INVITE sip:%@b SIP/2.0",
    "INVITE sip:%zz@b SIP/2.0",
    "INVITE sip:a%@b SIP/2.0",
    "INVITE sip:a\0@b SIP/2.0",
    "INVITE tel: SIP/2.0",
    "INVITE tel:abcxyz SIP/2.0",
    "INV(ITE sip:a@b SIP/2.0",
    "INVITE: sip:a@b SIP/2.0",
    "\"INVITE\" sip:a@b SIP/2.0",
    "INV\0ITE sip:a@b SIP/2.0",
    "INVITE,BYE sip:a@b SIP/2.0",
    "BYE sip:a@b SIP/2.0",
    "invite sip:a@b SIP/2.0",
    "ACK sip:a@b@c SIP/2.0",
    "SIP/2.0",
    "SIP/2.0 ",
    "SIP/2.0 200OK",
    "SIP/2.0 20 OK",
    "SIP/2.0 099 Low",
    "SIP/2.0 700 High",
    "SIP/2.0 2000 OK",
    "SIP/2.0 -20 OK",
    "SIP/2.0 two OK",
    "SIP/2.0  200 OK",
    "SIP/1.0 200 OK",
    "SIP/3.0 200 OK",
    "SIP/ 200 OK",
    "SIP/2.0 4294967496 OK",
    "GET / HTTP/1.1",
    "HTTP/1.1 200 OK",
    "",
];

fn start_lines(kinds: &mut Kinds) {
    for start in START_LINES {
        kinds.add(format!("start: {start}"), right().start(*start));
    }
    kinds.add("start: binary method", right().start(b"\xff\xfe sip:a@b SIP/2.0".to_vec()));
    kinds.add("start: binary URI", right().start(b"INVITE sip:\xff\xfe@b SIP/2.0".to_vec()));
    kinds.add(
        "start: very long method",
        right().start(format!("{} sip:a@b SIP/2.0", "I".repeat(6000))),
    );
    kinds.add("start: folded", right().start("INVITE sip:a@b\r\n SIP/2.0"));
}

/// The request, cut at and around the end of every line.
fn truncations(kinds: &mut Kinds) {
    let whole = right().bytes();
    let empty_line = whole.windows(4).position(|window| window == b"\r\n\r\n");
    let body = empty_line.expect("the header lines end") + 4;
    let mut ends: Vec<_> = (0..body).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    ends.pop();
    for (line, end) in ends.into_iter().enumerate() {
        kinds.add(format!("cut: after line {line:02}"), &whole[..end]);
        kinds.add(format!("cut: before the LF of line {line:02}"), &whole[..end - 1]);
        kinds.add(format!("cut: before the CRLF of line {line:02}"), &whole[..end - 2]);
        kinds.add(format!("cut: in the next header after line {line:02}"), &whole[..end + 2]);
    }
    kinds.add("cut: inside the empty line", &whole[..body - 1]);
    kinds.add("cut: after the empty line", &whole[..body]);
    kinds.add("cut: one byte of the body short", &whole[..whole.len() - 1]);
}

/// Lines that are no headers, among right ones.
fn lines(kinds: &mut Kinds) {
    for (what, line) in [
        ("no colon", "nonsense"),
        ("no name", ": x"),
        ("two words before the colon", "two words: x"),
        ("a bracket in the name", "n(me: x"),
        ("a quote in the name", "\"n\": x"),
        ("a NUL in the name", "n\0me: x"),
        ("a NUL alone", "\0"),
        ("a lone CR", "Subject: a\rb: c"),
        ("a CR before CRLF", "Subject: a\r"),
        ("a CR before the colon", "Sub\rject: a"),
        ("a request line", "BYE sip:a@b SIP/2.0"),
        ("a status line", "SIP/2.0 200 OK"),
    ] {
        kinds.add(format!("line: {what}"), right().add("X", format!("y\r\n{line}")));
    }
    kinds.add("line: not UTF-8 in the name", right().add("X", b"y\r\nn\xe4me: x".to_vec()));
    kinds.add(
        "line: folded before any header",
        right().start("INVITE sip:a@b SIP/2.0\r\n folded: x"),
    );
    let text = String::from_utf8(right().bytes()).expect("it is text");
    kinds.add("lines end with CR alone", text.replace("\r\n", "\r"));
    kinds.add("lines end with LF CR", text.replace("\r\n", "\n\r"));
    kinds.add("lines end with CR CR LF", text.replace("\r\n", "\r\r\n"));
    kinds.add("lines do not end", text.replace("\r\n", " "));
}

/// What is no SIP at all.
fn binary(kinds: &mut Kinds) {
    kinds.add("binary: every byte", (0..=255).collect::<Vec<u8>>());
    kinds.add("binary: ones", vec![0xff; 1200]);
    kinds.add("binary: one letter", "A");
    kinds.add("binary: letters", "A".repeat(65_000));
    kinds.add("binary: colons", ":".repeat(65_000));
    kinds.add("binary: quotes", "\"".repeat(65_000));
    kinds.add("binary: brackets", "<".repeat(65_000));
    kinds.add("binary: lines", "a\r\n".repeat(20_000));
    kinds.add("binary: headers", "a: b\r\n".repeat(10_000));
    kinds.add(
        "binary: DNS",
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x03com\0\0\x01\0\x01".to_vec(),
    );
    kinds.add("binary: STUN", b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl".to_vec());
    kinds.add(
        "binary: RTP",
        [&b"\x80\x00\x12\x34\0\0\0\x01\xde\xad\xbe\xef"[..], &[0x55; 160]].concat(),
    );
    kinds.add("binary: TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec());
    kinds.add(
        "binary: UTF-16",
        "INVITE sip:a@b SIP/2.0\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    );
    kinds.add("binary: mark before the method", [&b"\xef\xbb\xbf"[..], &right().bytes()].concat());
    kinds.add("binary: NUL before the method", [&b"\0"[..], &right().bytes()].concat());
    kinds.add(
        "a Content-Length of 2^64-1 and little else",
        "S sip:r SIP/2.0\nl:18446744073709551615\r\n\r\n",
    );
    kinds.add("too long by far", right().body("application/sdp", "x".repeat(70_000)));
    kinds.add(
        "too long by headers",
        (0..100).fold(right(), |draft, _| draft.add("X", "y".repeat(700))),
    );
}

fn kinds() -> BTreeMap<String, Vec<u8>> {
    let mut kinds = Kinds::default();
    for add in [headers, vias, addresses, numbers, start_lines, truncations, lines, binary] {
        add(&mut kinds);
    }
    kinds.0
}

#[test]
fn every_broken_datagram_is_answered_or_dropped_and_counted() {
    let mut crowded = Wire::new();
    let mut text = String::new();
    let kinds = kinds();
    assert!(kinds.len() >= 200, "only {} kinds", kinds.len());
    for (name, datagram) in kinds {
        let mut wire = Wire::new();
        let sent = wire.receive(CALLER, &datagram[..]);
        let outcome = match (&sent[..], wire.engine.stats()) {
            ([answer], Stats { refused: 1, dropped: 0 }) => answer.start().replace("SIP/2.0 ", ""),
            ([], Stats { refused: 0, dropped: 1 }) => "dropped".to_owned(),
            // Odd, but not broken: it must be in the table all the same.
            (_, Stats { refused: 0, dropped: 0 }) => {
                format!("taken: {}", log(&sent).trim().replace('\n', ", "))
            }
            (_, stats) => panic!("{name}: {stats:?} {}", log(&sent)),
        };
        // Where the fault lies is the parser's business.
        let outcome = outcome.split(" at byte").next().unwrap_or_default();
        text += &format!("{} | {outcome}\n", name.escape_default());
        crowded.receive(CALLER, datagram);
    }
    expect_file!["broken.txt"].assert_eq(&text);
    let options = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER);
    the(&crowded.receive(CALLER, options), "200");
    crowded.run_for(Duration::from_secs(64));
    crowded.assert_at_rest();
}
