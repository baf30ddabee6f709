//! What the journal keeps, forgets and tells, on a real disk.

mod failures;
mod format;
mod retention;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tempfile::TempDir;

use super::record::{Chunk, CommandRecord, Notice, Record, What};
use super::store::{self, Writer};
use super::{Journal, Snapshot};
use crate::api::call::{EndedBy, Party, Reached, Stage};
use crate::api::{
    Call, CallChange, CallEvent, CallId, CommandError, CommandId, Cursor, Done, Event, EventKind,
    Filter, Invocation, Registration, RegistrationChange, RegistrationEvent, SipUri, Subject,
};
use crate::backend::EventSink;
use crate::config::Keep;
use crate::server::access::Owner;
use crate::server::retries::Fingerprint;

fn call(id: &str) -> Call {
    let party = |uri| Party {
        uri: SipUri::parse(uri),
        callid: None,
        reached: Reached::Calling,
        held: false,
    };
    Call {
        id: CallId::parse(id).unwrap(),
        callid: CallId::parse(&format!("{id}@phone")),
        stage: Stage::Calling,
        caller: party("sip:alice@h"),
        callee: party("sip:bob@h"),
        ending: None,
    }
}

fn created(id: &str) -> CallEvent {
    CallEvent { change: CallChange::Created, call: call(id) }
}

fn ended(id: &str) -> CallEvent {
    CallEvent { change: CallChange::Ended, call: call(id) }
}

fn registered() -> RegistrationEvent {
    let registration = Registration {
        aor: SipUri::parse("sip:alice@h").unwrap(),
        contact: SipUri::parse("sip:alice@10.0.0.10").unwrap(),
    };
    RegistrationEvent {
        change: RegistrationChange::Registered,
        registration,
        expires: Duration::from_secs(3600),
    }
}

fn id(name: &str) -> CommandId {
    CommandId::parse(name).unwrap()
}

/// A command that is about nothing.
fn echo(owner: Owner, name: &str) -> Arc<CommandRecord> {
    Arc::new(CommandRecord::new(owner, id(name), Subject::Echo))
}

/// The owner of some commands.
fn shop() -> Owner {
    serde_json::from_str("\"shop\"").unwrap()
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of(&Invocation::parse("CallEnd", json!({"callid": "x"})).unwrap())
}

fn keep(directory: &Path) -> Keep {
    Keep { directory: Some(directory.to_owned()), ..Keep::default() }
}

async fn start(directory: &TempDir) -> Arc<Journal> {
    Journal::start(&keep(directory.path())).await.unwrap()
}

/// Everything after `from` that the filter lets through.
async fn all(journal: &Journal, from: u64, filter: &Filter) -> Vec<Arc<Record>> {
    let (mut all, mut from) = (Vec::new(), from);
    loop {
        let Chunk { records, up_to: read } =
            journal.after(from, filter, 64).await.expect("it is kept");
        all.extend(records);
        if read == from {
            return all;
        }
        from = read;
    }
}

fn calls(journal: &Journal) -> Vec<String> {
    journal.calls().0.iter().map(|record| record.call.id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_restart_goes_on_with_the_numbers_and_a_cursor_from_before_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    journal.call(created("a"));
    journal.call(ended("a"));
    let read = journal.cursor(1);
    journal.close().await;
    drop(journal);

    let journal = start(&directory).await;
    assert_eq!(journal.last(), 2);
    journal.call(created("b"));
    journal.settled(3).await;
    let opening = journal.open(&Filter::Calls(None), Some(read), None);
    assert!(!opening.gap && matches!(opening.snapshot, Snapshot::None), "{opening:?}");
    let records = all(&journal, opening.cursor.number, &Filter::Calls(None)).await;
    let told: Vec<_> = records.iter().map(|record| (record.number, call_of(record))).collect();
    assert_eq!(told, [(2, (CallChange::Ended, "a")), (3, (CallChange::Created, "b"))]);
    journal.close().await;
}

fn call_of(record: &Record) -> (CallChange, &str) {
    match &record.what {
        What::Call(change, record) => (*change, record.call.id.as_str()),
        other => panic!("not of a call: {other:?}"),
    }
}

#[tokio::test]
async fn calls_and_registrations_that_a_server_left_are_over_and_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    journal.call(created("stays"));
    journal.call(created("goes"));
    journal.call(ended("goes"));
    journal.registration(registered());
    journal.close().await;
    drop(journal);

    let journal = start(&directory).await;
    assert!(calls(&journal).is_empty() && journal.registrations().0.is_empty());
    let records = all(&journal, 4, &Filter::Calls(None)).await;
    let [end] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(call_of(end), (CallChange::Ended, "stays"));
    let What::Call(_, record) = &end.what else { panic!("{end:?}") };
    assert_eq!(record.call.ending.as_ref().unwrap().by, EndedBy::Restart);
    assert_eq!(record.first, 1);
    let records = all(&journal, 4, &Filter::Registrations).await;
    assert!(
        matches!(records.as_slice(), [record] if matches!(record.what, What::Registration(RegistrationChange::Removed, _))),
        "{records:?}"
    );
    journal.close().await;
    drop(journal);

    let journal = start(&directory).await;
    assert_eq!(journal.last(), 6, "it is said once");
    journal.close().await;
}

#[tokio::test]
async fn however_many_calls_a_server_left_their_ends_are_told() {
    const CALLS: u64 = 10_000;
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    for number in 1..=CALLS {
        journal.call(created(&format!("{number:x}")));
    }
    journal.close().await;
    drop(journal);
    let journal = start(&directory).await;
    assert_eq!((journal.last(), *journal.news().borrow()), (2 * CALLS, 2 * CALLS));
    assert!(calls(&journal).is_empty());
    journal.close().await;
}

#[tokio::test]
async fn every_command_that_had_not_ended_fails_once_and_ends_once() {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    let reply = |n: u32| Notice::Event(Event::new(EventKind::Reply { params: json!(n) }));
    for name in ["running", "failed", "ended"] {
        journal.begin(echo(Owner::default(), name), Some(fingerprint()));
        journal.command(echo(Owner::default(), name), reply(1));
    }
    journal.command(echo(Owner::default(), "failed"), Notice::Error(CommandError::Draining));
    journal.command(echo(Owner::default(), "ended"), Notice::Ended(Some(Done::default())));
    journal.begin(echo(Owner::default(), "unnamed"), None);
    journal.close().await;
    drop(journal);

    for restart in 1..=2 {
        let journal = start(&directory).await;
        let mut stories = Vec::new();
        for name in ["running", "failed", "ended", "unnamed"] {
            let told = all(&journal, 0, &Filter::Command(id(name))).await;
            let story = told.iter().map(|record| match &record.what {
                What::Command(_, Notice::Event(_)) => "event",
                What::Command(_, Notice::Error(CommandError::Restarted)) => "restarted",
                What::Command(_, Notice::Error(_)) => "error",
                What::Command(_, Notice::Ended(_)) => "ended",
                other => panic!("{other:?}"),
            });
            stories.push(format!("{name}: {}", story.collect::<Vec<_>>().join(", ")));
        }
        assert_eq!(
            stories,
            [
                "running: event, restarted, ended",
                "failed: event, error, ended",
                "ended: event, ended",
                "unnamed: restarted, ended",
            ],
            "restart {restart}"
        );
        let remembered = journal.remembered();
        let named = remembered.iter().filter(|(_, begun)| begun.fingerprint == Some(fingerprint()));
        let named: Vec<_> =
            named.map(|(n, begun)| (*n, begun.command.cmd_id.as_str().to_owned())).collect();
        assert_eq!(named, [(1, "running".into()), (3, "failed".into()), (5, "ended".into())]);
        journal.close().await;
    }
}

#[tokio::test]
async fn a_snapshot_and_what_it_shows_are_settled_before_anybody_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let journal = start(&directory).await;
    for number in 1..=100 {
        journal.call(created(&format!("{number:x}")));
        let opening = journal.open(&Filter::Calls(None), None, None);
        assert_eq!(opening.cursor.number, number);
        assert_eq!(opening.snapshot.len() as u64, number);
        journal.settled(number).await;
        assert!(*journal.news().borrow() >= number);
    }
    // As a kill would leave it: nothing is written any more, and the lock is gone.
    let copy = tempfile::tempdir().unwrap();
    for file in ["journal.redb", store::WHOLE] {
        std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let again = start(&copy).await;
    assert_eq!(again.last(), 200, "100 calls that came, and were lost");
    assert_eq!(again.cursor(100), journal.cursor(100));
    again.close().await;
    journal.close().await;
}

#[tokio::test]
async fn what_memory_forgot_is_read_from_disk_in_chunks() {
    const CALLS: u64 = 10_000;
    let directory = tempfile::tempdir().unwrap();
    let (writer, left) = store::open(directory.path(), keep(directory.path())).unwrap();
    let path = directory.path().to_owned();
    let journal = Journal::go_on(path, 64 << 10, writer, left).await.unwrap();
    let (other, mine) = (id("other"), id("mine"));
    for number in 1..=CALLS {
        match number {
            9_000 => drop(journal.begin(echo(Owner::default(), "mine"), None)),
            9_500 => drop(journal.command(echo(Owner::default(), "mine"), Notice::Ended(None))),
            _ => journal.call(created(&format!("{number:x}"))),
        }
    }
    journal.settled(CALLS).await;
    let (mut from, mut calls, mut chunks) = (0, 0, 0);
    while from < CALLS {
        let Chunk { records, up_to: read } =
            journal.after(from, &Filter::Calls(None), 64).await.unwrap();
        assert!(records.len() <= 64 && read > from);
        (from, calls, chunks) = (read, calls + records.len(), chunks + 1);
    }
    assert_eq!(calls, 9_998);
    assert!(chunks > 100, "{chunks}");
    // A command's story is found without reading the others'.
    let Chunk { records, up_to: read } =
        journal.after(0, &Filter::Command(mine), 64).await.unwrap();
    assert_eq!((records.len(), records[0].number, read), (1, 9_500, CALLS));
    let Chunk { records, .. } = journal.after(0, &Filter::Command(other), 64).await.unwrap();
    assert!(records.is_empty());
    journal.close().await;
}
