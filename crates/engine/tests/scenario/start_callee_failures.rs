//! `CallStart` that fails when the callee is called, and callers who leave meanwhile.

use std::time::Duration;

use engine::FailureKind::{Answered, TimedOut, Unreachable};
use engine::phone::{Answer, OnOffer};
use engine::{Mode, Side};
use expect_test::expect;
use sip::{Message, Method};

use crate::world::{CALLEE, CALLER, Fate};
use crate::{after, check, failure, is_response, play, refuse, without_body};

#[test]
fn the_callee_is_busy() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = refuse(486);
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
            0                                                |<-----NOTIFY (100 Trying)-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |
            1000                                             |<-------------------------486 Busy Here--------------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |---------486 Busy Here--------->|                                |
            1000   < Error: callee: 486 Busy Here            |                                |                                |
            1000   < Ended                                   |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |<-------------ACK---------------|                                |
            1000                                             |<----NOTIFY (486 Busy Here)-----|                                |
            1000                                             |<----------200 OK BYE-----------|                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Answered, 486));
}

#[test]
fn the_callee_of_a_bridge_is_busy() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = refuse(486);
            w.start(Mode::Bridge);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            1000                                             |<-------------------------486 Busy Here--------------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |--------------BYE-------------->|                                |
            1000   < Error: callee: 486 Busy Here            |                                |                                |
            1000   < Ended                                   |                                |                                |
            1000                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Answered, 486));
}

#[test]
fn the_callees_refusal_is_told_as_it_is_in_every_mode() {
    for status in [302, 401, 404, 407, 480, 486, 488, 500, 503, 600, 603] {
        for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
            let world = play(|w| {
                w.phones[CALLEE].behaviour.answer = refuse(status);
                w.start(mode);
            });
            assert_eq!(failure(&world), (Side::Callee, Answered, status), "{mode:?}");
        }
    }
}

#[test]
fn the_callee_declines() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            w.start(Mode::Refer);
            w.run_until(1000);
            w.hang_up(CALLEE);
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
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |
            1000                                             |<--------------------------603 Decline---------------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |----------603 Decline---------->|                                |
            1000   < Error: callee: 603 Decline              |                                |                                |
            1000   < Ended                                   |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |<-------------ACK---------------|                                |
            1000                                             |<-----NOTIFY (603 Decline)------|                                |
            1000                                             |<----------200 OK BYE-----------|                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Answered, 603));
}

#[test]
fn the_callee_never_answers() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
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
            0                                                |<-----NOTIFY (100 Trying)-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |
            120000                                           |------408 Request Timeout------>|                                |
            120000                                           |-----------------------------CANCEL----------------------------->|
            120000 < Error: callee: 408 Request Timeout      |                                |                                |
            120000 < Ended                                   |                                |                                |
            120000                                           |--------------BYE-------------->|                                |
            120000                                           |<-------------ACK---------------|                                |
            120000                                           |<-NOTIFY (408 Request Timeout)--|                                |
            120000                                           |<-------------------------200 OK CANCEL--------------------------|
            120000                                           |<--------------------487 Request Terminated----------------------|
            120000                                           |<----------200 OK BYE-----------|                                |
            120000                                           |---------200 OK NOTIFY--------->|                                |
            120000                                           |-------------------------------ACK------------------------------>|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, TimedOut, 408));
}

#[test]
fn the_callee_of_a_bridge_never_answers() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            let mut request = w.request(Mode::Bridge);
            request.timeout = Some(Duration::from_secs(20));
            w.start_with(request);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            20000  < Error: callee: 408 Request Timeout      |                                |                                |
            20000  < Ended                                   |                                |                                |
            20000                                            |--------------BYE-------------->|                                |
            20000                                            |-----------------------------CANCEL----------------------------->|
            20000                                            |<----------200 OK BYE-----------|                                |
            20000                                            |<-------------------------200 OK CANCEL--------------------------|
            20000                                            |<--------------------487 Request Terminated----------------------|
            20000                                            |-------------------------------ACK------------------------------>|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, TimedOut, 408));
}

#[test]
fn the_callee_is_silent() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Silent;
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
            0                                                |<-----NOTIFY (100 Trying)-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            500                                              |-------------------------INVITE (offer)------------------------->|
            1500                                             |-------------------------INVITE (offer)------------------------->|
            3500                                             |-------------------------INVITE (offer)------------------------->|
            7500                                             |-------------------------INVITE (offer)------------------------->|
            15500                                            |-------------------------INVITE (offer)------------------------->|
            31500                                            |-------------------------INVITE (offer)------------------------->|
            32000                                            |------408 Request Timeout------>|                                |
            32000  < Error: callee: 408 Request Timeout      |                                |                                |
            32000  < Ended                                   |                                |                                |
            32000                                            |--------------BYE-------------->|                                |
            32000                                            |<-------------ACK---------------|                                |
            32000                                            |<-NOTIFY (408 Request Timeout)--|                                |
            32000                                            |<----------200 OK BYE-----------|                                |
            32000                                            |---------200 OK NOTIFY--------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, TimedOut, 408));
}

#[test]
fn the_callees_address_is_unknown() {
    let world = check(
        |w| {
            let mut request = w.request(Mode::Refer);
            request.callee = "sip:bob@nowhere.invalid".to_owned();
            w.start_with(request);
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
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |----503 Service Unavailable---->|                                |
            0      < Error: callee: 503 Destination Unreachable|                                |                                |
            0      < Ended                                   |                                |                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |<-------------ACK---------------|                                |
            0                                                |<-NOTIFY (503 Service Unavail…--|                                |
            0                                                |<----------200 OK BYE-----------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Unreachable, 503));
}

#[test]
fn the_callee_is_redirected() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = refuse(302);
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
            0                                                |<-----NOTIFY (100 Trying)-------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |
            1000                                             |<---------------------302 Moved Temporarily----------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |--480 Temporarily Unavailable-->|                                |
            1000   < Error: callee: 302 Moved Temporarily    |                                |                                |
            1000   < Ended                                   |                                |                                |
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |<-------------ACK---------------|                                |
            1000                                             |<-NOTIFY (480 Temporarily Una…--|                                |
            1000                                             |<----------200 OK BYE-----------|                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Answered, 302));
}

#[test]
fn the_caller_refuses_the_callees_offer() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.offer = OnOffer::Refuse(488);
            w.start(Mode::Bridge);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<------------------------200 OK (offer)--------------------------|
            0                                                |---------INVITE (offer)-------->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---488 Not Acceptable Here-----|                                |
            0                                                |--------------ACK-------------->|                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |--------------------------ACK (answer)-------------------------->|
            0                                                |-------------------------------BYE------------------------------>|
            0      < Error: caller: 488 Not Acceptable Here  |                                |                                |
            0      < Ended                                   |                                |                                |
            0                                                |<----------200 OK BYE-----------|                                |
            0                                                |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 488));
}

#[test]
fn the_callee_answers_a_bridge_without_an_offer() {
    let world = check(
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| {
                let answer = from == 2 && text.starts_with("SIP/2.0 200") && text.contains("v=0");
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
            0                                                |<---200 OK (answer inactive)----|                                |
            0                                                |--------------ACK-------------->|                                |
            0      < CALL_ANSWER caller                      |                                |                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<----------------------------200 OK------------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------------BYE-------------->|                                |
            0                                                |-------------------------------BYE------------------------------>|
            0      < Error: callee: 488 No session description in the answer|                                |                                |
            0      < Ended                                   |                                |                                |
            0                                                |<----------200 OK BYE-----------|                                |
            0                                                |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Callee, Answered, 488));
}

#[test]
fn the_clients_timeout_holds_also_when_it_is_longer_than_each_wait() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            w.phones[CALLER].behaviour.answer = after(100_000);
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            let mut request = w.request(mode);
            request.timeout = Some(Duration::from_secs(130));
            let command = w.start_with(request);
            w.run_until(129_999);
            assert!(!w.done.contains_key(&command), "{}", w.ladder);
            w.run_until(130_000);
            assert!(w.done.contains_key(&command), "{mode:?}\n{}", w.ladder);
        });
        assert_eq!(failure(&world), (Side::Callee, TimedOut, 408));
    }
}

#[test]
fn the_callee_leaves_before_the_caller_has_taken_its_offer() {
    let world = play(|w| {
        // The callee's answer takes its time, and the caller never hears of its offer.
        w.network = Box::new(|from, to, message| {
            let answer = from == 2 && is_response(message, 200, Method::Invite);
            match message {
                Message::Request(request)
                    if to == 1
                        && request.method == Method::Invite
                        && request.to_tag().is_some() =>
                {
                    Fate::Lost
                }
                Message::Request(_) | Message::Response(_) => {
                    Fate::Arrives(Duration::from_millis(if answer { 1000 } else { 0 }))
                }
            }
        });
        w.start(Mode::Bridge);
    });
    assert_eq!(failure(&world), (Side::Callee, Answered, 487));
}
