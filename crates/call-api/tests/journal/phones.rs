//! Two phones that call each other through the server, and others that commands call.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use engine::phone::{Answer, Phone};
use engine::ua::Output;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long a call lasts.
const TALK: Duration = Duration::from_millis(500);

/// The Call-IDs with which each user was called for the first time.
pub(crate) type Called = Arc<Mutex<HashMap<String, HashSet<String>>>>;

/// A phone on a socket, which answers whoever calls it, under any name.
pub(crate) struct Line {
    phone: Phone,
    socket: UdpSocket,
    called: Called,
}

impl Line {
    pub(crate) async fn new(user: &str, server: SocketAddr, called: Called) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let mut phone = Phone::new(user, socket.local_addr().unwrap(), Some(server), seed);
        phone.behaviour.answer = Answer::After(Duration::ZERO);
        Self { phone, socket, called }
    }

    pub(crate) fn answer_after(&mut self, ringing: Duration) {
        self.phone.behaviour.answer = Answer::After(ringing);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Answers, until the task is stopped.
    pub(crate) fn serve(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                self.wait().await;
            }
        })
    }

    /// Calls `to` so many times a second; the first `stay` calls are never hung up.
    pub(crate) fn call(mut self, to: SocketAddr, rate: u32, stay: usize) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut tick = interval(Duration::from_secs(1) / rate);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut placed, mut talks) = (0, VecDeque::new());
            loop {
                tokio::select! {
                    now = tick.tick() => {
                        let call = self.phone.dial(now.into_std(), &format!("sip:bob@{to}"));
                        placed += 1;
                        if placed > stay {
                            talks.push_back((now + TALK, call));
                        }
                        while let Some((_, call)) = talks.pop_front_if(|(until, _)| *until <= now) {
                            self.phone.hang_up(now.into_std(), call);
                        }
                        self.drain();
                    }
                    () = self.wait() => {}
                }
            }
        })
    }

    async fn wait(&mut self) {
        let timer = self.phone.next_timeout().map(Instant::from_std);
        let mut buffer = [0; 4096];
        tokio::select! {
            received = self.socket.recv_from(&mut buffer) => {
                // An error is that of an earlier datagram, to a server that is not there.
                let Ok((length, from)) = received else { return };
                self.note(&String::from_utf8_lossy(&buffer[..length]));
                let bytes = Bytes::copy_from_slice(&buffer[..length]);
                self.phone.receive(Instant::now().into_std(), from, bytes);
            }
            () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                self.phone.expire(Instant::now().into_std());
            }
        }
        self.drain();
    }

    /// Notes an INVITE that begins a call: its To has no tag yet (RFC 3261 §8.1.1.2).
    fn note(&self, datagram: &str) {
        let line = |name: &str| datagram.lines().find_map(|line| line.strip_prefix(name));
        if let Some(uri) = datagram.strip_prefix("INVITE sip:")
            && line("To:").is_some_and(|to| !to.contains(";tag="))
        {
            let user = uri.split('@').next().unwrap().to_owned();
            let callid = line("Call-ID:").unwrap().trim().to_owned();
            self.called.lock().unwrap().entry(user).or_default().insert(callid);
        }
    }

    fn drain(&mut self) {
        while self.phone.poll_event().is_some() {}
        while let Some(output) = self.phone.poll() {
            if let Output::Transmit { to, bytes } = output {
                // What is not sent now is sent again by the phone's timers.
                let _ = self.socket.try_send_to(&bytes, to);
            }
        }
    }
}

/// Phones that call each other, until they are stopped.
pub(crate) struct Load(Vec<JoinHandle<()>>);

impl Load {
    /// So many calls a second, and some that stay.
    pub(crate) async fn start(server: SocketAddr, rate: u32, stay: usize) -> Self {
        let (alice, bob) = (
            Line::new("alice", server, Called::default()).await,
            Line::new("bob", server, Called::default()).await,
        );
        let to = bob.address();
        Self(vec![alice.call(to, rate, stay), bob.serve()])
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
