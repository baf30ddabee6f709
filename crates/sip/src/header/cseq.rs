//! CSeq: the number and method of a request within its dialog (RFC 3261 §8.1.1.5, §20.16).

use std::fmt;
use std::str::FromStr;

use crate::cursor::{Cursor, is_blank, is_token, trimmed};
use crate::error::{ErrorKind, ParseError};
use crate::method::Method;

/// A CSeq header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Less than 2^31.
    pub number: u32,
    /// The method; [`Headers::cseq_method`](crate::Headers::cseq_method) has its name.
    pub method: Method,
}

impl CSeq {
    /// Reads a whole value, as in `7 INVITE`.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let (number, method) = parts(value)?;
        Ok(Self { number, method: Method::parse(method.as_bytes()) })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// The number and the method's name.
pub(crate) fn parts(value: &[u8]) -> Result<(u32, &str), ParseError> {
    let mut cursor = Cursor::new(trimmed(value));
    let fault = |at| ParseError::new(ErrorKind::CSeq, at);
    let number = decimal(cursor.take_while(|byte| byte.is_ascii_digit()));
    let number = number.filter(|number| *number < 1 << 31).ok_or(fault(0))?;
    let blanks = cursor.take_while(is_blank);
    let method = cursor.take_while(is_token);
    if blanks.is_empty() || method.is_empty() || !cursor.is_at_end() {
        return Err(fault(cursor.at()));
    }
    Ok((number, super::text(method, fault(0))?))
}

/// A decimal number that fits, leading zeros included; nothing but digits.
pub(crate) fn decimal<T: FromStr>(digits: &[u8]) -> Option<T> {
    // `parse` alone would let a sign pass.
    let is_number = digits.iter().all(u8::is_ascii_digit);
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method_are_read_with_leading_zeros_and_any_blanks() {
        let cseq = CSeq::parse(b"0009   INVITE ").unwrap();
        assert_eq!(cseq, CSeq { number: 9, method: Method::Invite });
        assert_eq!(cseq.to_string(), "9 INVITE");
        assert_eq!(CSeq::parse(b"2147483647 X").unwrap().method, Method::Other);
    }

    #[test]
    fn a_number_of_2_to_the_31_or_a_lone_number_is_refused() {
        for value in [
            "2147483648 BYE",
            "36893488147419103232 BYE",
            "-1 BYE",
            "1",
            "1BYE",
            "BYE",
            "1 BYE x",
            "",
        ] {
            assert_eq!(CSeq::parse(value.as_bytes()).unwrap_err().kind, ErrorKind::CSeq, "{value}");
        }
    }
}
