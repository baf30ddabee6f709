//! Transfers that a phone asks for: by REFER, and by INVITE with Replaces.

use std::time::Duration;

use engine::limits::RING_TIMEOUT;
use engine::phone::{Answer, PhoneEvent};
use engine::{Config, Mode, Side};
use expect_test::expect;
use sip::{Message, Method, Name};

use crate::transfer_attended::consulting;
use crate::transfer_blind::{calls, established};
use crate::world::{CALLEE, CALLER, OTHER, World, address};
use crate::{check, play, play_in, refuse};

#[test]
fn a_phone_sends_the_other_party_to_somebody() {
    let world = check(
        |w| {
            established(w);
            w.show_watcher = true;
            w.refer(CALLER, w.call_of(CALLER), OTHER, None);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 1, 1]);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000                                             |<------------REFER--------------|                                |                                |
            1000                                             |-------202 Accepted REFER------>|                                |                                |
            1000                                             |------NOTIFY (100 Trying)------>|                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<--------200 OK NOTIFY----------|                                |                                |
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |------NOTIFY (180 Ringing)----->|                                |                                |
            1000                                             |<--------200 OK NOTIFY----------|                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |-------------------------INVITE (offer)------------------------->|                                |
            2000                                             |<--------------------------100 Trying----------------------------|                                |
            2000                                             |<------------------------200 OK (answer)-------------------------|                                |
            2000                                             |-------------------------------ACK------------------------------>|                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000   * CALL_TRANSFER caller                    |                                |                                |                                |
            2000                                             |--------NOTIFY (200 OK)-------->|                                |                                |
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |<--------200 OK NOTIFY----------|                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            5000                                             |<----------------------------------------------BYE------------------------------------------------|
            5000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            5000                                             |-------------------------------BYE------------------------------>|                                |
            5000   * CALL_ENDING caller                      |                                |                                |                                |
            5000                                             |<--------------------------200 OK BYE----------------------------|                                |
            5000   * CALL_END caller                         |                                |                                |                                |
        "#]],
    );
    assert_eq!(reported(&world, CALLER), [100, 180, 200]);
    let target = world.phones[OTHER].uri();
    let invite = world.sent.iter().find_map(|(from, message)| match message {
        Message::Request(request) if *from == 0 && request.uri() == target => Some(request),
        _ => None,
    });
    let invite = invite.expect("the target was called");
    assert_eq!(invite.from().uri, world.phones[CALLEE].uri());
    assert_eq!(invite.text(Name::ReferredBy), Some("<sip:alice@127.0.0.1:5071>"));
}

#[test]
fn a_phone_connects_the_parties_of_its_two_calls() {
    let world = check(
        |w| {
            consulting(w);
            let [first, second] = bobs(w);
            w.refer(CALLEE, first, OTHER, Some(second));
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            2000                                             |<-----------------------------REFER------------------------------|                                |
            2000                                             |-----------------------202 Accepted REFER----------------------->|                                |
            2000                                             |-----------------------NOTIFY (100 Trying)---------------------->|                                |
            2000                                             |----------------------------------------------INVITE--------------------------------------------->|
            2000                                             |<-------------------------200 OK NOTIFY--------------------------|                                |
            2000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |---------INVITE (offer)-------->|                                |                                |
            2000                                             |<----------100 Trying-----------|                                |                                |
            2000                                             |<-------200 OK (answer)---------|                                |                                |
            2000                                             |--------------ACK-------------->|                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |-------------------------NOTIFY (200 OK)------------------------>|                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |<-------------------------200 OK NOTIFY--------------------------|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            5000                                             |<-------------BYE---------------|                                |                                |
            5000                                             |-----------200 OK BYE---------->|                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(reported(&world, CALLEE), [100, 200]);
}

#[test]
fn a_phone_may_hang_up_as_soon_as_it_has_asked() {
    for attended in [false, true] {
        play(|w| {
            w.network = crate::world::latency(10);
            consulting(w);
            let [first, second] = bobs(w);
            if !attended {
                w.hang_up_one(CALLEE, second);
                w.run_for(Duration::from_secs(1));
            }
            w.refer(CALLEE, first, OTHER, attended.then_some(second));
            w.run_for(Duration::from_millis(25));
            w.hang_up(CALLEE);
            w.run_for(Duration::from_secs(5));
            assert_eq!(calls(w), [1, 0, 1], "{attended}\n{}", w.ladder);
            w.hang_up(OTHER);
        });
    }
}

#[test]
fn a_phone_is_told_why_it_failed_and_talks_on() {
    let world = check(
        |w| {
            established(w);
            w.phones[OTHER].behaviour.answer = refuse(486);
            w.refer(CALLER, w.call_of(CALLER), OTHER, None);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 1, 0]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000                                             |<------------REFER--------------|                                |                                |
            1000                                             |-------202 Accepted REFER------>|                                |                                |
            1000                                             |------NOTIFY (100 Trying)------>|                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<--------200 OK NOTIFY----------|                                |                                |
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |------NOTIFY (180 Ringing)----->|                                |                                |
            1000                                             |<--------200 OK NOTIFY----------|                                |                                |
            2000                                             |<-----------------------------------------486 Busy Here-------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |-----NOTIFY (486 Busy Here)---->|                                |                                |
            2000                                             |<--------200 OK NOTIFY----------|                                |                                |
            3000                                             |<-------------BYE---------------|                                |                                |
            3000                                             |-----------200 OK BYE---------->|                                |                                |
            3000                                             |-------------------------------BYE------------------------------>|                                |
            3000                                             |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
    assert_eq!(reported(&world, CALLER), [100, 180, 486]);
}

#[test]
fn a_phone_that_hung_up_after_a_transfer_that_fails_leaves_nobody_behind() {
    play(|w| {
        established(w);
        w.phones[OTHER].behaviour.answer = refuse(603);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(1500);
        w.hang_up(CALLER);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
}

#[test]
fn a_phone_asks_again_after_a_failure() {
    let world = play(|w| {
        established(w);
        w.phones[OTHER].behaviour.answer = refuse(486);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(3000);
        w.phones[OTHER].behaviour.answer = Answer::After(Duration::ZERO);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 1, 1]);
        w.hang_up(OTHER);
    });
    assert_eq!(reported(&world, CALLER), [100, 180, 486, 100, 180, 200]);
    // RFC 3515 §2.4.6.
    let notify = world.sent_request(0, Method::Notify);
    let refer = world.sent_request(1, Method::Refer);
    let second = format!("refer;id={}", refer.cseq().number);
    assert_eq!(notify.text(Name::Event), Some(&*second));
}

#[test]
fn who_wants_no_reports_gets_none() {
    let world = play(|w| {
        w.rewrite =
            Some(Box::new(|_, _, text| text.replace("Refer-To:", "Refer-Sub: false\r\nRefer-To:")));
        established(w);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 1, 1]);
        w.hang_up(OTHER);
    });
    assert_eq!(reported(&world, CALLER), [0_u16; 0]);
    let accepted = world.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.cseq().method == Method::Refer => {
            response.text(Name::ReferSub)
        }
        _ => None,
    });
    assert_eq!(accepted, Some("false"));
}

#[test]
fn the_reports_last_as_long_as_the_target_may_ring() {
    let world = play(|w| {
        established(w);
        w.phones[OTHER].behaviour.answer = Answer::Never;
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_for(RING_TIMEOUT + Duration::from_secs(1));
        w.hang_up(CALLER);
    });
    assert_eq!(reported(&world, CALLER), [100, 180, 408]);
    let mut states: Vec<_> = world
        .sent
        .iter()
        .filter(|(from, message)| *from == 0 && crate::is_request(message, Method::Notify))
        .filter_map(|(_, message)| message.headers().text(Name::SubscriptionState))
        .collect();
    assert_eq!(states.pop(), Some("terminated;reason=noresource"));
    for state in states {
        let expires = state.strip_prefix("active;expires=").and_then(|left| left.parse().ok());
        assert!(expires > Some(RING_TIMEOUT.as_secs()), "{state}");
    }
}

#[test]
fn only_phones_that_are_trusted_send_others_elsewhere() {
    // bob is no user here: he was called at his address.
    let bob = || World::with_users(1, &[("alice", "secret")]);
    let world = play_in(bob(), |w| {
        w.phones[CALLER].set_account("alice", "secret");
        w.register(CALLER, 600);
        w.run_until(100);
        established(w);
        w.refer(CALLEE, w.call_of(CALLEE), OTHER, None);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLER);
        w.register(CALLER, 0);
    });
    assert_eq!(reported(&world, CALLEE), [603]);
    let world = play_in(bob(), |w| {
        w.phones[CALLER].set_account("alice", "secret");
        w.register(CALLER, 600);
        w.run_until(100);
        established(w);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 1, 1], "{}", w.ladder);
        w.hang_up(OTHER);
        w.register(CALLER, 0);
    });
    assert_eq!(reported(&world, CALLER), [100, 180, 200]);
    // The next hop is trusted, as it is with calls. It gets every call: bob's first, then alice's.
    let config =
        Config { open: false, next_hop: Some(format!("sip:{}", address(3))), ..World::config() };
    let world = play_in(World::with_config(1, config), |w| {
        w.talk();
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        let first = w.call_of(OTHER);
        w.refer(OTHER, first, CALLEE, None);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        assert_ne!(w.call_of(OTHER), first, "it is the one that alice was sent to");
        w.hang_up(CALLER);
    });
    assert_eq!(reported(&world, OTHER), [100, 180, 200]);
}

#[test]
fn a_refer_that_comes_while_something_else_is_done_waits_for_another_time() {
    let world = play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(1500);
        assert_eq!(reported(w, CALLER), [491]);
        w.run_until(5000);
        w.hang_up(OTHER);
    });
    assert_eq!(reported(&world, CALLER), [491]);
}

/// As an attendant does that answers every call and sends it on.
#[test]
fn a_phone_may_transfer_as_soon_as_it_has_answered() {
    for mode in [None, Some(Mode::Refer), Some(Mode::Bridge)] {
        let world = play(|w| {
            // alice's phone is slow to say that it knows of the answer.
            w.network = crate::delaying(400, |from, message| {
                from == 1
                    && (crate::is_request(message, Method::Ack)
                        || crate::is_response(message, 200, Method::Invite))
            });
            match mode {
                Some(mode) => drop(w.start(mode)),
                None => w.dial(CALLER, &w.phones[CALLEE].uri()),
            }
            while w.phones[CALLEE].calls().is_empty() {
                w.run_for(Duration::from_millis(1));
            }
            w.run_for(Duration::from_millis(100));
            w.refer(CALLEE, w.call_of(CALLEE), OTHER, None);
            w.run_for(Duration::from_secs(5));
            assert_eq!(calls(w), [1, 0, 1], "{mode:?}\n{}", w.ladder);
            assert!(w.done.values().all(Result::is_ok), "{mode:?}: {:?}", w.done);
            w.hang_up(OTHER);
        });
        assert_eq!(reported(&world, CALLEE), [100, 180, 200], "{mode:?}");
    }
}

/// What it asked for before is nothing to anybody when the call fails.
#[test]
fn a_phone_that_transfers_a_call_that_does_not_come_up_is_told_so() {
    let world = play(|w| {
        w.network =
            crate::losing(|from, message| from == 1 && crate::is_request(message, Method::Ack));
        w.talk();
        w.refer(CALLEE, w.call_of(CALLEE), OTHER, None);
        w.run_for(Duration::from_secs(60));
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
    let answers = world.sent.iter().filter_map(|(from, message)| match message {
        Message::Response(response) if response.cseq().method == Method::Refer => {
            Some((*from, response.status))
        }
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(0, 481)], "{}", world.ladder);
}

#[test]
fn a_call_with_replaces_takes_the_place_of_a_party() {
    let world = check(
        |w| {
            let call = established(w);
            w.show_watcher = true;
            let replaces = w.phones[CALLEE].replaces(w.call_of(CALLEE)).expect("a call");
            w.dial_replacing(OTHER, ENGINE, &replaces);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.end(&call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000                                             |<-----------------------------------------INVITE (offer)------------------------------------------|
            1000                                             |--------------------------------------------100 Trying------------------------------------------->|
            1000                                             |---------INVITE (offer)-------->|                                |                                |
            1000                                             |<----------100 Trying-----------|                                |                                |
            1000                                             |<-------200 OK (answer)---------|                                |                                |
            1000                                             |--------------ACK-------------->|                                |                                |
            1000                                             |-----------------------------------------200 OK (answer)----------------------------------------->|
            1000   * CALL_TRANSFER callee                    |                                |                                |                                |
            1000                                             |-------------------------------BYE------------------------------>|                                |
            1000                                             |<----------------------------------------------ACK------------------------------------------------|
            1000                                             |<--------------------------200 OK BYE----------------------------|                                |
            3000   > CallEnd                                 |                                |                                |                                |
            3000                                             |--------------BYE-------------->|                                |                                |
            3000                                             |-----------------------------------------------BYE----------------------------------------------->|
            3000   * CALL_ENDING command                     |                                |                                |                                |
            3000                                             |<----------200 OK BYE-----------|                                |                                |
            3000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
            3000   * CALL_END command                        |                                |                                |                                |
            3000   < Ended                                   |                                |                                |                                |
        "#]],
    );
    let offered = world
        .sent
        .iter()
        .rev()
        .find(|(from, message)| *from == 0 && crate::is_request(message, Method::Invite));
    let sdp = String::from_utf8_lossy(offered.expect("the caller was asked").1.headers().body());
    assert!(sdp.contains("m=audio 25073 "), "cindy's media: {sdp}");
}

#[test]
fn a_call_with_replaces_may_leave_the_offer_to_the_other_party() {
    play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            3 if text.starts_with("INVITE") => crate::without_body(text),
            _ => text.to_owned(),
        }));
        established(w);
        let replaces = w.phones[CALLER].replaces(w.call_of(CALLER)).expect("a call");
        w.dial_replacing(OTHER, ENGINE, &replaces);
        w.run_until(3000);
        assert_eq!(calls(w), [0, 1, 1], "{}", w.ladder);
        w.hang_up(OTHER);
    });
}

#[test]
fn a_call_with_replaces_that_names_no_call_that_stands_is_refused() {
    for (replaces, status) in [
        ("nobody@nowhere;to-tag=1;from-tag=2", 481),
        ("nonsense", 400),
        ("a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2", 400),
    ] {
        let world = play(|w| {
            established(w);
            w.dial_replacing(OTHER, ENGINE, replaces);
            w.run_until(3000);
            assert_eq!(calls(w), [1, 1, 0]);
            w.hang_up(CALLER);
        });
        assert_eq!(crate::register::refused_with(&world, OTHER), Some(status), "{replaces}");
    }
    let world = play(|w| {
        established(w);
        let replaces = w.phones[CALLER].replaces(w.call_of(CALLER)).expect("a call");
        w.dial_replacing(OTHER, ENGINE, &format!("{replaces};early-only"));
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0]);
        w.hang_up(CALLER);
    });
    assert_eq!(crate::register::refused_with(&world, OTHER), Some(486), "RFC 3891 §3");
}

#[test]
fn a_party_that_refuses_to_talk_to_the_new_one_keeps_the_old_one() {
    let world = play(|w| {
        established(w);
        w.phones[CALLER].behaviour.offer = engine::phone::OnOffer::Refuse(488);
        let replaces = w.phones[CALLEE].replaces(w.call_of(CALLEE)).expect("a call");
        w.dial_replacing(OTHER, ENGINE, &replaces);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(crate::register::refused_with(&world, OTHER), Some(488));
}

#[test]
fn one_who_gives_up_its_call_with_replaces_leaves_the_call_as_it_was() {
    play(|w| {
        w.network = crate::delaying(400, |from, message| {
            from == 1 && crate::is_response(message, 200, Method::Invite)
        });
        let call = established(w);
        w.run_until(2000);
        let replaces = w.phones[CALLEE].replaces(w.call_of(CALLEE)).expect("a call");
        w.dial_replacing(OTHER, ENGINE, &replaces);
        w.run_for(Duration::from_millis(200));
        w.hang_up(OTHER);
        w.run_until(8000);
        w.network = crate::world::latency(0);
        crate::transfer_blind_failures::goes_on(w, &call);
    });
}

#[test]
fn replaces_for_somebody_elses_dialog_is_passed_on() {
    let world = play(|w| {
        w.show_other("target");
        let uri = w.phones[OTHER].uri();
        w.dial_replacing(CALLER, &uri, "their@call;to-tag=1;from-tag=2");
        w.run_until(1000);
    });
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.text(Name::Replaces), Some("their@call;to-tag=1;from-tag=2"));
    assert_eq!(
        crate::register::refused_with(&world, CALLER),
        Some(481),
        "cindy knows no such call"
    );
}

/// What the one whom a phone asked has reported to it, or how it refused.
fn reported(world: &World, phone: usize) -> Vec<u16> {
    let shown = world.shown.iter().filter_map(|(who, event)| match event {
        PhoneEvent::Transfer(_, status) if *who == phone => Some(*status),
        _ => None,
    });
    shown.collect()
}

/// bob's calls: first that with alice.
pub(crate) fn bobs(w: &World) -> [engine::ua::LegId; 2] {
    let calls = w.phones[CALLEE].calls();
    let invited = |leg| {
        w.sent.iter().any(|(from, message)| {
            *from == 2
                && crate::is_request(message, Method::Invite)
                && message.headers().from_tag() == Some(&*format!("{leg}"))
        })
    };
    let (second, first): (Vec<_>, Vec<_>) = calls.into_iter().partition(|leg| invited(*leg));
    [first[0], second[0]]
}

/// The engine itself.
pub(crate) const ENGINE: &str = "sip:127.0.0.1:5060";
