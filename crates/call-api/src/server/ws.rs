//! WebSocket (RFC 6455) ⇄ connection: one reader, one writer, and the manners of saying goodbye.
//!
//! Text frames go to the connection, its messages go out as text frames. Whatever ends the socket
//! is a [`Goodbye`], which knows its close code. After a close frame the server goes on reading for
//! a moment: closing a socket with unread data would make TCP reset the connection and the client
//! lose the close frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::Error as WsError;
use tracing::Instrument;

use super::access::{Principal, SUBPROTOCOL};
use super::connection::Connection;
use super::dialect::Dialect;
use super::outbox::{self, Outbox, Outgoing};
use super::{Peer, READ_WHOLE, Server, audit};
use crate::config::Limits;

/// How long a client may take to answer a close frame.
const LINGER: Duration = Duration::from_secs(1);

/// Why a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    /// The client left.
    Gone,
    /// The client answered no ping.
    Silent,
    /// The client does not read what it is sent.
    Slow,
    /// The client sent a binary frame.
    Binary,
    /// The client sent a message over the limit.
    TooLong,
    /// The client sent something that is not text or not a WebSocket frame: the close code.
    Broken(u16),
    /// The client asks nothing, waits for nothing, and has for long.
    Idle,
    /// The client's token does not give it what it did.
    Withdrawn,
    /// The server shuts down.
    Away,
}

/// `GET` on the API's path: switches to WebSocket.
pub(super) async fn upgrade(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Peer>,
    Extension(dialect): Extension<Dialect>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) if !headers.contains_key(UPGRADE) => return no_upgrade(),
        Err(rejection @ WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_)) => {
            // RFC 6455 §4.4: which one would do.
            return ([(SEC_WEBSOCKET_VERSION, "13")], rejection).into_response();
        }
        Err(rejection) => return rejection.into_response(),
    };
    let (principal, place) = match server.enter(&peer, &uri, &headers) {
        Ok(entered) => entered,
        Err(denied) => return denied.into_response(),
    };
    let read_at_most = server.commands.limits.message_bytes * READ_WHOLE;
    let upgrade = upgrade.max_message_size(read_at_most).max_frame_size(read_at_most);
    upgrade.protocols([SUBPROTOCOL]).on_upgrade(move |socket| {
        let span = tracing::info_span!("connection", peer = %peer.address);
        async move {
            let goodbye = talk(socket, principal, dialect, &server).await;
            tracing::info!(?goodbye, "disconnected");
            // The connection counts until here.
            drop((peer, place));
        }
        .instrument(span)
    })
}

/// To somebody who has a look with a browser, most likely.
fn no_upgrade() -> Response {
    let text = "a WebSocket, or POST a JSON-RPC 2.0 request\n";
    (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "websocket"), (CONNECTION, "upgrade")], text)
        .into_response()
}

/// Serves one client until one side says goodbye.
async fn talk(
    socket: WebSocket,
    principal: Principal,
    dialect: Dialect,
    server: &Server,
) -> Goodbye {
    tracing::info!("connected");
    audit::connection(&principal, "connected");
    let limits = &server.commands.limits;
    let (mut sink, mut stream) = socket.split();
    let (outbox, Outgoing { mut messages, mut overflowed }) = Outbox::channel(limits.queue_bytes);
    let connection =
        Connection::of(principal.clone(), Arc::clone(&server.commands), outbox.clone())
            .speaking(dialect);
    let heard = AtomicBool::new(true);
    let goodbye = tokio::select! {
        goodbye = read(&mut stream, &connection, &outbox, &heard, limits) => goodbye,
        goodbye = write(&mut sink, &mut messages, &heard, server) => goodbye,
        _ = overflowed.wait_for(|overflowed| *overflowed) => Goodbye::Slow,
        () = idle(&connection, limits.idle) => Goodbye::Idle,
        () = server.door.access.withdrawn(&principal) => Goodbye::Withdrawn,
    };
    audit::connection(&principal, "disconnected");
    if let Some(close) = goodbye.close_frame() {
        let farewell = async {
            if sink.send(Message::Close(Some(close))).await.is_ok() {
                while let Some(Ok(_)) = stream.next().await {}
                if goodbye.leaves_data_unread() {
                    std::future::pending::<()>().await;
                }
            }
        };
        // Either way the socket is closed now.
        let _ = timeout(LINGER, farewell).await;
    }
    goodbye
}

async fn read(
    stream: &mut SplitStream<WebSocket>,
    connection: &Connection,
    outbox: &Outbox,
    heard: &AtomicBool,
    limits: &Limits,
) -> Goodbye {
    loop {
        outbox.has_room().await;
        let message = match stream.next().await {
            None => return Goodbye::Gone,
            Some(Err(error)) => return Goodbye::after(error),
            Some(Ok(message)) => message,
        };
        heard.store(true, Ordering::Relaxed);
        match as_text(message, connection.dialect) {
            Message::Text(text) if text.len() > limits.message_bytes => return Goodbye::TooLong,
            Message::Text(text) => connection.receive(&text),
            Message::Binary(_) => return Goodbye::Binary,
            // Pings and closes are answered by the WebSocket itself, which then ends the stream.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
    }
}

/// The clients of dialect v2 may send their text in binary frames.
fn as_text(message: Message, dialect: Dialect) -> Message {
    match message {
        Message::Binary(bytes) if dialect == Dialect::V2 => {
            Utf8Bytes::try_from(bytes.clone()).map_or(Message::Binary(bytes), Message::Text)
        }
        message => message,
    }
}

/// Waits until the client has had no business here for this long; twice as long at the most.
async fn idle(connection: &Connection, at_most: Option<Duration>) {
    let Some(at_most) = at_most else { return std::future::pending().await };
    loop {
        connection.has_business();
        sleep(at_most).await;
        if !connection.has_business() {
            return;
        }
    }
}

async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    messages: &mut mpsc::Receiver<outbox::Message>,
    heard: &AtomicBool,
    server: &Server,
) -> Goodbye {
    let limits = &server.commands.limits;
    let closing = server.closing();
    tokio::pin!(closing);
    let mut ping = interval_at(Instant::now() + limits.ping_interval, limits.ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let frame = tokio::select! {
            // In this order, so that pings are punctual, and what was said is sent before goodbye.
            biased;
            _ = ping.tick() => {
                unanswered = if heard.swap(false, Ordering::Relaxed) { 0 } else { unanswered + 1 };
                if unanswered == 2 {
                    return Goodbye::Silent;
                }
                Message::Ping(Default::default())
            }
            Some(message) = messages.recv() => {
                server.commands.journal.settled(message.number()).await;
                Message::Text(message.text().into())
            }
            () = &mut closing => return Goodbye::Away,
        };
        match timeout(limits.ping_interval, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Goodbye::Gone,
            Err(_) => return Goodbye::Slow,
        }
    }
}

impl Goodbye {
    /// What an error of the WebSocket means.
    fn after(error: axum::Error) -> Self {
        match error.into_inner().downcast::<WsError>().map(|error| *error) {
            Ok(WsError::Capacity(_)) => Self::TooLong,
            Ok(WsError::Utf8(_)) => Self::Broken(close_code::INVALID),
            Ok(WsError::Protocol(_)) => Self::Broken(close_code::PROTOCOL),
            _ => Self::Gone,
        }
    }

    /// RFC 6455 §7.4.1. `None` when nobody would read it.
    fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone | Self::Silent => return None,
            Self::Slow => (close_code::POLICY, "does not read what it is sent"),
            Self::Binary => (close_code::UNSUPPORTED, "only text frames"),
            Self::TooLong => (close_code::SIZE, "message over the limit"),
            Self::Broken(code) => (code, ""),
            Self::Idle => (close_code::NORMAL, "idle"),
            Self::Withdrawn => (close_code::POLICY, "the token was changed or withdrawn"),
            Self::Away => (close_code::AWAY, "shutting down"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }

    /// Whether the WebSocket stopped reading in the middle of something.
    fn leaves_data_unread(self) -> bool {
        matches!(self, Self::TooLong | Self::Broken(_))
    }
}
