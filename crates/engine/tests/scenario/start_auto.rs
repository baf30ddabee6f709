//! `CallStart` in mode `auto`: REFER where the caller's phone takes it, and bridge where it does not,
//! without dropping the caller.

use std::time::Duration;

use engine::Mode;
use engine::phone::OnRefer;
use expect_test::expect;
use sip::{Method, Name};

use crate::world::{CALLEE, CALLER};
use crate::{SUCCESS, check, established, is_request, losing, play, steps, without_header};

#[test]
fn auto_refers_a_phone_whose_allow_has_refer() {
    let world = play(|w| {
        w.start(Mode::Auto);
        w.run_until(1000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), SUCCESS);
    let one_time = world.sent_request(1, Method::Invite).uri();
    let refer_to = world.sent_request(0, Method::Refer).text(Name::ReferTo);
    assert_eq!(refer_to, Some(&*format!("<{one_time}>")));
}

#[test]
fn auto_bridges_at_once_when_allow_has_no_refer() {
    let world = check(
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| {
                if from == 1 { without_header(text, "Allow") } else { text.to_owned() }
            }));
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<------------------------200 OK (offer)--------------------------|
            0                                                |---------INVITE (offer)-------->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<-------200 OK (answer)---------|                                |
            0                                                |--------------ACK-------------->|                                |
            0                                                |--------------------------ACK (answer)-------------------------->|
            0      < CALL_ANSWER callee                      |                                |                                |
            0      < Ended                                   |                                |                                |
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |-----------200 OK BYE---------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn auto_bridges_when_refer_is_refused() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::Refuse(405);
            w.start(Mode::Auto);
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
            0                                                |<-405 Method Not Allowed REFER--|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<------------------------200 OK (offer)--------------------------|
            0                                                |---------INVITE (offer)-------->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<-------200 OK (answer)---------|                                |
            0                                                |--------------ACK-------------->|                                |
            0                                                |--------------------------ACK (answer)-------------------------->|
            0      < CALL_ANSWER callee                      |                                |                                |
            0      < Ended                                   |                                |                                |
            1000                                             |<------------------------------BYE-------------------------------|
            1000                                             |---------------------------200 OK BYE--------------------------->|
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn auto_bridges_whatever_the_refusal_of_the_refer_was() {
    for status in [400, 403, 405, 420, 480, 488, 500, 501, 503, 603] {
        let world = play(|w| {
            w.phones[CALLER].behaviour.refer = OnRefer::Refuse(status);
            w.start(Mode::Auto);
            w.run_until(1000);
            assert_eq!(established(w), [CALLER, CALLEE], "after {status}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!(steps(&world), SUCCESS);
    }
}

#[test]
fn auto_bridges_when_nothing_follows_an_accepted_refer() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
            w.start(Mode::Auto);
            w.run_until(20_000);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            10000  < CALL_START                              |                                |                                |
            10000                                            |-----------------------------INVITE----------------------------->|
            10000                                            |<--------------------------100 Trying----------------------------|
            10000                                            |<--------------------------180 Ringing---------------------------|
            10000  < CALL_RINGING callee                     |                                |                                |
            10000                                            |<------------------------200 OK (offer)--------------------------|
            10000                                            |---------INVITE (offer)-------->|                                |
            10000                                            |<----------100 Trying-----------|                                |
            10000                                            |<-------200 OK (answer)---------|                                |
            10000                                            |--------------ACK-------------->|                                |
            10000                                            |--------------------------ACK (answer)-------------------------->|
            10000  < CALL_ANSWER callee                      |                                |                                |
            10000  < Ended                                   |                                |                                |
            20000                                            |<-------------BYE---------------|                                |
            20000                                            |-----------200 OK BYE---------->|                                |
            20000                                            |-------------------------------BYE------------------------------>|
            20000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn auto_bridges_when_refer_is_not_answered() {
    let world = check(
        |w| {
            w.network = losing(|_, message| is_request(message, Method::Refer));
            w.start(Mode::Auto);
            w.run_until(20_000);
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
            0                                                |-------------REFER------------x |                                |
            500                                              |-------------REFER------------x |                                |
            1500                                             |-------------REFER------------x |                                |
            3500                                             |-------------REFER------------x |                                |
            7500                                             |-------------REFER------------x |                                |
            10000  < TRANSFER_ACCEPT                         |                                |                                |
            10000  < CALL_START                              |                                |                                |
            10000                                            |-----------------------------INVITE----------------------------->|
            10000                                            |<--------------------------100 Trying----------------------------|
            10000                                            |<--------------------------180 Ringing---------------------------|
            10000  < CALL_RINGING callee                     |                                |                                |
            10000                                            |<------------------------200 OK (offer)--------------------------|
            10000                                            |---------INVITE (offer)-------->|                                |
            10000                                            |<----------100 Trying-----------|                                |
            10000                                            |<-------200 OK (answer)---------|                                |
            10000                                            |--------------ACK-------------->|                                |
            10000                                            |--------------------------ACK (answer)-------------------------->|
            10000  < CALL_ANSWER callee                      |                                |                                |
            10000  < Ended                                   |                                |                                |
            20000                                            |<-------------BYE---------------|                                |
            20000                                            |-----------200 OK BYE---------->|                                |
            20000                                            |-------------------------------BYE------------------------------>|
            20000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn a_call_that_the_phone_places_after_the_fallback_finds_nobody() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.dial_after = Duration::from_secs(15);
            w.start(Mode::Auto);
            w.run_until(20_000);
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
            10000  < CALL_START                              |                                |                                |
            10000                                            |-----------------------------INVITE----------------------------->|
            10000                                            |<--------------------------100 Trying----------------------------|
            10000                                            |<--------------------------180 Ringing---------------------------|
            10000  < CALL_RINGING callee                     |                                |                                |
            10000                                            |<------------------------200 OK (offer)--------------------------|
            10000                                            |---------INVITE (offer)-------->|                                |
            10000                                            |<----------100 Trying-----------|                                |
            10000                                            |<-------200 OK (answer)---------|                                |
            10000                                            |--------------ACK-------------->|                                |
            10000                                            |--------------------------ACK (answer)-------------------------->|
            10000  < CALL_ANSWER callee                      |                                |                                |
            10000  < Ended                                   |                                |                                |
            15000                                            |<--------INVITE (offer)---------|                                |
            15000                                            |-----------100 Trying---------->|                                |
            15000                                            |---------404 Not Found--------->|                                |
            15000                                            |<-------------ACK---------------|                                |
            15000                                            |<----NOTIFY (404 Not Found)-----|                                |
            15000                                            |---------200 OK NOTIFY--------->|                                |
            20000                                            |<-------------BYE---------------|                                |
            20000                                            |-----------200 OK BYE---------->|                                |
            20000                                            |-------------------------------BYE------------------------------>|
            20000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}
