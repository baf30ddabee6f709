//! Plain HTTP ⇄ connection: a `POST` is a client that sends one message and reads what comes of it.
//!
//! What is answered at once is one JSON text. What goes on, a command or a subscription, is a stream:
//! the reply first, then the notifications, until there are no more. A client that leaves loses its
//! stream and not its command. One that does not read fills its queue, and is cut off as at a
//! WebSocket; a socket that is stuck by then is closed by the time limit on writing, which all
//! connections have.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at, timeout};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use super::access::{Denied, Principal};
use super::connection::{Connection, Handled};
use super::dialect::Dialect;
use super::outbox::{Message, Outbox, Outgoing};
use super::subscriptions::Subscriptions;
use super::{Peer, READ_WHOLE, Server, origin};
use crate::api::ErrorKind;
use crate::config::Limits;

/// How long a browser may remember that a page of another origin may send requests.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// Messages that wait outside the queue for the socket.
const AHEAD: usize = 1;

/// How a client wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// With the reply alone, whatever goes on: one JSON text.
    Reply,
    /// With a line for each message: JSON lines.
    Lines,
    /// With an event for each message: server-sent events (HTML Living Standard §9.2).
    Events,
}

/// What a stream is made of.
struct Stream {
    form: Form,
    messages: mpsc::Receiver<Message>,
    overflowed: watch::Receiver<bool>,
    /// They end with the stream.
    _subscriptions: Mutex<Subscriptions>,
    body: mpsc::Sender<io::Result<Bytes>>,
}

/// `POST` on the API's path: one JSON-RPC message, or one batch.
pub(super) async fn post(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    Extension(dialect): Extension<Dialect>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let response = match server.enter(&peer, &uri, &headers) {
        Err(denied) => denied.into_response(),
        Ok((principal, place)) => {
            let read = read(body, &server.commands.limits).await;
            // A body may take its time, and a token be withdrawn in it.
            match read.and_then(|text| server.stay(&peer, &principal).map(|()| text)) {
                Err(denied) => denied.into_response(),
                Ok(text) => {
                    let form = (Form::wanted(&headers), dialect);
                    answer(&text, form, principal, place, &server).await
                }
            }
        }
    };
    ([(CACHE_CONTROL, "no-store")], response).into_response()
}

/// Lets pages of other origins read the answers, and send a token, where they may use the API at all.
pub(super) fn cross_origin(server: &Arc<Server>) -> CorsLayer {
    let server = Arc::clone(server);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |_, request| {
            origin::is_allowed(&request.headers, &server.own_host, &server.origins)
        }))
        .allow_methods([Method::POST])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE])
        .max_age(PREFLIGHT)
}

/// The whole body. One that is over the limit is read on for a while, so that a client which sends all
/// before it reads finds the answer.
async fn read(mut body: Body, limits: &Limits) -> Result<String, Denied> {
    let denied = |status, message: &str| Denied::new(status, ErrorKind::InvalidRequest, message);
    let whole = async {
        let (mut bytes, mut length) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| denied(StatusCode::BAD_REQUEST, "the body broke off"))?;
            let data = frame.into_data().unwrap_or_default();
            length += data.len();
            if length <= limits.message_bytes {
                bytes.extend_from_slice(&data);
            } else if length > limits.message_bytes * READ_WHOLE {
                break;
            }
        }
        if length > limits.message_bytes {
            let message = format!("more than {} bytes", limits.message_bytes);
            return Err(denied(StatusCode::PAYLOAD_TOO_LARGE, &message));
        }
        String::from_utf8(bytes).map_err(|_| denied(StatusCode::BAD_REQUEST, "not UTF-8"))
    };
    let late = || denied(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
    timeout(limits.handshake, whole).await.unwrap_or_else(|_| Err(late()))
}

/// Hands the message to a connection of its own, and its reply to the client.
async fn answer(
    text: &str,
    (form, dialect): (Form, Dialect),
    principal: Principal,
    place: impl Send + 'static,
    server: &Arc<Server>,
) -> Response {
    let limits = &server.commands.limits;
    let (outbox, Outgoing { mut messages, overflowed }) = Outbox::channel(limits.queue_bytes);
    let connection =
        Connection::of(principal.clone(), Arc::clone(&server.commands), outbox).speaking(dialect);
    let Handled { replied, goes_on } = connection.handle(text);
    let subscriptions = connection.into_subscriptions();
    if !replied {
        // Its commands run, and nobody is told.
        return StatusCode::NO_CONTENT.into_response();
    }
    // It is in the queue before anything begins, unless there is no room for it.
    let Ok(reply) = messages.try_recv() else { return too_long().into_response() };
    server.commands.journal.settled(reply.number()).await;
    if form == Form::Reply || !goes_on {
        let reply = reply.text().to_owned() + "\n";
        return ([(CONTENT_TYPE, Form::Reply.media_type())], reply).into_response();
    }
    let (body, mut chunks) = mpsc::channel(AHEAD);
    let stream = Stream { form, messages, overflowed, _subscriptions: subscriptions, body };
    let server = Arc::clone(server);
    let streamed = async move {
        let first = form.chunk(reply.text(), None);
        drop(reply);
        stream.run(first, &principal, &server).await;
        // The client counts until here.
        drop(place);
    };
    tokio::spawn(streamed.in_current_span());
    let chunks = stream::poll_fn(move |context| chunks.poll_recv(context));
    ([(CONTENT_TYPE, form.media_type())], Body::from_stream(chunks)).into_response()
}

fn too_long() -> Denied {
    let message = "the reply is longer than limits.queue_bytes";
    Denied::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::RateLimited, message)
}

impl Stream {
    /// Sends all there is to say. A stream that breaks off before that ends with an error, so that the
    /// client can tell: the connection is closed without the last chunk.
    async fn run(mut self, first: Bytes, principal: &Principal, server: &Server) {
        let mut overflowed = self.overflowed.clone();
        let body = self.body.clone();
        let broken = tokio::select! {
            () = self.send(first, server) => return,
            () = body.closed() => return,
            // Fails when the queue has come to its end.
            Ok(_) = overflowed.wait_for(|overflowed| *overflowed) => "it does not read what it is sent",
            () = server.door.access.withdrawn(principal) => "its token was changed or withdrawn",
        };
        tracing::info!(broken, "a stream is cut off");
        // A body that is not asked for more is cut off by the time limit on writing.
        let _ = body.send(Err(io::Error::other(broken))).await;
    }

    async fn send(&mut self, first: Bytes, server: &Server) {
        let every = server.commands.limits.ping_interval;
        let mut alive = interval_at(Instant::now() + every, every);
        let closing = server.closing();
        tokio::pin!(closing);
        let mut chunk = first;
        // Fails when the client is gone.
        while self.body.send(Ok(chunk)).await.is_ok() {
            chunk = tokio::select! {
                // What was said is sent before goodbye.
                biased;
                message = self.messages.recv() => {
                    let Some(message) = message else { return };
                    let journal = &server.commands.journal;
                    journal.settled(message.number()).await;
                    let cursor = journal.cursor(message.number()).to_string();
                    alive.reset();
                    self.form.chunk(message.text(), Some(&cursor))
                }
                // A comment: whoever is in between sees that the stream lives.
                _ = alive.tick(), if self.form == Form::Events => Bytes::from_static(b":\n\n"),
                () = &mut closing => return,
            };
        }
    }
}

impl Form {
    /// What `Accept` (RFC 9110 §12.5.1) asks for. Preferences among several are not weighed: whoever
    /// takes events wants them, and whoever takes nothing but JSON gets no stream.
    fn wanted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let types: Vec<_> = values
            .flat_map(|value| value.split(','))
            .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .collect();
        let takes = |form: Self| types.iter().any(|range| range == form.media_type());
        if takes(Self::Events) {
            Self::Events
        } else if takes(Self::Reply) && !takes(Self::Lines) && !types.iter().any(|t| t == "*/*") {
            Self::Reply
        } else {
            Self::Lines
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Reply => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// A message on the wire. JSON as we write it has no line breaks.
    fn chunk(self, text: &str, cursor: Option<&str>) -> Bytes {
        let chunk = match (self, cursor) {
            (Self::Reply | Self::Lines, _) => format!("{text}\n"),
            (Self::Events, None) => format!("data: {text}\n\n"),
            (Self::Events, Some(cursor)) => format!("id: {cursor}\ndata: {text}\n\n"),
        };
        chunk.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_answered_as_they_accept() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            Form::wanted(&headers)
        };
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Lines);
        // curl; browsers; a library for JSON over HTTP.
        assert_eq!(wanted("*/*"), Form::Lines);
        assert_eq!(wanted("application/json, text/plain, */*"), Form::Lines);
        assert_eq!(wanted("application/json, application/x-ndjson"), Form::Lines);
        assert_eq!(wanted("application/json"), Form::Reply);
        assert_eq!(wanted("Application/JSON; q=0.9"), Form::Reply);
        assert_eq!(wanted("text/event-stream"), Form::Events);
        assert_eq!(wanted("application/json, text/event-stream;q=0.5"), Form::Events);
        assert_eq!(wanted("text/html"), Form::Lines);
    }
}
