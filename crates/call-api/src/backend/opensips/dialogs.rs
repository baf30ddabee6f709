//! The dialogs of a proxy, told to whoever watches calls: those that commands made, and all others.
//!
//! `E_DLG_STATE_CHANGED` says that a dialog went on and not who talks in it, so a dialog that is not
//! known is asked for. The table is also compared with the proxy's list now and then, as events get
//! lost.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::events::{DialogChanged, DialogState, Happened, HoldChanged, HoldState, without_mark};
use super::mi::{Method, MiError};
use super::proxy::WeakProxy;
use crate::api::call::{EndedBy, Ending, Party, Reached, Stage};
use crate::api::{Call, CallChange, CallEvent, CallId, Side, SipUri};
use crate::backend::EventSink;

/// Call-IDs of dialogs in which a caller is told whom to call begin so: they are no calls between two
/// parties, so nobody is told of them.
pub(super) const HELPER: &str = "call-api-";

/// Dialogs that wait to be asked for. Beyond it the whole list is asked for.
const NEWS_QUEUE: usize = 1024;
/// Dialogs in one answer: 20 of them fill a third of a datagram.
const PAGE: u64 = 20;

/// The dialogs of one proxy.
pub(super) struct Dialogs {
    table: Mutex<Table>,
    sink: Arc<dyn EventSink>,
    /// Call-IDs to be asked for.
    unknown: mpsc::Sender<String>,
    /// Rung when more are to be asked for than fit into that.
    missed: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    /// Tells dialogs of several proxies apart.
    prefix: String,
    by_id: HashMap<String, Dialog>,
    ids: HashMap<String, Vec<String>>,
}

struct Dialog {
    callid: String,
    state: DialogState,
    call: Call,
    /// What takes it down, when it is one of our commands.
    ending: Option<EndedBy>,
}

/// Whom a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This dialog.
    One {
        /// Names it in its proxy.
        id: String,
        /// Its Call-ID.
        callid: CallId,
    },
    /// Several share the Call-ID: what they can be named by.
    Several(Vec<String>),
    /// None that is known.
    None,
}

/// What is still to be found out of dialogs.
pub(super) struct News {
    dialogs: Arc<Notify>,
    unknown: mpsc::Receiver<String>,
}

/// What is to be found out next.
pub(super) enum Next {
    /// Who talks in the dialog of this Call-ID.
    Dialog(String),
    /// Everything.
    All,
}

impl fmt::Debug for Dialogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogs").field("known", &self.table().by_id.len()).finish_non_exhaustive()
    }
}

impl Dialogs {
    /// None yet.
    #[must_use]
    pub(super) fn new(sink: Arc<dyn EventSink>) -> (Self, News) {
        let (sender, unknown) = mpsc::channel(NEWS_QUEUE);
        let missed = Arc::new(Notify::new());
        let news = News { dialogs: Arc::clone(&missed), unknown };
        (Self { table: Mutex::default(), sink, unknown: sender, missed }, news)
    }

    /// Names its dialogs so that they differ from those of other proxies.
    pub(super) fn set_prefix(&self, prefix: String) {
        self.table().prefix = prefix;
    }

    /// The dialog of this Call-ID or id.
    #[must_use]
    pub(super) fn find(&self, name: &CallId) -> Found {
        let table = self.table();
        let name = name.as_str();
        let ids = table.ids.get(name).map_or(&[][..], Vec::as_slice);
        let id = match ids {
            [_, _, ..] => {
                return Found::Several(ids.iter().map(|id| table.shown(id)).collect());
            }
            [id] => id.as_str(),
            [] => name.strip_prefix(table.prefix.as_str()).unwrap_or(name),
        };
        let found = table.by_id.get(id);
        match found.and_then(|dialog| CallId::parse(&dialog.callid)) {
            Some(callid) => Found::One { id: id.to_owned(), callid },
            None => Found::None,
        }
    }

    /// Remembers that a command takes the dialog with this Call-ID down.
    pub(super) fn ending(&self, callid: &str, by: EndedBy) {
        let mut table = self.table();
        let ids = table.ids.get(callid).cloned().unwrap_or_default();
        for id in ids {
            if let Some(dialog) = table.by_id.get_mut(&id) {
                dialog.ending = Some(by);
            }
        }
    }

    /// Takes an event.
    pub(super) fn tell(&self, event: Happened) {
        if event.callid().starts_with(HELPER) {
            return;
        }
        match event {
            Happened::Dialog(DialogChanged { id, callid, state }) => {
                let mut table = self.table();
                if table.by_id.contains_key(&id) {
                    table.advance(&id, state, &*self.sink);
                } else if state != DialogState::Deleted {
                    self.ask_for(callid);
                }
            }
            // Who is held by that is seen in the dialog itself.
            Happened::Hold(HoldChanged { callid, state: HoldState::Ok, .. }) => {
                self.ask_for(callid);
            }
            Happened::Hold(_) | Happened::Transfer(_) => {}
        }
    }

    /// Has the dialog of a Call-ID looked at.
    pub(super) fn ask_for(&self, callid: String) {
        if self.unknown.try_send(callid).is_err() {
            self.missed.notify_one();
        }
    }

    /// Takes a dialog as the proxy lists it. Returns its id.
    fn take(&self, listed: &Value) -> Option<String> {
        let listed = Listed::read(listed)?;
        if listed.callid.starts_with(HELPER) {
            return None;
        }
        self.table().take(&listed, &*self.sink);
        Some(listed.id)
    }

    /// The Call-IDs of the dialogs that are not among these.
    fn others(&self, ids: &HashSet<String>) -> Vec<(String, String)> {
        let table = self.table();
        let others = table.by_id.iter().filter(|(id, _)| !ids.contains(*id));
        others.map(|(id, dialog)| (id.clone(), dialog.callid.clone())).collect()
    }

    fn is_gone(&self, id: &str) {
        self.table().advance(id, DialogState::Deleted, &*self.sink);
    }

    /// Every change of the table is complete, so a poisoned lock guards nothing broken.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// How others name a dialog.
    fn shown(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    fn take(&mut self, listed: &Listed, sink: &dyn EventSink) {
        if !self.by_id.contains_key(&listed.id) {
            if listed.state == DialogState::Deleted {
                return;
            }
            let Some(id) = CallId::parse(&self.shown(&listed.id)) else { return };
            let party = |uri: &str, reached| Party {
                uri: SipUri::parse(uri),
                callid: None,
                reached,
                held: false,
            };
            let call = Call {
                id,
                callid: CallId::parse(&listed.callid),
                stage: Stage::Calling,
                caller: party(&listed.from_uri, Reached::Answered),
                callee: party(&listed.to_uri, Reached::Calling),
                ending: None,
            };
            sink.call(CallEvent { change: CallChange::Created, call: call.clone() });
            let callid = listed.callid.clone();
            self.ids.entry(callid.clone()).or_default().push(listed.id.clone());
            let state = DialogState::Unconfirmed;
            self.by_id.insert(listed.id.clone(), Dialog { callid, state, call, ending: None });
        }
        self.advance(&listed.id, listed.state, sink);
        if let Some(dialog) = self.by_id.get_mut(&listed.id) {
            dialog.hold(Side::Caller, listed.kept[0].is_held(), sink);
            dialog.hold(Side::Callee, listed.kept[1].is_held(), sink);
        }
    }

    /// Events come in any order; a dialog goes one way.
    fn advance(&mut self, id: &str, state: DialogState, sink: &dyn EventSink) {
        let Some(dialog) = self.by_id.get_mut(id) else { return };
        if state <= dialog.state {
            return;
        }
        dialog.state = state;
        let was_answered = dialog.call.stage != Stage::Calling;
        match state {
            DialogState::Unconfirmed => {}
            DialogState::Early => {
                dialog.call.callee.reached = Reached::Ringing;
                dialog.report(CallChange::Ringing(Side::Callee), sink);
            }
            DialogState::Answered | DialogState::Confirmed => {
                if !was_answered {
                    dialog.call.stage = Stage::Answered;
                    dialog.call.callee.reached = Reached::Answered;
                    dialog.report(CallChange::Answered(Side::Callee), sink);
                }
                if state == DialogState::Confirmed {
                    dialog.call.stage = Stage::Established;
                    dialog.report(CallChange::Established, sink);
                }
            }
            DialogState::Deleted => {
                let Some(mut dialog) = self.by_id.remove(id) else { return };
                dialog.call.stage = Stage::Ending;
                // The proxy does not say who hung up.
                dialog.call.ending =
                    dialog.ending.map(|by| Ending { by, status: None, q850: None });
                dialog.report(CallChange::Ending, sink);
                dialog.report(CallChange::Ended, sink);
                if let Some(ids) = self.ids.get_mut(&dialog.callid) {
                    ids.retain(|other| other != id);
                    if ids.is_empty() {
                        self.ids.remove(&dialog.callid);
                    }
                }
            }
        }
    }
}

impl Dialog {
    fn hold(&mut self, side: Side, held: bool, sink: &dyn EventSink) {
        let party = match side {
            Side::Caller => &mut self.call.caller,
            Side::Callee => &mut self.call.callee,
        };
        if party.held != held {
            party.held = held;
            let change = if held { CallChange::Held(side) } else { CallChange::Unheld(side) };
            self.report(change, sink);
        }
    }

    fn report(&self, change: CallChange, sink: &dyn EventSink) {
        sink.call(CallEvent { change, call: self.call.clone() });
    }
}

impl News {
    /// Waits until there is something to find out. May be cancelled.
    pub(super) async fn next(&mut self) -> Next {
        tokio::select! {
            Some(callid) = self.unknown.recv() => Next::Dialog(callid),
            () = self.dialogs.notified() => Next::All,
        }
    }

    /// Finds it out. `None` when the proxy is not used any more.
    pub(super) async fn find_out(&mut self, next: Next, proxy: &WeakProxy) -> Option<()> {
        match next {
            Next::All => self.list(proxy).await,
            Next::Dialog(callid) => {
                // A dialog that has gone meanwhile is none to tell of.
                let answer = proxy.ask(Method::Dialogs, json!({"callid": callid})).await?;
                if let Ok(answer) = answer {
                    proxy.dialogs.take(&answer["Dialog"]);
                }
                Some(())
            }
        }
    }

    /// Compares the table with the proxy's list. `None` when the proxy is not used any more.
    pub(super) async fn list(&self, proxy: &WeakProxy) -> Option<()> {
        let (mut index, mut page, mut seen) = (0, PAGE, HashSet::new());
        loop {
            let params = json!({"index": index, "counter": page});
            let answer = match proxy.ask(Method::Dialogs, params).await? {
                Ok(answer) => answer,
                Err(MiError::TooLong) if page > 1 => {
                    page = (page / 2).max(1);
                    continue;
                }
                // One dialog that does not fit is passed over.
                Err(MiError::TooLong) => {
                    index += 1;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(proxy = %proxy.name, %error, "listing dialogs");
                    return Some(());
                }
            };
            let listed = answer["Dialogs"].as_array().map_or(&[][..], Vec::as_slice);
            seen.extend(listed.iter().filter_map(|dialog| proxy.dialogs.take(dialog)));
            index += listed.len() as u64;
            let count = answer["count"].as_u64().unwrap_or(0);
            if listed.is_empty() || index >= count {
                break;
            }
            page = PAGE;
        }
        // The list may have shifted between two pages, so the others are asked for one by one.
        for (id, callid) in proxy.dialogs.others(&seen) {
            if !is_there(proxy, &id, &callid).await? {
                proxy.dialogs.is_gone(&id);
            }
        }
        Some(())
    }
}

async fn is_there(proxy: &WeakProxy, id: &str, callid: &str) -> Option<bool> {
    match proxy.ask(Method::Dialogs, json!({"callid": callid})).await? {
        Ok(answer) => {
            let listed = Listed::read(&answer["Dialog"]);
            // Another dialog of the same Call-ID hides this one: it is taken for alive.
            Some(
                listed.is_none_or(|listed| listed.id != id || listed.state != DialogState::Deleted),
            )
        }
        Err(MiError::Refused { code: 404, .. }) => Some(false),
        // Not known, so nothing is said.
        Err(_) => Some(true),
    }
}

/// What the proxy keeps of the hold of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was never on hold.
    Nothing,
    /// 4.0: flags that are set once the phone has agreed, [`Kept::ITSELF`] and [`Kept::OTHER`].
    Agreed(u64),
    /// 3.x: whether the last re-INVITE that was sent holds it, whatever the phone says to that.
    Sent(bool),
}

impl Kept {
    /// It is on hold.
    pub(super) const ITSELF: u64 = 8;
    /// The other party is.
    pub(super) const OTHER: u64 = 4;

    /// Whether a party is as it is wanted: with these flags set, or not set. 3.x knows no flags.
    pub(super) fn is(self, held: bool, flags: u64) -> bool {
        match self {
            Self::Nothing => !held,
            Self::Agreed(set) => set & flags == if held { flags } else { 0 },
            Self::Sent(sent) => sent == held,
        }
    }

    pub(super) fn is_held(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Agreed(flags) => flags & Self::ITSELF != 0,
            Self::Sent(held) => held,
        }
    }
}

/// A dialog as the proxy lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) callid: String,
    pub(super) state: DialogState,
    from_uri: String,
    to_uri: String,
    /// What is kept of the hold of caller and callee.
    pub(super) kept: [Kept; 2],
    /// Who is being transferred: `Some("")` when nobody is any more.
    pub(super) transfer_leg: Option<String>,
    /// The Call-ID that the transfer led to.
    pub(super) transfer_callid: Option<String>,
}

impl Listed {
    /// The URI of a party, as its INVITE had it.
    pub(super) fn uri(&self, side: Side) -> Option<SipUri> {
        SipUri::parse(match side {
            Side::Caller => &self.from_uri,
            Side::Callee => &self.to_uri,
        })
    }

    pub(super) fn read(dialog: &Value) -> Option<Self> {
        let text = |name: &str| dialog[name].as_str().map(str::to_owned);
        // A list of objects with one member each.
        let values = dialog["context"]["values"].as_array().map_or(&[][..], Vec::as_slice);
        let kept = |name: &str| values.iter().find_map(|value| value.get(name));
        let kept_text = |name: &str| kept(name).and_then(Value::as_str).map(str::to_owned);
        let held = |name: &str| match kept(name) {
            Some(Value::Number(flags)) => Kept::Agreed(flags.as_u64().unwrap_or_default()),
            Some(Value::String(word)) => Kept::Sent(word == "hold"),
            _ => Kept::Nothing,
        };
        Some(Self {
            id: text("ID")?,
            callid: text("callid")?,
            state: DialogState::of(dialog["state"].as_u64()?)?,
            from_uri: text("from_uri").unwrap_or_default(),
            to_uri: without_mark(text("to_uri").unwrap_or_default()),
            kept: [held("call_hold_caller"), held("call_hold_callee")],
            transfer_leg: kept_text("call_transfer_leg"),
            transfer_callid: kept_text("call_transfer_callid"),
        })
    }
}
