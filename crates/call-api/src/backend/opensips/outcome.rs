//! What OpenSIPS says, as the errors of the API.

use serde_json::Value;

use super::events::Status;
use super::mi::{INVALID_PARAMS, METHOD_NOT_FOUND, Method, MiError};
use super::proxy::Proxy;
use crate::api::{CommandError, Origin};

/// Why a request failed that a command depends on.
pub(super) fn failure(proxy: &Proxy, method: Method, error: MiError) -> CommandError {
    let (code, message) = match error {
        MiError::Refused { code, message } => (code, message),
        MiError::Full => {
            return CommandError::RateLimited("too many requests wait for OpenSIPS".to_owned());
        }
        MiError::NoAnswer | MiError::Unavailable(_) => {
            return proxy.unavailable(&error.to_string());
        }
        MiError::TooLong => return CommandError::Internal(error.to_string()),
    };
    let says = format!("OpenSIPS: {code} {message}");
    match (method, code) {
        (_, METHOD_NOT_FOUND) => {
            let module = method.module();
            CommandError::Unsupported(format!(
                "OpenSIPS does not know this: its module {module} is not loaded"
            ))
        }
        (Method::SendRequest, 400..=699) => sip(Origin::Proxy, code, message),
        (_, 404) => CommandError::no_such_call(),
        (Method::Hold | Method::Unhold, 410) => {
            CommandError::InvalidState("the call is not established".to_owned())
        }
        (Method::Hold, 480) => CommandError::InvalidState("already on hold".to_owned()),
        (Method::Unhold, 480) => CommandError::InvalidState("not on hold".to_owned()),
        (Method::Hold | Method::Unhold, INVALID_PARAMS) => CommandError::Unsupported(
            "this OpenSIPS holds both parties only: one alone needs 4.0".to_owned(),
        ),
        // callops never forgets that there was a transfer.
        (Method::Transfer, 491) => CommandError::InvalidState(
            "a call is transferred once in OpenSIPS, and this one was, or is being".to_owned(),
        ),
        (_, 400..=699) => sip(Origin::Proxy, code, message),
        _ => CommandError::Internal(says),
    }
}

fn sip(origin: Origin, code: i64, reason: String) -> CommandError {
    let code = u16::try_from(code).unwrap_or(500);
    CommandError::Sip { origin, code, reason, q850: None }
}

/// A failure that somebody answered with.
pub(super) fn refusal(origin: Origin, status: Status, q850: Option<u8>) -> CommandError {
    let Status { code, reason } = status;
    match code {
        // RFC 3261 §16.8: what a proxy says for somebody who did not answer.
        408 => CommandError::Timeout { origin },
        _ => CommandError::Sip { origin, code, reason, q850 },
    }
}

/// What a final response to a SIP request says, and the cause in its Reason header (RFC 3326).
pub(super) fn final_response(result: &Value) -> Option<(Status, Option<u8>)> {
    let status = Status::parse(result["Status"].as_str()?)?;
    let headers = result["Message"].as_str().unwrap_or_default();
    let headers = headers.split_once("\r\n\r\n").map_or(headers, |(headers, _)| headers);
    let reason = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        (name.trim().eq_ignore_ascii_case("reason") && value.starts_with("Q.850")).then_some(value)
    });
    let cause = reason.and_then(|reason| {
        let params = reason.split(';').map(str::trim);
        params.filter_map(|param| param.strip_prefix("cause=")).find_map(|cause| cause.parse().ok())
    });
    Some((status, cause))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_response_is_read_with_its_cause() {
        let message = "Via: SIP/2.0/UDP 127.0.0.1\r\nReason: Q.850 ;cause=17;text=\"busy\"\r\n\r\n";
        let busy = json!({"Status": "486 Busy Here", "Message": message});
        let status = |code, reason: &str| Status { code, reason: reason.to_owned() };
        assert_eq!(final_response(&busy), Some((status(486, "Busy Here"), Some(17))));
        let timeout = json!({"Status": "408 Request Timeout"});
        assert_eq!(final_response(&timeout), Some((status(408, "Request Timeout"), None)));
        assert_eq!(final_response(&json!("OK")), None);
    }
}
