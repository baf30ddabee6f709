//! The subscriptions of one client: each is a place in the journal and a task that goes on from
//! there.
//!
//! A subscription reads the journal as fast as its client reads, so it fills no queue, and a client
//! that stops reading costs nothing. When the journal has dropped what the client has not read, the
//! client is disconnected as any slow reader is; it comes back with its last cursor and is told of
//! the gap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::access::Principal;
use super::commands::Commands;
use super::dialect::{Dialect, Mark};
use super::journal::Chunk;
use super::outbox::Outbox;
use crate::api::{ErrorKind, Filter, RequestError};

/// Events that are taken from the journal at a time.
const BATCH: usize = 64;

/// The open subscriptions, by name. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Subscriptions {
    at_most: usize,
    open: HashMap<String, Handle>,
}

#[derive(Debug)]
struct Handle {
    /// Held while a notification is queued, and true once none may be queued any more.
    closed: Arc<Mutex<bool>>,
    /// Dropped to end the task.
    _stop: oneshot::Sender<()>,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The number of the event it goes on from.
    pub(super) from: u64,
    /// Its client was told that events before the first it reads may be missing.
    pub(super) gap: bool,
}

/// A subscription that was granted and has not begun.
pub(super) struct Subscription {
    pub(super) name: String,
    filter: Filter,
    closed: Arc<Mutex<bool>>,
    stop: oneshot::Receiver<()>,
}

impl Subscriptions {
    /// None, of so many. At the bound a further one is refused.
    pub(super) fn new(at_most: usize) -> Self {
        Self { at_most, open: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Grants a subscription. Fails with [`ErrorKind::RateLimited`].
    pub(super) fn open(&mut self, filter: Filter) -> Result<Subscription, RequestError> {
        let at_most = self.at_most;
        if self.open.len() >= at_most {
            let message = format!("at most {at_most} subscriptions on a connection");
            return Err(RequestError::new(ErrorKind::RateLimited, message));
        }
        let name = uuid::Uuid::new_v4().to_string();
        let (stopper, stop) = oneshot::channel();
        let closed = Arc::new(Mutex::new(false));
        let handle = Handle { closed: Arc::clone(&closed), _stop: stopper };
        self.open.insert(name.clone(), handle);
        Ok(Subscription { name, filter, closed, stop })
    }

    /// Ends a subscription: once this returns, nothing of it is queued. Fails with
    /// [`ErrorKind::NotFound`].
    pub(super) fn close(&mut self, name: &str) -> Result<(), RequestError> {
        let missing = || RequestError::new(ErrorKind::NotFound, "no such subscription");
        let handle = self.open.remove(name).ok_or_else(missing)?;
        *locked(&handle.closed) = true;
        Ok(())
    }
}

impl Subscription {
    /// Tells everything after its beginning that the client may see, until it is closed or its client
    /// is gone.
    pub(super) async fn run(
        mut self,
        (principal, dialect): (Principal, Dialect),
        commands: Arc<Commands>,
        outbox: Outbox,
        Beginning { from, gap }: Beginning,
    ) {
        let Commands { journal, shared, .. } = &*commands;
        let (mut news, mut told, mut read) = (journal.news(), from, from);
        loop {
            news.mark_unchanged();
            let Some(Chunk { records, up_to }) = journal.after(read, &self.filter, BATCH).await
            else {
                let kept = journal.dropped();
                // What went since the reply belongs to the gap that it told of. Not where there is a
                // snapshot: that is true at its cursor only.
                if matches!(self.filter, Filter::Command(_)) && gap && told == from && kept > read {
                    read = kept;
                    continue;
                }
                tracing::info!("a subscription fell behind the journal: the client is cut off");
                return outbox.cut();
            };
            for record in records.into_iter().filter(|record| principal.sees(&record.what)) {
                tokio::select! {
                    () = outbox.has_ample_room() => {}
                    _ = &mut self.stop => return,
                }
                let closed = locked(&self.closed);
                if *closed {
                    return;
                }
                let cursor = journal.cursor(record.number);
                let mark = Mark::subscribed(cursor, &self.name, journal.cursor(told));
                if let Some(body) = shared.body(dialect, &record) {
                    outbox.push(body.marked(&mark), record.number);
                    told = record.number;
                }
            }
            // What the batch did not hold may be there already.
            if read == up_to {
                tokio::select! {
                    news = news.changed() => if news.is_err() { return },
                    _ = &mut self.stop => return,
                }
            }
            read = up_to;
        }
    }
}

/// Only a flag is guarded, so a poisoned lock guards nothing broken.
fn locked(flag: &Mutex<bool>) -> MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(PoisonError::into_inner)
}
