//! The headers and body of one message: an ordered list of ranges of the received bytes.
//!
//! What every message has (RFC 3261 §8.1.1: Via, From, To, Call-ID, CSeq) is read once by the
//! parser and kept as ranges too, so asking for it cannot fail and parses nothing again. All other
//! headers are read when asked for.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::cursor::trimmed;
use crate::header::cseq::{CSeq, decimal};
use crate::header::name_addr::NameAddr;
use crate::header::params::Params;
use crate::header::via::Via;
use crate::list;
use crate::name::Name;

/// The headers of one message, in order, and its body.
#[derive(Clone)]
pub struct Headers {
    pub(crate) bytes: Bytes,
    pub(crate) lines: Vec<Line>,
    pub(crate) core: Core,
    pub(crate) body: Span,
}

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which header it is.
    pub name: Name,
    /// Its name as written.
    pub text: &'a str,
    /// Its value without blanks around it. Folded lines are joined by blanks.
    pub value: &'a [u8],
}

/// A range of the message's bytes. A message is at most 65,535 bytes long.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) name: Name,
    pub(crate) text: Span,
    pub(crate) value: Span,
}

/// Where the parts of the mandatory headers are.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) via: ViaSpans,
    pub(crate) from: AddressSpans,
    pub(crate) to: AddressSpans,
    pub(crate) call_id: Span,
    pub(crate) cseq: CSeq,
    pub(crate) cseq_method: Span,
}

#[derive(Clone)]
pub(crate) struct ViaSpans {
    pub(crate) transport: Span,
    pub(crate) host: Span,
    pub(crate) port: Option<u16>,
    pub(crate) params: Span,
    pub(crate) branch: Option<Span>,
}

#[derive(Clone)]
pub(crate) struct AddressSpans {
    pub(crate) display: Span,
    pub(crate) uri: Span,
    pub(crate) params: Span,
    pub(crate) tag: Option<Span>,
}

impl Headers {
    /// Every header line in order, unknown ones included.
    pub fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        self.lines.iter().map(|line| self.header(line))
    }

    /// The whole value of the first line of this name.
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.lines.iter().find(|line| line.name == name).map(|line| self.slice(line.value))
    }

    /// The same as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: Name) -> Option<&str> {
        str::from_utf8(self.value(name)?).ok()
    }

    /// Every element of this name: its lines in order, each split at its commas. For headers that
    /// are lists by their grammar.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.whole_values(name).flat_map(list::elements)
    }

    /// The lines of this name in order.
    pub(crate) fn lines_of(&self, name: Name) -> impl Iterator<Item = Header<'_>> {
        self.lines.iter().filter(move |line| line.name == name).map(|line| self.header(line))
    }

    /// Their values, not split.
    pub(crate) fn whole_values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.name == name).map(|line| self.slice(line.value))
    }

    /// The whole value of the first header that is written with this name, in any case. Compact
    /// forms are other names here; it is meant for headers that [`Name`] does not know.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|header| header.text.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// Whether a list of tokens, as in Supported, Require and Allow, has this one, in any case.
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        self.values(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Call-ID (RFC 3261 §20.8).
    pub fn call_id(&self) -> &str {
        self.str(self.core.call_id)
    }

    /// CSeq (§20.16).
    pub fn cseq(&self) -> CSeq {
        self.core.cseq
    }

    /// The method in CSeq, as on the wire.
    pub fn cseq_method(&self) -> &str {
        self.str(self.core.cseq_method)
    }

    /// From (§20.20).
    pub fn from(&self) -> NameAddr<'_> {
        self.address(&self.core.from)
    }

    /// To (§20.39).
    pub fn to(&self) -> NameAddr<'_> {
        self.address(&self.core.to)
    }

    /// The tag in From. RFC 2543 clients leave it out.
    pub fn from_tag(&self) -> Option<&str> {
        self.core.from.tag.map(|tag| self.str(tag))
    }

    /// The tag in To: `None` outside a dialog.
    pub fn to_tag(&self) -> Option<&str> {
        self.core.to.tag.map(|tag| self.str(tag))
    }

    /// The topmost Via: that of whoever sent the message (§20.42).
    pub fn via(&self) -> Via<'_> {
        let via = &self.core.via;
        Via {
            transport: self.str(via.transport),
            host: self.str(via.host),
            port: via.port,
            params: Params(self.str(via.params)),
        }
    }

    /// The branch of the topmost Via (§8.1.1.7). RFC 2543 clients leave it out.
    pub fn branch(&self) -> Option<&str> {
        self.core.via.branch.map(|branch| self.str(branch))
    }

    /// The first Contact that can be read; a `*` is none (§20.10).
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        self.values(Name::Contact).find_map(|element| NameAddr::parse(element).ok())
    }

    /// The number that the first header of this name starts with, as in Max-Forwards, Expires and
    /// Retry-After. `None` also when it does not fit.
    pub fn number(&self, name: Name) -> Option<u32> {
        let value = self.value(name)?;
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        decimal(&value[..digits])
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        self.slice(self.body)
    }

    /// The media type of the body without its parameters, as written (§20.15).
    pub fn content_type(&self) -> Option<&str> {
        Some(self.text(Name::ContentType)?.split(';').next()?.trim_ascii())
    }

    /// The whole message as received, its folded lines joined, without what came before or after.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.range()]
    }

    /// What the parser has found to be UTF-8. An error of its would be seen as an empty text.
    pub(crate) fn str(&self, span: Span) -> &str {
        str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    fn header(&self, line: &Line) -> Header<'_> {
        Header { name: line.name, text: self.str(line.text), value: self.slice(line.value) }
    }

    fn address(&self, spans: &AddressSpans) -> NameAddr<'_> {
        NameAddr {
            display: self.slice(spans.display),
            uri: self.str(spans.uri),
            params: Params(self.str(spans.params)),
        }
    }

    /// Appends the lines, the empty line and the body.
    pub(crate) fn print(&self, buffer: &mut Vec<u8>) {
        for line in &self.lines {
            buffer.extend_from_slice(&self.bytes[line.text.range().start..line.value.range().end]);
            buffer.extend_from_slice(b"\r\n");
        }
        buffer.extend_from_slice(b"\r\n");
        buffer.extend_from_slice(self.body());
    }
}

/// The message's text: what anybody wants to see of it.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", trimmed(&self.bytes).escape_ascii())
    }
}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// Where in `whole` the slice `part` of it lies.
    pub(crate) fn of(whole: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        // A slice of nothing may point anywhere.
        if part.is_empty() { Self::default() } else { Self::new(start..start + part.len()) }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
