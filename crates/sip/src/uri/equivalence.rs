//! Whether two URIs mean the same (RFC 3261 §19.1.4).

use super::escape::hex;
use super::{Scheme, Uri};

/// Whether `a` and `b` are equivalent by RFC 3261 §19.1.4. URIs of other schemes than `sip` and
/// `sips` are compared as text, ASCII case aside.
pub fn equivalent(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    if a.scheme != b.scheme || a.port != b.port || !is_same_host(a, b) {
        return false;
    }
    if !matches!(a.scheme, Scheme::Sip | Scheme::Sips) {
        return a.params.0.eq_ignore_ascii_case(b.params.0);
    }
    is_same_text(a.user, b.user)
        && is_same_text(a.password, b.password)
        && are_params_compatible(a, b)
        && headers(a) == headers(b)
}

fn is_same_host(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    match (a.ip(), b.ip()) {
        (Some(a), Some(b)) => a == b,
        _ => a.host.eq_ignore_ascii_case(b.host),
    }
}

fn is_same_text(a: Option<&str>, b: Option<&str>) -> bool {
    a.map(plain) == b.map(plain)
}

/// Every parameter that both have must be the same. These must not stand in one URI alone:
/// they change where a request goes or what it is.
fn are_params_compatible(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    const DECISIVE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    let (a, b) = (params(a), params(b));
    let covers = |these: &[(String, String)], those: &[(String, String)]| {
        these.iter().all(|(name, value)| {
            match those.binary_search_by(|(known, _)| known.cmp(name)) {
                Ok(at) => those[at].1 == *value,
                Err(_) => !DECISIVE.contains(&&**name),
            }
        })
    };
    covers(&a, &b) && covers(&b, &a)
}

/// Names and values in comparable form, sorted, so that many parameters cost no square of time.
fn params(uri: &Uri<'_>) -> Vec<(String, String)> {
    let comparable = |text| plain(text).to_ascii_lowercase();
    let mut params: Vec<_> =
        uri.params.iter().map(|(name, value)| (comparable(name), comparable(value))).collect();
    params.sort_unstable();
    // A name may stand only once (§19.1.1); of several one must do, and the same one every time.
    params.dedup_by(|next, first| next.0 == first.0);
    params
}

fn headers(uri: &Uri<'_>) -> Vec<(String, String)> {
    let header = |header: &str| {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        (plain(name).to_ascii_lowercase(), plain(value))
    };
    let mut headers: Vec<_> =
        uri.headers.split('&').filter(|text| !text.is_empty()).map(header).collect();
    headers.sort_unstable();
    headers
}

/// `text` without the escapes that mean nothing: those of characters that are not reserved. What
/// stays escaped is written with capitals.
fn plain(text: &str) -> String {
    let mut bytes = text.bytes().peekable();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut rest = bytes.clone();
        let escaped =
            rest.next().and_then(hex).zip(rest.next().and_then(hex)).filter(|_| byte == b'%');
        let Some((high, low)) = escaped else {
            plain.push(byte);
            continue;
        };
        bytes = rest;
        let value = high << 4 | low;
        if value.is_ascii_graphic() && !b"%;/?:@&=+$,".contains(&value) {
            plain.push(value);
        } else {
            plain.extend_from_slice(format!("%{value:02X}").as_bytes());
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
