//! Event: which event package a subscription is about (RFC 6665 §8.2.1).

use super::params::Params;
use crate::cursor::{Cursor, is_token};
use crate::error::{ErrorKind, ParseError};
use crate::name::Name;

/// An Event header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The package with its templates, as in `presence.winfo`.
    pub package: &'a str,
    /// Tells the subscriptions of one dialog apart; in package `refer` the CSeq number of the REFER
    /// (RFC 3515 §2.4.6).
    pub id: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// Reads a whole value, as in `refer;id=2`.
    pub fn parse(value: &'a str) -> Result<Self, ParseError> {
        let (package, params) = token_and_params(value, Name::Event)?;
        Ok(Self { package, id: params.get("id") })
    }
}

/// Reads `token *(;param)`, the form of many headers.
pub(super) fn token_and_params(value: &str, name: Name) -> Result<(&str, Params<'_>), ParseError> {
    let fault = |at| ParseError::new(ErrorKind::Value(name), at);
    let mut cursor = Cursor::new(value.as_bytes());
    cursor.skip_blanks();
    let token = super::text(cursor.take_while(is_token), fault(cursor.at()))?;
    if token.is_empty() {
        return Err(fault(cursor.at()));
    }
    let params = Params::parse(cursor.rest()).map_err(|inner| fault(cursor.at() + inner.at))?;
    Ok((token, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_and_id_are_read() {
        assert_eq!(Event::parse("refer"), Ok(Event { package: "refer", id: None }));
        assert_eq!(Event::parse(" refer ; id=2"), Ok(Event { package: "refer", id: Some("2") }));
    }

    #[test]
    fn an_event_without_a_package_is_refused() {
        for text in ["", ";id=2", "refer id=2", "refer;"] {
            assert_eq!(
                Event::parse(text).unwrap_err().kind,
                ErrorKind::Value(Name::Event),
                "{text}"
            );
        }
    }
}
