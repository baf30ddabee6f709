//! Changed copies of a session description, and the one that a call is started with.

use std::net::IpAddr;

use super::parts::{Line, Parts};
use super::{Direction, Media, Origin, Sdp};
use crate::error::ParseError;

/// A copy in which every media section has exactly this direction attribute, in the place of its
/// first one or else at its end, and the session part has none.
pub fn with_direction(sdp: &[u8], direction: Direction) -> Result<Vec<u8>, ParseError> {
    with_directions(sdp, |_, _| direction)
}

/// The same with a direction for each section, which `choose` gets with its place.
pub fn with_directions(
    sdp: &[u8],
    mut choose: impl FnMut(usize, &Media<'_>) -> Direction,
) -> Result<Vec<u8>, ParseError> {
    let (parsed, parts) = (Sdp::parse(sdp)?, Parts::of(sdp)?);
    let mut copy = Vec::with_capacity(sdp.len() + 16 * parts.media.len());
    for line in parts.session.iter().filter(|line| line.direction().is_none()) {
        copy.extend_from_slice(line.whole);
    }
    for (at, (section, media)) in parts.media.iter().zip(parsed.media()).enumerate() {
        let mut attribute = Some(format!("a={}", choose(at, &media).as_str()));
        for line in section {
            match line.direction() {
                None => copy.extend_from_slice(line.whole),
                Some(_) => push_line(&mut copy, attribute.take(), line),
            }
        }
        push_line(&mut copy, attribute, &section[0]);
    }
    Ok(copy)
}

/// A copy whose `o=` line has this version and stays the same otherwise.
pub fn with_version(sdp: &[u8], version: u64) -> Result<Vec<u8>, ParseError> {
    let origin = Sdp::parse(sdp)?.origin();
    with_origin(sdp, &Origin { version, ..origin })
}

/// A copy with this `o=` line: within a dialog every description belongs to one session, whoever
/// made it (RFC 3264 §8).
pub fn with_origin(sdp: &[u8], origin: &Origin<'_>) -> Result<Vec<u8>, ParseError> {
    Sdp::parse(sdp)?;
    let Origin { username, session_id, version, rest } = origin;
    let mut is_written = false;
    let mut copy = Vec::with_capacity(sdp.len() + 40);
    let parts = Parts::of(sdp)?;
    for line in parts.session.iter().chain(parts.media.iter().flatten()) {
        if line.text.starts_with(b"o=") && !is_written {
            is_written = true;
            let text = format!("o={username} {session_id} {version} {rest}");
            push_line(&mut copy, Some(text), line);
        } else {
            copy.extend_from_slice(line.whole);
        }
    }
    Ok(copy)
}

/// The offer that a call is started with before its media is known: one audio stream that nothing
/// flows in yet (RFC 3725 §4.4), at `address` and a port nobody listens on.
pub fn inactive_audio(address: IpAddr, session_id: u64) -> String {
    let version = if address.is_ipv6() { 6 } else { 4 };
    format!(
        "v=0\r\n\
         o=- {session_id} 1 IN IP{version} {address}\r\n\
         s=-\r\n\
         c=IN IP{version} {address}\r\n\
         t=0 0\r\n\
         m=audio 9 RTP/AVP 0 8 9 101\r\n\
         a=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:9 G722/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\n\
         a=inactive\r\n"
    )
}

/// An answer with which nothing flows yet, to be followed by another one: audio is taken as it is
/// offered and left inactive, at a port nobody listens on, and other sections are refused
/// (RFC 3264 §6). What cannot be read of the offer is left out.
pub fn inactive_answer(offer: &[u8], address: IpAddr, session_id: u64) -> Vec<u8> {
    let version = if address.is_ipv6() { 6 } else { 4 };
    let mut answer = format!(
        "v=0\r\no=- {session_id} 1 IN IP{version} {address}\r\ns=-\r\n\
         c=IN IP{version} {address}\r\nt=0 0\r\n"
    )
    .into_bytes();
    let (Ok(parsed), Ok(parts)) = (Sdp::parse(offer), Parts::of(offer)) else { return answer };
    for (section, Media { kind, proto, formats, .. }) in parts.media.iter().zip(parsed.media()) {
        // Secure profiles want keys of ours.
        let is_taken = kind == "audio" && matches!(proto, "RTP/AVP" | "RTP/AVPF");
        let port = if is_taken { 9 } else { 0 };
        answer.extend_from_slice(format!("m={kind} {port} {proto} {formats}\r\n").as_bytes());
        let is_format = |line: &&Line<'_>| {
            line.text.starts_with(b"a=rtpmap:") || line.text.starts_with(b"a=fmtp:")
        };
        for line in section.iter().filter(|_| is_taken).filter(is_format) {
            answer.extend_from_slice(line.text);
            answer.extend_from_slice(b"\r\n");
        }
        if is_taken {
            answer.extend_from_slice(b"a=inactive\r\n");
        }
    }
    answer
}

/// Appends a line in the style of `like`, on a line of its own.
fn push_line(copy: &mut Vec<u8>, text: Option<String>, like: &Line<'_>) {
    let Some(text) = text else { return };
    end_line(copy);
    copy.extend_from_slice(text.as_bytes());
    copy.extend_from_slice(like.line_end());
}

/// Ends the last line, if it has no end.
pub(super) fn end_line(copy: &mut Vec<u8>) {
    if !copy.ends_with(b"\n") {
        copy.extend_from_slice(b"\r\n");
    }
}
