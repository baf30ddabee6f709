//! A network that loses, doubles and delays: whichever message it hits, the flow comes to the same
//! end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use engine::{CommandId, Mode};
use sip::Message;

use crate::world::{CALLEE, CALLER, Fate, World};
use crate::{SUCCESS, after, established, play, steps};

/// A flow from beginning to end, and what must be true then.
type Flow = (fn(&mut World), fn(&World));

#[test]
fn click_to_dial_survives_the_loss_of_any_one_message() {
    each_message((started::<0>, succeeded), |_| Fate::Lost);
}

#[test]
fn a_bridge_survives_the_loss_of_any_one_message() {
    each_message((started::<1>, succeeded), |_| Fate::Lost);
}

#[test]
fn a_phones_call_survives_the_loss_of_any_one_message() {
    each_message((dialled, talked), |_| Fate::Lost);
}

#[test]
fn any_one_message_may_come_twice() {
    for gap in [0, 3, 700, 6000] {
        let doubled = move |_: &Message| {
            Fate::Doubled(Duration::from_millis(10), Duration::from_millis(10 + gap))
        };
        each_message((started::<0>, succeeded), doubled);
        each_message((started::<1>, succeeded), doubled);
        each_message((dialled, talked), doubled);
    }
}

#[test]
fn any_one_message_may_be_overtaken() {
    for delay in [15, 300, 3000] {
        let delayed = move |_: &Message| Fate::Arrives(Duration::from_millis(delay));
        each_message((started::<0>, succeeded), delayed);
        each_message((started::<1>, succeeded), delayed);
        each_message((dialled, talked), delayed);
    }
}

#[test]
fn every_message_may_come_twice() {
    for (flow, check) in [
        (started::<0> as fn(&mut World), succeeded as fn(&World)),
        (started::<1>, succeeded),
        (dialled, talked),
    ] {
        let world = play(|w| {
            w.network = Box::new(|_, _, _| {
                Fate::Doubled(Duration::from_millis(10), Duration::from_millis(25))
            });
            flow(w);
        });
        check(&world);
    }
}

/// Runs a flow again and again, each time with another of its messages in trouble.
fn each_message((flow, check): Flow, trouble: impl Fn(&Message) -> Fate + Copy + 'static) {
    let mut hit = 0;
    loop {
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let world = play(|w| {
            w.network = Box::new(move |_, _, message| {
                counted.set(counted.get() + 1);
                match counted.get() - 1 == hit {
                    true => trouble(message),
                    false => Fate::Arrives(Duration::from_millis(10)),
                }
            });
            flow(w);
        });
        check(&world);
        hit += 1;
        if hit >= count.get() {
            break;
        }
    }
    assert!(hit > 10, "the flow has {hit} messages");
}

fn started<const BRIDGE: usize>(w: &mut World) {
    w.phones[CALLEE].behaviour.answer = after(2000);
    let command = w.start(if BRIDGE == 1 { Mode::Bridge } else { Mode::Refer });
    w.run_until(100_000);
    let call_id = w.call_id(command);
    let end = w.end(&call_id);
    w.run();
    assert_eq!(w.done[&end], Ok(None));
}

fn succeeded(world: &World) {
    assert_eq!(steps(world), SUCCESS, "{}", world.ladder);
    assert!(world.done[&CommandId(1)].is_ok(), "{}", world.ladder);
    talked(world);
}

fn dialled(w: &mut World) {
    w.phones[CALLEE].behaviour.answer = after(2000);
    let callee = w.phones[CALLEE].uri();
    w.dial(CALLER, &callee);
    w.run_until(100_000);
    w.hang_up(CALLER);
}

/// Both phones were in the call.
fn talked(world: &World) {
    let phones = established(world);
    assert!(phones.contains(&CALLER) && phones.contains(&CALLEE), "{}", world.ladder);
}
