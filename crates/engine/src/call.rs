//! A call: two parties, a leg to each, and what the two are doing with each other.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::description::Description;
use crate::event::{CommandId, Side};
use crate::flow::fork::Fork;
use crate::flow::hold::Hold;
use crate::flow::transfer::TransferKey;
use crate::ids::Tag;
use crate::ua::LegId;
use crate::watch::{Ending, Party};

/// Names a call inside the engine, and for clients where a Call-ID names several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub(crate) u64);

impl CallKey {
    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Tag::parse(text).map(|tag| Self(tag.0))
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Two legs and what is between them. A leg that ended is `None`.
pub(crate) struct Call {
    /// The Call-ID that both legs were made with, and that names the call in every command. A leg
    /// that came by a transfer may have another one.
    pub(crate) call_id: Arc<str>,
    pub(crate) caller: Option<LegId>,
    pub(crate) callee: Option<LegId>,
    /// The legs to all of the callee's phones, until one answers and becomes `callee`.
    pub(crate) fork: Fork,
    pub(crate) state: State,
    /// What it was placed for and is waited for.
    pub(crate) errand: Option<Errand>,
    /// The `CallEnd`s that wait until both legs are down.
    pub(crate) ends: Vec<End>,
    /// Whether the caller's leg was up before the callee was called: the two are joined by
    /// re-INVITE.
    pub(crate) joins: bool,
    /// Caller and callee, as watchers are told of them.
    pub(crate) parties: [Party; 2],
    /// Why it is being taken down.
    pub(crate) ending: Option<Ending>,
    pub(crate) caller_has: Description,
    pub(crate) callee_has: Description,
    /// The hold that is under way.
    pub(crate) hold: Option<Box<Hold>>,
    /// The transfer that it is a part of.
    pub(crate) transfer: Option<TransferKey>,
    /// Why a party has left that the transfer would have released.
    pub(crate) left: Option<Box<Ending>>,
    /// What a failed transfer has left to be undone.
    pub(crate) mend: Option<Mend>,
    /// Whose phone has sent a REFER that is looked at once both talk: caller, callee.
    pub(crate) referred: [bool; 2],
    /// Whose phone has a re-INVITE that only refreshes its session: caller, callee.
    pub(crate) refreshing: [bool; 2],
}

/// What a call is placed for. It ends well when the two talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A `CallStart`.
    Start(CommandId),
    /// A transfer, by the phone of the party that goes.
    Transfer(TransferKey),
}

impl From<CommandId> for Errand {
    fn from(command: CommandId) -> Self {
        Self::Start(command)
    }
}

impl From<TransferKey> for Errand {
    fn from(key: TransferKey) -> Self {
        Self::Transfer(key)
    }
}

/// A party whose phone has an offer of a transfer that failed meanwhile: if it takes it, it is given
/// back what it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mend {
    pub(crate) side: Side,
    /// Whether that offer is out, and not the transfer's.
    pub(crate) is_back: bool,
}

/// A `CallEnd` that waits, and how long its client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) command: CommandId,
    pub(crate) give_up: Option<Instant>,
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The callee is called, until this time.
    Calling(Instant),
    /// The callee answered with an offer that the caller is to take (RFC 3725 §4.4); `asked` once it
    /// has it.
    Joining { asked: bool },
    /// The callee answered; the caller's ACK is under way.
    Answered,
    /// Both talk.
    Established,
    /// Both legs are being taken down.
    Ending,
}

impl Call {
    pub(crate) fn new(
        call_id: Arc<str>,
        caller: LegId,
        deadline: Instant,
        parties: [Party; 2],
    ) -> Self {
        Self {
            call_id,
            caller: Some(caller),
            callee: None,
            fork: Fork::default(),
            state: State::Calling(deadline),
            errand: None,
            ends: Vec::new(),
            joins: false,
            parties,
            ending: None,
            caller_has: Description::default(),
            callee_has: Description::default(),
            hold: None,
            transfer: None,
            left: None,
            mend: None,
            referred: [false; 2],
            refreshing: [false; 2],
        }
    }

    pub(crate) fn leg(&self, side: Side) -> Option<LegId> {
        match side {
            Side::Caller => self.caller,
            Side::Callee => self.callee,
        }
    }

    /// The leg of a party, also of a callee whose only phone rings.
    pub(crate) fn only_leg(&self, side: Side) -> Option<LegId> {
        match side {
            Side::Caller => self.caller,
            Side::Callee => self.callee.or(self.fork.only()),
        }
    }

    pub(crate) fn clear(&mut self, side: Side) {
        match side {
            Side::Caller => self.caller = None,
            Side::Callee => self.callee = None,
        }
    }

    /// Gives a party's place to another leg, which has this description from us. Returns the leg
    /// that had it.
    pub(crate) fn replace(
        &mut self,
        side: Side,
        leg: LegId,
        party: Party,
        has: Description,
    ) -> Option<LegId> {
        *self.has(side) = has;
        self.referred[side as usize] = false;
        self.refreshing[side as usize] = false;
        *self.party(side) = party;
        match side {
            Side::Caller => self.caller.replace(leg),
            Side::Callee => self.callee.replace(leg),
        }
    }

    /// Every leg that is not over.
    pub(crate) fn legs(&self) -> impl Iterator<Item = LegId> {
        [self.caller, self.callee].into_iter().flatten().chain(self.fork.legs())
    }

    /// Every Call-ID that it is known by.
    pub(crate) fn call_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        let brought = self.parties.iter().filter_map(|party| party.call_id.as_ref());
        std::iter::once(&self.call_id).chain(brought)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.caller.is_none() && self.callee.is_none() && self.fork.is_over()
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Calling(deadline) => Some(deadline),
            State::Established => self.hold.as_ref().and_then(|hold| hold.next_timeout()),
            // The legs themselves have deadlines, in both of these.
            State::Joining { .. } | State::Answered => None,
            State::Ending => self.ends.iter().filter_map(|end| end.give_up).min(),
        }
    }
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}
