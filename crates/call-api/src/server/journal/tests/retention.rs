//! How long events and command ids are kept.

use redb::{Builder, backends::InMemoryBackend};

use super::*;
use crate::server::journal::record::Progress;
use crate::server::retries::RETENTION;

fn begin(max_age: u64, max_bytes: u64) -> Writer {
    let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
    let max_age = Duration::from_secs(max_age);
    Writer::begin(database, Keep { max_age, max_bytes, ..Keep::default() }).unwrap().0
}

/// The time of a test, in seconds.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30) + Duration::from_secs(seconds)
}

fn record(number: u64, seconds: u64, what: What) -> Arc<Record> {
    Arc::new(Record { number, time: at(seconds), what })
}

fn reply(name: &str) -> What {
    let kind = EventKind::Reply { params: json!("x".repeat(1000)) };
    What::Command(echo(Owner::default(), name), Notice::Event(Event::new(kind)))
}

#[test]
fn events_are_dropped_when_they_are_too_old() {
    let mut writer = begin(100, u64::MAX);
    for number in 1..=10 {
        let record = record(number, 10 * number, reply("x"));
        assert_eq!(writer.append(&[record], at(10 * number)).unwrap(), 0);
    }
    assert!(!writer.is_stale(at(110)) && writer.is_stale(at(111)));
    assert_eq!(writer.append(&[], at(135)).unwrap(), 3);
    let store = writer.store();
    assert!(store.read(2, &Filter::Command(id("x")), 64).unwrap().is_none());
    assert!(store.read(3, &Filter::Command(id("x")), 64).unwrap().is_some());
    assert_eq!(writer.append(&[], at(1000)).unwrap(), 10, "the numbers go on from there");
}

#[test]
fn the_oldest_events_are_dropped_when_they_are_too_many() {
    let mut writer = begin(1000, 50_000);
    let mut dropped = 0;
    for number in 1..=200 {
        dropped = writer.append(&[record(number, 0, reply("x"))], at(0)).unwrap();
    }
    let kept = 200 - dropped;
    assert!((40..50).contains(&kept), "{kept} events of a little more than 1,000 bytes");
}

#[test]
fn a_command_is_found_as_long_as_anything_of_it_is_kept() {
    let mut writer = begin(100, u64::MAX);
    let story = [
        record(1, 0, What::Begun(echo(Owner::default(), "x"), None)),
        record(2, 90, reply("x")),
        record(3, 91, What::Command(echo(Owner::default(), "x"), Notice::Ended(None))),
        record(4, 92, reply("other")),
    ];
    writer.append(&story, at(95)).unwrap();
    let store = writer.store();
    let read =
        |from| store.read(from, &Filter::Command(id("x")), 64).unwrap().unwrap().records.len();
    assert_eq!(read(0), 2);
    assert_eq!(writer.append(&[], at(150)).unwrap(), 1, "its first event is gone");
    assert_eq!(read(1), 2);
    assert_eq!(writer.append(&[], at(192)).unwrap(), 3);
    assert_eq!(read(3), 0);
}

#[test]
fn an_id_is_remembered_for_its_time_however_short_events_are_kept() {
    let mut writer = begin(60, 10_000);
    let begun = |number, name| {
        record(number, 0, What::Begun(echo(Owner::default(), name), Some(fingerprint())))
    };
    let ended = |number, name| {
        record(number, 1, What::Command(echo(Owner::default(), name), Notice::Ended(None)))
    };
    let story = [begun(1, "ended"), begun(2, "running"), ended(3, "ended")];
    writer.append(&story, at(1)).unwrap();
    let last = RETENTION.as_secs();
    assert_eq!(remembered(&mut writer, last - 1), ["ended", "running"]);
    assert_eq!(remembered(&mut writer, last + 1), ["running"], "it has not ended");
    writer.append(&[ended(4, "running")], at(last + 2)).unwrap();
    assert_eq!(remembered(&mut writer, last + 3), [""; 0]);
}

#[test]
fn commands_of_two_owners_with_one_id_end_each_for_itself() {
    let mut writer = begin(100, u64::MAX);
    let begun =
        |number, owner| record(number, 0, What::Begun(echo(owner, "x"), Some(fingerprint())));
    let ended = |number, seconds, owner| {
        record(number, seconds, What::Command(echo(owner, "x"), Notice::Ended(None)))
    };
    let nobody = Owner::default;
    let story = [begun(1, nobody()), begun(2, shop()), ended(3, 50, nobody())];
    writer.append(&story, at(95)).unwrap();
    let commands = writer.left().unwrap().commands.into_iter();
    let progress: Vec<_> =
        commands.map(|(_, begun)| (begun.command.owner.clone(), begun.progress)).collect();
    assert_eq!(progress, [(nobody(), Progress::Ended), (shop(), Progress::Running)]);
    // The one's story is dropped whole, and the other's still found.
    writer.append(&[ended(4, 99, shop())], at(100)).unwrap();
    assert_eq!(writer.append(&[], at(160)).unwrap(), 3);
    let store = writer.store();
    let read = store.read(3, &Filter::Command(id("x")), 64).unwrap().unwrap();
    assert_eq!(read.records, [ended(4, 99, shop())]);
}

fn remembered(writer: &mut Writer, seconds: u64) -> Vec<String> {
    writer.append(&[], at(seconds)).unwrap();
    let left = writer.left().unwrap();
    left.commands.iter().map(|(_, begun)| begun.command.cmd_id.as_str().to_owned()).collect()
}

#[test]
fn an_id_that_is_used_again_has_a_new_story() {
    let mut writer = begin(1000, u64::MAX);
    let ended =
        |number| record(number, 0, What::Command(echo(Owner::default(), "x"), Notice::Ended(None)));
    let begun = |number| record(number, 0, What::Begun(echo(Owner::default(), "x"), None));
    writer.append(&[begun(1), ended(2), begun(3), ended(4)], at(0)).unwrap();
    let read = writer.store().read(0, &Filter::Command(id("x")), 64).unwrap().unwrap().records;
    assert_eq!(read.iter().map(|record| record.number).collect::<Vec<_>>(), [4]);
}
