//! 3xx: followed, or passed on (RFC 3261 §8.1.3.4).

use engine::phone::Answer;
use engine::{Config, Mode, Side};
use expect_test::expect;
use sip::{Message, Method, Name};

use crate::transfer_blind::calls;
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{SUCCESS, check, play, play_in, refuse, steps};

#[test]
fn the_callee_sends_its_callers_to_somebody_else() {
    let world = check(
        |w| {
            w.show_other("other");
            moves(w, "<sip:cindy@127.0.0.1:5073>");
            let callee = w.phones[CALLEE].uri();
            w.dial(CALLER, &callee);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                            other
            0                                                |<--------INVITE (offer)---------|                                |                                |
            0                                                |-----------100 Trying---------->|                                |                                |
            0                                                |-------------------------INVITE (offer)------------------------->|                                |
            0                                                |<--------------------------100 Trying----------------------------|                                |
            0                                                |<--------------------------180 Ringing---------------------------|                                |
            0                                                |----------180 Ringing---------->|                                |                                |
            1000                                             |<---------------------302 Moved Temporarily----------------------|                                |
            1000                                             |-------------------------------ACK------------------------------>|                                |
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |----------180 Ringing---------->|                                |                                |
            1000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            1000                                             |-----------------------------------------------ACK----------------------------------------------->|
            1000                                             |--------200 OK (answer)-------->|                                |                                |
            1000                                             |<-------------ACK---------------|                                |                                |
            5000                                             |<----------------------------------------------BYE------------------------------------------------|
            5000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            5000                                             |--------------BYE-------------->|                                |                                |
            5000                                             |<----------200 OK BYE-----------|                                |                                |
        "#]],
    );
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.uri(), "sip:cindy@127.0.0.1:5073");
    assert_eq!(invite.to().uri, world.phones[CALLEE].uri(), "To stays (RFC 3261 §8.1.3.4)");
}

#[test]
fn every_command_that_calls_follows() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            moves(w, "<sip:cindy@127.0.0.1:5073>");
            w.start(mode);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!(steps(&world), SUCCESS);
    }
    play(|w| {
        w.dial(CALLER, "sip:cindy@127.0.0.1:5073");
        w.run_until(1000);
        moves(w, "<sip:cindy@127.0.0.1:5073>");
        let call = w.last_call_id().expect("a call was placed");
        // cindy is sent to bob, whose phone sends everybody to cindy.
        w.blind(&call, Side::Caller, CALLEE, Mode::Bridge);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1]);
        w.end(&call);
    });
}

#[test]
fn the_addresses_are_tried_in_their_order_and_the_last_refusal_is_told() {
    let world = play(|w| {
        w.phones[OTHER].behaviour.answer = refuse(486);
        moves(
            w,
            "<sip:nobody@127.0.0.1:5060>;q=0.1, <tel:+123>, <sip:cindy@127.0.0.1:5073>;q=0.9, \
             <sip:bob@127.0.0.1:5072>;q=0.5",
        );
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(9000);
        assert_eq!(calls(w), [0, 0, 0]);
    });
    let called: Vec<_> = world
        .sent
        .iter()
        .filter(|(from, message)| *from == 0 && crate::is_request(message, Method::Invite))
        .map(|(_, message)| match message {
            Message::Request(request) => request.uri().to_owned(),
            Message::Response(_) => unreachable!("an INVITE is a request"),
        })
        .collect();
    // bob was called already; of our own users there is none of that name.
    assert_eq!(called, ["sip:bob@127.0.0.1:5072", "sip:cindy@127.0.0.1:5073"]);
    assert_eq!(crate::register::refused_with(&world, CALLER), Some(486));
}

#[test]
fn phones_that_send_to_each_other_do_not_for_ever() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            2 => moved(text, "<sip:cindy@127.0.0.1:5073>, <sip:a@127.0.0.1:5073>"),
            3 => moved(
                text,
                "<sip:bob@127.0.0.1:5072>, <sip:b@127.0.0.1:5072>, <sip:c@127.0.0.1:5072>, <sip:d@127.0.0.1:5072>, <sip:e@127.0.0.1:5072>",
            ),
            _ => text.to_owned(),
        }));
        w.phones[OTHER].behaviour.answer = refuse(302);
        w.phones[CALLEE].behaviour.answer = refuse(302);
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(60_000);
    });
    let invites = world
        .sent
        .iter()
        .filter(|(from, message)| *from == 0 && crate::is_request(message, Method::Invite));
    assert_eq!(invites.count(), engine::limits::MAX_REDIRECTS);
    assert_eq!(crate::register::refused_with(&world, CALLER), Some(480));
}

#[test]
fn a_user_of_ours_may_be_where_a_call_is_sent() {
    play(|w| {
        w.register(OTHER, 600);
        w.run_until(100);
        let cindy = w.phones[OTHER].aor();
        moves(w, &format!("<{cindy}>"));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(OTHER);
        w.register(OTHER, 0);
    });
}

#[test]
fn a_call_that_is_given_up_is_followed_no_further() {
    let world = play(|w| {
        w.phones[OTHER].behaviour.answer = Answer::Never;
        moves(w, "<sip:cindy@127.0.0.1:5073>");
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(3000);
        w.hang_up(CALLER);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
    assert_eq!(world.sent_request(0, Method::Cancel).uri(), "sip:cindy@127.0.0.1:5073");
}

#[test]
fn a_caller_is_told_where_else_to_call_when_redirects_are_passed() {
    let pass = || World::with_config(1, Config { follow_redirects: false, ..World::config() });
    let world = play_in(pass(), |w| {
        moves(w, "<sip:cindy@127.0.0.1:5073>;q=0.2, <sip:cindy@127.0.0.1:5074>");
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(5000);
    });
    let told = world.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.status == 302 => Some(response),
        _ => None,
    });
    let contacts: Vec<_> = told.expect("a 302").values(Name::Contact).collect();
    assert_eq!(contacts, [&b"<sip:cindy@127.0.0.1:5074>"[..], b"<sip:cindy@127.0.0.1:5073>"]);
    let world = play_in(pass(), |w| {
        moves(w, "<sip:cindy@127.0.0.1:5073>");
        w.start(Mode::Bridge);
        w.run_until(5000);
    });
    assert_eq!(crate::failure(&world), (Side::Callee, engine::FailureKind::Answered, 302));
}

/// It would follow, and talk to somebody in a call that nobody here knows of, after its command has failed.
#[test]
fn a_phone_that_calls_for_a_command_is_not_told_where_else_to_call() {
    let pass = || World::with_config(1, Config { follow_redirects: false, ..World::config() });
    let started = play_in(pass(), |w| {
        moves(w, "<sip:cindy@127.0.0.1:5073>");
        w.start(Mode::Refer);
        w.run_until(5000);
    });
    assert_eq!(crate::failure(&started), (Side::Callee, engine::FailureKind::Answered, 302));
    let statuses = started.sent.iter().filter_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.cseq().method == Method::Invite => {
            Some(response.status)
        }
        _ => None,
    });
    assert_eq!(statuses.last(), Some(480), "{}", started.ladder);
}

/// bob's phone sends everybody elsewhere after a second.
pub(crate) fn moves(w: &mut World, contacts: &str) {
    let contacts = contacts.to_owned();
    w.phones[CALLEE].behaviour.answer = refuse(302);
    w.rewrite = Some(Box::new(move |from, _, text| match from {
        2 => moved(text, &contacts),
        _ => text.to_owned(),
    }));
}

/// A 302 that says where to.
fn moved(text: &str, contacts: &str) -> String {
    match text.starts_with("SIP/2.0 302") {
        true => text.replacen("CSeq:", &format!("Contact: {contacts}\r\nCSeq:"), 1),
        false => text.to_owned(),
    }
}
