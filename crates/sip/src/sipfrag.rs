//! The status line inside a NOTIFY: how the request that a REFER asked for is going (RFC 3420,
//! RFC 3515 §2.4.5).

use crate::cursor::trimmed;
use crate::header::cseq::decimal;

/// The status code and reason phrase of a `message/sipfrag` body; `None` when it does not begin with
/// a status line. Headers after it are not looked at.
pub fn parse(body: &[u8]) -> Option<(u16, &[u8])> {
    let line = trimmed(body.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next()?);
    let rest = line
        .split_at_checked(8)
        .filter(|(version, _)| version.eq_ignore_ascii_case(b"SIP/2.0 "))?
        .1;
    let (code, reason) = rest.split_at_checked(3)?;
    let status = decimal(code)?;
    let is_sound = (100..700).contains(&status) && matches!(reason.first(), None | Some(b' '));
    is_sound.then_some((status, trimmed(reason)))
}

/// The status code alone.
pub fn status_of(body: &[u8]) -> Option<u16> {
    parse(body).map(|(status, _)| status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_with_or_without_what_may_follow_it() {
        assert_eq!(parse(b"SIP/2.0 486 Busy Here\r\n"), Some((486, &b"Busy Here"[..])));
        assert_eq!(parse(b"sip/2.0 100 Trying"), Some((100, &b"Trying"[..])));
        assert_eq!(parse(b"\r\nSIP/2.0 200 OK\r\nTo: <sip:a@b>\r\n\r\n"), Some((200, &b"OK"[..])));
        assert_eq!(parse(b"SIP/2.0 603"), Some((603, &b""[..])));
        assert_eq!(status_of(b"SIP/2.0 180 \xff"), Some(180));
    }

    #[test]
    fn anything_else_has_no_status() {
        for body in [
            "",
            "SIP/2.0",
            "SIP/2.0 ",
            "SIP/2.0 20",
            "SIP/2.0 2000 OK",
            "SIP/2.0 700 X",
            "SIP/2.0 +20 X",
            "INVITE sip:a@b SIP/2.0",
            "SIP/3.0 200 OK",
        ] {
            assert_eq!(parse(body.as_bytes()), None, "{body}");
        }
    }
}
