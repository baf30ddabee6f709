//! A phone calls a phone through the engine, and gets there.

use engine::{Config, Load};
use expect_test::expect;
use sip::{Message, Method};

use crate::world::{CALLEE, CALLER, OTHER, World, address};
use crate::{check, established, play, play_in};

#[test]
fn the_caller_hangs_up() {
    check(
        |w| {
            call(w);
            w.run_until(1000);
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
            0                                                |<------------------------200 OK (answer)-------------------------|
            0                                                |-------------------------------ACK------------------------------>|
            0                                                |--------200 OK (answer)-------->|                                |
            0                                                |<-------------ACK---------------|                                |
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |-----------200 OK BYE---------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn both_hang_up_at_once() {
    check(
        |w| {
            call(w);
            w.run_until(1000);
            w.network = crate::world::latency(50);
            w.draw_from_here();
            w.hang_up(CALLER);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |<------------------------------BYE-------------------------------|
            1050                                             |-----------200 OK BYE---------->|                                |
            1050                                             |-------------------------------BYE------------------------------>|
            1050                                             |---------------------------200 OK BYE--------------------------->|
            1100                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn the_caller_leaves_the_offer_to_the_callee() {
    check(
        |w| {
            let callee = w.phones[CALLEE].uri();
            w.dial_without_offer(CALLER, &callee);
            w.run_until(1000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<------------INVITE-------------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |----------180 Ringing---------->|                                |
            0                                                |<------------------------200 OK (offer)--------------------------|
            0                                                |---------200 OK (offer)-------->|                                |
            0                                                |<---------ACK (answer)----------|                                |
            0                                                |--------------------------ACK (answer)-------------------------->|
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |-----------200 OK BYE---------->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn two_forks_answer_and_the_second_is_acknowledged_and_hung_up() {
    check(
        |w| {
            w.show_other("second fork");
            call(w);
            w.run_until(1000);
            let fork = forked(w);
            w.inject(address(3), &fork);
            w.run_until(2000);
            w.note("= the second fork missed the ACK");
            w.inject(address(3), &fork);
            w.run_until(3000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                         second fork
            0                                                |<--------INVITE (offer)---------|                                |                                |
            0                                                |-----------100 Trying---------->|                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|                                |
            0                                                |<--------------------------100 Trying----------------------------|                                |
            0                                                |<--------------------------180 Ringing---------------------------|                                |
            0                                                |----------180 Ringing---------->|                                |                                |
            0                                                |<------------------------200 OK (answer)-------------------------|                                |
            0                                                |-------------------------------ACK------------------------------>|                                |
            0                                                |--------200 OK (answer)-------->|                                |                                |
            0                                                |<-------------ACK---------------|                                |                                |
            1000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            1000                                             |-----------------------------------------------ACK----------------------------------------------->|
            1000                                             |-----------------------------------------------BYE----------------------------------------------->|
            1000                                             |<----------------------------481 Call/Transaction Does Not Exist BYE------------------------------|
            2000   = the second fork missed the ACK          |                                |                                |                                |
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            3000                                             |<-------------BYE---------------|                                |                                |
            3000                                             |-----------200 OK BYE---------->|                                |                                |
            3000                                             |-------------------------------BYE------------------------------>|                                |
            3000                                             |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
}

#[test]
fn a_fork_that_answers_when_the_call_is_over_is_hung_up_too() {
    check(
        |w| {
            w.show_other("second fork");
            call(w);
            w.run_until(1000);
            w.hang_up(CALLER);
            w.run_until(2000);
            let fork = forked(w);
            w.inject(address(3), &fork);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                         second fork
            0                                                |<--------INVITE (offer)---------|                                |                                |
            0                                                |-----------100 Trying---------->|                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|                                |
            0                                                |<--------------------------100 Trying----------------------------|                                |
            0                                                |<--------------------------180 Ringing---------------------------|                                |
            0                                                |----------180 Ringing---------->|                                |                                |
            0                                                |<------------------------200 OK (answer)-------------------------|                                |
            0                                                |-------------------------------ACK------------------------------>|                                |
            0                                                |--------200 OK (answer)-------->|                                |                                |
            0                                                |<-------------ACK---------------|                                |                                |
            1000                                             |<-------------BYE---------------|                                |                                |
            1000                                             |-----------200 OK BYE---------->|                                |                                |
            1000                                             |-------------------------------BYE------------------------------>|                                |
            1000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |-----------------------------------------------BYE----------------------------------------------->|
            2000                                             |<----------------------------481 Call/Transaction Does Not Exist BYE------------------------------|
        "#]],
    );
}

#[test]
fn what_the_parties_say_passes_through() {
    let world = play(|w| {
        call(w);
        w.run_until(1000);
        w.hang_up(CALLER);
    });
    let (from_caller, to_callee) =
        (world.sent_request(1, Method::Invite), world.sent_request(0, Method::Invite));
    assert_eq!(from_caller.body(), to_callee.body());
    assert_eq!(from_caller.call_id(), to_callee.call_id());
    assert_eq!(from_caller.uri(), to_callee.uri());
    assert_eq!(from_caller.from().uri, to_callee.from().uri);
    assert_ne!(from_caller.from_tag(), to_callee.from_tag(), "each leg is a dialog of its own");
}

#[test]
fn with_a_next_hop_every_call_goes_there() {
    let config = Config {
        next_hop: Some("sip:proxy@127.0.0.1:5073".to_owned()),
        open: false,
        ..World::config()
    };
    let world = play_in(World::with_config(1, config), |w| {
        w.dial(CALLER, "sip:anybody@somewhere.invalid");
        w.run_until(1000);
        w.hang_up(CALLER);
    });
    assert_eq!(established(&world), [OTHER, CALLER]);
    assert_eq!(world.sent_request(0, Method::Bye).uri(), world.phones[OTHER].uri());
    assert_eq!(world.sent_request(0, Method::Invite).uri(), "sip:anybody@somewhere.invalid");
}

#[test]
fn an_established_call_waits_for_nothing() {
    let world = play(|w| {
        call(w);
        w.run_until(100_000);
        assert_eq!(w.engine.next_timeout(), None);
        let load = Load { calls: 1, legs: 2, ..Load::default() };
        assert_eq!(w.engine.load(), load);
        w.hang_up(CALLEE);
    });
    assert_eq!(established(&world), [CALLEE, CALLER]);
}

fn call(w: &mut World) {
    let callee = w.phones[CALLEE].uri();
    w.dial(CALLER, &callee);
}

/// The answer of the callee's INVITE as another phone would have given it.
fn forked(w: &World) -> Vec<u8> {
    let answer = w.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 2 && response.status == 200 => Some(response),
        Message::Response(_) | Message::Request(_) => None,
    });
    let answer = answer.expect("the callee answered");
    let tag = answer.to_tag().expect("an answer has a tag");
    let text = String::from_utf8_lossy(answer.bytes()).into_owned();
    text.replace(tag, "second").replace("bob@127.0.0.1:5072>", "bob@127.0.0.1:5073>").into_bytes()
}
