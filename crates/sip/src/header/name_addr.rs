//! Name and address: the form of From, To, Contact, Route, Record-Route, Refer-To and their kin
//! (RFC 3261 §20.10, `name-addr` and `addr-spec` in §25.1).
//!
//! A display name may be any bytes: phones put Latin-1 there, and a call must not fail over it. The
//! URI is only checked to be one; [`Uri::parse`](crate::Uri::parse) takes it apart.

use std::fmt;

use super::params::Params;
use crate::cursor::{Cursor, is_uri, trimmed};
use crate::error::{ErrorKind, ParseError};
use crate::name::Name;

/// One element of a header that holds addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name as written, quotes included; may be empty.
    pub display: &'a [u8],
    /// What is between `<` and `>`. Without these, what is before the first `;`: parameters of a
    /// bare URI are the header's (§20).
    pub uri: &'a str,
    /// The header's parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one element. Its faults are [`ErrorKind::Address`] of [`Name::Other`].
    pub fn parse(element: &'a [u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(element);
        cursor.skip_blanks();
        let read = Self::read(&mut cursor);
        let (display, uri) = read.ok_or(fault(cursor.at()))?;
        let params = Params::parse(cursor.rest()).map_err(|inner| fault(cursor.at() + inner.at))?;
        Ok(Self { display, uri, params })
    }

    /// Reads the display name and the URI.
    fn read(cursor: &mut Cursor<'a>) -> Option<(&'a [u8], &'a str)> {
        let start = cursor.rest();
        let begin = cursor.at();
        let is_quoted = cursor.peek() == Some(b'"');
        if is_quoted {
            cursor.quoted()?;
            cursor.skip_blanks();
        } else {
            // §25.1 asks for tokens; other characters do no harm unless they separate something.
            cursor.take_while(|byte| !matches!(byte, b'<' | b'>' | b'"' | b',' | b';'));
        }
        let before = &start[..cursor.at() - begin];
        if cursor.eat(b'<') {
            let uri = addr_spec(cursor.take_while(is_uri))?;
            return cursor.eat(b'>').then_some((trimmed(before), uri));
        }
        // A bare URI must not have a `?`: nobody could tell whose parameters would follow (§20.10).
        let uri = addr_spec(trimmed(before)).filter(|uri| !uri.contains('?'));
        uri.filter(|_| !is_quoted).map(|uri| (&start[..0], uri))
    }

    /// The `tag` of From and To (§19.3).
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag")
    }
}

impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.display.is_empty() {
            write!(f, "{} ", String::from_utf8_lossy(self.display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// `text`, if it has a scheme and the characters of a URI.
pub(crate) fn addr_spec(text: &[u8]) -> Option<&str> {
    let colon = memchr::memchr(b':', text)?;
    let (scheme, rest) = text.split_at(colon);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_sound = is_scheme && rest.len() > 1 && rest.iter().all(|&byte| is_uri(byte));
    str::from_utf8(text).ok().filter(|_| is_sound)
}

fn fault(at: usize) -> ParseError {
    ParseError::new(ErrorKind::Address(Name::Other), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_quoted_name_keeps_its_quotes_and_may_hold_anything() {
        let address = parse("\"Bell, <Alexander> \\\"; \" <sip:bell@example.com;lr>;tag=43");
        assert_eq!(address.display, b"\"Bell, <Alexander> \\\"; \"");
        assert_eq!((address.uri, address.tag()), ("sip:bell@example.com;lr", Some("43")));
        assert_eq!(
            address.to_string(),
            "\"Bell, <Alexander> \\\"; \" <sip:bell@example.com;lr>;tag=43"
        );
    }

    #[test]
    fn tokens_may_be_a_name_with_or_without_a_blank_after_them() {
        assert_eq!(parse("A. G. Bell <sip:a@b>").display, b"A. G. Bell");
        assert_eq!(parse("caller<sip:caller@example.com>;tag=323").display, b"caller");
    }

    #[test]
    fn parameters_of_a_bare_uri_are_the_headers() {
        let address = parse(" sip:bob@example.com;tag=1 ; x ");
        assert_eq!((address.display, address.uri), (&b""[..], "sip:bob@example.com"));
        assert_eq!((address.tag(), address.params.get("x")), (Some("1"), Some("")));
    }

    #[test]
    fn a_name_in_latin_1_does_not_hide_the_address() {
        let address = NameAddr::parse(b"\"J\xf6rg\" <sip:j@example.com>").unwrap();
        assert_eq!((address.display, address.uri), (&b"\"J\xf6rg\""[..], "sip:j@example.com"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "*",
            "bob",
            "<>",
            "<sip:>",
            "<sip:a@b",
            "<sip:a@b>>",
            "< sip:a@b >",
            "\"open <sip:a@b>",
            "\"name\" sip:a@b",
            "Bell, Alexander <sip:a@b>",
            "sip:a@b?Route=%3Csip:c%3E",
            "<sip:a@b>;;",
            "<sip:a@b> tag=1",
            "5ip:a@b",
        ] {
            let kind = NameAddr::parse(text.as_bytes()).map_err(|fault| fault.kind);
            assert_eq!(kind, Err(ErrorKind::Address(Name::Other)), "{text}");
        }
    }
}
