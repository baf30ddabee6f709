//! Digest access authentication (RFC 7616, for SIP RFC 3261 §22 and RFC 8760): challenges,
//! credentials, and the response that proves a password without showing it.
//!
//! MD5 and SHA-256, always with `qop=auth`: what a client of RFC 2617 without `qop` sends has no
//! count, so it could be replayed. Nonces are the business of whoever challenges.

use std::borrow::Cow;
use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::cursor::{Cursor, is_param_value, is_token};

/// A hash function. In the order in which we offer them (RFC 8760 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// MD5, which every phone knows.
    Md5,
}

/// What a WWW-Authenticate or Proxy-Authenticate header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Names the passwords that are meant.
    pub realm: Cow<'a, str>,
    /// To be hashed into the response.
    pub nonce: Cow<'a, str>,
    /// How to hash.
    pub algorithm: Algorithm,
    /// The nonce of the last try was too old, or used before; its password was not looked at.
    pub stale: bool,
}

/// What an Authorization or Proxy-Authorization header says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 7616 §3.4")]
pub struct Credentials<'a> {
    pub username: Cow<'a, str>,
    pub realm: Cow<'a, str>,
    pub nonce: Cow<'a, str>,
    pub uri: Cow<'a, str>,
    pub response: Cow<'a, str>,
    pub algorithm: Algorithm,
    pub cnonce: Cow<'a, str>,
    /// How often the client has used the nonce, this time included. One value of it is good once.
    pub count: u32,
}

impl Algorithm {
    /// Every algorithm, in the order in which we offer them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The algorithm of this name, in any case. The `-sess` variants are not among them.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// Characters of a hash as it is written.
    pub fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// The hash of `text` in lower-case hexadecimal.
    fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }

    /// H(A1) of RFC 7616 §3.4.2: what is kept instead of a password. It is as good as the password
    /// within its realm, so it is to be kept as secret.
    pub fn ha1(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&format!("{username}:{realm}:{password}"))
    }
}

impl<'a> Challenge<'a> {
    /// Reads a challenge. `None` when it is not one that we can answer: another scheme, an algorithm
    /// that we do not know, or no `qop=auth`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let params = parameters(value)?;
        let qop = get(&params, "qop")?;
        qop.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")).then_some(())?;
        Some(Self {
            realm: get(&params, "realm")?,
            nonce: get(&params, "nonce")?,
            algorithm: algorithm(&params)?,
            stale: get(&params, "stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The credentials that answer it for the `count`th request with this nonce.
    pub fn answer(
        &self,
        username: &str,
        password: &str,
        method: &str,
        uri: &str,
        count: u32,
        cnonce: &str,
    ) -> String {
        let mut credentials = Credentials {
            username: username.into(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.into(),
            response: "".into(),
            algorithm: self.algorithm,
            cnonce: cnonce.into(),
            count,
        };
        let ha1 = self.algorithm.ha1(username, &self.realm, password);
        credentials.response = credentials.expected(&ha1, method).into();
        credentials.to_string()
    }
}

impl<'a> Credentials<'a> {
    /// Reads credentials. `None` when they are of another scheme or lack something, `qop=auth`
    /// included.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let params = parameters(value)?;
        get(&params, "qop")?.eq_ignore_ascii_case("auth").then_some(())?;
        let count = get(&params, "nc")?;
        let is_count = count.len() == 8 && count.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self {
            username: get(&params, "username")?,
            realm: get(&params, "realm")?,
            nonce: get(&params, "nonce")?,
            uri: get(&params, "uri")?,
            response: get(&params, "response")?,
            algorithm: algorithm(&params)?,
            cnonce: get(&params, "cnonce")?,
            count: is_count.then(|| u32::from_str_radix(&count, 16).ok())??,
        })
    }

    /// Whether they are right for a request with this method, by the user's H(A1). The time this
    /// takes does not tell how much of the response was right.
    pub fn prove(&self, ha1: &str, method: &str) -> bool {
        let (expected, given) = (self.expected(ha1, method), self.response.to_ascii_lowercase());
        let pairs = expected.bytes().zip(given.bytes());
        expected.len() == given.len() && pairs.fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }

    /// RFC 7616 §3.4.1.
    fn expected(&self, ha1: &str, method: &str) -> String {
        let ha2 = self.algorithm.hash(&format!("{method}:{}", self.uri));
        let (nonce, count, cnonce) = (&self.nonce, self.count, &self.cnonce);
        self.algorithm.hash(&format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"))
    }
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm=")?;
        quote(f, &self.realm)?;
        write!(f, ", nonce=")?;
        quote(f, &self.nonce)?;
        write!(f, ", qop=\"auth\", algorithm={}", self.algorithm.as_str())?;
        if self.stale { f.write_str(", stale=true") } else { Ok(()) }
    }
}

impl fmt::Display for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("Digest username", &self.username),
            (", realm", &self.realm),
            (", nonce", &self.nonce),
            (", uri", &self.uri),
            (", response", &self.response),
            (", cnonce", &self.cnonce),
        ];
        for (name, value) in texts {
            write!(f, "{name}=")?;
            quote(f, value)?;
        }
        write!(f, ", qop=auth, nc={:08x}, algorithm={}", self.count, self.algorithm.as_str())
    }
}

/// The parameters after the scheme `Digest`: names and values, without quotes and escapes.
fn parameters(value: &[u8]) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut cursor = Cursor::new(value);
    cursor.skip_blanks();
    cursor.take_while(is_token).eq_ignore_ascii_case(b"Digest").then_some(())?;
    let mut params = Vec::new();
    loop {
        cursor.skip_blanks();
        // RFC 7616 §3.4 is a list: empty elements are allowed in it.
        while cursor.eat_separator(b',') {}
        if cursor.is_at_end() {
            return Some(params);
        }
        let name = str::from_utf8(cursor.take_while(is_token)).ok()?;
        if name.is_empty() || !cursor.eat_separator(b'=') {
            return None;
        }
        let value = match cursor.peek() {
            Some(b'"') => unquoted(str::from_utf8(cursor.quoted()?).ok()?),
            _ => str::from_utf8(cursor.take_while(is_param_value)).ok()?.into(),
        };
        params.push((name, value));
        cursor.skip_blanks();
        if !cursor.is_at_end() && cursor.peek() != Some(b',') {
            return None;
        }
    }
}

/// The value of a parameter that stands once. Of two, nobody could tell which was meant.
fn get<'a>(params: &[(&str, Cow<'a, str>)], name: &str) -> Option<Cow<'a, str>> {
    let mut found = params.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.clone())
}

/// RFC 7616 §3.3: MD5 when nothing is said.
fn algorithm(params: &[(&str, Cow<'_, str>)]) -> Option<Algorithm> {
    match get(params, "algorithm") {
        Some(name) => Algorithm::parse(&name),
        None if params.iter().any(|(name, _)| name.eq_ignore_ascii_case("algorithm")) => None,
        None => Some(Algorithm::Md5),
    }
}

fn unquoted(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain.into()
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    f.write_str("\"")
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1: the same request, by both algorithms.
    fn of_the_rfc(algorithm: &str, response: &str) -> String {
        format!(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
             algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
             response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    }

    const SHA_256: &str = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    const MD5: &str = "8ca523f5e9506fed4657c9700eebdbec";

    #[test]
    fn the_examples_of_rfc_7616_are_proved() {
        for (name, response) in [("SHA-256", SHA_256), ("MD5", MD5)] {
            let text = of_the_rfc(name, response);
            let credentials = Credentials::parse(text.as_bytes()).unwrap();
            let ha1 =
                credentials.algorithm.ha1("Mufasa", "http-auth@example.org", "Circle of Life");
            assert!(credentials.prove(&ha1, "GET"), "{name}");
            assert!(!credentials.prove(&ha1, "POST"), "{name}");
            let other = of_the_rfc(name, &response.replace('8', "9"));
            assert!(!Credentials::parse(other.as_bytes()).unwrap().prove(&ha1, "GET"), "{name}");
        }
    }

    #[test]
    fn a_challenge_is_read_back_and_answered() {
        let challenge = Challenge {
            realm: "call \"api\"\\".into(),
            nonce: "abc".into(),
            algorithm: Algorithm::Sha256,
            stale: true,
        };
        let text = challenge.to_string();
        assert_eq!(
            text,
            r#"Digest realm="call \"api\"\\", nonce="abc", qop="auth", algorithm=SHA-256, stale=true"#
        );
        assert_eq!(Challenge::parse(text.as_bytes()), Some(challenge.clone()));
        let answer = challenge.answer("al\"ice", "secret", "REGISTER", "sip:h", 2, "c");
        let credentials = Credentials::parse(answer.as_bytes()).unwrap();
        assert_eq!((&*credentials.username, credentials.count), ("al\"ice", 2));
        let ha1 = Algorithm::Sha256.ha1("al\"ice", "call \"api\"\\", "secret");
        assert!(credentials.prove(&ha1, "REGISTER"));
    }

    #[test]
    fn what_is_incomplete_or_unknown_is_no_credentials() {
        let whole = of_the_rfc("MD5", MD5);
        for (from, to) in [
            ("Digest", "Basic"),
            ("username=", "user="),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=+0000001"),
            ("qop=auth", "qop=auth-int"),
            (", qop=auth", ""),
            ("algorithm=MD5", "algorithm=MD5-sess"),
            ("algorithm=MD5", "algorithm=MD5, algorithm=SHA-256"),
            ("uri=\"", "uri="),
            ("nc=", "realm=\"x\" nc="),
        ] {
            let text = whole.replace(from, to);
            assert_eq!(Credentials::parse(text.as_bytes()), None, "{text}");
        }
        let old = whole.replace("algorithm=MD5,", "");
        assert_eq!(Credentials::parse(old.as_bytes()).map(|c| c.algorithm), Some(Algorithm::Md5));
    }
}
