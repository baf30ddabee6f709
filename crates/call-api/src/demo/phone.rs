//! A software phone on a socket of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use engine::phone::Answer;
use engine::ua::Output;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A phone that runs until the process ends.
pub(super) struct Phone {
    pub(super) uri: String,
    pub(super) address: SocketAddr,
    keys: mpsc::Sender<Key>,
}

/// What its user can do.
enum Key {
    Dial(String),
    HangUp,
}

/// What its user does before the phone has done it; more waits.
const KEYS: usize = 8;

/// A SIP message that a phone sent or got.
pub(super) struct Captured {
    pub(super) at: Instant,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Bytes,
}

struct Driver {
    phone: engine::phone::Phone,
    socket: UdpSocket,
    address: SocketAddr,
    captured: mpsc::Sender<Captured>,
    keys: mpsc::Receiver<Key>,
}

impl Phone {
    /// Starts a phone on `port`, or on any free one. It calls through `proxy` and answers after
    /// `ringing`.
    pub(super) async fn start(
        user: &str,
        port: u16,
        proxy: SocketAddr,
        ringing: Duration,
        captured: mpsc::Sender<Captured>,
    ) -> io::Result<Self> {
        let socket = match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        };
        let address = socket.local_addr()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut phone = engine::phone::Phone::new(user, address, Some(proxy), seed);
        phone.behaviour.answer = Answer::After(ringing);
        let uri = phone.uri();
        let (keys, pressed) = mpsc::channel(KEYS);
        tokio::spawn(Driver { phone, socket, address, captured, keys: pressed }.run());
        Ok(Self { uri, address, keys })
    }

    /// Calls somebody.
    pub(super) async fn dial(&self, uri: &str) {
        self.press(Key::Dial(uri.to_owned())).await;
    }

    /// Hangs up whatever it is in.
    pub(super) async fn hang_up(&self) {
        self.press(Key::HangUp).await;
    }

    async fn press(&self, key: Key) {
        // The phone runs until the process ends.
        let _ = self.keys.send(key).await;
    }
}

impl Driver {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_535];
        loop {
            let timeout = self.phone.next_timeout().map(Instant::from_std);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // An ICMP error about an earlier datagram: SIP's own timers deal with it.
                    let Ok((length, from)) = received else { continue };
                    let bytes = Bytes::copy_from_slice(&buffer[..length]);
                    self.capture(from, self.address, &bytes);
                    self.phone.receive(Instant::now().into_std(), from, bytes);
                }
                Some(key) = self.keys.recv() => self.pressed(&key),
                () = sleep_until(timeout.unwrap_or_else(Instant::now)), if timeout.is_some() => {
                    self.phone.expire(Instant::now().into_std());
                }
            }
            self.drain();
        }
    }

    fn pressed(&mut self, key: &Key) {
        let now = Instant::now().into_std();
        match key {
            Key::Dial(uri) => drop(self.phone.dial(now, uri)),
            Key::HangUp => {
                for call in self.phone.calls() {
                    self.phone.hang_up(now, call);
                }
            }
        }
    }

    fn drain(&mut self) {
        while self.phone.poll_event().is_some() {}
        while let Some(output) = self.phone.poll() {
            if let Output::Transmit { to, bytes } = output {
                self.capture(self.address, to, &bytes);
                // What is not sent now is sent again by the phone's timers.
                let _ = self.socket.try_send_to(&bytes, to);
            }
        }
    }

    /// Keeps a message for the ladder, as long as there is room.
    fn capture(&self, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        let _ =
            self.captured.try_send(Captured { at: Instant::now(), from, to, bytes: bytes.clone() });
    }
}
