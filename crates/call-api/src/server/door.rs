//! The door: the address clients come to, what it takes to get in, and TLS.
//!
//! [`bind`] refuses what would leave the door open: an address that other machines reach, and nothing
//! that is asked of those who come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, lookup_host};

use super::access::Access;
use super::tls::Tls;
use crate::config::WsServer;

/// Where clients come in.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: TcpListener,
    door: Arc<Door>,
}

/// What clients are asked for.
#[derive(Debug)]
pub struct Door {
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
}

impl Listener {
    /// The address clients come to.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What clients are asked for.
    #[must_use]
    pub fn door(&self) -> Arc<Door> {
        Arc::clone(&self.door)
    }
}

impl Door {
    /// Reads tokens, certificate and key again. A token that is gone or changed loses its connections;
    /// the certificate is for new ones.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not what it should be; then what it held before stays.
    pub fn reload(&self) -> io::Result<()> {
        let tls = self.tls.as_ref().map_or(Ok(()), Tls::reload);
        self.access.reload().and(tls)
    }

    /// How many tokens give access; `None` when none is asked for.
    #[must_use]
    pub fn tokens(&self) -> Option<usize> {
        self.access.tokens()
    }
}

/// Binds `ws_server.host` and `ws_server.port`.
///
/// # Errors
///
/// When the address is not one of this machine or is in use; when tokens, certificate or key cannot be
/// read; and when the address can be reached from other machines without `ws_server.tokens` or
/// `ws_server.allow_remote`.
pub async fn bind(ws_server: &WsServer) -> io::Result<Listener> {
    let WsServer { host, port, .. } = ws_server;
    let located = |error: io::Error| {
        io::Error::new(error.kind(), format!("ws_server {host}:{port}: {error}"))
    };
    let access = Access::load(ws_server.tokens.clone())?;
    let tls = match (&ws_server.tls_certificate, &ws_server.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
        // One without the other is refused with the configuration.
        (_, _) => None,
    };
    // `localhost` may also mean ::1, but clients that try both, and those that try one, all find
    // 127.0.0.1.
    let name = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
    let addresses: Vec<SocketAddr> = lookup_host((name, *port)).await.map_err(located)?.collect();
    if let Some(remote) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        if access.tokens().is_none() && !ws_server.allow_remote {
            let message = format!(
                "ws_server.host {host} ({}) can be reached from other machines, and whoever reaches the API can place calls; \
                 set ws_server.tokens to the file of those who may (`call-api token NAME` writes it), \
                 or ws_server.allow_remote: true if everybody is meant",
                remote.ip()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        if tls.is_none() {
            tracing::warn!(
                "the API is reached from other machines without TLS: tokens and calls can be read on the way"
            );
        }
    }
    let socket = TcpListener::bind(addresses.as_slice()).await.map_err(located)?;
    Ok(Listener { socket, door: Arc::new(Door { access, tls }) })
}
