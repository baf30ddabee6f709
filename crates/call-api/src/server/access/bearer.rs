//! How a client shows its token: in the `Authorization` header (RFC 6750 §2.1), or, as a page in a
//! browser cannot set headers of a WebSocket, as one of the subprotocols it offers. Never in the URL,
//! which proxies and browsers write down (RFC 6750 §5.3).

use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::token::PREFIX;
use crate::api::jsonrpc::{self, RequestId};
use crate::api::{ErrorKind, RequestError};

/// The subprotocol of this API. A browser wants one of those it offers to be chosen, and the one with
/// the token must not come back.
pub(in crate::server) const SUBPROTOCOL: &str = "call-api";

/// A subprotocol that begins like this goes on with a token.
const TOKEN_SUBPROTOCOL: &str = "call-api.token.";

/// Parts of the names under which tokens are put into URLs.
const SECRETIVE: [&str; 6] = ["token", "auth", "bearer", "api_key", "apikey", "password"];

/// Why a client is not let in: an HTTP status, and the same error that a request would get.
#[derive(Debug)]
pub(in crate::server) struct Denied {
    status: StatusCode,
    pub(in crate::server) error: RequestError,
}

impl Denied {
    pub(in crate::server) fn new(
        status: StatusCode,
        kind: ErrorKind,
        message: impl Into<String>,
    ) -> Self {
        Self { status, error: RequestError::new(kind, message) }
    }

    pub(super) fn required() -> Self {
        let message = "a token is needed, as \"Authorization: Bearer TOKEN\" or as subprotocol \"call-api.token.TOKEN\"";
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthRequired, message)
    }

    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthFailed, "this token is not valid")
    }

    pub(super) fn crowded(at_most: u32) -> Self {
        let message = format!("this token has {at_most} connections");
        Self::new(StatusCode::TOO_MANY_REQUESTS, ErrorKind::RateLimited, message)
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let body = jsonrpc::error(&RequestId::NULL, &self.error) + "\n";
        let mut response =
            (self.status, [(CONTENT_TYPE, "application/json")], body).into_response();
        let (name, value) = match self.error.kind {
            ErrorKind::AuthRequired => (WWW_AUTHENTICATE, "Bearer"),
            ErrorKind::AuthFailed => (WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""),
            ErrorKind::RateLimited | ErrorKind::Draining => (RETRY_AFTER, "5"),
            _ => return response,
        };
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
        response
    }
}

/// Refuses a URL with a token in it.
pub(super) fn check_url(uri: &Uri) -> Result<(), Denied> {
    if uri.query().is_some_and(tells_a_secret) {
        let message = "a token has no place in a URL, where it is written down on its way: take it for \
                       known to others, and show a new one as \"Authorization: Bearer TOKEN\"";
        return Err(Denied::new(StatusCode::BAD_REQUEST, ErrorKind::InvalidRequest, message));
    }
    Ok(())
}

/// The token that a request shows, if any.
pub(super) fn shown(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut shown = Vec::new();
    for value in headers.get_all(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_matches(' '))
        });
        shown.push(token.ok_or_else(|| {
            let message = "expected \"Authorization: Bearer TOKEN\"";
            Denied::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthFailed, message)
        })?);
    }
    let offered =
        headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    let offered = offered
        .flat_map(|value| value.split(','))
        .map(|protocol| protocol.trim_matches([' ', '\t']));
    shown.extend(offered.filter_map(|protocol| protocol.strip_prefix(TOKEN_SUBPROTOCOL)));
    match shown.as_slice() {
        [] => Ok(None),
        [token] => Ok(Some(token)),
        [..] => {
            let message = "more than one token";
            Err(Denied::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthFailed, message))
        }
    }
}

fn tells_a_secret(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    query.contains(PREFIX)
        || query.split('&').any(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            SECRETIVE.iter().any(|secret| name.contains(secret))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(headers: &[(&str, &str)], uri: &str) -> Result<Option<String>, ErrorKind> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let shown = check_url(&uri.parse().unwrap()).and_then(|()| shown(&map));
        shown.map(|token| token.map(str::to_owned)).map_err(|denied| denied.error.kind)
    }

    #[test]
    fn a_token_is_found_in_the_header_and_among_the_subprotocols() {
        let some = |text: &str| Ok(Some(text.to_owned()));
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(token(&[("authorization", value)], "/call-api"), some("abc"), "{value}");
        }
        for value in
            ["call-api, call-api.token.abc", "call-api.token.abc,call-api", "call-api.token.abc"]
        {
            assert_eq!(token(&[("sec-websocket-protocol", value)], "/call-api"), some("abc"));
        }
        let both = [
            ("sec-websocket-protocol", "call-api"),
            ("sec-websocket-protocol", "call-api.token.abc"),
        ];
        assert_eq!(token(&both, "/call-api?verbose=1"), some("abc"));
        assert_eq!(token(&[("sec-websocket-protocol", "call-api")], "/call-api"), Ok(None));
    }

    #[test]
    fn a_token_elsewhere_or_in_two_places_is_refused() {
        for value in ["Basic YTpi", "Bearer", "abc", ""] {
            assert_eq!(
                token(&[("authorization", value)], "/"),
                Err(ErrorKind::AuthFailed),
                "{value}"
            );
        }
        let twice = [("authorization", "Bearer a"), ("sec-websocket-protocol", "call-api.token.a")];
        assert_eq!(token(&twice, "/"), Err(ErrorKind::AuthFailed));
        for uri in [
            "/?token=abc",
            "/?a=b&access_token=abc",
            "/?Authorization=x",
            "/?api_key",
            "/?x=callapi_1",
        ] {
            assert_eq!(token(&[], uri), Err(ErrorKind::InvalidRequest), "{uri}");
        }
    }
}
