//! `%HH` escapes (RFC 3261 §19.1.2). They are undone once, never again on the result.

use std::borrow::Cow;
use std::fmt::Write;

use super::is_unreserved;

/// `text` with every `%HH` replaced by its byte. `None` when a `%` is not followed by two
/// hexadecimal digits, or when the result is not UTF-8.
pub fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(plain).ok().map(Cow::Owned)
}

/// `text` as the value of a header inside a URI, as in `?Replaces=…`: every byte that could be
/// taken for a separator there is escaped.
pub fn escape_header(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_unreserved(byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(unescape("plain").as_deref(), Some("plain"));
        assert_eq!(unescape("v%61lue%25%34%31").as_deref(), Some("value%41"));
        assert_eq!(unescape("null-%00-null").as_deref(), Some("null-\0-null"));
    }

    #[test]
    fn a_broken_escape_is_no_text() {
        for text in ["%", "%4", "%4g", "%ff"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn a_header_value_survives_the_way_through_a_uri() {
        let replaces = "a b@c;to-tag=1;from-tag=\"ö\"";
        let escaped = escape_header(replaces);
        assert_eq!(escaped, "a%20b%40c%3Bto-tag%3D1%3Bfrom-tag%3D%22%C3%B6%22");
        assert_eq!(unescape(&escaped).as_deref(), Some(replaces));
    }
}
