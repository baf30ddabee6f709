//! Registered phones: REGISTER, and who may call (RFC 3261 §10, §22).

use engine::phone::{OnRefer, PhoneEvent};
use engine::{FailureKind, Mode, Side};
use expect_test::expect;
use sip::{Message, Method, Name};

use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{SUCCESS, check, failure, play_in, steps};

/// An engine with two users, whose phones know their passwords: alice has one, bob two.
pub(crate) fn with_passwords() -> World {
    let mut world = World::with_users(1, &[("alice", "wonderland"), ("bob", "builder")]);
    world.phones[CALLER].set_account("alice", "wonderland");
    world.phones[CALLEE].set_account("bob", "builder");
    world.phones[OTHER].set_account("bob", "builder");
    world
}

/// The statuses that the phones' displays showed for their REGISTERs.
fn registered(world: &World) -> Vec<(usize, u16)> {
    let shown = world.shown.iter().filter_map(|(phone, event)| match event {
        PhoneEvent::Registered(status) => Some((*phone, *status)),
        PhoneEvent::Ringing(..)
        | PhoneEvent::Established(_)
        | PhoneEvent::Transfer(..)
        | PhoneEvent::Received(..)
        | PhoneEvent::Closed(..) => None,
    });
    shown.collect()
}

/// The final status of the last INVITE that a phone sent.
pub(crate) fn refused_with(world: &World, phone: usize) -> Option<u16> {
    let ends = world.shown.iter().rev().filter(|(shown, _)| *shown == phone);
    ends.into_iter().find_map(|(_, event)| match event {
        PhoneEvent::Closed(_, engine::ua::Cause::Refused(failure)) => Some(failure.status),
        _ => None,
    })
}

#[test]
fn a_phone_registers_with_its_password_refreshes_and_takes_it_back() {
    let mut world = with_passwords();
    let scenario = |w: &mut World| {
        w.register(CALLER, 60);
        w.run_until(30_000);
        w.register(CALLER, 60);
        w.run_until(50_000);
        w.register(CALLER, 0);
    };
    world = play_in(world, scenario);
    expect![[r#"
        ms     client                                call-api                          caller                           callee
        0                                                |<-----------REGISTER------------|                                |
        0                                                |---401 Unauthorized REGISTER--->|                                |
        0                                                |<-----------REGISTER------------|                                |
        0      registered alice: alice@127.0.0.1:5071    |                                |                                |
        0                                                |--------200 OK REGISTER-------->|                                |
        30000                                            |<-----------REGISTER------------|                                |
        30000                                            |---401 Unauthorized REGISTER--->|                                |
        30000                                            |<-----------REGISTER------------|                                |
        30000                                            |--------200 OK REGISTER-------->|                                |
        50000                                            |<-----------REGISTER------------|                                |
        50000                                            |---401 Unauthorized REGISTER--->|                                |
        50000                                            |<-----------REGISTER------------|                                |
        50000  removed alice: alice@127.0.0.1:5071       |                                |                                |
        50000                                            |--------200 OK REGISTER-------->|                                |
    "#]].assert_eq(&world.ladder.to_string());
    assert_eq!(registered(&world), [(CALLER, 200), (CALLER, 200), (CALLER, 200)]);
    let challenge = world.sent.iter().find_map(|(_, message)| match message {
        Message::Response(response) if response.status == 401 => Some(response),
        Message::Response(_) | Message::Request(_) => None,
    });
    let challenge = challenge.expect("a challenge");
    let offered = challenge.iter().filter(|line| line.name == Name::WwwAuthenticate);
    let offered = offered.map(|line| String::from_utf8_lossy(line.value).into_owned());
    let [first, second] = &offered.collect::<Vec<_>>()[..] else { panic!("two algorithms") };
    assert!(first.contains("realm=\"call-api\"") && first.ends_with("algorithm=SHA-256"));
    assert!(second.contains("qop=\"auth\"") && second.ends_with("algorithm=MD5"));
}

#[test]
fn a_wrong_password_is_asked_for_again_and_registers_nobody() {
    let mut world = with_passwords();
    world.phones[CALLER].set_account("alice", "guess");
    world.phones[CALLEE].set_account("nobody", "guess");
    let world = play_in(world, |w| {
        w.register(CALLER, 60);
        w.register(CALLEE, 60);
        w.run_until(1000);
        assert_eq!(w.engine.load().registered, 0);
    });
    assert_eq!(registered(&world), [(CALLER, 401), (CALLEE, 401)]);
}

#[test]
fn a_phone_that_only_knows_md5_registers_too() {
    let mut world = with_passwords();
    world.rewrite = Some(Box::new(|_, _, text| {
        let lines = text.split_inclusive("\r\n");
        lines.filter(|line| !line.ends_with("algorithm=SHA-256\r\n")).collect()
    }));
    let world = play_in(world, |w| w.register(CALLER, 600));
    assert_eq!(registered(&world), [(CALLER, 200)]);
}

#[test]
fn without_users_everybody_registers_until_the_time_is_over() {
    check(
        |w| {
            w.register(CALLEE, 90);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<---------------------------REGISTER-----------------------------|
            0      registered bob: bob@127.0.0.1:5072        |                                |                                |
            0                                                |-------------------------200 OK REGISTER------------------------>|
            90000  expired bob: bob@127.0.0.1:5072           |                                |                                |
        "#]],
    );
}

#[test]
fn a_user_who_is_nowhere_is_480_and_one_who_does_not_exist_404() {
    for (callee, status) in [("bob", 480), ("nobody", 404)] {
        let world = play_in(with_passwords(), |w| {
            w.register(CALLER, 60);
            w.run_until(1000);
            w.dial(CALLER, &format!("sip:{callee}@127.0.0.1:5060"));
        });
        assert_eq!(refused_with(&world, CALLER), Some(status));
        let world = play_in(with_passwords(), |w| {
            let request = w.request(Mode::Auto);
            let callee = format!("sip:{callee}@localhost");
            w.start_with(engine::StartRequest { caller: callee, ..request });
        });
        assert_eq!(failure(&world), (Side::Caller, FailureKind::Unreachable, status));
    }
}

#[test]
fn a_stranger_is_asked_for_a_password_and_a_registered_phone_is_not() {
    let mut world = with_passwords();
    world = play_in(world, |w| {
        w.register(CALLEE, 600);
        w.run_until(1000);
        let bob = w.phones[CALLEE].aor();
        // Not registered, but knows a password.
        w.dial(CALLER, &bob);
        w.run_until(2000);
        w.hang_up(CALLER);
        w.run_until(3000);
        // Registered.
        let alice = w.phones[CALLER].uri();
        w.dial(CALLEE, &alice);
        w.run_until(4000);
        w.hang_up(CALLEE);
    });
    expect![[r#"
        ms     client                                call-api                          caller                           callee
        0                                                |<---------------------------REGISTER-----------------------------|
        0                                                |--------------------401 Unauthorized REGISTER------------------->|
        0                                                |<---------------------------REGISTER-----------------------------|
        0      registered bob: bob@127.0.0.1:5072        |                                |                                |
        0                                                |-------------------------200 OK REGISTER------------------------>|
        1000                                             |<--------INVITE (offer)---------|                                |
        1000                                             |-----------100 Trying---------->|                                |
        1000                                             |--407 Proxy Authentication Re…->|                                |
        1000                                             |<-------------ACK---------------|                                |
        1000                                             |<--------INVITE (offer)---------|                                |
        1000                                             |-----------100 Trying---------->|                                |
        1000                                             |-------------------------INVITE (offer)------------------------->|
        1000                                             |<--------------------------100 Trying----------------------------|
        1000                                             |<--------------------------180 Ringing---------------------------|
        1000                                             |----------180 Ringing---------->|                                |
        1000                                             |<------------------------200 OK (answer)-------------------------|
        1000                                             |-------------------------------ACK------------------------------>|
        1000                                             |--------200 OK (answer)-------->|                                |
        1000                                             |<-------------ACK---------------|                                |
        2000                                             |<-------------BYE---------------|                                |
        2000                                             |-----------200 OK BYE---------->|                                |
        2000                                             |-------------------------------BYE------------------------------>|
        2000                                             |<--------------------------200 OK BYE----------------------------|
        3000                                             |<------------------------INVITE (offer)--------------------------|
        3000                                             |---------------------------100 Trying--------------------------->|
        3000                                             |---------INVITE (offer)-------->|                                |
        3000                                             |<----------100 Trying-----------|                                |
        3000                                             |<---------180 Ringing-----------|                                |
        3000                                             |---------------------------180 Ringing-------------------------->|
        3000                                             |<-------200 OK (answer)---------|                                |
        3000                                             |--------------ACK-------------->|                                |
        3000                                             |-------------------------200 OK (answer)------------------------>|
        3000                                             |<------------------------------ACK-------------------------------|
        4000                                             |<------------------------------BYE-------------------------------|
        4000                                             |---------------------------200 OK BYE--------------------------->|
        4000                                             |--------------BYE-------------->|                                |
        4000                                             |<----------200 OK BYE-----------|                                |
        600000 expired bob: bob@127.0.0.1:5072           |                                |                                |
    "#]].assert_eq(&world.ladder.to_string());
}

#[test]
fn a_referred_phone_needs_no_password_for_the_call_it_was_asked_for() {
    let world = play_in(with_passwords(), |w| {
        w.phones[CALLER].set_account("alice", "guess");
        w.phones[CALLER].behaviour.refer = OnRefer::Call;
        w.start(Mode::Refer);
        w.run_until(1000);
        w.hang_up(CALLEE);
    });
    assert_eq!(steps(&world), SUCCESS);
    let asked = world.sent.iter().any(|(_, message)| match message {
        Message::Response(response) => response.status == 407,
        Message::Request(request) => request.method == Method::Register,
    });
    assert!(!asked, "{}", world.ladder);
}

#[test]
fn nobody_calls_through_a_closed_engine_with_a_wrong_password_or_another_users_name() {
    let mut world = with_passwords();
    world.phones[CALLER].set_account("alice", "guess");
    let world = play_in(world, |w| {
        let bob = w.phones[CALLEE].uri();
        w.dial(CALLER, &bob);
    });
    assert_eq!(refused_with(&world, CALLER), Some(407));

    let mut world = with_passwords();
    world.rewrite = Some(Box::new(|_, _, text| {
        text.replace("From: \"alice\" <sip:alice@127.0.0.1:5071>", "From: <sip:bob@127.0.0.1:5060>")
    }));
    let world = play_in(world, |w| {
        let bob = w.phones[CALLEE].uri();
        w.dial(CALLER, &bob);
    });
    let refused = world.sent.iter().any(|(lane, message)| {
        matches!(message, Message::Response(response) if *lane == 0 && response.status == 403)
    });
    assert!(refused, "{}", world.ladder);
}
