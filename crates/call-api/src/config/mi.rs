//! `mi`: the management interface of OpenSIPS, and where its events arrive.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::list;

/// `mi`: the OpenSIPS proxies that run the commands. Without one this server makes the calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mi {
    /// The management interface of one proxy.
    pub url: Option<MiUrl>,
    /// Those of several.
    pub urls: Vec<MiUrl>,
    /// Where events are received.
    pub events: Option<EventListen>,
    /// How long a proxy may take to answer a request that it can answer at once.
    pub timeout: Duration,
}

impl Default for Mi {
    fn default() -> Self {
        Self { url: None, urls: Vec::new(), events: None, timeout: Duration::from_secs(5) }
    }
}

impl Mi {
    /// Every proxy, once.
    #[must_use]
    pub fn proxies(&self) -> Vec<MiUrl> {
        let mut proxies: Vec<MiUrl> = Vec::new();
        for url in self.url.iter().chain(&self.urls) {
            if !proxies.contains(url) {
                proxies.push(url.clone());
            }
        }
        proxies
    }
}

/// The address of a management interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MiUrl {
    /// `mi_datagram` on UDP: `host:port`.
    Udp(String),
    /// `mi_datagram` on a UNIX socket.
    Unix(PathBuf),
    /// `mi_http`: `host:port`, and the path of its root.
    Http(String, String),
}

impl MiUrl {
    /// `None` when `text` is no such address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_path = path.starts_with('/') && !path.contains(char::is_control);
            return is_path.then(|| Self::Unix(PathBuf::from(path)));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let (authority, path) = rest.split_once('/')?;
            let is_path = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
            let authority = if authority.contains(':') {
                authority.to_owned()
            } else {
                format!("{authority}:80")
            };
            return (is_path && has_port(&authority))
                .then(|| Self::Http(authority, format!("/{path}")));
        }
        let authority = text.strip_prefix("udp:").unwrap_or(text);
        has_port(authority).then(|| Self::Udp(authority.to_owned()))
    }

    /// Several: a [`list`], or separated by commas.
    pub(super) fn parse_list(text: &str) -> Option<Vec<Self>> {
        let texts = list(text, |text| text.split(','))?;
        texts.iter().map(|url| Self::parse(url)).collect()
    }
}

impl fmt::Display for MiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(authority) => write!(f, "udp:{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority, path) => write!(f, "http://{authority}{path}"),
        }
    }
}

/// Whether this is `host:port`.
fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(host, port)| {
        let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        !host.is_empty() && is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// Where events of a proxy are received. With several proxies each gets the next port, unless it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventListen {
    /// From `event_datagram`.
    Udp(SocketAddr),
    /// From `event_stream`.
    Tcp(SocketAddr),
}

impl EventListen {
    /// `None` when `text` is no such address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (transport, address) = text.split_once(':')?;
        let address = address.parse().ok()?;
        match transport {
            "udp" => Some(Self::Udp(address)),
            "tcp" => Some(Self::Tcp(address)),
            _ => None,
        }
    }
}

impl fmt::Display for EventListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_is_read() {
        for text in [
            "udp:127.0.0.1:8080",
            "udp:proxy.example.com:8080",
            "udp:[::1]:8080",
            "unix:/run/opensips/mi.sock",
            "http://127.0.0.1:8888/mi",
        ] {
            assert_eq!(MiUrl::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(MiUrl::parse("127.0.0.1:8080"), MiUrl::parse("udp:127.0.0.1:8080"));
        assert_eq!(MiUrl::parse("http://proxy/mi"), MiUrl::parse("http://proxy:80/mi"));
        for bad in [
            "",
            "127.0.0.1",
            "udp:8080",
            "127.0.0.1:0",
            "127.0.0.1:99999",
            "unix:mi.sock",
            "http://127.0.0.1:8888",
            "https://127.0.0.1:8888/mi",
            "http://a b/mi",
            "http://127.0.0.1:8888/mi?x=1",
        ] {
            assert_eq!(MiUrl::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn several_proxies_are_a_list_or_separated_by_commas() {
        let both = MiUrl::parse_list(r#"["10.0.0.1:8080","10.0.0.2:8080"]"#).unwrap();
        assert_eq!(MiUrl::parse_list("10.0.0.1:8080, udp:10.0.0.2:8080"), Some(both.clone()));
        let mi = Mi { url: Some(both[1].clone()), urls: both.clone(), ..Mi::default() };
        assert_eq!(mi.proxies(), [both[1].clone(), both[0].clone()], "each once");
        assert_eq!(MiUrl::parse_list("10.0.0.1:8080,"), None);
        assert_eq!(MiUrl::parse_list("[10.0.0.1:8080,10.0.0.2:8080]"), None, "no JSON");
    }
}
