//! What becomes of a transfer, from the many ways in which OpenSIPS tells it.
//!
//! `call_transfer` says `Accepted` before the REFER is answered, and nothing at all when it is
//! refused. Events say the rest, in any order: `start`, `notify`, `ok` or `fail`, and the state of the
//! new dialog. What the dialog keeps of the transfer is asked for now and then: it shows a refusal,
//! and what lost events would have said.
//!
//! A value: no socket, no clock. `refer` asks the questions.

use super::dialogs::Listed;
use super::events::{DialogState, Happened, Status, TransferState};
use crate::api::{CallId, SipUri};

/// How far a transfer is known to be.
#[derive(Debug)]
pub(super) struct Tracker {
    /// The Call-ID of the dialog that is transferred.
    old: CallId,
    /// Whether anything shows that the REFER was taken.
    accepted: bool,
    /// The Call-ID of the new dialog.
    new: Option<CallId>,
    /// The new call failed, and perhaps a better reason follows.
    failing: Option<Option<Status>>,
    old_ended: bool,
    /// Whether the new dialog is acknowledged, or has ended.
    confirmed: bool,
}

/// What is to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The REFER was taken.
    Accepted,
    /// The transferred phone says how far its call is.
    Progress(u16),
    /// The new call is on its way.
    Started {
        /// It has no name where the proxy does not know which it is.
        callid: Option<CallId>,
        /// Where it goes, when that was told.
        destination: Option<SipUri>,
    },
}

/// What is known after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing final.
    Open,
    /// It will fail; a better reason may follow soon.
    Failing,
    /// The new call is answered.
    Answered(Option<CallId>),
    /// It is not.
    Failed(Failure),
}

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The proxy was never asked to: the request is lost.
    NotSent,
    /// The phone refused the REFER, or never answered it.
    Refused,
    /// The dialog of the REFER ended before there was a new one.
    OldEnded,
    /// The new call was answered so.
    Answered(Status),
    /// The new call ended, nobody says why.
    Unknown,
}

impl Tracker {
    pub(super) fn new(old: CallId) -> Self {
        Self { old, accepted: false, new: None, failing: None, old_ended: false, confirmed: false }
    }

    /// The Call-ID of the new dialog.
    pub(super) fn new_callid(&self) -> Option<&CallId> {
        self.new.as_ref()
    }

    /// Whether the dialog of the REFER has ended, and there is no new one.
    pub(super) fn is_orphan(&self) -> bool {
        self.old_ended && self.new.is_none()
    }

    /// Whether it will fail, and a better reason is waited for.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether the new call is acknowledged.
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The dialog of the REFER has ended.
    pub(super) fn old_ended(&mut self) -> Verdict {
        self.old_ended = true;
        Verdict::Open
    }

    /// Takes an event of the old dialog or the new one.
    pub(super) fn event(&mut self, event: &Happened, steps: &mut Vec<Step>) -> Verdict {
        match event {
            Happened::Transfer(event) if event.callid == self.old.as_str() => {
                // Whatever it tells of the new call: that call is here.
                self.start(&event.new_callid, event.destination.as_ref(), steps);
                match &event.state {
                    TransferState::Start => Verdict::Open,
                    TransferState::Ok => self.answered(),
                    TransferState::Notify(status) => self.notified(status, steps),
                    TransferState::Fail(status) => self.failed(status.clone()),
                }
            }
            Happened::Dialog(event) if event.callid == self.old.as_str() => {
                self.old_ended |= event.state == DialogState::Deleted;
                Verdict::Open
            }
            Happened::Dialog(event) => self.new_dialog(&event.callid, event.state),
            Happened::Transfer(_) | Happened::Hold(_) => Verdict::Open,
        }
    }

    /// Takes what the proxy says of the old dialog when it is asked.
    pub(super) fn old_listed(&mut self, listed: &Listed, steps: &mut Vec<Step>) -> Verdict {
        match (&listed.transfer_callid, listed.transfer_leg.as_deref()) {
            (Some(new), _) => {
                self.start(new, None, steps);
                Verdict::Open
            }
            (None, Some("")) if !self.accepted => Verdict::Failed(Failure::Refused),
            (None, _) => Verdict::Open,
        }
    }

    /// Takes what it says of the new dialog: its state, `Deleted` when it is not there.
    pub(super) fn new_dialog(&mut self, callid: &str, state: DialogState) -> Verdict {
        if self.new.as_ref().is_none_or(|new| new.as_str() != callid) {
            return Verdict::Open;
        }
        self.confirmed |= state >= DialogState::Confirmed;
        match state {
            DialogState::Unconfirmed | DialogState::Early => Verdict::Open,
            DialogState::Answered | DialogState::Confirmed => self.answered(),
            DialogState::Deleted => {
                self.failing.get_or_insert(None);
                Verdict::Failing
            }
        }
    }

    /// No better reason came in time.
    pub(super) fn settled(&mut self) -> Failure {
        match self.failing.take() {
            Some(Some(status)) => Failure::Answered(status),
            Some(None) => Failure::Unknown,
            None => Failure::OldEnded,
        }
    }

    fn accept(&mut self, steps: &mut Vec<Step>) {
        if !self.accepted {
            self.accepted = true;
            steps.push(Step::Accepted);
        }
    }

    fn start(&mut self, new: &str, destination: Option<&SipUri>, steps: &mut Vec<Step>) {
        self.accept(steps);
        if self.new.is_none()
            && let Some(new) = CallId::parse(new)
        {
            self.new = Some(new.clone());
            steps.push(Step::Started { callid: Some(new), destination: destination.cloned() });
        }
    }

    fn answered(&self) -> Verdict {
        self.new.clone().map_or(Verdict::Open, |new| Verdict::Answered(Some(new)))
    }

    fn notified(&self, status: &Status, steps: &mut Vec<Step>) -> Verdict {
        match status.code {
            100..200 => {
                steps.push(Step::Progress(status.code));
                Verdict::Open
            }
            200..300 => {
                // The phone placed the call past the proxy, or did not say what it is for.
                if self.new.is_none() {
                    steps.push(Step::Started { callid: None, destination: None });
                }
                Verdict::Answered(self.new.clone())
            }
            // The phone knows what it was answered, also where the event `fail` does not.
            _ => Verdict::Failed(Failure::Answered(status.clone())),
        }
    }

    fn failed(&mut self, status: Status) -> Verdict {
        // The proxy's own answers are all told as 408; the NOTIFY that follows says which it was.
        if status.code != 408 {
            return Verdict::Failed(Failure::Answered(status));
        }
        self.failing = Some(Some(status));
        Verdict::Failing
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::Transferred;
    use super::*;

    fn notify(new_callid: &str, code: u16) -> Happened {
        Happened::Transfer(Transferred {
            callid: "old".to_owned(),
            new_callid: new_callid.to_owned(),
            destination: None,
            state: TransferState::Notify(Status { code, reason: String::new() }),
        })
    }

    #[test]
    fn a_phone_is_believed_of_a_call_that_the_proxy_does_not_know() {
        let mut tracker = Tracker::new(CallId::parse("old").unwrap());
        let mut steps = Vec::new();
        assert_eq!(tracker.event(&notify("", 200), &mut steps), Verdict::Answered(None));
        assert_eq!(steps, [Step::Accepted, Step::Started { callid: None, destination: None }]);
    }

    #[test]
    fn a_phone_is_believed_of_a_call_that_it_could_not_place() {
        let mut tracker = Tracker::new(CallId::parse("old").unwrap());
        let mut steps = Vec::new();
        let Verdict::Failed(Failure::Answered(status)) =
            tracker.event(&notify("", 503), &mut steps)
        else {
            panic!("a NOTIFY of a failure is final");
        };
        assert_eq!((status.code, steps), (503, vec![Step::Accepted]));
    }
}
