//! Who is who in a transfer: people who have one gateway, and registered phones that were called at
//! their address.

use std::time::Duration;

use engine::Mode::{self, Bridge};
use engine::Side;
use sip::{Message, Method};

use crate::transfer_blind::calls;
use crate::world::{CALLEE, CALLER, OTHER, World, address};
use crate::{play, play_in};

/// Two calls to bob from a gateway, which has one Contact for all: alice's and anna's.
fn two_of_one_gateway(w: &mut World) -> [String; 2] {
    let call = |w: &mut World| {
        w.talk();
        w.last_call_id().expect("a call was placed")
    };
    let alices = call(w);
    w.rewrite = Some(Box::new(|from, _, text| match from {
        1 if text.starts_with("INVITE") => text.replacen("<sip:alice@", "<sip:anna@", 1),
        _ => text.to_owned(),
    }));
    [alices, call(w)]
}

#[test]
fn two_who_call_through_one_gateway_are_connected() {
    for mode in [Mode::Auto, Mode::Refer, Bridge] {
        play(|w| {
            let [alices, annas] = two_of_one_gateway(w);
            let command = w.attended((&alices, Side::Caller), (&annas, Side::Caller), mode);
            w.run_for(Duration::from_secs(3));
            assert!(w.done[&command].is_ok(), "{mode:?} {:?}\n{}", w.done, w.ladder);
            assert_eq!(calls(w)[CALLEE], 0, "bob is released\n{}", w.ladder);
            w.hang_up(CALLER);
        });
    }
}

#[test]
fn a_phone_connects_two_of_one_gateway() {
    let world = play(|w| {
        two_of_one_gateway(w);
        let bobs = w.phones[CALLEE].calls();
        w.refer(CALLEE, bobs[0], CALLER, Some(bobs[1]));
        w.run_for(Duration::from_secs(3));
        assert_eq!(calls(w), [2, 0, 0], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(refer_answered(&world), 202);
}

#[test]
fn one_who_calls_twice_is_not_connected_with_himself() {
    play(|w| {
        w.talk();
        let first = w.last_call_id().expect("a call was placed");
        w.talk();
        let second = w.last_call_id().expect("a call was placed");
        let command = w.attended((&first, Side::Caller), (&second, Side::Caller), Mode::Auto);
        let same = engine::Error::InvalidState("the two parties are the same phone");
        assert_eq!(w.done[&command], Err(same));
        w.hang_up(CALLEE);
    });
}

/// alice's phone is registered. A command connects `phone`, which it calls at its address, and bob, whom
/// that phone then sends to cindy.
fn called_at_its_address(phone: usize, prepare: impl FnOnce(&mut World)) -> World {
    play_in(World::with_users(1, &[("alice", "secret")]), |w| {
        w.phones[CALLER].set_account("alice", "secret");
        w.register(CALLER, 600);
        w.run_until(100);
        prepare(w);
        let mut request = w.request(Bridge);
        request.caller = w.phones[phone].uri();
        w.start_with(request);
        w.run_until(1000);
        w.refer(phone, w.call_of(phone), OTHER, None);
        w.run_until(3000);
        for phone in [CALLER, CALLEE, OTHER] {
            w.hang_up(phone);
        }
        w.run_until(60_000);
        w.register(CALLER, 0);
    })
}

#[test]
fn a_registered_phone_is_trusted_however_it_was_called() {
    let world = called_at_its_address(CALLER, |_| {});
    assert_eq!(refer_answered(&world), 202, "{}", world.ladder);
}

#[test]
fn a_registered_phones_contact_alone_proves_nothing() {
    let world = called_at_its_address(OTHER, |w| {
        // cindy's phone says that it is alice's, and that the way there leads by it.
        let contact = format!("Contact: <{}>", w.phones[CALLER].uri());
        let route = format!("Record-Route: <sip:{};lr>", address(3));
        w.rewrite = Some(Box::new(move |from, _, text| {
            let forged = |line: &str| match line.starts_with("Contact:") {
                true => format!("{contact}\r\n{route}\r\n"),
                false => line.to_owned(),
            };
            match from {
                3 => text.split_inclusive("\r\n").map(forged).collect(),
                _ => text.to_owned(),
            }
        }));
    });
    assert_eq!(refer_answered(&world), 603, "{}", world.ladder);
}

/// What a phone's REFER was answered.
fn refer_answered(world: &World) -> u16 {
    let answer = world.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.cseq().method == Method::Refer => {
            Some(response.status)
        }
        Message::Response(_) | Message::Request(_) => None,
    });
    answer.unwrap_or_else(|| panic!("no REFER was answered\n{}", world.ladder))
}
