//! The torture messages of RFC 4475 and RFC 5118, each by the name it has there, with what the RFC
//! says about it. What must be refused above the parser is said in a comment.

mod application;
mod invalid;
mod ipv6;
mod valid;

use std::fmt::Write;

use bytes::Bytes;
use expect_test::Expect;
use sip::{Headers, Message, Name, NameAddr};

/// Where the messages of RFC 4475 are, one file each, and those of RFC 5118.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/torture");
const IPV6_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ipv6");

/// Reads the message of this name, and compares what the parser says about it.
fn check(name: &str, expected: Expect) -> Option<Message> {
    check_in(FOLDER, name, expected)
}

fn check_in(folder: &str, name: &str, expected: Expect) -> Option<Message> {
    let datagram = datagram(&format!("{folder}/{name}.dat"));
    let parsed = Message::parse(datagram.clone());
    let actual = match &parsed {
        Ok(message) => summary(message),
        Err(fault) => format!("{fault}; {}\n", answer(&datagram, &fault.to_string())),
    };
    expected.assert_eq(&actual);
    parsed.ok()
}

#[expect(clippy::disallowed_methods, reason = "the messages are files, for they are not all text")]
fn datagram(path: &str) -> Bytes {
    std::fs::read(path).expect("every case has its file").into()
}

/// The names of the messages in a folder.
fn names(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let name = |file: std::io::Result<std::fs::DirEntry>| file.ok()?.file_name().into_string().ok();
    files.filter_map(name).filter_map(|name| Some(name.strip_suffix(".dat")?.to_owned())).collect()
}

/// What a broken request is told. It echoes what is broken, so it need not be a sound message.
fn answer(datagram: &[u8], reason: &str) -> String {
    let answer = sip::bad_request(datagram, ([192, 0, 2, 200], 5060).into(), reason);
    let status = answer.and_then(|answer| sip::sipfrag::status_of(&answer));
    status.map_or("dropped".to_owned(), |status| format!("answered {status}"))
}

/// What a user agent looks at first.
fn summary(message: &Message) -> String {
    let mut text = match message {
        Message::Request(request) => {
            format!("{} {}\n", request.method_name(), line(request.uri().as_bytes()))
        }
        Message::Response(response) => {
            format!("{} {:?}\n", response.status, response.reason_text())
        }
    };
    write_headers(&mut text, message.headers()).expect("a String takes all");
    text
}

fn write_headers(text: &mut String, headers: &Headers) -> std::fmt::Result {
    let via = headers.via();
    let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
    let branch = line(headers.branch().unwrap_or("none").as_bytes());
    writeln!(text, "Via: {} {}{port} branch {branch}", via.transport, via.host)?;
    writeln!(text, "From: {}", address(&headers.from()))?;
    writeln!(text, "To: {}", address(&headers.to()))?;
    writeln!(text, "Call-ID: {}", line(headers.call_id().as_bytes()))?;
    writeln!(text, "CSeq: {} {}", headers.cseq().number, headers.cseq_method())?;
    for contact in headers.values(Name::Contact) {
        let contact = NameAddr::parse(contact).map(|contact| address(&contact));
        writeln!(text, "Contact: {}", contact.unwrap_or_else(|fault| fault.to_string()))?;
    }
    let content = headers.content_type().unwrap_or("nothing");
    writeln!(
        text,
        "{} headers, {} bytes of {content}",
        headers.iter().count(),
        headers.body().len()
    )
}

fn address(address: &NameAddr<'_>) -> String {
    let tag = address.tag().map(|tag| format!(" tag {}", line(tag.as_bytes()))).unwrap_or_default();
    let params =
        address.params.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("tag")).count();
    let params = if params == 0 { String::new() } else { format!(" and {params} parameters") };
    format!("{} <{}>{tag}{params}", line(address.display), line(address.uri.as_bytes()))
}

/// Something on one line of bearable length.
fn line(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 90 { text } else { format!("{}... ({} bytes)", &text[..60], bytes.len()) }
}

#[test]
fn every_message_has_a_case() {
    let cases =
        [include_str!("valid.rs"), include_str!("invalid.rs"), include_str!("application.rs")]
            .concat();
    let (messages, ipv6) = (names(FOLDER), names(IPV6_FOLDER));
    assert_eq!((messages.len(), ipv6.len()), (50, 12));
    for name in messages {
        assert!(cases.contains(&format!("\"{name}\"")), "{name} has no case");
    }
    for name in ipv6 {
        assert!(include_str!("ipv6.rs").contains(&format!("\"{name}\"")), "{name} has no case");
    }
}

/// What the parser reads it can print, and read again to the same end.
#[test]
fn every_message_that_is_read_prints_to_a_message_with_the_same_headers() {
    for folder in [FOLDER, IPV6_FOLDER] {
        for name in names(folder) {
            let Ok(message) = Message::parse(datagram(&format!("{folder}/{name}.dat"))) else {
                continue;
            };
            let again = Message::parse(message.to_bytes()).unwrap();
            assert_eq!(summary(&again), summary(&message), "{name}");
            assert!(again.headers().iter().eq(message.headers().iter()), "{name}");
            assert_eq!(again.headers().body(), message.headers().body(), "{name}");
        }
    }
}
