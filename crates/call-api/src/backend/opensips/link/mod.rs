//! The sockets to one OpenSIPS, behind two channels: requests go out by one, answers and events come
//! in by the other. What is on the other side of them need not be a socket, which is how tests play
//! OpenSIPS in virtual time.

mod datagram;
mod http;
mod stream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, UdpSocket, lookup_host};
use tokio::sync::mpsc;

use super::mi::in_flight::Outgoing;
use crate::config::{EventListen, MiUrl};

/// Requests on their way to the socket. There is always room: at most a window of them is sent before
/// one is answered.
const OUTGOING_QUEUE: usize = 1024;
/// Answers and events on their way from the sockets, which are not read at the bound.
const ARRIVAL_QUEUE: usize = 1024;
/// The largest datagram that UDP carries.
const MAX_DATAGRAM: usize = 65_535;

/// A connection to OpenSIPS.
#[derive(Debug)]
pub struct Link {
    /// To OpenSIPS.
    pub requests: mpsc::Sender<Outgoing>,
    /// From it.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// Where it is, for people.
    pub name: Arc<str>,
    /// The socket that events are subscribed to: `udp:127.0.0.1:5070`.
    pub events: Arc<str>,
    /// The host that it runs on.
    pub host: IpAddr,
    /// Whether it answers one request after another: `mi_http`.
    pub is_serial: bool,
}

/// What comes from OpenSIPS.
#[derive(Debug)]
pub enum Arrival {
    /// An answer.
    Answer(Vec<u8>),
    /// An event.
    Event(Vec<u8>),
    /// It is not there, and has lost the requests it had not answered.
    Gone(String),
}

/// The other end of a [`Link`].
#[derive(Debug)]
pub struct FarEnd {
    /// From us.
    pub requests: mpsc::Receiver<Outgoing>,
    /// To us.
    pub arrivals: mpsc::Sender<Arrival>,
}

impl Link {
    /// A link and its other end.
    #[must_use]
    pub fn pair(name: &str, events: &str, host: IpAddr) -> (Self, FarEnd) {
        let (outgoing, requests) = mpsc::channel(OUTGOING_QUEUE);
        let (incoming, arrivals) = mpsc::channel(ARRIVAL_QUEUE);
        let (name, events) = (name.into(), events.into());
        let link = Self { requests: outgoing, arrivals, name, events, host, is_serial: false };
        (link, FarEnd { requests, arrivals: incoming })
    }

    /// Opens sockets to a proxy, which need not run yet. `index` tells proxies apart that share
    /// `events`.
    ///
    /// # Errors
    ///
    /// When the proxy's name has no address, or a socket of ours cannot be bound.
    pub async fn open(url: &MiUrl, events: Option<EventListen>, index: u16) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("mi.url {url}: {error}"));
        let proxy = match url {
            MiUrl::Udp(authority) | MiUrl::Http(authority, _) => {
                Some(resolve(authority).await.map_err(named)?)
            }
            MiUrl::Unix(_) => None,
        };
        let host = proxy.map_or(Ipv4Addr::LOCALHOST.into(), |proxy| proxy.ip());
        let listener = Listener::bind(events, index, host).await?;
        let (mut link, far) = Self::pair(&url.to_string(), &listener.name()?, host);
        link.is_serial = matches!(url, MiUrl::Http(..));
        listener.receive(far.arrivals.clone(), host);
        match (url, proxy) {
            (MiUrl::Unix(path), _) => datagram::unix(path, far).map_err(named)?,
            (MiUrl::Http(_, path), Some(proxy)) => http::start(proxy, path, far),
            (MiUrl::Udp(_), Some(proxy)) => datagram::udp(proxy, far).await.map_err(named)?,
            (MiUrl::Udp(_) | MiUrl::Http(..), None) => {}
        }
        Ok(link)
    }
}

async fn resolve(authority: &str) -> io::Result<SocketAddr> {
    let found = lookup_host(authority).await?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "its name has no address"))
}

/// Where events arrive.
enum Listener {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

impl Listener {
    async fn bind(events: Option<EventListen>, index: u16, proxy: IpAddr) -> io::Result<Self> {
        let next = |address: SocketAddr| match address.port() {
            0 => address,
            port => SocketAddr::new(address.ip(), port.saturating_add(index)),
        };
        let named = |error: io::Error| {
            let events = events.map_or("a free UDP port".to_owned(), |events| events.to_string());
            io::Error::new(error.kind(), format!("mi.events {events}: {error}"))
        };
        match events {
            Some(EventListen::Tcp(address)) => {
                Ok(Self::Tcp(TcpListener::bind(next(address)).await.map_err(named)?))
            }
            Some(EventListen::Udp(address)) => {
                Ok(Self::Udp(UdpSocket::bind(next(address)).await.map_err(named)?))
            }
            None => {
                let address = SocketAddr::new(own_address(proxy).await.map_err(named)?, 0);
                Ok(Self::Udp(UdpSocket::bind(address).await.map_err(named)?))
            }
        }
    }

    /// As `event_subscribe` spells it.
    fn name(&self) -> io::Result<String> {
        Ok(match self {
            Self::Udp(socket) => format!("udp:{}", socket.local_addr()?),
            Self::Tcp(listener) => format!("tcp:{}", listener.local_addr()?),
        })
    }

    /// Reads events until nobody wants them any more. Only those of `proxy` are taken.
    fn receive(self, arrivals: mpsc::Sender<Arrival>, proxy: IpAddr) {
        match self {
            Self::Udp(socket) => drop(tokio::spawn(datagram::events(socket, arrivals, proxy))),
            Self::Tcp(listener) => drop(tokio::spawn(stream::events(listener, arrivals, proxy))),
        }
    }
}

/// Any of ours from which a host can be reached, with a free port.
fn any_address(host: IpAddr) -> SocketAddr {
    match host {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// The address of ours that a host sees.
async fn own_address(host: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind(any_address(host)).await?;
    // Sends nothing: it only asks for the route. Any port will do.
    socket.connect((host, 9)).await?;
    Ok(socket.local_addr()?.ip())
}
