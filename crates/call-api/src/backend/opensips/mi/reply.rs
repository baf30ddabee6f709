//! What OpenSIPS sends back on its management interface: JSON-RPC 2.0 responses, and two texts that
//! are none.

use serde::Deserialize;
use serde_json::Value;

use super::MiError;

/// An answer, with the id of the request if it has one.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// The answer to the request of this id.
    To(String, Result<Value, MiError>),
    /// `500 Internal error`: the answer to some request is longer than a datagram.
    TooLong,
    /// `400 Parse_error`, JSON without an id of ours, or anything else.
    Foreign,
}

#[derive(Deserialize)]
struct Response {
    id: Option<Value>,
    result: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

impl Reply {
    /// Reads what arrived.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        if bytes.starts_with(b"500 ") {
            return Self::TooLong;
        }
        let Ok(response) = serde_json::from_slice::<Response>(bytes) else { return Self::Foreign };
        let Some(Value::String(id)) = response.id else { return Self::Foreign };
        match (response.result, response.error) {
            (_, Some(Refusal { code, message, data })) => {
                let message = match data.as_str() {
                    Some(data) => format!("{message}: {data}"),
                    None => message,
                };
                Self::To(id, Err(MiError::Refused { code, message }))
            }
            (Some(result), None) => Self::To(id, Ok(result)),
            // `"result": null` is an answer, too.
            (None, None) => Self::To(id, Ok(Value::Null)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read_as_opensips_writes_them() {
        let parse = |text: &str| Reply::parse(text.as_bytes());
        let to = |id: &str, answer| Reply::To(id.to_owned(), answer);
        let refused =
            |code, message: &str| Err(MiError::Refused { code, message: message.to_owned() });
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","result":"OK","id":"a-1"}"#),
            to("a-1", Ok(json!("OK")))
        );
        assert_eq!(
            parse(
                r#"{"jsonrpc":"2.0","error":{"code":404,"message":"Dialog not found"},"id":"a-2"}"#
            ),
            to("a-2", refused(404, "Dialog not found"))
        );
        assert_eq!(
            parse(
                r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Too few or too many parameters"},"id":"a-3"}"#
            ),
            to("a-3", refused(-32602, "Invalid params: Too few or too many parameters"))
        );
        assert_eq!(parse("500 Internal error\n"), Reply::TooLong);
        for foreign in [
            "400 Parse_error\n",
            "",
            "[]",
            r#"{"jsonrpc":"2.0","result":"OK","id":7}"#,
            r#"{"jsonrpc":"2.0","result":"OK","id":null}"#,
            "\u{0}\u{1}",
        ] {
            assert_eq!(parse(foreign), Reply::Foreign, "{foreign:?}");
        }
    }
}
