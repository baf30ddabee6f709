//! `CallEnd`, whatever the call is doing.

use std::time::Duration;

use engine::phone::Answer;
use engine::{CommandId, Error, FailureKind, Mode, Side, Step};
use expect_test::expect;
use sip::Method;

use crate::world::{CALLEE, CALLER, World, address, latency};
use crate::{after, check, delaying, is_response, play};

#[test]
fn while_the_caller_rings() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = Answer::Never;
            w.start(Mode::Auto);
            w.run_until(2000);
            let call_id = w.call_id_of(Step::Ringing);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            2000   > CallEnd                                 |                                |                                |
            2000   < Error: another command ended the call   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |-------------CANCEL------------>|                                |
            2000                                             |<--------200 OK CANCEL----------|                                |
            2000                                             |<----487 Request Terminated-----|                                |
            2000                                             |--------------ACK-------------->|                                |
            2000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn a_client_does_not_wait_longer_than_it_said_for_a_phone_that_is_gone() {
    let world = check(
        |w| {
            let command = w.start(Mode::Bridge);
            w.run_until(1000);
            w.phones[CALLEE].behaviour.answer = Answer::Silent;
            let call_id = w.call_id(command);
            w.draw_from_here();
            w.end_within(&call_id, Some(Duration::from_secs(2)));
            w.run_for(Duration::from_secs(100));
            // Its own wait for an answer is over by then, too.
            w.phones[CALLEE].behaviour.answer = after(0);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallEnd                                 |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |<----------200 OK BYE-----------|                                |
            1500                                             |-------------------------------BYE------------------------------>|
            2500                                             |-------------------------------BYE------------------------------>|
            3000   < Error: callee: 408 Request Timeout      |                                |                                |
            3000   < Ended                                   |                                |                                |
            4500                                             |-------------------------------BYE------------------------------>|
            8500                                             |-------------------------------BYE------------------------------>|
            12500                                            |-------------------------------BYE------------------------------>|
            16500                                            |-------------------------------BYE------------------------------>|
            20500                                            |-------------------------------BYE------------------------------>|
            24500                                            |-------------------------------BYE------------------------------>|
            28500                                            |-------------------------------BYE------------------------------>|
            32500                                            |-------------------------------BYE------------------------------>|
            101000                                           |<------------------------------BYE-------------------------------|
            101000                                           |-------------481 Call/Transaction Does Not Exist BYE------------>|
        "#]],
    );
    assert!(matches!(
        &world.done[&CommandId(2)],
        Err(Error::Party(Side::Callee, failure)) if failure.kind == FailureKind::TimedOut
    ));
}

#[test]
fn before_the_callers_phone_says_anything() {
    let world = check(
        |w| {
            w.network = latency(300);
            w.start(Mode::Auto);
            w.run_until(100);
            let call_id = w.sent_request(0, Method::Invite).call_id().to_owned();
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            100    > CallEnd                                 |                                |                                |
            100    < Error: another command ended the call   |                                |                                |
            100    < Ended                                   |                                |                                |
            300                                              |<----------100 Trying-----------|                                |
            300                                              |<---------180 Ringing-----------|                                |
            300                                              |<---200 OK (answer inactive)----|                                |
            500                                              |----INVITE (offer inactive)---->|                                |
            600                                              |-------------CANCEL------------>|                                |
            600                                              |--------------ACK-------------->|                                |
            600                                              |--------------BYE-------------->|                                |
            800                                              |<---200 OK (answer inactive)----|                                |
            900                                              |<--------200 OK CANCEL----------|                                |
            900                                              |<----------200 OK BYE-----------|                                |
            1100                                             |--------------ACK-------------->|                                |
            1100                                             |-------------CANCEL------------>|                                |
            1100                                             |--------------BYE-------------->|                                |
            1200   < Ended                                   |                                |                                |
            1400                                             |<--------200 OK CANCEL----------|                                |
            1400                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn while_the_refer_is_pending() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.dial_after = Duration::from_secs(5);
            w.start(Mode::Auto);
            w.run_until(2000);
            w.draw_from_here();
            let call_id = w.call_id_of(Step::TransferAccepted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            2000   > CallEnd                                 |                                |                                |
            2000   < Error: another command ended the call   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |<----------200 OK BYE-----------|                                |
            2000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn while_the_callee_rings() {
    let world = check(
        |w| {
            callee_rings(w, Mode::Refer);
            let call_id = w.call_id_of(Step::CallStarted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            2000   > CallEnd                                 |                                |                                |
            2000                                             |-----487 Request Terminated---->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000   < Error: another command ended the call   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            2000                                             |<-NOTIFY (487 Request Termina…--|                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |<----------200 OK BYE-----------|                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn while_the_callee_rings_by_the_call_id_of_the_helper_dialog() {
    let world = check(
        |w| {
            callee_rings(w, Mode::Refer);
            let call_id = w.call_id_of(Step::TransferAccepted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            2000   > CallEnd                                 |                                |                                |
            2000   < Error: another command ended the call   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |-----487 Request Terminated---->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            2000                                             |<-NOTIFY (487 Request Termina…--|                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |<----------200 OK BYE-----------|                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn while_the_callee_of_a_bridge_rings() {
    let world = check(
        |w| {
            callee_rings(w, Mode::Bridge);
            let call_id = w.call_id_of(Step::CallStarted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            2000   > CallEnd                                 |                                |                                |
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000   < Error: another command ended the call   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn as_the_callee_answers() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.start(Mode::Bridge);
            w.run_until(1175);
            w.draw_from_here();
            let call_id = w.call_id_of(Step::CallStarted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1175   > CallEnd                                 |                                |                                |
            1175                                             |--------------BYE-------------->|                                |
            1175                                             |-----------------------------CANCEL----------------------------->|
            1175   < Error: another command ended the call   |                                |                                |
            1175   < Ended                                   |                                |                                |
            1200                                             |--------------------------ACK (answer)-------------------------->|
            1200                                             |-------------------------------BYE------------------------------>|
            1225                                             |<----------200 OK BYE-----------|                                |
            1225                                             |<-------------------------200 OK CANCEL--------------------------|
            1250                                             |<--------------------------200 OK BYE----------------------------|
            1300   < Ended                                   |                                |                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn while_the_caller_is_asked_to_take_the_callees_offer() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.network = delaying(600, |from, message| {
                from == 1 && is_response(message, 200, Method::Invite)
            });
            w.start(Mode::Bridge);
            w.run_until(1700);
            w.draw_from_here();
            let call_id = w.call_id_of(Step::CallStarted);
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1700   > CallEnd                                 |                                |                                |
            1700                                             |--------------BYE-------------->|                                |
            1700                                             |--------------------------ACK (answer)-------------------------->|
            1700                                             |-------------------------------BYE------------------------------>|
            1700   < Error: another command ended the call   |                                |                                |
            1700   < Ended                                   |                                |                                |
            1700                                             |<----------200 OK BYE-----------|                                |
            1700                                             |<--------------------------200 OK BYE----------------------------|
            1700   < Ended                                   |                                |                                |
            2200                                             |--------------ACK-------------->|                                |
        "#]],
    );
    assert_superseded(&world);
}

#[test]
fn twice_at_once() {
    check(
        |w| {
            let command = w.start(Mode::Refer);
            w.run_until(1000);
            w.network = latency(50);
            w.draw_from_here();
            let call_id = w.call_id(command);
            let ends = [w.end(&call_id), w.end(&call_id)];
            w.run();
            assert!(ends.iter().all(|end| w.done[end] == Ok(None)));
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallEnd                                 |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000   > CallEnd                                 |                                |                                |
            1050                                             |<----------200 OK BYE-----------|                                |
            1050                                             |<--------------------------200 OK BYE----------------------------|
            1100   < Ended                                   |                                |                                |
            1100   < Ended                                   |                                |                                |
        "#]],
    );
}

#[test]
fn with_phones_that_do_not_answer_bye() {
    check(
        |w| {
            let command = w.start(Mode::Refer);
            w.run_until(1000);
            w.draw_from_here();
            for phone in &mut w.phones {
                phone.behaviour.answer = Answer::Silent;
            }
            let call_id = w.call_id(command);
            let end = w.end(&call_id);
            w.run_until(60_000);
            assert_eq!(w.done[&end], Ok(None));
            // The phones have missed it all, and hang up in their own time.
            for phone in 0..2 {
                w.phones[phone].behaviour.answer = Answer::Never;
                w.hang_up(phone);
            }
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallEnd                                 |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1500                                             |--------------BYE-------------->|                                |
            1500                                             |-------------------------------BYE------------------------------>|
            2500                                             |--------------BYE-------------->|                                |
            2500                                             |-------------------------------BYE------------------------------>|
            4500                                             |--------------BYE-------------->|                                |
            4500                                             |-------------------------------BYE------------------------------>|
            8500                                             |--------------BYE-------------->|                                |
            8500                                             |-------------------------------BYE------------------------------>|
            12500                                            |--------------BYE-------------->|                                |
            12500                                            |-------------------------------BYE------------------------------>|
            16500                                            |--------------BYE-------------->|                                |
            16500                                            |-------------------------------BYE------------------------------>|
            20500                                            |--------------BYE-------------->|                                |
            20500                                            |-------------------------------BYE------------------------------>|
            24500                                            |--------------BYE-------------->|                                |
            24500                                            |-------------------------------BYE------------------------------>|
            28500                                            |--------------BYE-------------->|                                |
            28500                                            |-------------------------------BYE------------------------------>|
            32500                                            |--------------BYE-------------->|                                |
            32500                                            |-------------------------------BYE------------------------------>|
            33000  < Ended                                   |                                |                                |
            60000                                            |<-------------BYE---------------|                                |
            60000                                            |<------------------------------BYE-------------------------------|
            60000                                            |--481 Call/Transaction Does N…->|                                |
            60000                                            |-------------481 Call/Transaction Does Not Exist BYE------------>|
        "#]],
    );
}

#[test]
fn a_call_that_a_phone_placed() {
    check(
        |w| {
            w.talk();
            w.draw_from_here();
            let call_id = w.sent_request(1, Method::Invite).call_id().to_owned();
            w.end(&call_id);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallEnd                                 |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |<----------200 OK BYE-----------|                                |
            1000                                             |<--------------------------200 OK BYE----------------------------|
            1000   < Ended                                   |                                |                                |
        "#]],
    );
}

#[test]
fn of_an_unknown_call_or_one_that_is_over_fails() {
    play(|w| {
        let unknown = w.end("nothing");
        assert_eq!(w.done[&unknown], Err(Error::NoSuchCall));
        let command = w.start(Mode::Refer);
        w.run_until(1000);
        let call_id = w.call_id(command);
        w.end(&call_id);
        w.run_until(2000);
        let late = w.end(&call_id);
        assert_eq!(w.done[&late], Err(Error::NoSuchCall));
    });
}

#[test]
fn a_call_id_that_names_two_calls_is_ambiguous_and_their_own_names_are_not() {
    // As with a proxy that sends the call back to us: the name leads here first, then to the callee.
    play(|w| {
        w.names.insert("round.example".to_owned(), address(0));
        w.network = latency(10);
        w.dial(CALLER, "sip:bob@round.example");
        w.run_until(15);
        w.names.insert("round.example".to_owned(), address(2));
        w.run_until(1000);
        let call_id = w.sent_request(1, Method::Invite).call_id().to_owned();
        let end = w.end(&call_id);
        let Err(Error::Ambiguous(names)) = &w.done[&end] else { panic!("{:?}", w.done[&end]) };
        assert_eq!(names.len(), 2);
        let end = w.end(&names[0].clone());
        w.run_until(2000);
        assert_eq!(w.done[&end], Ok(None));
        assert_eq!(w.engine.load().calls, 0, "one leg down, all legs down\n{}", w.ladder);
    });
}

/// A `CallStart` whose callee rings; drawn from there.
fn callee_rings(w: &mut World, mode: Mode) {
    w.phones[CALLEE].behaviour.answer = Answer::Never;
    w.start(mode);
    w.run_until(2000);
    w.draw_from_here();
}

/// The `CallStart` failed because of the `CallEnd`, and that succeeded.
fn assert_superseded(world: &World) {
    let outcomes = [1, 2].map(|command| world.done[&CommandId(command)].clone());
    assert_eq!(outcomes, [Err(Error::Superseded), Ok(None)], "{}", world.ladder);
}
