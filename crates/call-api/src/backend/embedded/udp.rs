//! SIP over UDP (RFC 3261 §18): one socket, datagrams in and out; the log has each at `DEBUG`, with its
//! text at `TRACE`.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::UdpSocket;

use crate::config::SipListen;

/// The largest datagram that UDP carries.
const MAX_DATAGRAM: usize = 65_535;

/// What the kernel is asked to keep for us while we do not get to run: some 2,000 messages. It keeps no
/// more than it may (`net.core.rmem_max`). What does not fit is lost, and phones send it again.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A bound socket.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    buffer: Box<[u8]>,
    local: SocketAddr,
}

impl Udp {
    /// Binds a socket. Port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound; the error names it.
    pub async fn listen(listen: &SipListen) -> io::Result<Self> {
        let SipListen::Udp(address) = listen;
        let socket = UdpSocket::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("sip.listen {listen}: {error}"))
        })?;
        if let Err(error) = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER) {
            tracing::debug!(%error, "the SIP socket keeps its small receive buffer");
        }
        // A socket that was never polled takes its first datagram for one too many.
        socket.writable().await?;
        let local = socket.local_addr()?;
        Ok(Self { socket, buffer: vec![0; MAX_DATAGRAM].into(), local })
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits until there is something to read.
    pub(super) async fn readable(&self) {
        // An error shows again, and is dealt with, when reading.
        let _ = self.socket.readable().await;
    }

    /// The next datagram that has arrived, if any.
    pub(super) fn read(&mut self) -> Option<(SocketAddr, Bytes)> {
        match self.socket.try_recv_from(&mut self.buffer) {
            Ok((length, source)) => {
                let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
                log(source, "<-", &bytes);
                Some((source, bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // An ICMP error about an earlier datagram: SIP's own timers deal with that peer.
            Err(error) => {
                tracing::debug!(%error, "reading from the SIP socket");
                None
            }
        }
    }

    /// Sends a datagram. One that the kernel does not take is lost, as any datagram may be: SIP
    /// sends it again.
    pub(super) fn send(&self, to: SocketAddr, bytes: &Bytes) {
        log(to, "->", bytes);
        if let Err(error) = self.socket.try_send_to(bytes, to) {
            tracing::warn!(%to, %error, "a SIP message was not sent");
        }
    }
}

fn log(peer: SocketAddr, way: &str, bytes: &[u8]) {
    tracing::trace!(%peer, "{way}\n{}", String::from_utf8_lossy(bytes));
    tracing::debug!(%peer, "{way} {}", String::from_utf8_lossy(bytes.split(|b| *b == b'\r').next().unwrap_or_default()));
}
