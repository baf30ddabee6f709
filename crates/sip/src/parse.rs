//! A datagram becomes a message (RFC 3261 §7, §18.3, grammar in §25).
//!
//! One pass finds the lines, a second one the mandatory headers among them. Nothing is copied,
//! except that a message with folded lines is: there the line ends inside a header are overwritten
//! by blanks, so that ranges keep their meaning.
//!
//! Line ends are CRLF; a lone LF is taken for one, as robust parsers do. A lone CR is refused: other
//! elements disagree about whether it ends a line, and headers could be smuggled past one of them.

use bytes::{Buf, Bytes};

use crate::cursor::{Cursor, is_blank, is_token, trimmed};
use crate::error::{ErrorKind, ParseError};
use crate::header::cseq::{CSeq, decimal, parts};
use crate::header::name_addr::NameAddr;
use crate::header::via::Via;
use crate::headers::{AddressSpans, Core, Headers, Line, Span, ViaSpans};
use crate::list;
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::name::Name;
use crate::uri::Uri;

/// The longest message in bytes: what a UDP datagram can hold. More is [`ErrorKind::TooLarge`].
pub const MAX_MESSAGE: usize = 65_535;

/// The most header lines of a message. More is [`ErrorKind::TooManyHeaders`].
pub const MAX_HEADERS: usize = 128;

/// Reads a whole datagram.
pub(crate) fn message(mut datagram: Bytes) -> Result<Message, ParseError> {
    if datagram.len() > MAX_MESSAGE {
        return Err(ParseError::new(ErrorKind::TooLarge, MAX_MESSAGE));
    }
    // §7.5: line ends before the start line are ignored.
    let start =
        datagram.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(datagram.len());
    // Not a slice, which would share the buffer and so cost an allocation.
    datagram.advance(start);
    if datagram.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(ParseError::new(ErrorKind::Empty, 0));
    }
    sliced(datagram).map_err(|fault| fault.shifted(start))
}

/// Reads a datagram that begins with the start line.
fn sliced(bytes: Bytes) -> Result<Message, ParseError> {
    let (end, next) = line_end(&bytes, 0)?;
    let line = &bytes[..end];
    if line.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case(b"SIP/")) {
        let (status, reason) = status_line(line)?;
        return Ok(Message::Response(Response { status, reason, headers: headers(bytes, next)? }));
    }
    let (method_name, uri) = request_line(line)?;
    let headers = headers(bytes, next)?;
    if headers.slice(method_name) != headers.slice(headers.core.cseq_method) {
        let at = headers.core.cseq_method.range().start;
        return Err(ParseError::new(ErrorKind::CSeqMethod, at));
    }
    let method = Method::parse(headers.slice(method_name));
    Ok(Message::Request(Request { method, method_name, uri, headers }))
}

/// Where the method and the URI of a request line are (§7.1).
pub(crate) fn request_line(line: &[u8]) -> Result<(Span, Span), ParseError> {
    let fault = ParseError::new;
    let (Some(first), Some(last)) = (memchr::memchr(b' ', line), memchr::memrchr(b' ', line))
    else {
        return Err(fault(ErrorKind::StartLine, 0));
    };
    if first == 0 || !line[..first].iter().all(|&byte| is_token(byte)) {
        return Err(fault(ErrorKind::Method, 0));
    }
    if first == last {
        return Err(fault(ErrorKind::StartLine, first));
    }
    version(&line[last + 1..]).map_err(|kind| fault(kind, last + 1))?;
    request_uri(&line[first + 1..last]).map_err(|inner| inner.shifted(first + 1))?;
    Ok((Span::new(0..first), Span::new(first + 1..last)))
}

/// Any scheme may stand in a Request-URI, but no headers (§19.1.1, table 1).
fn request_uri(text: &[u8]) -> Result<(), ParseError> {
    let text = str::from_utf8(text).map_err(|_| ParseError::new(ErrorKind::Uri, 0))?;
    let uri = Uri::parse(text)?;
    if uri.headers.is_empty() {
        Ok(())
    } else {
        Err(ParseError::new(ErrorKind::Uri, text.len() - uri.headers.len()))
    }
}

fn version(text: &[u8]) -> Result<(), ErrorKind> {
    let mut cursor = Cursor::new(text);
    if text.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let is_version = cursor.eat_text("SIP/")
        && !cursor.take_while(|byte| byte.is_ascii_digit()).is_empty()
        && cursor.eat(b'.')
        && !cursor.take_while(|byte| byte.is_ascii_digit()).is_empty()
        && cursor.is_at_end();
    Err(if is_version { ErrorKind::Version } else { ErrorKind::StartLine })
}

/// The status code of a status line, and where its reason phrase is (§7.2).
fn status_line(line: &[u8]) -> Result<(u16, Span), ParseError> {
    let space = memchr::memchr(b' ', line).unwrap_or(line.len());
    version(&line[..space]).map_err(|kind| ParseError::new(kind, 0))?;
    let mut cursor = Cursor::new(&line[space..]);
    cursor.eat(b' ');
    let digits = cursor.take_while(|byte| byte.is_ascii_digit());
    let status = decimal(digits).filter(|status| digits.len() == 3 && (100..700).contains(status));
    // The space before an empty phrase is mandatory, but often missing.
    let is_complete = cursor.eat(b' ') || cursor.is_at_end();
    match status {
        Some(status) if is_complete => Ok((status, Span::of(line, cursor.rest()))),
        _ => Err(ParseError::new(ErrorKind::Status, space)),
    }
}

/// Reads the header lines from `start` on, and the body.
fn headers(mut bytes: Bytes, start: usize) -> Result<Headers, ParseError> {
    let (lines, body_start, is_folded) = lines(&bytes, start)?;
    if is_folded {
        bytes = unfolded(&bytes, &lines);
    }
    let found = Found::among(&bytes, &lines)?;
    let core = found.core(&bytes)?;
    let received = bytes.len() - body_start;
    let length = match found.content_length {
        Some(span) => {
            let fault = ParseError::new(ErrorKind::ContentLength, span.range().start);
            decimal::<usize>(&bytes[span.range()]).ok_or(fault)?
        }
        // §18.3: over UDP the body then extends to the end of the datagram.
        None => received,
    };
    if length > received {
        return Err(ParseError::new(ErrorKind::Truncated, bytes.len()));
    }
    bytes.truncate(body_start + length);
    Ok(Headers { bytes, lines, core, body: Span::new(body_start..body_start + length) })
}

/// The header lines from `start` on, where the body starts, and whether a line is folded.
fn lines(bytes: &[u8], start: usize) -> Result<(Vec<Line>, usize, bool), ParseError> {
    // Room for what a phone behind two proxies sends.
    let mut lines = Vec::with_capacity(24);
    let mut is_folded = false;
    let mut at = start;
    loop {
        let (mut end, mut next) = line_end(bytes, at)?;
        if end == at {
            return Ok((lines, next, is_folded));
        }
        while bytes.get(next).is_some_and(|&byte| is_blank(byte)) {
            is_folded = true;
            (end, next) = line_end(bytes, next)?;
        }
        if lines.len() == MAX_HEADERS {
            return Err(ParseError::new(ErrorKind::TooManyHeaders, at));
        }
        lines.push(line(bytes, at, end)?);
        at = next;
    }
}

fn line(bytes: &[u8], at: usize, end: usize) -> Result<Line, ParseError> {
    let mut cursor = Cursor::new(&bytes[at..end]);
    let text = cursor.take_while(is_token);
    cursor.skip_blanks();
    if text.is_empty() || !cursor.eat(b':') {
        return Err(ParseError::new(ErrorKind::Header, at + cursor.at()));
    }
    let name = Name::parse(text);
    let text = Span::new(at..at + text.len());
    // An empty value stands where the line ends, so that a range from name to value holds both.
    let value = trimmed(cursor.rest());
    let value = if value.is_empty() {
        Span::new(at + cursor.at()..at + cursor.at())
    } else {
        Span::of(bytes, value)
    };
    Ok(Line { name, text, value })
}

/// Where the line that starts at `from` ends, and where the next one starts.
pub(crate) fn line_end(bytes: &[u8], from: usize) -> Result<(usize, usize), ParseError> {
    let fault = |at| Err(ParseError::new(ErrorKind::Header, at));
    let Some(length) = memchr::memchr2(b'\r', b'\n', &bytes[from..]) else {
        return fault(bytes.len());
    };
    let end = from + length;
    match (bytes[end], bytes.get(end + 1)) {
        (b'\n', _) => Ok((end, end + 1)),
        (_, Some(b'\n')) => Ok((end, end + 2)),
        _ => fault(end),
    }
}

/// A copy in which blanks stand for the line ends inside headers.
fn unfolded(bytes: &[u8], lines: &[Line]) -> Bytes {
    let mut copy = bytes.to_vec();
    for line in lines {
        for byte in &mut copy[line.text.range().end..line.value.range().end] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
    }
    copy.into()
}

/// The values of the headers that the parser itself needs.
#[derive(Default)]
struct Found {
    via: Option<Span>,
    from: Option<Span>,
    to: Option<Span>,
    call_id: Option<Span>,
    cseq: Option<Span>,
    max_forwards: Option<Span>,
    content_length: Option<Span>,
}

impl Found {
    fn among(bytes: &[u8], lines: &[Line]) -> Result<Self, ParseError> {
        let mut found = Self::default();
        for line in lines {
            let slot = match line.name {
                Name::Via => &mut found.via,
                Name::From => &mut found.from,
                Name::To => &mut found.to,
                Name::CallId => &mut found.call_id,
                Name::CSeq => &mut found.cseq,
                Name::MaxForwards => &mut found.max_forwards,
                Name::ContentLength => &mut found.content_length,
                _ => continue,
            };
            let Some(first) = *slot else {
                *slot = Some(line.value);
                continue;
            };
            let may_repeat = line.name == Name::Via
                || line.name == Name::ContentLength
                    && bytes[first.range()] == bytes[line.value.range()];
            if !may_repeat {
                return Err(ParseError::new(
                    ErrorKind::Duplicate(line.name),
                    line.text.range().start,
                ));
            }
        }
        Ok(found)
    }

    fn core(&self, bytes: &[u8]) -> Result<Core, ParseError> {
        let value = |span: Option<Span>, name| {
            span.ok_or(ParseError::new(ErrorKind::MissingHeader(name), 0))
                .map(|span| &bytes[span.range()])
        };
        let span = |part: &[u8]| Span::of(bytes, part);
        let offset = |value: &[u8]| span(value).range().start;

        let element = list::first(value(self.via, Name::Via)?);
        let via = Via::parse(element).map_err(|fault| fault.shifted(offset(element)))?;
        let address = |at: Option<Span>, name| {
            let value = value(at, name)?;
            let address = NameAddr::parse(value).map_err(|fault| {
                ParseError::new(ErrorKind::Address(name), offset(value) + fault.at)
            })?;
            // Some phones quote a tag; a token is all that can be written back (RFC 3261 §25.1).
            if !address.tag().is_none_or(|tag| !tag.is_empty() && tag.bytes().all(is_token)) {
                return Err(ParseError::new(ErrorKind::Address(name), offset(value)));
            }
            Ok(AddressSpans {
                display: span(address.display),
                uri: span(address.uri.as_bytes()),
                params: span(address.params.0.as_bytes()),
                tag: address.tag().map(|tag| span(tag.as_bytes())),
            })
        };
        let (from, to) = (address(self.from, Name::From)?, address(self.to, Name::To)?);
        let call_id = value(self.call_id, Name::CallId)?;
        let is_word = |&byte: &u8| byte > b' ' && byte != 0x7f;
        if call_id.is_empty() || !call_id.iter().all(is_word) || str::from_utf8(call_id).is_err() {
            return Err(ParseError::new(ErrorKind::CallId, offset(call_id)));
        }
        let cseq = value(self.cseq, Name::CSeq)?;
        let (number, method) = parts(cseq).map_err(|fault| fault.shifted(offset(cseq)))?;
        Ok(Core {
            via: ViaSpans {
                transport: span(via.transport.as_bytes()),
                host: span(via.host.as_bytes()),
                port: via.port,
                params: span(via.params.0.as_bytes()),
                branch: via.branch().map(|branch| span(branch.as_bytes())),
            },
            from,
            to,
            call_id: span(call_id),
            cseq: CSeq { number, method: Method::parse(method.as_bytes()) },
            cseq_method: span(method.as_bytes()),
        })
    }
}
