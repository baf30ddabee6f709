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
    #[serde(flatten)]
    status: Status<'a>,
}

/// What somebody answered, as far as it is known.
#[derive(Default, JsonSchema, Serialize)]
pub(super) struct Status<'a> {
    /// SIP status code, where somebody answered with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sip_code: Option<u16>,
    /// SIP reason phrase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sip_reason: Option<&'a str>,
    /// The cause in the Reason header (RFC 3326), when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) q850: Option<u8>,
}

impl<'a> Failure<'a> {
    pub(super) fn of(error: &'a CommandError) -> Self {
        let (origin, status) = match error {
            CommandError::Sip { origin, code, reason, q850 } => {
                let (sip_code, sip_reason) = (Some(*code), Some(reason.as_str()));
                (Some(*origin), Status { sip_code, sip_reason, q850: *q850 })
            }
            CommandError::Declined { origin, .. } => (Some(*origin), Status::default()),
            // What a server says for somebody who did not answer (RFC 3261 §16.8).
            CommandError::Timeout { origin } => {
                (Some(*origin), Status { sip_code: Some(408), ..Status::default() })
            }
            _ => (None, Status::default()),
        };
        let data = ErrorData { kind: error.kind().name(), origin, status };
        Self { code: error.kind().code(), message: error.to_string(), data }
    }
}
