//! Disks that are full, files that are damaged or somebody else's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::{fs, io};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, StorageBackend, TableDefinition};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::backend::fake::Fake;
use crate::config::Limits;
use crate::server::commands::{Commands, Phase};
use crate::server::connection::Connection;
use crate::server::journal::PATIENCE;
use crate::server::outbox::{Outbox, Outgoing};

async fn refusal(directory: &TempDir) -> String {
    match Journal::start(&keep(directory.path())).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

/// A directory with a journal of so many calls, and its file.
async fn filled(calls: usize) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    for number in 0..calls {
        journal.call(created(&format!("{number:x}")));
        journal.call(ended(&format!("{number:x}")));
    }
    journal.close().await;
    let file = directory.path().join("journal.redb");
    (directory, file)
}

#[tokio::test]
async fn a_directory_belongs_to_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    let said = refusal(&directory).await;
    assert!(said.contains("journal.redb: another process uses it"), "{said}");
    journal.close().await;
    drop(journal);
    start(&directory).await.close().await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere");
    let error = Journal::start(&keep(&nowhere)).await.err().unwrap().to_string();
    assert!(error.starts_with("journal.directory: ") && error.contains("/nowhere/"), "{error}");
    assert_eq!(super::super::check(&keep(&nowhere)).unwrap_err().to_string(), error);
}

#[tokio::test]
async fn a_check_leaves_nothing_behind_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    super::super::check(&keep(directory.path())).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let (directory, file) = filled(10).await;
    let before = fs::read(&file).unwrap();
    super::super::check(&keep(directory.path())).unwrap();
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn nobody_else_may_read_who_called_whom() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, file) = filled(1).await;
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal.redb");
    fs::write(&file, "a letter\n".repeat(1000)).unwrap();
    let said = refusal(&directory).await;
    assert!(said.contains("Move it away to begin a new journal"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), "a letter\n".repeat(1000).as_bytes());
}

#[tokio::test]
async fn a_journal_of_another_version_is_refused() {
    let (directory, file) = filled(1).await;
    let database = Database::open(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("format", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let said = refusal(&directory).await;
    assert!(said.contains("format 99"), "{said}");
}

#[tokio::test]
async fn damage_anywhere_in_the_file_is_found_at_the_start_or_did_no_harm() {
    let (directory, file) = filled(300).await;
    let good = fs::read(&file).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    for step in 0..200 {
        let mut bad = good.clone();
        let at = good.len() * step / 200 + step % 7;
        match step % 4 {
            0 => bad.truncate(at),
            1 => bad[at..(at + 64).min(good.len())].fill(0),
            _ => bad[at] ^= 1 << (step % 8),
        }
        fs::write(&file, &bad).unwrap();
        match Journal::start(&keep(directory.path())).await {
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("ove it away to begin a new"), "{at}: {said}");
                refused += 1;
            }
            Ok(journal) => {
                // An empty file is a new journal, with cursors of its own.
                if journal.last() > 0 {
                    assert_eq!(journal.last(), 600, "{at}");
                    assert_eq!(all(&journal, 0, &Filter::Calls(None)).await.len(), 600, "{at}");
                    unharmed += 1;
                }
                journal.close().await;
            }
        }
    }
    assert!(refused > 50 && unharmed > 10, "{refused} refused, {unharmed} unharmed");
}

/// A disk that is full from some moment on, and waits while its gate is closed.
#[derive(Debug, Default)]
struct Disk {
    pages: InMemoryBackend,
    full: Arc<AtomicBool>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
    }
}

impl Disk {
    /// A journal on this disk.
    async fn journal(self, directory: &TempDir) -> Arc<Journal> {
        let database = Builder::new().create_with_backend(self).unwrap();
        let (writer, left) = Writer::begin(database, Keep::default()).unwrap();
        Journal::go_on(directory.path().to_owned(), 1 << 20, writer, left).await.unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.pages.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.pages.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.full.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.pages.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.pages.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.full.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.pages.write(offset, data),
        }
    }
}

#[tokio::test]
async fn a_server_whose_disk_is_full_goes_on_and_tells_of_the_gap_afterwards() {
    // Marked by a journal that was whole until now.
    let directory = tempfile::tempdir().unwrap();
    start(&directory).await.close().await;
    let full = Arc::new(AtomicBool::new(false));
    let journal = Disk { full: full.clone(), ..Disk::default() }.journal(&directory).await;
    journal.call(created("before"));
    journal.settled(1).await;
    let (before, promised) = (journal.cursor(1), journal.cursor(2));

    full.store(true, Ordering::Release);
    journal.call(created("after"));
    journal.settled(2).await;
    assert_eq!(calls(&journal), ["before", "after"]);
    // Who read on until the failure reads on now.
    let opening = journal.open(&Filter::Calls(None), Some(before), None);
    assert!(!opening.gap, "{opening:?}");
    assert_eq!(all(&journal, 1, &Filter::Calls(None)).await.len(), 1);
    // But a cursor of that event is another one than it would have been.
    assert_ne!(journal.cursor(2), promised);
    assert_eq!(journal.cursor(1), before);
    let opening = journal.open(&Filter::Calls(None), Some(promised), None);
    assert!(opening.gap, "{opening:?}");
    let resumed = journal.open(&Filter::Calls(None), Some(journal.cursor(2)), None);
    assert!(!resumed.gap, "{resumed:?}");

    // The server that starts next knows that events are missing: no cursor from before is good.
    assert!(!directory.path().join(store::WHOLE).exists());
    let id = start_and_close(&directory).await;
    assert_eq!(start_and_close(&directory).await, id, "and then it is whole again");
}

async fn start_and_close(directory: &TempDir) -> u32 {
    let journal = start(directory).await;
    let Cursor { journal: id, .. } = journal.cursor(0);
    journal.close().await;
    id
}

#[tokio::test]
async fn while_the_disk_is_waited_for_nobody_is_told_and_nobody_who_tells_waits() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Arc::<Gate>::default();
    let journal = Disk { gate: gate.clone(), ..Disk::default() }.journal(&directory).await;
    gate.close();
    for number in 1..=1000 {
        journal.call(created(&format!("{number:x}")));
    }
    assert_eq!((journal.last(), *journal.news().borrow()), (1000, 0));
    let chunk = journal.recent(0, &Filter::Calls(None), 64).unwrap();
    assert!(chunk.records.is_empty() && chunk.up_to == 0, "{chunk:?}");
    // What a snapshot shows may be told once its cursor is settled.
    assert_eq!(journal.open(&Filter::Calls(None), None, None).cursor.number, 1000);
    gate.open();
    journal.settled(1000).await;
    assert_eq!(all(&journal, 0, &Filter::Calls(None)).await.len(), 1000);
    journal.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_is_given_up_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Arc::<Gate>::default();
    let journal = Disk { gate: gate.clone(), ..Disk::default() }.journal(&directory).await;
    let promised = journal.cursor(1);
    let began = Instant::now();
    gate.close();
    journal.call(created("a"));
    journal.settled(1).await;
    assert_eq!(began.elapsed(), PATIENCE);
    assert_ne!(journal.cursor(1), promised, "a restart would not know of it");
    journal.call(created("b"));
    journal.settled(2).await;
    assert_eq!(began.elapsed(), PATIENCE, "it is waited for once");
    gate.open();
}

#[tokio::test]
async fn a_disk_that_is_too_far_behind_is_given_up_and_costs_no_more_memory() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Arc::<Gate>::default();
    let journal = Disk { gate: gate.clone(), ..Disk::default() }.journal(&directory).await;
    gate.close();
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..12 {
        let kind = EventKind::Reply { params: json!(megabyte) };
        journal.command(echo(Owner::default(), "x"), Notice::Event(Event::new(kind)));
    }
    assert_eq!(*journal.news().borrow(), 12);
    assert!(journal.recent(0, &Filter::Calls(None), 64).is_none(), "memory has its bound");
    gate.open();
}

#[tokio::test]
async fn after_a_failure_no_cursor_from_before_is_good() {
    let (directory, _file) = filled(1).await;
    let journal = start(&directory).await;
    let before = journal.cursor(1);
    journal.close().await;
    drop(journal);
    store::spoil(directory.path()).unwrap();
    let journal = start(&directory).await;
    assert!(journal.open(&Filter::Calls(None), Some(before), None).gap);
    assert_eq!(journal.last(), 2, "the events themselves are there");
    journal.close().await;
}

/// What a client reads of a command: the status or error of the reply, then events, to the end.
async fn reads(
    connection: &Connection,
    outgoing: &mut Outgoing,
    cmd_id: Option<&str>,
) -> Vec<Value> {
    let params = json!({"caller": "sip:alice@h", "callee": "sip:bob@h", "cmd_id": cmd_id});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "CallStart", "params": params});
    connection.receive(&request.to_string());
    let mut said = Vec::new();
    loop {
        let message = outgoing.messages.recv().await.unwrap();
        let message: Value = serde_json::from_str(message.text()).unwrap();
        let (result, error) = (&message["result"], &message["error"]);
        let words =
            [&result["status"], &error["code"], &message["params"]["data"], &message["method"]];
        said.extend(words.into_iter().find(|word| word.is_string() || word.is_number()).cloned());
        if result["replayed"] == true || !error.is_null() || message["method"] == "Ended" {
            return said;
        }
        if message["method"] == "Error" {
            *said.last_mut().unwrap() = message["params"]["code"].clone();
        }
    }
}

#[tokio::test]
async fn a_disk_that_has_failed_takes_no_cmd_id_that_a_restart_would_forget() {
    let directory = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let journal = Disk { full: full.clone(), ..Disk::default() }.journal(&directory).await;
    let (_phase, follow) = watch::channel(Phase::Serving);
    let limits = Limits::default();
    let commands = Arc::new(Commands::new(Arc::<Fake>::default(), journal, &limits, follow));
    let (outbox, mut outgoing) = Outbox::channel(limits.queue_bytes);
    let connection = Connection::new(commands, outbox);
    let flow = ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];
    assert_eq!(reads(&connection, &mut outgoing, Some("before")).await, flow);

    // It fails while the first event of this command is written: nobody is called.
    full.store(true, Ordering::Release);
    let said = reads(&connection, &mut outgoing, Some("during")).await;
    assert_eq!(said, [json!("Started"), json!(-32009), json!("Ended")]);
    // From then on it is said at once.
    let said = reads(&connection, &mut outgoing, Some("after")).await;
    assert_eq!(said, [json!(-32009)]);
    // Who can do without is served, and what was promised is kept.
    assert_eq!(reads(&connection, &mut outgoing, None).await, flow);
    for id in ["before", "during"] {
        assert_eq!(reads(&connection, &mut outgoing, Some(id)).await, ["Started"], "{id}");
    }
}
