//! Requests of ours: sent, retransmitted, matched with their answers (RFC 3261 §17.1).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Method, Name, Request, Response, Writer};

use super::client::Client;
use super::invite_client::InviteClient;
use super::{Action, Event, Full, Hop, Key, Output, Transactions};
use crate::ids::Branch;
use crate::limits::{MAX_RESOLVING, MAX_TRANSACTIONS};
use crate::passing::Parting;
use crate::timer::T1X64;

/// Names a client transaction: our branch, and whether it is the CANCEL that shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientKey(u64, bool);

pub(super) struct ClientEntry<O> {
    machine: ClientMachine,
    method: Method,
    /// What is retransmitted, and what an ACK or CANCEL is made from. Empty once neither can come.
    request: Bytes,
    hop: Hop,
    owner: O,
    /// To tag of the answer whose dialog is over.
    settled: Option<Box<str>>,
}

impl<O> ClientEntry<O> {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.machine.next_timeout()
    }
}

enum ClientMachine {
    /// The next hop is being resolved: nothing was sent.
    Resolving {
        give_up: Instant,
    },
    Invite(InviteClient),
    Other(Client),
}

/// Who waits for a name.
pub(super) enum Pending {
    Client(ClientKey),
    Datagram(Bytes),
}

impl<O: Copy> Transactions<O> {
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
        self.deadlines.set(entry.next_timeout().unwrap_or(now), Key::Client(key));
        self.clients.insert(key, entry);
        Ok(())
    }

    /// The request with this branch, as long as it may be sent again or cancelled.
    pub(crate) fn sent(&self, branch: Branch) -> Option<Request> {
        let entry = self.clients.get(&ClientKey(branch.0, false))?;
        Request::parse(entry.request.clone()).ok()
    }

    /// The request that a response answers, likewise.
    pub(crate) fn answered(&self, response: &Response) -> Option<Request> {
        self.sent(response.branch().and_then(Branch::parse)?)
    }

    /// Sends a CANCEL for the INVITE with this branch (RFC 3261 §9.1).
    /// `parting` is what it says of it.
    pub(crate) fn cancel(
        &mut self,
        now: Instant,
        branch: Branch,
        owner: O,
        parting: Option<&Parting>,
    ) {
        let Some(entry) = self.clients.get(&ClientKey(branch.0, false)) else { return };
        let Ok(invite) = Request::parse(entry.request.clone()) else { return };
        let mut writer = derived(&invite, Method::Cancel, None);
        parting.inspect(|parting| parting.write(&mut writer));
        let (hop, bytes) = (entry.hop.clone(), writer.finish());
        // A full table leaves the INVITE to its own deadline.
        let _ = self.request(now, branch, Method::Cancel, hop, bytes, owner);
    }

    /// Says that the dialog which the 2xx with this tag made is over: repetitions of it are dropped.
    pub(crate) fn settle(&mut self, branch: Branch, tag: Option<&str>) {
        if let Some(entry) = self.clients.get_mut(&ClientKey(branch.0, false)) {
            entry.settled = tag.map(Into::into);
        }
    }

    /// Takes back the INVITE with this branch if its next hop's name is still being resolved, and
    /// nothing was sent.
    pub(crate) fn take_unsent(&mut self, branch: Branch) -> bool {
        let key = ClientKey(branch.0, false);
        let entry = self.clients.get(&key);
        let unsent =
            entry.is_some_and(|entry| matches!(entry.machine, ClientMachine::Resolving { .. }));
        if unsent {
            self.clients.remove(&key);
        }
        unsent
    }

    /// Sends the INVITE with this branch no more, whether it has arrived or not. Its answers are heard.
    pub(crate) fn hush(&mut self, branch: Branch) {
        let key = ClientKey(branch.0, false);
        if let Some(entry) = self.clients.get_mut(&key)
            && let ClientMachine::Invite(InviteClient::Calling { retransmit, give_up, .. }) =
                &mut entry.machine
        {
            *retransmit = *give_up;
            self.deadlines.set(*give_up, Key::Client(key));
        }
    }

    /// Whether the INVITE with this branch got a provisional response and nothing else.
    pub(crate) fn is_proceeding(&self, branch: Branch) -> bool {
        let entry = self.clients.get(&ClientKey(branch.0, false));
        entry.is_some_and(|entry| {
            matches!(entry.machine, ClientMachine::Invite(InviteClient::Proceeding))
        })
    }

    /// Whether a CANCEL for the INVITE with this branch is under way.
    pub(crate) fn is_cancelled(&self, branch: Branch) -> bool {
        self.clients.contains_key(&ClientKey(branch.0, true))
    }

    /// Stops waiting for the answer to the request with this branch: it is sent no more, and the
    /// user hears of no refusal. A late refusal of an INVITE is still acknowledged.
    pub(crate) fn abandon(&mut self, now: Instant, branch: Branch) {
        let key = ClientKey(branch.0, false);
        if let Some(entry) = self.clients.get_mut(&key) {
            let until = now + T1X64;
            entry.machine = match entry.method {
                Method::Invite => ClientMachine::Invite(InviteClient::Completed { until }),
                _ => ClientMachine::Other(Client::Completed { until }),
            };
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
        // The user has given up meanwhile: what was never sent need not be.
        if !matches!(entry.machine, ClientMachine::Resolving { .. }) {
            return None;
        }
        let Some(to) = address else {
            let owner = entry.owner;
            self.clients.remove(&key);
            return Some(Event::Unreachable { owner });
        };
        entry.hop = Hop::Address(to);
        entry.machine = ClientMachine::start(now, entry.method);
        let bytes = entry.request.clone();
        self.deadlines.set(entry.next_timeout().unwrap_or(now), Key::Client(key));
        self.transmit(to, bytes);
        None
    }

    pub(super) fn on_response(&mut self, now: Instant, response: Response) -> Option<Event<O>> {
        let cseq = response.cseq();
        // RFC 3261 §8.1.3.3: a response with a second Via is not for us.
        if response.values(Name::Via).nth(1).is_some() {
            return None;
        }
        let key = ClientKey(Branch::parse(response.branch()?)?.0, cseq.method == Method::Cancel);
        let entry = self.clients.get_mut(&key).filter(|entry| entry.method == cseq.method)?;
        let before = entry.next_timeout();
        let actions = match &mut entry.machine {
            // It was never sent, so this answers nothing.
            ClientMachine::Resolving { .. } => &[],
            ClientMachine::Invite(machine) => machine.on_response(now, response.status),
            ClientMachine::Other(machine) => machine.on_response(now, response.status),
        };
        let after = entry.next_timeout();
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
            self.transmit(to, ack.finish());
        } else if matches!(entry.machine, ClientMachine::Invite(InviteClient::Accepted { .. })) {
            entry.request = Bytes::new();
        }
        deliver.then_some(Event::Response { owner, response })
    }

    pub(super) fn expire_client(&mut self, now: Instant, key: ClientKey) -> Option<Event<O>> {
        let entry = self.clients.get_mut(&key)?;
        let owner = entry.owner;
        let unsent = matches!(entry.machine, ClientMachine::Resolving { .. });
        let actions = match &mut entry.machine {
            ClientMachine::Resolving { .. } => &[Action::TimedOut],
            ClientMachine::Invite(machine) => machine.on_timeout(now),
            ClientMachine::Other(machine) => machine.on_timeout(now),
        };
        let timed_out = actions.contains(&Action::TimedOut);
        match entry.next_timeout().filter(|_| !unsent) {
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
}

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

/// The ACK of a refusal (RFC 3261 §17.1.1.3) or the CANCEL (§9.1) of an INVITE: its own start line,
/// topmost Via, Route, From, Call-ID and CSeq number; `to` is the response's for an ACK.
fn derived(invite: &Request, method: Method, to: Option<&[u8]>) -> Writer {
    let mut writer = Writer::request(method.as_str(), invite.uri());
    if let Some(via) = invite.value(Name::Via) {
        writer.bytes("Via", via);
    }
    writer.header("Max-Forwards", 70).copy_all(invite, Name::Route).copy_all(invite, Name::From);
    writer.bytes("To", to.or(invite.value(Name::To)).unwrap_or_default());
    writer.header("Call-ID", invite.call_id());
    writer.header("CSeq", format_args!("{} {}", invite.cseq().number, method.as_str()));
    writer
}
