//! Comma-separated lists: several headers of one name may stand on one line (RFC 3261 §7.3.1).

use crate::cursor::{Cursor, trimmed};

/// The elements of a list, trimmed. Commas inside quotes and inside `<>` separate nothing, and
/// empty elements are left out.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (element, tail) = rest.split_at(end_of_first(rest));
            rest = tail.get(1..).unwrap_or_default();
            let element = trimmed(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    })
}

/// The first element as written, even an empty one.
pub(crate) fn first(value: &[u8]) -> &[u8] {
    trimmed(&value[..end_of_first(value)])
}

/// Where the first element ends: at its comma, or at the end.
pub(crate) fn end_of_first(list: &[u8]) -> usize {
    if memchr::memchr(b',', list).is_none() {
        return list.len();
    }
    let mut cursor = Cursor::new(list);
    loop {
        cursor.take_while(|byte| !matches!(byte, b',' | b'"' | b'<'));
        let is_closed = match cursor.peek() {
            Some(b'"') => cursor.quoted().is_some(),
            Some(b'<') => {
                cursor.take_while(|byte| byte != b'>');
                cursor.eat(b'>')
            }
            _ => return cursor.at(),
        };
        // What nothing closes takes the rest of the line with it.
        if !is_closed {
            return list.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(list: &str) -> Vec<&str> {
        elements(list.as_bytes()).map(|element| str::from_utf8(element).unwrap()).collect()
    }

    #[test]
    fn commas_in_quotes_and_brackets_separate_nothing() {
        let list = "\"Bell, \\\", A\" <sip:a,b@c>;x=\"1,2\" , <sip:d>,sip:e";
        assert_eq!(split(list), ["\"Bell, \\\", A\" <sip:a,b@c>;x=\"1,2\"", "<sip:d>", "sip:e"]);
    }

    #[test]
    fn empty_elements_are_left_out() {
        assert_eq!(split(", a,, b ,"), ["a", "b"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(first(b" ,a"), b"");
    }

    #[test]
    fn an_open_quote_or_bracket_takes_the_rest() {
        assert_eq!(split("a, \"b, c"), ["a", "\"b, c"]);
        assert_eq!(split("a, <b, c"), ["a", "<b, c"]);
    }
}
