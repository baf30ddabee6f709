//! A call: two parties, a leg to each, and what the two are doing with each other.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::description::Description;
use crate::event::{CommandId, Side};
use crate::flow::fork::Fork;
use crate::flow::hold::Hold;
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
    /// The Call-ID that both legs share, and that names the call in every command.
    pub(crate) call_id: Arc<str>,
    pub(crate) caller: Option<LegId>,
    pub(crate) callee: Option<LegId>,
    /// The legs to all of the callee's phones, until one answers and becomes `callee`.
    pub(crate) fork: Fork,
    pub(crate) state: State,
    /// The `CallStart` that placed it and still runs.
    pub(crate) start: Option<CommandId>,
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
    /// The callee answered with an offer that the caller is asked to take (RFC 3725 §4.4).
    Joining,
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
            start: None,
            ends: Vec::new(),
            joins: false,
            parties,
            ending: None,
            caller_has: Description::default(),
            callee_has: Description::default(),
            hold: None,
        }
    }

    pub(crate) fn leg(&self, side: Side) -> Option<LegId> {
        match side {
            Side::Caller => self.caller,
            Side::Callee => self.callee,
        }
    }

    pub(crate) fn clear(&mut self, side: Side) {
        match side {
            Side::Caller => self.caller = None,
            Side::Callee => self.callee = None,
        }
    }

    /// Every leg that is not over.
    pub(crate) fn legs(&self) -> impl Iterator<Item = LegId> {
        [self.caller, self.callee].into_iter().flatten().chain(self.fork.legs())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.caller.is_none() && self.callee.is_none() && self.fork.is_over()
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Calling(deadline) => Some(deadline),
            State::Established => self.hold.as_ref().and_then(|hold| hold.next_timeout()),
            // The legs themselves have deadlines, in both of these.
            State::Joining | State::Answered => None,
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
