//! What is wrong with some bytes, and where.
//!
//! One variant per distinct fault, so that callers can tell an old protocol version (505) from bad
//! syntax (400), and so that the text is fit for a reason phrase and a log line alike.

use std::fmt;

use crate::name::Name;

/// Why some input is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where: a byte offset in the parsed input.
    pub at: usize,
}

/// The faults that the parsers of this crate tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing but line ends, blanks or NULs: a keep-alive (RFC 5626 §3.5.1), not a message.
    Empty,
    /// More than [`MAX_MESSAGE`](crate::MAX_MESSAGE) bytes.
    TooLarge,
    /// More than [`MAX_HEADERS`](crate::MAX_HEADERS) header lines.
    TooManyHeaders,
    /// The first line has neither the shape of a request line nor of a status line.
    StartLine,
    /// The method is not a token.
    Method,
    /// A URI with characters it may not have, or without the parts it must have.
    Uri,
    /// A protocol version other than SIP/2.0.
    Version,
    /// A status code outside 100 to 699.
    Status,
    /// A header line without a name and a colon, a stray carriage return, or no line end at all.
    Header,
    /// A header that every message must have (RFC 3261 §8.1.1).
    MissingHeader(Name),
    /// A header that may stand only once stands twice.
    Duplicate(Name),
    /// A Via that cannot be read.
    Via,
    /// A name and address that cannot be read in this header; [`Name::Other`] outside a message.
    Address(Name),
    /// A Call-ID that is empty, has blanks or is not UTF-8.
    CallId,
    /// A CSeq that is not a number below 2^31 and a method.
    CSeq,
    /// The method in CSeq is not the request's.
    CSeqMethod,
    /// A Content-Length that is not a number.
    ContentLength,
    /// The body is shorter than Content-Length says.
    Truncated,
    /// Parameters that cannot be read.
    Params,
    /// The value of this header cannot be read.
    Value(Name),
    /// A session description that cannot be read.
    Sdp,
}

impl ParseError {
    pub(crate) fn new(kind: ErrorKind, at: usize) -> Self {
        Self { kind, at }
    }

    /// The same fault, seen from an input that the parsed one starts `offset` bytes into.
    pub(crate) fn shifted(self, offset: usize) -> Self {
        Self { at: self.at + offset, ..self }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.at)
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Empty => "empty message",
            Self::TooLarge => "message too large",
            Self::TooManyHeaders => "too many headers",
            Self::StartLine => "bad start line",
            Self::Method => "bad method",
            Self::Uri => "bad URI",
            Self::Version => "unsupported SIP version",
            Self::Status => "bad status code",
            Self::Header => "bad header line",
            Self::MissingHeader(name) => return write!(f, "missing {name}"),
            Self::Duplicate(name) => return write!(f, "more than one {name}"),
            Self::Via => "bad Via",
            Self::Address(Name::Other) => "bad address",
            Self::Address(name) | Self::Value(name) => return write!(f, "bad {name}"),
            Self::CallId => "bad Call-ID",
            Self::CSeq => "bad CSeq",
            Self::CSeqMethod => "CSeq names another method",
            Self::ContentLength => "bad Content-Length",
            Self::Truncated => "body shorter than Content-Length",
            Self::Params => "bad parameters",
            Self::Sdp => "bad session description",
        };
        f.write_str(text)
    }
}
