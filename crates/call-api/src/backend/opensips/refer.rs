//! Sending a REFER by `call_transfer`, and following what becomes of it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::events::{DialogState, Status};
use super::mi::{Method, MiError};
use super::outcome::{failure, refusal};
use super::proxy::{Proxy, Watch};
use super::tracker::{Failure, Step, Tracker, Verdict};
use crate::api::{CallId, CommandError, Origin};

/// How long a better reason for a failure may take: the NOTIFY comes within milliseconds.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the new call may take to appear when the old one ends at once.
const ORPHAN: Duration = Duration::from_secs(2);
/// How long the ACK of the new call may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(1);
/// Time until it is first asked what became of the REFER; then it doubles …
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(200);
/// … up to this.
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// A transfer that is followed.
pub(super) struct Referral<'a> {
    proxy: &'a Proxy,
    watch: &'a mut Watch,
    old: CallId,
    tracker: Tracker,
    /// Whether the request for it may be lost.
    is_unsure: bool,
}

impl<'a> Referral<'a> {
    /// `watch` tells of the dialog `old`.
    pub(super) fn new(proxy: &'a Proxy, watch: &'a mut Watch, old: &CallId) -> Self {
        let tracker = Tracker::new(old.clone());
        Self { proxy, watch, old: old.clone(), tracker, is_unsure: false }
    }

    /// Sends the REFER.
    pub(super) async fn send(&mut self, params: Value) -> Result<(), CommandError> {
        let sent = self.proxy.ask(Method::Transfer, params).await;
        match sent {
            Ok(_) => Ok(()),
            // It may have been sent: what the dialog keeps of it will show.
            Err(MiError::NoAnswer) => {
                self.is_unsure = true;
                Ok(())
            }
            Err(error) => Err(failure(self.proxy, Method::Transfer, error)),
        }
    }

    /// Waits until the new call is answered, or will not be.
    pub(super) async fn follow(
        &mut self,
        mut report: impl FnMut(Step),
    ) -> Result<Option<CallId>, Failure> {
        let mut pause = FIRST_LOOK;
        let mut look = Instant::now() + pause;
        let mut settle: Option<Instant> = None;
        loop {
            let mut steps = Vec::new();
            let verdict = tokio::select! {
                event = self.watch.next() => self.tracker.event(&event, &mut steps),
                () = sleep_until(look) => {
                    pause = (2 * pause).min(LONGEST_LOOK);
                    let verdict = self.look(&mut steps).await;
                    look = Instant::now() + pause;
                    verdict
                }
                () = until(settle) => return Err(self.tracker.settled()),
            };
            for step in steps {
                if let Step::Started { callid: Some(new), .. } = &step {
                    self.watch.add(self.proxy, new.as_str()).await;
                }
                report(step);
            }
            match verdict {
                Verdict::Answered(new) => return Ok(new),
                Verdict::Failed(failure) => return Err(failure),
                Verdict::Failing => {
                    settle.get_or_insert(Instant::now() + SETTLE);
                }
                Verdict::Open if self.tracker.is_orphan() => {
                    settle.get_or_insert(Instant::now() + ORPHAN);
                }
                // What looked like the end was not.
                Verdict::Open if !self.tracker.is_failing() => settle = None,
                Verdict::Open => {}
            }
        }
    }

    /// Waits a moment for the ACK of the new call, without which it can be neither held nor transferred.
    pub(super) async fn acknowledged(&mut self) {
        if self.tracker.new_callid().is_none() {
            return;
        }
        let patience = Instant::now() + ACKNOWLEDGED;
        while !self.tracker.is_confirmed() {
            tokio::select! {
                event = self.watch.next() => {
                    let _ = self.tracker.event(&event, &mut Vec::new());
                }
                () = sleep_until(patience) => return,
            }
        }
        self.proxy.catch_up().await;
    }

    /// Asks the proxy what became of it.
    async fn look(&mut self, steps: &mut Vec<Step>) -> Verdict {
        if let Some(new) = self.tracker.new_callid().cloned() {
            let state = match self.proxy.dialog(&new).await {
                Ok(listed) => listed.map(|listed| listed.state),
                Err(error) => (error.code() == Some(404)).then_some(DialogState::Deleted),
            };
            return state
                .map_or(Verdict::Open, |state| self.tracker.new_dialog(new.as_str(), state));
        }
        match self.proxy.dialog(&self.old).await {
            Ok(Some(listed)) if listed.state == DialogState::Deleted => self.tracker.old_ended(),
            Ok(Some(listed)) if self.is_unsure && listed.transfer_leg.is_none() => {
                Verdict::Failed(Failure::NotSent)
            }
            Ok(Some(listed)) => self.tracker.old_listed(&listed, steps),
            Err(error) if error.code() == Some(404) => self.tracker.old_ended(),
            Ok(None) | Err(_) => Verdict::Open,
        }
    }
}

/// Waits for a moment that may never come.
pub(super) async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A failed transfer as an error. `referred` got the REFER, `called` is who it was to call.
pub(super) fn transfer_error(failure: Failure, referred: Origin, called: Origin) -> CommandError {
    let declined = |origin, what: &str| CommandError::Declined { origin, what: what.to_owned() };
    match failure {
        Failure::NotSent => {
            let why = "OpenSIPS did not take the request to transfer the call".to_owned();
            CommandError::BackendUnavailable(why)
        }
        Failure::Refused => declined(referred, "it refused the REFER, or did not answer it"),
        // What the embedded engine says of a party that hung up before the call was up.
        Failure::OldEnded => {
            let status = Status { code: 487, reason: "Request Terminated".to_owned() };
            refusal(referred, status, None)
        }
        Failure::Answered(status) => refusal(called, status, None),
        Failure::Unknown => declined(called, "the call to it ended before it was answered"),
    }
}
