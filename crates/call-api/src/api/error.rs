//! Errors: their codes, their stable names, and who is to blame. The only file that knows the
//! codes.
//!
//! [`RequestError`] refuses a request, so nothing was started. [`CommandError`] is how a started
//! command failed. Both have an [`ErrorKind`], the one table of codes: JSON-RPC's own, and ours
//! from -32000 down.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::param::Mistake;

/// One row of the table of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum ErrorKind {
    /// Not JSON, or nested deeper than `limits.json_depth`.
    ParseError,
    /// JSON, but no JSON-RPC 2.0 request.
    InvalidRequest,
    /// No such command; they are case-sensitive.
    MethodNotFound,
    /// A parameter is missing, unknown, or not what it must be: the message names it (in dialect v2 also of an `Error`).
    InvalidParams,
    /// A bug here; it cost this command and no other.
    Internal,
    /// An access token is needed: in the body of an HTTP 401.
    AuthRequired,
    /// The access token is not valid: in the body of an HTTP 401.
    AuthFailed,
    /// The access token's scope or patterns do not include this.
    Forbidden,
    /// No call has this Call-ID, or it is over; no such subscription.
    NotFound,
    /// `CallEnd` ended the call that this command worked on; it is not established yet; a hold or
    /// transfer of it is under way, or there is nothing to change; or several calls share the Call-ID,
    /// and the message lists names for `callid` that tell them apart.
    InvalidState,
    /// This `cmd_id` was used for another command.
    Conflict,
    /// A limit is reached: commands, calls, subscriptions, remembered `cmd_id`s, or the rates of an
    /// access token.
    RateLimited,
    /// Somebody did not answer in time.
    Timeout,
    /// OpenSIPS cannot do it; the engine can do all commands there are.
    Unsupported,
    /// OpenSIPS does not answer, or was restarted; or the journal's disk has failed, for a command with a
    /// `cmd_id` of its own.
    BackendUnavailable,
    /// The server is shutting down, or was restarted before the command had ended.
    Draining,
    /// Somebody refused, hung up, or cannot be reached.
    SipFailure,
}

impl ErrorKind {
    /// Every kind with its JSON-RPC code and its stable name (`data.kind`).
    pub const TABLE: [(Self, i32, &'static str); 17] = [
        (Self::ParseError, -32700, "parse_error"),
        (Self::InvalidRequest, -32600, "invalid_request"),
        (Self::MethodNotFound, -32601, "method_not_found"),
        (Self::InvalidParams, -32602, "invalid_params"),
        (Self::Internal, -32603, "internal"),
        (Self::AuthRequired, -32000, "auth_required"),
        (Self::AuthFailed, -32001, "auth_failed"),
        (Self::Forbidden, -32002, "forbidden"),
        (Self::NotFound, -32003, "not_found"),
        (Self::InvalidState, -32004, "invalid_state"),
        (Self::Conflict, -32005, "conflict"),
        (Self::RateLimited, -32006, "rate_limited"),
        (Self::Timeout, -32007, "timeout"),
        (Self::Unsupported, -32008, "unsupported"),
        (Self::BackendUnavailable, -32009, "backend_unavailable"),
        (Self::Draining, -32010, "draining"),
        (Self::SipFailure, -32020, "sip_failure"),
    ];

    /// Those that a request can be refused with.
    pub fn of_requests() -> impl Iterator<Item = Self> {
        let kinds = Self::TABLE.into_iter().map(|(kind, ..)| kind);
        kinds.filter(|kind| !matches!(kind, Self::Timeout | Self::Unsupported | Self::SipFailure))
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub fn code(self) -> i32 {
        Self::TABLE[self as usize].1
    }

    /// The stable name that clients match.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::TABLE[self as usize].2
    }
}

/// What is said of a call that is not there, and of one that the client may not see: the two must not
/// be told apart.
const NO_SUCH_CALL: &str = "no call with this Call-ID";

/// Why a request was refused; nothing was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// What kind of refusal.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

impl RequestError {
    /// A refusal with its reason.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no such call, or none for this client.
    #[must_use]
    pub fn no_such_call() -> Self {
        Self::new(ErrorKind::NotFound, NO_SUCH_CALL)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestError {}

/// A SIP status as it stands in a response: `486 Busy Here` (RFC 3261 §21).
#[must_use]
pub fn status_line(code: u16) -> String {
    format!("{code} {}", sip::reason_phrase(code))
}

/// Who answered with a failure, or did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The party that is called first.
    Caller,
    /// The party that the caller is to talk to.
    Callee,
    /// The party that a transfer leads to.
    Target,
    /// The proxy in between.
    Proxy,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Target => "target",
            Self::Proxy => "proxy",
        })
    }
}

/// How a started command failed. The strings are for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandError {
    /// There is no such call or leg.
    NotFound(String),
    /// The call is not in a state that allows the command.
    InvalidState(String),
    /// `origin` did not answer in time. Reported with SIP code 408.
    Timeout {
        /// Who.
        origin: Origin,
    },
    /// `origin` answered with a failure, or we say of it what SIP would: 487 it hung up before the
    /// call was up, 488 it answered without a session description, 503 its name has no address; of a
    /// user of ours, 404 there is none of that name, 480 it is registered nowhere.
    Sip {
        /// Who.
        origin: Origin,
        /// 300 to 699.
        code: u16,
        /// The reason phrase, as it came or as RFC 3261 §21 has it.
        reason: String,
        /// The cause in the Reason header (RFC 3326), when there was one.
        q850: Option<u8>,
    },
    /// `origin` did not do its part, and nobody says with which SIP status.
    Declined {
        /// Who.
        origin: Origin,
        /// What it did, as in "callee: …".
        what: String,
    },
    /// The backend cannot do this.
    Unsupported(String),
    /// The proxy behind the backend cannot be reached, or the disk that is to remember the command.
    BackendUnavailable(String),
    /// The server shuts down before the command could finish.
    Draining,
    /// The server was gone before the command had ended, and is back.
    Restarted,
    /// The backend is at one of its limits.
    RateLimited(String),
    /// A bug of ours.
    Internal(String),
    /// A parameter is wrong, of a command that is started all the same.
    InvalidParams {
        /// What is wrong.
        mistake: Mistake,
        /// For people: it names the parameter.
        message: String,
    },
}

impl CommandError {
    /// There is no such call.
    #[must_use]
    pub fn no_such_call() -> Self {
        Self::NotFound(NO_SUCH_CALL.to_owned())
    }

    /// The row of the table.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::InvalidState(_) => ErrorKind::InvalidState,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Sip { .. } | Self::Declined { .. } => ErrorKind::SipFailure,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::BackendUnavailable(_) => ErrorKind::BackendUnavailable,
            Self::Draining | Self::Restarted => ErrorKind::Draining,
            Self::RateLimited(_) => ErrorKind::RateLimited,
            Self::Internal(_) => ErrorKind::Internal,
            Self::InvalidParams { .. } => ErrorKind::InvalidParams,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what)
            | Self::InvalidState(what)
            | Self::Unsupported(what)
            | Self::BackendUnavailable(what)
            | Self::RateLimited(what)
            | Self::Internal(what)
            | Self::InvalidParams { message: what, .. } => f.write_str(what),
            Self::Timeout { origin } => write!(f, "{origin}: no answer in time"),
            Self::Sip { origin, code, reason, .. } => write!(f, "{origin}: {code} {reason}"),
            Self::Declined { origin, what } => write!(f, "{origin}: {what}"),
            Self::Draining => f.write_str("the server is shutting down"),
            Self::Restarted => f.write_str(
                "the server was restarted before the command had ended: what it had set up is lost",
            ),
        }
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds_and_has_no_doubles() {
        for (kind, code, name) in ErrorKind::TABLE {
            assert_eq!((kind.code(), kind.name()), (code, name), "{kind:?}");
        }
        let codes: HashSet<_> = ErrorKind::TABLE.iter().map(|row| row.1).collect();
        let names: HashSet<_> = ErrorKind::TABLE.iter().map(|row| row.2).collect();
        assert_eq!((codes.len(), names.len()), (ErrorKind::TABLE.len(), ErrorKind::TABLE.len()));
    }
}
