//! A phone calls through the engine, and does not get there, or does not stay.

use std::time::Duration;

use engine::Config;
use engine::limits::{MAX_PASSES, RING_TIMEOUT};
use engine::phone::{Answer, PhoneEvent};
use engine::ua::Cause;
use expect_test::expect;
use sip::Method;

use crate::world::{CALLEE, CALLER, OTHER, World, address, latency};
use crate::{after, check, is_request, losing, play, play_in, refuse};

#[test]
fn the_callee_is_busy() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = refuse(486);
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            1000                                             |<-------------------------486 Busy Here--------------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |---------486 Busy Here--------->|                                |
            1000                                             |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(told(&world), 486);
}

#[test]
fn the_caller_is_told_what_the_callee_said_unless_that_was_meant_for_us() {
    for (said, told_status) in
        [(302, 480), (401, 403), (404, 404), (407, 403), (480, 480), (488, 488), (603, 603)]
    {
        let world = play(|w| {
            w.phones[CALLEE].behaviour.answer = refuse(said);
            call(w);
        });
        assert_eq!(told(&world), told_status, "the callee said {said}");
    }
}

#[test]
fn the_caller_gives_up() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            call(w);
            w.run_until(2000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            2000                                             |<------------CANCEL-------------|                                |
            2000                                             |---------200 OK CANCEL--------->|                                |
            2000                                             |-----487 Request Terminated---->|                                |
            2000                                             |-----------------------------CANCEL----------------------------->|
            2000                                             |<-------------ACK---------------|                                |
            2000                                             |<-------------------------200 OK CANCEL--------------------------|
            2000                                             |<--------------------487 Request Terminated----------------------|
            2000                                             |-------------------------------ACK------------------------------>|
        "#]],
    );
}

#[test]
fn the_caller_gives_up_before_the_callees_phone_says_anything() {
    check(
        |w| {
            w.network = Box::new(|from, to, _| {
                let far = from == 2 || to == 2;
                crate::world::Fate::Arrives(Duration::from_millis(if far { 400 } else { 10 }))
            });
            call(w);
            w.run_until(300);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            10                                               |-----------100 Trying---------->|                                |
            10                                               |-------------------------INVITE (offer)------------------------->|
            300                                              |<------------CANCEL-------------|                                |
            310                                              |---------200 OK CANCEL--------->|                                |
            310                                              |-----487 Request Terminated---->|                                |
            320                                              |<-------------ACK---------------|                                |
            410                                              |<--------------------------100 Trying----------------------------|
            410                                              |<--------------------------180 Ringing---------------------------|
            410                                              |<------------------------200 OK (answer)-------------------------|
            510                                              |-------------------------INVITE (offer)------------------------->|
            810                                              |-----------------------------CANCEL----------------------------->|
            810                                              |-------------------------------ACK------------------------------>|
            810                                              |-------------------------------BYE------------------------------>|
            910                                              |<------------------------200 OK (answer)-------------------------|
            1210                                             |<-------------------------200 OK CANCEL--------------------------|
            1210                                             |<--------------------------200 OK BYE----------------------------|
            1310                                             |-------------------------------ACK------------------------------>|
            1310                                             |-----------------------------CANCEL----------------------------->|
            1310                                             |-------------------------------BYE------------------------------>|
            1710                                             |<-------------------------200 OK CANCEL--------------------------|
            1710                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn the_callers_cancel_crosses_the_answer() {
    check(
        |w| {
            w.network = latency(50);
            w.phones[CALLEE].behaviour.answer = after(1000);
            call(w);
            w.run_until(1175);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            50                                               |-----------100 Trying---------->|                                |
            50                                               |-------------------------INVITE (offer)------------------------->|
            100                                              |<--------------------------100 Trying----------------------------|
            100                                              |<--------------------------180 Ringing---------------------------|
            150                                              |----------180 Ringing---------->|                                |
            1100                                             |<------------------------200 OK (answer)-------------------------|
            1150                                             |-------------------------------ACK------------------------------>|
            1150                                             |--------200 OK (answer)-------->|                                |
            1175                                             |<------------CANCEL-------------|                                |
            1200                                             |<-------------ACK---------------|                                |
            1200                                             |<-------------BYE---------------|                                |
            1225                                             |---------200 OK CANCEL--------->|                                |
            1250                                             |-----------200 OK BYE---------->|                                |
            1250                                             |-------------------------------BYE------------------------------>|
            1300                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn the_callee_is_unreachable() {
    let world = check(
        |w| w.dial(CALLER, "sip:bob@nowhere.invalid"),
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |----503 Service Unavailable---->|                                |
            0                                                |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(told(&world), 503);
}

#[test]
fn the_callee_is_silent() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Silent;
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            500                                              |-------------------------INVITE (offer)------------------------->|
            1500                                             |-------------------------INVITE (offer)------------------------->|
            3500                                             |-------------------------INVITE (offer)------------------------->|
            7500                                             |-------------------------INVITE (offer)------------------------->|
            15500                                            |-------------------------INVITE (offer)------------------------->|
            31500                                            |-------------------------INVITE (offer)------------------------->|
            32000                                            |------408 Request Timeout------>|                                |
            32000                                            |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(told(&world), 408);
}

#[test]
fn the_callee_rings_too_long() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            120000                                           |------408 Request Timeout------>|                                |
            120000                                           |-----------------------------CANCEL----------------------------->|
            120000                                           |<-------------ACK---------------|                                |
            120000                                           |<-------------------------200 OK CANCEL--------------------------|
            120000                                           |<--------------------487 Request Terminated----------------------|
            120000                                           |-------------------------------ACK------------------------------>|
        "#]],
    );
    assert_eq!(told(&world), 408);
}

#[test]
fn the_caller_never_acknowledges_the_answer() {
    check(
        |w| {
            w.network = losing(|from, message| from == 1 && is_request(message, Method::Ack));
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0                                                |<------------------------200 OK (answer)-------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------200 OK (answer)-------->|                                |
            0                                                | x------------ACK---------------|                                |
            500                                              |--------200 OK (answer)-------->|                                |
            500                                              | x------------ACK---------------|                                |
            1500                                             |--------200 OK (answer)-------->|                                |
            1500                                             | x------------ACK---------------|                                |
            3500                                             |--------200 OK (answer)-------->|                                |
            3500                                             | x------------ACK---------------|                                |
            7500                                             |--------200 OK (answer)-------->|                                |
            7500                                             | x------------ACK---------------|                                |
            11500                                            |--------200 OK (answer)-------->|                                |
            11500                                            | x------------ACK---------------|                                |
            15500                                            |--------200 OK (answer)-------->|                                |
            15500                                            | x------------ACK---------------|                                |
            19500                                            |--------200 OK (answer)-------->|                                |
            19500                                            | x------------ACK---------------|                                |
            23500                                            |--------200 OK (answer)-------->|                                |
            23500                                            | x------------ACK---------------|                                |
            27500                                            |--------200 OK (answer)-------->|                                |
            27500                                            | x------------ACK---------------|                                |
            31500                                            |--------200 OK (answer)-------->|                                |
            31500                                            | x------------ACK---------------|                                |
            32000                                            |--------------BYE-------------->|                                |
            32000                                            |-------------------------------BYE------------------------------>|
            32000                                            |<----------200 OK BYE-----------|                                |
            32000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_call_that_has_come_too_far_goes_no_further() {
    let world = check(
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| match from {
                1 => text.replace("Max-Forwards: 70", "Max-Forwards: 0"),
                _ => text.to_owned(),
            }));
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------483 Too Many Hops------->|                                |
            0                                                |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(told(&world), 483);
}

#[test]
fn a_call_that_leads_back_to_us_ends_when_it_has_come_too_often() {
    let world = play(|w| {
        w.names.insert("round.example".to_owned(), address(0));
        w.dial(CALLER, "sip:bob@round.example");
    });
    assert_eq!(told(&world), 482);
    let invites = world.sent.iter().filter(|(_, message)| is_request(message, Method::Invite));
    assert_eq!(invites.count(), 1 + MAX_PASSES, "each pass is a call of the same Call-ID");
}

#[test]
fn a_closed_engine_lets_nobody_call() {
    let config = Config { open: false, ..World::config() };
    let world = play_in(World::with_config(1, config), call);
    assert_eq!(told(&world), 403);
}

#[test]
fn a_user_at_our_own_address_is_unknown() {
    let world = check(
        |w| w.dial(CALLER, "sip:nobody@127.0.0.1:5060"),
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |---------404 Not Found--------->|                                |
            0                                                |<-------------ACK---------------|                                |
        "#]],
    );
    assert_eq!(told(&world), 404);
}

#[test]
fn an_address_that_is_not_for_udp_is_refused() {
    for uri in ["sips:bob@127.0.0.1:5072", "tel:+4912345"] {
        let world = play(|w| w.dial(CALLER, uri));
        assert_eq!(told(&world), 416, "{uri}");
    }
}

#[test]
fn a_phone_that_calls_itself_is_called() {
    let world = play(|w| {
        let own = w.phones[OTHER].uri();
        w.dial(OTHER, &own);
        w.run_until(1000);
        w.hang_up(OTHER);
    });
    assert_eq!(crate::established(&world), [OTHER, OTHER]);
}

/// Says in the caller's INVITE how long it waits.
fn expires(w: &mut World, seconds: u64) {
    w.rewrite = Some(Box::new(move |from, _, text| match from {
        1 if text.starts_with("INVITE") => {
            text.replacen("CSeq:", &format!("Expires: {seconds}\r\nCSeq:"), 1)
        }
        _ => text.to_owned(),
    }));
}

#[test]
fn a_call_that_expires_is_as_good_as_cancelled() {
    check(
        |w| {
            w.show_watcher = true;
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            expires(w, 5);
            call(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0      * CALL_START                              |                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0      * CALL_RINGING callee                     |                                |                                |
            5000                                             |-----487 Request Terminated---->|                                |
            5000                                             |-----------------------------CANCEL----------------------------->|
            5000   * CALL_ENDING caller 487 Request Terminated|                                |                                |
            5000                                             |<-------------ACK---------------|                                |
            5000                                             |<-------------------------200 OK CANCEL--------------------------|
            5000                                             |<--------------------487 Request Terminated----------------------|
            5000                                             |-------------------------------ACK------------------------------>|
            5000   * CALL_END caller 487 Request Terminated  |                                |                                |
        "#]],
    );
}

#[test]
fn a_call_that_is_answered_before_it_expires_stays() {
    play(|w| {
        w.phones[CALLEE].behaviour.answer = after(4000);
        expires(w, 5);
        call(w);
        w.run_until(60_000);
        assert_eq!(w.phones[CALLEE].calls().len(), 1, "{}", w.ladder);
        w.hang_up(CALLEE);
    });
}

#[test]
fn a_call_that_expires_late_rings_no_longer_than_others() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        expires(w, 3600);
        call(w);
        w.run_for(RING_TIMEOUT);
    });
    assert_eq!(told(&world), 408);
}

fn call(w: &mut World) {
    let callee = w.phones[CALLEE].uri();
    w.dial(CALLER, &callee);
}

/// What the caller's phone was told.
fn told(world: &World) -> u16 {
    let told = world.shown.iter().find_map(|(phone, event)| match event {
        PhoneEvent::Closed(_, Cause::Refused(failure)) if *phone == CALLER => Some(failure.status),
        PhoneEvent::Closed(..)
        | PhoneEvent::Ringing(..)
        | PhoneEvent::Established(_)
        | PhoneEvent::Transfer(..)
        | PhoneEvent::Received(..)
        | PhoneEvent::Registered(_) => None,
    });
    told.unwrap_or_else(|| panic!("the call was not refused\n{}", world.ladder))
}
