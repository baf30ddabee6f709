//! The parameters of commands: one type per kind of value, and the reader that takes them out of
//! `params`.
//!
//! A value of these types has been checked, so no later layer meets a line break, a control
//! character or an overlong string. Unknown parameters are refused with the nearest known name: a
//! misspelt `calee` should not go unnoticed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ErrorKind, RequestError};
use super::jsonrpc::Reading;

/// A `sip:` or `sips:` URI with a host (RFC 3261 §19.1), ASCII, at most [`SipUri::MAX_LENGTH`]
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct SipUri(String);

impl SipUri {
    /// In characters: what phones and proxies accept in a header line without trouble.
    pub const MAX_LENGTH: usize = 1024;

    /// `None` when `text` is not a SIP URI.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // `sip` would let other schemes and raw UTF-8 through; neither can be called.
        let (scheme, rest) = text.split_once(':')?;
        let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
        let printable =
            text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"'));
        let well_formed = is_sip && printable && !rest.is_empty() && text.len() <= Self::MAX_LENGTH;
        // Headers in a URI (`?Subject=…`) may not stand in a request line (RFC 3261 §19.1.1).
        let callable = |uri: sip::Uri<'_>| uri.headers.is_empty();
        (well_formed && sip::Uri::parse(text).is_ok_and(callable)).then(|| Self(text.to_owned()))
    }

    /// The URI as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A SIP Call-ID (RFC 3261 §8.1.1.4): 1 to [`CallId::MAX_LENGTH`] visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CallId(String);

impl CallId {
    /// In characters.
    pub const MAX_LENGTH: usize = 256;

    /// `None` when `text` cannot be a Call-ID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The Call-ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a started command: 1 to [`CommandId::MAX_LENGTH`] printable characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CommandId(String);

impl CommandId {
    /// In characters.
    pub const MAX_LENGTH: usize = 128;

    /// `None` when `text` is empty, too long or holds a control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.chars().count());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// A new one that nobody can guess (UUID v4).
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the server has written down itself is read back with the same care.
macro_rules! read_back {
    ($type:ident, $what:literal) => {
        impl TryFrom<String> for $type {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text).ok_or(concat!("not ", $what))
            }
        }
    };
}

read_back!(SipUri, "a SIP URI");
read_back!(CallId, "a Call-ID");
read_back!(CommandId, "a cmd_id");

/// The name a phone shows: at most [`DisplayName::MAX_LENGTH`] characters, none of them a control
/// character.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct DisplayName(String);

impl DisplayName {
    /// In characters.
    pub const MAX_LENGTH: usize = 128;

    /// `None` when `text` is too long or holds a control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.chars().count() <= Self::MAX_LENGTH;
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The name, not quoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Headers that a client adds to the INVITEs of a call: at most [`ExtraHeaders::MAX`], each with a
/// value of at most [`ExtraHeaders::MAX_VALUE`] bytes. Only such as are meant for the other end: a
/// dialog's own are not the client's to write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ExtraHeaders(Vec<(String, String)>);

impl ExtraHeaders {
    /// Headers in one command.
    pub const MAX: usize = 32;
    /// Bytes of one value.
    pub const MAX_VALUE: usize = 1024;

    /// `None` when a name is not a header's or belongs to the dialog, or a value is too long or
    /// holds a control character.
    #[must_use]
    pub fn new(headers: Vec<(String, String)>) -> Option<Self> {
        let fits =
            headers.len() <= Self::MAX && headers.iter().all(|(name, value)| is_extra(name, value));
        fits.then_some(Self(headers))
    }

    /// Whether one of them says who calls.
    #[must_use]
    pub fn name_a_caller(&self) -> bool {
        use sip::Name;
        self.0.iter().any(|(name, _)| match Name::parse(name.as_bytes()) {
            Name::PAssertedIdentity
            | Name::PPreferredIdentity
            | Name::Diversion
            | Name::HistoryInfo => true,
            _ => name.eq_ignore_ascii_case("Remote-Party-ID"),
        })
    }

    /// Names and values, in the order of their names.
    #[must_use]
    pub fn as_slice(&self) -> &[(String, String)] {
        &self.0
    }
}

fn is_extra(name: &str, value: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let is_name = (1..=64).contains(&name.len()) && name.bytes().all(is_token);
    let is_value = value.len() <= ExtraHeaders::MAX_VALUE && !value.chars().any(char::is_control);
    is_name && is_value && may_be_added(sip::Name::parse(name.as_bytes()))
}

/// Whether a client may add a header to an INVITE: one that is meant for the other end, and does not
/// speak of a body or an event that are not the client's.
fn may_be_added(name: sip::Name) -> bool {
    use sip::Name;
    match name {
        // The server is trusted by its proxy, and its clients by it (RFC 3325 §4).
        Name::PAssertedIdentity => true,
        Name::ContentEncoding
        | Name::ContentDisposition
        | Name::MimeVersion
        | Name::Event
        | Name::SubscriptionState
        | Name::RetryAfter
        | Name::Warning
        | Name::Server
        | Name::Date => false,
        name => name.is_end_to_end(),
    }
}

macro_rules! display_as_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

display_as_text!(SipUri CallId CommandId DisplayName);

/// What is wrong with a parameter that says who or which call is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mistake {
    /// The one of this name is missing.
    Missing(String),
    /// It is no SIP URI.
    Uri,
    /// It cannot be a Call-ID.
    CallId,
    /// It is no party of a call.
    Side,
}

/// Why a parameter is not taken.
#[derive(Debug)]
pub(super) struct ParamError {
    /// What is wrong with it; `None` when it says how something is done.
    pub(super) mistake: Option<Mistake>,
    /// For people.
    pub(super) message: String,
}

impl From<ParamError> for RequestError {
    fn from(error: ParamError) -> Self {
        invalid(error.message)
    }
}

/// A type that a JSON member can hold.
pub(super) trait Param: Sized {
    /// Completes "expected …".
    const EXPECTED: &'static str;
    /// What another value is.
    const MISTAKE: Option<Mistake> = None;

    fn from_json(value: &Value) -> Option<Self>;
}

impl Param for SipUri {
    const EXPECTED: &'static str = "a SIP URI such as \"sip:alice@10.0.0.10\"";
    const MISTAKE: Option<Mistake> = Some(Mistake::Uri);

    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl Param for CallId {
    const EXPECTED: &'static str = "a SIP Call-ID: 1 to 256 visible ASCII characters";
    const MISTAKE: Option<Mistake> = Some(Mistake::CallId);

    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl Param for CommandId {
    const EXPECTED: &'static str = "1 to 128 printable characters";

    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl Param for DisplayName {
    const EXPECTED: &'static str = "at most 128 characters without control characters";

    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl Param for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Param for ExtraHeaders {
    const EXPECTED: &'static str = "an object of header names and values such as {\"X-Order\": \"7\"}, none of \
        them a header of the dialog itself (From, Via, Contact, …)";

    fn from_json(value: &Value) -> Option<Self> {
        let headers = value
            .as_object()?
            .iter()
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Self::new(headers.collect::<Option<_>>()?)
    }
}

/// The longest `timeout_ms`: one hour.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

impl Param for Duration {
    const EXPECTED: &'static str = "milliseconds from 1 to 3600000";

    fn from_json(value: &Value) -> Option<Self> {
        let timeout = Self::from_millis(value.as_u64()?);
        (!timeout.is_zero() && timeout <= MAX_TIMEOUT).then_some(timeout)
    }
}

/// Takes named parameters out of `params`, then says what is left over.
pub(super) struct Params {
    members: Map<String, Value>,
    known: Vec<&'static str>,
    reading: Reading,
}

impl Params {
    /// Refuses positional parameters.
    pub(super) fn new(params: Value, reading: Reading) -> Result<Self, RequestError> {
        let mut members = match params {
            Value::Object(members) => members,
            Value::Null => Map::new(),
            _ => {
                return Err(invalid(
                    "parameters must be named: expected an object such as {\"callid\": \"…\"}"
                        .to_owned(),
                ));
            }
        };
        if reading == Reading::Loose {
            members.retain(|_, value| value != "");
        }
        Ok(Self { members, known: Vec::new(), reading })
    }

    pub(super) fn required<T: Param>(&mut self, name: &'static str) -> Result<T, ParamError> {
        self.optional(name)?.ok_or_else(|| self.missing::<T>(name, name))
    }

    /// The same for one that has another spelling, too.
    pub(super) fn required_as<T: Param>(
        &mut self,
        name: &'static str,
        alias: &'static str,
    ) -> Result<T, ParamError> {
        self.known.push(alias);
        if let Some(value) = self.members.remove(alias).filter(|value| !value.is_null()) {
            if self.members.get(name).is_some_and(|value| !value.is_null()) {
                let message =
                    format!("parameter \"{name}\" is given twice, the second time as \"{alias}\"");
                return Err(ParamError { mistake: None, message });
            }
            self.members.insert(name.to_owned(), value);
        }
        self.optional(name)?.ok_or_else(|| self.missing::<T>(name, alias))
    }

    fn missing<T: Param>(&self, name: &str, alias: &str) -> ParamError {
        let misspelt = nearest(name, self.members.keys().map(String::as_str));
        let hint =
            misspelt.map_or(String::new(), |misspelt| format!(" (is it {}?)", quoted(misspelt)));
        let message = format!("parameter \"{name}\" is missing{hint}: expected {}", T::EXPECTED);
        ParamError { mistake: Some(Mistake::Missing(alias.to_owned())), message }
    }

    /// A member that is `null` counts as left out.
    pub(super) fn optional<T: Param>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, ParamError> {
        self.known.push(name);
        match self.members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match T::from_json(&value) {
                Some(value) => Ok(Some(value)),
                None => Err(ParamError {
                    mistake: T::MISTAKE,
                    message: format!("parameter \"{name}\" is not valid: expected {}", T::EXPECTED),
                }),
            },
        }
    }

    /// Refuses what nobody asked for, unless it is read loosely.
    pub(super) fn finish(self) -> Result<(), RequestError> {
        if self.reading == Reading::Loose {
            return Ok(());
        }
        let Some(name) = self.members.keys().next() else { return Ok(()) };
        let hint = nearest(name, self.known)
            .map_or(String::new(), |known| format!(", did you mean \"{known}\"?"));
        Err(invalid(format!("unknown parameter {}{hint}", quoted(name))))
    }
}

fn invalid(message: String) -> RequestError {
    RequestError::new(ErrorKind::InvalidParams, message)
}

/// The known word that `word` probably stands for.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Far enough for one slip in a short word and two in a long one, and no further.
    const SIMILAR: f64 = 0.7;
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// What a client sent, fit for a message: quoted, escaped and cut.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sip_uris_that_can_be_called_are_accepted() {
        for good in [
            "sip:alice@10.0.0.10",
            "sips:bob@example.com:5061",
            "SIP:a@b",
            "sip:[::1]:5060",
            "sip:a@b;x=y",
        ] {
            assert!(SipUri::parse(good).is_some(), "{good}");
        }
        let long = format!("sip:{}@b", "a".repeat(2000));
        for bad in [
            "",
            "sip:",
            "alice",
            "tel:+123",
            "http://a",
            "sip:a@",
            "sip:a b@c",
            "sip:a@b\r\nX: y",
            "<sip:a@b>",
            "sip:a@b\0",
            "sip:é@b",
            "\"A\" <sip:a@b>",
            " sip:a@b",
            "sip:a@b?Subject=x",
            &long,
        ] {
            assert!(SipUri::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn ids_and_names_have_bounds() {
        assert!(CallId::parse("431fc357.a3e3.49c2@127.0.0.1").is_some());
        assert!(CallId::parse(&"x".repeat(256)).is_some());
        for bad in ["", "a b", "a\r\nb", "é", &"x".repeat(257)] {
            assert!(CallId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(CommandId::parse("bestellung 7 ä").is_some());
        for bad in ["", "a\u{7f}", "a\u{85}b", "a\nb", &"x".repeat(129)] {
            assert!(CommandId::parse(bad).is_none(), "{bad:?}");
        }
        assert!(DisplayName::parse("Zoë \"Z\" O'Neill").is_some());
        assert!(DisplayName::parse("a\tb").is_none());
    }

    #[test]
    fn a_client_adds_headers_but_none_of_the_dialog() {
        let parse = |text: &str| ExtraHeaders::from_json(&serde_json::from_str(text).unwrap());
        let good = parse(r#"{"X-Order": "7", "Subject": "Ihre Bestellung, ä"}"#).unwrap();
        assert_eq!(good.as_slice().len(), 2);
        for bad in [
            r#"{"From": "<sip:x@y>"}"#,
            r#"{"v": "SIP/2.0/UDP x"}"#,
            r#"{"Content-Length": "0"}"#,
            r#"{"X-A": "b\r\nVia: x"}"#,
            r#"{"X A": "b"}"#,
            r#"{"X-A:": "b"}"#,
            r#"{"": "b"}"#,
            r#"{"X-A": 7}"#,
            r#"{"Content-Encoding": "gzip"}"#,
            r#"{"Security-Client": "tls"}"#,
            r#"["X-A"]"#,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let known = ["caller", "callee", "timeout_ms"];
        assert_eq!(nearest("calee", known), Some("callee"));
        assert_eq!(nearest("timeout", known), Some("timeout_ms"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn quoted_text_is_escaped_and_short() {
        assert_eq!(quoted("a\r\nb"), r#""a\r\nb""#);
        assert_eq!(quoted(&"é".repeat(100)).chars().count(), 64 + 3);
    }
}
