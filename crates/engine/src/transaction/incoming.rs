//! Requests of others: recognised when they come again, answered, and their answers repeated
//! (RFC 3261 §17.2).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Method, Request};

use super::invite_server::InviteServer;
use super::server::Server;
use super::{Action, Event, Key, Transactions};
use crate::ids::{MAGIC_COOKIE, Tag};
use crate::limits::MAX_TRANSACTIONS;

/// Names a server transaction: a fingerprint of what RFC 3261 §17.2.3 matches by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(u128);

pub(super) struct ServerEntry {
    machine: ServerMachine,
    response: Bytes,
    reply_to: SocketAddr,
    /// Found again by this when the request comes by a second path.
    merge_key: Option<u128>,
    leg: Option<Tag>,
}

impl ServerEntry {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.machine.next_timeout()
    }
}

enum ServerMachine {
    Invite(InviteServer),
    Other(Server),
}

impl<O: Copy> Transactions<O> {
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
        if let Some(at) = entry.next_timeout() {
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

    pub(super) fn on_request(
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
        // A BYE makes room, so there is some kept for it.
        let kept = if request.method == Method::Bye { MAX_TRANSACTIONS / 10 } else { 0 };
        if self.servers.len() >= MAX_TRANSACTIONS + kept {
            // Without a transaction every copy of the request is answered anew, and must get the
            // same tag (RFC 3261 §8.2.7).
            let tag = format!("{:016x}", key.0 >> 64);
            let mut busy = sip::respond(&request, 503, &tag, source);
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

    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: Request,
    ) -> Option<Event<O>> {
        // The ACK of a 2xx has a branch of its own, so it usually finds no transaction.
        let Some(entry) = self.servers.get_mut(&key) else { return Some(Event::Ack { request }) };
        let ServerMachine::Invite(machine) = &mut entry.machine else { return None };
        let actions = machine.on_ack(now);
        if let Some(at) = machine.next_timeout() {
            self.deadlines.set(at, Key::Server(key));
        }
        actions.contains(&Action::Deliver).then_some(Event::Ack { request })
    }

    pub(super) fn on_cancel(
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
        let meant = self.servers.get(&invite);
        let (found, leg) = (meant.is_some(), meant.and_then(|entry| entry.leg));
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
        Some(Event::Cancel { key, request, source, found, leg })
    }

    fn insert(&mut self, now: Instant, key: ServerKey, entry: ServerEntry) {
        self.deadlines.set(entry.next_timeout().unwrap_or(now), Key::Server(key));
        self.servers.insert(key, entry);
    }

    pub(super) fn expire_server(&mut self, now: Instant, key: ServerKey) {
        let Some(entry) = self.servers.get_mut(&key) else { return };
        let actions = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.on_timeout(now),
            ServerMachine::Other(machine) => machine.on_timeout(now),
        };
        if let Some(at) = entry.next_timeout() {
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

    /// RFC 3261 §17.2.3. An ACK and a CANCEL find the INVITE they belong to.
    pub(super) fn server_key(&self, request: &Request) -> ServerKey {
        let via = request.via();
        let method = match request.method {
            Method::Ack | Method::Cancel => "INVITE",
            _ => request.method_name(),
        };
        let port = via.port.unwrap_or(5060).to_be_bytes();
        let fingerprint = match request.branch() {
            Some(branch) if branch.starts_with(MAGIC_COOKIE) && branch != MAGIC_COOKIE => self
                .hash
                .fingerprint(&[branch.as_bytes(), via.host.as_bytes(), &port, method.as_bytes()]),
            // A client of RFC 2543, or one that is as good (RFC 4475 §3.2.1): it has no transaction
            // identifier of its own.
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

impl ServerMachine {
    fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.next_timeout(),
            Self::Other(machine) => machine.next_timeout(),
        }
    }
}

/// Where the answer to a request goes: RFC 3261 §18.2.2, and RFC 3581 §4 when `rport` is there.
fn reply_address(request: &Request, source: SocketAddr) -> SocketAddr {
    let via = request.via();
    match via.rport() {
        Some(_) => source,
        None => SocketAddr::new(source.ip(), via.port.unwrap_or(5060)),
    }
}
