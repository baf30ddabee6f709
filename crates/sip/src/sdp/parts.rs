//! The lines of a session description, in its session part and its media sections.

use super::{Direction, MAX_MEDIA};
use crate::error::{ErrorKind, ParseError};

/// One line, as a slice of the description.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its offset in the description.
    pub(super) at: usize,
    /// With its line end, which the very last line may lack.
    pub(super) whole: &'a [u8],
    /// Without it.
    pub(super) text: &'a [u8],
}

/// A description, split at its `m=` lines. No section is empty.
pub(super) struct Parts<'a> {
    pub(super) session: Vec<Line<'a>>,
    pub(super) media: Vec<Vec<Line<'a>>>,
}

impl<'a> Parts<'a> {
    /// Splits a description. The first line must be `v=0`, and every other one a letter, `=` and
    /// a value; empty lines are let pass, for some phones end a description with one.
    pub(super) fn of(sdp: &'a [u8]) -> Result<Self, ParseError> {
        let mut parts = Parts { session: Vec::new(), media: Vec::new() };
        for line in lines(sdp) {
            let is_sound = match line.text {
                _ if line.at == 0 => line.text == b"v=0",
                [letter, b'=', ..] => letter.is_ascii_lowercase(),
                rest => rest.is_empty(),
            };
            if !is_sound {
                return Err(line.fault());
            }
            if line.text.starts_with(b"m=") {
                parts.media.push(Vec::new());
            }
            if parts.media.len() > MAX_MEDIA {
                return Err(line.fault());
            }
            parts.media.last_mut().unwrap_or(&mut parts.session).push(line);
        }
        if parts.session.is_empty() { Err(ParseError::new(ErrorKind::Sdp, 0)) } else { Ok(parts) }
    }
}

impl<'a> Line<'a> {
    /// Its value, if it is of this type; `None` inside when that is not UTF-8.
    pub(super) fn value(&self, letter: u8) -> Option<Option<&'a str>> {
        let value = self.text.strip_prefix(&[letter, b'='])?;
        Some(str::from_utf8(value).ok())
    }

    /// The direction that it sets.
    pub(super) fn direction(&self) -> Option<Direction> {
        Direction::parse(self.value(b'a')??.trim_ascii())
    }

    /// How it ends; CRLF when it does not.
    pub(super) fn line_end(&self) -> &'a [u8] {
        let line_end = &self.whole[self.text.len()..];
        if line_end.is_empty() { b"\r\n" } else { line_end }
    }

    pub(super) fn fault(&self) -> ParseError {
        ParseError::new(ErrorKind::Sdp, self.at)
    }
}

fn lines(sdp: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut next = 0;
    sdp.split_inclusive(|byte| *byte == b'\n').map(move |whole| {
        let at = next;
        next += whole.len();
        let text = whole.strip_suffix(b"\r\n").or(whole.strip_suffix(b"\n")).unwrap_or(whole);
        Line { at, whole, text }
    })
}
