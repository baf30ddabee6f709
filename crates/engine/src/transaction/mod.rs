//! The transaction layer (RFC 3261 §17): matches messages to the four machines beside this file,
//! retransmits for them, and tells the transaction user what is new.
//!
//! The machines decide (state and input give [`Action`]s); this file acts: it keeps the messages,
//! the addresses and the deadlines. It is generic in `O`, the transaction user's own name for what
//! it sent, which comes back with every answer.

mod client;
mod incoming;
mod invite_client;
mod invite_server;
mod outgoing;
mod server;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Message, Method, Request, Response};

use self::incoming::ServerEntry;
pub use self::incoming::ServerKey;
use self::outgoing::{ClientEntry, ClientKey, Pending};
use crate::hash::{Keyed, Map};
use crate::ids::Tag;
use crate::timer::Deadlines;

/// What a machine asks of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the request, or the last response, (again).
    Send,
    /// Acknowledge the refusal of our INVITE.
    Ack,
    /// Give the message to the transaction user.
    Deliver,
    /// Tell the transaction user that nothing came in time.
    TimedOut,
}

/// Where a message goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// An address.
    Address(SocketAddr),
    /// A name that the shell must resolve first.
    Name {
        /// Host name, as in the URI.
        host: Box<str>,
        /// Port of the URI, or 5060.
        port: u16,
    },
}

/// What the layer wants done outside.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// Receiver.
        to: SocketAddr,
        /// The whole datagram.
        bytes: Bytes,
    },
    /// Resolve a name, and answer with `resolved`, always.
    Resolve {
        /// Names the question in the answer.
        query: u64,
        /// Host name.
        host: Box<str>,
        /// Port to put into the address.
        port: u16,
    },
}

/// What the layer tells the transaction user.
#[derive(Debug)]
pub(crate) enum Event<O> {
    /// A new request, to be answered with [`Transactions::respond`]. `merged`: it reached us by a
    /// second path (RFC 3261 §8.2.2.2).
    Request { key: ServerKey, request: Request, source: SocketAddr, merged: bool },
    /// An ACK that belongs to a 2xx.
    Ack { request: Request },
    /// A CANCEL, to be answered too; whether there is an INVITE that it means, and whose leg's.
    Cancel { key: ServerKey, request: Request, source: SocketAddr, found: bool, leg: Option<Tag> },
    /// An answer to a request of ours.
    Response { owner: O, response: Response },
    /// No answer came in time.
    TimedOut { owner: O },
    /// The next hop's name could not be resolved.
    Unreachable { owner: O },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Client(ClientKey),
    Server(ServerKey),
}

/// The transaction layer.
pub(crate) struct Transactions<O> {
    hash: Keyed,
    clients: Map<ClientKey, ClientEntry<O>>,
    servers: Map<ServerKey, ServerEntry>,
    merges: Map<u128, ServerKey>,
    resolving: Map<u64, Pending>,
    queries: u64,
    deadlines: Deadlines<Key>,
    out: VecDeque<Output>,
}

impl<O: Copy> Transactions<O> {
    pub(crate) fn new(hash: Keyed) -> Self {
        Self {
            hash,
            clients: hash.map(),
            servers: hash.map(),
            merges: hash.map(),
            resolving: hash.map(),
            queries: 0,
            deadlines: Deadlines::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes a message from the network.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: Message,
    ) -> Option<Event<O>> {
        match message {
            Message::Response(response) => self.on_response(now, response),
            Message::Request(request) => {
                let key = self.server_key(&request);
                match request.method {
                    Method::Ack => self.on_ack(now, key, request),
                    Method::Cancel => self.on_cancel(now, key, request, source),
                    _ => self.on_request(now, key, request, source),
                }
            }
        }
    }

    /// Runs the timers that are due, up to the first that the user must hear of.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Event<O>> {
        while let Some(key) = self.expired(now) {
            let timed_out = match key {
                Key::Client(key) => self.expire_client(now, key),
                Key::Server(key) => {
                    self.expire_server(now, key);
                    None
                }
            };
            if timed_out.is_some() {
                return timed_out;
            }
        }
        None
    }

    /// When [`Self::expire`] wants to be called next.
    pub(crate) fn next_timeout(&mut self) -> Option<Instant> {
        let (clients, servers) = (&self.clients, &self.servers);
        self.deadlines.next(|key| deadline(clients, servers, key))
    }

    /// The next thing to do outside.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Transactions in progress and names being resolved: zero at rest.
    pub(crate) fn len(&self) -> usize {
        self.clients.len() + self.servers.len() + self.resolving.len()
    }

    /// Sends a datagram that no transaction repeats.
    pub(crate) fn transmit(&mut self, to: SocketAddr, bytes: Bytes) {
        self.out.push_back(Output::Transmit { to, bytes });
    }

    fn expired(&mut self, now: Instant) -> Option<Key> {
        let (clients, servers) = (&self.clients, &self.servers);
        self.deadlines.expired(now, |key| deadline(clients, servers, key))
    }
}

/// A table is at its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

fn deadline<O>(
    clients: &Map<ClientKey, ClientEntry<O>>,
    servers: &Map<ServerKey, ServerEntry>,
    key: Key,
) -> Option<Instant> {
    match key {
        Key::Client(key) => clients.get(&key)?.next_timeout(),
        Key::Server(key) => servers.get(&key)?.next_timeout(),
    }
}
