//! The file of access tokens (`ws_server.tokens`): who may connect, and what each may do.
//!
//! ```yaml
//! shop:
//!   sha256: 64 hexadecimal digits
//!   scopes: [watch, control]
//!   callers: ["*@shop.example.com"]
//! ```
//!
//! A token is 32 random bytes, so a plain hash of it cannot be turned back, and the file gives nobody
//! access. Whoever connects shows a token; its hash is compared with every hash in the file, in
//! constant time.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::rate::{self, Rate};
use super::usage::Usage;
use crate::api::{SipUri, UriPattern};

/// What every token of ours begins with, so that it is recognised where it should not be.
pub const PREFIX: &str = "callapi_";

/// The highest number of anything that a token may have at a time.
const MOST: u32 = 1_000_000;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See calls, registrations and what happens to them.
    Watch,
    /// Start, change and end calls.
    Control,
    /// All of that, and see what other tokens' commands say.
    Admin,
}

/// What a token's owner is granted. What is left out has no bound of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// At least one.
    pub scopes: Vec<Scope>,
    /// Who it may call first, and in whose name.
    pub callers: Option<Vec<UriPattern>>,
    /// Who it may have them talk to.
    pub callees: Option<Vec<UriPattern>>,
    /// Where it may transfer calls to.
    pub destinations: Option<Vec<UriPattern>>,
    /// Whose calls and registrations it sees and changes.
    pub parties: Option<Vec<UriPattern>>,
    /// Requests in any second.
    pub requests: Option<Rate>,
    /// New calls in any minute.
    pub calls_a_minute: Option<Rate>,
    /// Calls of its own that stand or are being set up, at a time.
    pub calls: Option<u32>,
    /// Running commands at a time.
    pub commands: Option<u32>,
    /// Connections at a time.
    pub connections: Option<u32>,
}

/// A token, as far as it is known here.
pub struct Token {
    pub(super) name: Arc<str>,
    hash: [u8; 32],
    pub(super) grants: Grants,
    /// Outlives a change of the file.
    pub(super) usage: Arc<Usage>,
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct Tokens(Vec<Arc<Token>>);

/// A token in the file, and on the command line of `call-api token`, which makes its hash.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The token's hash, in the file.
    #[arg(skip)]
    pub sha256: String,
    /// What it may do: watch, control or admin. Several times for several.
    #[arg(long = "scope", value_name = "SCOPE", default_values = ["watch", "control"])]
    pub scopes: Vec<Scope>,
    /// Who it may call first, as in '*@pbx.example.com'. Several times for several; anybody when left out.
    #[arg(long = "caller", value_name = "USER@HOST")]
    pub callers: Option<Vec<String>>,
    /// Who it may have them talk to; anybody when left out.
    #[arg(long = "callee", value_name = "USER@HOST")]
    pub callees: Option<Vec<String>>,
    /// Where it may transfer calls to; those of --callee when left out.
    #[arg(long = "destination", value_name = "USER@HOST")]
    pub destinations: Option<Vec<String>>,
    /// Whose calls it sees and changes; those of --caller when left out.
    #[arg(long = "party", value_name = "USER@HOST")]
    pub parties: Option<Vec<String>>,
    /// The most requests in any second.
    #[arg(long, value_name = "N")]
    pub requests_per_second: Option<u32>,
    /// The most new calls in any minute.
    #[arg(long, value_name = "N")]
    pub calls_per_minute: Option<u32>,
    /// The most calls that it has started and that stand, at a time.
    #[arg(long, value_name = "N")]
    pub calls: Option<u32>,
    /// The most running commands at a time.
    #[arg(long, value_name = "N")]
    pub commands: Option<u32>,
    /// The most connections at a time.
    #[arg(long, value_name = "N")]
    pub connections: Option<u32>,
}

impl Tokens {
    /// Reads a file of tokens. Those that were known before, by name, go on with what they have used
    /// up.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not such a file; the error names the file and the token.
    pub fn load(file: &Path, before: &Self) -> io::Result<Self> {
        let wrong = |message: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {message}", file.display()))
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?;
        Self::parse(&text, before).map_err(wrong)
    }

    /// Reads the text of a file of tokens.
    ///
    /// # Errors
    ///
    /// When it is no such text.
    pub fn parse(text: &str, before: &Self) -> Result<Self, String> {
        let entries: Option<BTreeMap<String, Entry>> =
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut tokens = Self::default();
        for (name, entry) in entries.unwrap_or_default() {
            if !is_name(&name) {
                return Err(format!("{name:?}: no name of a token"));
            }
            let hash = unhex(&entry.sha256)
                .ok_or_else(|| format!("{name}: sha256 is 64 lower-case hexadecimal digits"))?;
            let grants = entry.grants().map_err(|error| format!("{name}: {error}"))?;
            let known = before.0.iter().find(|token| *token.name == *name);
            let usage = known.map_or_else(Arc::default, |token| Arc::clone(&token.usage));
            tokens.0.push(Arc::new(Token { name: name.into(), hash, grants, usage }));
        }
        if tokens.0.is_empty() { Err("no tokens".to_owned()) } else { Ok(tokens) }
    }

    /// The token that was shown.
    #[must_use]
    pub fn find(&self, shown: &str) -> Option<&Arc<Token>> {
        let hash = hash(shown);
        // Every hash is looked at, whichever fits: the time taken says nothing.
        let matching = self.0.iter().filter(|token| bool::from(token.hash.ct_eq(&hash)));
        matching.fold(None, |_, token| Some(token))
    }

    /// Whether a token is here, with the same grants.
    pub(super) fn hold(&self, token: &Token) -> bool {
        self.0.iter().any(|here| {
            here.name == token.name && here.hash == token.hash && here.grants == token.grants
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.name)
    }
}

impl Entry {
    /// # Errors
    ///
    /// What is no pattern, rate or number.
    fn grants(self) -> Result<Grants, String> {
        if self.scopes.is_empty() {
            return Err("no scopes: watch, control or admin".to_owned());
        }
        let number = |name: &str, number: Option<u32>, most: u32| match number {
            Some(number) if !(1..=most).contains(&number) => {
                Err(format!("{name} is a number from 1 to {most}"))
            }
            number => Ok(number),
        };
        let rate = |name, count, per| {
            Ok::<_, String>(number(name, count, rate::MOST)?.map(|count| Rate { count, per }))
        };
        let (callers, callees) = (patterns(self.callers)?, patterns(self.callees)?);
        Ok(Grants {
            scopes: self.scopes,
            destinations: patterns(self.destinations)?.or_else(|| callees.clone()),
            parties: patterns(self.parties)?.or_else(|| callers.clone()),
            callers,
            callees,
            requests: rate(
                "requests_per_second",
                self.requests_per_second,
                Duration::from_secs(1),
            )?,
            calls_a_minute: rate(
                "calls_per_minute",
                self.calls_per_minute,
                Duration::from_secs(60),
            )?,
            calls: number("calls", self.calls, MOST)?,
            commands: number("commands", self.commands, MOST)?,
            connections: number("connections", self.connections, MOST)?,
        })
    }

    /// The lines of the file for a token of this name, and the token: it is nowhere else.
    ///
    /// # Errors
    ///
    /// When the name cannot be a token's, or a pattern or number is none.
    pub fn issue(&self, name: &str) -> io::Result<(String, String)> {
        let wrong = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        if !is_name(name) {
            return Err(wrong("a token's name has letters, digits and -_.+ only".to_owned()));
        }
        self.clone().grants().map_err(wrong)?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let token = format!("{PREFIX}{}", hex(&secret));
        let mut lines = format!("\"{name}\":\n  sha256: \"{}\"\n", hex(&hash(&token)));
        let scopes: Vec<_> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let _ = writeln!(lines, "  scopes: [{}]", scopes.join(", "));
        for (key, patterns) in [
            ("callers", &self.callers),
            ("callees", &self.callees),
            ("destinations", &self.destinations),
            ("parties", &self.parties),
        ] {
            if let Some(patterns) = patterns {
                // JSON is YAML, and quotes what YAML would take for something else.
                let _ = writeln!(lines, "  {key}: {}", serde_json::json!(patterns));
            }
        }
        for (key, number) in [
            ("requests_per_second", self.requests_per_second),
            ("calls_per_minute", self.calls_per_minute),
            ("calls", self.calls),
            ("commands", self.commands),
            ("connections", self.connections),
        ] {
            if let Some(number) = number {
                let _ = writeln!(lines, "  {key}: {number}");
            }
        }
        Ok((lines, token))
    }
}

impl Scope {
    /// As the file has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Control => "control",
            Self::Admin => "admin",
        }
    }
}

impl Grants {
    /// Whether one of the scopes includes this one.
    pub(super) fn include(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|scope| *scope == wanted || *scope == Scope::Admin)
    }
}

/// Whether a party is among those that patterns name; without patterns everybody is.
pub(super) fn allow(patterns: Option<&Vec<UriPattern>>, party: &SipUri) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(party)))
}

fn patterns(written: Option<Vec<String>>) -> Result<Option<Vec<UriPattern>>, String> {
    let read = |text: String| {
        UriPattern::parse(&text)
            .ok_or_else(|| format!("{text:?} is no pattern such as \"*@pbx.example.com\""))
    };
    written.map(|patterns| patterns.into_iter().map(read).collect()).transpose()
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits: Vec<_> = text.bytes().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<_> =
        digits.chunks(2).map(|pair| Some(pair[0] << 4 | pair.get(1)?)).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// What needs no care in YAML and in a log.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::parse(text, &Tokens::default())
    }

    #[test]
    fn a_token_that_was_made_is_found_again_and_no_other() {
        let written = Entry { scopes: vec![Scope::Watch], ..Entry::default() };
        let (shop, token) = written.issue("shop").unwrap();
        let (number, other) = written.issue("007").unwrap();
        assert!(!shop.contains(token.trim_start_matches(PREFIX)), "{shop}");
        let tokens = parse(&format!("{shop}{number}")).unwrap();
        assert_eq!(&*tokens.find(&token).unwrap().name, "shop");
        assert_eq!(&*tokens.find(&other).unwrap().name, "007");
        for wrong in ["", PREFIX, &token[1..], &format!("{token} "), &token.to_uppercase()] {
            assert!(tokens.find(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains(&hex(&hash(&token))), "hashes are not logged");
    }

    #[test]
    fn what_is_granted_is_written_and_read_back() {
        let some = |text: &str| Some(vec![text.to_owned()]);
        let written = Entry {
            scopes: vec![Scope::Watch, Scope::Control],
            callers: some("*@shop.example.com"),
            callees: some("+49*@trunk.example.com"),
            calls_per_minute: Some(30),
            calls: Some(7),
            ..Entry::default()
        };
        let (lines, token) = written.issue("shop").unwrap();
        let tokens = parse(&lines).unwrap();
        let grants = &tokens.find(&token).unwrap().grants;
        assert_eq!(*grants, written.grants().unwrap());
        assert_eq!(grants.parties, grants.callers);
        assert_eq!(grants.destinations, grants.callees);
        assert_eq!((grants.calls, grants.commands), (Some(7), None));
    }

    #[test]
    fn mistakes_are_named() {
        let written = Entry { scopes: vec![Scope::Watch], ..Entry::default() };
        let (shop, _) = written.issue("shop").unwrap();
        for (text, expected) in [
            (String::new(), "no tokens"),
            (shop.replace("shop", "sh op"), "no name of a token"),
            (shop.replace("sha256: \"", "sha256: \"0"), "shop: sha256 is 64"),
            (shop.replace("[watch]", "[]"), "shop: no scopes"),
            (shop.replace("watch", "see"), "see"),
            (shop.replace("scopes", "scope"), "scope"),
            (format!("{shop}  callers: [x]\n"), "shop: \"x\" is no pattern"),
            (format!("{shop}  calls: 0\n"), "shop: calls is a number from 1"),
            (format!("{shop}  requests_per_second: 10001\n"), "from 1 to 10000"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(written.issue("a b").is_err());
    }
}
