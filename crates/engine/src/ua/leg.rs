//! One leg: our dialog with one party, from its INVITE to its end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::{Headers, Method, Name, Request};

use super::early::Early;
use super::inside::Passing;
use super::redirect::Redirect;
use super::reliable::Reliable;
use super::session::Session;
use crate::dialog::Dialog;
use crate::ids::{Branch, Tag};
use crate::limits::MIN_SESSION_SECONDS;
use crate::passing::Parting;
use crate::timer::T1;
use crate::transaction::{Hop, ServerKey};

/// Names a leg: our tag in its dialog.
pub type LegId = Tag;

/// What is known of one leg. It exists from the INVITE until its one [`Ended`](super::Event::Ended).
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    /// Where our next request goes.
    pub(super) hop: Hop,
    /// Where the peer sends from, when its Contact is of another network.
    pub(super) source: Option<Box<SocketAddr>>,
    pub(super) state: State,
    /// Our INVITE's branch, once it was accepted.
    pub(super) invite: Option<Branch>,
    pub(super) offer: Offer,
    /// A re-INVITE of ours that waits until the peer's is through: its offer, which try it is, and
    /// the earliest time for it.
    pub(super) waiting: Option<(Option<Bytes>, u32, Instant)>,
    /// The message of another leg whose headers our next re-INVITE passes on.
    pub(super) passed: Option<Box<Headers>>,
    /// Our 2xx that was not acknowledged yet.
    pub(super) unacked: Option<Unacked>,
    /// The last ACK we sent, for every retransmission of the 2xx asks for it again.
    pub(super) acked: Option<Acked>,
    /// A 2xx whose offer awaits our answer, which goes into the ACK.
    pub(super) owed: Option<Owed>,
    /// Answers of other forks: acknowledged and hung up.
    pub(super) forks: Vec<Fork>,
    pub(super) refer: Option<Refer>,
    /// REFERs of ours that were given up, and whose last report has not come.
    pub(super) unreported: u32,
    /// Whether there was a REFER of the peer before.
    pub(super) was_referred: bool,
    /// The peer's requests that another leg is to answer.
    pub(super) passing: Vec<Passing>,
    /// The methods that the peer's Allow listed.
    pub(super) allow: Allow,
    /// Whether the peer's Supported lists `replaces` (RFC 3891).
    pub(super) replaces: bool,
    pub(super) session: Option<Session>,
    /// The longest Min-SE that was told in this dialog, or ours: so long our sessions must be (RFC 4028
    /// §7.4).
    pub(super) least_session: u32,
    /// Reliable provisional responses, if there are any.
    pub(super) reliable: Option<Box<Reliable>>,
    pub(super) early: Early,
    /// What our BYE or CANCEL will say of the end.
    pub(super) parting: Option<Box<Parting>>,
    /// Where else our INVITE may go.
    pub(super) redirect: Option<Box<Redirect>>,
    /// The user hung up: it hears of nothing but the end.
    pub(super) released: bool,
}

/// Where a leg stands.
pub(super) enum State {
    /// We sent an INVITE. Those who ring have these tags.
    Inviting {
        branch: Branch,
        provisional: bool,
        tags: Vec<Box<str>>,
        offered: bool,
        cancel: Cancel,
    },
    /// We received one, and did not answer it finally.
    Invited { key: ServerKey, request: Box<Request>, source: SocketAddr },
    /// The INVITE was accepted.
    Established,
    /// We sent BYE.
    Closing,
}

/// Whether our INVITE shall be cancelled.
#[derive(Clone, Copy)]
pub(super) enum Cancel {
    No,
    /// Yes, as soon as a provisional response allows it (RFC 3261 §9.1).
    Wanted,
    /// CANCEL was sent: the INVITE is forgotten at this time, answered or not.
    Sent(Instant),
}

/// The one re-INVITE that may be under way (RFC 3261 §14).
pub(super) enum Offer {
    None,
    /// Ours, awaiting its answer.
    Sent {
        branch: Branch,
        body: Option<Bytes>,
        give_up: Instant,
        /// A provisional response came.
        progressed: bool,
        attempt: u32,
    },
    /// Ours, to be sent again after a 491.
    Backoff {
        body: Option<Bytes>,
        at: Instant,
        attempt: u32,
    },
    /// The peer's, awaiting our user's answer.
    Received {
        key: ServerKey,
        request: Box<Request>,
        source: SocketAddr,
        /// When it counts as taken back: an UPDATE does not wait for people.
        patience: Option<Instant>,
    },
}

/// A 2xx that is retransmitted until its ACK (RFC 3261 §13.3.1.4).
pub(super) struct Unacked {
    pub(super) key: ServerKey,
    pub(super) seq: u32,
    pub(super) bytes: Bytes,
    pub(super) retransmit: Instant,
    pub(super) interval: Duration,
    pub(super) give_up: Instant,
}

pub(super) struct Acked {
    pub(super) seq: u32,
    pub(super) bytes: Bytes,
    /// The re-INVITE's or INVITE's answer is acknowledged as long as its transaction lives.
    pub(super) until: Instant,
}

/// The 2xx that our user owes an answer.
pub(super) struct Owed {
    pub(super) seq: u32,
    pub(super) offer: Bytes,
    pub(super) give_up: Instant,
}

pub(super) struct Fork {
    pub(super) tag: Box<str>,
    pub(super) hop: Hop,
    pub(super) ack: Bytes,
}

/// A REFER that we received, until it is answered, or sent, until its subscription ends.
pub(super) enum Refer {
    /// Ours, with its number: the phone reports by NOTIFY (RFC 3515 §2.4.4).
    /// `awaited` while somebody here wants to know.
    Sent { branch: Branch, seq: u32, awaited: bool },
    /// The peer's, unanswered.
    Received { key: ServerKey, request: Box<Request>, source: SocketAddr },
    /// The peer's: we report. Its number tells it from another one in the same dialog.
    Notifying { id: Option<u32> },
}

impl Leg {
    /// Lets go of a REFER of ours. Its reports may still come.
    pub(super) fn drop_own_refer(&mut self) {
        if self.refer.take_if(|refer| matches!(refer, Refer::Sent { .. })).is_some() {
            self.unreported += 1;
        }
    }

    pub(super) fn new(dialog: Dialog, hop: Hop, state: State) -> Self {
        Self {
            dialog,
            hop,
            source: None,
            state,
            invite: None,
            offer: Offer::None,
            waiting: None,
            passed: None,
            unacked: None,
            acked: None,
            owed: None,
            forks: Vec::new(),
            refer: None,
            unreported: 0,
            was_referred: false,
            passing: Vec::new(),
            allow: Allow::default(),
            replaces: false,
            session: None,
            least_session: MIN_SESSION_SECONDS,
            reliable: None,
            early: Early::None,
            parting: None,
            redirect: None,
            released: false,
        }
    }

    /// The earliest of everything this leg waits for.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let cancel = match self.state {
            State::Inviting { cancel: Cancel::Sent(at), .. } => Some(at),
            State::Inviting { .. }
            | State::Invited { .. }
            | State::Established
            | State::Closing => None,
        };
        let offer = match self.offer {
            Offer::Sent { give_up: at, .. } | Offer::Backoff { at, .. } => Some(at),
            Offer::Received { patience, .. } => patience,
            Offer::None => None,
        };
        let unacked = self.unacked.as_ref().map(|unacked| unacked.retransmit.min(unacked.give_up));
        let acked = self.acked.as_ref().map(|acked| acked.until);
        let owed = self.owed.as_ref().map(|owed| owed.give_up);
        let reliable = self.reliable.as_ref().and_then(|reliable| reliable.next_timeout());
        let session = self.session_timeout();
        [cancel, offer, unacked, acked, owed, reliable, session].into_iter().flatten().min()
    }

    /// Whether an offer is under way, or the ACK of one is missing (RFC 5407 §3.1.4).
    pub(super) fn is_negotiating(&self) -> bool {
        !matches!(self.offer, Offer::None) || self.unacked.is_some() || self.owed.is_some()
    }

    /// A re-INVITE or its 2xx tells where the peer is now, and what it takes (RFC 3261 §12.2).
    pub(super) fn refresh(&mut self, headers: &Headers) {
        self.dialog.refresh_target(headers);
        self.hop = self.way(&self.dialog);
        self.learn_abilities(headers);
    }

    /// What the peer can, in a message that may say so.
    pub(super) fn learn_abilities(&mut self, headers: &Headers) {
        if let Some(allow) = Allow::of(headers) {
            self.allow = allow;
        }
        if headers.value(Name::Supported).is_some() {
            self.replaces = headers.has_token(Name::Supported, "replaces");
        }
    }
}

impl Unacked {
    pub(super) fn new(now: Instant, key: ServerKey, seq: u32, bytes: Bytes) -> Self {
        let give_up = now + crate::timer::T1X64;
        Self { key, seq, bytes, retransmit: now + T1, interval: T1, give_up }
    }
}

/// The methods a peer said it takes, in its Allow header. Empty when it said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow(u32);

impl Allow {
    pub(super) fn of(headers: &Headers) -> Option<Self> {
        headers.value(Name::Allow)?;
        let methods = headers.values(Name::Allow).map(Method::parse);
        Some(Self(methods.fold(0, |set, method| set | 1 << method as u32)))
    }

    /// The others.
    pub(super) fn without(self, method: Method) -> Self {
        Self(self.0 & !(1 << method as u32))
    }

    /// Whether the peer listed this method.
    pub fn contains(self, method: Method) -> bool {
        self.0 & 1 << method as u32 != 0
    }
}
