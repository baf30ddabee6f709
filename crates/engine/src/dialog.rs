//! A dialog (RFC 3261 §12): two tags and a Call-ID, whose requests share a route, a target and two
//! counters. It says how our next request in it looks and where it goes.

use std::sync::Arc;

use sip::{Headers, Method, Name, NameAddr, Request, Response, Uri, Writer};

use crate::ids::{Branch, Tag};
use crate::transaction::Hop;

/// More requests than we send in a dialog before its INVITE is answered.
const STRAY_GAP: u32 = 10_000;

/// How we appear to others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `sent-by` of our Via: the host and port that answers come to.
    pub sent_by: Box<str>,
    /// Our Contact URI.
    pub contact: Box<str>,
}

/// One end of a dialog, ours. Before the first answer the remote tag is missing.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: Arc<str>,
    pub(crate) local_tag: Tag,
    pub(crate) remote_tag: Option<Box<str>>,
    /// Our address as From and To show it, without the tag.
    pub(crate) local: Box<[u8]>,
    /// The peer's address as From and To show it, without the tag.
    pub(crate) remote: Box<[u8]>,
    pub(crate) local_seq: u32,
    pub(crate) remote_seq: Option<u32>,
    /// Where the peer wants its requests: its Contact (RFC 3261 §12.2.1.1).
    pub(crate) target: Box<str>,
    /// The route set, in the order of the Route header.
    pub(crate) routes: Box<[Box<str>]>,
    /// Whether we sent the INVITE that made it, so that its Call-ID counts as ours (§14.1).
    pub(crate) is_uac: bool,
}

impl Dialog {
    /// The dialog that an INVITE of ours will make.
    pub(crate) fn outgoing(
        call_id: Arc<str>,
        local_tag: Tag,
        local: &[u8],
        remote: &[u8],
        target: &str,
        local_seq: u32,
    ) -> Self {
        Self {
            call_id,
            local_tag,
            remote_tag: None,
            local: local.into(),
            remote: remote.into(),
            local_seq,
            remote_seq: None,
            target: target.into(),
            routes: Box::default(),
            is_uac: true,
        }
    }

    /// The dialog that a received INVITE asks for (§12.1.1). `None` when it has no Contact to
    /// send to, which only clients of RFC 2543 may leave out; they have no From tag either.
    pub(crate) fn incoming(request: &Request, local_tag: Tag, local_seq: u32) -> Option<Self> {
        let old = || request.from_tag().is_none().then(|| request.from());
        Some(Self {
            call_id: request.call_id().into(),
            local_tag,
            remote_tag: request.from_tag().map(Into::into),
            local: address(&request.to()),
            remote: address(&request.from()),
            local_seq,
            remote_seq: Some(request.cseq().number),
            target: as_target(request.contact().or_else(old)?.uri)?,
            routes: record_routes(request).collect(),
            is_uac: false,
        })
    }

    /// The dialog of a 2xx that nobody waits for any more, from the 2xx alone. `None` when it is not
    /// one of ours.
    pub(crate) fn stray(tag: Tag, response: &Response) -> Option<Self> {
        if response.from_tag().and_then(Tag::parse) != Some(tag) {
            return None;
        }
        let (local, remote) = (address(&response.from()), address(&response.to()));
        let target = &as_target(response.contact()?.uri)?;
        // PRACKs may have used the numbers after that of the INVITE. The next one must be higher, and
        // gaps are no error (§12.2.2).
        let seq = response.cseq().number.saturating_add(STRAY_GAP);
        let mut dialog =
            Self::outgoing(response.call_id().into(), tag, &local, &remote, target, seq);
        dialog.establish(response);
        Some(dialog)
    }

    /// A 2xx to our INVITE makes the dialog (§12.1.2).
    pub(crate) fn establish(&mut self, response: &Response) {
        self.remote_tag = response.to_tag().map(Into::into);
        self.routes = record_routes(response).collect();
        self.routes.reverse();
        self.refresh_target(response);
    }

    /// The peer's Contact in a request or answer that refreshes the target (§12.2).
    pub(crate) fn refresh_target(&mut self, headers: &Headers) {
        if let Some(target) = headers.contact().and_then(|contact| as_target(contact.uri)) {
            self.target = target;
        }
    }

    /// Whether a request in a dialog belongs to this one; its To tag has been compared already.
    pub(crate) fn is_of(&self, request: &Request) -> bool {
        *self.call_id == *request.call_id() && self.remote_tag.as_deref() == request.from_tag()
    }

    /// Counts a request of the peer. False when it comes out of order (§12.2.2).
    pub(crate) fn accept_seq(&mut self, number: u32) -> bool {
        let in_order = self.remote_seq.is_none_or(|last| last < number);
        if in_order {
            self.remote_seq = Some(number);
        }
        in_order
    }

    /// The CSeq number of our next request.
    pub(crate) fn next_seq(&mut self) -> u32 {
        self.local_seq += 1;
        self.local_seq
    }

    /// A request of ours in this dialog (§12.2.1.1), without Contact and body.
    pub(crate) fn request(
        &self,
        method: Method,
        seq: u32,
        branch: Branch,
        identity: &Identity,
    ) -> Writer {
        self.request_within(method, seq, branch, identity, 70)
    }

    /// The same, with the Max-Forwards of a request that we pass on.
    pub(crate) fn request_within(
        &self,
        method: Method,
        seq: u32,
        branch: Branch,
        identity: &Identity,
        max_forwards: u32,
    ) -> Writer {
        let strict = self.routes.first().filter(|route| !is_loose(route));
        let mut writer =
            Writer::request(method.as_str(), strict.map_or(&*self.target, |route| uri_of(route)));
        writer
            .header("Via", format_args!("SIP/2.0/UDP {};branch={branch};rport", identity.sent_by));
        writer.header("Max-Forwards", max_forwards);
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            writer.header("Route", route);
        }
        if strict.is_some() {
            writer.header("Route", format_args!("<{}>", self.target));
        }
        writer.address("From", &self.local, Some(&self.local_tag));
        writer.address("To", &self.remote, self.remote_tag.as_ref());
        writer.header("Call-ID", &self.call_id);
        writer.header("CSeq", format_args!("{seq} {}", method.as_str()));
        writer
    }

    /// Where our next request goes. `None` when the URI is one we cannot send to.
    pub(crate) fn hop(&self) -> Option<Hop> {
        hop_of(self.routes.first().map_or(&*self.target, |route| uri_of(route)))
    }
}

/// The next hop of a SIP URI: its address, or its name to be resolved.
pub(crate) fn hop_of(uri: &str) -> Option<Hop> {
    let uri = Uri::parse(uri).ok()?;
    // A `sips` URI asks for TLS on every hop (RFC 3261 §26.2.2), which UDP is not.
    if uri.scheme != sip::Scheme::Sip {
        return None;
    }
    let port = uri.port.unwrap_or(5060);
    Some(match uri.ip() {
        Some(ip) => Hop::Address((ip, port).into()),
        None => Hop::Name { host: uri.host.into(), port },
    })
}

/// A name and address as From, To and Contact write it, without parameters.
pub(crate) fn address(name: &NameAddr<'_>) -> Box<[u8]> {
    let mut text = Vec::with_capacity(name.display.len() + name.uri.len() + 3);
    text.extend_from_slice(name.display);
    if !text.is_empty() {
        text.push(b' ');
    }
    text.push(b'<');
    text.extend_from_slice(name.uri.as_bytes());
    text.push(b'>');
    text.into()
}

fn record_routes(headers: &Headers) -> impl Iterator<Item = Box<str>> {
    let routes = headers.values(Name::RecordRoute).filter_map(|route| str::from_utf8(route).ok());
    // A strict router's URI goes into our start line.
    let is_target = |route: &&str| as_target(uri_of(route)).as_deref() == Some(uri_of(route));
    routes.filter(is_target).map(Into::into)
}

/// A peer's URI as our start line may have it: one that can be read, and without the headers that a
/// Contact may ask for (RFC 3261 §19.1.1, table 1).
fn as_target(uri: &str) -> Option<Box<str>> {
    let headers = Uri::parse(uri).ok()?.headers;
    Some(uri[..uri.len() - headers.len()].trim_end_matches('?').into())
}

fn uri_of(route: &str) -> &str {
    NameAddr::parse(route.as_bytes()).map_or(route, |name| name.uri)
}

fn is_loose(route: &str) -> bool {
    Uri::parse(uri_of(route)).is_ok_and(|uri| uri.is_loose_route())
}
