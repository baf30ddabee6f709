//! The transaction layer (RFC 3261 §17): matches messages to the four machines beside this file,
//! retransmits for them, and tells the transaction user what is new.
//!
//! The machines decide (state and input give [`Action`]s); this file acts: it keeps the messages,
//! the addresses and the deadlines. It is generic in `O`, the transaction user's own name for what
//! it sent, which comes back with every answer.

mod client;
mod invite_client;
mod invite_server;
mod server;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Message, Method, Name, Request, Response, Writer};

use self::client::Client;
use self::invite_client::InviteClient;
use self::invite_server::InviteServer;
use self::server::Server;
use crate::hash::{Keyed, Map};
use crate::ids::{Branch, MAGIC_COOKIE, Tag};
use crate::limits::{MAX_RESOLVING, MAX_TRANSACTIONS};
use crate::timer::{Deadlines, T1X64};

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
    /// A CANCEL, to be answered too, and the leg whose INVITE it means, when that still rings.
    Cancel { key: ServerKey, request: Request, source: SocketAddr, leg: Option<Tag> },
    /// An answer to a request of ours.
    Response { owner: O, response: Response },
    /// No answer came in time.
    TimedOut { owner: O },
    /// The next hop's name could not be resolved.
    Unreachable { owner: O },
}

/// Names a client transaction: our branch, and whether it is the CANCEL that shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ClientKey(u64, bool);

/// Names a server transaction: a fingerprint of what RFC 3261 §17.2.3 matches by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(u128);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Client(ClientKey),
    Server(ServerKey),
}

struct ClientEntry<O> {
    machine: ClientMachine,
    method: Method,
    /// What is retransmitted, and what an ACK or CANCEL is made from. Empty once neither can come.
    request: Bytes,
    hop: Hop,
    owner: O,
    /// To tag of the answer whose dialog is over.
    settled: Option<Box<str>>,
}

enum ClientMachine {
    /// The next hop is being resolved: nothing was sent.
    Resolving {
        give_up: Instant,
    },
    Invite(InviteClient),
    Other(Client),
}

struct ServerEntry {
    machine: ServerMachine,
    response: Bytes,
    reply_to: SocketAddr,
    /// Found again by this when the request comes by a second path.
    merge_key: Option<u128>,
    leg: Option<Tag>,
}

enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

/// Who waits for a name.
enum Pending {
    Client(ClientKey),
    Datagram(Bytes),
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

    /// Sends a request in a new client transaction. `branch` is the one in its Via.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        branch: Branch,
        method: Method,
        hop: Hop,
        request: Bytes,
        owner: O,
    ) -> Result<(), Full> {
        if self.clients.len() >= MAX_TRANSACTIONS {
            return Err(Full);
        }
        let key = ClientKey(branch.0, method == Method::Cancel);
        let machine = match &hop {
            Hop::Address(_) => ClientMachine::start(now, method),
            Hop::Name { .. } => ClientMachine::Resolving { give_up: now + T1X64 },
        };
        match &hop {
            Hop::Address(to) => self.transmit(*to, request.clone()),
            Hop::Name { .. } => self.resolve(&hop, Pending::Client(key))?,
        }
        let entry = ClientEntry { machine, method, request, hop, owner, settled: None };
        self.deadlines.set(entry.machine.next_timeout().unwrap_or(now), Key::Client(key));
        self.clients.insert(key, entry);
        Ok(())
    }

    /// Sends a CANCEL for the INVITE with this branch (RFC 3261 §9.1).
    pub(crate) fn cancel(&mut self, now: Instant, branch: Branch, owner: O) {
        let Some(entry) = self.clients.get(&ClientKey(branch.0, false)) else { return };
        let Ok(invite) = Request::parse(entry.request.clone()) else { return };
        let (hop, bytes) = (entry.hop.clone(), derived(&invite, Method::Cancel, None));
        // A full table leaves the INVITE to its own deadline.
        let _ = self.request(now, branch, Method::Cancel, hop, bytes, owner);
    }

    /// Says that the dialog which the 2xx with this tag made is over: repetitions of it are dropped.
    pub(crate) fn settle(&mut self, branch: Branch, tag: Option<&str>) {
        if let Some(entry) = self.clients.get_mut(&ClientKey(branch.0, false)) {
            entry.settled = tag.map(Into::into);
        }
    }

    /// Stops waiting for the answer to the INVITE with this branch. A late refusal is still
    /// acknowledged; the user hears of nothing any more.
    pub(crate) fn abandon(&mut self, now: Instant, branch: Branch) {
        let key = ClientKey(branch.0, false);
        if let Some(entry) = self.clients.get_mut(&key) {
            let until = now + T1X64;
            entry.machine = ClientMachine::Invite(InviteClient::Completed { until });
            self.deadlines.set(until, Key::Client(key));
        }
    }

    /// Sends a message outside any transaction: the ACK of a 2xx.
    pub(crate) fn send(&mut self, hop: &Hop, bytes: Bytes) {
        match hop {
            Hop::Address(to) => self.transmit(*to, bytes),
            // Without a place in the table the ACK is lost, as any datagram may be: the peer's
            // retransmitted 2xx brings the next one.
            Hop::Name { .. } => drop(self.resolve(hop, Pending::Datagram(bytes))),
        }
    }

    /// Answers a request. Late and second final answers are dropped by the machine.
    pub(crate) fn respond(&mut self, now: Instant, key: ServerKey, status: u16, response: Bytes) {
        let Some(entry) = self.servers.get_mut(&key) else { return };
        let actions = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.respond(now, status),
            ServerMachine::Other(machine) => machine.respond(now, status),
        };
        if actions.is_empty() {
            return;
        }
        let to = entry.reply_to;
        // RFC 6026 §7.1: the user repeats its 2xx itself.
        let ours_to_repeat =
            !matches!(entry.machine, ServerMachine::Invite(InviteServer::Accepted { .. }));
        entry.response = if ours_to_repeat { response.clone() } else { Bytes::new() };
        if let Some(at) = entry.machine.next_timeout() {
            self.deadlines.set(at, Key::Server(key));
        }
        self.transmit(to, response);
    }

    /// Says which leg an INVITE belongs to, so that its CANCEL finds it.
    pub(crate) fn set_leg(&mut self, key: ServerKey, leg: Tag) {
        if let Some(entry) = self.servers.get_mut(&key) {
            entry.leg = Some(leg);
        }
    }

    /// A name was resolved, or could not be.
    pub(crate) fn resolved(
        &mut self,
        now: Instant,
        query: u64,
        address: Option<SocketAddr>,
    ) -> Option<Event<O>> {
        let key = match (self.resolving.remove(&query)?, address) {
            (Pending::Datagram(bytes), Some(to)) => {
                self.transmit(to, bytes);
                return None;
            }
            (Pending::Datagram(_), None) => return None,
            (Pending::Client(key), _) => key,
        };
        let entry = self.clients.get_mut(&key)?;
        let Some(to) = address else {
            let owner = entry.owner;
            self.clients.remove(&key);
            return Some(Event::Unreachable { owner });
        };
        entry.hop = Hop::Address(to);
        entry.machine = ClientMachine::start(now, entry.method);
        let bytes = entry.request.clone();
        self.deadlines.set(entry.machine.next_timeout().unwrap_or(now), Key::Client(key));
        self.transmit(to, bytes);
        None
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

    fn on_response(&mut self, now: Instant, response: Response) -> Option<Event<O>> {
        let cseq = response.cseq();
        // RFC 3261 §8.1.3.3: a response with a second Via is not for us.
        if response.values(Name::Via).nth(1).is_some() {
            return None;
        }
        let key = ClientKey(Branch::parse(response.branch()?)?.0, cseq.method == Method::Cancel);
        let entry = self.clients.get_mut(&key).filter(|entry| entry.method == cseq.method)?;
        let before = entry.machine.next_timeout();
        let actions = match &mut entry.machine {
            // It was never sent, so this answers nothing.
            ClientMachine::Resolving { .. } => &[],
            ClientMachine::Invite(machine) => machine.on_response(now, response.status),
            ClientMachine::Other(machine) => machine.on_response(now, response.status),
        };
        let after = entry.machine.next_timeout();
        if let Some(at) = after.filter(|_| after != before) {
            self.deadlines.set(at, Key::Client(key));
        }
        let over = entry.settled.is_some() && entry.settled.as_deref() == response.to_tag();
        let (owner, deliver) = (entry.owner, actions.contains(&Action::Deliver) && !over);
        if actions.contains(&Action::Ack)
            && let Hop::Address(to) = entry.hop
            && let Ok(invite) = Request::parse(entry.request.clone())
        {
            let ack = derived(&invite, Method::Ack, response.value(Name::To));
            self.transmit(to, ack);
        } else if matches!(entry.machine, ClientMachine::Invite(InviteClient::Accepted { .. })) {
            entry.request = Bytes::new();
        }
        deliver.then_some(Event::Response { owner, response })
    }

    fn on_request(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) -> Option<Event<O>> {
        if let Some(entry) = self.servers.get_mut(&key) {
            let actions = match &mut entry.machine {
                ServerMachine::Invite(machine) => machine.on_retransmission(),
                ServerMachine::Other(machine) => machine.on_retransmission(),
            };
            if actions.contains(&Action::Send) && !entry.response.is_empty() {
                let (to, bytes) = (entry.reply_to, entry.response.clone());
                self.transmit(to, bytes);
            }
            return None;
        }
        let reply_to = reply_address(&request, source);
        // A BYE makes room, so it is always let in.
        if self.servers.len() >= MAX_TRANSACTIONS && request.method != Method::Bye {
            let mut busy = sip::respond(&request, 503, "", source);
            busy.header("Retry-After", 10);
            self.transmit(reply_to, busy.finish());
            return None;
        }
        let merge_key = request.to_tag().is_none().then(|| self.merge_key(&request));
        let merged = merge_key.is_some_and(|key| self.merges.contains_key(&key));
        let merge_key = merge_key.filter(|_| !merged);
        if let Some(merge_key) = merge_key {
            self.merges.insert(merge_key, key);
        }
        let machine = match request.method {
            Method::Invite => ServerMachine::Invite(InviteServer::new()),
            _ => ServerMachine::Other(Server::new(now)),
        };
        self.insert(
            now,
            key,
            ServerEntry { machine, response: Bytes::new(), reply_to, merge_key, leg: None },
        );
        Some(Event::Request { key, request, source, merged })
    }

    fn on_ack(&mut self, now: Instant, key: ServerKey, request: Request) -> Option<Event<O>> {
        // The ACK of a 2xx has a branch of its own, so it usually finds no transaction.
        let Some(entry) = self.servers.get_mut(&key) else { return Some(Event::Ack { request }) };
        let ServerMachine::Invite(machine) = &mut entry.machine else { return None };
        let actions = machine.on_ack(now);
        if let Some(at) = machine.next_timeout() {
            self.deadlines.set(at, Key::Server(key));
        }
        actions.contains(&Action::Deliver).then_some(Event::Ack { request })
    }

    fn on_cancel(
        &mut self,
        now: Instant,
        invite: ServerKey,
        request: Request,
        source: SocketAddr,
    ) -> Option<Event<O>> {
        let key = ServerKey(invite.0 ^ 1);
        if self.servers.contains_key(&key) {
            return self.on_request(now, key, request, source);
        }
        let leg = self.servers.get(&invite).and_then(|entry| entry.leg);
        if leg.is_none() && self.servers.len() >= MAX_TRANSACTIONS {
            return None;
        }
        let reply_to = reply_address(&request, source);
        let machine = ServerMachine::Other(Server::new(now));
        self.insert(
            now,
            key,
            ServerEntry { machine, response: Bytes::new(), reply_to, merge_key: None, leg: None },
        );
        Some(Event::Cancel { key, request, source, leg })
    }

    fn insert(&mut self, now: Instant, key: ServerKey, entry: ServerEntry) {
        self.deadlines.set(entry.machine.next_timeout().unwrap_or(now), Key::Server(key));
        self.servers.insert(key, entry);
    }

    fn expired(&mut self, now: Instant) -> Option<Key> {
        let (clients, servers) = (&self.clients, &self.servers);
        self.deadlines.expired(now, |key| deadline(clients, servers, key))
    }

    fn expire_client(&mut self, now: Instant, key: ClientKey) -> Option<Event<O>> {
        let entry = self.clients.get_mut(&key)?;
        let owner = entry.owner;
        let unsent = matches!(entry.machine, ClientMachine::Resolving { .. });
        let actions = match &mut entry.machine {
            ClientMachine::Resolving { .. } => &[Action::TimedOut],
            ClientMachine::Invite(machine) => machine.on_timeout(now),
            ClientMachine::Other(machine) => machine.on_timeout(now),
        };
        let timed_out = actions.contains(&Action::TimedOut);
        match entry.machine.next_timeout().filter(|_| !unsent) {
            Some(at) => self.deadlines.set(at, Key::Client(key)),
            None => drop(self.clients.remove(&key)),
        }
        if actions.contains(&Action::Send)
            && let Some(ClientEntry { hop: Hop::Address(to), request, .. }) = self.clients.get(&key)
        {
            let (to, bytes) = (*to, request.clone());
            self.transmit(to, bytes);
        }
        timed_out.then_some(Event::TimedOut { owner })
    }

    fn expire_server(&mut self, now: Instant, key: ServerKey) {
        let Some(entry) = self.servers.get_mut(&key) else { return };
        let actions = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_timeout(now),
            ServerMachine::Other(machine) => machine.on_timeout(now),
        };
        if let Some(at) = entry.machine.next_timeout() {
            let (to, bytes) = (entry.reply_to, entry.response.clone());
            self.deadlines.set(at, Key::Server(key));
            if actions.contains(&Action::Send) {
                self.transmit(to, bytes);
            }
        } else if let Some(merge_key) = self.servers.remove(&key).and_then(|entry| entry.merge_key)
        {
            self.merges.remove(&merge_key);
        }
    }

    fn resolve(&mut self, hop: &Hop, pending: Pending) -> Result<(), Full> {
        let Hop::Name { host, port } = hop else { return Ok(()) };
        if self.resolving.len() >= MAX_RESOLVING {
            return Err(Full);
        }
        self.queries += 1;
        self.resolving.insert(self.queries, pending);
        self.out.push_back(Output::Resolve {
            query: self.queries,
            host: host.clone(),
            port: *port,
        });
        Ok(())
    }

    /// RFC 3261 §17.2.3. An ACK and a CANCEL find the INVITE they belong to.
    fn server_key(&self, request: &Request) -> ServerKey {
        let via = request.via();
        let method = match request.method {
            Method::Ack | Method::Cancel => "INVITE",
            _ => request.method_name(),
        };
        let port = via.port.unwrap_or(5060).to_be_bytes();
        let fingerprint = match request.branch() {
            Some(branch) if branch.starts_with(MAGIC_COOKIE) => self.hash.fingerprint(&[
                branch.as_bytes(),
                via.host.as_bytes(),
                &port,
                method.as_bytes(),
            ]),
            // A client of RFC 2543, which has no transaction identifier of its own.
            branch => self.hash.fingerprint(&[
                request.uri().as_bytes(),
                request.from_tag().unwrap_or_default().as_bytes(),
                request.call_id().as_bytes(),
                &request.cseq().number.to_be_bytes(),
                via.host.as_bytes(),
                &port,
                branch.unwrap_or_default().as_bytes(),
                method.as_bytes(),
            ]),
        };
        // The lowest bit tells the CANCEL from the INVITE that it shares everything else with.
        ServerKey(fingerprint & !1)
    }

    fn merge_key(&self, request: &Request) -> u128 {
        self.hash.fingerprint(&[
            request.from_tag().unwrap_or_default().as_bytes(),
            request.call_id().as_bytes(),
            &request.cseq().number.to_be_bytes(),
            request.method_name().as_bytes(),
        ])
    }
}

/// A table is at its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl ClientMachine {
    fn start(now: Instant, method: Method) -> Self {
        match method {
            Method::Invite => Self::Invite(InviteClient::new(now)),
            _ => Self::Other(Client::new(now)),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Resolving { give_up } => Some(*give_up),
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
        }
    }
}

impl ServerMachine {
    fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
        }
    }
}

fn deadline<O>(
    clients: &Map<ClientKey, ClientEntry<O>>,
    servers: &Map<ServerKey, ServerEntry>,
    key: Key,
) -> Option<Instant> {
    match key {
        Key::Client(key) => clients.get(&key)?.machine.next_timeout(),
        Key::Server(key) => servers.get(&key)?.machine.next_timeout(),
    }
}

/// The ACK of a refusal (RFC 3261 §17.1.1.3) or the CANCEL (§9.1) of an INVITE: its own start line,
/// topmost Via, Route, From, Call-ID and CSeq number; `to` is the response's for an ACK.
fn derived(invite: &Request, method: Method, to: Option<&[u8]>) -> Bytes {
    let mut writer = Writer::request(method.as_str(), invite.uri());
    if let Some(via) = invite.value(Name::Via) {
        writer.bytes("Via", via);
    }
    writer.header("Max-Forwards", 70).copy_all(invite, Name::Route).copy_all(invite, Name::From);
    writer.bytes("To", to.or(invite.value(Name::To)).unwrap_or_default());
    writer.header("Call-ID", invite.call_id());
    writer.header("CSeq", format_args!("{} {}", invite.cseq().number, method.as_str()));
    writer.finish()
}

/// Where the answer to a request goes: RFC 3261 §18.2.2, and RFC 3581 §4 when `rport` is there.
fn reply_address(request: &Request, source: SocketAddr) -> SocketAddr {
    let via = request.via();
    match via.rport() {
        Some(_) => source,
        None => SocketAddr::new(source.ip(), via.port.unwrap_or(5060)),
    }
}
