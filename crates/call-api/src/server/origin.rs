//! Keeps web pages of others away from the API.
//!
//! A browser lets any page open a WebSocket to `localhost`, and says in `Origin` (RFC 6454) whose
//! page it is. A request with an `Origin` is accepted only from a page that this server delivered
//! itself. Equal names are not enough: a page can make its own host name resolve to 127.0.0.1 and
//! so give `Host` and `Origin` the same value. Therefore the host must be an address, `localhost`
//! or the configured name. Pages of `ws_server.origins` may use the API, too. Programs send no
//! `Origin`.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Whether a request with these headers may use the API of a server that is configured as
/// `own_host` and lets pages of `origins` in.
pub(super) fn is_allowed(headers: &HeaderMap, own_host: &str, origins: &[String]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let text = |name| {
        let mut values = headers.get_all(name).into_iter();
        // Two would leave it open which one counts.
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let Some(origin) = text(ORIGIN) else { return false };
    if origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some(host) = text(HOST) else { return false };
    let Some((_scheme, authority)) = origin.split_once("://") else { return false };
    authority.eq_ignore_ascii_case(host) && is_own_name(host_of(host), own_host)
}

fn is_own_name(name: &str, own_host: &str) -> bool {
    let is_address = name.parse::<IpAddr>().is_ok()
        || name
            .strip_prefix('[')
            .and_then(|n| n.strip_suffix(']'))
            .is_some_and(|n| n.parse::<Ipv6Addr>().is_ok());
    is_address || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(own_host)
}

/// The host of `host[:port]`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        headers.insert(HOST, host.parse().unwrap());
        is_allowed(&headers, "pbx.example.com", &["https://desk.example.com:8443".to_owned()])
    }

    #[test]
    fn programs_and_our_own_pages_may_use_the_api() {
        assert!(is_allowed(&HeaderMap::new(), "localhost", &[]));
        assert!(allowed("http://localhost:5059", "localhost:5059"));
        assert!(allowed("http://LOCALHOST:5059", "localhost:5059"));
        assert!(allowed("http://127.0.0.1:5059", "127.0.0.1:5059"));
        assert!(allowed("http://[::1]:5059", "[::1]:5059"));
        assert!(allowed("https://pbx.example.com", "pbx.example.com"));
        assert!(allowed("https://desk.example.com:8443", "pbx.example.com"));
    }

    #[test]
    fn a_request_of_two_origins_is_of_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost:5059".parse().unwrap());
        for origin in ["http://localhost:5059", "https://evil.example"] {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        assert!(!is_allowed(&headers, "localhost", &[]));
    }

    #[test]
    fn pages_of_others_may_not() {
        assert!(!allowed("https://evil.example", "localhost:5059"));
        assert!(!allowed("http://localhost:8080", "localhost:5059"));
        assert!(!allowed("http://localhost", "localhost:5059"));
        assert!(!allowed("null", "localhost:5059"));
        assert!(!allowed("https://desk.example.com", "pbx.example.com"));
        assert!(!allowed("http://desk.example.com:8443", "pbx.example.com"));
        assert!(!allowed("https://desk.example.com:8443.evil.example", "pbx.example.com"));
        // The attacker's name resolves to our address.
        assert!(!allowed("http://rebound.evil.example:5059", "rebound.evil.example:5059"));
    }
}
