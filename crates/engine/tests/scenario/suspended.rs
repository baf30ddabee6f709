//! A machine or process that was suspended: when it wakes up its clock has leapt ahead.

use std::time::Duration;

use engine::phone::Answer;
use engine::{CommandId, Event, Mode};

use crate::play_in;
use crate::session::{sent_to, timed};
use crate::world::{CALLER, World};

#[test]
fn what_was_due_meanwhile_happens_at_once_and_in_order() {
    let world = play_in(World::new(1), |w| {
        w.phones[CALLER].behaviour.answer = Answer::Never;
        for seconds in [30, 10, 20] {
            let mut request = w.request(Mode::Refer);
            request.timeout = Some(Duration::from_secs(seconds));
            w.start_with(request);
        }
        w.run_until(1000);
        w.suspend(Duration::from_secs(60), true);
        assert_eq!(w.done.len(), 3, "{}", w.ladder);
    });
    let ended = world.events.iter().filter_map(|event| match event {
        Event::Done(CommandId(number), _) => Some(*number),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [2, 3, 1]);
}

#[test]
fn a_session_that_is_not_over_yet_is_refreshed_at_once() {
    let world = play_in(timed(), |w| {
        w.talk();
        w.suspend(Duration::from_secs(1700), true);
        w.run_until(3_000_000);
        assert_eq!(w.phones[CALLER].calls().len(), 1, "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(sent_to(&world, "sip:bob").count(), 3, "{}", world.ladder);
}

#[test]
fn a_call_that_was_slept_through_is_over_for_both() {
    let world = play_in(timed(), |w| {
        w.talk();
        w.suspend(Duration::from_secs(1900), true);
        w.run_for(Duration::from_secs(1));
        assert_eq!(w.phones[CALLER].calls().len(), 0, "{}", w.ladder);
    });
    assert!(world.watched.is_empty());
}
