//! `CallStart` in mode `refer` that fails between the caller's answer and the callee's INVITE.

use std::time::Duration;

use engine::FailureKind::{Answered, TimedOut};
use engine::phone::{OnRefer, PhoneEvent};
use engine::{Mode, Side};
use expect_test::expect;
use sip::Method;

use crate::world::{CALLEE, CALLER, OTHER, World, latency};
use crate::{check, failure, is_request, losing, play, refuse};

#[test]
fn the_refer_is_refused() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::Refuse(603);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0                                                |-------------REFER------------->|                                |
            0                                                |<------603 Decline REFER--------|                                |
            0      < Error: caller: 603 Decline              |                                |                                |
            0      < Ended                                   |                                |                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 603));
}

#[test]
fn any_refusal_of_the_refer_is_told_as_it_is() {
    for status in [400, 403, 405, 420, 481, 500, 501, 503] {
        let world = play(|w| {
            w.phones[CALLER].behaviour.refer = OnRefer::Refuse(status);
            w.start(Mode::Refer);
        });
        assert_eq!(failure(&world), (Side::Caller, Answered, status));
        assert!(!rang(&world, CALLEE), "the callee was called\n{}", world.ladder);
    }
}

#[test]
fn the_refer_is_not_answered() {
    let world = check(
        |w| {
            w.network = losing(|_, message| is_request(message, Method::Refer));
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0                                                |-------------REFER------------x |                                |
            500                                              |-------------REFER------------x |                                |
            1500                                             |-------------REFER------------x |                                |
            3500                                             |-------------REFER------------x |                                |
            7500                                             |-------------REFER------------x |                                |
            10000  < Error: caller: 408 Request Timeout      |                                |                                |
            10000  < Ended                                   |                                |                                |
            10000                                            |--------------BYE-------------->|                                |
            10000                                            |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn nothing_follows_an_accepted_refer() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0                                                |-------------REFER------------->|                                |
            0                                                |<------202 Accepted REFER-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            10000  < Error: caller: 408 Request Timeout      |                                |                                |
            10000  < Ended                                   |                                |                                |
            10000                                            |--------------BYE-------------->|                                |
            10000                                            |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_one_time_uri_is_gone_when_the_command_has_failed() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
            w.start(Mode::Refer);
            w.run_until(12_000);
            let refer_to = w.sent_request(0, Method::Refer).text(sip::Name::ReferTo);
            let one_time = refer_to.unwrap_or_default().trim_matches(['<', '>']).to_owned();
            w.dial(CALLER, &one_time);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0                                                |-------------REFER------------->|                                |
            0                                                |<------202 Accepted REFER-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            10000  < Error: caller: 408 Request Timeout      |                                |                                |
            10000  < Ended                                   |                                |                                |
            10000                                            |--------------BYE-------------->|                                |
            10000                                            |<----------200 OK BYE-----------|                                |
            12000                                            |<--------INVITE (offer)---------|                                |
            12000                                            |-----------100 Trying---------->|                                |
            12000                                            |---------404 Not Found--------->|                                |
            12000                                            |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_phone_reports_a_failure_of_a_call_that_never_came_here() {
    let world = check(
        |w| {
            w.show_other("elsewhere");
            // The phone's dial plan sends it to somebody who is busy.
            w.rewrite = Some(Box::new(|_, _, text| match text.split_once("\r\nRefer-To: ") {
                Some((head, tail)) => {
                    let (_, tail) = tail.split_once("\r\n").unwrap_or_default();
                    format!("{head}\r\nRefer-To: <sip:cindy@127.0.0.1:5073>\r\n{tail}")
                }
                None => text.to_owned(),
            }));
            w.phones[OTHER].behaviour.answer = refuse(486);
            w.start(Mode::Refer);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                          elsewhere
            0      > CallStart                               |                                |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |                                |
            0                                                |<----------100 Trying-----------|                                |                                |
            0                                                |<---------180 Ringing-----------|                                |                                |
            0      < CALL_RINGING caller                     |                                |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |                                |
            0                                                |--------------ACK-------------->|                                |                                |
            0      < CALL_ANSWER caller                      |                                |                                |                                |
            0                                                |-------------REFER------------->|                                |                                |
            0                                                |<------202 Accepted REFER-------|                                |                                |
            0                                                |<-----NOTIFY (100 Trying)-------|                                |                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            0                                                |                                |-------------------------INVITE (offer)------------------------->|
            0                                                |                                |<--------------------------100 Trying----------------------------|
            0                                                |                                |<--------------------------180 Ringing---------------------------|
            0                                                |<-----NOTIFY (180 Ringing)------|                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            1000                                             |                                |<-------------------------486 Busy Here--------------------------|
            1000                                             |                                |-------------------------------ACK------------------------------>|
            1000                                             |<----NOTIFY (486 Busy Here)-----|                                |                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |                                |
            1000   < TRANSFER_PROGRESS 486                   |                                |                                |                                |
            1000   < Error: caller: 486 Busy Here            |                                |                                |                                |
            1000   < Ended                                   |                                |                                |                                |
            1000                                             |--------------BYE-------------->|                                |                                |
            1000                                             |<----------200 OK BYE-----------|                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 486));
}

#[test]
fn the_caller_hangs_up_before_its_phone_answers_the_refer() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.start(Mode::Refer);
            w.run_until(120);
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

#[test]
fn the_phone_leaves_after_its_202_and_places_no_call() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.dial_after = Duration::from_secs(5);
            w.start(Mode::Auto);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0                                                |-------------REFER------------->|                                |
            0                                                |<------202 Accepted REFER-------|                                |
            0                                                |<-----NOTIFY (100 Trying)-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |-----------200 OK BYE---------->|                                |
            10000  < Error: caller: 408 Request Timeout      |                                |                                |
            10000  < Ended                                   |                                |                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
}

#[test]
fn the_clients_timeout_ends_the_wait_for_the_referred_call() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.dial_after = Duration::from_secs(5);
        let mut request = w.request(Mode::Auto);
        request.timeout = Some(Duration::from_secs(3));
        w.start_with(request);
    });
    assert_eq!(failure(&world), (Side::Caller, TimedOut, 408));
    assert!(!rang(&world, CALLEE), "the callee was called\n{}", world.ladder);
}

fn rang(world: &World, phone: usize) -> bool {
    let mut shown = world.shown.iter();
    shown.any(|(at, event)| *at == phone && matches!(event, PhoneEvent::Ringing(..)))
}
