//! The frame of a response: what it copies from its request (RFC 3261 §8.2.6), and where it says
//! the request came from (§18.2.1, RFC 3581 §4).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::cursor::{Cursor, is_blank, is_token, trimmed};
use crate::error::ErrorKind;
use crate::header::name_addr::NameAddr;
use crate::header::via::Via;
use crate::list;
use crate::message::Request;
use crate::name::Name;
use crate::parse::{MAX_HEADERS, MAX_MESSAGE, line_end, request_line};
use crate::status::reason_phrase;
use crate::write::Writer;

/// Begins the response to `request`, which came from `source`: status line, every Via, From, To,
/// Call-ID and CSeq. To gets `to_tag` when it has no tag yet and `to_tag` is not empty.
pub fn respond(request: &Request, status: u16, to_tag: &str, source: SocketAddr) -> Writer {
    let mut writer = Writer::response(status, reason_phrase(status));
    let mut vias = request.whole_values(Name::Via);
    write_top_via(&mut writer, vias.next().unwrap_or_default(), &request.via(), source);
    for via in vias {
        writer.bytes("Via", via);
    }
    writer.bytes("From", request.value(Name::From).unwrap_or_default());
    let to = request.value(Name::To).unwrap_or_default();
    write_to(&mut writer, to, request.to_tag().is_some(), to_tag);
    writer.header("Call-ID", request.call_id());
    writer
        .push("CSeq: ")
        .display(request.cseq().number)
        .push(" ")
        .push(request.cseq_method())
        .end_line();
    writer
}

/// The answer to a datagram that [`Message::parse`](crate::Message::parse) refused: `400` with this
/// reason, or 505 to another version of SIP. `None` when the datagram is no request, is an ACK, or
/// lacks a header that a response must copy: then there is nobody to answer to.
pub fn bad_request(datagram: &[u8], source: SocketAddr, reason: &str) -> Option<Bytes> {
    let datagram = &datagram[..datagram.len().min(MAX_MESSAGE)];
    let start = datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let (end, next) = line_end(datagram, start).ok()?;
    let line = &datagram[start..end];
    let method = Cursor::new(line).take_while(is_token);
    if method.is_empty() || method == b"ACK" || line.get(method.len()) != Some(&b' ') {
        return None;
    }
    let is_other_version = request_line(line).is_err_and(|fault| fault.kind == ErrorKind::Version);
    let mut writer = match is_other_version {
        true => Writer::response(505, reason_phrase(505)),
        false => Writer::response(400, reason),
    };
    let lines = loose_lines(datagram, next);
    let value = |wanted| lines.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let mut vias = lines.iter().filter(|(name, _)| *name == Name::Via).map(|(_, value)| *value);
    let top = vias.next()?;
    match Via::parse(list::first(top)) {
        Ok(via) => write_top_via(&mut writer, top, &via, source),
        Err(_) => drop(writer.bytes("Via", top)),
    }
    for via in vias {
        writer.bytes("Via", via);
    }
    writer.bytes("From", value(Name::From)?);
    let to = value(Name::To)?;
    // Only an address that can be read has a place for a tag. It must be the same for every copy of
    // the request (§8.2.7), so it is made of the request.
    let has_tag = NameAddr::parse(to).map_or(true, |to| to.tag().is_some());
    write_to(&mut writer, to, has_tag, &format!("{:016x}", fingerprint(datagram)));
    writer.bytes("Call-ID", value(Name::CallId)?).bytes("CSeq", value(Name::CSeq)?);
    Some(writer.finish())
}

/// The header lines that can be told apart, folded ones as they are: a [`Writer`] joins them.
fn loose_lines(datagram: &[u8], start: usize) -> Vec<(Name, &[u8])> {
    let mut lines = Vec::new();
    let mut at = start;
    while let Ok((mut end, mut next)) = line_end(datagram, at) {
        if end == at || lines.len() == MAX_HEADERS {
            break;
        }
        while datagram.get(next).is_some_and(|&byte| is_blank(byte)) {
            let Ok(line) = line_end(datagram, next) else { break };
            (end, next) = line;
        }
        let mut cursor = Cursor::new(&datagram[at..end]);
        let name = Name::parse(cursor.take_while(is_token));
        if cursor.eat_separator(b':') {
            lines.push((name, trimmed(cursor.rest())));
        }
        at = next;
    }
    lines
}

/// Writes the first Via line with the source of the request in its first element, which is `via`.
fn write_top_via(writer: &mut Writer, line: &[u8], via: &Via<'_>, source: SocketAddr) {
    let (element, rest) = line.split_at(list::end_of_first(line));
    let element = trimmed(element);
    let ip = source.ip().to_canonical();
    writer.push("Via: ").push(&element[..element.len() - via.params.0.len()]);
    for param in via.params.raw() {
        let name = param.split('=').next().unwrap_or_default().trim_ascii_end();
        if name.eq_ignore_ascii_case("rport") {
            writer.push(";rport=").display(source.port());
        } else if !name.eq_ignore_ascii_case("received") {
            // What the sender says about its own address is not to be believed.
            writer.push(";").push(param);
        }
    }
    let is_sent_by = via.host.trim_matches(['[', ']']).parse().is_ok_and(|host: IpAddr| host == ip);
    if !is_sent_by || via.rport().is_some() {
        writer.push(";received=").display(ip);
    }
    writer.push(rest).end_line();
}

fn write_to(writer: &mut Writer, to: &[u8], has_tag: bool, to_tag: &str) {
    writer.push("To: ").push(to);
    if !has_tag && !to_tag.is_empty() {
        writer.push(";tag=").push(to_tag);
    }
    writer.end_line();
}

/// FNV-1a: tells requests apart well enough for a tag that nothing depends on.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
