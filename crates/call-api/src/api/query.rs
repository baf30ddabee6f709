//! What a client asks without starting anything: calls as they are, and to be told of what happens.
//!
//! Unlike a command, a query is answered at once by its reply, and has no `cmd_id`. A query's doc
//! comment is its manual entry.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::error::RequestError;
use super::jsonrpc::Reading;
use super::param::{CallId, CommandId, Param, Params};

/// What a client can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `CallList`: every call there is, oldest first, with the cursor from which a subscription
    /// goes on.
    CallList,
    /// `CallGet`: one call, by its Call-ID or its id.
    CallGet(CallId),
    /// `RegistrationList`: every phone that is registered, with the cursor from which a
    /// subscription goes on.
    RegistrationList,
    /// `Subscribe`: see [`Subscribe`].
    Subscribe(Subscribe),
    /// `Unsubscribe`: ends a subscription of this connection. Nothing of it follows the reply.
    Unsubscribe(String),
    /// `rpc.discover`: the description of the API, as OpenRPC has it.
    Discover,
}

/// Asks to be told of everything that the filter lets through: from the reply's snapshot on, or
/// from the cursor `since`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct Subscribe {
    /// What to be told of; all calls when left out.
    #[schemars(with = "Option<Filter>")]
    pub filter: Filter,
    /// The last cursor the client has seen: go on after it, instead of starting with a snapshot.
    pub since: Option<Cursor>,
}

/// What a subscription is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All calls, or with `callid` those of this Call-ID or id.
    Calls(Option<CallId>),
    /// With `registrations`: the phones that register.
    Registrations,
    /// With `cmd_id`: the notifications of a command.
    Command(CommandId),
}

impl Query {
    /// Every method name.
    pub const NAMES: [&'static str; 6] =
        ["CallList", "CallGet", "RegistrationList", "Subscribe", "Unsubscribe", "rpc.discover"];

    /// `None` when the method is no query.
    ///
    /// # Errors
    ///
    /// When a parameter is missing, unknown or invalid.
    pub fn parse(method: &str, params: &Value) -> Option<Result<Self, RequestError>> {
        type Read = fn(&mut Params) -> Result<Query, RequestError>;
        let read: Read = match method {
            "CallList" => |_| Ok(Self::CallList),
            "CallGet" => |p| Ok(Self::CallGet(p.required("callid")?)),
            "RegistrationList" => |_| Ok(Self::RegistrationList),
            "Subscribe" => |p| {
                Ok(Self::Subscribe(Subscribe {
                    filter: p.optional("filter")?.unwrap_or(Filter::Calls(None)),
                    since: p.optional("since")?,
                }))
            },
            "Unsubscribe" => |p| {
                let Subscription(name) = p.required("subscription")?;
                Ok(Self::Unsubscribe(name))
            },
            "rpc.discover" => |_| Ok(Self::Discover),
            _ => return None,
        };
        Some(Params::new(params.clone(), Reading::Strict).and_then(|mut params| {
            let query = read(&mut params)?;
            params.finish()?;
            Ok(query)
        }))
    }
}

/// A place in what a server has told: after one event, before the next. Clients send it back as
/// they got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which journal gave it: another run of the server counts from the beginning.
    pub journal: u32,
    /// How many events came before.
    pub number: u64,
}

impl Cursor {
    fn parse(text: &str) -> Option<Self> {
        let (journal, number) = text.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !digits(journal) || !digits(number) {
            return None;
        }
        let journal = u32::from_str_radix(journal, 16).ok()?;
        Some(Self { journal, number: number.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.journal, self.number)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Param for Cursor {
    const EXPECTED: &'static str = "a cursor that a notification or reply carried";

    fn from_json(value: &Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }
}

impl Param for Filter {
    const EXPECTED: &'static str =
        "{\"callid\": …}, {\"cmd_id\": …} or {\"registrations\": true}, or {} for all calls";

    fn from_json(value: &Value) -> Option<Self> {
        let mut params =
            Params::new(value.is_object().then(|| value.clone())?, Reading::Strict).ok()?;
        let (callid, cmd_id) = (params.optional("callid").ok()?, params.optional("cmd_id").ok()?);
        let registrations = params.optional("registrations").ok()?.unwrap_or(false);
        params.finish().ok()?;
        match (callid, cmd_id, registrations) {
            (None, None, true) => Some(Self::Registrations),
            (None, Some(cmd_id), false) => Some(Self::Command(cmd_id)),
            (callid, None, false) => Some(Self::Calls(callid)),
            _ => None,
        }
    }
}

/// The name of a subscription, as far as it can be one.
struct Subscription(String);

impl Param for Subscription {
    const EXPECTED: &'static str = "the \"subscription\" that the reply to Subscribe carried";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(|name| Self(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_sent() {
        let cursor = Cursor { journal: 0xabc, number: 17 };
        assert_eq!(cursor.to_string(), "00000abc-17");
        assert_eq!(Cursor::parse("00000abc-17"), Some(cursor));
        for bad in ["", "-", "17", "abc-", "+1-+1", "abc-17-3", "xyz-1", "fffffffff-1", "a-1 "] {
            assert_eq!(Cursor::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_filter_is_about_calls_or_registrations_or_about_a_command() {
        let filter = |value| Filter::from_json(&value);
        let id = CallId::parse("x");
        assert_eq!(filter(json!({})), Some(Filter::Calls(None)));
        assert_eq!(filter(json!({"callid": "x"})), Some(Filter::Calls(id)));
        let command = CommandId::parse("x").map(Filter::Command);
        assert_eq!(filter(json!({"cmd_id": "x"})), command);
        assert_eq!(filter(json!({"registrations": true})), Some(Filter::Registrations));
        assert_eq!(filter(json!({"registrations": false})), Some(Filter::Calls(None)));
        assert_eq!(filter(json!({"callid": "x", "registrations": true})), None);
        for bad in [json!([]), json!("x"), json!({"call": "x"}), json!({"callid": 1})] {
            assert_eq!(filter(bad), None);
        }
        assert_eq!(filter(json!({"callid": "x", "cmd_id": "y"})), None);
    }
}
