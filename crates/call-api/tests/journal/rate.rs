//! What the disk costs: how long whoever tells of an event is held up, and how long it takes until
//! clients may be told.

use std::sync::Arc;
use std::time::Duration;

use call_api::api::{CommandId, Event, EventKind, Subject};
use call_api::config::Keep;
use call_api::server::access::Owner;
use call_api::server::journal::{CommandRecord, Journal, Notice};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Tells of `rate` events a second.
async fn tell(rate: u32, seconds: u32) {
    let directory = tempfile::tempdir().unwrap();
    let keep = Keep { directory: Some(directory.path().to_owned()), ..Keep::default() };
    let journal = Journal::start(&keep).await.unwrap();
    let cmd_id = CommandId::parse("order-7").unwrap();
    let command = Arc::new(CommandRecord::new(Owner::default(), cmd_id, Subject::CallEnd));
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut held, mut settling) = (Instant::now(), Vec::new(), Vec::new());
    for _ in 0..seconds * 100 {
        tick.tick().await;
        let mut last = 0;
        for _ in 0..rate / 100 {
            let told = Instant::now();
            let event = Notice::Event(Event::new(EventKind::Answered));
            last = journal.command(command.clone(), event).number;
            held.push(told.elapsed());
        }
        let (journal, told) = (Arc::clone(&journal), Instant::now());
        settling.push(tokio::spawn(async move {
            journal.settled(last).await;
            told.elapsed()
        }));
    }
    let mut settled = Vec::new();
    for settling in settling {
        settled.push(settling.await.unwrap());
    }
    let took = began.elapsed();
    held.sort_unstable();
    settled.sort_unstable();
    let p99 = |times: &[Duration]| times[(times.len() - 1) * 99 / 100];
    println!(
        "{} events in {took:.1?} (asked for {rate}/s): telling takes p99 {:.1?}, most {:.1?}; settled after p50 {:.1?}, p99 {:.1?}, most {:.1?}",
        held.len(),
        p99(&held),
        held.last().unwrap(),
        settled[settled.len() / 2],
        p99(&settled),
        settled.last().unwrap(),
    );
    assert_eq!(journal.last(), held.len() as u64);
    journal.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make soak"]
async fn soak_thousands_of_events_a_second() {
    for rate in [100, 1000, 5000, 20_000] {
        tell(rate, 5).await;
    }
}
