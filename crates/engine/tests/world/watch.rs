//! What must hold of everything the engine sends, whatever happens: the checker of every scenario
//! and of the simulation.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use engine::ladder::Ladder;
use sip::sdp::Sdp;
use sip::{Message, Method};

/// What must hold of everything the engine sends, whatever happens.
#[derive(Default)]
pub(super) struct Watch {
    /// The last CSeq the engine used in a dialog, and whether it has said BYE there.
    dialogs: HashMap<String, (u32, bool)>,
    branches: HashSet<String>,
    /// The last session description the engine sent in a dialog of its own tag: whose session it is,
    /// its version, and all that it says.
    sessions: HashMap<String, (String, u64, String)>,
    datagrams: HashSet<Bytes>,
    /// Answers to INVITEs of the engine, and whether they were acknowledged.
    answers: HashMap<String, bool>,
}

impl Watch {
    pub(super) fn sent(&mut self, bytes: &Bytes, ladder: &Ladder) {
        let Ok(message) = Message::parse(bytes.clone()) else { return };
        // What is sent again says again what was so then.
        if self.datagrams.insert(bytes.clone()) {
            self.described(&message, ladder);
        }
        let Message::Request(request) = message else { return };
        let dialog =
            format!("{} {:?} {:?}", request.call_id(), request.from_tag(), request.to_tag());
        let seq = request.cseq().number;
        match request.method {
            Method::Ack => drop(self.answers.insert(format!("{dialog} {seq}"), true)),
            Method::Cancel => {}
            // A transaction goes on for itself: only what is new must be in order.
            _ if !self.branches.insert(request.branch().unwrap_or_default().to_owned()) => {}
            _ => {
                let (last, closed) = self.dialogs.entry(dialog).or_insert((seq, false));
                assert!(seq >= *last, "CSeq went back to {seq}\n{ladder}");
                // A fork that answers once more, when its leg is long forgotten, is hung up once more.
                let is_bye = request.method == Method::Bye;
                assert!(seq == *last || !*closed || is_bye, "{request:?} after BYE\n{ladder}");
                *last = seq;
                *closed |= is_bye;
            }
        }
    }

    /// RFC 3264 §8: the version of a session never goes back, and rises when anything changes.
    pub(super) fn described(&mut self, message: &Message, ladder: &Ladder) {
        let headers = message.headers();
        let own_tag = match message {
            Message::Request(_) => headers.from_tag(),
            Message::Response(_) => headers.to_tag(),
        };
        let Ok(sdp) = Sdp::parse(headers.body()) else { return };
        let origin = sdp.origin();
        let whose = format!("{} {} {}", origin.username, origin.session_id, origin.rest);
        let text = String::from_utf8_lossy(headers.body());
        let text = text.lines().filter(|line| !line.starts_with("o=")).collect::<String>();
        let dialog = format!("{} {own_tag:?}", headers.call_id());
        let new = (whose, origin.version, text);
        if let Some(last) = self.sessions.insert(dialog, new.clone())
            && last.0 == new.0
        {
            let risen = new.1 > last.1 || (new.1 == last.1 && new.2 == last.2);
            assert!(risen, "from version {} to {}: {}\n{ladder}", last.1, new.1, new.2);
        }
    }

    pub(super) fn received(&mut self, bytes: &Bytes) {
        if let Some(dialog) = answered_dialog(bytes) {
            self.answers.entry(dialog).or_insert(false);
        }
    }

    /// An answer that is read after the timers of so long a time that its transaction was over: nobody
    /// knows it any more, and the phone hangs up by itself (RFC 3261 §13.3.1.4).
    pub(super) fn received_too_late(&mut self, bytes: &Bytes) {
        if let Some(dialog) = answered_dialog(bytes) {
            self.answers.entry(dialog).or_insert(true);
        }
    }

    pub(super) fn assert_settled(&self, ladder: &Ladder) {
        for (answer, acknowledged) in &self.answers {
            assert!(acknowledged, "never acknowledged: {answer}\n{ladder}");
        }
    }
}

/// The dialog and the INVITE that a 2xx answers.
fn answered_dialog(bytes: &Bytes) -> Option<String> {
    let Ok(Message::Response(response)) = Message::parse(bytes.clone()) else { return None };
    let (seq, call_id) = (response.cseq(), response.call_id());
    let is_answer = (200..300).contains(&response.status) && seq.method == Method::Invite;
    let (from, to) = (response.from_tag(), response.to_tag());
    is_answer.then(|| format!("{call_id} {from:?} {to:?} {}", seq.number))
}
