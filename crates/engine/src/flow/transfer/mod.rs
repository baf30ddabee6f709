//! `CallBlindTransfer` and `CallAttendedTransfer`: a party of a call is sent elsewhere, and the other
//! one is released once it talks there. Until then the call stands, and when it does not get there
//! the call goes on.
//!
//! Two ways lead there. [`refer`](self): the party's phone is asked to place the new call itself
//! (RFC 5359 §2.4, RFC 5589). [`join`](self): the engine calls the target, or takes it from the other
//! call, and joins the two by re-INVITE (RFC 3725 §4.4). Mode `auto` takes the first if the phones
//! can, and the second when they then do not.
//!
//! ```text
//!  the one who goes   engine      the other one    target
//!    |<-REFER-----------|               |             |      TRANSFER_ACCEPT
//!    |--202------------>|               |             |
//!    |--INVITE--------->|--INVITE-------------------->|      CALL_START
//!    |<-200 OK----------|<-200 OK---------------------|
//!    |<-BYE-------------|--BYE--------->|             |      Ended
//! ```
//!
//! What phones ask for is in [`phone`](self): REFER is a transfer like any other, carried out by the
//! engine and reported to the phone; an INVITE with Replaces is one whose target calls by itself.

mod join;
mod phone;
mod refer;
mod undo;

pub(crate) use self::phone::Place;
pub(crate) use self::refer::Way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::Method;

use crate::call::{Call, CallKey, State};
use crate::engine::{Engine, Role, Waiter};
use crate::error::Error;
use crate::event::{CommandId, Event, Side};
use crate::flow::fork::Fork;
use crate::flow::start::Mode;
use crate::registrar::is_same_uri;
use crate::ua::{Cause, Failure, LegId};
use crate::watch::Ending;

/// The parameters of a `CallBlindTransfer` or `CallAttendedTransfer`. URIs were checked by whoever
/// read them.
#[derive(Clone, Debug)]
pub struct TransferRequest {
    /// The call: its Call-ID, or the engine's own name for it.
    pub call_id: String,
    /// The party that is sent elsewhere; the other one is released.
    pub side: Side,
    /// Where it is sent.
    pub to: Target,
    /// How it gets there.
    pub mode: Mode,
    /// Further header lines of the INVITE to the target, name and value.
    pub headers: Vec<(String, String)>,
    /// Time for the whole command. Without it each wait has its own bound.
    pub timeout: Option<Duration>,
}

/// Where a party is sent.
#[derive(Clone, Debug)]
pub enum Target {
    /// To whoever the URI leads to (a blind transfer).
    Uri(String),
    /// To a party of another call, which leaves that call for it (an attended transfer).
    Party {
        /// The other call: its Call-ID, or the engine's own name for it.
        call_id: String,
        /// The party.
        side: Side,
        /// The SIP URI it is called at, where a phone has to call it; its Contact when `None`.
        uri: Option<String>,
    },
}

/// Names a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransferKey(u64);

/// A transfer that is not over.
pub(crate) struct Transfer {
    /// The call that is transferred.
    call: CallKey,
    /// The party that goes elsewhere.
    side: Side,
    /// Its URI.
    goes: Arc<str>,
    /// URI of the party that is released: in its name the target is called (RFC 3892).
    referrer: Arc<str>,
    to: To,
    asked_by: AskedBy,
    mode: Mode,
    headers: Vec<(String, String)>,
    phase: Phase,
    one_time: Option<u64>,
    /// End of the current wait, unless the legs or the new call have one.
    deadline: Option<Instant>,
    /// End of the client's patience.
    give_up: Option<Instant>,
    pub(crate) provisional: u32,
}

/// Where a party is sent, as the engine knows it.
#[derive(Clone, Debug)]
enum To {
    Uri(String),
    Party {
        call: CallKey,
        side: Side,
        uri: Option<String>,
    },
    /// Whoever calls with Replaces, be it for a party or for the target.
    Caller,
}

/// Who wants a transfer, and is told of it.
#[derive(Clone, Copy, Debug)]
enum AskedBy {
    Command(CommandId),
    /// The phone of this leg, by REFER.
    Phone(LegId),
    /// Whoever calls with Replaces: it is told by the answer to its INVITE.
    Nobody,
}

enum Phase {
    /// The party's phone was asked to call; `accepted` once it agreed.
    Referring { accepted: bool },
    /// It calls.
    Placed(Option<CallKey>),
    /// The target's phones ring.
    Calling(Fork),
    /// The target, a party of another call, makes an offer; `asked` once it was asked for it.
    Asking { asked: bool },
    /// The party is to take the target's offer; `asked` once it has it.
    Joining { target: LegId, offer: Bytes, asked: bool },
    /// The party is to take the offer of whoever calls with Replaces.
    Replacing { caller: LegId, asked: bool },
    /// The party talks to the target. These legs and calls are going.
    Releasing { legs: Vec<LegId>, calls: Vec<CallKey>, made: Arc<str> },
}

/// What a party of a call is to its transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Goes,
    Target,
    Released,
}

impl Transfer {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        [self.deadline, self.give_up].into_iter().flatten().min()
    }

    /// The command that it is, if a client sent it.
    pub(crate) fn command(&self) -> Option<CommandId> {
        match self.asked_by {
            AskedBy::Command(command) => Some(command),
            AskedBy::Phone(_) | AskedBy::Nobody => None,
        }
    }

    /// Whether it has succeeded, and waits only for what it has released.
    pub(crate) fn is_releasing(&self) -> bool {
        matches!(self.phase, Phase::Releasing { .. })
    }

    /// What the INVITE to the target says beside what every one does.
    fn headers_to_target(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        headers.push(("Referred-By".to_owned(), format!("<{}>", self.referrer)));
        headers
    }

    /// The calls it began with.
    fn calls(&self) -> impl Iterator<Item = CallKey> + use<> {
        let other = match self.to {
            To::Party { call, .. } => Some(call),
            To::Uri(_) | To::Caller => None,
        };
        std::iter::once(self.call).chain(other)
    }

    fn part(&self, key: CallKey, side: Side) -> Part {
        match self.to {
            _ if (key, side) == (self.call, self.side) => Part::Goes,
            To::Party { call, side: target, .. } if (key, side) == (call, target) => Part::Target,
            To::Party { .. } | To::Uri(_) | To::Caller => Part::Released,
        }
    }
}

impl Engine {
    /// Sends a party of a call elsewhere. The command is done when it talks there and the other one
    /// is released; when it does not get there the call goes on as it was.
    pub fn transfer(&mut self, now: Instant, command: CommandId, request: TransferRequest) {
        match self.plan_transfer(&request) {
            Err(error) => self.report(Event::Done(command, Err(error))),
            Ok((call, to)) => {
                let TransferRequest { side, mode, headers, timeout, .. } = request;
                let asked_by = AskedBy::Command(command);
                let key = self.add_transfer(call, side, to, asked_by, mode, headers);
                if let Some(transfer) = self.transfers.get_mut(&key) {
                    transfer.give_up = timeout.map(|timeout| now + timeout);
                }
                self.begin_transfer(now, key);
            }
        }
        self.run(now);
    }

    /// Which call it is, and whom the party is to meet.
    fn plan_transfer(&self, request: &TransferRequest) -> Result<(CallKey, To), Error> {
        let key = self.find_standing(&request.call_id)?;
        let to = match &request.to {
            Target::Uri(uri) => To::Uri(uri.clone()),
            Target::Party { call_id, side, uri } => {
                let call = self.find_standing(call_id)?;
                To::Party { call, side: *side, uri: uri.clone() }
            }
        };
        self.check_parties(key, request.side, &to)?;
        Ok((key, to))
    }

    /// A party cannot meet itself, on the same phone or in the same call. All whom one gateway calls
    /// for have its Contact: the same party has the same URI, too.
    fn check_parties(&self, key: CallKey, side: Side, to: &To) -> Result<(), Error> {
        let To::Party { call: other, side: target, .. } = to else { return Ok(()) };
        if *other == key {
            return Err(Error::InvalidState("a call cannot be transferred to itself"));
        }
        let identity = |key: CallKey, side: Side| {
            let party = &self.calls.get(&key)?.parties[side as usize];
            Some((self.ua.contact(self.leg_of(key, side)?)?, &*party.uri))
        };
        match (identity(key, side), identity(*other, *target)) {
            (Some(goes), Some(target)) if goes.0 == target.0 && is_same_uri(goes.1, target.1) => {
                Err(Error::InvalidState("the two parties are the same phone"))
            }
            _ => Ok(()),
        }
    }

    /// The call that a client means, if it stands and nothing is being done with it.
    pub(crate) fn find_standing(&self, call_id: &str) -> Result<CallKey, Error> {
        if self.helpers.contains_key(call_id) {
            return Err(Error::InvalidState("the call is being started"));
        }
        let key = self.find(call_id)?;
        let call = self.calls.get(&key).ok_or(Error::NoSuchCall)?;
        call.is_standing().map(|()| key).map_err(Error::InvalidState)
    }

    fn add_transfer(
        &mut self,
        call: CallKey,
        side: Side,
        to: To,
        asked_by: AskedBy,
        mode: Mode,
        headers: Vec<(String, String)>,
    ) -> TransferKey {
        let key = TransferKey(self.ua.ids().number());
        let uri = |side: Side| {
            let party = self.calls.get(&call).map(|call| &call.parties[side as usize]);
            party.map(|party| party.uri.clone()).unwrap_or_default()
        };
        let transfer = Transfer {
            call,
            side,
            goes: uri(side),
            referrer: uri(side.other()),
            to,
            asked_by,
            mode,
            headers,
            phase: Phase::Referring { accepted: false },
            one_time: None,
            deadline: None,
            give_up: None,
            provisional: 0,
        };
        for call in transfer.calls() {
            if let Some(call) = self.calls.get_mut(&call) {
                call.transfer = Some(key);
            }
        }
        self.transfers.insert(key, Box::new(transfer));
        key
    }

    fn begin_transfer(&mut self, now: Instant, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let goes = self.leg_of(transfer.call, transfer.side);
        let takes_refer = goes.is_some_and(|leg| self.ua.allow(leg).contains(Method::Refer));
        let takes_replaces = match transfer.to {
            To::Uri(_) => true,
            To::Party { call, side, .. } => {
                self.leg_of(call, side).is_some_and(|leg| self.ua.takes_replaces(leg))
            }
            To::Caller => false,
        };
        match transfer.mode {
            Mode::Refer => self.refer_party(now, key),
            Mode::Auto if takes_refer && takes_replaces => self.refer_party(now, key),
            Mode::Auto | Mode::Bridge => self.call_target(now, key),
        }
    }

    /// The phones of the target of a transfer, while they ring.
    pub(crate) fn target_fork(&mut self, key: TransferKey) -> Option<&mut Fork> {
        match &mut self.transfers.get_mut(&key)?.phase {
            Phase::Calling(fork) => Some(fork),
            _ => None,
        }
    }

    fn leg_of(&self, call: CallKey, side: Side) -> Option<LegId> {
        self.calls.get(&call)?.leg(side)
    }

    /// Where the party is called that a transfer leads to; at its Contact unless something else was said.
    pub(crate) fn target_uri(&self, key: TransferKey) -> Option<Arc<str>> {
        match &self.transfers.get(&key)?.to {
            To::Uri(uri) | To::Party { uri: Some(uri), .. } => Some(uri.as_str().into()),
            To::Party { call, side, uri: None } => {
                Some(self.ua.contact(self.leg_of(*call, *side)?)?.into())
            }
            To::Caller => None,
        }
    }

    /// The transfer of a call, if the leg of this party has an offer of it.
    pub(crate) fn transfer_offer(&self, key: CallKey, side: Side) -> Option<TransferKey> {
        let name = self.calls.get(&key)?.transfer?;
        let transfer = self.transfers.get(&name)?;
        let has_offer = match (&transfer.phase, transfer.part(key, side)) {
            (Phase::Asking { asked }, Part::Target) => *asked,
            (Phase::Joining { asked, .. } | Phase::Replacing { asked, .. }, Part::Goes) => *asked,
            _ => false,
        };
        has_offer.then_some(name)
    }

    /// Whether the parties of a call may make no offers for a transfer makes its own.
    pub(crate) fn is_joining(&self, key: CallKey) -> bool {
        let transfer = self.calls.get(&key).and_then(|call| call.transfer);
        transfer.and_then(|key| self.transfers.get(&key)).is_some_and(|transfer| {
            matches!(
                transfer.phase,
                Phase::Asking { .. } | Phase::Joining { .. } | Phase::Replacing { .. }
            )
        })
    }

    /// A party of a transferred call has left. True when the rest of its call stays all the same.
    pub(crate) fn party_left_transfer(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        failure: &Failure,
        ending: &Ending,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let Some(name) = call.transfer else { return false };
        let Some(transfer) = self.transfers.get_mut(&name) else { return false };
        match (transfer.part(key, side), &transfer.phase) {
            (_, Phase::Releasing { .. }) => false,
            // Many a phone leaves as soon as it has sent its REFER; and one that was replaced hangs
            // up the call that it had.
            (Part::Released, _) | (Part::Target, Phase::Placed(_)) => {
                call.left = Some(Box::new(ending.clone()));
                true
            }
            // It may leave this call as soon as it has promised, or placed, the other one.
            (Part::Goes, Phase::Referring { accepted: true } | Phase::Placed(_)) => {
                call.transfer = None;
                false
            }
            (Part::Goes, _) => {
                self.fail_transfer(now, name, Error::Party(side, failure.clone()));
                false
            }
            (Part::Target, _) => {
                self.fail_transfer(now, name, Error::Target(failure.clone()));
                false
            }
        }
    }

    /// A leg that the transfer made, or releases, is no more.
    pub(crate) fn on_transfer_leg_ended(
        &mut self,
        now: Instant,
        key: TransferKey,
        leg: LegId,
        cause: Cause,
    ) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        match &mut transfer.phase {
            Phase::Releasing { legs, .. } => {
                legs.retain(|other| *other != leg);
                self.end_released(key);
            }
            Phase::Calling(fork) => {
                if let Some(failure) = fork.ended(leg, cause) {
                    self.fail_transfer(now, key, Error::Target(failure));
                }
            }
            Phase::Joining { .. } | Phase::Replacing { .. } => {
                self.fail_transfer(now, key, Error::Target(cause.into_failure()));
            }
            Phase::Referring { .. } | Phase::Placed(_) | Phase::Asking { .. } => {}
        }
    }

    pub(crate) fn on_transfer_timeout(&mut self, now: Instant, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let given_up = transfer.give_up.is_some_and(|at| at <= now);
        let silent = transfer.deadline.is_some_and(|at| at <= now);
        let goes = Error::Party(transfer.side, Failure::timed_out());
        match &transfer.phase {
            Phase::Referring { .. } if silent && !given_up => {
                self.on_party_refused(now, key, Failure::timed_out());
            }
            Phase::Referring { .. } | Phase::Joining { .. } | Phase::Replacing { .. } => {
                self.fail_transfer(now, key, goes);
            }
            Phase::Placed(_) | Phase::Calling(_) | Phase::Asking { .. } => {
                self.fail_transfer(now, key, Error::Target(Failure::timed_out()));
            }
            // The two talk; the client need not wait for a phone that is slow to leave.
            Phase::Releasing { .. } => self.finish_transfer(key),
        }
    }

    /// The party talks to the target: these legs, and what is left of these calls, are released.
    fn release(
        &mut self,
        now: Instant,
        key: TransferKey,
        made: Arc<str>,
        legs: Vec<LegId>,
        calls: Vec<CallKey>,
    ) {
        let phase = Phase::Releasing { legs: legs.clone(), calls: calls.clone(), made };
        self.set_phase(key, phase, None);
        let asked_by = self.transfers.get(&key).map(|transfer| transfer.asked_by);
        if let Some(AskedBy::Phone(leg)) = asked_by {
            self.ua.notify(now, leg, Some(200), true);
        }
        for leg in legs {
            self.roles.insert(leg, Role::Transfer(key));
            self.ua.hang_up(now, leg, 487);
        }
        for call_key in calls {
            if let Some(call) = self.calls.get_mut(&call_key) {
                // One that its party has left already says, too, when it is gone.
                call.transfer = Some(key);
                call.ending.get_or_insert(Ending::by_transfer());
            }
            self.take_down(now, call_key, Error::Superseded);
        }
        self.end_released(key);
    }

    /// A call that the transfer was a part of is no more.
    pub(crate) fn on_transfer_call_gone(&mut self, key: TransferKey, gone: CallKey) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        if let Phase::Releasing { calls, .. } = &mut transfer.phase {
            calls.retain(|call| *call != gone);
            self.end_released(key);
        }
    }

    /// Ends a transfer that has released everything.
    fn end_released(&mut self, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        if let Phase::Releasing { legs, calls, .. } = &transfer.phase
            && legs.is_empty()
            && !calls.iter().any(|call| self.calls.contains_key(call))
        {
            self.finish_transfer(key);
        }
    }

    fn finish_transfer(&mut self, key: TransferKey) {
        let Some(transfer) = self.forget_transfer(key) else { return };
        let command = transfer.command();
        if let (Phase::Releasing { made, .. }, Some(command)) = (transfer.phase, command) {
            self.report(Event::Done(command, Ok(Some(made))));
        }
    }

    fn forget_transfer(&mut self, key: TransferKey) -> Option<Box<Transfer>> {
        let transfer = self.transfers.remove(&key)?;
        transfer.one_time.map(|token| self.one_time.remove(&token));
        Some(transfer)
    }

    /// Moves a transfer on, with the end of the wait that begins now.
    fn set_phase(&mut self, key: TransferKey, phase: Phase, deadline: Option<Instant>) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        transfer.phase = phase;
        transfer.deadline = deadline;
        if let Some(at) = transfer.next_timeout() {
            self.deadlines.set(at, Waiter::Transfer(key));
        }
    }
}

impl Call {
    /// Whether both talk and nothing is being done with the call. Else: what.
    pub(crate) fn is_standing(&self) -> Result<(), &'static str> {
        match &self.state {
            State::Calling(_) | State::Joining { .. } | State::Answered => {
                Err("the call is not answered yet")
            }
            State::Ending => Err("the call is being ended"),
            State::Established if self.errand.is_some() => Err("the call is being started"),
            State::Established if self.transfer.is_some() || self.mend.is_some() => {
                Err("a transfer is under way")
            }
            State::Established if self.hold.is_some() => Err("another hold is under way"),
            State::Established => Ok(()),
        }
    }
}
