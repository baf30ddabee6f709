//! `CallHold` and `CallUnHold` that fail: somebody refuses, is silent, or hangs up.

use std::time::Duration;

use engine::phone::OnOffer;
use engine::{CommandId, Error, FailureKind, Side, Step};
use expect_test::expect;
use sip::{Message, Method};

use crate::call_hold::{established, held, outcome, steps};
use crate::world::{CALLEE, CALLER, Fate, Network, World};
use crate::{check, delaying, failure, is_request, is_response, play};

#[test]
fn the_other_goes_back_when_one_refuses() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
            w.call_hold(&call, None, true);
            w.run_until(2000);
            assert_eq!(held(w, &call), (false, false));
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<--------------------488 Not Acceptable Here---------------------|
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |---------INVITE (offer)-------->|                                |
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<-------200 OK (answer)---------|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_UNHOLD caller                      |                                |                                |
            1000   < Error: callee: 488 Not Acceptable Here  |                                |                                |
            1000   < Ended                                   |                                |                                |
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |-------------------------------BYE------------------------------>|
            2000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, FailureKind::Answered, 488));
    let [asked, held, unheld] = [Step::HoldAsked, Step::Held, Step::Unheld];
    assert_eq!(steps(&world), [asked, asked, held, unheld]);
}

#[test]
fn both_stay_on_hold_when_one_refuses_to_come_back() {
    let world = check(
        |w| {
            let call = established(w);
            w.call_hold(&call, None, true);
            w.run_until(2000);
            w.phones[CALLER].behaviour.offer = OnOffer::Refuse(488);
            w.call_hold(&call, None, false);
            w.run_until(3000);
            assert_eq!(held(w, &call), (true, true));
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<-------------------200 OK (answer recvonly)---------------------|
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1000                                             |-------------------------------ACK------------------------------>|
            1000   < CALL_HOLD callee                        |                                |                                |
            1000   < Ended                                   |                                |                                |
            2000   > CallUnHold                              |                                |                                |
            2000                                             |---------INVITE (offer)-------->|                                |
            2000                                             |-------------------------INVITE (offer)------------------------->|
            2000                                             |<----------100 Trying-----------|                                |
            2000                                             |<---488 Not Acceptable Here-----|                                |
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<------------------------200 OK (answer)-------------------------|
            2000                                             |--------------ACK-------------->|                                |
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < CALL_UNHOLD callee                      |                                |                                |
            2000                                             |---------------------INVITE (offer sendonly)-------------------->|
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<-------------------200 OK (answer recvonly)---------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < CALL_HOLD callee                        |                                |                                |
            2000   < Error: caller: 488 Not Acceptable Here  |                                |                                |
            2000   < Ended                                   |                                |                                |
            3000                                             |<-------------BYE---------------|                                |
            3000                                             |-----------200 OK BYE---------->|                                |
            3000                                             |-------------------------------BYE------------------------------>|
            3000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert!(matches!(&world.done[&CommandId(2)], Err(Error::Party(Side::Caller, _))));
}

#[test]
fn a_refusal_of_both_changes_nothing_and_is_told_once() {
    let world = play(|w| {
        let call = established(w);
        for phone in [CALLER, CALLEE] {
            w.phones[phone].behaviour.offer = OnOffer::Refuse(603);
        }
        w.call_hold(&call, None, true);
        w.run_until(2000);
        assert_eq!(held(w, &call), (false, false));
        w.hang_up(CALLER);
    });
    assert_eq!(failure(&world), (Side::Caller, FailureKind::Answered, 603));
    assert_eq!(steps(&world), [Step::HoldAsked, Step::HoldAsked]);
}

#[test]
fn the_other_goes_back_when_one_is_silent_and_the_call_ends_with_its_dialog() {
    let world = check(
        |w| {
            let call = established(w);
            w.network = silent(2);
            w.call_hold(&call, None, true);
            w.run_until(25_000);
            assert_eq!(held(w, &call), (false, false));
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------x |
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1500                                             |---------------------INVITE (offer sendonly)-------------------x |
            2500                                             |---------------------INVITE (offer sendonly)-------------------x |
            4500                                             |---------------------INVITE (offer sendonly)-------------------x |
            8500                                             |---------------------INVITE (offer sendonly)-------------------x |
            16500                                            |---------------------INVITE (offer sendonly)-------------------x |
            21000  < Error: callee: 408 Request Timeout      |                                |                                |
            21000  < Ended                                   |                                |                                |
            21000                                            |---------INVITE (offer)-------->|                                |
            21000                                            |<----------100 Trying-----------|                                |
            21000                                            |<-------200 OK (answer)---------|                                |
            21000                                            |--------------ACK-------------->|                                |
            32500                                            |---------------------INVITE (offer sendonly)-------------------x |
            33000                                            |-------------------------------BYE------------------------------>|
            33000                                            |--------------BYE-------------->|                                |
            33000                                            |<--------------------------200 OK BYE----------------------------|
            33000                                            |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, FailureKind::TimedOut, 408));
}

#[test]
fn a_phone_that_answers_too_late_goes_back_as_well() {
    let world = check(
        |w| {
            let call = established(w);
            w.network = delaying(700, |from, _| from == 2);
            let limit = Some(Duration::from_millis(600));
            w.call_hold_for(&call, None, true, limit);
            w.run_until(1650);
            assert!(outcome(w).is_err(), "it was told at once\n{}", w.ladder);
            w.run_until(5000);
            assert_eq!(held(w, &call), (false, false));
            w.network = delaying(0, |_, _| true);
            w.call_hold(&call, None, true);
            w.run_until(6000);
            assert_eq!(held(w, &call), (true, true));
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<-------------------200 OK (answer recvonly)---------------------|
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1500                                             |---------------------INVITE (offer sendonly)-------------------->|
            1500                                             |<-------------------200 OK (answer recvonly)---------------------|
            1600   < Error: callee: 408 Request Timeout      |                                |                                |
            1600   < Ended                                   |                                |                                |
            1600                                             |---------INVITE (offer)-------->|                                |
            1600                                             |<----------100 Trying-----------|                                |
            1600                                             |<-------200 OK (answer)---------|                                |
            1600                                             |--------------ACK-------------->|                                |
            1700                                             |-------------------------------ACK------------------------------>|
            1700                                             |-------------------------INVITE (offer)------------------------->|
            1700                                             |<--------------------------100 Trying----------------------------|
            1700                                             |<------------------------200 OK (answer)-------------------------|
            2200                                             |-------------------------------ACK------------------------------>|
            2200                                             |-------------------------INVITE (offer)------------------------->|
            2200                                             |<------------------------200 OK (answer)-------------------------|
            2400                                             |-------------------------------ACK------------------------------>|
            2900                                             |-------------------------------ACK------------------------------>|
            5000   > CallHold                                |                                |                                |
            5000                                             |----INVITE (offer sendonly)---->|                                |
            5000                                             |---------------------INVITE (offer sendonly)-------------------->|
            5000                                             |<----------100 Trying-----------|                                |
            5000                                             |<---200 OK (answer recvonly)----|                                |
            5000                                             |<--------------------------100 Trying----------------------------|
            5000                                             |<-------------------200 OK (answer recvonly)---------------------|
            5000                                             |--------------ACK-------------->|                                |
            5000   < CALL_HOLD caller                        |                                |                                |
            5000                                             |-------------------------------ACK------------------------------>|
            5000   < CALL_HOLD callee                        |                                |                                |
            5000   < Ended                                   |                                |                                |
            6000                                             |<-------------BYE---------------|                                |
            6000                                             |-----------200 OK BYE---------->|                                |
            6000                                             |-------------------------------BYE------------------------------>|
            6000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, FailureKind::TimedOut, 408));
}

#[test]
fn a_phone_that_knows_nothing_of_the_call_ends_it() {
    let world = check(
        |w| {
            let call = established(w);
            w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(481);
            w.call_hold(&call, Some(Side::Callee), true);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold callee                         |                                |                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<--------------481 Call/Transaction Does Not Exist---------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |--------------BYE-------------->|                                |
            1000   < Error: callee: 481 Call/Transaction Does Not Exist|                                |                                |
            1000   < Ended                                   |                                |                                |
            1000                                             |<--------------------------200 OK BYE----------------------------|
            1000                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, FailureKind::Answered, 481));
}

#[test]
fn a_phone_that_is_always_busy_with_an_offer_of_its_own_gets_five_more_tries() {
    let world = play(|w| {
        let call = established(w);
        w.phones[CALLER].behaviour.offer = OnOffer::Refuse(491);
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(40_000);
        assert_eq!(held(w, &call), (false, false));
        w.hang_up(CALLER);
    });
    assert!(matches!(failure(&world), (Side::Caller, _, 491 | 408)), "{:?}", world.done);
}

/// What a network loses: the ACKs of these phones.
fn acks_of(lanes: &'static [usize]) -> Network {
    Box::new(move |from, _, message| match lanes.contains(&from) {
        true if is_request(message, Method::Ack) => Fate::Lost,
        _ => Fate::Arrives(Duration::from_millis(100)),
    })
}

#[test]
fn one_whose_own_re_invite_is_not_through_when_time_is_up_goes_back_after_that() {
    let world = play(|w| {
        let call = established(w);
        // bob has to wait for his part: the ACK of his own re-INVITE is missing.
        w.network = acks_of(&[2]);
        w.hold(CALLEE, false);
        w.run_for(Duration::from_secs(1));
        w.call_hold_for(&call, None, true, Some(Duration::from_secs(15)));
        w.run_for(Duration::from_secs(1));
        assert_eq!(held(w, &call), (true, false), "{}", w.ladder);
        // alice sends a re-INVITE of her own, and now it is her ACK that is missing.
        w.hold(CALLER, false);
        w.network = acks_of(&[1]);
        let taken = |w: &World| {
            let of_bob = |(from, message): &&(usize, Message)| {
                *from == 2 && is_response(message, 200, Method::Invite)
            };
            w.sent.iter().filter(of_bob).count()
        };
        let before = taken(w);
        while taken(w) == before {
            w.run_for(Duration::from_millis(10));
        }
        // It was hers that bob took; the hold, which comes next, he does not.
        w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
        w.run_for(Duration::from_secs(15));
        assert_eq!(failure(w), (Side::Callee, FailureKind::Answered, 488));
        w.network = acks_of(&[]);
        w.run_for(Duration::from_secs(10));
        assert_eq!(held(w, &call), (false, false), "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), [Step::HoldAsked, Step::Held, Step::HoldAsked]);
}

#[test]
fn the_phone_hangs_up_during_its_hold() {
    let world = check(
        |w| {
            let call = established(w);
            w.network = delaying(50, |_, _| true);
            w.call_hold(&call, None, true);
            w.run_until(1010);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1010                                             |<------------------------------BYE-------------------------------|
            1050                                             |<----------100 Trying-----------|                                |
            1050                                             |<---200 OK (answer recvonly)----|                                |
            1050                                             |<--------------481 Call/Transaction Does Not Exist---------------|
            1060                                             |---------------------------200 OK BYE--------------------------->|
            1060                                             |--------------BYE-------------->|                                |
            1060   < Error: callee: 487 Request Terminated   |                                |                                |
            1060   < Ended                                   |                                |                                |
            1100                                             |--------------ACK-------------->|                                |
            1100                                             |-------------------------------ACK------------------------------>|
            1110                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, FailureKind::Answered, 487));
}

#[test]
fn a_call_end_during_the_hold_ends_both() {
    let world = check(
        |w| {
            let call = established(w);
            w.network = delaying(50, |_, _| true);
            w.call_hold(&call, None, true);
            w.run_until(1020);
            w.end(&call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1020   > CallEnd                                 |                                |                                |
            1020                                             |--------------BYE-------------->|                                |
            1020                                             |-------------------------------BYE------------------------------>|
            1020   < Error: another command ended the call   |                                |                                |
            1020   < Ended                                   |                                |                                |
            1050                                             |<----------100 Trying-----------|                                |
            1050                                             |<---200 OK (answer recvonly)----|                                |
            1050                                             |<--------------------------100 Trying----------------------------|
            1050                                             |<-------------------200 OK (answer recvonly)---------------------|
            1070                                             |<----------200 OK BYE-----------|                                |
            1070                                             |<--------------------------200 OK BYE----------------------------|
            1100                                             |--------------ACK-------------->|                                |
            1100                                             |-------------------------------ACK------------------------------>|
            1120   < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(*outcome(&world), Err(Error::Superseded));
    assert_eq!(world.done[&CommandId(2)], Ok(None));
}

#[test]
fn a_held_call_ends_like_any_other() {
    for by_command in [true, false] {
        let world = play(|w| {
            let call = established(w);
            w.call_hold(&call, None, true);
            w.run_until(2000);
            if by_command {
                w.end(&call);
            } else {
                w.hang_up(CALLER);
            }
        });
        assert!(world.done.values().all(Result::is_ok), "{:?}", world.done);
    }
}

/// A network in which re-INVITEs to this lane are lost.
fn silent(lane: usize) -> Network {
    Box::new(move |_, to, message| match to == lane && is_request(message, Method::Invite) {
        true => Fate::Lost,
        false => Fate::Arrives(Duration::ZERO),
    })
}
