//! The journal's thread that writes to disk, what happens at the start, and when the disk fails.
//!
//! While one group of events is written the next one gathers, so the disk is waited for once per
//! group, however many there are. When it fails, the server goes on in memory: calls are more
//! important than the journal. But no command begins whose `cmd_id` a client will rely on
//! (`Commands::admit`). Cursors get another id then, and the directory is marked, so that
//! whoever returns after the next restart is told of a gap.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::book::Book;
use super::record::{Begun, CallRecord, Chunk, Notice, Progress, Record};
use super::store::{self, Left, Store, Writer, random_id};
use super::{Broken, Journal};
use crate::api::call::{EndedBy, Ending, Stage};
use crate::api::{
    CallChange, CallEvent, CommandError, Filter, RegistrationChange, RegistrationEvent,
};
use crate::backend::EventSink;
use crate::config::Keep;

/// Events that are written together at the most.
const GROUP: usize = 4096;

/// Chunks that are read from disk at a time, for all clients.
const READERS: usize = 4;

/// Time between looks for old events when nothing happens.
const IDLE: Duration = Duration::from_secs(10);

/// The disk, as the journal sees it.
pub(super) struct Disk {
    directory: PathBuf,
    store: Arc<Store>,
    readers: Semaphore,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// The journal that a configuration asks for. With a directory it goes on where the last run of
    /// the server ended, and tells what that means: calls and registrations of that run are gone,
    /// and commands that had not ended have failed. All of this is settled when this returns.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used; the error says why, and what to do.
    pub async fn start(keep: &Keep) -> io::Result<Arc<Self>> {
        let Some(directory) = keep.directory.clone() else {
            return Ok(Arc::new(Self::new(random_id(), keep.memory_bytes)));
        };
        let (path, capacity, began) = (directory.clone(), keep.memory_bytes, Instant::now());
        let keep = keep.clone();
        let opened = tokio::task::spawn_blocking(move || store::open(&path, keep)).await;
        let (writer, left) = opened.map_err(|_| {
            let message = "journal.directory: the file is damaged: move it away to begin a new one";
            io::Error::new(io::ErrorKind::InvalidData, message)
        })??;
        tracing::info!(?directory, events = left.last - left.dropped, took = ?began.elapsed(), "journal read and checked");
        let journal = Self::go_on(directory, capacity, writer, left).await?;
        match journal.broken.get() {
            None => Ok(journal),
            Some(_) => Err(io::Error::other("journal.directory cannot be written: see the log")),
        }
    }

    /// A journal that begins with the end of what there was before.
    pub(super) async fn go_on(
        directory: PathBuf,
        capacity: usize,
        writer: Writer,
        left: Left,
    ) -> io::Result<Arc<Self>> {
        let Left { id, last, dropped, calls, registrations, commands } = left;
        let mut book = Book::after(last, dropped);
        let calls: Vec<_> = calls.into_iter().map(Arc::new).collect();
        let registrations: Vec<_> = registrations.into_iter().map(Arc::new).collect();
        book.restore(calls.clone(), registrations.clone());
        let disk = Disk {
            directory,
            store: writer.store(),
            readers: Semaphore::new(READERS),
            thread: Mutex::default(),
        };
        let journal = Arc::new(Self::with_book(id, capacity, book, Some(disk)));
        journal.write_in_thread(writer)?;
        // A group at a time: there may be as many as the backend holds.
        for calls in calls.chunks(GROUP) {
            calls.iter().for_each(|call| journal.call(lost(call)));
            journal.settled(journal.last()).await;
        }
        for registrations in registrations.chunks(GROUP) {
            for record in registrations {
                journal.registration(RegistrationEvent {
                    change: RegistrationChange::Removed,
                    registration: record.registration.clone(),
                    expires: Duration::ZERO,
                });
            }
            journal.settled(journal.last()).await;
        }
        for commands in commands.chunks(GROUP) {
            commands.iter().for_each(|(_, begun)| journal.end(begun));
            journal.settled(journal.last()).await;
        }
        *journal.remembered.lock().unwrap_or_else(PoisonError::into_inner) = commands;
        Ok(journal)
    }

    /// The end of a command whose server is gone, unless it had one.
    fn end(&self, begun: &Begun) {
        let tell = |notice| drop(self.command(Arc::clone(&begun.command), notice));
        match begun.progress {
            Progress::Running => {
                tell(Notice::Error(CommandError::Restarted));
                tell(Notice::Ended(None));
            }
            Progress::Failed => tell(Notice::Ended(None)),
            Progress::Ended => {}
        }
    }

    fn write_in_thread(self: &Arc<Self>, writer: Writer) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let journal = Arc::clone(self);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let handle = thread.spawn(move || journal.write_to(writer))?;
        *disk.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(())
    }

    /// Writes whatever comes until the journal is closed or the disk fails.
    fn write_to(&self, mut writer: Writer) {
        while let Some(group) = self.next_group() {
            let now = SystemTime::now();
            if group.is_empty() && !writer.is_stale(now) {
                continue;
            }
            match writer.append(&group, now) {
                Ok(dropped) => {
                    let mut book = self.book();
                    // Given up in the meantime, it was too slow.
                    if self.broken.get().is_some() {
                        return;
                    }
                    let number = group.last().map_or(book.settled, |record| record.number);
                    self.settle(&mut book, number, Some(dropped));
                }
                Err(error) => {
                    // Before anybody sees what a crash would lose.
                    if let Some(disk) = &self.disk {
                        mark(&disk.directory);
                    }
                    self.go_on_in_memory(&error.to_string());
                    return;
                }
            }
        }
    }

    /// The events that are to be written; none when there were none for a while. `None` when there
    /// will be no more.
    fn next_group(&self) -> Option<Vec<Arc<Record>>> {
        let book = self.book();
        let waits = |book: &mut Book| book.last == book.settled && !book.closed;
        let (book, _) = self
            .written
            .wait_timeout_while(book, IDLE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        if self.broken.get().is_some() || (book.closed && book.last == book.settled) {
            return None;
        }
        Some(book.unsettled(GROUP))
    }

    /// Goes on without a disk that is too slow.
    pub(super) fn give_up(&self, why: &str) {
        if let Some(disk) = &self.disk
            && self.go_on_in_memory(why)
        {
            // In a thread of its own, for this may take as long as everything else.
            let directory = disk.directory.clone();
            let thread = std::thread::Builder::new().name("journal".to_owned());
            if let Err(error) = thread.spawn(move || mark(&directory)) {
                tracing::error!(%error, "the journal cannot be marked");
            }
        }
    }

    /// Shows what has happened though a crash would lose it, from now on. Returns whether that is
    /// new.
    fn go_on_in_memory(&self, why: &str) -> bool {
        let mut book = self.book();
        let broken = Broken { id: random_id(), after: book.settled };
        if self.broken.set(broken).is_err() {
            return false;
        }
        let last = book.last;
        self.settle(&mut book, last, None);
        drop(book);
        self.written.notify_one();
        tracing::error!(
            why,
            "the journal cannot be written: events are kept in memory only, and a restart loses them"
        );
        true
    }

    /// Writes what is left to write and lets go of the directory. Later events are not kept.
    pub async fn close(self: &Arc<Self>) {
        let Some(disk) = &self.disk else { return };
        self.book().closed = true;
        self.written.notify_one();
        let handle = disk.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            self.settled(self.last()).await;
            if self.broken.get().is_none() {
                // It has nothing more to do.
                let _ = tokio::task::spawn_blocking(move || handle.join()).await;
            }
        }
    }
}

impl Disk {
    /// See [`Store::read`].
    pub(super) async fn read(&self, from: u64, filter: &Filter, at_most: usize) -> Option<Chunk> {
        // Never closed.
        let _turn = self.readers.acquire().await.ok()?;
        let (store, filter) = (Arc::clone(&self.store), filter.clone());
        let read = tokio::task::spawn_blocking(move || store.read(from, &filter, at_most)).await;
        let error = match read {
            // What memory has forgotten is on disk, unless that has failed.
            Ok(Ok(chunk)) => return chunk.filter(|chunk| chunk.up_to > from),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error, directory = ?self.directory, "the journal cannot be read");
        None
    }
}

/// Says on disk that events are missing.
fn mark(directory: &Path) {
    if let Err(error) = store::spoil(directory) {
        tracing::error!(%error, ?directory, "the journal cannot be marked: clients may miss events after a restart");
    }
}

/// The end of a call whose server is gone.
fn lost(record: &CallRecord) -> CallEvent {
    let mut call = record.call.clone();
    call.stage = Stage::Ending;
    call.ending.get_or_insert(Ending { by: EndedBy::Restart, status: None, q850: None });
    CallEvent { change: CallChange::Ended, call }
}
