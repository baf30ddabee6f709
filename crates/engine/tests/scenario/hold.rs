//! A phone changes the session of its call: its re-INVITE passes to the other phone, and the answer
//! back (RFC 3261 §14, RFC 3264 §8).

use std::time::Duration;

use engine::Mode;
use engine::phone::{Answer, OnOffer};
use expect_test::expect;
use sip::sdp::Sdp;
use sip::{Message, Method};

use crate::world::{CALLEE, CALLER, Fate, World, latency};
use crate::{check, is_request, is_response, losing, play};

#[test]
fn the_caller_holds_and_takes_back() {
    check(
        |w| {
            established(w);
            w.hold(CALLER, true);
            w.run_until(2000);
            w.hold(CALLER, false);
            w.run_until(3000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1000                                             |-----------100 Trying---------->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<-------------------200 OK (answer recvonly)---------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |----200 OK (answer recvonly)--->|                                |
            1000                                             |<-------------ACK---------------|                                |
            2000                                             |<--------INVITE (offer)---------|                                |
            2000                                             |-----------100 Trying---------->|                                |
            2000                                             |-------------------------INVITE (offer)------------------------->|
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<------------------------200 OK (answer)-------------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000                                             |--------200 OK (answer)-------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            3000                                             |<-------------BYE---------------|                                |
            3000                                             |-----------200 OK BYE---------->|                                |
            3000                                             |-------------------------------BYE------------------------------>|
            3000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn the_callee_holds() {
    check(
        |w| {
            established(w);
            w.hold(CALLEE, true);
            w.run_until(2000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<--------------------INVITE (offer sendonly)---------------------|
            1000                                             |---------------------------100 Trying--------------------------->|
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000                                             |--------------------200 OK (answer recvonly)-------------------->|
            1000                                             |<------------------------------ACK-------------------------------|
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |-------------------------------BYE------------------------------>|
            2000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_phone_asks_for_an_offer() {
    check(
        |w| {
            established(w);
            w.ask_for_offer(CALLER);
            w.run_until(2000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<------------INVITE-------------|                                |
            1000                                             |-----------100 Trying---------->|                                |
            1000                                             |-----------------------------INVITE----------------------------->|
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<------------------------200 OK (offer)--------------------------|
            1000                                             |---------200 OK (offer)-------->|                                |
            1000                                             |<---------ACK (answer)----------|                                |
            1000                                             |--------------------------ACK (answer)-------------------------->|
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |-------------------------------BYE------------------------------>|
            2000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_refused_offer_leaves_the_call_as_it_was() {
    check(
        |w| {
            established(w);
            w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
            w.hold(CALLER, true);
            w.run_until(2000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1000                                             |-----------100 Trying---------->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<--------------------488 Not Acceptable Here---------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000                                             |----488 Not Acceptable Here---->|                                |
            1000                                             |<-------------ACK---------------|                                |
            2000                                             |<-------------BYE---------------|                                |
            2000                                             |-----------200 OK BYE---------->|                                |
            2000                                             |-------------------------------BYE------------------------------>|
            2000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn both_hold_at_once_and_get_there_one_after_the_other() {
    check(
        |w| {
            established(w);
            w.network = latency(50);
            w.hold(CALLER, true);
            w.hold(CALLEE, true);
            w.run_until(20_000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1000                                             |<--------------------INVITE (offer sendonly)---------------------|
            1050                                             |-----------100 Trying---------->|                                |
            1050                                             |---------------------INVITE (offer sendonly)-------------------->|
            1050                                             |-----------------------491 Request Pending---------------------->|
            1100                                             |<----------------------491 Request Pending-----------------------|
            1100                                             |<------------------------------ACK-------------------------------|
            1150                                             |-------------------------------ACK------------------------------>|
            1150                                             |------491 Request Pending------>|                                |
            1200                                             |<-------------ACK---------------|                                |
            2750                                             |<--------------------INVITE (offer sendonly)---------------------|
            2800                                             |---------------------------100 Trying--------------------------->|
            2800                                             |----INVITE (offer sendonly)---->|                                |
            2850                                             |<----------100 Trying-----------|                                |
            2850                                             |<---200 OK (answer recvonly)----|                                |
            2900                                             |--------------ACK-------------->|                                |
            2900                                             |--------------------200 OK (answer recvonly)-------------------->|
            2950                                             |<------------------------------ACK-------------------------------|
            3500                                             |<---INVITE (offer sendonly)-----|                                |
            3550                                             |-----------100 Trying---------->|                                |
            3550                                             |---------------------INVITE (offer sendonly)-------------------->|
            3600                                             |<--------------------------100 Trying----------------------------|
            3600                                             |<-------------------200 OK (answer recvonly)---------------------|
            3650                                             |-------------------------------ACK------------------------------>|
            3650                                             |----200 OK (answer recvonly)--->|                                |
            3700                                             |<-------------ACK---------------|                                |
            20000                                            |<-------------BYE---------------|                                |
            20050                                            |-----------200 OK BYE---------->|                                |
            20050                                            |-------------------------------BYE------------------------------>|
            20100                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_phone_that_does_not_answer_an_offer_is_lost_and_the_call_with_it() {
    check(
        |w| {
            established(w);
            w.phones[CALLEE].behaviour.answer = Answer::Silent;
            w.hold(CALLER, true);
            w.run_until(70_000);
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1000                                             |-----------100 Trying---------->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1500                                             |---------------------INVITE (offer sendonly)-------------------->|
            2500                                             |---------------------INVITE (offer sendonly)-------------------->|
            4500                                             |---------------------INVITE (offer sendonly)-------------------->|
            8500                                             |---------------------INVITE (offer sendonly)-------------------->|
            16500                                            |---------------------INVITE (offer sendonly)-------------------->|
            32500                                            |---------------------INVITE (offer sendonly)-------------------->|
            33000                                            |-------------------------------BYE------------------------------>|
            33000                                            |--------------BYE-------------->|                                |
            33000                                            |<----------200 OK BYE-----------|                                |
            33000                                            |-----487 Request Terminated---->|                                |
            33000                                            |<-------------ACK---------------|                                |
            33500                                            |-------------------------------BYE------------------------------>|
            34500                                            |-------------------------------BYE------------------------------>|
            36500                                            |-------------------------------BYE------------------------------>|
            40500                                            |-------------------------------BYE------------------------------>|
            44500                                            |-------------------------------BYE------------------------------>|
            48500                                            |-------------------------------BYE------------------------------>|
            52500                                            |-------------------------------BYE------------------------------>|
            56500                                            |-------------------------------BYE------------------------------>|
            60500                                            |-------------------------------BYE------------------------------>|
            64500                                            |-------------------------------BYE------------------------------>|
            70000                                            |<------------------------------BYE-------------------------------|
            70000                                            |-------------481 Call/Transaction Does Not Exist BYE------------>|
        "#]],
    );
}

#[test]
fn the_caller_hangs_up_while_its_offer_is_under_way() {
    check(
        |w| {
            established(w);
            w.network = latency(50);
            w.hold(CALLER, true);
            w.run_until(1075);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1050                                             |-----------100 Trying---------->|                                |
            1050                                             |---------------------INVITE (offer sendonly)-------------------->|
            1075                                             |<-------------BYE---------------|                                |
            1100                                             |<--------------------------100 Trying----------------------------|
            1100                                             |<-------------------200 OK (answer recvonly)---------------------|
            1125                                             |-----------200 OK BYE---------->|                                |
            1125                                             |-----487 Request Terminated---->|                                |
            1125                                             |-------------------------------BYE------------------------------>|
            1150                                             |-------------------------------ACK------------------------------>|
            1175                                             |<-------------ACK---------------|                                |
            1175                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn an_offer_that_comes_before_the_ack_of_the_answer_waits() {
    check(
        |w| {
            let mut first = true;
            w.network = losing(move |from, message| {
                from == 1
                    && is_request(message, Method::Ack)
                    && std::mem::replace(&mut first, false)
            });
            let callee = w.phones[CALLEE].uri();
            w.dial(CALLER, &callee);
            w.run_until(100);
            w.draw_from_here();
            w.hold(CALLER, true);
            w.run_until(10_000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            100                                              |<---INVITE (offer sendonly)-----|                                |
            100                                              |------491 Request Pending------>|                                |
            100                                              |<-------------ACK---------------|                                |
            500                                              |--------200 OK (answer)-------->|                                |
            500                                              |<-------------ACK---------------|                                |
            2400                                             |<---INVITE (offer sendonly)-----|                                |
            2400                                             |-----------100 Trying---------->|                                |
            2400                                             |---------------------INVITE (offer sendonly)-------------------->|
            2400                                             |<--------------------------100 Trying----------------------------|
            2400                                             |<-------------------200 OK (answer recvonly)---------------------|
            2400                                             |-------------------------------ACK------------------------------>|
            2400                                             |----200 OK (answer recvonly)--->|                                |
            2400                                             |<-------------ACK---------------|                                |
            10000                                            |<-------------BYE---------------|                                |
            10000                                            |-----------200 OK BYE---------->|                                |
            10000                                            |-------------------------------BYE------------------------------>|
            10000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn an_answer_that_comes_again_does_not_answer_the_next_offer() {
    check(
        |w| {
            established(w);
            w.network = Box::new(|from, _, message| {
                let time = Duration::from_millis(100);
                match from == 2 && is_response(message, 200, Method::Invite) {
                    true => Fate::Doubled(time, time * 10),
                    false => Fate::Arrives(time),
                }
            });
            w.hold(CALLER, true);
            w.run_until(2050);
            w.hold(CALLER, false);
            w.run_until(5000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---INVITE (offer sendonly)-----|                                |
            1100                                             |-----------100 Trying---------->|                                |
            1100                                             |---------------------INVITE (offer sendonly)-------------------->|
            1200                                             |<--------------------------100 Trying----------------------------|
            1200                                             |<-------------------200 OK (answer recvonly)---------------------|
            1300                                             |-------------------------------ACK------------------------------>|
            1300                                             |----200 OK (answer recvonly)--->|                                |
            1400                                             |<-------------ACK---------------|                                |
            2050                                             |<--------INVITE (offer)---------|                                |
            2150                                             |-----------100 Trying---------->|                                |
            2150                                             |-------------------------INVITE (offer)------------------------->|
            2200                                             |-------------------------------ACK------------------------------>|
            2250                                             |<--------------------------100 Trying----------------------------|
            2250                                             |<------------------------200 OK (answer)-------------------------|
            2350                                             |-------------------------------ACK------------------------------>|
            2350                                             |--------200 OK (answer)-------->|                                |
            2450                                             |<-------------ACK---------------|                                |
            3250                                             |-------------------------------ACK------------------------------>|
            5000                                             |<-------------BYE---------------|                                |
            5100                                             |-----------200 OK BYE---------->|                                |
            5100                                             |-------------------------------BYE------------------------------>|
            5200                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_bridged_party_sees_one_session_with_a_rising_version() {
    let world = play(|w| {
        w.start(Mode::Bridge);
        w.run_until(1000);
        for (phone, held) in [(CALLEE, true), (CALLER, true), (CALLER, false), (CALLEE, false)] {
            w.hold(phone, held);
            w.run_for(Duration::from_secs(5));
        }
        w.hang_up(CALLER);
    });
    // Offers and answers alike: a session has one count of versions.
    let to_caller = |message: &Message| match message {
        Message::Request(request) => request.uri().starts_with("sip:alice"),
        Message::Response(response) => response.from().uri.starts_with("sip:alice"),
    };
    let ours = world.sent.iter().filter(|(from, message)| *from == 0 && to_caller(message));
    let bodies = ours.map(|(_, message)| message.headers().body());
    let bodies: Vec<&[u8]> = bodies.filter(|body| Sdp::parse(body).is_ok()).collect();
    let origins: Vec<_> = bodies.iter().map(|body| origin(body)).collect();
    assert_eq!(origins.len(), 6, "{origins:?}");
    assert!(origins.windows(2).all(|pair| pair[0].0 == pair[1].0), "{origins:?}");
    // The version says whether anything changed (RFC 3264 §8).
    for (bodies, origins) in bodies.windows(2).zip(origins.windows(2)) {
        let changed = content(bodies[0]) != content(bodies[1]);
        assert_eq!(origins[0].1 + u64::from(changed), origins[1].1, "{origins:?}");
    }
}

/// The session and its version in the o= line.
fn origin(sdp: &[u8]) -> ((&str, &str, &str), u64) {
    let origin = Sdp::parse(sdp).expect("SDP is read").origin();
    ((origin.username, origin.session_id, origin.rest), origin.version)
}

/// All that it says beside the o= line.
fn content(sdp: &[u8]) -> String {
    let text = String::from_utf8_lossy(sdp);
    text.lines().filter(|line| !line.starts_with("o=")).collect()
}

fn established(w: &mut World) {
    w.talk();
    w.draw_from_here();
}
