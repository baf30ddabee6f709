//! What a watcher is told of calls: each transition, with the call as it is then.
//!
//! Every call is told, whoever placed it, from [`Change::Created`] to [`Change::Ended`]; a table
//! that keeps the last view of each call, by its name, is the engine's own. A transition is told
//! once: a phone that says 180 ten times rings once, so a call has a handful of events at most,
//! whatever its phones do.

use std::sync::Arc;

use crate::call::{Call, CallKey, State};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Event, Side};
use crate::ua::Cause;

/// A transition of a call, and the call after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEvent {
    /// What happened.
    pub change: Change,
    /// What the call is like now.
    pub call: CallView,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is here, and the callee is about to be called.
    Created,
    /// A party's phone rings.
    Ringing(Side),
    /// A party's side sends media before it answers.
    EarlyMedia(Side),
    /// A party answered.
    Answered(Side),
    /// Both talk.
    Established,
    /// A party is on hold now, by a command or by the other party's phone.
    Held(Side),
    /// It is not any more.
    Unheld(Side),
    /// Somebody else is this party now, by a transfer or an INVITE with Replaces.
    Transferred(Side),
    /// It is being taken down; [`CallView::ending`] says why.
    Ending,
    /// Nothing of it is left.
    Ended,
}

/// A call, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallView {
    /// The engine's own name of it: unique, where a Call-ID may name several calls.
    pub name: CallKey,
    /// The Call-ID that both legs share.
    pub call_id: Arc<str>,
    /// Where it stands.
    pub stage: Stage,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub callee: Party,
    /// Why it is being taken down, or was; `None` before.
    pub ending: Option<Ending>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The callee is called.
    Calling,
    /// The callee answered, and the caller is being told.
    Answered,
    /// Both talk.
    Established,
    /// It is being taken down.
    Ending,
}

/// A party of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its URI: as the network or a command gave it, unchecked.
    pub uri: Arc<str>,
    /// The Call-ID of its dialog, where that is not the call's: a transfer brought it from another one,
    /// it picked up, or Call-IDs are hidden.
    pub call_id: Option<Arc<str>>,
    /// How far it got.
    pub reached: Reached,
    /// Whether it is on hold: nothing it says is wanted.
    pub held: bool,
}

/// How far a party got on its way into a call; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// It calls, or is called.
    Calling,
    /// Its phone rings.
    Ringing,
    /// It sends media before it answers.
    EarlyMedia,
    /// It answered, or was answered.
    Answered,
}

/// Why a call is taken down. Without a status a party simply hung up, or was hung up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who ended it.
    pub by: EndedBy,
    /// SIP status code and reason phrase, when an INVITE failed or the dialog was lost.
    pub status: Option<(u16, String)>,
    /// Q.850 cause of the Reason header (RFC 3326), when there was one.
    pub q850: Option<u16>,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// A party: it hung up, refused, did not answer or went away.
    Party(Side),
    /// A command.
    Command,
    /// A transfer: the party that was not released goes on in another call.
    Transfer,
    /// The engine, at one of its limits or for a bug.
    Engine,
}

impl Ending {
    /// A party's leg came to its end.
    pub(crate) fn by_party(side: Side, cause: &Cause) -> Self {
        let (status, q850) = match cause {
            Cause::Refused(failure) | Cause::Lost(failure) => {
                (Some((failure.status, failure.reason.clone())), failure.q850)
            }
            // RFC 3261 §9.2: what a cancelled INVITE is answered.
            Cause::Cancelled => (Some((487, "Request Terminated".to_owned())), None),
            Cause::Bye(q850) => (None, *q850),
            Cause::Released => (None, None),
        };
        Self { by: EndedBy::Party(side), status, q850 }
    }

    /// The call cannot go on for this reason.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Party(side, failure) => Self {
                by: EndedBy::Party(*side),
                status: Some((failure.status, failure.reason.clone())),
                q850: failure.q850,
            },
            Error::Superseded => Self::by_command(),
            _ => Self { by: EndedBy::Engine, status: None, q850: None },
        }
    }

    pub(crate) fn by_command() -> Self {
        Self { by: EndedBy::Command, status: None, q850: None }
    }

    pub(crate) fn by_transfer() -> Self {
        Self { by: EndedBy::Transfer, status: None, q850: None }
    }
}

impl Party {
    pub(crate) fn new(uri: &str, reached: Reached) -> Self {
        Self { uri: uri.into(), call_id: None, reached, held: false }
    }
}

impl Call {
    pub(crate) fn party(&mut self, side: Side) -> &mut Party {
        &mut self.parties[usize::from(side == Side::Callee)]
    }

    fn view(&self, name: CallKey) -> CallView {
        CallView {
            name,
            call_id: self.call_id.clone(),
            stage: match self.state {
                State::Calling(_) => Stage::Calling,
                State::Joining { .. } | State::Answered => Stage::Answered,
                State::Established => Stage::Established,
                State::Ending => Stage::Ending,
            },
            caller: self.parties[0].clone(),
            callee: self.parties[1].clone(),
            ending: self.ending.clone(),
        }
    }
}

impl Engine {
    /// Tells what became of a call.
    pub(crate) fn tell(&mut self, key: CallKey, change: Change) {
        if let Some(call) = self.calls.get(&key) {
            let event = CallEvent { change, call: call.view(key) };
            self.report(Event::Call(Box::new(event)));
        }
    }

    /// Tells the last there is to say of a call, which is in no book any more.
    pub(crate) fn tell_ended(&mut self, key: CallKey, call: &Call) {
        let event = CallEvent { change: Change::Ended, call: call.view(key) };
        self.report(Event::Call(Box::new(event)));
    }

    /// Tells who is on hold now and was not, or the reverse.
    pub(crate) fn tell_held(&mut self, key: CallKey) {
        for side in [Side::Caller, Side::Callee] {
            let Some(call) = self.calls.get_mut(&key) else { return };
            let held = call.state == State::Established && call.has(side).is_held();
            if call.state == State::Ending || held == call.party(side).held {
                continue;
            }
            call.party(side).held = held;
            self.tell(key, if held { Change::Held(side) } else { Change::Unheld(side) });
        }
    }

    /// Tells how far the callee got, unless it has been there already.
    pub(crate) fn tell_callee(&mut self, key: CallKey, reached: Reached) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.state != State::Ending) else {
            return;
        };
        let [caller, callee] = &mut call.parties;
        if callee.reached >= reached {
            return;
        }
        callee.reached = reached;
        let change = match reached {
            Reached::Calling => return,
            Reached::Ringing => Change::Ringing(Side::Callee),
            Reached::EarlyMedia => Change::EarlyMedia(Side::Callee),
            Reached::Answered => {
                // The callee's answer is the caller's.
                caller.reached = Reached::Answered;
                Change::Answered(Side::Callee)
            }
        };
        self.tell(key, change);
    }
}
