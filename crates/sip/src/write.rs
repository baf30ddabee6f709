//! Messages of our own, written straight into one buffer.
//!
//! Whatever ends up in a line, it cannot start a new one: a line is written whole, every control
//! character in it becomes a blank, and only then its line end follows.

use std::fmt::{self, Display, Write};

use bytes::Bytes;

use crate::headers::{Header, Headers};
use crate::name::Name;

/// A message in the making: the start line is written, headers follow.
#[derive(Clone, Debug)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Where the line that is being written starts.
    line: usize,
}

impl Writer {
    /// Begins a request.
    pub fn request(method: &str, uri: &str) -> Self {
        let mut writer = Self::new();
        writer.push(method).push(" ").push(uri).push(" SIP/2.0").end_line();
        writer
    }

    /// Begins a response.
    pub fn response(status: u16, reason: &str) -> Self {
        let mut writer = Self::new();
        writer.push("SIP/2.0 ").display(status).push(" ").push(reason).end_line();
        writer
    }

    /// Writes a header.
    pub fn header(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.push(name).push(": ").display(value).end_line()
    }

    /// Writes a header whose value may be more than text.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.push(name).push(": ").push(value).end_line()
    }

    /// Writes From or To: an address and, when the dialog has one, its tag (RFC 3261 §20.20).
    pub fn address(&mut self, name: &str, address: &[u8], tag: Option<impl Display>) -> &mut Self {
        self.push(name).push(": ").push(address);
        if let Some(tag) = tag {
            self.push(";tag=").display(tag);
        }
        self.end_line()
    }

    /// Writes a header of another message, its name as written there.
    pub fn copy(&mut self, header: Header<'_>) -> &mut Self {
        self.bytes(header.text, header.value)
    }

    /// Writes every line of this name that another message has, in order.
    pub fn copy_all(&mut self, headers: &Headers, name: Name) -> &mut Self {
        for header in headers.lines_of(name) {
            self.copy(header);
        }
        self
    }

    /// Ends with this body, its Content-Type and Content-Length.
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Bytes {
        self.buffer.reserve_exact(content_type.len() + body.len() + 64);
        self.header("Content-Type", content_type).header("Content-Length", body.len()).end_line();
        self.buffer.extend_from_slice(body);
        self.buffer.into()
    }

    /// Ends without a body, with a Content-Length of 0.
    pub fn finish(mut self) -> Bytes {
        self.push("Content-Length: 0").end_line().end_line();
        self.buffer.into()
    }

    fn new() -> Self {
        Self { buffer: Vec::with_capacity(1024), line: 0 }
    }

    /// Appends to the current line.
    pub(crate) fn push(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.buffer.extend_from_slice(text.as_ref());
        self
    }

    /// Appends to the current line.
    pub(crate) fn display(&mut self, value: impl Display) -> &mut Self {
        // Only the value's own `Display` could fail; then the value is cut short.
        let _ = write!(self, "{value}");
        self
    }

    /// Ends the current line: the only place that writes a line end.
    pub(crate) fn end_line(&mut self) -> &mut Self {
        let line = &mut self.buffer[self.line..];
        // Looking at every byte is cheaper than stopping at the first: it is done many at a time.
        if line.iter().fold(false, |found, byte| found | is_control(*byte)) {
            line.iter_mut().filter(|byte| is_control(**byte)).for_each(|byte| *byte = b' ');
        }
        self.buffer.extend_from_slice(b"\r\n");
        self.line = self.buffer.len();
        self
    }
}

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::message::Message;

    fn text(message: &Bytes) -> String {
        String::from_utf8_lossy(message).replace("\r\n", "\n")
    }

    #[test]
    fn a_request_is_written_in_the_order_of_its_headers() {
        let mut writer = Writer::request("INVITE", "sip:bob@10.0.0.2");
        writer
            .header("Via", format_args!("SIP/2.0/UDP {};branch=z9hG4bK{}", "10.0.0.1", 7))
            .header("Max-Forwards", 70);
        writer.bytes("Subject", b"\xfcber");
        expect![[r#"
            INVITE sip:bob@10.0.0.2 SIP/2.0
            Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK7
            Max-Forwards: 70
            Subject: �ber
            Content-Type: application/sdp
            Content-Length: 5

            v=0
        "#]]
        .assert_eq(&text(&writer.body("application/sdp", b"v=0\r\n")));
    }

    #[test]
    fn nothing_can_start_a_header_of_its_own() {
        let evil = "x\r\nEvil: 1\r\n\r\nbody\0\x7f";
        let mut writer = Writer::request(evil, evil);
        writer
            .header(evil, evil)
            .bytes("Subject", evil.as_bytes())
            .header("To", format_args!("<{evil}>"));
        let message = writer.body(evil, b"");
        let lines: Vec<_> = message.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 8, "{}", text(&message));
        assert!(lines.iter().all(|line| !line.starts_with(b"Evil") && !line.contains(&0)));
        let response = Writer::response(200, evil).finish();
        assert_eq!(text(&response), "SIP/2.0 200 x  Evil: 1    body  \nContent-Length: 0\n\n");
    }

    #[test]
    fn headers_are_copied_as_written() {
        let received =
            b"BYE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP a\r\nVIA: SIP/2.0/UDP b,\r\n SIP/2.0/UDP c\r\n\
            f: <sip:a@b>\r\nt: <sip:c@d>\r\ni: 1\r\nCSeq: 1 BYE\r\n\r\n";
        let message = Message::parse(Bytes::from_static(received)).unwrap();
        let mut writer = Writer::response(200, "OK");
        writer.copy_all(message.headers(), Name::Via);
        let copy = text(&writer.finish());
        assert_eq!(
            copy,
            "SIP/2.0 200 OK\nv: SIP/2.0/UDP a\nVIA: SIP/2.0/UDP b,   SIP/2.0/UDP c\nContent-Length: 0\n\n"
        );
    }
}
