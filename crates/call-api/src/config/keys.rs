//! Every key of the configuration: one row each.
//!
//! A value comes as text, from YAML or from the environment; `set` parses it and refuses with
//! `None`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::{Config, ConfigError, Dialect, EventListen, MiUrl, Redirects, SipListen, TAKEN_PATHS};
use crate::api::SipUri;
use crate::api::jsonrpc::MAX_DEPTH;

/// One key.
pub(super) struct Key {
    /// Section and name.
    pub(super) path: &'static str,
    /// For the sample file.
    pub(super) doc: &'static str,
    /// Completes "expected …".
    pub(super) expected: &'static str,
    /// Stores a value, unless it is not acceptable.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    /// The value as it would be written; empty when there is none.
    pub(super) show: fn(&Config) -> String,
}

impl Key {
    /// The environment variable that overrides it.
    pub(super) fn variable(&self) -> String {
        format!("CALL_API_{}", self.path.replace('.', "_").to_uppercase())
    }

    pub(super) fn refuse(&self, place: String, value: String) -> ConfigError {
        ConfigError::BadValue { place, key: self.path, value, expected: self.expected }
    }
}

/// In the order of the sample file.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "ws_server.host",
        doc: "Address or name to listen on.",
        expected: "a host name or an IP address",
        set: |config, value| host(value).map(|host| config.ws_server.host = host),
        show: |config| config.ws_server.host.clone(),
    },
    Key {
        path: "ws_server.port",
        doc: "TCP port to listen on. 0 takes a free one.",
        expected: "a port from 0 to 65535",
        set: |config, value| value.parse().ok().map(|port| config.ws_server.port = port),
        show: |config| config.ws_server.port.to_string(),
    },
    Key {
        path: "ws_server.http_path",
        doc: "Path of the WebSocket.",
        expected: "a path such as /call-api, other than /healthz, /readyz, /openrpc.json and /asyncapi.json",
        set: |config, value| http_path(value).map(|path| config.ws_server.http_path = path),
        show: |config| config.ws_server.http_path.clone(),
    },
    Key {
        path: "ws_server.dialect",
        doc: "The dialect that is spoken at http_path: v1, or v2 for clients of the Go implementation. http_path/v1 and http_path/v2 always speak their own.",
        expected: "v1 or v2",
        set: |config, value| dialect(value).map(|dialect| config.ws_server.dialect = dialect),
        show: |config| {
            match config.ws_server.dialect {
                Dialect::V1 => "v1",
                Dialect::V2 => "v2",
            }
            .to_owned()
        },
    },
    Key {
        path: "ws_server.allow_remote",
        doc: "Listen without tokens on an address that other machines reach. Whoever reaches the API can place calls.",
        expected: "true or false",
        set: |config, value| value.parse().ok().map(|allow| config.ws_server.allow_remote = allow),
        show: |config| config.ws_server.allow_remote.to_string(),
    },
    Key {
        path: "ws_server.tokens",
        doc: "A file of access tokens, as `call-api token` writes it. Without it everybody who reaches the API may use it.",
        expected: "a path such as /etc/call-api/tokens.yml",
        set: |config, value| path(value).map(|path| config.ws_server.tokens = Some(path)),
        show: |config| shown(config.ws_server.tokens.as_ref()),
    },
    Key {
        path: "ws_server.origins",
        doc: "Origins of web pages that may use the API beside those of its own host, with spaces between them.",
        expected: "origins such as https://desk.example.com, with spaces between them",
        set: |config, value| origins(value).map(|origins| config.ws_server.origins = origins),
        show: |config| config.ws_server.origins.join(" "),
    },
    Key {
        path: "ws_server.tls_certificate",
        doc: "A certificate in PEM, those that vouch for it behind it. With it and tls_key the API is at wss://. Read again on SIGHUP.",
        expected: "a path such as /etc/call-api/fullchain.pem",
        set: |config, value| path(value).map(|path| config.ws_server.tls_certificate = Some(path)),
        show: |config| shown(config.ws_server.tls_certificate.as_ref()),
    },
    Key {
        path: "ws_server.tls_key",
        doc: "The certificate's private key, in PEM.",
        expected: "a path such as /etc/call-api/key.pem",
        set: |config, value| path(value).map(|path| config.ws_server.tls_key = Some(path)),
        show: |config| shown(config.ws_server.tls_key.as_ref()),
    },
    Key {
        path: "mi.url",
        doc: "Management interface of an OpenSIPS that makes the calls: udp:HOST:PORT, unix:/PATH or http://HOST:PORT/mi. Without it this server makes them itself.",
        expected: "an address such as 127.0.0.1:8080, unix:/run/opensips/mi.sock or http://127.0.0.1:8888/mi",
        set: |config, value| MiUrl::parse(value).map(|url| config.mi.url = Some(url)),
        show: |config| config.mi.url.as_ref().map_or(String::new(), ToString::to_string),
    },
    Key {
        path: "mi.urls",
        doc: "The same for several OpenSIPS, as a list.",
        expected: "a list of addresses such as [127.0.0.1:8080, 127.0.0.2:8080]",
        set: |config, value| MiUrl::parse_list(value).map(|urls| config.mi.urls = urls),
        show: |config| config.mi.urls.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    },
    Key {
        path: "mi.events",
        doc: "Where OpenSIPS sends its events: udp:ADDRESS:PORT (event_datagram) or tcp:ADDRESS:PORT (event_stream). Without it a free UDP port of the address that OpenSIPS sees.",
        expected: "udp:ADDRESS:PORT or tcp:ADDRESS:PORT such as udp:127.0.0.1:5070",
        set: |config, value| {
            EventListen::parse(value).map(|events| config.mi.events = Some(events))
        },
        show: |config| config.mi.events.as_ref().map_or(String::new(), ToString::to_string),
    },
    Key {
        path: "mi.timeout_ms",
        doc: "How long OpenSIPS may take to answer what it can answer at once. Then it counts as dead until it answers again.",
        expected: "a number from 100 to 60000",
        set: |config, value| {
            let milliseconds = number(value, 100, 60_000)?;
            config.mi.timeout = Duration::from_millis(milliseconds.into());
            Some(())
        },
        show: |config| config.mi.timeout.as_millis().to_string(),
    },
    Key {
        path: "sip.uri",
        doc: "The next hop of every call, such as sip:127.0.0.1:5080. Without it calls go to the host in their URI; with mi.url to port 5060 of its host.",
        expected: "a sip: URI such as sip:proxy.example.com (sips needs TLS, which is not spoken yet)",
        set: |config, value| next_hop(value).map(|uri| config.sip.uri = Some(uri)),
        show: |config| config.sip.uri.as_ref().map_or(String::new(), ToString::to_string),
    },
    Key {
        path: "sip.listen",
        doc: "Transport, IP address and port for SIP.",
        expected: "udp:ADDRESS:PORT such as udp:127.0.0.1:5060",
        set: |config, value| sip_listen(value).map(|listen| config.sip.listen = listen),
        show: |config| config.sip.listen.to_string(),
    },
    Key {
        path: "sip.advertise",
        doc: "Host, or host:port, by which others reach sip.listen, when that is another one (behind NAT).",
        expected: "a host or host:port such as pbx.example.com:5060",
        set: |config, value| {
            advertise(value).map(|advertise| config.sip.advertise = Some(advertise))
        },
        show: |config| config.sip.advertise.clone().unwrap_or_default(),
    },
    Key {
        path: "sip.session_seconds",
        doc: "How long a call lasts whose phones are not heard of (RFC 4028); half of it is the time between refreshes. 0 turns it off.",
        expected: "0, or a number from 90 to 86400",
        set: |config, value| {
            let seconds = number(value, 0, 86_400).filter(|seconds| !(1..90).contains(seconds))?;
            config.sip.session_seconds = seconds;
            Some(())
        },
        show: |config| config.sip.session_seconds.to_string(),
    },
    Key {
        path: "sip.redirects",
        doc: "What is done when a phone sends its callers elsewhere (a 3xx): follow, or pass it on to the caller.",
        expected: "follow or pass",
        set: |config, value| redirects(value).map(|redirects| config.sip.redirects = redirects),
        show: |config| {
            match config.sip.redirects {
                Redirects::Follow => "follow",
                Redirects::Pass => "pass",
            }
            .to_owned()
        },
    },
    Key {
        path: "sip.hide_call_id",
        doc: "Whether each phone that is called gets a Call-ID of its own, so that it does not see its caller's.",
        expected: "true or false",
        set: |config, value| value.parse().ok().map(|hide| config.sip.hide_call_id = hide),
        show: |config| config.sip.hide_call_id.to_string(),
    },
    Key {
        path: "sip.users",
        doc: "A file of users whose phones may register and call, as `call-api user` writes it. Without it all may, on loopback only.",
        expected: "a path such as /etc/call-api/users.yml",
        set: |config, value| path(value).map(|path| config.sip.users = Some(path)),
        show: |config| shown(config.sip.users.as_ref()),
    },
    Key {
        path: "log.file_path",
        doc: "A file to append the log to. Without it the log goes to standard error.",
        expected: "a path such as /var/log/call-api.log",
        set: |config, value| path(value).map(|path| config.log.file_path = Some(path)),
        show: |config| shown(config.log.file_path.as_ref()),
    },
    Key {
        path: "log.level",
        doc: "ERROR, WARN, INFO, DEBUG (every SIP message) or TRACE (with its text).",
        expected: "ERROR, WARN, INFO, DEBUG or TRACE",
        set: |config, value| level(value).map(|level| config.log.level = level),
        show: |config| config.log.level.to_string().to_uppercase(),
    },
    Key {
        path: "log.audit_path",
        doc: "A file to append the audit log to: who commanded what, one JSON object a line. Without it that is part of the log.",
        expected: "a path such as /var/log/call-api-audit.log",
        set: |config, value| path(value).map(|path| config.log.audit_path = Some(path)),
        show: |config| shown(config.log.audit_path.as_ref()),
    },
    Key {
        path: "journal.directory",
        doc: "An existing directory, of this server alone, where events outlive it. Without it they are kept in memory.",
        expected: "a path such as /var/lib/call-api",
        set: |config, value| path(value).map(|path| config.journal.directory = Some(path)),
        show: |config| shown(config.journal.directory.as_ref()),
    },
    Key {
        path: "journal.memory_bytes",
        doc: "About how much memory the last events take. Without a directory a client that comes back misses nothing that is among them.",
        expected: "a number from 65536 to 17179869184",
        set: |config, value| {
            let bytes = value.parse().ok().filter(|bytes| (1 << 16..=1 << 34).contains(bytes))?;
            config.journal.memory_bytes = bytes;
            Some(())
        },
        show: |config| config.journal.memory_bytes.to_string(),
    },
    Key {
        path: "journal.max_age_seconds",
        doc: "Events in the directory are dropped when they are older than this.",
        expected: "a number from 60 to 31536000",
        set: |config, value| {
            let seconds = number(value, 60, 31_536_000)?;
            config.journal.max_age = Duration::from_secs(seconds.into());
            Some(())
        },
        show: |config| config.journal.max_age.as_secs().to_string(),
    },
    Key {
        path: "journal.max_bytes",
        doc: "The oldest events in the directory are dropped beyond this. The file gets about a third larger.",
        expected: "a number from 1048576 to 1099511627776",
        set: |config, value| {
            let bytes = value.parse().ok().filter(|bytes| (1 << 20..=1 << 40).contains(bytes))?;
            config.journal.max_bytes = bytes;
            Some(())
        },
        show: |config| config.journal.max_bytes.to_string(),
    },
    Key {
        path: "limits.connections",
        doc: "Connections at a time. One more is closed at once.",
        expected: "a number from 1 to 1000000",
        set: |config, value| number(value, 1, 1_000_000).map(|n| config.limits.connections = n),
        show: |config| config.limits.connections.to_string(),
    },
    Key {
        path: "limits.token_connections",
        doc: "Connections at a time with one token, unless its entry in ws_server.tokens says otherwise.",
        expected: "a number from 1 to 1000000",
        set: |config, value| {
            number(value, 1, 1_000_000).map(|n| config.limits.token_connections = n)
        },
        show: |config| config.limits.token_connections.to_string(),
    },
    Key {
        path: "limits.commands",
        doc: "Running commands at a time. One more is refused with rate_limited.",
        expected: "a number from 1 to 1000000",
        set: |config, value| number(value, 1, 1_000_000).map(|n| config.limits.commands = n),
        show: |config| config.limits.commands.to_string(),
    },
    Key {
        path: "limits.connection_commands",
        doc: "Running commands of one connection at a time. One more is refused with rate_limited.",
        expected: "a number from 1 to 1000000",
        set: |config, value| {
            number(value, 1, 1_000_000).map(|n| config.limits.connection_commands = n)
        },
        show: |config| config.limits.connection_commands.to_string(),
    },
    Key {
        path: "limits.token_commands",
        doc: "Running commands at a time with one token, unless its entry in ws_server.tokens says otherwise.",
        expected: "a number from 1 to 1000000",
        set: |config, value| number(value, 1, 1_000_000).map(|n| config.limits.token_commands = n),
        show: |config| config.limits.token_commands.to_string(),
    },
    Key {
        path: "limits.subscriptions",
        doc: "Subscriptions of one connection at a time. One more is refused with rate_limited.",
        expected: "a number from 1 to 1000",
        set: |config, value| number(value, 1, 1000).map(|n| config.limits.subscriptions = n),
        show: |config| config.limits.subscriptions.to_string(),
    },
    Key {
        path: "limits.message_bytes",
        doc: "The longest message of a client, in bytes. A longer one closes its socket with 1009.",
        expected: "a number from 1024 to 16777216",
        set: |config, value| {
            number(value, 1024, 16 << 20).map(|n| config.limits.message_bytes = n as usize)
        },
        show: |config| config.limits.message_bytes.to_string(),
    },
    Key {
        path: "limits.json_depth",
        doc: "How many levels deep the lists and objects of a message may nest. A deeper one is no JSON (-32700).",
        expected: "a number from 8 to 127",
        set: |config, value| number(value, 8, MAX_DEPTH).map(|n| config.limits.json_depth = n),
        show: |config| config.limits.json_depth.to_string(),
    },
    Key {
        path: "limits.queue_bytes",
        doc: "What may wait to be sent to one client, in bytes. Beyond it the client is disconnected.",
        expected: "a number from 65536 to 1073741824",
        set: |config, value| {
            number(value, 65_536, 1 << 30).map(|n| config.limits.queue_bytes = n as usize)
        },
        show: |config| config.limits.queue_bytes.to_string(),
    },
    Key {
        path: "limits.handshake_seconds",
        doc: "How long a client may take for the TLS handshake, and then for the head and for the body of a request.",
        expected: "a number from 1 to 3600",
        set: |config, value| seconds(value).map(|time| config.limits.handshake = time),
        show: |config| config.limits.handshake.as_secs().to_string(),
    },
    Key {
        path: "limits.idle_seconds",
        doc: "How long a client may have no command running and no subscription, and send nothing. 0 is for ever.",
        expected: "a number from 0 to 3600",
        set: |config, value| seconds_or_none(value).map(|time| config.limits.idle = time),
        show: |config| config.limits.idle.map_or(0, |time| time.as_secs()).to_string(),
    },
    Key {
        path: "limits.ping_seconds",
        doc: "Time between pings. A client that misses two is disconnected.",
        expected: "a number from 1 to 3600",
        set: |config, value| seconds(value).map(|time| config.limits.ping_interval = time),
        show: |config| config.limits.ping_interval.as_secs().to_string(),
    },
    Key {
        path: "limits.drain_calls_seconds",
        doc: "How long calls may take to end when the server is told to stop. Those that stand after that are left standing.",
        expected: "a number from 0 to 3600",
        set: |config, value| {
            seconds_or_none(value).map(|time| config.limits.drain_calls = time.unwrap_or_default())
        },
        show: |config| config.limits.drain_calls.as_secs().to_string(),
    },
    Key {
        path: "limits.drain_seconds",
        doc: "How long running commands may take to end then.",
        expected: "a number from 1 to 3600",
        set: |config, value| seconds(value).map(|time| config.limits.drain = time),
        show: |config| config.limits.drain.as_secs().to_string(),
    },
    Key {
        path: "limits.command_seconds",
        doc: "The deadline of a command without timeout_ms.",
        expected: "a number from 1 to 3600",
        set: |config, value| seconds(value).map(|time| config.limits.command_timeout = time),
        show: |config| config.limits.command_timeout.as_secs().to_string(),
    },
];

fn non_empty(value: &str) -> Option<String> {
    (!value.is_empty() && !value.contains(char::is_control)).then(|| value.to_owned())
}

fn path(value: &str) -> Option<PathBuf> {
    non_empty(value).map(PathBuf::from)
}

fn shown(path: Option<&PathBuf>) -> String {
    path.map_or(String::new(), |path| path.display().to_string())
}

/// Several texts: a list in YAML, which comes as JSON, or one text that `split` takes apart.
pub(super) fn list<'a, I: Iterator<Item = &'a str>>(
    value: &'a str,
    split: impl FnOnce(&'a str) -> I,
) -> Option<Vec<String>> {
    match value.starts_with('[') {
        true => serde_json::from_str(value).ok(),
        false => Some(split(value).map(|item| item.trim().to_owned()).collect()),
    }
}

fn origins(value: &str) -> Option<Vec<String>> {
    let is_origin = |origin: &str| {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        !host.is_empty() && host.bytes().all(plain)
    };
    let origins = list(value, str::split_ascii_whitespace)?;
    (!origins.is_empty() && origins.iter().all(|origin| is_origin(origin))).then_some(origins)
}

fn host(value: &str) -> Option<String> {
    let is_host = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    (is_host && !value.is_empty()).then(|| value.to_owned())
}

fn http_path(value: &str) -> Option<String> {
    let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b));
    let is_free = !TAKEN_PATHS.contains(&value);
    (value.starts_with('/') && is_plain && is_free).then(|| value.to_owned())
}

fn dialect(value: &str) -> Option<Dialect> {
    match value {
        "v1" => Some(Dialect::V1),
        "v2" => Some(Dialect::V2),
        _ => None,
    }
}

fn next_hop(value: &str) -> Option<SipUri> {
    let is_sip =
        value.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sip"));
    SipUri::parse(value).filter(|_| is_sip)
}

fn sip_listen(value: &str) -> Option<SipListen> {
    value.strip_prefix("udp:")?.parse::<SocketAddr>().ok().map(SipListen::Udp)
}

fn redirects(value: &str) -> Option<Redirects> {
    match value {
        "follow" => Some(Redirects::Follow),
        "pass" => Some(Redirects::Pass),
        _ => None,
    }
}

fn advertise(value: &str) -> Option<String> {
    let is_host_and_port =
        value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    (is_host_and_port && SipUri::parse(&format!("sip:{value}")).is_some()).then(|| value.to_owned())
}

fn level(value: &str) -> Option<LevelFilter> {
    Some(match value.to_ascii_uppercase().as_str() {
        "ERROR" => LevelFilter::ERROR,
        "WARN" | "WARNING" => LevelFilter::WARN,
        "INFO" => LevelFilter::INFO,
        "DEBUG" => LevelFilter::DEBUG,
        "TRACE" => LevelFilter::TRACE,
        _ => return None,
    })
}

fn number(value: &str, least: u32, most: u32) -> Option<u32> {
    value.parse().ok().filter(|number| (least..=most).contains(number))
}

fn seconds(value: &str) -> Option<Duration> {
    number(value, 1, 3600).map(|seconds| Duration::from_secs(seconds.into()))
}

/// 0 is no time at all, or for ever.
fn seconds_or_none(value: &str) -> Option<Option<Duration>> {
    match value {
        "0" => Some(None),
        value => seconds(value).map(Some),
    }
}
