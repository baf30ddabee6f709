//! The journal: everything that clients are told, numbered, and the tables of calls and registrations
//! that follow from it.
//!
//! One lock guards the `book`, so a snapshot of the table and its cursor belong together: the table
//! after event 17 and the events from 18 on are the whole story. The last events are kept for those
//! who come back with a cursor; whoever asks for one that is not kept is told so and starts anew:
//! there is no silent loss. Nobody waits for a reader here; readers come and take.
//!
//! With a directory, events are also kept on disk (`store`) and outlive the server. A thread of its
//! own (`disk`) writes all that have come while it wrote the last ones, and waits for the disk
//! without the lock. Until then they are not *settled*: no client is told of them, no command is
//! begun for them ([`Journal::settled`]). So whatever anybody saw is there after a crash.

mod book;
mod disk;
mod record;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;

use self::book::Book;
use self::disk::Disk;
pub use self::record::{
    Begun, CallRecord, Chunk, CommandRecord, Notice, Progress, Record, RegistrationRecord, Told,
    What,
};
use super::retries::Fingerprint;
use crate::api::{Call, CallEvent, CallId, Cursor, Filter, RegistrationChange, RegistrationEvent};
use crate::backend::EventSink;
use crate::config::Keep;

/// Bytes of events that may wait for the disk beside those. One that is further behind has failed.
const BACKLOG: usize = 64 << 20;

/// How long the disk may take to write an event. One that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Whether events could be kept as a configuration asks, for those who want to know beforehand.
///
/// # Errors
///
/// When a file in the directory cannot be opened or made.
pub fn check(keep: &Keep) -> io::Result<()> {
    keep.directory.as_deref().map_or(Ok(()), store::check)
}

/// The events of the server, and its calls.
pub struct Journal {
    id: u32,
    capacity: usize,
    book: Mutex<Book>,
    /// Signalled when there is something for the disk.
    written: Condvar,
    /// The number of the last event that clients may be told of.
    shown: watch::Sender<u64>,
    disk: Option<Disk>,
    /// Set when the disk has failed.
    broken: OnceLock<Broken>,
    /// The commands of the runs before that are remembered, until they are asked for.
    remembered: Mutex<Vec<(u64, Begun)>>,
}

/// What cursors are like since the disk has failed: after a restart nobody knows the events that
/// they name.
#[derive(Debug)]
struct Broken {
    id: u32,
    /// The number of the last event on disk.
    after: u64,
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
    /// A journal in memory whose cursors no other run of the server gives.
    fn default() -> Self {
        Self::new(store::random_id(), Keep::default().memory_bytes)
    }
}

impl Journal {
    /// An empty journal in memory that keeps `capacity` bytes of events. `id` is part of its cursors.
    #[must_use]
    pub fn new(id: u32, capacity: usize) -> Self {
        Self::with_book(id, capacity, Book::default(), None)
    }

    fn with_book(id: u32, capacity: usize, book: Book, disk: Option<Disk>) -> Self {
        Self {
            id,
            capacity,
            shown: watch::Sender::new(book.settled),
            book: Mutex::new(book),
            written: Condvar::new(),
            disk,
            broken: OnceLock::new(),
            remembered: Mutex::default(),
        }
    }

    /// Writes down that a command is about to begin, and what was asked for if the client chose the
    /// id. Returns the number of this event.
    pub fn begin(&self, command: Arc<CommandRecord>, fingerprint: Option<Fingerprint>) -> u64 {
        self.write(|_, _| What::Begun(command, fingerprint)).number
    }

    /// Writes down what a client is told of its command.
    pub fn command(&self, command: Arc<CommandRecord>, notice: Notice) -> Arc<Record> {
        self.write(|_, _| What::Command(command, notice))
    }

    /// The commands of earlier runs whose ids clients chose and that must be remembered, oldest first,
    /// each with the number of its first event. They are given once.
    pub(super) fn remembered(&self) -> Vec<(u64, Begun)> {
        std::mem::take(&mut self.remembered.lock().unwrap_or_else(PoisonError::into_inner))
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
        let id = match book.ids_of(name) {
            ids @ [_, _, ..] => return Found::Several(ids.to_vec()),
            [id] => id,
            [] => name,
        };
        book.call(id).map_or(Found::None, |call| Found::One(Arc::clone(call)))
    }

    /// The call with this id.
    #[must_use]
    pub fn named(&self, id: &CallId) -> Option<Arc<CallRecord>> {
        self.book().call(id).cloned()
    }

    /// Waits until there is no call.
    pub async fn no_calls(&self) {
        let mut news = self.news();
        // Never both locks at once: whoever writes takes that of the book first.
        while self.book().has_calls() {
            // The sender is ours.
            let _ = news.changed().await;
        }
    }

    /// What a subscription starts with. `begun` is the number of the first event of the commands that
    /// the filter names, if that is known.
    #[must_use]
    pub fn open(&self, filter: &Filter, since: Option<Cursor>, begun: Option<u64>) -> Opening {
        let book = self.book();
        let kept = |cursor: &Cursor| {
            self.cursor(cursor.number) == *cursor
                && (book.dropped..=book.last).contains(&cursor.number)
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
                let kept = begun.filter(|number| *number > book.dropped);
                let from = kept.map_or(book.dropped, |number| number - 1);
                let gap = since.is_some() || (kept.is_none() && book.dropped > 0);
                Opening { cursor: self.cursor(from), gap, snapshot: Snapshot::None }
            }
        }
    }

    /// Up to `at_most` events after number `from` that the filter lets through, and the number up to
    /// which there are no others. `None` when events after `from` are no longer kept. Those that
    /// memory has not are read from disk, a bounded number at a time.
    pub async fn after(&self, from: u64, filter: &Filter, at_most: usize) -> Option<Chunk> {
        match (self.recent(from, filter, at_most), &self.disk) {
            (None, Some(disk)) => disk.read(from, filter, at_most).await,
            (recent, _) => recent,
        }
    }

    /// The same, of those that memory has.
    fn recent(&self, from: u64, filter: &Filter, at_most: usize) -> Option<Chunk> {
        self.book().read(from, filter, at_most)
    }

    /// The number of the last event that clients may be told of, to wait for the next one.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.shown.subscribe()
    }

    /// The number of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.book().last
    }

    /// The number up to which events are not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.book().dropped
    }

    /// Waits until clients may be told of an event, and of what follows from it: until it is on disk
    /// and no crash can take it back. [`PATIENCE`] at the longest: then the disk is given up.
    pub async fn settled(&self, number: u64) {
        let mut shown = self.news();
        if timeout(PATIENCE, shown.wait_for(|shown| *shown >= number)).await.is_err() {
            self.give_up("it does not answer");
        }
    }

    /// Whether a restart forgets what happens now: the disk has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.broken.get().is_some()
    }

    /// Whether a restart may not know of an event, though it is settled: the disk has failed before
    /// it was written.
    pub(super) fn is_lost(&self, number: u64) -> bool {
        self.broken.get().is_some_and(|broken| number > broken.after)
    }

    /// The cursor after an event.
    #[must_use]
    pub fn cursor(&self, number: u64) -> Cursor {
        match self.broken.get() {
            Some(broken) if number > broken.after => Cursor { journal: broken.id, number },
            _ => Cursor { journal: self.id, number },
        }
    }

    fn write(&self, what: impl FnOnce(&mut Book, SystemTime) -> What) -> Arc<Record> {
        let mut book = self.book();
        let record = book.write(what);
        if self.disk.is_some() && self.broken.get().is_none() {
            self.written.notify_one();
        } else {
            self.settle(&mut book, record.number, None);
        }
        let over = book.shrink(self.capacity);
        drop(book);
        if over > BACKLOG {
            self.give_up("it is too far behind");
        }
        record
    }

    /// Lets clients be told of events up to this number. `dropped` is given where a disk decides
    /// what is kept.
    fn settle(&self, book: &mut Book, number: u64, dropped: Option<u64>) {
        book.settled = number;
        book.shrink(self.capacity);
        book.dropped = dropped.unwrap_or_else(|| book.dropped.max(book.forgotten()));
        self.shown.send_replace(number);
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
        // A phone that renews its own in time tells nothing new. Nor is that written to disk: a
        // restart ends all registrations, however long they would have stayed.
        if event.change == RegistrationChange::Renewed {
            self.book().enter_registration(event, SystemTime::now());
            return;
        }
        self.write(|book, time| {
            What::Registration(event.change, book.enter_registration(event, time))
        });
    }
}

fn sorted(mut calls: Vec<Arc<CallRecord>>) -> Vec<Arc<CallRecord>> {
    calls.sort_unstable_by_key(|record| record.first);
    calls
}
