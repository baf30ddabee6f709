//! JSON-RPC 2.0: text to requests, replies to text.
//!
//! Follows the specification of 2013-01-04: batches (§6), notifications (§4.1), and the three
//! errors that belong to the envelope, not to a command: not JSON, not a request, an empty batch.
//! Nesting is bounded before anything is parsed, so no text can exhaust the stack.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{ErrorKind, RequestError};

/// The most requests in one batch.
pub const MAX_BATCH: usize = 1000;

/// The most levels of nesting that the parser takes.
pub const MAX_DEPTH: u32 = 127;

/// The `id` of a request, sent back as it came: a string, a number or `null`, and anything else where
/// requests are read loosely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RequestId(Value);

impl RequestId {
    /// The id of a reply to something whose id could not be read.
    pub const NULL: Self = Self(Value::Null);

    fn parse(id: Value) -> Result<Self, RequestError> {
        /// Above this a number that is not a 64-bit integer loses digits on its way back.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match &id {
            Value::Null | Value::String(_) => Ok(Self(id)),
            Value::Number(number)
                if number.is_f64() && number.as_f64().is_none_or(|n| n.abs() >= EXACT) =>
            {
                Err(invalid_request(
                    "\"id\" is too large a number to be sent back exactly: use a string",
                ))
            }
            Value::Number(_) => Ok(Self(id)),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err(invalid_request("\"id\" must be a string, a number or null"))
            }
        }
    }
}

/// One request. Without an `id` it is a notification, which gets no reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the reply will carry.
    pub id: Option<RequestId>,
    /// The command's name.
    pub method: String,
    /// An object, a list, or `null` when there were none.
    pub params: Value,
}

/// Something that is not a request, and the id to say so with.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// `null` when it could not be read.
    pub id: RequestId,
    /// What is wrong.
    pub error: RequestError,
}

/// How closely a request has to keep to the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// To the letter.
    Strict,
    /// As far as it can be understood: any `id`, and a reply without one (with `null`); member names
    /// in capitals; `jsonrpc` not looked at. Of a command's parameters, those that are empty strings
    /// count as left out, and those that it does not have are ignored. A command that does not say who
    /// or which call is meant is started, and fails, if its parameters are all text.
    Loose,
}

/// One message from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A request on its own.
    Single(Result<Request, Refusal>),
    /// At least one; answered together.
    Batch(Vec<Result<Request, Refusal>>),
}

/// Reads one message of at most `depth` levels, which is at most [`MAX_DEPTH`]. Never fails: what
/// cannot be read becomes a [`Refusal`].
#[must_use]
pub fn parse(text: &str, depth: u32, reading: Reading) -> Incoming {
    let refuse = |error| Incoming::Single(Err(Refusal { id: RequestId::NULL, error }));
    if nests_deeper(text, depth) {
        let message = format!("nested more than {depth} levels deep");
        return refuse(RequestError::new(ErrorKind::ParseError, message));
    }
    match serde_json::from_str(text) {
        Err(error) => {
            refuse(RequestError::new(ErrorKind::ParseError, format!("not JSON: {error}")))
        }
        Ok(Value::Array(batch)) if batch.is_empty() => {
            refuse(invalid_request("a batch must hold a request"))
        }
        Ok(Value::Array(batch)) if batch.len() > MAX_BATCH => refuse(invalid_request(format!(
            "a batch may hold {MAX_BATCH} requests, not {}",
            batch.len()
        ))),
        Ok(Value::Array(batch)) => {
            Incoming::Batch(batch.into_iter().map(|value| request(value, reading)).collect())
        }
        Ok(value) => Incoming::Single(request(value, reading)),
    }
}

/// A reply with a result.
#[must_use]
pub fn result(id: &RequestId, result: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Reply<'a, R> {
        jsonrpc: &'static str,
        id: &'a RequestId,
        result: &'a R,
    }
    serde_json::to_string(&Reply { jsonrpc: "2.0", id, result })
        .expect("results are structs of strings, lists and numbers, which JSON can hold")
}

/// A reply with an error.
#[must_use]
pub fn error(id: &RequestId, error: &RequestError) -> String {
    let body = serde_json::json!({
        "code": error.kind.code(),
        "message": error.message,
        "data": {"kind": error.kind.name()},
    });
    serde_json::json!({"jsonrpc": "2.0", "id": id, "error": body}).to_string()
}

/// Whether lists and objects in a JSON text nest deeper than so many levels. Of other texts it may say
/// either.
fn nests_deeper(text: &str, depth: u32) -> bool {
    let (mut level, mut in_string, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match (byte, in_string) {
            _ if escaped => escaped = false,
            (b'"', _) => in_string = !in_string,
            (b'\\', true) => escaped = true,
            (b'[' | b'{', false) => level += 1,
            (b']' | b'}', false) => level = level.saturating_sub(1),
            _ => {}
        }
        if level > depth {
            return true;
        }
    }
    false
}

fn request(value: Value, reading: Reading) -> Result<Request, Refusal> {
    let Value::Object(mut members) = value else {
        return Err(Refusal {
            id: RequestId::NULL,
            error: invalid_request("a request must be an object"),
        });
    };
    let id = match reading {
        Reading::Strict => match members.remove("id").map(RequestId::parse).transpose() {
            Ok(id) => id,
            Err(error) => return Err(Refusal { id: RequestId::NULL, error }),
        },
        Reading::Loose => {
            members =
                members.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
            members.insert("jsonrpc".to_owned(), "2.0".into());
            Some(members.remove("id").map_or(RequestId::NULL, RequestId))
        }
    };
    match method_and_params(members) {
        Ok((method, params)) => Ok(Request { id, method, params }),
        Err(error) => Err(Refusal { id: id.unwrap_or(RequestId::NULL), error }),
    }
}

fn method_and_params(mut members: Map<String, Value>) -> Result<(String, Value), RequestError> {
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid_request("\"jsonrpc\" must be \"2.0\""));
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err(invalid_request("\"method\" must be a string"));
    };
    match members.remove("params").unwrap_or(Value::Null) {
        params @ (Value::Object(_) | Value::Array(_) | Value::Null) => Ok((method, params)),
        _ => Err(invalid_request("\"params\" must be an object")),
    }
}

fn invalid_request(message: impl Into<String>) -> RequestError {
    RequestError::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_was_sent() {
        for id in ["null", "\"831717ed97e5\"", "0", "-7", "1.5", "18446744073709551615"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"x","id":{id}}}"#);
            let Incoming::Single(Ok(request)) = parse(&text, MAX_DEPTH, Reading::Strict) else {
                panic!("{id}")
            };
            assert_eq!(serde_json::to_string(&request.id).unwrap(), id);
        }
    }

    #[test]
    fn an_id_that_could_not_come_back_is_refused() {
        for id in ["true", "[1]", "{}", "184467440737095516150", "1e300"] {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"x","id":{id}}}"#);
            let Incoming::Single(Err(refusal)) = parse(&text, MAX_DEPTH, Reading::Strict) else {
                panic!("{id}")
            };
            assert_eq!(
                (refusal.id, refusal.error.kind),
                (RequestId::NULL, ErrorKind::InvalidRequest),
                "{id}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_a_parse_error() {
        for text in [
            "[".repeat(60_000),
            r#"{"a":"#.repeat(10_000),
            "[".repeat(30_000) + &"]".repeat(30_000),
        ] {
            let Incoming::Single(Err(refusal)) = parse(&text, MAX_DEPTH, Reading::Strict) else {
                panic!("accepted")
            };
            assert_eq!(refusal.error.kind, ErrorKind::ParseError);
        }
    }

    #[test]
    fn what_nests_to_the_limit_is_read_and_one_level_more_is_not() {
        // The request and its params are two levels.
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
            format!(r#"{{"jsonrpc":"2.0","method":"Echo","params":{{"x\\\"[[[[":{open}{close}}}}}"#)
        };
        for depth in [8, MAX_DEPTH] {
            assert!(matches!(
                parse(&nested(depth as usize), depth, Reading::Strict),
                Incoming::Single(Ok(_))
            ));
            let Incoming::Single(Err(refusal)) =
                parse(&nested(depth as usize + 1), depth, Reading::Strict)
            else {
                panic!("accepted at {depth}")
            };
            assert_eq!(refusal.error.message, format!("nested more than {depth} levels deep"));
        }
    }

    #[test]
    fn a_batch_has_a_bound() {
        let batch = |size| format!("[{}]", vec!["1"; size].join(","));
        assert!(
            matches!(parse(&batch(MAX_BATCH), MAX_DEPTH, Reading::Strict), Incoming::Batch(requests) if requests.len() == MAX_BATCH)
        );
        assert!(matches!(
            parse(&batch(MAX_BATCH + 1), MAX_DEPTH, Reading::Strict),
            Incoming::Single(Err(_))
        ));
    }
}
