//! `CallHold` and `CallUnHold` (RFC 5359 §2.1): re-INVITEs that the proxy sends.
//!
//! It re-INVITEs both parties, also when one alone is to be held: the other one learns that it will
//! hear nothing. So the command ends when both have answered; where one is left as it is, when no
//! other re-INVITE is told of.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::events::{DialogState, Happened, HoldState, leg};
use super::mi::{Method, MiError};
use super::outcome::failure;
use super::proxy::{Proxy, Watch};
use super::stop::{Stop, Why};
use crate::api::{CallId, CommandError, Done, Event, EventKind, Origin, Side};
use crate::backend::Progress;

/// How long it may take to learn of another re-INVITE: the events of one process may be overtaken by
/// those of others.
const OTHER: Duration = Duration::from_millis(200);
/// How long it may take to learn of any.
const FIRST: Duration = Duration::from_secs(2);
/// How long taking a party back may take.
const TAKE_BACK: Duration = Duration::from_secs(10);

/// Who is held, or taken back.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Whose call.
    pub(super) callid: CallId,
    /// Both when `None`.
    pub(super) leg: Option<Side>,
    /// Or taken back.
    pub(super) held: bool,
}

/// Runs the command.
pub(super) async fn run(
    proxy: &Proxy,
    change: Change,
    progress: &Progress,
    mut stop: Stop,
) -> Result<Done, CommandError> {
    let mut legs = Legs::new(change.clone());
    let mut watch = proxy.watch(&change.callid).await;
    let outcome = tokio::select! {
        outcome = legs.change(proxy, &mut watch, progress) => outcome,
        why = stop.wait(proxy) => Err(match why {
            Why::Late => CommandError::Timeout { origin: legs.waits_for() },
            why @ Why::Else(_) => why.error(Origin::Proxy),
        }),
    };
    if outcome.is_err() && change.held && legs.is_half_done() {
        let back = Change { held: false, ..change };
        let mut legs = Legs { undoes: true, ..Legs::new(back) };
        let taken_back = legs.change(proxy, &mut watch, progress);
        if !matches!(tokio::time::timeout(TAKE_BACK, taken_back).await, Ok(Ok(_))) {
            tracing::warn!("a party is left on hold");
        }
    }
    outcome
}

/// How far the re-INVITEs are: the caller's and the callee's.
struct Legs {
    change: Change,
    states: [Option<HoldState>; 2],
    /// Whether it takes back what it has done itself.
    undoes: bool,
    /// Whether the call is over.
    ended: bool,
}

impl Legs {
    fn new(change: Change) -> Self {
        Self { change, states: [None; 2], undoes: false, ended: false }
    }

    async fn change(
        &mut self,
        proxy: &Proxy,
        watch: &mut Watch,
        progress: &Progress,
    ) -> Result<Done, CommandError> {
        let method = if self.change.held { Method::Hold } else { Method::Unhold };
        let mut params = json!({"callid": self.change.callid});
        if let Some(side) = self.change.leg {
            params["leg"] = leg(side).into();
        }
        let asked = proxy.ask(method, params);
        tokio::pin!(asked);
        let mut asked = Some(asked);
        let mut settled: Option<Instant> = None;
        while asked.is_some() || settled.is_none_or(|at| Instant::now() < at) {
            tokio::select! {
                answer = async { asked.as_mut().expect("there is one").await }, if asked.is_some() => {
                    asked = None;
                    match answer {
                        // It may have been done: the events tell.
                        Ok(_) | Err(MiError::NoAnswer) => {}
                        Err(error) => return Err(failure(proxy, method, error)),
                    }
                }
                event = watch.next() => self.event(&event, progress),
                () = sleep_until(settled.unwrap_or_else(Instant::now)), if settled.is_some() => {}
            }
            if self.ended {
                return Err(CommandError::InvalidState("the call ended".to_owned()));
            }
            if asked.is_none() {
                settled = self.settled(settled);
            }
        }
        self.outcome()
    }

    /// When it is over, unless something else is told; `None` while a phone has to answer.
    fn settled(&self, before: Option<Instant>) -> Option<Instant> {
        let is_open = |state: &Option<HoldState>| *state == Some(HoldState::Start);
        if self.states.iter().any(is_open) {
            return None;
        }
        let patience = match self.states {
            [Some(_), Some(_)] => Duration::ZERO,
            [None, None] => FIRST,
            [Some(_), None] | [None, Some(_)] => OTHER,
        };
        let at = Instant::now() + patience;
        Some(before.map_or(at, |before| before.min(at)))
    }

    fn event(&mut self, event: &Happened, progress: &Progress) {
        let event = match event {
            Happened::Hold(event) => event,
            Happened::Dialog(event) => {
                self.ended |= event.state == DialogState::Deleted;
                return;
            }
            Happened::Transfer(_) => return,
        };
        if event.is_hold != self.change.held {
            return;
        }
        let state = &mut self.states[event.leg as usize];
        // A start may be told after what became of it.
        if matches!(state, Some(HoldState::Ok | HoldState::Fail)) {
            return;
        }
        let is_new = state.is_none();
        *state = Some(event.state);
        if self.change.leg.is_some_and(|leg| leg != event.leg) {
            return;
        }
        let report = |kind| {
            let callid = self.change.callid.clone();
            progress.report(Event::new(kind).at_leg(event.leg).in_call(callid));
        };
        // Whoever has answered was asked, though the event that says so may be late.
        if is_new && !self.undoes {
            report(EventKind::HoldAsked);
        }
        if event.state == HoldState::Ok {
            report(if self.change.held { EventKind::Held } else { EventKind::Unheld });
        }
    }

    fn outcome(&self) -> Result<Done, CommandError> {
        let [caller, callee] = self.states;
        let origin = match (caller, callee) {
            (Some(HoldState::Fail), _) => Origin::Caller,
            (_, Some(HoldState::Fail)) => Origin::Callee,
            (None, None) => {
                let what = "it tells nothing of the re-INVITEs: is its event socket reachable?";
                return Err(CommandError::Declined {
                    origin: Origin::Proxy,
                    what: what.to_owned(),
                });
            }
            _ => return Ok(Done::default()),
        };
        let what = "it refused the re-INVITE, or did not answer it".to_owned();
        Err(CommandError::Declined { origin, what })
    }

    /// Whether one phone agreed and the other one did not.
    fn is_half_done(&self) -> bool {
        !self.ended && self.states.contains(&Some(HoldState::Ok))
    }

    /// Who has not answered yet.
    fn waits_for(&self) -> Origin {
        match self.states {
            [Some(HoldState::Start), _] => Origin::Caller,
            [_, Some(HoldState::Start)] => Origin::Callee,
            _ => Origin::Proxy,
        }
    }
}
