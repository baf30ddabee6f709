//! The server: HTTP connections, the WebSocket's routes, health checks, and shutting down in good
//! order.
//!
//! [`serve`] is given its listener and the moment to stop, so tests bind port 0 and stop when they
//! like. Shutting down goes through the [`Phase`]s: no new commands, then the running ones end,
//! then clients are told goodbye. Established calls are left standing.

pub mod commands;
pub mod connection;
pub mod dialect;
pub mod discovery;
pub mod journal;
mod origin;
pub mod outbox;
mod queries;
pub mod retries;
pub mod subscriptions;
mod ws;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::backend::Backend;
use crate::config::{Config, Limits, WsServer};
use commands::Commands;
pub use commands::Phase;
use journal::Journal;

/// How long a client may take to send the head of an HTTP request.
const REQUEST_HEAD: Duration = Duration::from_secs(10);

/// How long commands that were given up may take to end, and then clients to leave.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all connections share.
struct Server {
    commands: Arc<Commands>,
    phase: watch::Receiver<Phase>,
    limits: Limits,
    own_host: String,
}

/// The other end of an HTTP connection, and its place among the connections that are allowed.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    _slot: Arc<OwnedSemaphorePermit>,
}

/// Binds `ws_server.host` and `ws_server.port`.
///
/// # Errors
///
/// When the address is not one of this machine or is in use, and when it can be reached from other
/// machines without `ws_server.allow_remote`.
pub async fn bind(ws_server: &WsServer) -> io::Result<TcpListener> {
    let WsServer { host, port, allow_remote, .. } = ws_server;
    let located = |error: io::Error| {
        io::Error::new(error.kind(), format!("ws_server {host}:{port}: {error}"))
    };
    // `localhost` may also mean ::1, but clients that try both, and those that try one, all find
    // 127.0.0.1.
    let name = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
    let addresses: Vec<SocketAddr> = lookup_host((name, *port)).await.map_err(located)?.collect();
    if let Some(remote) = addresses.iter().find(|address| !address.ip().is_loopback())
        && !allow_remote
    {
        let message = format!(
            "ws_server.host {host} ({}) can be reached from other machines, and whoever reaches the API can place calls; \
             set ws_server.allow_remote: true if that is meant",
            remote.ip()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(located)
}

/// Serves clients until `shutdown` and the end of every command, or of `limits.drain` if that comes
/// first. The backend tells of calls in `journal`.
pub async fn serve(
    listener: TcpListener,
    config: &Config,
    backend: Arc<dyn Backend>,
    journal: Arc<Journal>,
    shutdown: impl Future<Output = ()>,
) {
    let limits = config.limits.clone();
    let (phase, follow) = watch::channel(Phase::Serving);
    let commands = Arc::new(Commands::new(backend, journal, &limits, follow.clone()));
    let own_host = config.ws_server.host.clone();
    let server = Arc::new(Server {
        commands: Arc::clone(&commands),
        phase: follow.clone(),
        limits,
        own_host,
    });
    let app = router(&config.ws_server.http_path, server);
    let slots = Arc::new(Semaphore::new(config.limits.connections as usize));
    tokio::select! {
        never = accept(&listener, &app, &slots, &follow) => match never {},
        () = stop(shutdown, &commands, &phase, config.limits.drain) => {}
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
    drain: Duration,
) {
    shutdown.await;
    tracing::info!("draining: no new commands");
    phase.send_replace(Phase::Draining);
    if !commands.ended(drain).await {
        tracing::warn!("commands still run: they are ended");
        phase.send_replace(Phase::Ending);
        commands.backend.give_up();
        commands.ended(FAREWELL).await;
    }
    tracing::info!("closing");
    phase.send_replace(Phase::Closing);
}

fn router(http_path: &str, server: Arc<Server>) -> Router {
    let v1 = format!("{}/v1", http_path.trim_end_matches('/'));
    Router::new()
        .route(http_path, get(ws::upgrade))
        .route(&v1, get(ws::upgrade))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/openrpc.json", get(openrpc))
        .route("/asyncapi.json", get(asyncapi))
        .with_state(server)
}

/// Whether new commands are welcome.
async fn ready(State(server): State<Arc<Server>>) -> (StatusCode, &'static str) {
    if *server.phase.borrow() == Phase::Serving {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

async fn openrpc(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(server.commands.discovery.openrpc.clone())
}

async fn asyncapi(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(server.commands.discovery.asyncapi.clone())
}

/// Accepts connections for ever. At the bound a new one is closed at once.
async fn accept(
    listener: &TcpListener,
    app: &Router,
    slots: &Arc<Semaphore>,
    phase: &watch::Receiver<Phase>,
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
        tokio::spawn(http(stream, peer, app.clone(), phase.clone()));
    }
}

/// Serves HTTP on one connection. A WebSocket takes the connection over and goes on in its own
/// task.
async fn http(stream: TcpStream, peer: Peer, app: Router, mut phase: watch::Receiver<Phase>) {
    // Messages are small and each is awaited by somebody. Fails only on a connection that is
    // already gone.
    let _ = stream.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        app.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let closing = async { drop(phase.wait_for(|phase| *phase == Phase::Closing).await) };
    // An error is the client's: it sent no HTTP, or left.
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = closing => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "HTTP connection failed");
    }
}
