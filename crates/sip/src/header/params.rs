//! Parameters: `;name=value;flag;other="quoted value"` (RFC 3261 §7.3.1, `generic-param` in §25.1).
//!
//! They are kept as one piece of text and searched on demand: a header has few, and most are never
//! asked for. The parameters of a URI are kept in the same type.

use std::fmt;

use crate::cursor::{Cursor, is_blank, is_param_value, is_token};
use crate::error::{ErrorKind, ParseError};

/// The parameters of a header or a URI, from their first `;` on; may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(pub(crate) &'a str);

impl<'a> Params<'a> {
    /// Reads header parameters. An empty parameter, as in `;;`, is a [`ErrorKind::Params`] fault.
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        while !cursor.is_at_end() {
            let is_read = cursor.eat_separator(b';')
                && !cursor.take_while(is_token).is_empty()
                && (!cursor.eat_separator(b'=')
                    || cursor.quoted().is_some()
                    || !cursor.take_while(is_param_value).is_empty());
            if !is_read {
                return Err(ParseError::new(ErrorKind::Params, cursor.at()));
            }
            cursor.skip_blanks();
        }
        super::text(text, ParseError::new(ErrorKind::Params, 0)).map(Self)
    }

    /// The value of the first parameter of this name, in any case; `""` for a flag. A quoted value
    /// comes without its quotes, its escapes as written.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names and values in order, as [`get`](Self::get) gives them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.raw().map(|raw| {
            let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
            let value = value.trim_ascii();
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (name.trim_ascii(), unquoted.unwrap_or(value))
        })
    }

    /// The parameters as written, without the semicolons before them.
    pub(crate) fn raw(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let start =
                rest.trim_start_matches(|char: char| char == ';' || char.is_ascii_whitespace());
            let (param, tail) = start.split_at(end_of_param(start.as_bytes()));
            rest = tail;
            (!param.is_empty()).then(|| param.trim_ascii_end())
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.bytes().all(is_blank)
    }
}

impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Where the next `;` outside quotes is.
fn end_of_param(text: &[u8]) -> usize {
    let mut cursor = Cursor::new(text);
    loop {
        cursor.take_while(|byte| byte != b';' && byte != b'"');
        // A quote that nothing closes cannot come from `parse`; it ends the parameters.
        if cursor.peek() != Some(b'"') {
            return cursor.at();
        }
        if cursor.quoted().is_none() {
            return text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_quotes_are_taken_off() {
        let params =
            Params::parse(b"; Tag = a ;flag;text=\"a;b\\\"c\";received=2001:db8::1 ").unwrap();
        assert_eq!(params.get("tag"), Some("a"));
        assert_eq!(params.get("FLAG"), Some(""));
        assert_eq!(params.get("text"), Some("a;b\\\"c"));
        assert_eq!(params.get("received"), Some("2001:db8::1"));
        assert_eq!(params.get("absent"), None);
        assert_eq!(params.iter().count(), 4);
    }

    #[test]
    fn empty_parameters_and_open_quotes_are_refused() {
        for (text, at) in [(";;", 1), (";a;", 3), (";a=", 3), (";a=\"b", 3), ("a", 0), (";a b", 3)]
        {
            let fault = ParseError::new(ErrorKind::Params, at);
            assert_eq!(Params::parse(text.as_bytes()), Err(fault), "{text}");
        }
    }

    #[test]
    fn no_parameters_are_fine() {
        assert!(Params::parse(b"").unwrap().is_empty());
        assert!(Params::parse(b"  ").unwrap().is_empty());
    }
}
