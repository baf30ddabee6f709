//! The server: HTTP connections, the API's routes, health checks, and shutting down in good order.
//!
//! [`serve`] is given its listener and the moment to stop, so tests bind port 0 and stop when they
//! like. Shutting down goes through the [`Phase`]s: no new calls, then the running commands end,
//! then clients are told goodbye. Established calls are waited for as long as
//! `limits.drain_calls_seconds` says, and then left standing.

pub mod access;
pub mod audit;
pub mod commands;
pub mod connection;
pub mod dialect;
pub mod discovery;
mod door;
mod http;
pub mod journal;
mod origin;
pub mod outbox;
mod queries;
pub mod retries;
pub mod subscriptions;
mod tls;
mod ws;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::api::ErrorKind;
use crate::backend::Backend;
use crate::config::{Config, Limits, TAKEN_PATHS, WsServer};
use access::{Connected, Denied, Principal};
use commands::Commands;
pub use commands::Phase;
use dialect::Dialect;
pub use door::{Door, Listener, bind};
use journal::Journal;
use tls::Tls;

/// The longest head of an HTTP request, in bytes.
const REQUEST_HEAD: usize = 32 * 1024;

/// A message is read whole, to be refused in order, up to this many times the limit on messages.
/// Beyond it the refusal goes out before the rest of the message has come in.
const READ_WHOLE: usize = 4;

/// How long commands that were given up may take to end, and then clients to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all connections share.
struct Server {
    commands: Arc<Commands>,
    door: Arc<Door>,
    own_host: String,
    origins: Vec<String>,
}

impl Server {
    /// Who a client is, and its place among those with its token, unless it is not let in.
    fn enter(
        &self,
        peer: &Peer,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(Principal, Option<Connected>), Denied> {
        let limits = &self.commands.limits;
        let entered = self
            .may_enter(headers)
            .and_then(|()| self.door.access.enter(headers, uri, peer.address, limits));
        entered.inspect_err(|denied| refused(peer, denied))
    }

    /// Whether a client that was let in would be let in again, now that its request is here.
    fn stay(&self, peer: &Peer, principal: &Principal) -> Result<(), Denied> {
        if self.door.access.hold(principal) {
            return Ok(());
        }
        let message = "the token was changed or withdrawn";
        let denied = Denied::new(StatusCode::UNAUTHORIZED, ErrorKind::AuthFailed, message);
        refused(peer, &denied);
        Err(denied)
    }

    /// What is asked of everybody.
    fn may_enter(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if !origin::is_allowed(headers, &self.own_host, &self.origins) {
            let message = "web pages of other origins may not use this API";
            return Err(Denied::new(StatusCode::FORBIDDEN, ErrorKind::Forbidden, message));
        }
        if self.phase() >= Phase::Draining {
            let message = "the server is shutting down";
            return Err(Denied::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Draining, message));
        }
        Ok(())
    }

    fn phase(&self) -> Phase {
        *self.commands.phase.borrow()
    }

    /// Waits until clients are to leave.
    async fn closing(&self) {
        // The sender lives as long as the server.
        drop(self.commands.phase.clone().wait_for(|phase| *phase == Phase::Closing).await);
    }
}

fn refused(peer: &Peer, denied: &Denied) {
    tracing::warn!(peer = %peer.address, error = %denied.error, "client refused");
    audit::denied(peer.address, &denied.error);
}

/// The other end of an HTTP connection, and its place among the connections that are allowed.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    _slot: Arc<OwnedSemaphorePermit>,
}

/// Serves clients until `shutdown` and the end of every command, or of `limits.drain` if that comes
/// first. The backend tells of calls in `journal`.
pub async fn serve(
    listener: Listener,
    config: &Config,
    backend: Arc<dyn Backend>,
    journal: Arc<Journal>,
    shutdown: impl Future<Output = ()>,
) {
    let (phase, follow) = watch::channel(Phase::Serving);
    let port = listener.local_addr().map_or(config.ws_server.port, |address| address.port());
    let ws_server = WsServer { port, ..config.ws_server.clone() };
    let commands = Commands::new(backend, journal, &config.limits, follow).reached_at(ws_server);
    let commands = Arc::new(commands);
    let server = Arc::new(Server {
        commands: Arc::clone(&commands),
        door: listener.door(),
        own_host: config.ws_server.host.clone(),
        origins: config.ws_server.origins.clone(),
    });
    let app = router(&config.ws_server, Arc::clone(&server));
    let slots = Arc::new(Semaphore::new(config.limits.connections as usize));
    tokio::select! {
        never = accept(&listener.socket, &app, &slots, &server) => match never {},
        () = stop(shutdown, &commands, &phase, &config.limits) => {}
    }
    drop(listener);
    if timeout(FAREWELL, slots.acquire_many(config.limits.connections)).await.is_err() {
        tracing::warn!("not every client has left");
    }
}

/// From [`Phase::Serving`] to [`Phase::Closing`].
async fn stop(
    shutdown: impl Future<Output = ()>,
    commands: &Commands,
    phase: &watch::Sender<Phase>,
    limits: &Limits,
) {
    shutdown.await;
    tracing::info!("draining: no new calls");
    phase.send_replace(Phase::Draining);
    let drained = async {
        commands.journal.no_calls().await;
        commands.ended().await;
    };
    // In vain when there are calls and nobody ends them: they are left standing.
    let _ = timeout(limits.drain_calls, drained).await;
    let ended = timeout(limits.drain, commands.ended()).await;
    phase.send_replace(Phase::Ending);
    if ended.is_err() {
        tracing::warn!("commands still run: they are ended");
        commands.backend.give_up();
    }
    // One that came in the last moment may still run.
    let _ = timeout(FAREWELL, commands.ended()).await;
    tracing::info!("closing");
    phase.send_replace(Phase::Closing);
}

fn router(ws_server: &WsServer, server: Arc<Server>) -> Router {
    let api = |dialect: Dialect| {
        let api: MethodRouter<_> = get(ws::upgrade).post(http::post).layer(Extension(dialect));
        api.layer(http::cross_origin(&server))
    };
    let [healthz, readyz, openrpc_json, asyncapi_json] = TAKEN_PATHS;
    Router::new()
        .route(&ws_server.http_path, api(ws_server.dialect))
        .route(&ws_server.under("v1"), api(Dialect::V1))
        .route(&ws_server.under("v2"), api(Dialect::V2))
        .route(healthz, get(async || "ok\n"))
        .route(readyz, get(ready))
        .route(openrpc_json, get(openrpc))
        .route(asyncapi_json, get(asyncapi))
        .with_state(server)
}

/// Whether new calls are welcome.
async fn ready(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    if server.phase() == Phase::Serving {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

async fn openrpc(State(server): State<Arc<Server>>) -> Response {
    Json(&server.commands.discovery().openrpc).into_response()
}

async fn asyncapi(State(server): State<Arc<Server>>) -> Response {
    Json(&server.commands.discovery().asyncapi).into_response()
}

/// Accepts connections for ever. At the bound a new one is closed at once.
async fn accept(
    listener: &TcpListener,
    app: &Router,
    slots: &Arc<Semaphore>,
    server: &Arc<Server>,
) -> Infallible {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: they come back as clients leave.
                tracing::error!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(slots).try_acquire_owned() else {
            tracing::warn!(peer = %address, "too many connections: refused");
            continue;
        };
        let peer = Peer { address, _slot: Arc::new(slot) };
        tokio::spawn(greet(stream, peer, app.clone(), Arc::clone(server)));
    }
}

/// Serves one connection, behind TLS when there is a certificate.
async fn greet(stream: TcpStream, peer: Peer, app: Router, server: Arc<Server>) {
    // Messages are small and each is awaited by somebody. Fails only on a connection that is
    // already gone.
    let _ = stream.set_nodelay(true);
    let limits = &server.commands.limits;
    // Whoever listens to a stream in which nothing happens is asked by TCP whether it is there.
    let every = limits.ping_interval;
    let alive = TcpKeepalive::new().with_time(every).with_interval(every).with_retries(2);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
    let Some(acceptor) = server.door.tls.as_ref().map(Tls::acceptor) else {
        return http(stream, peer, app, &server).await;
    };
    match timeout(limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => http(stream, peer, app, &server).await,
        Ok(Err(error)) => tracing::debug!(peer = %peer.address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %peer.address, "TLS handshake took too long"),
    }
}

/// Serves HTTP on one connection. A WebSocket takes the connection over and goes on in its own
/// task. Nobody is written to who has not read for as long as a WebSocket may.
async fn http<S>(stream: S, peer: Peer, app: Router, server: &Server)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.commands.limits;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.ping_interval));
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        app.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake)
        .max_buf_size(REQUEST_HEAD)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    tokio::pin!(connection);
    // An error is the client's: it sent no HTTP, or left.
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = server.closing() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection failed");
    }
}
