//! The scanner that every parser of this crate reads with: a position in some bytes.
//!
//! It also holds the character classes of RFC 3261 §25.1, as one table, for they are asked about
//! every byte of every header.

/// A position in `input`, which only moves forward.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.input.len()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// Steps over `byte`, if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Steps over `text` in any case, if it is next.
    pub(crate) fn eat_text(&mut self, text: &str) -> bool {
        let is_next = self
            .rest()
            .get(..text.len())
            .is_some_and(|next| next.eq_ignore_ascii_case(text.as_bytes()));
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    /// Steps over the longest run of bytes that `accepts` takes, and returns it.
    pub(crate) fn take_while(&mut self, accepts: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&byte| !accepts(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    pub(crate) fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    /// Steps over a separator with optional blanks around it, as in `;`, `=` and `/`.
    pub(crate) fn eat_separator(&mut self, byte: u8) -> bool {
        let start = self.at;
        self.skip_blanks();
        if self.eat(byte) {
            self.skip_blanks();
            return true;
        }
        self.at = start;
        false
    }

    /// Reads a quoted string (§25.1), and returns what is between its quotes, as written. `None`
    /// when the next byte is no quote or the closing one is missing.
    pub(crate) fn quoted(&mut self) -> Option<&'a [u8]> {
        let inside = self.rest().strip_prefix(b"\"")?;
        let mut bytes = inside.iter().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.at += at + 2;
                    return Some(&inside[..at]);
                }
                b'\\' => drop(bytes.next()),
                _ => {}
            }
        }
        None
    }
}

/// A blank inside a line. Folded lines have been joined, so there are only these two.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A `token` character: what methods, header names and parameter names are made of.
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// A character of an unquoted parameter value. More than a token, for hosts and IPv6 addresses
/// stand there too, and some phones put URIs there.
pub(crate) fn is_param_value(byte: u8) -> bool {
    CLASSES[byte as usize] & PARAM_VALUE != 0
}

/// A character of a URI as a whole: visible, and none that would end it early.
pub(crate) fn is_uri(byte: u8) -> bool {
    CLASSES[byte as usize] & URI != 0
}

/// `bytes` without blanks (and the line ends of folding) at either end.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

const TOKEN: u8 = 1;
const PARAM_VALUE: u8 = 2;
const URI: u8 = 4;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        if ascii.is_ascii_alphanumeric() || contains(b"-.!%*_+`'~", ascii) {
            table[byte] |= TOKEN;
        }
        if ascii > b' ' && ascii != 0x7f {
            if !contains(b"\",;<>", ascii) {
                table[byte] |= PARAM_VALUE;
            }
            if !contains(b"\"<>", ascii) {
                table[byte] |= URI;
            }
        }
        byte += 1;
    }
    table
}

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}
