//! A message in the making, which may be as wrong as a test needs it.

use std::net::SocketAddr;

use crate::wire::Sent;

/// A start line, header lines and a body. Whatever is put in comes out as it is.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) start: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// A session description that any phone would take.
pub(crate) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\n\
    t=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";

impl Draft {
    /// A request outside any dialog, with everything it needs.
    pub(crate) fn request(method: &str, uri: &str, peer: SocketAddr) -> Self {
        let draft =
            Self { start: format!("{method} {uri} SIP/2.0").into(), headers: vec![], body: vec![] };
        draft
            .set("Via", format!("SIP/2.0/UDP {peer};branch=z9hG4bK-{method};rport"))
            .set("Max-Forwards", "70")
            .set("From", format!("\"Peer\" <sip:peer@{peer}>;tag=peer"))
            .set("To", format!("<{uri}>"))
            .set("Call-ID", "call@peer")
            .set("CSeq", format!("1 {method}"))
            .set("Contact", format!("<sip:peer@{peer}>"))
    }

    /// The answer to a request that the engine sent, with a tag of ours.
    pub(crate) fn answer(request: &Sent, status: &str, tag: &str) -> Self {
        let mut draft =
            Self { start: format!("SIP/2.0 {status}").into(), headers: vec![], body: vec![] };
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for mut value in request.all(name) {
                if name == "To" && !tag.is_empty() && request.tag("To").is_none() {
                    value.extend_from_slice(format!(";tag={tag}").as_bytes());
                }
                draft = draft.add(name, value);
            }
        }
        draft.set("Contact", format!("<sip:peer@{}>", request.to))
    }

    /// The value of the first line of this header.
    pub(crate) fn value(&self, name: &str) -> Vec<u8> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).expect("has this header").1.clone()
    }

    /// Another start line.
    pub(crate) fn start(mut self, start: impl Into<Vec<u8>>) -> Self {
        self.start = start.into();
        self
    }

    /// This value, instead of every value the header has.
    pub(crate) fn set(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        let value = value.into();
        match self.headers.iter_mut().find(|(known, _)| known == name) {
            Some(header) => header.1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
        self
    }

    /// One more line of this header.
    pub(crate) fn add(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// No line of this header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Another branch in the topmost Via.
    pub(crate) fn branch(mut self, branch: &str) -> Self {
        let via = self.headers.iter_mut().find(|(name, _)| name == "Via").expect("has a Via");
        let text = String::from_utf8_lossy(&via.1).into_owned();
        let rest = text.split_once("branch=").map_or("", |(_, rest)| rest);
        let old = rest.split(';').next().unwrap_or_default();
        via.1 = text.replace(old, branch).into();
        self
    }

    pub(crate) fn sdp(self) -> Self {
        self.body("application/sdp", SDP)
    }

    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.set("Content-Type", content_type)
    }

    /// The datagram. Content-Length is told unless it was set.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.start.clone();
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let has_length = self.headers.iter().any(|(name, _)| name == "Content-Length");
        if !has_length {
            let length = format!("Content-Length: {}\r\n", self.body.len());
            bytes.extend_from_slice(length.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl From<Draft> for Vec<u8> {
    fn from(draft: Draft) -> Self {
        draft.bytes()
    }
}

impl From<&Draft> for Vec<u8> {
    fn from(draft: &Draft) -> Self {
        draft.bytes()
    }
}
