//! Requests and responses (RFC 3261 §7).

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use crate::error::{ErrorKind, ParseError};
use crate::headers::{Headers, Span};
use crate::method::Method;
use crate::parse;

/// A SIP message. Its headers are ranges of the received bytes: parsing copies nothing, unless a
/// header is folded.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Message {
    Request(Request),
    Response(Response),
}

/// A request. Its headers are those of [`Headers`].
#[derive(Clone)]
pub struct Request {
    /// The method; [`method_name`](Self::method_name) has its name.
    pub method: Method,
    pub(crate) method_name: Span,
    pub(crate) uri: Span,
    pub(crate) headers: Headers,
}

/// A response. Its headers are those of [`Headers`].
#[derive(Clone)]
pub struct Response {
    /// 100 to 699.
    pub status: u16,
    pub(crate) reason: Span,
    pub(crate) headers: Headers,
}

impl Message {
    /// Reads a datagram: one message, and anything after its body is ignored (RFC 3261 §18.3).
    /// Line ends before it are skipped; nothing but blanks is [`ErrorKind::Empty`].
    pub fn parse(datagram: Bytes) -> Result<Self, ParseError> {
        parse::message(datagram)
    }

    /// The headers and body.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => request,
            Self::Response(response) => response,
        }
    }

    /// Prints it: start line, headers as written and in order, body.
    pub fn to_bytes(&self) -> Bytes {
        let headers = self.headers();
        let mut buffer = Vec::with_capacity(headers.bytes.len() + headers.lines.len() + 16);
        match self {
            Self::Request(request) => {
                buffer.extend_from_slice(request.method_name().as_bytes());
                buffer.push(b' ');
                buffer.extend_from_slice(request.uri().as_bytes());
                buffer.extend_from_slice(b" SIP/2.0\r\n");
            }
            Self::Response(response) => {
                buffer.extend_from_slice(format!("SIP/2.0 {:03} ", response.status).as_bytes());
                buffer.extend_from_slice(response.reason());
                buffer.extend_from_slice(b"\r\n");
            }
        }
        headers.print(&mut buffer);
        buffer.into()
    }
}

impl Request {
    /// Reads a datagram that must be a request; a response is a [`ErrorKind::StartLine`] fault.
    pub fn parse(datagram: Bytes) -> Result<Self, ParseError> {
        match Message::parse(datagram)? {
            Message::Request(request) => Ok(request),
            Message::Response(_) => Err(ParseError::new(ErrorKind::StartLine, 0)),
        }
    }

    /// The method as on the wire.
    pub fn method_name(&self) -> &str {
        self.str(self.method_name)
    }

    /// The Request-URI as on the wire. One with scheme `sip` or `sips` has been checked.
    pub fn uri(&self) -> &str {
        self.str(self.uri)
    }
}

impl Response {
    /// The reason phrase as on the wire; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.slice(self.reason)
    }

    /// The reason phrase as text; what is not UTF-8 is replaced.
    pub fn reason_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.reason())
    }
}

impl Deref for Request {
    type Target = Headers;

    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl Deref for Response {
    type Target = Headers;

    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headers.fmt(f)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headers.fmt(f)
    }
}
