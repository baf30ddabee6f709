//! `CallBlindTransfer` that fails: the old call goes on.

use std::time::Duration;

use engine::phone::{Answer, OnOffer, OnRefer};
use engine::{CommandId, Error, FailureKind, Mode, Side, Target};
use expect_test::expect;
use sip::Method;

use crate::transfer_blind::{calls, established};
use crate::world::transfers::transfer;
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{check, is_request, is_response, losing, play, refuse};

#[test]
fn a_phone_that_knows_nothing_of_the_call_it_is_referred_in_ends_it() {
    for mode in [Mode::Auto, Mode::Refer] {
        let world = play(|w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.refer = OnRefer::Refuse(481);
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(3000);
            // RFC 3261 §12.2.1.2.
            assert_eq!(calls(w), [0, 0, 0], "{mode:?}\n{}", w.ladder);
        });
        assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::Answered, 481), "{mode:?}");
    }
}

#[test]
fn the_target_of_a_referred_phone_is_busy() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = refuse(486);
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(4000);
            goes_on(w, &call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<----------------------202 Accepted REFER------------------------|                                |
            1000                                             |<----------------------NOTIFY (100 Trying)-----------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            1000                                             |<------------------------INVITE (offer)--------------------------|                                |
            1000                                             |---------------------------100 Trying--------------------------->|                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |---------------------------180 Ringing-------------------------->|                                |
            1000   < CALL_RINGING callee                     |                                |                                |                                |
            1000                                             |<---------------------NOTIFY (180 Ringing)-----------------------|                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            2000                                             |<-----------------------------------------486 Busy Here-------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |--------------------------486 Busy Here------------------------->|                                |
            2000   < Error: target: 486 Busy Here            |                                |                                |                                |
            2000   < Ended                                   |                                |                                |                                |
            2000                                             |<------------------------------ACK-------------------------------|                                |
            2000                                             |<--------------------NOTIFY (486 Busy Here)----------------------|                                |
            2000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
        "#]],
    );
    assert_eq!(target_failed(&world), (FailureKind::Answered, 486));
}

#[test]
fn the_target_that_the_engine_calls_is_busy() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = refuse(486);
            w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
            w.run_until(4000);
            goes_on(w, &call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING caller                     |                                |                                |                                |
            2000                                             |<-----------------------------------------486 Busy Here-------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000   < Error: target: 486 Busy Here            |                                |                                |                                |
            2000   < Ended                                   |                                |                                |                                |
        "#]],
    );
    assert_eq!(target_failed(&world), (FailureKind::Answered, 486));
}

#[test]
fn a_target_that_never_answers_is_given_up_in_either_mode() {
    for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
        for answer in [Answer::Never, Answer::Silent] {
            let world = play(|w| {
                let call = established(w);
                w.phones[OTHER].behaviour.answer = answer;
                w.blind(&call, Side::Caller, OTHER, mode);
                w.run_until(130_000);
                goes_on(w, &call);
            });
            assert_eq!(target_failed(&world).0, FailureKind::TimedOut, "{mode:?} {answer:?}");
        }
    }
}

#[test]
fn a_client_that_waits_no_longer_gets_the_old_call_back() {
    for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = Answer::Never;
            let to = Target::Uri(w.phones[OTHER].uri());
            let mut request = transfer(&call, Side::Caller, to, mode);
            request.timeout = Some(Duration::from_secs(5));
            w.transfer(request);
            w.run_until(8000);
            goes_on(w, &call);
        });
        assert_eq!(target_failed(&world), (FailureKind::TimedOut, 408), "{mode:?}");
    }
}

#[test]
fn a_phone_that_does_not_take_the_refer_fails_mode_refer() {
    for refusal in [405, 420, 501, 603, 400] {
        let world = play(|w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.refer = OnRefer::Refuse(refusal);
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(3000);
            goes_on(w, &call);
        });
        assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::Answered, refusal));
    }
}

#[test]
fn a_phone_that_took_the_refer_and_does_nothing_fails_mode_refer() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.refer = OnRefer::AcceptOnly;
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(15_000);
            goes_on(w, &call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<----------------------202 Accepted REFER------------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            11000  < Error: callee: 408 Request Timeout      |                                |                                |                                |
            11000  < Ended                                   |                                |                                |                                |
        "#]],
    );
    assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::TimedOut, 408));
}

#[test]
fn a_phone_that_dies_after_it_took_the_refer_is_told_as_it_is() {
    for mode in [Mode::Refer, Mode::Auto] {
        let world = play(|w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.refer = OnRefer::AcceptOnly;
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(2000);
            w.network = losing(|from, message| {
                from == 2
                    || matches!(message, sip::Message::Request(request) if request.uri().contains("bob"))
            });
            w.run_until(60_000);
            w.hang_up(CALLER);
            w.run_until(120_000);
            w.network = crate::world::latency(0);
            w.hang_up(CALLEE);
        });
        assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::TimedOut, 408), "{mode:?}");
    }
}

#[test]
fn a_party_that_refuses_the_offer_of_the_target_stays_where_it_was() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
            w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
            w.run_until(4000);
            w.phones[CALLEE].behaviour.offer = OnOffer::Accept;
            goes_on(w, &call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING caller                     |                                |                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |-------------------------INVITE (offer)------------------------->|                                |
            2000                                             |<--------------------------100 Trying----------------------------|                                |
            2000                                             |<--------------------488 Not Acceptable Here---------------------|                                |
            2000                                             |-------------------------------ACK------------------------------>|                                |
            2000   < Error: callee: 488 Not Acceptable Here  |                                |                                |                                |
            2000   < Ended                                   |                                |                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |-----------------------------------------------BYE----------------------------------------------->|
            2000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::Answered, 488));
}

#[test]
fn a_party_that_takes_the_offer_too_late_gets_back_what_it_had() {
    let world = check(
        |w| {
            let call = established(w);
            w.network = crate::delaying(500, |from, message| {
                from == 2 && is_response(message, 200, Method::Invite)
            });
            let to = Target::Uri(w.phones[OTHER].uri());
            let mut request = transfer(&call, Side::Callee, to, Mode::Bridge);
            request.timeout = Some(Duration::from_millis(1200));
            w.transfer(request);
            w.run_until(5000);
            w.network = crate::world::latency(0);
            goes_on(w, &call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING caller                     |                                |                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |-------------------------INVITE (offer)------------------------->|                                |
            2000                                             |<--------------------------100 Trying----------------------------|                                |
            2000                                             |<------------------------200 OK (answer)-------------------------|                                |
            2200   < Error: callee: 408 Request Timeout      |                                |                                |                                |
            2200   < Ended                                   |                                |                                |                                |
            2200                                             |-----------------------------CANCEL----------------------------->|                                |
            2200                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2200                                             |-----------------------------------------------BYE----------------------------------------------->|
            2200                                             |<-------------------------200 OK CANCEL--------------------------|                                |
            2200                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
            2500                                             |-------------------------------ACK------------------------------>|                                |
            2500                                             |-------------------------INVITE (offer)------------------------->|                                |
            2500                                             |<--------------------------100 Trying----------------------------|                                |
            2500                                             |<------------------------200 OK (answer)-------------------------|                                |
            3000                                             |-------------------------------ACK------------------------------>|                                |
        "#]],
    );
    assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::TimedOut, 408));
    let to_callee = world.sent.iter().filter_map(|(from, message)| match message {
        sip::Message::Request(request) if *from == 0 && request.uri().contains("bob") => {
            Some(String::from_utf8_lossy(request.body()).into_owned())
        }
        _ => None,
    });
    let media: Vec<_> = to_callee
        .filter_map(|sdp| sdp.lines().find(|line| line.starts_with("m=")).map(str::to_owned))
        .collect();
    let (alice, cindy) = ("m=audio 25071 RTP/AVP 0 101", "m=audio 25073 RTP/AVP 0 101");
    assert_eq!(media[..3], [alice, cindy, alice], "whose media the callee was given");
}

#[test]
fn a_party_that_hangs_up_takes_the_target_with_it() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(1500);
            w.hang_up(CALLEE);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 0, 0], "{mode:?}\n{}", w.ladder);
        });
        assert_eq!(crate::failure(&world), (Side::Callee, FailureKind::Answered, 487), "{mode:?}");
    }
}

#[test]
fn when_the_other_party_has_left_a_failure_ends_the_call() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = refuse(486);
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(1500);
            w.hang_up(CALLER);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 0, 0], "{mode:?}\n{}", w.ladder);
        });
        assert_eq!(target_failed(&world), (FailureKind::Answered, 486), "{mode:?}");
    }
}

#[test]
fn a_call_end_ends_the_call_its_transfer_and_what_that_has_set_up() {
    for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
        for after in [0, 500, 1000, 1001] {
            let world = play(|w| {
                w.network = crate::world::latency(3);
                let call = established(w);
                w.blind(&call, Side::Callee, OTHER, mode);
                w.run_for(Duration::from_millis(after));
                let end = w.end(&call);
                w.run_for(Duration::from_secs(5));
                assert_eq!(w.done[&end], Ok(None), "{mode:?} {after}\n{}", w.ladder);
                assert_eq!(calls(w), [0, 0, 0], "{mode:?} {after}\n{}", w.ladder);
            });
            assert_eq!(world.done[&CommandId(1)], Err(Error::Superseded), "{mode:?} {after}");
        }
    }
}

#[test]
fn a_call_end_of_the_new_call_leaves_the_old_one() {
    play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(1500);
        let new = w.call_id_of(engine::Step::CallStarted);
        let end = w.end(&new);
        w.run_until(5000);
        assert_eq!(w.done[&end], Ok(None));
        assert_eq!(w.done[&CommandId(1)], Err(Error::Superseded));
        goes_on(w, &call);
    });
}

#[test]
fn one_thing_at_a_time_is_done_with_a_call() {
    play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        let second = w.blind(&call, Side::Caller, OTHER, Mode::Refer);
        let hold = w.call_hold(&call, None, true);
        for refused in [second, hold] {
            let error = Err(Error::InvalidState("a transfer is under way"));
            assert_eq!(w.done[&refused], error);
        }
        w.run_until(5000);
        w.call_hold(&call, None, true);
        let held = w.blind(&call, Side::Caller, OTHER, Mode::Refer);
        assert_eq!(w.done[&held], Err(Error::InvalidState("another hold is under way")));
        let unknown = w.blind("nobody", Side::Caller, OTHER, Mode::Refer);
        assert_eq!(w.done[&unknown], Err(Error::NoSuchCall));
        w.run_until(6000);
        w.end(&call);
    });
    play(|w| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(1000);
        let call = w.last_call_id().expect("a call was placed");
        let early = w.blind(&call, Side::Caller, OTHER, Mode::Refer);
        assert_eq!(w.done[&early], Err(Error::InvalidState("the call is not answered yet")));
        w.hang_up(CALLER);
    });
}

#[test]
fn a_shutdown_gives_a_transfer_up_and_leaves_the_call() {
    for mode in [Mode::Refer, Mode::Bridge] {
        play(|w| {
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(1500);
            let now = w.now;
            w.engine.give_up(now);
            w.run_until(5000);
            assert_eq!(w.done[&CommandId(1)], Err(Error::Superseded), "{mode:?}");
            goes_on(w, &call);
        });
    }
}

#[test]
fn nowhere_is_a_target_that_cannot_be_reached() {
    for (uri, status) in [
        ("sip:nobody@127.0.0.1", 404),
        ("sip:nobody@unknown.invalid", 503),
        ("sips:cindy@127.0.0.1:5073", 503),
    ] {
        let world = play(|w| {
            let call = established(w);
            let to = Target::Uri(uri.to_owned());
            w.transfer(transfer(&call, Side::Caller, to, Mode::Bridge));
            w.run_until(3000);
            goes_on(w, &call);
        });
        assert_eq!(target_failed(&world), (FailureKind::Unreachable, status), "{uri}");
    }
}

#[test]
fn a_late_call_of_a_phone_that_was_given_up_reaches_nobody() {
    let world = play(|w| {
        let call = established(w);
        w.phones[CALLEE].behaviour.dial_after = Duration::from_secs(20);
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(30_000);
        goes_on(w, &call);
    });
    let rings = world.sent.iter().filter(|(from, message)| {
        *from == 0
            && is_request(message, Method::Invite)
            && message.headers().to().uri.contains("cindy")
    });
    assert_eq!(rings.count(), 0, "{}", world.ladder);
}

/// The call stands as if nothing had been: it can be held, and its phones hang up as ever. The
/// ladder does not show that.
pub(crate) fn goes_on(w: &mut World, call: &str) {
    assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
    let ladder = w.draw_from_here();
    for held in [true, false] {
        let hold = w.call_hold(call, None, held);
        w.run_for(Duration::from_secs(1));
        assert_eq!(w.done[&hold], Ok(None), "{}", w.ladder);
    }
    w.hang_up(CALLER);
    w.run_for(Duration::from_secs(1));
    assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    w.ladder = ladder;
}

/// Why the first command failed: the target's fault.
pub(crate) fn target_failed(world: &World) -> (FailureKind, u16) {
    match &world.done[&CommandId(1)] {
        Err(Error::Target(failure)) => (failure.kind, failure.status),
        other => panic!("not the target's fault: {other:?}\n{}", world.ladder),
    }
}
