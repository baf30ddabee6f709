//! Via: where a request has been and its response goes (RFC 3261 §20.42, RFC 3581).

use std::fmt;

use super::cseq::decimal;
use super::params::Params;
use crate::cursor::{Cursor, is_token};
use crate::error::{ErrorKind, ParseError};

/// One element of a Via header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, …, as written.
    pub transport: &'a str,
    /// The host of `sent-by`, an IPv6 address with its brackets.
    pub host: &'a str,
    /// The port of `sent-by`, when written.
    pub port: Option<u16>,
    /// `;branch=…` and the like.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element.
    pub fn parse(element: &'a [u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(element);
        cursor.skip_blanks();
        let read = Self::read(&mut cursor);
        let mut via = read.ok_or(ParseError::new(ErrorKind::Via, cursor.at()))?;
        via.params = Params::parse(cursor.rest())
            .map_err(|fault| ParseError::new(ErrorKind::Via, cursor.at() + fault.at))?;
        Ok(via)
    }

    /// Reads up to the parameters.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        token(cursor)?;
        cursor.eat_separator(b'/').then_some(())?;
        token(cursor)?;
        cursor.eat_separator(b'/').then_some(())?;
        let transport = token(cursor)?;
        let before = cursor.at();
        cursor.skip_blanks();
        (cursor.at() > before).then_some(())?;
        let host = host(cursor)?;
        let mut port = None;
        if cursor.eat_separator(b':') {
            let digits = cursor.take_while(|byte| byte.is_ascii_digit());
            port = Some(decimal(digits).filter(|port| *port != 0)?);
        }
        Some(Self { transport, host, port, params: Params::default() })
    }

    /// The transaction identifier (§8.1.1.7). RFC 2543 clients leave it out.
    pub fn branch(&self) -> Option<&'a str> {
        self.params.get("branch")
    }

    /// The address that the next hop saw the request come from (§18.2.1).
    pub fn received(&self) -> Option<&'a str> {
        self.params.get("received")
    }

    /// The port likewise, `""` while it is only asked for (RFC 3581 §3).
    pub fn rport(&self) -> Option<&'a str> {
        self.params.get("rport")
    }
}

impl fmt::Display for Via<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

fn token<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    str::from_utf8(cursor.take_while(is_token)).ok().filter(|token| !token.is_empty())
}

fn host<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let start = cursor.rest();
    let length = if cursor.eat(b'[') {
        let address =
            cursor.take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        (!address.is_empty() && cursor.eat(b']')).then_some(address.len() + 2)?
    } else {
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        cursor.take_while(is_host).len()
    };
    str::from_utf8(&start[..length]).ok().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_sent_by_and_parameters_are_read() {
        let via = Via::parse(b"SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;rport;received=10.0.0.2")
            .unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UDP", "10.0.0.1", Some(5070)));
        assert_eq!(
            (via.branch(), via.rport(), via.received()),
            (Some("z9hG4bKa"), Some(""), Some("10.0.0.2"))
        );
        assert_eq!(
            via.to_string(),
            "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;rport;received=10.0.0.2"
        );
    }

    #[test]
    fn an_ipv6_host_keeps_its_brackets() {
        let via = Via::parse(b"SIP/2.0/UDP [2001:db8::9:1]:5061;received=2001:db8::9:255").unwrap();
        assert_eq!(
            (via.host, via.port, via.received()),
            ("[2001:db8::9:1]", Some(5061), Some("2001:db8::9:255"))
        );
    }

    #[test]
    fn blanks_may_stand_around_every_separator() {
        let via =
            Via::parse(b" SIP  / 2.0  / TCP     spindle.example.com : 5060   ;  branch  =   z9 ")
                .unwrap();
        assert_eq!((via.transport, via.host, via.port), ("TCP", "spindle.example.com", Some(5060)));
        assert_eq!(via.branch(), Some("z9"));
    }

    #[test]
    fn what_is_no_via_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("SIP/2.0", 7),
            ("SIP/2.0/UDP", 11),
            ("SIP/2.0/UDP ;branch=a", 12),
            ("SIP/2.0/UDP a:0;branch=a", 15),
            ("SIP/2.0/UDP a:65536", 19),
            ("SIP/2.0/UDP [::1;branch=a", 16),
            ("SIP/2.0/UDP 192.0.2.15;;", 23),
            ("SIP/2.0/UDP a b", 14),
        ] {
            assert_eq!(
                Via::parse(text.as_bytes()),
                Err(ParseError::new(ErrorKind::Via, at)),
                "{text}"
            );
        }
    }
}
