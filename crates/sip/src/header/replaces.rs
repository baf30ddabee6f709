//! Replaces: the dialog that a new INVITE takes the place of (RFC 3891 §6.1).

use std::fmt;

use super::params::Params;
use crate::cursor::Cursor;
use crate::error::{ErrorKind, ParseError};
use crate::name::Name;

/// A Replaces header. The tags are as the one who receives it sees them: `to_tag` is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// The Call-ID of the dialog.
    pub call_id: &'a str,
    /// The receiver's tag.
    pub to_tag: &'a str,
    /// The other party's tag.
    pub from_tag: &'a str,
    /// Whether only a dialog that is not answered yet is meant.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads a whole value, as in `call@host;to-tag=a;from-tag=b`. Both tags are needed.
    pub fn parse(value: &'a str) -> Result<Self, ParseError> {
        let fault = |at| ParseError::new(ErrorKind::Value(Name::Replaces), at);
        let mut cursor = Cursor::new(value.as_bytes());
        cursor.skip_blanks();
        let is_word = |byte: u8| byte > b' ' && byte != b';' && byte != 0x7f;
        let call_id = super::text(cursor.take_while(is_word), fault(0))?;
        let params = Params::parse(cursor.rest()).map_err(|inner| fault(cursor.at() + inner.at))?;
        let tag = |name| params.get(name).filter(|tag| !tag.is_empty()).ok_or(fault(cursor.at()));
        if call_id.is_empty() {
            return Err(fault(0));
        }
        let early_only = params.get("early-only").is_some();
        Ok(Self { call_id, to_tag: tag("to-tag")?, from_tag: tag("from-tag")?, early_only })
    }
}

impl fmt::Display for Replaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_and_printed() {
        let text = "425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only";
        let replaces = Replaces::parse(text).unwrap();
        assert_eq!(replaces.call_id, "425928@bobster.example.org");
        assert_eq!(
            (replaces.to_tag, replaces.from_tag, replaces.early_only),
            ("7743", "6472", true)
        );
        assert_eq!(replaces.to_string(), text);
    }

    #[test]
    fn a_value_without_both_tags_is_refused() {
        for text in ["", "a@b", "a@b;to-tag=1", "a@b;from-tag=1", ";to-tag=1;from-tag=2"] {
            assert_eq!(
                Replaces::parse(text).unwrap_err().kind,
                ErrorKind::Value(Name::Replaces),
                "{text}"
            );
        }
    }
}
