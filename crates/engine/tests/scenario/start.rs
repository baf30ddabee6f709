//! `CallStart` that succeeds, in each of its ways.

use std::time::Duration;

use engine::Mode;
use engine::phone::{Notify, OnRefer, PhoneEvent};
use expect_test::{expect, expect_file};
use sip::{Method, Name};

use crate::page::{self, Row};
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{
    SUCCESS, after, check, delaying, is_request, is_response, losing, play, steps, without_header,
};

#[test]
fn refer_is_click_to_dial_of_rfc_5359_2_18() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.answer = after(2000);
        w.phones[CALLEE].behaviour.answer = after(3000);
        w.start(Mode::Refer);
        w.run_until(10_000);
        w.hang_up(CALLEE);
    });
    assert_eq!(steps(&world), SUCCESS);
    page::check(
        &world,
        CLICK_TO_DIAL,
        RFC_5359_2_18,
        &expect_file!["../../../../docs/flows/click_to_dial.txt"],
    );
}

const CLICK_TO_DIAL: &str = "\
Click to dial: CallStart with REFER
===================================

The flow follows RFC 5359 §2.18. There, Bob's PC sends a REFER to Bob's phone, which then calls
Carol. Here call-api stands where the PC stands, the caller is Bob's phone, the callee is Carol.
Both phones are asked to do what any SIP phone can do; the media goes from phone to phone.

At the end the callee hangs up.";

const RFC_5359_2_18: &[Row] = &[];

#[test]
fn bridge_is_flow_iv_of_rfc_3725() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.answer = after(2000);
        w.phones[CALLEE].behaviour.answer = after(3000);
        w.start(Mode::Bridge);
        w.run_until(10_000);
        w.hang_up(CALLEE);
    });
    assert_eq!(steps(&world), SUCCESS);
    page::check(
        &world,
        BRIDGE,
        RFC_3725_4_4,
        &expect_file!["../../../../docs/flows/click_to_dial_bridge.txt"],
    );
}

const BRIDGE: &str = "Bridge";

const RFC_3725_4_4: &[Row] = &[];

#[test]
fn auto_refers_a_phone_whose_allow_has_refer() {
    let world = check(
        |w| {
            w.start(Mode::Auto);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----NOTIFY (100 Trying)-----|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 100                   |                             |                             |
            0                                                |<------INVITE (offer)--------|                             |
            0                                                |---------100 Trying--------->|                             |
            0      < CALL_START                              |                             |                             |
            0                                                |----------------------INVITE (offer)---------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0                                                |---------180 Ringing-------->|                             |
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---NOTIFY (180 Ringing)-----|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 180                   |                             |                             |
            0                                                |<---------------------200 OK (answer)----------------------|
            0                                                |----------------------------ACK--------------------------->|
            0                                                |-------200 OK (answer)------>|                             |
            0      < CALL_ANSWER callee                      |                             |                             |
            0                                                |<------------ACK-------------|                             |
            0                                                |<------NOTIFY (200 OK)-------|                             |
            0                                                |-------------BYE------------>|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0                                                |<--------200 OK BYE----------|                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<------------BYE-------------|                             |
            1000                                             |---------200 OK BYE--------->|                             |
            1000                                             |----------------------------BYE--------------------------->|
            1000                                             |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
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
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0      < CALL_START                              |                             |                             |
            0                                                |--------------------------INVITE-------------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---------------------200 OK (offer)-----------------------|
            0                                                |-------INVITE (offer)------->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<------200 OK (answer)-------|                             |
            0                                                |-------------ACK------------>|                             |
            0                                                |-----------------------ACK (answer)----------------------->|
            0      < CALL_ANSWER callee                      |                             |                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<------------BYE-------------|                             |
            1000                                             |---------200 OK BYE--------->|                             |
            1000                                             |----------------------------BYE--------------------------->|
            1000                                             |<-----------------------200 OK BYE-------------------------|
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
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<-405 Method Not Allowed RE--|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0      < CALL_START                              |                             |                             |
            0                                                |--------------------------INVITE-------------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---------------------200 OK (offer)-----------------------|
            0                                                |-------INVITE (offer)------->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<------200 OK (answer)-------|                             |
            0                                                |-------------ACK------------>|                             |
            0                                                |-----------------------ACK (answer)----------------------->|
            0      < CALL_ANSWER callee                      |                             |                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<---------------------------BYE----------------------------|
            1000                                             |------------------------200 OK BYE------------------------>|
            1000                                             |-------------BYE------------>|                             |
            1000                                             |<--------200 OK BYE----------|                             |
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
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            10000  < CALL_START                              |                             |                             |
            10000                                            |--------------------------INVITE-------------------------->|
            10000                                            |<-----------------------100 Trying-------------------------|
            10000                                            |<-----------------------180 Ringing------------------------|
            10000  < CALL_RINGING callee                     |                             |                             |
            10000                                            |<---------------------200 OK (offer)-----------------------|
            10000                                            |-------INVITE (offer)------->|                             |
            10000                                            |<--------100 Trying----------|                             |
            10000                                            |<------200 OK (answer)-------|                             |
            10000                                            |-------------ACK------------>|                             |
            10000                                            |-----------------------ACK (answer)----------------------->|
            10000  < CALL_ANSWER callee                      |                             |                             |
            10000  < Ended                                   |                             |                             |
            20000                                            |<------------BYE-------------|                             |
            20000                                            |---------200 OK BYE--------->|                             |
            20000                                            |----------------------------BYE--------------------------->|
            20000                                            |<-----------------------200 OK BYE-------------------------|
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
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------x |                             |
            500                                              |------------REFER----------x |                             |
            1500                                             |------------REFER----------x |                             |
            3500                                             |------------REFER----------x |                             |
            7500                                             |------------REFER----------x |                             |
            10000  < TRANSFER_ACCEPT                         |                             |                             |
            10000  < CALL_START                              |                             |                             |
            10000                                            |--------------------------INVITE-------------------------->|
            10000                                            |<-----------------------100 Trying-------------------------|
            10000                                            |<-----------------------180 Ringing------------------------|
            10000  < CALL_RINGING callee                     |                             |                             |
            10000                                            |<---------------------200 OK (offer)-----------------------|
            10000                                            |-------INVITE (offer)------->|                             |
            10000                                            |<--------100 Trying----------|                             |
            10000                                            |<------200 OK (answer)-------|                             |
            10000                                            |-------------ACK------------>|                             |
            10000                                            |-----------------------ACK (answer)----------------------->|
            10000  < CALL_ANSWER callee                      |                             |                             |
            10000  < Ended                                   |                             |                             |
            11500                                            |------------REFER----------x |                             |
            15500                                            |------------REFER----------x |                             |
            19500                                            |------------REFER----------x |                             |
            20000                                            |<------------BYE-------------|                             |
            20000                                            |---------200 OK BYE--------->|                             |
            20000                                            |----------------------------BYE--------------------------->|
            20000                                            |<-----------------------200 OK BYE-------------------------|
            23500                                            |------------REFER----------x |                             |
            27500                                            |------------REFER----------x |                             |
            31500                                            |------------REFER----------x |                             |
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
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----NOTIFY (100 Trying)-----|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 100                   |                             |                             |
            10000  < CALL_START                              |                             |                             |
            10000                                            |--------------------------INVITE-------------------------->|
            10000                                            |<-----------------------100 Trying-------------------------|
            10000                                            |<-----------------------180 Ringing------------------------|
            10000  < CALL_RINGING callee                     |                             |                             |
            10000                                            |<---------------------200 OK (offer)-----------------------|
            10000                                            |-------INVITE (offer)------->|                             |
            10000                                            |<--------100 Trying----------|                             |
            10000                                            |<------200 OK (answer)-------|                             |
            10000                                            |-------------ACK------------>|                             |
            10000                                            |-----------------------ACK (answer)----------------------->|
            10000  < CALL_ANSWER callee                      |                             |                             |
            10000  < Ended                                   |                             |                             |
            15000                                            |<------INVITE (offer)--------|                             |
            15000                                            |---------100 Trying--------->|                             |
            15000                                            |--------404 Not Found------->|                             |
            15000                                            |<------------ACK-------------|                             |
            15000                                            |<--NOTIFY (404 Not Found)----|                             |
            15000                                            |--------200 OK NOTIFY------->|                             |
            20000                                            |<------------BYE-------------|                             |
            20000                                            |---------200 OK BYE--------->|                             |
            20000                                            |----------------------------BYE--------------------------->|
            20000                                            |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn notify_may_come_without_a_body() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.notify = Notify::Empty;
            w.start(Mode::Refer);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----------NOTIFY------------|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0                                                |<------INVITE (offer)--------|                             |
            0                                                |---------100 Trying--------->|                             |
            0      < CALL_START                              |                             |                             |
            0                                                |----------------------INVITE (offer)---------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0                                                |---------180 Ringing-------->|                             |
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<----------NOTIFY------------|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0                                                |<---------------------200 OK (answer)----------------------|
            0                                                |----------------------------ACK--------------------------->|
            0                                                |-------200 OK (answer)------>|                             |
            0      < CALL_ANSWER callee                      |                             |                             |
            0                                                |<------------ACK-------------|                             |
            0                                                |<----------NOTIFY------------|                             |
            0                                                |-------------BYE------------>|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0                                                |<--------200 OK BYE----------|                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<------------BYE-------------|                             |
            1000                                             |---------200 OK BYE--------->|                             |
            1000                                             |----------------------------BYE--------------------------->|
            1000                                             |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn notify_may_not_come_at_all() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.notify = Notify::Never;
            w.start(Mode::Refer);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |<------INVITE (offer)--------|                             |
            0                                                |---------100 Trying--------->|                             |
            0      < CALL_START                              |                             |                             |
            0                                                |----------------------INVITE (offer)---------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0                                                |---------180 Ringing-------->|                             |
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---------------------200 OK (answer)----------------------|
            0                                                |----------------------------ACK--------------------------->|
            0                                                |-------200 OK (answer)------>|                             |
            0      < CALL_ANSWER callee                      |                             |                             |
            0                                                |<------------ACK-------------|                             |
            0                                                |-------------BYE------------>|                             |
            0                                                |<--------200 OK BYE----------|                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<------------BYE-------------|                             |
            1000                                             |---------200 OK BYE--------->|                             |
            1000                                             |----------------------------BYE--------------------------->|
            1000                                             |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn the_phone_may_leave_the_helper_dialog_before_its_call_arrives() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.dial_after = Duration::from_millis(100);
            w.network =
                delaying(500, |from, message| from == 1 && is_request(message, Method::Invite));
            w.start(Mode::Refer);
            w.run_until(550);
            let helper = w.phones[CALLER].calls()[0];
            w.run_until(650);
            w.hang_up_one(CALLER, helper);
            w.run_until(5000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----NOTIFY (100 Trying)-----|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 100                   |                             |                             |
            100                                              |<------INVITE (offer)--------|                             |
            600                                              |---------100 Trying--------->|                             |
            600    < CALL_START                              |                             |                             |
            600                                              |----------------------INVITE (offer)---------------------->|
            600                                              |<-----------------------100 Trying-------------------------|
            600                                              |<-----------------------180 Ringing------------------------|
            600                                              |---------180 Ringing-------->|                             |
            600    < CALL_RINGING callee                     |                             |                             |
            600                                              |<---NOTIFY (180 Ringing)-----|                             |
            600                                              |--------200 OK NOTIFY------->|                             |
            600    < TRANSFER_PROGRESS 180                   |                             |                             |
            600                                              |<---------------------200 OK (answer)----------------------|
            600                                              |----------------------------ACK--------------------------->|
            600                                              |-------200 OK (answer)------>|                             |
            600    < CALL_ANSWER callee                      |                             |                             |
            600                                              |<------------ACK-------------|                             |
            600                                              |<------NOTIFY (200 OK)-------|                             |
            600                                              |-------------BYE------------>|                             |
            600                                              |--------200 OK NOTIFY------->|                             |
            600                                              |<--------200 OK BYE----------|                             |
            600    < Ended                                   |                             |                             |
            650                                              |<------------BYE-------------|                             |
            650                                              |---------200 OK BYE--------->|                             |
            650                                              |----------------------------BYE--------------------------->|
            650                                              |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn the_call_may_overtake_the_202() {
    let world = check(
        |w| {
            w.network = delaying(200, |_, message| is_response(message, 202, Method::Refer));
            w.start(Mode::Refer);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----NOTIFY (100 Trying)-----|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 100                   |                             |                             |
            0                                                |<------INVITE (offer)--------|                             |
            0                                                |---------100 Trying--------->|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0      < CALL_START                              |                             |                             |
            0                                                |----------------------INVITE (offer)---------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0                                                |---------180 Ringing-------->|                             |
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---NOTIFY (180 Ringing)-----|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 180                   |                             |                             |
            0                                                |<---------------------200 OK (answer)----------------------|
            0                                                |----------------------------ACK--------------------------->|
            0                                                |-------200 OK (answer)------>|                             |
            0      < CALL_ANSWER callee                      |                             |                             |
            0                                                |<------------ACK-------------|                             |
            0                                                |<------NOTIFY (200 OK)-------|                             |
            0                                                |-------------BYE------------>|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0                                                |<--------200 OK BYE----------|                             |
            0      < Ended                                   |                             |                             |
            1000                                             |<------------BYE-------------|                             |
            1000                                             |---------200 OK BYE--------->|                             |
            1000                                             |----------------------------BYE--------------------------->|
            1000                                             |<-----------------------200 OK BYE-------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn the_one_time_uri_works_once_and_never_after_the_end() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(1000);
            w.start(Mode::Refer);
            w.run_until(500);
            let one_time = w.sent_request(1, Method::Invite).uri().to_owned();
            w.dial(OTHER, &one_time);
            w.run_until(2000);
            w.hang_up(CALLER);
            w.run_until(40_000);
            w.note("= the same URI, later");
            w.dial(OTHER, &one_time);
        },
        expect![[r#"
            ms     client                                call-api                       caller                        callee
            0      > CallStart                               |                             |                             |
            0                                                |---INVITE (offer inactive)-->|                             |
            0                                                |<--------100 Trying----------|                             |
            0                                                |<--------180 Ringing---------|                             |
            0      < CALL_RINGING caller                     |                             |                             |
            0                                                |<-200 OK (answer inactive)---|                             |
            0                                                |-------------ACK------------>|                             |
            0      < CALL_ANSWER caller                      |                             |                             |
            0                                                |------------REFER----------->|                             |
            0                                                |<----202 Accepted REFER------|                             |
            0                                                |<----NOTIFY (100 Trying)-----|                             |
            0      < TRANSFER_ACCEPT                         |                             |                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 100                   |                             |                             |
            0                                                |<------INVITE (offer)--------|                             |
            0                                                |---------100 Trying--------->|                             |
            0      < CALL_START                              |                             |                             |
            0                                                |----------------------INVITE (offer)---------------------->|
            0                                                |<-----------------------100 Trying-------------------------|
            0                                                |<-----------------------180 Ringing------------------------|
            0                                                |---------180 Ringing-------->|                             |
            0      < CALL_RINGING callee                     |                             |                             |
            0                                                |<---NOTIFY (180 Ringing)-----|                             |
            0                                                |--------200 OK NOTIFY------->|                             |
            0      < TRANSFER_PROGRESS 180                   |                             |                             |
            500                                              |<---------------------INVITE (offer)-----------------------|
            500                                              |------------------------100 Trying------------------------>|
            500                                              |-----------------------404 Not Found---------------------->|
            500                                              |<---------------------------ACK----------------------------|
            1000                                             |<---------------------200 OK (answer)----------------------|
            1000                                             |----------------------------ACK--------------------------->|
            1000                                             |-------200 OK (answer)------>|                             |
            1000   < CALL_ANSWER callee                      |                             |                             |
            1000                                             |<------------ACK-------------|                             |
            1000                                             |<------NOTIFY (200 OK)-------|                             |
            1000                                             |-------------BYE------------>|                             |
            1000                                             |--------200 OK NOTIFY------->|                             |
            1000                                             |<--------200 OK BYE----------|                             |
            1000   < Ended                                   |                             |                             |
            2000                                             |<------------BYE-------------|                             |
            2000                                             |---------200 OK BYE--------->|                             |
            2000                                             |----------------------------BYE--------------------------->|
            2000                                             |<-----------------------200 OK BYE-------------------------|
            40000  = the same URI, later                     |                             |                             |
            40000                                            |<---------------------INVITE (offer)-----------------------|
            40000                                            |------------------------100 Trying------------------------>|
            40000                                            |-----------------------404 Not Found---------------------->|
            40000                                            |<---------------------------ACK----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), SUCCESS);
}

#[test]
fn the_callers_phone_shows_the_callee_and_the_callees_the_caller() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            w.start(mode);
            w.run_until(1000);
            w.hang_up(CALLER);
        });
        let rings = world.shown.iter().filter_map(|(phone, event)| match event {
            PhoneEvent::Ringing(_, from) => Some((*phone, from.as_str())),
            PhoneEvent::Established(_) | PhoneEvent::Closed(..) => None,
        });
        let caller = world.phones[CALLER].uri();
        let name = if mode == Mode::Refer { "\"alice\" " } else { "" };
        let shown = [
            (CALLER, format!("<{}>", world.phones[CALLEE].uri())),
            (CALLEE, format!("{name}<{caller}>")),
        ];
        let shown = shown.iter().map(|(phone, from)| (*phone, from.as_str()));
        assert_eq!(rings.collect::<Vec<_>>(), shown.collect::<Vec<_>>(), "{mode:?}");
    }
}

#[test]
fn the_client_may_choose_what_the_callers_phone_shows() {
    let world = play(|w| {
        let mut request = w.request(Mode::Refer);
        request.from = Some("sip:desk@example.com".to_owned());
        request.display = Some("The \"front\" desk".to_owned());
        w.start_with(request);
        w.run_until(1000);
        w.hang_up(CALLER);
    });
    let (_, rings) = &world.shown[0];
    let PhoneEvent::Ringing(_, from) = rings else { panic!("the caller's phone rings first") };
    assert_eq!(from, r#""The \"front\" desk" <sip:desk@example.com>"#);
    let refer = world.sent_request(0, Method::Refer);
    assert_eq!(refer.text(Name::ReferredBy), Some("<sip:desk@example.com>"));
}

/// The phones that are in a call, in the order they got there.
fn established(world: &World) -> Vec<usize> {
    let shown = world.shown.iter();
    shown
        .filter(|(_, event)| matches!(event, PhoneEvent::Established(_)))
        .map(|(phone, _)| *phone)
        .collect()
}
