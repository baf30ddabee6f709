//! How a command failed, in the members that an error of JSON-RPC has.

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{CommandError, Origin};

/// How a command failed.
#[derive(JsonSchema, Serialize)]
pub(super) struct Failure<'a> {
    /// A code of the table of errors.
    code: i32,
    /// For people.
    message: String,
    /// For programs.
    data: ErrorData<'a>,
}

/// What programs are told of a failure.
#[derive(JsonSchema, Serialize)]
struct ErrorData<'a> {
    /// The stable name of the error.
    kind: &'static str,
    /// Whose answer it is, or who did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// SIP status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_code: Option<u16>,
    /// SIP reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_reason: Option<&'a str>,
    /// The cause in the Reason header (RFC 3326), when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    q850: Option<u8>,
}

impl<'a> Failure<'a> {
    pub(super) fn of(error: &'a CommandError) -> Self {
        let mut data = ErrorData {
            kind: error.kind().name(),
            origin: None,
            sip_code: None,
            sip_reason: None,
            q850: None,
        };
        match error {
            CommandError::Sip { origin, code, reason, q850 } => {
                data = ErrorData {
                    origin: Some(*origin),
                    sip_code: Some(*code),
                    sip_reason: Some(reason),
                    q850: *q850,
                    ..data
                }
            }
            CommandError::Declined { origin, .. } => {
                data = ErrorData { origin: Some(*origin), ..data }
            }
            // What a server says for somebody who did not answer (RFC 3261 §16.8).
            CommandError::Timeout { origin } => {
                data = ErrorData { origin: Some(*origin), sip_code: Some(408), ..data }
            }
            _ => {}
        }
        Self { code: error.kind().code(), message: error.to_string(), data }
    }
}
