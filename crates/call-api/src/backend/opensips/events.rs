//! The events of OpenSIPS: what they say, and who waits for them.
//!
//! They come from several processes of the proxy, each with a socket of its own, so their order is
//! not that in which things happened, and over UDP one may be lost or come twice. Whoever waits for
//! an event has another way to find out.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::api::{Side, SipUri};

/// Something that happened to a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// `E_DLG_STATE_CHANGED`.
    Dialog(DialogChanged),
    /// `E_CALL_TRANSFER`.
    Transfer(Transferred),
    /// `E_CALL_HOLD`.
    Hold(HoldChanged),
}

/// A dialog is in another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogChanged {
    /// Names the dialog in its proxy.
    pub id: String,
    /// Its Call-ID.
    pub callid: String,
    /// Its state now.
    pub state: DialogState,
}

/// The states of a dialog, in the order it goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DialogState {
    /// The INVITE is on its way.
    Unconfirmed,
    /// The callee's phone rings.
    Early,
    /// It was answered, and the answer is not acknowledged yet.
    Answered,
    /// Both talk.
    Confirmed,
    /// It is over. It stays listed for some seconds.
    Deleted,
}

impl DialogState {
    /// The state with this number.
    #[must_use]
    pub fn of(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Unconfirmed),
            2 => Some(Self::Early),
            3 => Some(Self::Answered),
            4 => Some(Self::Confirmed),
            5 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// The Call-ID of the dialog that is transferred.
    pub callid: String,
    /// The Call-ID of the new one; empty when it is not known.
    pub new_callid: String,
    /// Where the new one goes, when that is told.
    pub destination: Option<SipUri>,
    /// How far.
    pub state: TransferState,
}

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// The transferred phone's INVITE is here.
    Start,
    /// It says with a NOTIFY what it was answered (RFC 3515 §2.4.5).
    Notify(Status),
    /// The new call is answered.
    Ok,
    /// It is not. What the proxy itself answered is told as 408.
    Fail(Status),
}

/// A status code and its reason phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// 100 to 699.
    pub code: u16,
    /// The phrase, which may be empty.
    pub reason: String,
}

impl Status {
    /// Reads `486 Busy Here`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
        let code = code.parse().ok().filter(|code| (100..700).contains(code))?;
        Some(Self { code, reason: reason.to_owned() })
    }
}

/// How far a re-INVITE is that holds a party or takes it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldChanged {
    /// The Call-ID of the dialog.
    pub callid: String,
    /// Who gets the re-INVITE.
    pub leg: Side,
    /// Whether a hold begins or ends.
    pub is_hold: bool,
    /// How far.
    pub state: HoldState,
}

/// How far a re-INVITE is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// It was sent.
    Start,
    /// The phone agreed.
    Ok,
    /// It refused, or did not answer.
    Fail,
}

impl Happened {
    /// `None` when this is none of the three events, or not as OpenSIPS writes them.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&serde_json::from_slice(bytes).ok()?)
    }

    /// The same, from JSON.
    #[must_use]
    pub fn read(notification: &Value) -> Option<Self> {
        #[derive(Deserialize)]
        struct Dialog {
            id: Option<String>,
            hash_entry: Option<String>,
            hash_id: Option<String>,
            callid: String,
            new_state: u64,
        }
        #[derive(Deserialize)]
        struct Transfer {
            callid: String,
            transfer_callid: String,
            #[serde(default)]
            destination: String,
            state: String,
            status: String,
        }
        #[derive(Deserialize)]
        struct Hold {
            callid: String,
            leg: String,
            action: String,
            state: String,
        }
        let params = &notification["params"];
        match notification["method"].as_str()? {
            "E_DLG_STATE_CHANGED" => {
                let dialog = Dialog::deserialize(params).ok()?;
                let Dialog { id, hash_entry, hash_id, callid, new_state } = dialog;
                let of_3_1 = || Some(format!("{}.{}", digits(hash_entry?)?, digits(hash_id?)?));
                let id = id.or_else(of_3_1)?;
                let state = DialogState::of(new_state)?;
                Some(Self::Dialog(DialogChanged { id, callid, state }))
            }
            "E_CALL_TRANSFER" => {
                let Transfer { callid, transfer_callid, destination, state, status } =
                    Transfer::deserialize(params).ok()?;
                let state = match state.as_str() {
                    "start" => TransferState::Start,
                    "ok" => TransferState::Ok,
                    "notify" => TransferState::Notify(Status::parse(&status)?),
                    "fail" => TransferState::Fail(Status::parse(&status)?),
                    _ => return None,
                };
                let destination = SipUri::parse(&without_mark(destination));
                let new_callid = transfer_callid;
                Some(Self::Transfer(Transferred { callid, new_callid, destination, state }))
            }
            "E_CALL_HOLD" => {
                let Hold { callid, leg, action, state } = Hold::deserialize(params).ok()?;
                let leg = side(&leg)?;
                let state = match state.as_str() {
                    "start" => HoldState::Start,
                    "ok" => HoldState::Ok,
                    // "state" is what it says when it could not even send the re-INVITE.
                    "fail" | "state" => HoldState::Fail,
                    _ => return None,
                };
                let is_hold = action != "unhold";
                Some(Self::Hold(HoldChanged { callid, leg, is_hold, state }))
            }
            _ => None,
        }
    }

    /// The Call-ID of the dialog it happened to.
    #[must_use]
    pub fn callid(&self) -> &str {
        match self {
            Self::Dialog(event) => &event.callid,
            Self::Transfer(event) => &event.callid,
            Self::Hold(event) => &event.callid,
        }
    }
}

/// A number as ids of dialogs have it: in hexadecimal, the last digit first. 3.1 tells the two numbers of
/// which an id is made.
fn digits(number: String) -> Option<String> {
    let number: u32 = number.parse().ok()?;
    Some(format!("{number:x}").chars().rev().collect())
}

/// A URI without the parameter by which OpenSIPS knows a transferred call again.
pub(super) fn without_mark(uri: String) -> String {
    match uri.split_once(";osid=") {
        Some((before, after)) => {
            let rest = after.find(';').map_or("", |at| &after[at..]);
            format!("{before}{rest}")
        }
        None => uri,
    }
}

/// The party that OpenSIPS calls so.
pub(super) fn side(leg: &str) -> Option<Side> {
    match leg {
        "caller" => Some(Side::Caller),
        "callee" => Some(Side::Callee),
        _ => None,
    }
}

/// How OpenSIPS calls a party.
pub(super) fn leg(side: Side) -> &'static str {
    match side {
        Side::Caller => "caller",
        Side::Callee => "callee",
    }
}

/// Events that wait for one command. A phone may send NOTIFY as often as it likes; at the bound they
/// are dropped, and the command finds out by asking.
pub const WATCH_BOUND: usize = 128;

/// Who waits for the events of which Call-ID.
#[derive(Debug, Default)]
pub struct Watchers {
    by_callid: HashMap<String, Vec<mpsc::Sender<Happened>>>,
    /// At this size those are looked for who have gone.
    sweep_at: usize,
}

impl Watchers {
    /// Sends events of `callid` to `watcher` until it is closed.
    pub fn add(&mut self, callid: String, watcher: mpsc::Sender<Happened>) {
        if self.by_callid.len() >= self.sweep_at {
            self.by_callid.retain(|_, watchers| {
                watchers.retain(|watcher| !watcher.is_closed());
                !watchers.is_empty()
            });
            self.sweep_at = 2 * self.by_callid.len() + 64;
        }
        self.by_callid.entry(callid).or_default().push(watcher);
    }

    /// Tells those who wait.
    pub fn tell(&mut self, event: &Happened) {
        let Some(watchers) = self.by_callid.get_mut(event.callid()) else { return };
        watchers.retain(|watcher| match watcher.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(callid = event.callid(), "more events than a command reads");
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        if watchers.is_empty() {
            self.by_callid.remove(event.callid());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blind_start_is_read_without_its_leg_which_is_wrong() {
        let start = br#"{"jsonrpc":"2.0","method":"E_CALL_TRANSFER","params":{"callid":"old","leg":"new","transfer_callid":"new","destination":"sip:bob@127.0.0.1:5072","state":"start","status":""}}"#;
        let state = TransferState::Start;
        let expected = Transferred {
            callid: "old".to_owned(),
            new_callid: "new".to_owned(),
            destination: SipUri::parse("sip:bob@127.0.0.1:5072"),
            state,
        };
        assert_eq!(Happened::parse(start), Some(Happened::Transfer(expected)));
    }

    #[test]
    fn a_dialog_of_3_1_has_the_id_that_it_is_listed_with() {
        let event = br#"{"method":"E_DLG_STATE_CHANGED","params":{"hash_entry":"2619","hash_id":"1717741382","callid":"x","new_state":4}}"#;
        let Some(Happened::Dialog(event)) = Happened::parse(event) else { panic!("an event") };
        assert_eq!(event.id, "b3a.647a2666");
    }

    #[test]
    fn what_opensips_does_not_write_is_no_event() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"method":"E_CALL_HOLD"}"#,
            r#"{"method":"E_CALL_HOLD","params":{"callid":"x","leg":"both","action":"hold","state":"ok"}}"#,
            r#"{"method":"E_CALL_TRANSFER","params":{"callid":"x","transfer_callid":"y","state":"notify","status":"hello"}}"#,
            r#"{"method":"E_DLG_STATE_CHANGED","params":{"id":"1.2","callid":"x","new_state":9}}"#,
        ] {
            assert_eq!(Happened::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn watchers_that_have_gone_leave_nothing_behind() {
        let mut watchers = Watchers::default();
        for call in 0..10_000 {
            let (watcher, _) = mpsc::channel(WATCH_BOUND);
            watchers.add(call.to_string(), watcher);
        }
        assert!(watchers.by_callid.len() <= 64, "{}", watchers.by_callid.len());
    }
}
