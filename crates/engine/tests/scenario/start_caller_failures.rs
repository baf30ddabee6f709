//! `CallStart` that fails at the caller's phone, before anybody else is asked.

use std::time::Duration;

use engine::FailureKind::{Answered, TimedOut, Unreachable};
use engine::phone::Answer;
use engine::{Mode, Side};
use expect_test::expect;
use sip::Method;

use crate::world::{CALLER, latency};
use crate::{after, check, delaying, failure, is_response, play, refuse, without_body};

#[test]
fn the_caller_is_busy() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = refuse(486);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            1000                                             |<--------486 Busy Here----------|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000   < Error: caller: 486 Busy Here            |                                |                                |
            1000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 486));
}

#[test]
fn the_callers_refusal_is_told_as_it_is() {
    for status in [302, 401, 403, 404, 407, 480, 488, 500, 503, 600, 603] {
        let world = play(|w| {
            w.phones[CALLER].behaviour.answer = refuse(status);
            w.start(Mode::Auto);
        });
        assert_eq!(failure(&world), (Side::Caller, Answered, status));
    }
}

#[test]
fn the_caller_is_redirected() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = refuse(302);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            1000                                             |<----302 Moved Temporarily------|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000   < Error: caller: 302 Moved Temporarily    |                                |                                |
            1000   < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 302));
}

#[test]
fn the_caller_never_answers() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = Answer::Never;
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            120000 < Error: caller: 408 Request Timeout      |                                |                                |
            120000 < Ended                                   |                                |                                |
            120000                                           |-------------CANCEL------------>|                                |
            120000                                           |<--------200 OK CANCEL----------|                                |
            120000                                           |<----487 Request Terminated-----|                                |
            120000                                           |--------------ACK-------------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_client_waits_no_longer_than_its_timeout() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = Answer::Never;
            let mut request = w.request(Mode::Auto);
            request.timeout = Some(Duration::from_secs(5));
            w.start_with(request);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            5000   < Error: caller: 408 Request Timeout      |                                |                                |
            5000   < Ended                                   |                                |                                |
            5000                                             |-------------CANCEL------------>|                                |
            5000                                             |<--------200 OK CANCEL----------|                                |
            5000                                             |<----487 Request Terminated-----|                                |
            5000                                             |--------------ACK-------------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_caller_is_silent() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = Answer::Silent;
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            500                                              |----INVITE (offer inactive)---->|                                |
            1500                                             |----INVITE (offer inactive)---->|                                |
            3500                                             |----INVITE (offer inactive)---->|                                |
            7500                                             |----INVITE (offer inactive)---->|                                |
            15500                                            |----INVITE (offer inactive)---->|                                |
            31500                                            |----INVITE (offer inactive)---->|                                |
            32000  < Error: caller: 408 Request Timeout      |                                |                                |
            32000  < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn a_silent_caller_gets_no_cancel_before_it_says_something() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.answer = Answer::Silent;
            let mut request = w.request(Mode::Auto);
            request.timeout = Some(Duration::from_secs(2));
            w.start_with(request);
            w.run_until(3000);
            w.phones[CALLER].behaviour.answer = Answer::Never;
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            500                                              |----INVITE (offer inactive)---->|                                |
            1500                                             |----INVITE (offer inactive)---->|                                |
            2000   < Error: caller: 408 Request Timeout      |                                |                                |
            2000   < Ended                                   |                                |                                |
            3500                                             |----INVITE (offer inactive)---->|                                |
            3500                                             |<----------100 Trying-----------|                                |
            3500                                             |<---------180 Ringing-----------|                                |
            3500                                             |-------------CANCEL------------>|                                |
            3500                                             |<--------200 OK CANCEL----------|                                |
            3500                                             |<----487 Request Terminated-----|                                |
            3500                                             |--------------ACK-------------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_callers_address_is_unknown() {
    let world = check(
        |w| {
            let mut request = w.request(Mode::Refer);
            request.caller = "sip:alice@nowhere.invalid".to_owned();
            w.start_with(request);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0      < Error: caller: 503 Destination Unreachable|                                |                                |
            0      < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Unreachable, 503));
}

#[test]
fn the_caller_answers_without_a_session_description() {
    let world = check(
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| {
                let answer = from == 1 && text.starts_with("SIP/2.0 200") && text.contains("v=0");
                if answer { without_body(text) } else { text.to_owned() }
            }));
            w.start(Mode::Bridge);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<------------200 OK-------------|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0      < Error: caller: 488 No session description in the answer|                                |                                |
            0      < Ended                                   |                                |                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 488));
}

#[test]
fn the_callers_answer_crosses_our_cancel() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.phones[CALLER].behaviour.answer = after(1925);
            let mut request = w.request(Mode::Refer);
            request.timeout = Some(Duration::from_secs(2));
            w.start_with(request);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            50                                               |<----------100 Trying-----------|                                |
            50                                               |<---------180 Ringing-----------|                                |
            100    < CALL_RINGING caller                     |                                |                                |
            1975                                             |<---200 OK (answer inactive)----|                                |
            2000   < Error: caller: 408 Request Timeout      |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |-------------CANCEL------------>|                                |
            2025                                             |--------------ACK-------------->|                                |
            2025                                             |--------------BYE-------------->|                                |
            2050                                             |<--------200 OK CANCEL----------|                                |
            2075                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_caller_answers_so_late_that_its_invite_is_forgotten() {
    let world = check(
        |w| {
            // The phone rings, but nothing of it gets through in time.
            w.network = delaying(40_000, |from, message| {
                from == 1
                    && [100, 180, 200]
                        .iter()
                        .any(|status| is_response(message, *status, Method::Invite))
            });
            w.phones[CALLER].behaviour.answer = after(1000);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            500                                              |----INVITE (offer inactive)---->|                                |
            500                                              |<---------180 Ringing-----------|                                |
            1000                                             |<---200 OK (answer inactive)----|                                |
            1500                                             |----INVITE (offer inactive)---->|                                |
            1500                                             |<---200 OK (answer inactive)----|                                |
            2500                                             |<---200 OK (answer inactive)----|                                |
            3500                                             |----INVITE (offer inactive)---->|                                |
            4500                                             |<---200 OK (answer inactive)----|                                |
            7500                                             |----INVITE (offer inactive)---->|                                |
            8500                                             |<---200 OK (answer inactive)----|                                |
            12500                                            |<---200 OK (answer inactive)----|                                |
            15500                                            |----INVITE (offer inactive)---->|                                |
            16500                                            |<---200 OK (answer inactive)----|                                |
            20500                                            |<---200 OK (answer inactive)----|                                |
            24500                                            |<---200 OK (answer inactive)----|                                |
            28500                                            |<---200 OK (answer inactive)----|                                |
            31500                                            |----INVITE (offer inactive)---->|                                |
            32000  < Error: caller: 408 Request Timeout      |                                |                                |
            32000  < Ended                                   |                                |                                |
            32500                                            |<---200 OK (answer inactive)----|                                |
            33000                                            |<-------------BYE---------------|                                |
            33000                                            |--481 Call/Transaction Does N…->|                                |
            41000                                            |--------------ACK-------------->|                                |
            41000                                            |--------------BYE-------------->|                                |
            41000                                            |<-481 Call/Transaction Does N…--|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_caller_hangs_up_as_soon_as_it_has_answered() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.start(Mode::Refer);
            w.run_until(125);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            50                                               |<----------100 Trying-----------|                                |
            50                                               |<---------180 Ringing-----------|                                |
            50                                               |<---200 OK (answer inactive)----|                                |
            100    < CALL_RINGING caller                     |                                |                                |
            100                                              |--------------ACK-------------->|                                |
            100    < CALL_ANSWER caller                      |                                |                                |
            100                                              |-------------REFER------------->|                                |
            150                                              |<-------------BYE---------------|                                |
            150                                              |<-481 Call/Transaction Does N…--|                                |
            200                                              |-----------200 OK BYE---------->|                                |
            200    < Error: caller: 487 Request Terminated   |                                |                                |
            200    < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 487));
}
