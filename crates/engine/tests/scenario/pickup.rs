//! Picking up: an INVITE with Replaces that names a phone which rings.

use std::time::Duration;

use engine::limits::RING_TIMEOUT;
use engine::phone::{Answer, OnOffer};
use engine::{Mode, Side, Step};
use expect_test::expect;
use sip::sdp::Sdp;
use sip::{Message, Method, Name};

use crate::register::refused_with;
use crate::transfer_blind::{calls, established};
use crate::transfer_by_phone::ENGINE;
use crate::world::{CALLEE, CALLER, Network, OTHER, World, address};
use crate::{check, play};

#[test]
fn somebody_picks_up_a_call_that_rings_elsewhere() {
    let world = check(
        |w| {
            w.show_watcher = true;
            w.show_other("picks up");
            ringing(w);
            pick_up(w, OTHER, CALLEE);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                          picks up
            0                                                |<--------INVITE (offer)---------|                                |                                |
            0                                                |-----------100 Trying---------->|                                |                                |
            0      * CALL_START                              |                                |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|                                |
            0                                                |<--------------------------100 Trying----------------------------|                                |
            0                                                |<--------------------------180 Ringing---------------------------|                                |
            0                                                |----------180 Ringing---------->|                                |                                |
            0      * CALL_RINGING callee                     |                                |                                |                                |
            1000                                             |<-----------------------------------------INVITE (offer)------------------------------------------|
            1000                                             |--------------------------------------------100 Trying------------------------------------------->|
            1000                                             |-------------------------------------200 OK (answer inactive)------------------------------------>|
            1000                                             |<----------------------------------------------ACK------------------------------------------------|
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            1000                                             |-----------------------------------------------ACK----------------------------------------------->|
            1000                                             |-----------------------------CANCEL----------------------------->|                                |
            1000   * CALL_TRANSFER callee                    |                                |                                |                                |
            1000                                             |--------200 OK (answer)-------->|                                |                                |
            1000   * CALL_ANSWER callee                      |                                |                                |                                |
            1000                                             |<-------------------------200 OK CANCEL--------------------------|                                |
            1000                                             |<--------------------487 Request Terminated----------------------|                                |
            1000                                             |<-------------ACK---------------|                                |                                |
            1000                                             |-------------------------------ACK------------------------------>|                                |
            1000   * CALL_ESTABLISHED                        |                                |                                |                                |
            3000                                             |<----------------------------------------------BYE------------------------------------------------|
            3000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            3000                                             |--------------BYE-------------->|                                |                                |
            3000   * CALL_ENDING callee                      |                                |                                |                                |
            3000                                             |<----------200 OK BYE-----------|                                |                                |
            3000   * CALL_END callee                         |                                |                                |                                |
        "#]],
    );
    assert_eq!(media_of(&world, CALLER), 25073, "alice hears cindy");
    assert_eq!(media_of(&world, OTHER), 25071, "and the other way round");
}

#[test]
fn whoever_picks_up_may_leave_the_offer_to_the_caller() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            3 if text.starts_with("INVITE") => crate::without_body(text),
            _ => text.to_owned(),
        }));
        ringing(w);
        pick_up(w, OTHER, CALLEE);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(media_of(&world, CALLER), 25073);
}

#[test]
fn a_call_without_an_offer_is_picked_up_too() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        let callee = w.phones[CALLEE].uri();
        w.dial_without_offer(CALLER, &callee);
        w.run_until(1000);
        pick_up(w, OTHER, CALLEE);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(OTHER);
    });
    assert_eq!(media_of(&world, CALLER), 25073);
    assert_eq!(media_of(&world, OTHER), 25071);
}

#[test]
fn without_any_offer_nobody_can_pick_up() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            3 if text.starts_with("INVITE") => crate::without_body(text),
            _ => text.to_owned(),
        }));
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        let callee = w.phones[CALLEE].uri();
        w.dial_without_offer(CALLER, &callee);
        w.run_until(1000);
        pick_up(w, OTHER, CALLEE);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0]);
        w.hang_up(CALLER);
    });
    assert_eq!(refused_with(&world, OTHER), Some(488));
}

#[test]
fn a_call_with_early_media_is_picked_up() {
    // Told unreliably, and told so that it cannot be taken back: then the caller is asked anew.
    for reliable in [false, true] {
        let world = play(|w| {
            for phone in [CALLER, CALLEE] {
                w.phones[phone].behaviour.reliable = reliable;
            }
            w.phones[CALLEE].behaviour.early_media = true;
            ringing(w);
            pick_up(w, OTHER, CALLEE);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
            w.hang_up(OTHER);
        });
        assert_eq!(media_of(&world, CALLER), 25073, "reliable {reliable}");
        assert_eq!(media_of(&world, OTHER), 25071, "reliable {reliable}");
    }
}

#[test]
fn a_call_of_a_command_is_picked_up_in_either_mode() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            let command = w.start(mode);
            w.run_until(1000);
            pick_up(w, OTHER, CALLEE);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
            let call = w.call_id(command);
            w.end(&call);
        });
        assert_eq!(crate::steps(&world).last(), Some(&Step::Answered), "{mode:?}");
        assert_eq!(media_of(&world, OTHER), 25071, "{mode:?}");
    }
}

#[test]
fn the_target_of_a_transfer_is_picked_up() {
    let world = play(|w| {
        let call = established(w);
        w.phones[OTHER].behaviour.answer = Answer::Never;
        let transfer = w.blind(&call, Side::Caller, OTHER, Mode::Bridge);
        w.run_until(2000);
        // bob, who is about to be released, takes it back.
        pick_up(w, CALLEE, OTHER);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        assert!(w.done[&transfer].is_ok());
        w.hang_up(CALLER);
    });
    assert_eq!(media_of(&world, CALLER), 25072);
}

#[test]
fn a_call_that_was_picked_up_is_known_by_the_new_call_id_too() {
    let world = play(|w| {
        ringing(w);
        let first = w.sent_request(1, Method::Invite).call_id().to_owned();
        pick_up(w, OTHER, CALLEE);
        w.run_until(3000);
        let brought = w.sent_request(3, Method::Invite).call_id().to_owned();
        assert_ne!(first, brought);
        let call = w.watched.values().next().expect("a call");
        assert_eq!(*call.call_id, first);
        assert_eq!(call.callee.call_id.as_deref(), Some(&*brought));
        assert!(call.callee.uri.contains("cindy"), "{:?}", call.callee);
        w.end(&brought);
    });
    assert_eq!(world.transferred, 1);
}

#[test]
fn a_phone_that_answers_meanwhile_has_the_call() {
    play(|w| {
        w.network = slow_to_answer();
        w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_millis(1200));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(1000);
        pick_up(w, OTHER, CALLEE);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLEE);
    });
}

#[test]
fn a_pickup_that_fails_leaves_the_other_phone_ringing() {
    let refuses: fn(&mut World) = |w| w.phones[OTHER].behaviour.offer = OnOffer::Refuse(488);
    let leaves: fn(&mut World) = |w| {
        w.network = crate::delaying(400, |from, message| {
            let is_again = message.headers().to_tag().is_some();
            from == 0 && is_again && crate::is_request(message, Method::Invite)
        });
    };
    for fails in [refuses, leaves] {
        let world = play(|w| {
            fails(w);
            ringing(w);
            pick_up(w, OTHER, CALLEE);
            w.run_for(Duration::from_millis(200));
            w.hang_up(OTHER);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
            // And when that one refuses, the caller hears of it, and not of the pickup.
            let ringing = w.phones[CALLEE].calls();
            ringing.into_iter().for_each(|leg| w.hang_up_one(CALLEE, leg));
        });
        assert_eq!(refused_with(&world, CALLER), Some(603));
    }
}

#[test]
fn who_picks_up_when_the_other_phone_refuses_has_the_call() {
    play(|w| {
        w.network = slow_to_answer();
        w.phones[CALLEE].behaviour.answer = Answer::Refuse(486, Duration::from_millis(1200));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(1000);
        pick_up(w, OTHER, CALLEE);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(CALLER);
    });
}

#[test]
fn a_caller_that_gives_up_ends_the_pickup() {
    play(|w| {
        w.network = slow_to_answer();
        ringing(w);
        pick_up(w, OTHER, CALLEE);
        w.run_for(Duration::from_millis(200));
        w.hang_up(CALLER);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
}

#[test]
fn a_call_that_is_being_ended_is_not_picked_up() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            w.start(mode);
            w.run_until(1000);
            let call = w.call_id_of(Step::CallStarted);
            // bob's phone rings until it has the CANCEL.
            w.network = crate::delaying(400, |from, message| {
                from == 0 && crate::is_request(message, Method::Cancel)
            });
            w.end(&call);
            pick_up(w, OTHER, CALLEE);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
        });
        assert_eq!(refused_with(&world, OTHER), Some(481), "{mode:?}");
    }
}

#[test]
fn one_picks_up_at_a_time() {
    let world = play(|w| {
        w.network = slow_to_answer();
        ringing(w);
        pick_up(w, OTHER, CALLEE);
        w.run_for(Duration::from_millis(200));
        pick_up(w, CALLEE, CALLEE);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(refused_with(&world, CALLEE), Some(491));
}

#[test]
fn what_cannot_be_picked_up_is_refused() {
    // RFC 3891 §3: only a call that the engine has placed, and the phone is called by the right tags.
    let world = play(|w| {
        ringing(w);
        let is_180 =
            |(_, message): &&(usize, Message)| crate::is_response(message, 180, Method::Invite);
        let sent = w.sent.iter().rev().find(is_180).expect("it rings").1.headers();
        let (call_id, to, from) = (sent.call_id(), sent.to_tag(), sent.from_tag());
        let (to, from) = (to.expect("a tag"), from.expect("a tag"));
        let replaces = format!("{call_id};to-tag={to};from-tag={from}");
        w.dial_replacing(OTHER, ENGINE, &replaces);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0]);
        w.hang_up(CALLER);
    });
    assert_eq!(refused_with(&world, OTHER), Some(481), "the caller's own dialog");
    let world = play(|w| {
        ringing(w);
        let replaces = w.phones[CALLEE].replaces(w.call_of(CALLEE)).expect("a call");
        let (rest, _) = replaces.rsplit_once("from-tag=").expect("tags");
        w.dial_replacing(OTHER, ENGINE, &format!("{rest}from-tag=another"));
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0]);
        w.hang_up(CALLER);
    });
    assert_eq!(refused_with(&world, OTHER), Some(481), "another phone's tag");
    let world = play(|w| {
        // The phone that is to place a call, and nobody's callee.
        w.phones[CALLER].behaviour.answer = Answer::Never;
        let start = w.start(Mode::Refer);
        w.run_until(1000);
        pick_up(w, OTHER, CALLER);
        w.run_until(RING_TIMEOUT.as_millis() as u64 * 2);
        assert!(w.done[&start].is_err());
    });
    assert_eq!(refused_with(&world, OTHER), Some(603), "no call yet");
}

/// A network in which what the third phone answers takes 400 ms: so long a pickup is under way.
fn slow_to_answer() -> Network {
    crate::delaying(400, |from, message| {
        from == 3 && crate::is_response(message, 200, Method::Invite)
    })
}

/// Lets the caller's phone call the callee's, which rings.
pub(crate) fn ringing(w: &mut World) {
    w.phones[CALLEE].behaviour.answer = Answer::Never;
    w.talk();
}

/// Lets a phone call in the place of another one's only call. `early-only`, as one says who means it.
pub(crate) fn pick_up(w: &mut World, phone: usize, instead_of: usize) {
    let replaces = w.phones[instead_of].replaces(w.call_of(instead_of)).expect("a call");
    w.dial_replacing(phone, ENGINE, &format!("{replaces};early-only"));
}

/// Where a phone was last told to send its sound: the port.
fn media_of(world: &World, phone: usize) -> u16 {
    let address = address(phone + 1).to_string();
    let is_to = |message: &Message| match message {
        Message::Request(request) => request.uri().contains(&address),
        Message::Response(response) => {
            response.text(Name::Via).is_some_and(|via| via.contains(&address))
        }
    };
    let sent = world.sent.iter().rev().filter(|(from, message)| *from == 0 && is_to(message));
    let mut told = sent.filter_map(|(_, message)| Sdp::parse(message.headers().body()).ok());
    let sdp = told.next().unwrap_or_else(|| panic!("nothing was told\n{}", world.ladder));
    sdp.media().next().expect("a media section").port
}
