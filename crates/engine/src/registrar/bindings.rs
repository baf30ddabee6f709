//! Bindings: what a REGISTER says about a contact, and what is kept of it (RFC 3261 §10.2, §10.3,
//! RFC 3327).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::{Name, NameAddr, Request, Uri};

use super::Refusal;
use crate::dialog::hop_of;
use crate::limits::{DEFAULT_EXPIRES, MAX_CONTACT_BYTES, MAX_EXPIRES, MIN_EXPIRES};
use crate::transaction::Hop;
use crate::ua::nat::is_behind_nat;

/// A contact of a user.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// Contact URI: the request URI of a call to it.
    pub(crate) contact: Arc<str>,
    /// Preference, as written.
    q: Option<Box<str>>,
    /// `+sip.instance`: which device it is (RFC 5626 §4.1).
    instance: Option<Box<str>>,
    /// The Route of a request to it: the Path of its REGISTER (RFC 3327 §5.4).
    pub(crate) path: Box<[Box<str>]>,
    pub(super) call_id: Box<str>,
    pub(super) seq: u32,
    pub(super) expires: Instant,
    /// Where its REGISTER came from.
    pub(super) source: SocketAddr,
    /// Whether that is where it is reached, for its Contact is an address of another network.
    is_behind_nat: bool,
}

/// What a REGISTER asks for.
pub(super) enum Wanted {
    /// Without contacts it only asks which there are.
    Nothing,
    /// `*` with `Expires: 0`: every binding shall go.
    Everything,
    /// Those that expire at once shall go.
    These(Vec<Binding>),
}

impl Binding {
    /// Whether a REGISTER with this Call-ID and number is newer than what made this binding.
    pub(super) fn is_before(&self, call_id: &str, seq: u32) -> bool {
        *self.call_id != *call_id || self.seq < seq
    }

    /// RFC 3261 §10.3 step 7: contacts are compared as URIs.
    pub(super) fn is_same_contact(&self, other: &Self) -> bool {
        is_same_uri(&self.contact, &other.contact)
    }

    /// Where a request to it goes.
    pub(crate) fn hop(&self) -> Option<Hop> {
        match (self.path.first(), self.source_behind_nat()) {
            (Some(route), _) => hop_of(NameAddr::parse(route.as_bytes()).ok()?.uri),
            (None, Some(source)) => Some(Hop::Address(source)),
            (None, None) => hop_of(&self.contact),
        }
    }

    /// Where it is reached instead of at its Contact.
    pub(crate) fn source_behind_nat(&self) -> Option<SocketAddr> {
        self.is_behind_nat.then_some(self.source)
    }

    /// The Contact of an answer to a REGISTER.
    pub(crate) fn shown(&self, now: Instant) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "<{}>", self.contact)?;
            if let Some(q) = &self.q {
                write!(f, ";q={q}")?;
            }
            if let Some(instance) = &self.instance {
                write!(f, ";+sip.instance=\"{instance}\"")?;
            }
            let left = self.expires.saturating_duration_since(now).as_millis().div_ceil(1000);
            write!(f, ";expires={left}")
        })
    }
}

/// Whether two URIs mean the same, however they are spelled (RFC 3261 §19.1.4).
pub(crate) fn is_same_uri(one: &str, other: &str) -> bool {
    match (Uri::parse(one), Uri::parse(other)) {
        (Ok(one), Ok(other)) => sip::uri::equivalent(&one, &other),
        _ => one == other,
    }
}

/// Reads the contacts of a REGISTER.
pub(super) fn wanted(
    now: Instant,
    request: &Request,
    source: SocketAddr,
) -> Result<Wanted, Refusal> {
    let contacts: Vec<_> = request.values(Name::Contact).collect();
    if contacts.contains(&&b"*"[..]) {
        // RFC 3261 §10.3 step 6.
        let alone = contacts.len() == 1 && request.number(Name::Expires) == Some(0);
        return if alone { Ok(Wanted::Everything) } else { Err(400.into()) };
    }
    let texts = request.values(Name::Path).map(str::from_utf8);
    let path: Vec<_> = texts.collect::<Result<_, _>>().map_err(|_| 400)?;
    if !path.is_empty() && !request.has_token(Name::Supported, "path") {
        // RFC 3327 §5.3: the phone does not know what was added on the way.
        return Err(Refusal { status: 420, headers: vec![("Unsupported", "path".to_owned())] });
    }
    if contacts.is_empty() {
        return Ok(Wanted::Nothing);
    }
    let read = |contact| binding(now, request, contact, &path, source);
    contacts.into_iter().map(read).collect::<Result<_, _>>().map(Wanted::These)
}

fn binding(
    now: Instant,
    request: &Request,
    contact: &[u8],
    path: &[&str],
    source: SocketAddr,
) -> Result<Binding, Refusal> {
    let address = NameAddr::parse(contact).map_err(|_| 400)?;
    if contact.len() + path.iter().map(|path| path.len()).sum::<usize>() > MAX_CONTACT_BYTES {
        return Err(513.into());
    }
    let lifetime = lifetime(&address, request)?;
    // Only where it could be called at all: `sips` asks for more than we can do.
    let is_behind_nat = path.is_empty()
        && hop_of(address.uri).is_some()
        && is_behind_nat(request, address.uri, source);
    let binding = Binding {
        contact: address.uri.into(),
        q: address.params.get("q").map(Into::into),
        instance: address.params.get("+sip.instance").map(Into::into),
        path: path.iter().map(|path| (*path).into()).collect(),
        call_id: request.call_id().into(),
        seq: request.cseq().number,
        expires: now + lifetime,
        source,
        is_behind_nat,
    };
    // What cannot be called need not be registered.
    if binding.hop().is_none() { Err(416.into()) } else { Ok(binding) }
}

/// RFC 3261 §10.3 step 6: the contact's own time, else the request's, else ours.
fn lifetime(address: &NameAddr<'_>, request: &Request) -> Result<Duration, Refusal> {
    let seconds = match address.params.get("expires") {
        // §20.10: what is no number is as good as an hour.
        Some(own) => own.parse().ok(),
        None => request.number(Name::Expires),
    };
    let lifetime =
        seconds.map_or(DEFAULT_EXPIRES, |seconds: u32| Duration::from_secs(seconds.into()));
    if !lifetime.is_zero() && lifetime < MIN_EXPIRES {
        let headers = vec![("Min-Expires", MIN_EXPIRES.as_secs().to_string())];
        return Err(Refusal { status: 423, headers });
    }
    Ok(lifetime.min(MAX_EXPIRES))
}
