//! `CallHold` and `CallUnHold` (RFC 5359 §2.1): re-INVITEs that the proxy sends.
//!
//! It re-INVITEs both parties, also when one alone is to be held: the other one learns that it will
//! hear nothing. So the command ends when both have answered. Events tell what they answer, and what
//! the dialog keeps of the hold shows it where they are lost: 4.0 marks a party once its phone has
//! agreed. 3.x marks it when the re-INVITE is sent, so there an event that is lost is not made up for.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::dialogs::{Kept, Listed};
use super::events::{DialogState, Happened, HoldState, leg};
use super::mi::{Method, MiError};
use super::outcome::failure;
use super::proxy::{Proxy, Watch};
use super::refer::{FIRST_LOOK, LONGEST_LOOK};
use super::stop::{Stop, Why};
use crate::api::{CallId, CommandError, Done, Event, EventKind, Origin, Side};
use crate::backend::Progress;

/// How long a phone may take: nobody has to pick up, and a proxy gives up at a phone that says
/// nothing after 64*T1 at the latest (RFC 3261 §17.1.1.2, Timer B).
const ANSWER: Duration = Duration::from_secs(33);
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
    /// `None` as long as nothing is known of one.
    states: [Option<State>; 2],
    /// What was kept before, if it could be asked for.
    before: Option<[Kept; 2]>,
    /// Whether any event has come.
    is_told: bool,
    /// Whether the request may be lost.
    is_unsure: bool,
    /// Whether it takes back what it has done itself.
    undoes: bool,
    /// Whether the call is over.
    ended: bool,
}

/// How far a re-INVITE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none: the party is as it shall be.
    Needless,
    /// The phone has to answer.
    Sent,
    Agreed,
    /// It refused, or did not answer.
    Declined,
    /// It has had its time, and what it said is not to be found out.
    Unknown,
}

const SIDES: [Side; 2] = [Side::Caller, Side::Callee];

impl Legs {
    fn new(change: Change) -> Self {
        Self {
            change,
            states: [None; 2],
            before: None,
            is_told: false,
            is_unsure: false,
            undoes: false,
            ended: false,
        }
    }

    async fn change(
        &mut self,
        proxy: &Proxy,
        watch: &mut Watch,
        progress: &Progress,
    ) -> Result<Done, CommandError> {
        if let Ok(Some(listed)) = proxy.dialog(&self.change.callid).await {
            self.expect(&listed);
        }
        self.ask(proxy, watch, progress).await?;
        let mut pause = FIRST_LOOK;
        let began = Instant::now();
        let mut look = began + pause;
        while self.is_open() {
            tokio::select! {
                event = watch.next() => self.event(&event, progress),
                () = sleep_until(look) => {
                    let is_late = began.elapsed() >= ANSWER;
                    match proxy.dialog(&self.change.callid).await {
                        Ok(Some(listed)) => {
                            self.look(&listed, is_late, progress);
                            // The event that would have had this asked for may be lost.
                            proxy.dialogs.ask_for(self.change.callid.to_string());
                        }
                        Err(error) if error.code() == Some(404) => self.ended = true,
                        Ok(None) | Err(_) => {}
                    }
                    pause = (2 * pause).min(LONGEST_LOOK);
                    look = Instant::now() + pause;
                }
            }
        }
        self.outcome(proxy)
    }

    /// Sends the request. Events may come before its answer.
    async fn ask(
        &mut self,
        proxy: &Proxy,
        watch: &mut Watch,
        progress: &Progress,
    ) -> Result<(), CommandError> {
        let method = if self.change.held { Method::Hold } else { Method::Unhold };
        let mut params = json!({"callid": self.change.callid});
        if let Some(side) = self.change.leg {
            params["leg"] = leg(side).into();
        }
        let asked = proxy.ask(method, params);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                answer = &mut asked => return match answer {
                    Ok(_) => Ok(()),
                    // It may have been done: the dialog shows.
                    Err(MiError::NoAnswer) => {
                        self.is_unsure = true;
                        Ok(())
                    }
                    Err(error) => Err(failure(proxy, method, error)),
                },
                event = watch.next() => self.event(&event, progress),
            }
        }
    }

    /// Whether something is still to be found out.
    fn is_open(&self) -> bool {
        let is_open = |state: &Option<State>| matches!(state, None | Some(State::Sent));
        !self.ended && self.states.iter().any(is_open)
    }

    /// Takes what the proxy keeps before anything is asked of it: a party that is as it shall be gets
    /// no re-INVITE.
    fn expect(&mut self, listed: &Listed) {
        self.before = Some(listed.kept);
        let needless = SIDES.map(|side| self.is_so(side, listed.kept));
        // Where both are, there is nothing to do, or the proxy thinks otherwise.
        if needless != [true; 2] {
            self.states = needless.map(|needless| needless.then_some(State::Needless));
        }
    }

    /// Whether what is kept of a party is what is wanted.
    fn is_so(&self, side: Side, kept: [Kept; 2]) -> bool {
        let flags = match self.change.leg {
            None => Kept::ITSELF | Kept::OTHER,
            Some(leg) if leg == side => Kept::ITSELF,
            Some(_) => Kept::OTHER,
        };
        kept[side as usize].is(self.change.held, flags)
    }

    /// Takes what the proxy keeps now. A phone that `is_late` has had its time.
    fn look(&mut self, listed: &Listed, is_late: bool, progress: &Progress) {
        self.ended |= listed.state == DialogState::Deleted;
        for side in SIDES {
            let before = self.before.map_or(Kept::Nothing, |before| before[side as usize]);
            let kept = listed.kept[side as usize];
            let is_so = self.is_so(side, listed.kept);
            let shows_agreement = !matches!(kept, Kept::Sent(_));
            let found = match self.states[side as usize] {
                None | Some(State::Sent) if is_so && kept != before && shows_agreement => {
                    State::Agreed
                }
                None if is_so && kept == before => State::Needless,
                None if self.is_unsure && !self.is_told => State::Unknown,
                None | Some(State::Sent) if !is_late => State::Sent,
                None | Some(State::Sent) if shows_agreement => State::Declined,
                None | Some(State::Sent) => State::Unknown,
                Some(_) => continue,
            };
            self.is(side, found, progress);
        }
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
        self.is_told = true;
        // A start may be told after what became of it.
        if matches!(self.states[event.leg as usize], Some(State::Agreed | State::Declined)) {
            return;
        }
        let state = match event.state {
            HoldState::Start => State::Sent,
            HoldState::Ok => State::Agreed,
            HoldState::Fail => State::Declined,
        };
        self.is(event.leg, state, progress);
    }

    fn is(&mut self, side: Side, state: State, progress: &Progress) {
        let before = self.states[side as usize].replace(state);
        if !self.concerns(side) {
            return;
        }
        let report = |kind| {
            let callid = self.change.callid.clone();
            progress.report(Event::new(kind).at_leg(side).in_call(callid));
        };
        // Whoever has answered was asked, though the event that says so may be late.
        let is_asked = matches!(state, State::Sent | State::Agreed | State::Declined);
        if is_asked && !matches!(before, Some(State::Sent)) && !self.undoes {
            report(EventKind::HoldAsked);
        }
        if state == State::Agreed {
            report(if self.change.held { EventKind::Held } else { EventKind::Unheld });
        }
    }

    /// Whether a party is to be held or taken back. Its phone may be asked for the other one's sake.
    fn concerns(&self, side: Side) -> bool {
        match (self.change.leg, self.before) {
            (Some(leg), _) => leg == side,
            (None, Some(before)) => before[side as usize].is_held() != self.change.held,
            (None, None) => true,
        }
    }

    fn outcome(&self, proxy: &Proxy) -> Result<Done, CommandError> {
        if self.ended {
            return Err(CommandError::InvalidState("the call ended".to_owned()));
        }
        let is = |state| SIDES.into_iter().find(|side| self.states[*side as usize] == Some(state));
        let declined =
            |origin, what: &str| Err(CommandError::Declined { origin, what: what.to_owned() });
        if let Some(side) = is(State::Declined) {
            return declined(origin(side), "it refused the re-INVITE, or did not answer it");
        }
        match is(State::Unknown) {
            None => Ok(Done::default()),
            Some(_) if self.is_unsure && !self.is_told => {
                Err(proxy.unavailable("it did not get the request"))
            }
            Some(_) if !self.is_told => declined(
                Origin::Proxy,
                "it tells nothing of the re-INVITEs: is its event socket reachable?",
            ),
            Some(side) => declined(
                origin(side),
                "what it answered to the re-INVITE is lost, and this OpenSIPS cannot be asked",
            ),
        }
    }

    /// Whether one phone agreed and the other one did not.
    fn is_half_done(&self) -> bool {
        !self.ended && self.states.contains(&Some(State::Agreed))
    }

    /// Who has not answered yet.
    fn waits_for(&self) -> Origin {
        let is_sent = |side: &Side| self.states[*side as usize] == Some(State::Sent);
        SIDES.into_iter().find(is_sent).map_or(Origin::Proxy, origin)
    }
}

fn origin(side: Side) -> Origin {
    match side {
        Side::Caller => Origin::Caller,
        Side::Callee => Origin::Callee,
    }
}
