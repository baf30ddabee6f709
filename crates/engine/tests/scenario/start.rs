//! `CallStart` that succeeds, in each of its ways.

use std::time::Duration;

use engine::Mode;
use engine::phone::{Notify, PhoneEvent};
use expect_test::expect;
use sip::{Method, Name};

use crate::world::{CALLEE, CALLER, OTHER};
use crate::{SUCCESS, after, check, delaying, is_request, is_response, play, steps};

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
            0                                                |<------------NOTIFY-------------|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<------------NOTIFY-------------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0                                                |<------------------------200 OK (answer)-------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------200 OK (answer)-------->|                                |
            0      < CALL_ANSWER callee                      |                                |                                |
            0                                                |<-------------ACK---------------|                                |
            0                                                |<------------NOTIFY-------------|                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0                                                |<----------200 OK BYE-----------|                                |
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
fn notify_may_not_come_at_all() {
    let world = check(
        |w| {
            w.phones[CALLER].behaviour.notify = Notify::Never;
            w.start(Mode::Refer);
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
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<------------------------200 OK (answer)-------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------200 OK (answer)-------->|                                |
            0      < CALL_ANSWER callee                      |                                |                                |
            0                                                |<-------------ACK---------------|                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |<----------200 OK BYE-----------|                                |
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
            100                                              |<--------INVITE (offer)---------|                                |
            600                                              |-----------100 Trying---------->|                                |
            600    < CALL_START                              |                                |                                |
            600                                              |-------------------------INVITE (offer)------------------------->|
            600                                              |<--------------------------100 Trying----------------------------|
            600                                              |<--------------------------180 Ringing---------------------------|
            600                                              |----------180 Ringing---------->|                                |
            600    < CALL_RINGING callee                     |                                |                                |
            600                                              |<-----NOTIFY (180 Ringing)------|                                |
            600                                              |---------200 OK NOTIFY--------->|                                |
            600    < TRANSFER_PROGRESS 180                   |                                |                                |
            600                                              |<------------------------200 OK (answer)-------------------------|
            600                                              |-------------------------------ACK------------------------------>|
            600                                              |--------200 OK (answer)-------->|                                |
            600    < CALL_ANSWER callee                      |                                |                                |
            600                                              |<-------------ACK---------------|                                |
            600                                              |<-------NOTIFY (200 OK)---------|                                |
            600                                              |--------------BYE-------------->|                                |
            600                                              |---------200 OK NOTIFY--------->|                                |
            600                                              |<----------200 OK BYE-----------|                                |
            600    < Ended                                   |                                |                                |
            650                                              |<-------------BYE---------------|                                |
            650                                              |-----------200 OK BYE---------->|                                |
            650                                              |-------------------------------BYE------------------------------>|
            650                                              |<--------------------------200 OK BYE----------------------------|
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
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 100                   |                                |                                |
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      < TRANSFER_ACCEPT                         |                                |                                |
            0      < CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      < CALL_RINGING callee                     |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |
            0                                                |<------------------------200 OK (answer)-------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------200 OK (answer)-------->|                                |
            0      < CALL_ANSWER callee                      |                                |                                |
            0                                                |<-------------ACK---------------|                                |
            0                                                |<-------NOTIFY (200 OK)---------|                                |
            0                                                |--------------BYE-------------->|                                |
            0                                                |---------200 OK NOTIFY--------->|                                |
            0                                                |<----------200 OK BYE-----------|                                |
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
fn the_one_time_uri_works_once_and_never_after_the_end() {
    let world = check(
        |w| {
            w.show_other("somebody else");
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
            ms     client                                call-api                          caller                           callee                        somebody else
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
            0                                                |<--------INVITE (offer)---------|                                |                                |
            0                                                |-----------100 Trying---------->|                                |                                |
            0      < CALL_START                              |                                |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|                                |
            0                                                |<--------------------------100 Trying----------------------------|                                |
            0                                                |<--------------------------180 Ringing---------------------------|                                |
            0                                                |----------180 Ringing---------->|                                |                                |
            0      < CALL_RINGING callee                     |                                |                                |                                |
            0                                                |<-----NOTIFY (180 Ringing)------|                                |                                |
            0                                                |---------200 OK NOTIFY--------->|                                |                                |
            0      < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            500                                              |<-----------------------------------------INVITE (offer)------------------------------------------|
            500                                              |--------------------------------------------100 Trying------------------------------------------->|
            500                                              |------------------------------------------404 Not Found------------------------------------------>|
            500                                              |<----------------------------------------------ACK------------------------------------------------|
            1000                                             |<------------------------200 OK (answer)-------------------------|                                |
            1000                                             |-------------------------------ACK------------------------------>|                                |
            1000                                             |--------200 OK (answer)-------->|                                |                                |
            1000   < CALL_ANSWER callee                      |                                |                                |                                |
            1000                                             |<-------------ACK---------------|                                |                                |
            1000                                             |<-------NOTIFY (200 OK)---------|                                |                                |
            1000                                             |--------------BYE-------------->|                                |                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |                                |
            1000                                             |<----------200 OK BYE-----------|                                |                                |
            1000   < Ended                                   |                                |                                |                                |
            2000                                             |<-------------BYE---------------|                                |                                |
            2000                                             |-----------200 OK BYE---------->|                                |                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            40000  = the same URI, later                     |                                |                                |                                |
            40000                                            |<-----------------------------------------INVITE (offer)------------------------------------------|
            40000                                            |--------------------------------------------100 Trying------------------------------------------->|
            40000                                            |------------------------------------------404 Not Found------------------------------------------>|
            40000                                            |<----------------------------------------------ACK------------------------------------------------|
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
            PhoneEvent::Established(_)
            | PhoneEvent::Transfer(..)
            | PhoneEvent::Received(..)
            | PhoneEvent::Closed(..)
            | PhoneEvent::Registered(_) => None,
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

#[test]
fn a_name_in_any_script_reaches_the_callers_phone_as_it_was_written() {
    for name in ["Büro 東京", "\u{1f4de} \\ \"Ω\""] {
        let world = play(|w| {
            let mut request = w.request(Mode::Refer);
            request.display = Some(name.to_owned());
            w.start_with(request);
            w.run_until(1000);
            w.hang_up(CALLER);
        });
        // RFC 3261 §25.1: UTF-8 in a quoted string, where only `"` and `\` are escaped.
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let (_, invite) = world.sent.iter().find(|(from, _)| *from == 0).expect("an INVITE");
        assert_eq!(str::from_utf8(invite.headers().from().display), Ok(&*quoted));
        let (_, rings) = &world.shown[0];
        let PhoneEvent::Ringing(_, from) = rings else { panic!("the caller's phone rings first") };
        assert_eq!(*from, format!("{quoted} <{}>", world.phones[CALLEE].uri()));
    }
}
