//! `mi_datagram` and `event_datagram`: a JSON value in each datagram.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc;

use super::{Arrival, FarEnd, MAX_DATAGRAM, any_address};

/// What the kernel is asked to keep: some 2,000 events.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Carries requests and answers over UDP. The socket is connected, so the kernel keeps datagrams from
/// other addresses away and tells when nobody listens at the proxy's.
pub(super) async fn udp(proxy: SocketAddr, far: FarEnd) -> io::Result<()> {
    let socket = UdpSocket::bind(any_address(proxy.ip())).await?;
    enlarge(&socket, "answers");
    socket.connect(proxy).await?;
    carry(Socket::Udp(socket), far);
    Ok(())
}

/// Has the kernel keep more of what arrives while we do not get to run. It gives twice of what it may,
/// `net.core.rmem_max`, at the most, and counts its own bookkeeping.
fn enlarge(socket: &UdpSocket, what: &str) {
    let socket = SockRef::from(socket);
    let asked = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    match asked.and_then(|()| socket.recv_buffer_size()) {
        Ok(bytes) => tracing::info!(what, bytes, "receive buffer"),
        Err(error) => tracing::warn!(what, %error, "the receive buffer stays as it is"),
    }
}

/// Carries requests and answers over UNIX datagrams. The socket is not connected: OpenSIPS makes a
/// new file each time it starts.
pub(super) fn unix(proxy: &Path, far: FarEnd) -> io::Result<()> {
    let (file, socket) = SocketFile::bind()?;
    carry(Socket::Unix { socket, proxy: proxy.to_owned(), _file: file }, far);
    Ok(())
}

/// To one proxy.
enum Socket {
    Udp(UdpSocket),
    Unix { socket: UnixDatagram, proxy: PathBuf, _file: SocketFile },
}

impl Socket {
    async fn send(&self, request: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(request).await,
            Self::Unix { socket, proxy, .. } => socket.send_to(request, proxy).await,
        }
    }

    /// The length of the next datagram of the proxy. May be cancelled.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer).await,
            Self::Unix { socket, proxy, .. } => loop {
                let (length, source) = socket.recv_from(buffer).await?;
                if source.as_pathname() == Some(proxy) {
                    return Ok(length);
                }
            },
        }
    }
}

/// Until nobody is at the near end any more.
fn carry(socket: Socket, far: FarEnd) {
    let FarEnd { mut requests, arrivals } = far;
    let socket = Arc::new(socket);
    let (sending, gone) = (Arc::clone(&socket), arrivals.clone());
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            tracing::trace!(request = request.text, "MI >");
            if let Err(error) = sending.send(request.text.as_bytes()).await {
                let _ = gone.send(Arrival::Gone(error.to_string())).await;
            }
        }
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let arrival = tokio::select! {
                received = socket.receive(&mut buffer) => match received {
                    Ok(length) => Arrival::Answer(buffer[..length].to_vec()),
                    Err(error) => Arrival::Gone(error.to_string()),
                },
                () = arrivals.closed() => return,
            };
            tracing::trace!(?arrival, "MI <");
            if arrivals.send(arrival).await.is_err() {
                return;
            }
        }
    });
}

/// A socket file of ours, which is removed when nobody uses it any more.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl SocketFile {
    /// OpenSIPS answers to the path that a request came from, and may run as another user. What it
    /// leads to is guarded by whom we take datagrams from.
    fn bind() -> io::Result<(Self, UnixDatagram)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("call-api-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        // One that is left of another process with our number.
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)?;
        let file = Self(path);
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o666))?;
        Ok((file, socket))
    }
}

/// Receives events over UDP. Each process of OpenSIPS has a port of its own, so a sender is known by
/// its address alone.
pub(super) async fn events(socket: UdpSocket, arrivals: mpsc::Sender<Arrival>, proxy: IpAddr) {
    enlarge(&socket, "events");
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = arrivals.closed() => return,
        };
        let event = match received {
            Ok((length, source)) if source.ip() == proxy => buffer[..length].to_vec(),
            Ok((_, source)) => {
                tracing::debug!(%source, "an event from somebody who is not the proxy");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "receiving events");
                continue;
            }
        };
        tracing::trace!(event = %String::from_utf8_lossy(&event), "EVT <");
        if arrivals.send(Arrival::Event(event)).await.is_err() {
            return;
        }
    }
}
