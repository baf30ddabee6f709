//! The configuration: typed, complete, with every default in one place.
//!
//! YAML in the files, places and keys of the Go implementation of this API, so that existing files
//! work; our own keys beside them. Every key is one row of the table in `keys`: its path,
//! documentation, accepted values, parser and printer. The environment can override each
//! (`ws_server.port` is `CALL_API_WS_SERVER_PORT`). Unknown keys are refused with the nearest known
//! one.

mod keys;
mod mi;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tracing::level_filters::LevelFilter;

use crate::api::SipUri;
use crate::api::param::nearest;
use keys::KEYS;
pub use mi::{EventListen, Mi, MiUrl};

/// What else is served by HTTP, so that the API cannot be there: whether the server lives, whether it
/// takes calls, and the descriptions of the API.
pub const TAKEN_PATHS: [&str; 4] = ["/healthz", "/readyz", "/openrpc.json", "/asyncapi.json"];

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The API's WebSocket.
    pub ws_server: WsServer,
    /// The proxies that run the commands, when this server does not.
    pub mi: Mi,
    /// The SIP side.
    pub sip: Sip,
    /// The log.
    pub log: Log,
    /// The journal.
    pub journal: Keep,
    /// Bounds and deadlines.
    pub limits: Limits,
}

/// `ws_server`: where clients connect.
#[derive(Clone, Debug, PartialEq)]
pub struct WsServer {
    /// Host name or IP address to listen on.
    pub host: String,
    /// TCP port to listen on; 0 takes a free one.
    pub port: u16,
    /// Path of the WebSocket. Under it are `/v1` and `/v2`, which each speak one dialect.
    pub http_path: String,
    /// The dialect that is spoken at `http_path` itself.
    pub dialect: Dialect,
    /// Whether an address that other machines reach is meant, for everybody who reaches it.
    pub allow_remote: bool,
    /// The file of access tokens; without it everybody who reaches the API may use it.
    pub tokens: Option<PathBuf>,
    /// Origins of web pages that may use the API, beside those of its own host.
    pub origins: Vec<String>,
    /// The certificate chain for TLS, in PEM; with it the API is at `wss://`.
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub tls_key: Option<PathBuf>,
}

/// How replies and notifications are spelled, and how closely requests are read: see
/// `server::dialect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// That of the README's example flows.
    #[default]
    V1,
    /// That of the Go implementation of this API.
    V2,
}

/// `sip`: how SIP is spoken.
#[derive(Clone, Debug, PartialEq)]
pub struct Sip {
    /// The next hop of every call; without it the request URI's host.
    pub uri: Option<SipUri>,
    /// The transport and address to listen on.
    pub listen: SipListen,
    /// The `host` or `host:port` that others reach `listen` by, when it differs.
    pub advertise: Option<String>,
    /// How many seconds a session lasts that nobody refreshes (RFC 4028); 0 is for ever.
    pub session_seconds: u32,
    /// What is done with a 3xx.
    pub redirects: Redirects,
    /// Whether each phone that is called gets a Call-ID of our own.
    pub hide_call_id: bool,
    /// The file of the users who may register; without it everybody may, on loopback only.
    pub users: Option<PathBuf>,
}

/// What is done when a phone sends its callers elsewhere (a 3xx).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// The addresses it names are called.
    #[default]
    Follow,
    /// Its caller is told them.
    Pass,
}

/// A transport of SIP and its local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipListen {
    /// UDP (RFC 3261 §18).
    Udp(SocketAddr),
}

impl fmt::Display for SipListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

/// `log`: what is logged, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// A file to append to; without it standard error.
    pub file_path: Option<PathBuf>,
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// A file to append the audit log to; without it the audit log is part of the log.
    pub audit_path: Option<PathBuf>,
}

/// `journal`: where and how long events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The directory on disk; without one they are kept in memory, and lost with the server.
    pub directory: Option<PathBuf>,
    /// How much memory the last events may take, about, in bytes; some 3 KiB for each call.
    pub memory_bytes: usize,
    /// Older events are dropped.
    pub max_age: Duration,
    /// The oldest events beyond this are dropped. Counted as JSON; the file is about a third larger.
    pub max_bytes: u64,
}

/// `limits`: bounds and deadlines of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections at a time. One more is closed at once.
    pub connections: u32,
    /// Connections at a time with one token, unless the token says otherwise.
    pub token_connections: u32,
    /// Running commands at a time. One more is refused with `rate_limited`.
    pub commands: u32,
    /// Running commands of one connection at a time.
    pub connection_commands: u32,
    /// Running commands at a time with one token, unless the token says otherwise.
    pub token_commands: u32,
    /// Subscriptions of one connection at a time.
    pub subscriptions: u32,
    /// The longest message from a client, in bytes. A longer one closes the socket with 1009.
    pub message_bytes: usize,
    /// How many levels deep a message may nest. A deeper one is no JSON.
    pub json_depth: u32,
    /// What may wait to be sent to one client, in bytes. Beyond it the client is disconnected.
    pub queue_bytes: usize,
    /// How long a client may take for the TLS handshake, and then for the head and for the body of a request.
    pub handshake: Duration,
    /// How long a client may have no business here: no command that runs, no subscription, no request.
    /// `None` is for ever.
    pub idle: Option<Duration>,
    /// Time between pings. A client that misses two is disconnected.
    pub ping_interval: Duration,
    /// How long calls may take to end when the server shuts down, before they are left standing.
    pub drain_calls: Duration,
    /// How long running commands may take to end then.
    pub drain: Duration,
    /// The deadline of a command without `timeout_ms`.
    pub command_timeout: Duration,
}

impl Default for WsServer {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 5059,
            http_path: "/call-api".to_owned(),
            dialect: Dialect::default(),
            allow_remote: false,
            tokens: None,
            origins: Vec::new(),
            tls_certificate: None,
            tls_key: None,
        }
    }
}

impl WsServer {
    /// A path under that of the WebSocket.
    #[must_use]
    pub fn under(&self, name: &str) -> String {
        format!("{}/{name}", self.http_path.trim_end_matches('/'))
    }

    /// Where clients find it, as `host:port`: an address for all of this machine's is shown as
    /// `localhost`, as is the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        match host.parse() {
            Ok(IpAddr::V4(Ipv4Addr::LOCALHOST | Ipv4Addr::UNSPECIFIED))
            | Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => format!("localhost:{port}"),
            Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            Ok(IpAddr::V4(_)) | Err(_) => format!("{host}:{port}"),
        }
    }

    /// `ws` or, with a certificate, `wss`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls_certificate.is_some() { "wss" } else { "ws" }
    }
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            uri: None,
            listen: SipListen::Udp((Ipv4Addr::LOCALHOST, 5060).into()),
            advertise: None,
            session_seconds: 1800,
            redirects: Redirects::default(),
            hide_call_id: false,
            users: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { file_path: None, level: LevelFilter::INFO, audit_path: None }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            directory: None,
            memory_bytes: 16 << 20,
            max_age: Duration::from_secs(24 * 3600),
            max_bytes: 256 << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            token_connections: 100,
            commands: 10_000,
            connection_commands: 5000,
            token_commands: 5000,
            subscriptions: 32,
            message_bytes: 64 * 1024,
            json_depth: 64,
            queue_bytes: 4 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            idle: None,
            drain_calls: Duration::ZERO,
            ping_interval: Duration::from_secs(20),
            drain: Duration::from_secs(30),
            command_timeout: Duration::from_secs(300),
        }
    }
}

impl Config {
    /// `key: value` of every key that is not at its default.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let default = Self::default();
        let changed = KEYS.iter().filter(|key| (key.show)(self) != (key.show)(&default));
        changed.map(|key| format!("{}: {}", key.path, (key.show)(self))).collect()
    }

    /// A configuration file that shows every key with its documentation, commented at its default.
    #[must_use]
    pub fn sample() -> String {
        let default = Self::default();
        let mut text = SAMPLE_HEAD.to_owned();
        let mut section = "";
        for key in KEYS {
            let (its_section, name) =
                key.path.split_once('.').expect("every path in the table has a section");
            if its_section != section {
                section = its_section;
                text += &format!("\n{section}:\n");
            }
            let setting = format!("{name}: {}", (key.show)(&default));
            text += &format!("  # {}\n  #{}\n", key.doc, setting.trim_end());
        }
        text
    }
}

const SAMPLE_HEAD: &str = "\
# Configuration of Call API. Every key stands at its default; remove the # in front of it to change it.
# Looked up as ~/.call-api.yml, config/call-api.yml, /etc/call-api.yml, /etc/call-api/call-api.yml, or given with
# --config FILE. The environment overrides it: ws_server.port is CALL_API_WS_SERVER_PORT.
";

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file, unless there was none.
    pub file: Option<PathBuf>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is not YAML, or not a map.
    Syntax(PathBuf, String),
    /// A key that means nothing.
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key with its section.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A value that its key does not accept.
    BadValue {
        /// The file or environment variable.
        place: String,
        /// The key with its section.
        key: &'static str,
        /// What was there.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// Values that contradict each other.
    Contradiction(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Syntax(file, message) => write!(f, "{}: {message}", file.display()),
            Self::UnknownKey { file, key, nearest: None } => {
                write!(f, "{}: unknown key {key:?}", file.display())
            }
            Self::UnknownKey { file, key, nearest: Some(nearest) } => {
                write!(f, "{}: unknown key {key:?}, did you mean {nearest:?}?", file.display())
            }
            Self::BadValue { place, key, value, expected } => {
                write!(f, "{place}: {key}: expected {expected}, not {value:?}")
            }
            Self::Contradiction(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads the configuration of `program` (`call-api`): from `file` when given, else from the first
/// file that exists of `$HOME/.PROGRAM.yml`, `config/PROGRAM.yml`, `/etc/PROGRAM.yml` and
/// `/etc/PROGRAM/PROGRAM.yml`, else the defaults. Then come the overrides of the environment.
///
/// # Errors
///
/// See [`ConfigError`]; each names the file and the key.
pub fn load(
    program: &str,
    file: Option<PathBuf>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let environment: HashMap<_, _> =
        environment.into_iter().filter(|(name, _)| name.starts_with("CALL_API_")).collect();
    let file = file.or_else(|| places(program).into_iter().find(|place| place.is_file()));
    let mut config = Config::default();
    if let Some(file) = &file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable(file.clone(), error))?;
        apply_file(&mut config, file, &text)?;
    }
    let warnings = apply_environment(&mut config, &environment)?;
    check(&config)?;
    Ok(Loaded { config, file, warnings })
}

/// Where a configuration file is looked for, in order.
fn places(program: &str) -> Vec<PathBuf> {
    let name = format!("{program}.yml");
    let home = std::env::home_dir().map(|home| home.join(format!(".{name}")));
    let others = [
        Path::new("config").join(&name),
        Path::new("/etc").join(&name),
        Path::new("/etc").join(program).join(&name),
    ];
    home.into_iter().chain(others).collect()
}

fn apply_file(config: &mut Config, file: &Path, text: &str) -> Result<(), ConfigError> {
    let syntax = |message: String| ConfigError::Syntax(file.to_owned(), message);
    let root: Option<Value> =
        serde_saphyr::from_str(text).map_err(|error| syntax(error.to_string()))?;
    let mut settings = Vec::new();
    match root.unwrap_or(Value::Null) {
        Value::Null => {}
        root @ Value::Object(_) => flatten("", root, &mut settings),
        _ => {
            return Err(syntax(
                "expected sections such as ws_server, with keys in them".to_owned(),
            ));
        }
    }
    for (path, value) in settings {
        let Some(key) = KEYS.iter().find(|key| key.path == path) else {
            let nearest = nearest(&path, KEYS.iter().map(|key| key.path));
            return Err(ConfigError::UnknownKey { file: file.to_owned(), key: path, nearest });
        };
        // A key without a value is left at its default.
        let Some(value) = value else { continue };
        (key.set)(config, &value).ok_or_else(|| key.refuse(file.display().to_string(), value))?;
    }
    Ok(())
}

/// Turns nested maps into pairs of dotted path and text. A section or key without a value has
/// `None`.
fn flatten(path: &str, value: Value, settings: &mut Vec<(String, Option<String>)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(&path, value, settings);
            }
        }
        Value::Null if KEYS.iter().any(|key| key.path.split('.').next() == Some(path)) => {}
        Value::Null => settings.push((path.to_owned(), None)),
        Value::String(text) => settings.push((path.to_owned(), Some(text))),
        other => settings.push((path.to_owned(), Some(other.to_string()))),
    }
}

/// Returns warnings about variables that look like ours and are not: they may be somebody else's
/// (an orchestrator sets such names for a service called `call-api`), so they cannot be refused.
fn apply_environment(
    config: &mut Config,
    environment: &HashMap<String, String>,
) -> Result<Vec<String>, ConfigError> {
    for key in KEYS {
        let variable = key.variable();
        let Some(value) = environment.get(&variable) else { continue };
        (key.set)(config, value).ok_or_else(|| key.refuse(variable, value.clone()))?;
    }
    let is_known = |name: &String| KEYS.iter().any(|key| key.variable() == *name);
    let mut unknown: Vec<_> = environment.keys().filter(|name| !is_known(name)).collect();
    unknown.sort();
    Ok(unknown
        .into_iter()
        .map(|name| format!("environment variable {name} is not a setting of ours"))
        .collect())
}

/// What no single key can check.
fn check(config: &Config) -> Result<(), ConfigError> {
    /// An echo of a message may be several times its size (`1e9` comes back as `1000000000.0`).
    const ECHO: usize = 8;
    let Limits { queue_bytes, message_bytes, .. } = config.limits;
    if queue_bytes < ECHO * message_bytes {
        return Err(ConfigError::Contradiction(format!(
            "limits.queue_bytes ({queue_bytes}) must be at least {ECHO} times limits.message_bytes ({message_bytes})"
        )));
    }
    let WsServer { tls_certificate, tls_key, .. } = &config.ws_server;
    if tls_certificate.is_some() != tls_key.is_some() {
        return Err(ConfigError::Contradiction(
            "ws_server.tls_certificate and ws_server.tls_key need each other".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
