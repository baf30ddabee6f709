//! Broken messages by the hundred thousand: none makes anything panic, and whatever is read is
//! printed, answered and read again without a change.
//!
//! The mutations are drawn from a fixed seed, so a failure repeats; it shows the datagram.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::sdp::{self, Direction, Origin, Sdp};
use sip::{
    Event, Headers, Message, Name, NameAddr, Replaces, Request, SubscriptionState, Uri, Via, uri,
};

const ROUNDS: usize = 300_000;

/// What parsers stumble over.
const PIECES: [&[u8]; 32] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"=",
    b"@",
    b"%",
    b"%00",
    b"?",
    b"&",
    b"[",
    b"]",
    b"\xff",
    b"\xc3\xa4",
    b"4294967296",
    b"-1",
    b";tag=x",
    b"Via: SIP/2.0/UDP h;rport\r\n",
    b"l: 0\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"a=sendonly\r\n",
];

/// Marsaglia's xorshift64: enough to choose bytes with.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[test]
fn no_mutation_of_a_message_breaks_anything() {
    let corpus = corpus();
    assert!(corpus.len() > 60);
    let mut random = Random(0x5eed_cafe_f00d_0001);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let datagram = mutant(&corpus, &mut random);
        let outcome = std::panic::catch_unwind(|| check(&datagram));
        let is_message =
            outcome.unwrap_or_else(|_| panic!("the datagram was {}", datagram.escape_ascii()));
        read += usize::from(is_message);
    }
    // Both sides of the parser have been seen in earnest.
    assert!(read > ROUNDS / 10 && read < ROUNDS * 9 / 10, "{read} of {ROUNDS} were messages");
}

#[expect(clippy::disallowed_methods, reason = "the messages are files, for they are not all text")]
fn corpus() -> Vec<Vec<u8>> {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/tests/data/torture"), format!("{root}/tests/data/ipv6")];
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder is there"))
        .map(|file| file.expect("the folder can be read").path())
        .collect();
    // The order of a folder is not the same everywhere.
    paths.sort();
    let read = |path| std::fs::read(path).expect("the file can be read");
    let mut corpus: Vec<_> = paths.into_iter().map(read).collect();
    corpus.push(include_bytes!("../benches/invite.sip").to_vec());
    corpus
}

/// A message of the corpus with one to four changes.
fn mutant(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + random.below(24)).min(bytes.len());
        let piece = PIECES[random.below(PIECES.len())];
        match random.below(8) {
            0 => drop(bytes.splice(at..end, [])),
            1 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            2 => {
                let other = &corpus[random.below(corpus.len())];
                let tail = other[random.below(other.len())..].to_vec();
                drop(bytes.splice(at.., tail));
            }
            3 if random.below(4) == 0 => bytes.truncate(at),
            4 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            5 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            _ => drop(bytes.splice(at..at, piece.iter().copied())),
        }
    }
    bytes
}

/// Whether the datagram is a message; panics when something about it is not as promised.
fn check(datagram: &[u8]) -> bool {
    let source = SocketAddr::from(([198, 51, 100, 9], 40000));
    check_sdp(datagram);
    sip::sipfrag::parse(datagram);
    match Message::parse(Bytes::copy_from_slice(datagram)) {
        Err(fault) => {
            assert!(fault.at <= datagram.len(), "{fault}");
            let answer = sip::bad_request(datagram, source, &fault.to_string());
            let is_status_line = |answer: Bytes| {
                answer.starts_with(b"SIP/2.0 400 ") || answer.starts_with(b"SIP/2.0 505 ")
            };
            assert!(answer.is_none_or(is_status_line));
            false
        }
        Ok(message) => {
            check_print(&message);
            check_headers(message.headers());
            if let Message::Request(request) = &message {
                check_response(request, source);
            }
            true
        }
    }
}

fn check_print(message: &Message) {
    let again = Message::parse(message.to_bytes()).expect("what was printed can be read");
    assert!(again.headers().iter().eq(message.headers().iter()));
    assert_eq!(again.headers().body(), message.headers().body());
    match (message, &again) {
        (Message::Request(one), Message::Request(two)) => {
            assert_eq!((one.method_name(), one.uri()), (two.method_name(), two.uri()));
        }
        (Message::Response(one), Message::Response(two)) => {
            assert_eq!((one.status, one.reason()), (two.status, two.reason()));
        }
        _ => panic!("a request became a response"),
    }
}

/// What the parser keeps as ranges is what the headers say when they are read again.
fn check_headers(headers: &Headers) {
    let first = |name| headers.value(name).expect("the parser has seen it");
    assert_eq!(NameAddr::parse(first(Name::From)), Ok(headers.from()));
    assert_eq!(NameAddr::parse(first(Name::To)), Ok(headers.to()));
    assert_eq!((headers.from_tag(), headers.to_tag()), (headers.from().tag(), headers.to().tag()));
    assert_eq!(headers.branch(), headers.via().branch());
    assert_eq!(headers.values(Name::Via).next().map(Via::parse), Some(Ok(headers.via())));
    assert_eq!(headers.call_id().as_bytes(), first(Name::CallId));
    assert_eq!(sip::CSeq::parse(first(Name::CSeq)), Ok(headers.cseq()));
    for header in headers.iter() {
        assert!(
            !header.value.contains(&b'\n')
                && !header.value.contains(&b'\r')
                && !header.text.is_empty()
        );
        for element in headers.values(header.name) {
            check_element(element);
        }
        headers.number(header.name);
        headers.has_token(header.name, "timer");
    }
    headers.content_type();
    headers.contact();
    check_sdp(headers.body());
}

fn check_element(element: &[u8]) {
    let _ = Via::parse(element);
    if let Ok(address) = NameAddr::parse(element) {
        address.params.iter().for_each(drop);
        check_uri(address.uri);
    }
    let Ok(text) = str::from_utf8(element) else { return };
    let _ = (Event::parse(text), SubscriptionState::parse(text));
    if let Ok(replaces) = Replaces::parse(text) {
        assert_eq!(Replaces::parse(&replaces.to_string()), Ok(replaces));
    }
    check_uri(text);
    assert_eq!(uri::unescape(&uri::escape_header(text)).as_deref(), Some(text));
}

fn check_uri(text: &str) {
    let Ok(uri) = Uri::parse(text) else { return };
    assert!(uri::equivalent(&uri, &uri), "{text}");
    if uri.scheme != sip::Scheme::Other {
        assert_eq!(Uri::parse(&uri.to_string()), Ok(uri), "{text}");
    }
    assert!(
        !text.contains(|char: char| char.is_ascii_control() || " <>\"".contains(char)),
        "{text}"
    );
}

/// A request that can be read can be answered, and the answer finds its way back.
fn check_response(request: &Request, source: SocketAddr) {
    let bytes = sip::respond(request, 486, "t1", source).finish();
    let Ok(Message::Response(response)) = Message::parse(bytes.clone()) else {
        panic!("no response: {}", bytes.escape_ascii());
    };
    assert_eq!(response.status, 486);
    assert_eq!(response.to_tag(), request.to_tag().or(Some("t1")));
    assert_eq!((response.from_tag(), response.branch()), (request.from_tag(), request.branch()));
    assert_eq!((response.call_id(), response.cseq()), (request.call_id(), request.cseq()));
    assert_eq!(response.values(Name::Via).count(), request.values(Name::Via).count());
    if request.via().rport().is_some() {
        let (received, port) = (source.ip().to_string(), source.port().to_string());
        assert_eq!(response.via().received(), Some(&*received));
        assert_eq!(response.via().rport(), Some(&*port));
    }
}

fn check_sdp(body: &[u8]) {
    let Ok(sdp) = Sdp::parse(body) else {
        assert!(sdp::with_version(body, 1).is_err());
        return;
    };
    let kinds = |sdp: &[u8]| -> Vec<_> {
        let parsed = Sdp::parse(sdp).expect("a copy can be read");
        parsed.media().map(|media| (media.kind.to_owned(), media.port)).collect()
    };
    sdp.is_on_hold();
    let held = sdp::with_direction(body, Direction::Inactive).expect("it can be read");
    let held = Sdp::parse(&held).expect("a copy can be read");
    assert_eq!(held.media().len(), sdp.media().len());
    assert!(held.media().all(|media| media.direction == Direction::Inactive));
    let other = Origin { username: "-", session_id: "7", version: 8, rest: "IN IP4 a" };
    let renamed = sdp::with_origin(body, &other).expect("it can be read");
    assert_eq!(Sdp::parse(&renamed).expect("a copy can be read").origin(), other);
    assert_eq!(kinds(&sdp::rejecting(body)).len(), sdp.media().len());
    let (placed, order) = sdp::arranged(body, &["video", "audio"]).expect("it can be read");
    let restored = sdp::restored(&placed, &order, sdp.media().len());
    if let Ok(restored) = restored {
        assert_eq!(kinds(&restored), kinds(body));
    }
}
