//! `CallStart` whose caller leaves while the callee is called, and what crosses on the wire then.

use engine::FailureKind::Answered;
use engine::phone::Answer;
use engine::{Mode, Side};
use expect_test::expect;

use crate::world::{CALLEE, CALLER, latency};
use crate::{SUCCESS, after, check, failure, steps};

#[test]
fn the_caller_hangs_up_while_the_callee_rings() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            w.start(Mode::Refer);
            w.run_until(2000);
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
            2000                                             |<------------CANCEL-------------|                                |
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |---------200 OK CANCEL--------->|                                |
            2000                                             |-----487 Request Terminated---->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000   < Error: caller: 487 Request Terminated   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |<----------200 OK BYE-----------|                                |
            2000                                             |-------------------------------ACK------------------------------>|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 487));
}

#[test]
fn the_caller_of_a_bridge_hangs_up_while_the_callee_rings() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            w.start(Mode::Bridge);
            w.run_until(2000);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000   < Error: caller: 487 Request Terminated   |                                |                                |
            2000   < Ended                                   |                                |                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |-------------------------------ACK------------------------------>|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 487));
}

#[test]
fn the_callees_answer_crosses_our_cancel() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.start(Mode::Refer);
            w.run_until(1225);
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
            150                                              |<------202 Accepted REFER-------|                                |
            150                                              |<-----NOTIFY (100 Trying)-------|                                |
            150                                              |<--------INVITE (offer)---------|                                |
            200    < TRANSFER_ACCEPT                         |                                |                                |
            200                                              |---------200 OK NOTIFY--------->|                                |
            200    < TRANSFER_PROGRESS 100                   |                                |                                |
            200                                              |-----------100 Trying---------->|                                |
            200    < CALL_START                              |                                |                                |
            200                                              |-------------------------INVITE (offer)------------------------->|
            250                                              |<--------------------------100 Trying----------------------------|
            250                                              |<--------------------------180 Ringing---------------------------|
            300                                              |----------180 Ringing---------->|                                |
            300    < CALL_RINGING callee                     |                                |                                |
            350                                              |<-----NOTIFY (180 Ringing)------|                                |
            400                                              |---------200 OK NOTIFY--------->|                                |
            400    < TRANSFER_PROGRESS 180                   |                                |                                |
            1225                                             |<------------CANCEL-------------|                                |
            1225                                             |<-------------BYE---------------|                                |
            1250                                             |<------------------------200 OK (answer)-------------------------|
            1275                                             |---------200 OK CANCEL--------->|                                |
            1275                                             |-----487 Request Terminated---->|                                |
            1275                                             |-----------------------------CANCEL----------------------------->|
            1275   < Error: caller: 487 Request Terminated   |                                |                                |
            1275   < Ended                                   |                                |                                |
            1275                                             |--------------BYE-------------->|                                |
            1275                                             |-----------200 OK BYE---------->|                                |
            1300                                             |-------------------------------ACK------------------------------>|
            1300                                             |-------------------------------BYE------------------------------>|
            1325                                             |<-------------ACK---------------|                                |
            1325                                             |<-------------------------200 OK CANCEL--------------------------|
            1325                                             |<----------200 OK BYE-----------|                                |
            1350                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 487));
}

#[test]
fn the_callers_cancel_crosses_our_answer() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.start(Mode::Refer);
            w.run_until(1325);
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
            150                                              |<------202 Accepted REFER-------|                                |
            150                                              |<-----NOTIFY (100 Trying)-------|                                |
            150                                              |<--------INVITE (offer)---------|                                |
            200    < TRANSFER_ACCEPT                         |                                |                                |
            200                                              |---------200 OK NOTIFY--------->|                                |
            200    < TRANSFER_PROGRESS 100                   |                                |                                |
            200                                              |-----------100 Trying---------->|                                |
            200    < CALL_START                              |                                |                                |
            200                                              |-------------------------INVITE (offer)------------------------->|
            250                                              |<--------------------------100 Trying----------------------------|
            250                                              |<--------------------------180 Ringing---------------------------|
            300                                              |----------180 Ringing---------->|                                |
            300    < CALL_RINGING callee                     |                                |                                |
            350                                              |<-----NOTIFY (180 Ringing)------|                                |
            400                                              |---------200 OK NOTIFY--------->|                                |
            400    < TRANSFER_PROGRESS 180                   |                                |                                |
            1250                                             |<------------------------200 OK (answer)-------------------------|
            1300                                             |-------------------------------ACK------------------------------>|
            1300                                             |--------200 OK (answer)-------->|                                |
            1300   < CALL_ANSWER callee                      |                                |                                |
            1325                                             |<------------CANCEL-------------|                                |
            1325                                             |<-------------BYE---------------|                                |
            1350                                             |<-------------ACK---------------|                                |
            1350                                             |<-------------BYE---------------|                                |
            1375                                             |---------200 OK CANCEL--------->|                                |
            1375                                             |-----------200 OK BYE---------->|                                |
            1400   < Ended                                   |                                |                                |
            1400                                             |-----------200 OK BYE---------->|                                |
            1400                                             |-------------------------------BYE------------------------------>|
            1450                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn the_caller_hangs_up_when_asked_to_take_the_callees_offer() {
    let world = check(
        |w| {
            w.network = latency(50);
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.start(Mode::Bridge);
            w.run_until(1210);
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
            100    < TRANSFER_ACCEPT                         |                                |                                |
            100    < CALL_START                              |                                |                                |
            100                                              |-----------------------------INVITE----------------------------->|
            150                                              |<--------------------------100 Trying----------------------------|
            150                                              |<--------------------------180 Ringing---------------------------|
            200    < CALL_RINGING callee                     |                                |                                |
            1150                                             |<------------------------200 OK (offer)--------------------------|
            1200                                             |---------INVITE (offer)-------->|                                |
            1210                                             |<-------------BYE---------------|                                |
            1250                                             |<-481 Call/Transaction Does N…--|                                |
            1260                                             |-----------200 OK BYE---------->|                                |
            1260                                             |--------------------------ACK (answer)-------------------------->|
            1260                                             |-------------------------------BYE------------------------------>|
            1260   < Error: caller: 487 Request Terminated   |                                |                                |
            1260   < Ended                                   |                                |                                |
            1300                                             |--------------ACK-------------->|                                |
            1310                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, Answered, 487));
}
