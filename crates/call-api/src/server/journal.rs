//! The journal: everything that clients are told, numbered, and the tables of calls and registrations
//! that follow from it.
//!
//! One lock guards all, so a snapshot of the table and its cursor belong together: the table after
//! event 17 and the events from 18 on are the whole story. The last events are kept, up to a bound
//! in bytes, for those who come back with a cursor. Whoever asks for one that is not kept is told
//! so and starts anew: there is no silent loss. Nobody waits for a reader here; readers come and
//! take.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::access::Owner;
use crate::api::{
    Call, CallChange, CallEvent, CallId, CommandError, CommandId, Cursor, Done, Event, EventKind,
    Filter, Registration, RegistrationChange, RegistrationEvent, SipUri,
};
use crate::backend::EventSink;

/// Bytes of events that are kept, about: those of some 5,000 calls.
pub const CAPACITY: usize = 16 << 20;

/// What an event costs beside its texts.
const OVERHEAD: usize = 512;

/// The events of one run of the server, and its calls.
pub struct Journal {
    id: u32,
    capacity: usize,
    book: Mutex<Book>,
    /// The number of the last event.
    last: watch::Sender<u64>,
}

#[derive(Default)]
struct Book {
    /// The number of the last event; the first is 1.
    last: u64,
    /// The last events, in order and without a gap.
    records: VecDeque<Arc<Record>>,
    /// What they cost.
    used: usize,
    /// The calls there are. Bounded by what the backend holds.
    calls: HashMap<CallId, Arc<CallRecord>>,
    /// The ids of the calls that share a Call-ID, oldest first.
    by_callid: HashMap<CallId, Vec<CallId>>,
    /// The phones that are registered. Bounded by what the backend holds.
    registrations: HashMap<Registration, Arc<RegistrationRecord>>,
}

/// An event.
#[derive(Debug)]
pub struct Record {
    /// Its number.
    pub number: u64,
    /// When it happened.
    pub time: SystemTime,
    /// What happened.
    pub what: What,
}

/// What the journal holds.
#[derive(Debug)]
pub enum What {
    /// A transition of a call, and the call after it.
    Call(CallChange, Arc<CallRecord>),
    /// What became of a registration.
    Registration(RegistrationChange, Arc<RegistrationRecord>),
    /// A notification of somebody's command.
    Command(Owner, CommandId, Notice),
}

/// What a client is told of its command.
#[derive(Debug)]
pub enum Notice {
    /// It went on.
    Event(Event),
    /// It failed. `Ended` follows.
    Error(CommandError),
    /// It ended; `None` after an error.
    Ended(Option<Done>),
}

/// A call and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The call.
    pub call: Call,
    /// The number of its first event: calls are listed in this order.
    pub first: u64,
    /// Between whom it began, as far as it is known: whoever sees it then sees it to its end.
    pub between: [Option<SipUri>; 2],
    /// When it came.
    pub created: SystemTime,
    /// When it was answered.
    pub answered: Option<SystemTime>,
    /// Since when both talk.
    pub established: Option<SystemTime>,
}

/// A registration and its time.
#[derive(Debug)]
pub struct RegistrationRecord {
    /// The registration.
    pub registration: Registration,
    /// The number of its first event: registrations are listed in this order.
    pub first: u64,
    /// Since when it is there.
    pub since: SystemTime,
}

/// What a new subscription starts with.
#[derive(Debug)]
pub struct Opening {
    /// Where it starts: what it is told comes after.
    pub cursor: Cursor,
    /// Whether events between `since` and the start are lost.
    pub gap: bool,
    /// How things are at the start, unless it goes on from `since`.
    pub snapshot: Snapshot,
}

/// How things are.
#[derive(Debug)]
pub enum Snapshot {
    /// For a subscription that goes on, or whose subject has no state.
    None,
    /// The calls.
    Calls(Vec<Arc<CallRecord>>),
    /// The registrations.
    Registrations(Vec<Arc<RegistrationRecord>>),
}

impl Snapshot {
    /// How many things it lists.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Calls(calls) => calls.len(),
            Self::Registrations(registrations) => registrations.len(),
        }
    }

    /// Whether it lists none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether a name means a call.
#[derive(Debug)]
pub enum Found {
    /// This one.
    One(Arc<CallRecord>),
    /// Several share the Call-ID: their ids.
    Several(Vec<CallId>),
    /// None.
    None,
}

impl Default for Journal {
    /// A journal whose cursors no other run of the server gives.
    fn default() -> Self {
        let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
        Self::new(u32::from_be_bytes([a, b, c, d]), CAPACITY)
    }
}

impl Journal {
    /// An empty journal that keeps `capacity` bytes of events. `id` is part of its cursors.
    #[must_use]
    pub fn new(id: u32, capacity: usize) -> Self {
        Self { id, capacity, book: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Writes down what a client is told of its command.
    pub fn command(&self, owner: Owner, cmd_id: CommandId, notice: Notice) -> Arc<Record> {
        self.write(|_, _| What::Command(owner, cmd_id, notice))
    }

    /// Every call, oldest first, and the cursor after it.
    #[must_use]
    pub fn calls(&self) -> (Vec<Arc<CallRecord>>, Cursor) {
        let book = self.book();
        let (calls, last) = (book.list(|_| true), book.last);
        drop(book);
        (sorted(calls), self.cursor(last))
    }

    /// Every registration, oldest first, and the cursor after it.
    #[must_use]
    pub fn registrations(&self) -> (Vec<Arc<RegistrationRecord>>, Cursor) {
        let book = self.book();
        let last = book.last;
        (book.list_registrations(), self.cursor(last))
    }

    /// The call that a Call-ID or id means.
    #[must_use]
    pub fn find(&self, name: &CallId) -> Found {
        let book = self.book();
        let id = match book.by_callid.get(name).map(Vec::as_slice) {
            Some(ids @ [_, _, ..]) => return Found::Several(ids.to_vec()),
            Some([id]) => id,
            Some([]) | None => name,
        };
        book.calls.get(id).map_or(Found::None, |call| Found::One(Arc::clone(call)))
    }

    /// The call with this id.
    #[must_use]
    pub fn named(&self, id: &CallId) -> Option<Arc<CallRecord>> {
        self.book().calls.get(id).cloned()
    }

    /// Waits until there is no call.
    pub async fn no_calls(&self) {
        let mut news = self.news();
        // The sender is ours.
        let _ = news.wait_for(|_| self.book().calls.is_empty()).await;
    }

    /// What a subscription starts with.
    #[must_use]
    pub fn open(&self, filter: &Filter, since: Option<Cursor>) -> Opening {
        let book = self.book();
        let kept = |cursor: &Cursor| {
            cursor.journal == self.id && (book.dropped()..=book.last).contains(&cursor.number)
        };
        if let Some(cursor) = since.filter(kept) {
            return Opening { cursor, gap: false, snapshot: Snapshot::None };
        }
        match filter {
            Filter::Calls(name) => {
                let named = |call: &Call| name.as_ref().is_none_or(|name| call.is_named(name));
                let (calls, last) = (book.list(named), book.last);
                drop(book);
                let snapshot = Snapshot::Calls(sorted(calls));
                Opening { cursor: self.cursor(last), gap: since.is_some(), snapshot }
            }
            Filter::Registrations => {
                let snapshot = Snapshot::Registrations(book.list_registrations());
                Opening { cursor: self.cursor(book.last), gap: since.is_some(), snapshot }
            }
            // Everything that is kept: a command has no other state than what it has told.
            Filter::Command(_) => {
                let dropped = book.dropped();
                let gap = since.is_some() || dropped > 0;
                Opening { cursor: self.cursor(dropped), gap, snapshot: Snapshot::None }
            }
        }
    }

    /// Up to `at_most` events after number `from` that the filter lets through, and the number up to
    /// which there are no others. `None` when events after `from` are no longer kept.
    #[must_use]
    pub fn after(
        &self,
        from: u64,
        filter: &Filter,
        at_most: usize,
    ) -> Option<(Vec<Arc<Record>>, u64)> {
        let book = self.book();
        let skip = usize::try_from(from.checked_sub(book.dropped())?).ok()?;
        let mut found = Vec::new();
        for record in book.records.iter().skip(skip) {
            if record.what.passes(filter) {
                found.push(Arc::clone(record));
                if found.len() == at_most {
                    return Some((found, record.number));
                }
            }
        }
        Some((found, book.last))
    }

    /// The number of the last event, to wait for the next one.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The cursor after an event.
    #[must_use]
    pub fn cursor(&self, number: u64) -> Cursor {
        Cursor { journal: self.id, number }
    }

    fn write(&self, what: impl FnOnce(&mut Book, SystemTime) -> What) -> Arc<Record> {
        let mut book = self.book();
        let time = SystemTime::now();
        book.last += 1;
        let what = what(&mut book, time);
        let record = Arc::new(Record { number: book.last, time, what });
        book.used += record.cost();
        book.records.push_back(Arc::clone(&record));
        while book.used > self.capacity
            && let Some(oldest) = book.records.pop_front()
        {
            book.used -= oldest.cost();
        }
        self.last.send_replace(book.last);
        record
    }

    /// Every change of the book is complete, so a poisoned lock guards nothing broken.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Journal {
    fn call(&self, event: CallEvent) {
        self.write(|book, time| {
            let CallEvent { change, call } = event;
            What::Call(change, book.enter(change, call, time))
        });
    }

    fn registration(&self, event: RegistrationEvent) {
        self.write(|book, time| {
            let RegistrationEvent { change, registration } = event;
            What::Registration(change, book.enter_registration(change, registration, time))
        });
    }
}

impl Book {
    /// How many events are no longer kept.
    fn dropped(&self) -> u64 {
        self.last - self.records.len() as u64
    }

    fn list(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Arc<CallRecord>> {
        self.calls.values().filter(|record| wanted(&record.call)).cloned().collect()
    }

    fn list_registrations(&self) -> Vec<Arc<RegistrationRecord>> {
        let mut registrations: Vec<_> = self.registrations.values().cloned().collect();
        registrations.sort_unstable_by_key(|record| record.first);
        registrations
    }

    /// Enters what became of a registration into the table.
    fn enter_registration(
        &mut self,
        change: RegistrationChange,
        registration: Registration,
        time: SystemTime,
    ) -> Arc<RegistrationRecord> {
        let before = self.registrations.remove(&registration);
        let record = before.unwrap_or_else(|| {
            let registration = registration.clone();
            Arc::new(RegistrationRecord { registration, first: self.last, since: time })
        });
        if change == RegistrationChange::Registered {
            self.registrations.insert(registration, Arc::clone(&record));
        }
        record
    }

    /// Enters a call's transition into the table.
    fn enter(&mut self, change: CallChange, call: Call, time: SystemTime) -> Arc<CallRecord> {
        let before = self.calls.get(&call.id).cloned();
        let (old, new) = (before.iter().flat_map(|before| before.call.callids()), call.callids());
        if !old.eq(new) {
            if let Some(before) = &before {
                self.forget_names(&before.call);
            }
            for callid in call.callids() {
                self.by_callid.entry(callid.clone()).or_default().push(call.id.clone());
            }
        }
        let mut record = CallRecord {
            first: before.as_ref().map_or(self.last, |before| before.first),
            between: before.as_ref().map_or_else(
                || [call.caller.uri.clone(), call.callee.uri.clone()],
                |before| before.between.clone(),
            ),
            created: before.as_ref().map_or(time, |before| before.created),
            answered: before.as_ref().and_then(|before| before.answered),
            established: before.as_ref().and_then(|before| before.established),
            call,
        };
        match change {
            CallChange::Answered(_) => record.answered = record.answered.or(Some(time)),
            CallChange::Established => record.established = Some(time),
            CallChange::Created
            | CallChange::Ringing(_)
            | CallChange::EarlyMedia(_)
            | CallChange::Held(_)
            | CallChange::Unheld(_)
            | CallChange::Transferred(_)
            | CallChange::Ending
            | CallChange::Ended => {}
        }
        let record = Arc::new(record);
        if change == CallChange::Ended {
            self.strike(&record.call);
        } else {
            self.calls.insert(record.call.id.clone(), Arc::clone(&record));
        }
        record
    }

    fn strike(&mut self, call: &Call) {
        self.calls.remove(&call.id);
        self.forget_names(call);
    }

    fn forget_names(&mut self, call: &Call) {
        for callid in call.callids() {
            if let Some(ids) = self.by_callid.get_mut(callid) {
                ids.retain(|id| *id != call.id);
                if ids.is_empty() {
                    self.by_callid.remove(callid);
                }
            }
        }
    }
}

impl What {
    fn passes(&self, filter: &Filter) -> bool {
        match (self, filter) {
            (Self::Call(_, record), Filter::Calls(name)) => {
                name.as_ref().is_none_or(|name| record.call.is_named(name))
            }
            (Self::Command(_, cmd_id, _), Filter::Command(wanted)) => cmd_id == wanted,
            (Self::Registration(..), Filter::Registrations) => true,
            (Self::Call(..) | Self::Registration(..) | Self::Command(..), _) => false,
        }
    }
}

impl Record {
    /// About how many bytes it keeps.
    fn cost(&self) -> usize {
        let text = match &self.what {
            What::Call(_, record) => {
                let Call { callid, caller, callee, ending, .. } = &record.call;
                let uris = [&caller.uri, &callee.uri].into_iter().flatten();
                let reason = ending.as_ref().and_then(|ending| ending.status.as_ref());
                callid.as_ref().map_or(0, |callid| callid.as_str().len())
                    + uris.map(|uri| uri.as_str().len()).sum::<usize>()
                    + reason.map_or(0, |(_, reason)| reason.len())
            }
            What::Registration(_, record) => {
                let Registration { aor, contact } = &record.registration;
                aor.as_str().len() + contact.as_str().len()
            }
            What::Command(_, _, Notice::Event(Event { kind: EventKind::Reply { params }, .. })) => {
                // Parsed JSON takes a multiple of its text.
                8 * params.to_string().len()
            }
            What::Command(_, _, Notice::Event(event)) => {
                event.uri.as_ref().map_or(0, |uri| uri.as_str().len())
            }
            What::Command(_, _, Notice::Error(error)) => error.to_string().len(),
            What::Command(_, _, Notice::Ended(_)) => 0,
        };
        OVERHEAD + text
    }
}

fn sorted(mut calls: Vec<Arc<CallRecord>>) -> Vec<Arc<CallRecord>> {
    calls.sort_unstable_by_key(|record| record.first);
    calls
}
