//! The journal on disk: one file, in which the events, and the tables that follow from them, change
//! together or not at all (`redb`: copy-on-write B-trees with checksums).
//!
//! The store is a function of the records it is given. Beside the events it keeps what a server
//! that starts again must know of the time before: the calls and registrations there were, and the
//! commands that run or whose `cmd_id` is remembered. A file next to it, [`WHOLE`], says that
//! nothing is missing: it is there unless a disk failed while the server ran.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redb::{
    Builder, Database, Error, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{
    Begun, CallRecord, Chunk, CommandRecord, Notice, Progress, Record, RegistrationRecord, What,
    millis,
};
use crate::api::{CallChange, CommandId, Filter, Registration, RegistrationChange};
use crate::config::Keep;
use crate::server::retries::{Key, RETENTION};

/// The events.
const FILE: &str = "journal.redb";
/// An empty file: no event is missing.
pub(super) const WHOLE: &str = "journal.whole";

/// Raised whenever what is written is no longer what an older server reads, or the other way round.
const FORMAT: u64 = 3;

/// Memory for pages of the file.
const CACHE: usize = 32 << 20;

/// Old events and commands that one transaction removes.
const TRIM: usize = 10_000;

/// Events that are looked at for one chunk.
const SCAN: usize = 4096;

/// Number to time and JSON.
const EVENTS: TableDefinition<'_, u64, (u64, &[u8])> = TableDefinition::new("events");
/// The calls there are: id to JSON.
const CALLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("calls");
/// The registrations there are: user and phone to JSON.
const REGISTRATIONS: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("registrations");
/// The commands that run or whose id a client chose a short time ago: number of the first event to
/// JSON.
const COMMANDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("commands");
/// Every command of which an event is kept: id and owner to the number of its first event.
const STARTS: TableDefinition<'_, (&str, Option<&str>), u64> = TableDefinition::new("starts");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// What the runs of the server before this one have left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Part of every cursor.
    pub(super) id: u32,
    /// The number of the last event.
    pub(super) last: u64,
    /// The number up to which events are no longer kept.
    pub(super) dropped: u64,
    /// Oldest first.
    pub(super) calls: Vec<CallRecord>,
    /// Oldest first.
    pub(super) registrations: Vec<RegistrationRecord>,
    /// Each with the number of its first event, oldest first.
    pub(super) commands: Vec<(u64, Begun)>,
}

/// The end that reads. Reading never waits for writing.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
}

/// The end that writes. There is one.
#[derive(Debug)]
pub(super) struct Writer {
    store: Arc<Store>,
    keep: Keep,
    /// The commands that have not ended, and the numbers of their first events.
    running: HashMap<Key, u64>,
}

struct Tables<'t> {
    events: Table<'t, u64, (u64, &'static [u8])>,
    calls: Table<'t, &'static str, &'static [u8]>,
    registrations: Table<'t, (&'static str, &'static str), &'static [u8]>,
    commands: Table<'t, u64, &'static [u8]>,
    starts: Table<'t, (&'static str, Option<&'static str>), u64>,
    meta: Table<'t, &'static str, u64>,
    /// The number of the last event.
    last: u64,
    /// The size of all events.
    bytes: u64,
}

/// Whether the journal could be written there. Leaves no file behind, and nothing written.
pub(super) fn check(directory: &Path) -> io::Result<()> {
    let file = directory.join(FILE);
    match OpenOptions::new().append(true).create_new(true).open(&file) {
        Ok(_) => std::fs::remove_file(&file),
        // It is there, or cannot be made: the error, if any, is that of opening it.
        Err(_) => OpenOptions::new().create(true).append(true).open(&file).map(drop),
    }
    .map_err(|error| located(&file, &error))
}

fn located(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("journal.directory: {}: {error}", file.display()))
}

/// Opens the journal in a directory, or begins one. Waits for the disk, and reads the whole file to
/// check it.
///
/// Fails when the directory is not there, the file is another process's, of another version or
/// damaged, or cannot be written. The error says what to do.
pub(super) fn open(directory: &Path, keep: Keep) -> io::Result<(Writer, Left)> {
    let file = directory.join(FILE);
    let located = |error: io::Error| located(&file, &error);
    // Who called whom is nobody else's business.
    let create = OpenOptions::new().create(true).append(true).mode(0o600).open(&file);
    create.map_err(located)?;
    let opened =
        Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).create(&file);
    let (mut writer, mut left) = opened
        .map_err(Error::from)
        .and_then(|database| Writer::begin(database, keep))
        .map_err(|error| located(explained(error)))?;
    let whole = directory.join(WHOLE);
    if !whole.exists() {
        left.id = random_id();
        writer.rename(left.id).map_err(|error| located(explained(error)))?;
        File::create(&whole).map_err(located)?;
    }
    // The files are there after a power cut, too.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(located)?;
    Ok((writer, left))
}

/// Says on disk that events are missing: whoever comes back with a cursor after a restart is told.
pub(super) fn spoil(directory: &Path) -> io::Result<()> {
    match std::fs::remove_file(directory.join(WHOLE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // It stays away after a power cut, too.
        _ => File::open(directory)?.sync_all(),
    }
}

/// An id that no other journal has.
pub(super) fn random_id() -> u32 {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn explained(error: Error) -> io::Error {
    match error {
        Error::DatabaseAlreadyOpen => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another process uses it: each server needs a directory of its own",
        ),
        Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => error,
        error => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{error}. Move it away to begin a new journal; clients are then told of a gap"),
        ),
    }
}

impl Writer {
    /// Goes on with what is in the file.
    pub(super) fn begin(database: Database, keep: Keep) -> Result<(Self, Left), Error> {
        let left = left(&database)?;
        let unended = left.commands.iter().filter(|(_, begun)| begun.progress != Progress::Ended);
        let running = unended.map(|(number, begun)| (key(&begun.command), *number)).collect();
        Ok((Self { store: Arc::new(Store { database }), keep, running }, left))
    }

    /// What a server that starts now would be left.
    #[cfg(test)]
    pub(super) fn left(&self) -> Result<Left, Error> {
        left(&self.store.database)
    }

    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Gives the journal another id, so that no cursor from before is taken for one of its own.
    fn rename(&mut self, id: u32) -> Result<(), Error> {
        let transaction = self.store.database.begin_write()?;
        transaction.open_table(META)?.insert("id", u64::from(id))?;
        Ok(transaction.commit()?)
    }

    /// Writes events, and what follows from them, and removes what is too old. When this returns
    /// they are on disk. Returns the number up to which events are no longer kept.
    pub(super) fn append(
        &mut self,
        records: &[Arc<Record>],
        now: SystemTime,
    ) -> Result<u64, Error> {
        let transaction = self.store.database.begin_write()?;
        let mut tables = Tables::of(&transaction)?;
        for record in records {
            tables.enter(record, &mut self.running)?;
        }
        tables.settle_calls(records)?;
        tables.trim(&self.keep, now)?;
        let dropped = tables.close()?;
        transaction.commit()?;
        Ok(dropped)
    }

    /// Whether [`Writer::append`] would have something to remove.
    pub(super) fn is_stale(&self, now: SystemTime) -> bool {
        let oldest = || -> Result<Option<u64>, Error> {
            let events = self.store.database.begin_read()?.open_table(EVENTS)?;
            Ok(events.first()?.map(|(_, event)| event.value().0))
        };
        // An error is met again by whoever writes.
        oldest().is_ok_and(|time| time.is_some_and(|time| time < before(now, self.keep.max_age)))
    }
}

fn key(command: &CommandRecord) -> Key {
    (command.cmd_id.clone(), command.owner.clone())
}

/// What is in the file.
fn left(database: &Database) -> Result<Left, Error> {
    let transaction = database.begin_write()?;
    let left = Tables::of(&transaction)?.left()?;
    transaction.commit()?;
    Ok(left)
}

impl Store {
    /// Up to `at_most` events after number `from` that the filter lets through, and the number up to
    /// which there are no others. `None` when events after `from` are no longer kept.
    pub(super) fn read(
        &self,
        from: u64,
        filter: &Filter,
        at_most: usize,
    ) -> Result<Option<Chunk>, Error> {
        let transaction = self.database.begin_read()?;
        let events = transaction.open_table(EVENTS)?;
        let last = transaction.open_table(META)?.get("last")?.map_or(0, |last| last.value());
        let dropped = events.first()?.map_or(last, |(first, _)| first.value() - 1);
        if from < dropped {
            return Ok(None);
        }
        let mut from = from;
        if let Filter::Command(cmd_id) = filter {
            // Nothing is told of a command before its first event; without one, nothing is kept.
            let starts = transaction.open_table(STARTS)?;
            from = from.max(first(&starts, cmd_id)?.unwrap_or(last));
        }
        let mut found = Vec::new();
        let mut read = from;
        for event in events.range(from + 1..)?.take(SCAN) {
            let (number, event) = event?;
            let record: Record = decode(event.value().1)?;
            read = number.value();
            if record.what.passes(filter) {
                found.push(Arc::new(record));
                if found.len() == at_most {
                    break;
                }
            }
        }
        Ok(Some(Chunk { records: found, up_to: read }))
    }
}

impl<'t> Tables<'t> {
    fn of(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        let meta = transaction.open_table(META)?;
        let number = |name| Ok::<_, Error>(meta.get(name)?.map_or(0, |value| value.value()));
        let (last, bytes) = (number("last")?, number("bytes")?);
        Ok(Self {
            events: transaction.open_table(EVENTS)?,
            calls: transaction.open_table(CALLS)?,
            registrations: transaction.open_table(REGISTRATIONS)?,
            commands: transaction.open_table(COMMANDS)?,
            starts: transaction.open_table(STARTS)?,
            meta,
            last,
            bytes,
        })
    }

    /// What there is; a new file is given its id.
    fn left(&mut self) -> Result<Left, Error> {
        if self.meta.is_empty()? {
            self.meta.insert("format", FORMAT)?;
            self.meta.insert("id", u64::from(random_id()))?;
        }
        let format = self.number("format")?;
        if format != FORMAT {
            let message = format!("it is of format {format}, and this version reads {FORMAT}");
            return Err(Error::Corrupted(message));
        }
        let id = u32::try_from(self.number("id")?);
        let id = id.map_err(|_| Error::Corrupted("its id is none".to_owned()))?;
        let mut calls = Vec::new();
        for call in self.calls.iter()? {
            calls.push(decode::<CallRecord>(call?.1.value())?);
        }
        calls.sort_unstable_by_key(|call| call.first);
        let mut registrations = Vec::new();
        for registration in self.registrations.iter()? {
            registrations.push(decode::<RegistrationRecord>(registration?.1.value())?);
        }
        registrations.sort_unstable_by_key(|registration| registration.first);
        let mut commands = Vec::new();
        for command in self.commands.iter()? {
            let (number, command) = command?;
            commands.push((number.value(), decode::<Begun>(command.value())?));
        }
        let (last, dropped) = (self.last, self.dropped()?);
        Ok(Left { id, last, dropped, calls, registrations, commands })
    }

    fn number(&self, name: &str) -> Result<u64, Error> {
        Ok(self.meta.get(name)?.map_or(0, |value| value.value()))
    }

    /// Returns the number up to which events are no longer kept.
    fn close(mut self) -> Result<u64, Error> {
        self.meta.insert("last", self.last)?;
        self.meta.insert("bytes", self.bytes)?;
        self.dropped()
    }

    fn dropped(&self) -> Result<u64, Error> {
        match self.events.first()? {
            Some((first, _)) => Ok(first.value() - 1),
            None => Ok(self.last),
        }
    }

    /// Writes an event, and what follows from it of registrations and commands.
    fn enter(&mut self, record: &Record, running: &mut HashMap<Key, u64>) -> Result<(), Error> {
        let Record { number, time, what } = record;
        let text = encode(record);
        self.events.insert(number, (millis::of(*time), text.as_slice()))?;
        self.bytes += text.len() as u64;
        self.last = *number;
        match what {
            // See `settle_calls`.
            What::Call(..) | What::Command(_, Notice::Event(_)) => {}
            What::Registration(change, registration) => {
                let Registration { aor, contact } = &registration.registration;
                let key = (aor.as_str(), contact.as_str());
                match change {
                    RegistrationChange::Registered | RegistrationChange::Renewed => {
                        self.registrations.insert(key, encode(&**registration).as_slice())?;
                    }
                    RegistrationChange::Expired | RegistrationChange::Removed => {
                        self.registrations.remove(key)?;
                    }
                }
            }
            What::Begun(command, fingerprint) => {
                self.starts.insert((command.cmd_id.as_str(), command.owner.name()), number)?;
                running.insert(key(command), *number);
                let begun = Begun {
                    command: Arc::clone(command),
                    fingerprint: fingerprint.clone(),
                    time: *time,
                    progress: Progress::Running,
                };
                self.commands.insert(number, encode(&begun).as_slice())?;
            }
            What::Command(command, Notice::Error(_)) => {
                if let Some(start) = running.get(&key(command)) {
                    self.advance(*start, Progress::Failed)?;
                }
            }
            What::Command(command, Notice::Ended(_)) => {
                if let Some(start) = running.remove(&key(command)) {
                    self.advance(start, Progress::Ended)?;
                }
            }
        }
        Ok(())
    }

    fn advance(&mut self, start: u64, progress: Progress) -> Result<(), Error> {
        let Some(row) = self.commands.get(start)?.map(|row| row.value().to_vec()) else {
            return Ok(());
        };
        let begun: Begun = decode(&row)?;
        if progress == Progress::Ended && begun.fingerprint.is_none() {
            self.commands.remove(start)?;
        } else {
            let begun = Begun { progress, ..begun };
            self.commands.insert(start, encode(&begun).as_slice())?;
        }
        Ok(())
    }

    /// Brings the table of calls to where it is after these events: each call once, however much
    /// happened to it.
    fn settle_calls(&mut self, records: &[Arc<Record>]) -> Result<(), Error> {
        let mut last = HashMap::new();
        for record in records {
            if let What::Call(change, call) = &record.what {
                last.insert(&call.call.id, (*change, call));
            }
        }
        for (id, (change, call)) in last {
            if change == CallChange::Ended {
                self.calls.remove(id.as_str())?;
            } else {
                self.calls.insert(id.as_str(), encode(&**call).as_slice())?;
            }
        }
        Ok(())
    }

    /// Removes the oldest events beyond the bounds, and the commands that need not be remembered.
    fn trim(&mut self, keep: &Keep, now: SystemTime) -> Result<(), Error> {
        for _ in 0..TRIM {
            let Some((number, time, text)) = self
                .events
                .first()?
                .map(|(number, event)| (number.value(), event.value().0, event.value().1.to_vec()))
            else {
                break;
            };
            if self.bytes <= keep.max_bytes && time >= before(now, keep.max_age) {
                break;
            }
            self.events.remove(number)?;
            self.bytes = self.bytes.saturating_sub(text.len() as u64);
            // The last event of a command. The id may be in use again since.
            if let What::Command(command, Notice::Ended(_)) = decode::<Record>(&text)?.what {
                let key = (command.cmd_id.as_str(), command.owner.name());
                if self.starts.get(key)?.is_some_and(|start| start.value() < number) {
                    self.starts.remove(key)?;
                }
            }
        }
        let mut forgotten = Vec::new();
        for command in self.commands.iter()?.take(TRIM) {
            let (number, command) = command?;
            let begun: Begun = decode(command.value())?;
            if millis::of(begun.time) >= before(now, RETENTION) {
                break;
            }
            if begun.progress == Progress::Ended {
                forgotten.push(number.value());
            }
        }
        for number in forgotten {
            self.commands.remove(number)?;
        }
        Ok(())
    }
}

/// The number of the first event of all commands with this id, whoever they belong to.
fn first(
    starts: &impl ReadableTable<(&'static str, Option<&'static str>), u64>,
    cmd_id: &CommandId,
) -> Result<Option<u64>, Error> {
    let mut first = None;
    // Nobody comes first in the order of owners.
    for start in starts.range((cmd_id.as_str(), None)..)? {
        let (key, number) = start?;
        if key.value().0 != cmd_id.as_str() {
            break;
        }
        first = Some(first.map_or(number.value(), |first: u64| first.min(number.value())));
    }
    Ok(first)
}

/// What is older than this is older than `age`, in milliseconds since 1970.
fn before(now: SystemTime, age: Duration) -> u64 {
    millis::of(now).saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("structs of strings and numbers have no key that JSON cannot hold")
}

fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Corrupted(error.to_string()))
}
