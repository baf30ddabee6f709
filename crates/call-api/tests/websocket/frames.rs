//! RFC 6455, frame by frame: what a client may not send, and what it may.
//!
//! Sections are the RFC's. The groups are those of the Autobahn test suite, whose own client
//! `make autobahn` runs where there is a Python 2.

use super::hostile::upgrade;
use super::*;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const FIN: u8 = 0x80;

/// A masked frame (§5.2, §5.3); `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn whole(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(FIN | opcode, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    whole(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// What the server answers, in short: `text` when a request was answered, `pong PAYLOAD`, `close
/// CODE`; nothing follows the close. Says goodbye once a request was answered.
async fn answers(server: &TestServer, frames: &[Vec<u8>]) -> Vec<String> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(upgrade(server.address, "none").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    // The server may have heard enough before all is sent.
    let _ = stream.write_all(&frames.concat()).await;
    let mut said = Vec::new();
    while let Ok(first) = stream.read_u8().await {
        assert_eq!(first & 0xF0, FIN, "a fragment or a reserved bit");
        let length = match stream.read_u8().await.unwrap() {
            126 => usize::from(stream.read_u16().await.unwrap()),
            // Servers do not mask (§5.1).
            length @ 0..126 => usize::from(length),
            length => panic!("masked, or long: {length}"),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        said.push(match first & 0x0F {
            TEXT => "text".to_owned(),
            PONG => format!("pong {}", String::from_utf8_lossy(&payload)),
            CLOSE if payload.is_empty() => "close".to_owned(),
            CLOSE => format!("close {}", u16::from_be_bytes([payload[0], payload[1]])),
            opcode => panic!("opcode {opcode}"),
        });
        if first & 0x0F == TEXT {
            stream.write_all(&close(1000, b"")).await.unwrap();
        }
    }
    said
}

/// A request that is answered with one message.
fn request() -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": "äöü€😀", "method": "CallList"}).to_string().into_bytes()
}

/// What is sent, why, and the answers to it, in words that are divided by commas.
type Case = (String, Vec<Vec<u8>>, String);

fn case(what: &str, frames: Vec<Vec<u8>>, told: &str) -> Case {
    (what.to_owned(), frames, told.to_owned())
}

/// Plays all of them, side by side: the server gives each client that it breaks off with a moment to
/// read why.
async fn expect(cases: Vec<Case>) {
    let server = &TestServer::start().await;
    let played = cases.into_iter().map(async |(what, frames, told)| {
        let said = timeout(DEADLINE, answers(server, &frames)).await;
        assert_eq!(said.expect("the server closes the connection").join(","), told, "{what}");
    });
    futures_util::future::join_all(played).await;
}

#[tokio::test]
async fn messages_are_answered_whole_or_in_fragments_with_control_frames_between_them() {
    let text = request();
    let mut cases = vec![case("one frame", vec![whole(TEXT, &text)], "text,close 1000")];
    for at in 1..text.len() {
        let (one, other) = text.split_at(at);
        let halves = vec![frame(TEXT, one), whole(CONTINUATION, other)];
        cases.push(case("two fragments", halves, "text,close 1000"));
    }
    let mut fragments = vec![frame(TEXT, b"")];
    fragments.extend(text.chunks(1).map(|byte| frame(CONTINUATION, byte)));
    fragments.push(whole(CONTINUATION, b""));
    cases.push(case("a fragment a byte, and empty ones", fragments, "text,close 1000"));
    let (one, other) = text.split_at(30);
    let (ping, pong) = (whole(PING, b"are you there"), whole(PONG, b""));
    let between = vec![frame(TEXT, one), ping, pong, whole(CONTINUATION, other)];
    let told = "pong are you there,text,close 1000";
    cases.push(case("control frames between fragments (§5.4)", between, told));
    expect(cases).await;
}

#[tokio::test]
async fn pings_are_answered_with_what_they_hold_and_pongs_are_not_answered() {
    let longest = "x".repeat(125);
    let pings = vec![whole(PING, b""), whole(PING, longest.as_bytes()), whole(TEXT, &request())];
    let pong = vec![whole(PONG, b"unasked"), whole(TEXT, &request())];
    expect(vec![
        case("pings (§5.5.2)", pings, &format!("pong ,pong {longest},text,close 1000")),
        case("a pong (§5.5.3)", pong, "text,close 1000"),
    ])
    .await;
}

#[tokio::test]
async fn what_breaks_the_rules_of_framing_is_a_protocol_error() {
    let mut broken: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for bit in [0x40, 0x20, 0x10, 0x70] {
        for opcode in [TEXT, PING, CLOSE] {
            let frame = frame(FIN | bit | opcode, b"");
            broken.push((format!("reserved bits {bit:x} (§5.2)"), vec![frame]));
        }
    }
    for opcode in (3..=7).chain(11..=15) {
        for first in [FIN | opcode, opcode] {
            broken.push((format!("opcode {opcode} (§5.2)"), vec![frame(first, b"x")]));
        }
    }
    for opcode in [PING, PONG, CLOSE] {
        let (long, part) = (whole(opcode, &[b'x'; 126]), frame(opcode, b""));
        broken.push((format!("a long control frame {opcode} (§5.5)"), vec![long]));
        broken.push((format!("a part of a control frame {opcode} (§5.5)"), vec![part]));
    }
    for first in [FIN | CONTINUATION, CONTINUATION] {
        broken.push(("nothing to continue (§5.4)".to_owned(), vec![frame(first, b"x")]));
    }
    for opcode in [TEXT, BINARY] {
        let two = vec![frame(TEXT, b"[1,"), whole(opcode, b"2]")];
        broken.push((format!("a message {opcode} in a message (§5.4)"), two));
    }
    broken.push(("no mask (§5.1)".to_owned(), vec![vec![FIN | TEXT, 2, b'[', b']']]));
    let cases = broken.into_iter().map(|(what, mut frames)| {
        frames.extend([whole(TEXT, &request()), whole(PING, b"")]);
        case(&what, frames, "close 1002")
    });
    expect(cases.collect()).await;
}

#[tokio::test]
async fn text_must_be_utf_8_as_a_whole() {
    // §8.1: an overlong form, a surrogate, beyond Unicode, a lone continuation, a character cut off.
    let bad: [&[u8]; 6] =
        [b"\xC0\xAF", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"\x80", b"\xE2\x82", b"\xFF"];
    let mut cases = vec![case("cut off at the end", vec![whole(TEXT, b"\xE2\x82")], "close 1007")];
    for bytes in bad {
        let text = [b"\"", bytes, b"\""].concat();
        let (one, other) = text.split_at(2);
        let fragments = vec![frame(TEXT, one), whole(CONTINUATION, other)];
        cases.push(case("in one frame", vec![whole(TEXT, &text)], "close 1007"));
        cases.push(case("in fragments", fragments, "close 1007"));
    }
    expect(cases).await;
}

#[tokio::test]
async fn a_close_is_answered_and_nothing_after_it() {
    let mut closes = vec![
        ("no code (§5.5.1)", whole(CLOSE, b""), "close".to_owned()),
        ("the longest reason", close(1000, &[b'x'; 123]), "close 1000".to_owned()),
        ("half a code (§5.5.1)", whole(CLOSE, b"\x03"), "close 1002".to_owned()),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        closes.push(("a code (§7.4)", close(code, b"so long"), format!("close {code}")));
    }
    // Codes that mean something else than a close frame, or nothing (§7.4.1, §7.4.2).
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        closes.push(("a code of nobody", close(code, b""), "close 1002".to_owned()));
    }
    let cases = closes.into_iter().map(|(what, bytes, told)| {
        let frames = vec![bytes, whole(PING, b""), whole(TEXT, &request()), close(1001, b"")];
        case(what, frames, &told)
    });
    expect(cases.collect()).await;
}

#[tokio::test]
async fn binary_and_too_long_messages_have_codes_of_their_own() {
    let head = |length: u64| [&[FIN | TEXT, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat();
    expect(vec![
        case("binary", vec![whole(BINARY, b"{}")], "close 1003"),
        case("far too long", vec![head(1 << 40)], "close 1009"),
        case("longer than may be said (§5.2)", vec![head(u64::MAX)], "close 1009"),
        case("a reason that is not UTF-8", vec![close(1000, b"\xCE\xBA\xFF")], "close 1007"),
    ])
    .await;
}

#[tokio::test]
async fn a_handshake_is_answered_as_the_rfc_has_it() {
    let server = TestServer::start().await;
    let handshake = async |change: &dyn Fn(String) -> String| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = change(upgrade(server.address, "none"));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    };
    let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\nUpgrade:";
    let answer = handshake(&|head| head.replace("\r\nUpgrade:", offer)).await;
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    // The nonce and its answer are those of §1.3.
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(!answer.contains("sec-websocket-extensions"), "no extension is offered: {answer}");
    let without_key = |head: String| head.replace("Sec-WebSocket-Key", "X-Key");
    let changes: [&dyn Fn(String) -> String; 4] = [
        &|head| head.replace("Version: 13", "Version: 8"),
        &without_key,
        &|head| head.replace("Upgrade: websocket", "Upgrade: h2c"),
        &|head| head.replace("Connection: Upgrade", "Connection: close"),
    ];
    for change in changes {
        let answer = handshake(change).await;
        assert!(answer.starts_with("http/1.1 4"), "{answer}");
    }
    // §4.4: a client of another version is told which one would do.
    let answer = handshake(changes[0]).await;
    assert!(answer.contains("\r\nsec-websocket-version: 13\r\n"), "{answer}");
}
