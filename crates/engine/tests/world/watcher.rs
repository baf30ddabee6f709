//! A watcher of the engine: tables made of its events and nothing else.

use std::collections::BTreeSet;

use engine::{BindingChange, CallEvent, Change, EndedBy, Ending, Side, Stage};

use super::World;

impl World {
    /// Keeps the table, and sees that each event fits the ones before it.
    pub(super) fn on_call_event(&mut self, event: CallEvent) {
        let CallEvent { change, call } = event;
        if self.show_watcher {
            self.note(&told(change, call.ending.as_ref()));
        }
        let over = matches!(call.stage, Stage::Ending);
        assert_eq!(call.ending.is_some(), over, "{call:?}\n{}", self.ladder);
        let ladder = &self.ladder;
        let before = self.watched.insert(call.name, call.clone());
        match (change, before) {
            (Change::Created, before) => assert_eq!(before, None, "created twice\n{ladder}"),
            (_, None) => panic!("never created: {call:?}\n{ladder}"),
            (_, Some(before)) => {
                assert_eq!(call.call_id, before.call_id, "another Call-ID\n{ladder}");
                let parties = [(&before.caller, &call.caller), (&before.callee, &call.callee)];
                for (before, now) in parties {
                    assert!(before.reached <= now.reached, "{change:?} goes back\n{ladder}");
                }
                assert!(before.stage as u8 <= call.stage as u8, "{change:?} goes back\n{ladder}");
                // Another phone may have the same URI.
                let is_told = matches!(change, Change::Ended | Change::Transferred(_));
                let differs = is_told || before != call;
                assert!(differs, "{change:?} changes nothing\n{ladder}");
            }
        }
        self.transferred += u64::from(matches!(change, Change::Transferred(_)));
        if change == Change::Ended {
            self.watched.remove(&call.name);
        }
    }

    /// Keeps the table of registrations, and sees that each event fits the ones before it.
    pub(super) fn on_registration(&mut self, aor: &str, contact: &str, change: BindingChange) {
        let phone = (aor.to_owned(), contact.to_owned());
        let is_new = match change {
            BindingChange::Registered => self.registered.insert(phone),
            BindingChange::Renewed => !self.registered.contains(&phone),
            BindingChange::Expired | BindingChange::Removed => !self.registered.remove(&phone),
        };
        let is_expected = is_new == (change == BindingChange::Registered);
        assert!(is_expected, "{change:?} {contact}: {:?}\n{}", self.registered, self.ladder);
    }

    /// The tables have what the engine has: the users that are registered, and the calls, with the
    /// same parties on hold.
    pub(super) fn assert_watched(&self) {
        let users: BTreeSet<&str> = self.registered.iter().map(|(aor, _)| aor.as_str()).collect();
        assert_eq!(users.len(), self.engine.load().registered, "{users:?}\n{}", self.ladder);
        for (name, call) in self.watched.iter().filter(|(_, call)| call.stage == Stage::Established)
        {
            for (side, party) in [(Side::Caller, &call.caller), (Side::Callee, &call.callee)] {
                let held = self.engine.is_held(&name.to_string(), side);
                assert_eq!(Some(party.held), held, "{side:?} of {call:?}\n{}", self.ladder);
            }
        }
        let calls = self.engine.load().calls;
        assert_eq!(self.watched.len(), calls, "{:?}\n{}", self.watched, self.ladder);
    }
}

fn told(change: Change, ending: Option<&Ending>) -> String {
    let side = |side| match side {
        Side::Caller => "caller",
        Side::Callee => "callee",
    };
    let why = ending.map_or(String::new(), |ending| {
        let by = match ending.by {
            EndedBy::Party(by) => side(by),
            EndedBy::Command => "command",
            EndedBy::Transfer => "transfer",
            EndedBy::Engine => "server",
        };
        let status = ending.status.as_ref();
        let status = status.map_or(String::new(), |(code, reason)| format!(" {code} {reason}"));
        let q850 = ending.q850.map_or(String::new(), |cause| format!(" q850={cause}"));
        format!(" {by}{status}{q850}")
    });
    match change {
        Change::Created => format!("* CALL_START{why}"),
        Change::Ringing(ringing) => format!("* CALL_RINGING {}", side(ringing)),
        Change::EarlyMedia(sending) => format!("* CALL_PROGRESS {}", side(sending)),
        Change::Answered(answering) => format!("* CALL_ANSWER {}", side(answering)),
        Change::Established => "* CALL_ESTABLISHED".to_owned(),
        Change::Held(held) => format!("* CALL_HOLD {}", side(held)),
        Change::Unheld(back) => format!("* CALL_UNHOLD {}", side(back)),
        Change::Transferred(side_) => format!("* CALL_TRANSFER {}", side(side_)),
        Change::Ending => format!("* CALL_ENDING{why}"),
        Change::Ended => format!("* CALL_END{why}"),
    }
}
