//! URIs: `sip`, `sips` (RFC 3261 §19.1), `tel` (RFC 3966), and others as far as their scheme.
//!
//! Parsing is strict: what comes out of it may be put into a start line or between `<` and `>`
//! as it is. Two things are wider than the grammar, because phones in the field use them: UTF-8 and
//! `#` in the user part.

mod equivalence;
mod escape;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use self::equivalence::equivalent;
pub use self::escape::{escape_header, unescape};
use crate::error::{ErrorKind, ParseError};
use crate::header::cseq::decimal;
use crate::header::name_addr::addr_spec;
use crate::header::params::Params;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the schemes")]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Any other one.
    Other,
}

/// A URI, taken apart. All parts are as written, escapes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// Which kind it is; the other fields depend on it.
    pub scheme: Scheme,
    /// The user, without its password.
    pub user: Option<&'a str>,
    /// The password, which RFC 3261 §19.1.1 advises against.
    pub password: Option<&'a str>,
    /// A host name or an IP address, IPv6 with its brackets; for `tel` the number; for other
    /// schemes all that follows the colon.
    pub host: &'a str,
    /// 1 to 65535.
    pub port: Option<u16>,
    /// `;lr`, `;transport=udp` and the like.
    pub params: Params<'a>,
    /// What follows the `?`: `name=value&…`, escaped.
    pub headers: &'a str,
}

impl Scheme {
    /// The scheme of this name, in any case.
    pub fn parse(name: &str) -> Self {
        match name {
            _ if name.eq_ignore_ascii_case("sip") => Self::Sip,
            _ if name.eq_ignore_ascii_case("sips") => Self::Sips,
            _ if name.eq_ignore_ascii_case("tel") => Self::Tel,
            _ => Self::Other,
        }
    }

    /// The name; empty for [`Scheme::Other`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other => "",
        }
    }
}

impl<'a> Uri<'a> {
    /// Reads a URI. Its faults are [`ErrorKind::Uri`].
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        // A reader gives back the piece it could not read, which is a slice of `text`.
        let fault = |piece: &str| {
            let at = (piece.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            ParseError::new(ErrorKind::Uri, at)
        };
        addr_spec(text.as_bytes()).ok_or(fault(text))?;
        let (scheme, rest) = text.split_once(':').ok_or(fault(text))?;
        match Scheme::parse(scheme) {
            Scheme::Other => Ok(Self::bare(Scheme::Other, rest)),
            Scheme::Tel => tel(rest).map_err(fault),
            scheme => sip(scheme, rest).map_err(fault),
        }
    }

    fn bare(scheme: Scheme, host: &'a str) -> Self {
        Self {
            scheme,
            user: None,
            password: None,
            host,
            port: None,
            params: Params::default(),
            headers: "",
        }
    }

    /// The host, when it is an address and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[') {
            Some(inside) => ipv6(inside.strip_suffix(']')?).map(IpAddr::V6),
            None => self.host.parse().ok().map(IpAddr::V4),
        }
    }

    /// Whether a proxy with this URI in its Record-Route is a loose router (RFC 3261 §16.4).
    pub fn is_loose_route(&self) -> bool {
        self.params.get("lr").is_some()
    }

    /// The value, still escaped, of the first header that the URI asks for by this name
    /// (§19.1.1). Names are compared in any case, as written.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.split('&').filter_map(|header| header.split_once('='));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A `sip` or `sips` URI prints as it was read; of other schemes the name is lost.
impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if let Some(user) = self.user {
            f.write_str(user)?;
            if let Some(password) = self.password {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        f.write_str(self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        if self.headers.is_empty() { Ok(()) } else { write!(f, "?{}", self.headers) }
    }
}

fn tel(rest: &str) -> Result<Uri<'_>, &str> {
    let (number, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let is_number = |byte: u8| byte.is_ascii_hexdigit() || b"+*#-.()".contains(&byte);
    if number.is_empty() || !number.bytes().all(is_number) {
        return Err(number);
    }
    Ok(Uri { params: uri_params(params)?, ..Uri::bare(Scheme::Tel, number) })
}

fn sip(scheme: Scheme, rest: &str) -> Result<Uri<'_>, &str> {
    // Unescaped, `@` may stand only behind the user.
    let (user_info, rest) = match rest.split_once('@') {
        Some((user_info, rest)) => (Some(user_info), rest),
        None => (None, rest),
    };
    let (user, password) = match user_info.map(|user_info| (user_info, user_info.split_once(':'))) {
        Some((_, Some((user, password)))) => (Some(user), Some(password)),
        Some((user, None)) => (Some(user), None),
        None => (None, None),
    };
    let is_user = |byte| is_unreserved(byte) || b"&=+$,;?/#".contains(&byte) || !byte.is_ascii();
    let is_password = |byte| is_unreserved(byte) || b"&=+$,".contains(&byte) || !byte.is_ascii();
    if let Some(user) = user.filter(|user| user.is_empty() || !is_made_of(user, is_user)) {
        return Err(user);
    }
    if let Some(password) = password.filter(|password| !is_made_of(password, is_password)) {
        return Err(password);
    }
    let (rest, headers) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let (host_port, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let (host, port) = host_and_port(host_port)?;
    let params = uri_params(params)?;
    let headers = uri_headers(headers)?;
    Ok(Uri { scheme, user, password, host, port, params, headers })
}

fn host_and_port(text: &str) -> Result<(&str, Option<u16>), &str> {
    let after_brackets = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[after_brackets..].find(':') {
        Some(colon) => text.split_at(after_brackets + colon),
        None => (text, ""),
    };
    if !is_host(host) {
        return Err(host);
    }
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(decimal(digits.as_bytes()).filter(|port| *port != 0).ok_or(digits)?),
        None => None,
    };
    Ok((host, port))
}

/// §25.1 `host`. Underscores stand in many a name though the grammar lacks them.
fn is_host(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        return inside.strip_suffix(']').and_then(ipv6).is_some();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // A last label that starts with a digit makes it an address.
    let is_address = name
        .rsplit('.')
        .next()
        .is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
    if is_address { host.parse::<Ipv4Addr>().is_ok() } else { name.split('.').all(is_label) }
}

/// RFC 5118 §4.10: the grammar of RFC 3261 puts a third colon before an IPv4 part, so it must be
/// tolerated.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().or_else(|_| text.replacen(":::", "::", 1).parse()).ok()
}

fn uri_params(text: &str) -> Result<Params<'_>, &str> {
    let is_param = |byte| is_unreserved(byte) || b"[]/:&+$".contains(&byte) || !byte.is_ascii();
    let is_sound = |param: &str| {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        !name.is_empty() && is_made_of(name, is_param) && is_made_of(value, is_param)
    };
    match text.split(';').skip(1).find(|param| !is_sound(param)) {
        Some(param) => Err(param),
        None => Ok(Params(text)),
    }
}

/// Wider than §25.1: phones write the `@`, `;` and `=` of a Replaces here without escaping them.
fn uri_headers(text: &str) -> Result<&str, &str> {
    let Some(headers) = text.strip_prefix('?') else { return Ok("") };
    let is_header =
        |byte: u8| is_unreserved(byte) || b"[]/?:+$&=@;,".contains(&byte) || !byte.is_ascii();
    if headers.is_empty() || !is_made_of(headers, is_header) { Err(headers) } else { Ok(headers) }
}

/// Whether every byte is one that `accepts` takes or part of a `%HH`.
fn is_made_of(text: &str, accepts: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_sound = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => accepts(byte),
        };
        if !is_sound {
            return false;
        }
    }
    true
}

/// §25.1 `unreserved`: what needs no escape anywhere in a URI.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

#[cfg(test)]
mod tests;
