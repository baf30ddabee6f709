//! Patterns of SIP URIs: how the operator says which parties an access token may name.
//!
//! A pattern is an allow-list's entry, so it is strict about what could mean something else than it
//! seems: escapes are undone, hosts are compared in one spelling, and a `maddr` parameter, by which
//! a proxy would send the request elsewhere (RFC 3261 §19.1.1), counts as the host it is.

use std::fmt;

use super::param::SipUri;

/// `USER@HOST` or `USER@HOST:PORT`; `*` in user and host stands for any characters, none included.
///
/// The user is compared as written, letter case included (RFC 3261 §19.1.4), the host in any case.
/// Without a port any port will do. `sip:` or `sips:` in front may be written; without it both will
/// do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriPattern {
    text: String,
    sips: Option<bool>,
    user: String,
    host: String,
    port: Option<u16>,
}

impl UriPattern {
    /// `None` when `text` is no pattern.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sips, rest) = match text.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") => (Some(false), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sips") => (Some(true), rest),
            _ => (None, text),
        };
        let (user, host) = rest.rsplit_once('@')?;
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (host, None),
        };
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._*[]:".contains(&b);
        let fits = text.len() <= SipUri::MAX_LENGTH
            && user.bytes().all(|b| b.is_ascii_graphic())
            && !host.is_empty()
            && host.bytes().all(is_host);
        let (user, host) = (user.to_owned(), spelled(host));
        fits.then(|| Self { text: text.to_owned(), sips, user, host, port })
    }

    /// Whether a request to `uri` goes where this pattern allows, and nowhere else.
    #[must_use]
    pub fn matches(&self, uri: &SipUri) -> bool {
        let Ok(uri) = sip::Uri::parse(uri.as_str()) else { return false };
        let is_sips = uri.scheme == sip::Scheme::Sips;
        let Some(user) = sip::uri::unescape(uri.user.unwrap_or_default()) else { return false };
        let host = match uri.ip() {
            Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
            Some(std::net::IpAddr::V4(_)) | None => spelled(uri.host),
        };
        let default_port = if is_sips { 5061 } else { 5060 };
        self.sips.is_none_or(|sips| sips == is_sips)
            && self.port.is_none_or(|port| port == uri.port.unwrap_or(default_port))
            && glob(&self.user, &user)
            && glob(&self.host, &host)
            && uri.params.iter().all(|(name, value)| match sip::uri::unescape(name) {
                Some(name) if name.eq_ignore_ascii_case("maddr") => {
                    glob(&self.host, &spelled(value))
                }
                Some(_) => true,
                None => false,
            })
    }
}

impl fmt::Display for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host in the one spelling that is compared.
fn spelled(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether `pattern` stands for `text`. Takes at most the product of their lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Behind the last star, and how far its match has grown.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, read));
            }
            Some(byte) if *byte == text[read] => {
                at += 1;
                read += 1;
            }
            Some(_) | None => {
                let Some((behind, grown)) = star else { return false };
                star = Some((behind, grown + 1));
                (at, read) = (behind, grown + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, uri: &str) -> bool {
        let uri = SipUri::parse(uri).unwrap_or_else(|| panic!("{uri} is a SIP URI"));
        UriPattern::parse(pattern).unwrap_or_else(|| panic!("{pattern} is a pattern")).matches(&uri)
    }

    #[test]
    fn a_star_stands_for_any_characters_in_its_own_part() {
        for (pattern, uri) in [
            ("*@*", "sip:alice@10.0.0.1"),
            ("*@*", "sip:10.0.0.1"),
            ("alice@10.0.0.1", "sip:alice@10.0.0.1:5071;transport=udp"),
            ("sip:alice@10.0.0.1", "SIP:alice@10.0.0.1"),
            ("+49*@trunk.example.com", "sip:+4930123@TRUNK.example.com."),
            ("*@*.example.com", "sip:alice@a.b.example.com"),
            ("a*b*c@h", "sip:a-b-b-c@h"),
            ("alice@h:5060", "sip:alice@h"),
            ("alice@h:5071", "sip:alice@h:5071"),
            ("sips:alice@h", "sips:alice@h"),
            ("*@[2001:db8::1]", "sip:alice@[2001:DB8:0::1]:5071"),
            ("alice@h", "sip:%61lice:secret@h"),
            ("*@h", "sip:alice@h;maddr=H"),
        ] {
            assert!(matches(pattern, uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn what_a_pattern_does_not_name_is_not_let_through_in_any_spelling() {
        for (pattern, uri) in [
            ("alice@h", "sip:Alice@h"),
            ("alice@h", "sip:alice@h.evil.example"),
            ("*@h", "sip:alice@h;maddr=10.0.0.66"),
            ("*@h", "sip:alice@h;%6Daddr=10.0.0.66"),
            ("*@h", "sip:alice@h;MADDR=10.0.0.66"),
            ("alice@*.example.com", "sip:alice@example.com"),
            // The user part of this one holds an @; its host is the attacker's.
            ("*@h", "sip:alice%40h@evil.example"),
            ("alice@h", "sip:alice;x=y@h"),
            ("alice@h:5060", "sip:alice@h:5071"),
            ("sips:alice@h", "sip:alice@h"),
            ("sip:alice@h", "sips:alice@h"),
            ("+49*@h", "sip:0049301@h"),
            ("a*b@h", "sip:a@h"),
            ("@h", "sip:alice@h"),
        ] {
            assert!(!matches(pattern, uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn only_patterns_are_patterns() {
        for text in ["", "*", "h", "alice@", "a b@h", "alice@h/x", "alice@h:port", "tel:1@h,x"] {
            assert_eq!(UriPattern::parse(text), None, "{text}");
        }
    }
}
