//! Provisional responses that arrive (RFC 3262).

use std::time::Duration;

use engine::FailureKind;
use expect_test::expect;
use sip::{Message, Method, Name};

use crate::transfer_blind::calls;
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{after, check, is_request, losing, play, without_header};

#[test]
fn each_hop_acknowledges_for_itself() {
    let world = check(
        |w| {
            reliable(w);
            w.phones[CALLEE].behaviour.early_media = true;
            let callee = w.phones[CALLEE].uri();
            w.dial(CALLER, &callee);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 1, 0]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |------------------------------PRACK----------------------------->|
            0                                                |----------180 Ringing---------->|                                |
            0                                                |<-------------------------200 OK PRACK---------------------------|
            0                                                |<-----------------183 Session Progress (answer)------------------|
            0                                                |<------------PRACK--------------|                                |
            0                                                |------------------------------PRACK----------------------------->|
            0                                                |----------200 OK PRACK--------->|                                |
            0                                                |--183 Session Progress (answe…->|                                |
            0                                                |<-------------------------200 OK PRACK---------------------------|
            0                                                |<------------PRACK--------------|                                |
            0                                                |----------200 OK PRACK--------->|                                |
            2000                                             |<----------------------------200 OK------------------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000                                             |--------200 OK (answer)-------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            5000                                             |<-------------BYE---------------|                                |
            5000                                             |-----------200 OK BYE---------->|                                |
            5000                                             |-------------------------------BYE------------------------------>|
            5000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    let invite = world.sent_request(0, Method::Invite);
    assert!(invite.has_token(Name::Supported, "100rel"));
}

#[test]
fn a_provisional_answer_that_is_lost_comes_again_and_counts_once() {
    let world = check(
        |w| {
            reliable(w);
            let mut lost = 0;
            w.network = losing(move |_, message| {
                let is_ringing = crate::is_response(message, 180, Method::Invite);
                let is_prack = is_request(message, Method::Prack);
                lost += usize::from(is_ringing || is_prack);
                (is_ringing || is_prack) && lost < 6
            });
            let callee = w.phones[CALLEE].uri();
            w.dial(CALLER, &callee);
            w.run_until(20_000);
            assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<--------INVITE (offer)---------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-------------------------INVITE (offer)------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                | x-------------------------180 Ringing---------------------------|
            500                                              | x-------------------------180 Ringing---------------------------|
            1500                                             | x-------------------------180 Ringing---------------------------|
            2000                                             |<------------------------200 OK (answer)-------------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000                                             |--------200 OK (answer)-------->|                                |
            2000                                             |<-------------ACK---------------|                                |
            20000                                            |<-------------BYE---------------|                                |
            20000                                            |-----------200 OK BYE---------->|                                |
            20000                                            |-------------------------------BYE------------------------------>|
            20000                                            |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert!(world.watched.is_empty());
}

#[test]
fn an_answer_waits_until_the_one_before_it_is_acknowledged() {
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.early_media = true;
        w.phones[CALLEE].behaviour.answer = after(100);
        // alice's PRACKs take three seconds.
        w.network =
            crate::delaying(3000, |from, message| from == 1 && is_request(message, Method::Prack));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(20_000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    let to_caller = world.sent.iter().filter_map(|(from, message)| match message {
        Message::Response(response)
            if *from == 0 && response.from().uri.contains("alice") && response.status > 100 =>
        {
            Some((response.status, response.cseq()))
        }
        _ => None,
    });
    let before: Vec<_> = to_caller
        .take_while(|(status, cseq)| (*status, cseq.method) != (200, Method::Invite))
        .filter(|(_, cseq)| cseq.method == Method::Prack)
        .map(|(_, cseq)| cseq.number)
        .collect();
    let distinct: std::collections::BTreeSet<_> = before.iter().collect();
    assert_eq!(distinct.len(), 2, "180 and 183 are acknowledged before the 200\n{}", world.ladder);
}

#[test]
fn a_caller_that_never_acknowledges_loses_its_call() {
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.answer = engine::phone::Answer::Never;
        w.network = losing(|from, message| from == 1 && is_request(message, Method::Prack));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(60_000);
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
    assert_eq!(crate::register::refused_with(&world, CALLER), Some(504));
    let cancelled =
        world.sent.iter().any(|(from, message)| *from == 0 && is_request(message, Method::Cancel));
    assert!(cancelled, "the callee's phone rings no more");
}

#[test]
fn a_callee_is_asked_for_it_only_when_its_caller_knows_it() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.reliable = true;
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(3000);
        w.hang_up(CALLER);
    });
    assert!(!world.sent_request(0, Method::Invite).has_token(Name::Supported, "100rel"));
    assert!(!world.sent.iter().any(|(_, message)| is_request(message, Method::Prack)));
}

#[test]
fn a_caller_that_requires_it_gets_it_from_a_callee_that_does_not_know_it() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.reliable = true;
        w.phones[CALLEE].forget_extensions();
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 if text.starts_with("INVITE") => {
                text.replacen("CSeq:", "Require: 100rel\r\nCSeq:", 1)
            }
            _ => text.to_owned(),
        }));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert_eq!(world.sent_request(1, Method::Prack).cseq().method, Method::Prack);
}

#[test]
fn a_refusal_after_ringing_needs_no_prack() {
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.answer = crate::refuse(486);
        w.network = losing(|from, message| from == 1 && is_request(message, Method::Prack));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_for(Duration::from_secs(50));
    });
    assert_eq!(crate::register::refused_with(&world, CALLER), Some(486));
}

#[test]
fn click_to_dial_works_with_phones_that_want_it() {
    for mode in [engine::Mode::Refer, engine::Mode::Bridge] {
        let world = play(|w| {
            reliable(w);
            w.phones[CALLEE].behaviour.early_media = true;
            w.start(mode);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 1, 0], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!(crate::steps(&world), crate::SUCCESS, "{mode:?}");
    }
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.answer = engine::phone::Answer::Silent;
        w.start(engine::Mode::Refer);
        w.run_until(60_000);
    });
    assert_eq!(crate::failure(&world).1, FailureKind::TimedOut);
}

#[test]
fn an_offer_left_to_the_callee_comes_while_it_rings_and_is_answered_at_once() {
    let world = check(
        |w| {
            reliable(w);
            w.phones[CALLEE].behaviour.early_media = true;
            let callee = w.phones[CALLEE].uri();
            w.dial_without_offer(CALLER, &callee);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0                                                |<------------INVITE-------------|                                |
            0                                                |-----------100 Trying---------->|                                |
            0                                                |-----------------------------INVITE----------------------------->|
            0                                                |<--------------------------100 Trying----------------------------|
            0                                                |<--------------------------180 Ringing---------------------------|
            0                                                |<-----------------183 Session Progress (offer)-------------------|
            0                                                |----------180 Ringing---------->|                                |
            0                                                |--183 Session Progress (offer)->|                                |
            0                                                |<--------PRACK (answer)---------|                                |
            0                                                |----------200 OK PRACK--------->|                                |
            0                                                |-------------------------PRACK (answer)------------------------->|
            0                                                |<-------------------------200 OK PRACK---------------------------|
            2000                                             |<----------------------------200 OK------------------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000                                             |-------------200 OK------------>|                                |
            2000                                             |<-------------ACK---------------|                                |
            5000                                             |<-------------BYE---------------|                                |
            5000                                             |-----------200 OK BYE---------->|                                |
            5000                                             |-------------------------------BYE------------------------------>|
            5000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(crate::established(&world), [CALLEE, CALLER]);
}

#[test]
fn a_bridged_caller_gets_what_the_callee_sends_while_it_rings() {
    let world = check(
        |w| {
            reliable(w);
            w.phones[CALLEE].behaviour.early_media = true;
            w.start(engine::Mode::Bridge);
            w.run_until(8000);
            assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            0      > CallStart                               |                                |                                |
            0                                                |----INVITE (offer inactive)---->|                                |
            0                                                |<----------100 Trying-----------|                                |
            0                                                |<---------180 Ringing-----------|                                |
            0                                                |-------------PRACK------------->|                                |
            0      < CALL_RINGING caller                     |                                |                                |
            0                                                |<---------200 OK PRACK----------|                                |
            2000                                             |<---200 OK (answer inactive)----|                                |
            2000                                             |--------------ACK-------------->|                                |
            2000   < CALL_ANSWER caller                      |                                |                                |
            2000   < TRANSFER_ACCEPT                         |                                |                                |
            2000   < CALL_START                              |                                |                                |
            2000                                             |-----------------------------INVITE----------------------------->|
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<--------------------------180 Ringing---------------------------|
            2000                                             |<-----------------183 Session Progress (offer)-------------------|
            2000   < CALL_RINGING callee                     |                                |                                |
            2000                                             |---------INVITE (offer)-------->|                                |
            2000   < CALL_PROGRESS callee                    |                                |                                |
            2000                                             |<----------100 Trying-----------|                                |
            2000                                             |<-------200 OK (answer)---------|                                |
            2000                                             |--------------ACK-------------->|                                |
            2000                                             |-------------------------PRACK (answer)------------------------->|
            2000                                             |<-------------------------200 OK PRACK---------------------------|
            4000                                             |<----------------------------200 OK------------------------------|
            4000                                             |-------------------------------ACK------------------------------>|
            4000   < CALL_ANSWER callee                      |                                |                                |
            4000   < Ended                                   |                                |                                |
            8000                                             |<-------------BYE---------------|                                |
            8000                                             |-----------200 OK BYE---------->|                                |
            8000                                             |-------------------------------BYE------------------------------>|
            8000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(crate::steps(&world), crate::SUCCESS);
}

#[test]
fn a_bridged_caller_that_does_not_take_it_ends_the_call_before_it_is_answered() {
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.early_media = true;
        w.phones[CALLER].behaviour.offer = engine::phone::OnOffer::Refuse(488);
        w.start(engine::Mode::Bridge);
    });
    let refused = (engine::Side::Caller, FailureKind::Answered, 488);
    assert_eq!(crate::failure(&world), refused, "{}", world.ladder);
    assert_eq!(crate::established(&world), [CALLER]);
}

#[test]
fn a_bridged_caller_may_hold_the_call_while_the_callee_rings_and_ask_for_an_offer_later() {
    let world = play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.early_media = true;
        w.phones[CALLEE].behaviour.answer = after(6000);
        w.start(engine::Mode::Bridge);
        w.run_until(3000);
        w.hold(CALLER, true);
        w.run_until(4000);
        let update = w.sent_request(0, Method::Update);
        assert!(update.body().ends_with(b"a=sendonly\r\n"), "{}", w.ladder);
        w.draw_from_here();
        w.ask_for_offer(CALLER);
        w.run_until(4100);
        assert!(w.ladder.to_string().contains("491 Request Pending"), "{}", w.ladder);
        w.run_until(20_000);
        assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    let empty = world.sent.iter().any(|(_, message)| {
        is_request(message, Method::Update) && message.headers().body().is_empty()
    });
    assert!(!empty, "an UPDATE asks for nothing\n{}", world.ladder);
}

#[test]
fn a_call_is_put_on_hold_and_taken_back_before_it_is_answered() {
    check(
        |w| {
            reliable(w);
            w.phones[CALLEE].behaviour.early_media = true;
            w.phones[CALLEE].behaviour.answer = after(4000);
            w.talk();
            w.draw_from_here();
            w.update(CALLER, true);
            w.run_until(2000);
            w.update(CALLEE, false);
            w.run_until(3000);
            w.update(CALLER, false);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 1, 0], "{}", w.ladder);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<---UPDATE (offer sendonly)-----|                                |
            1000                                             |---------------------UPDATE (offer sendonly)-------------------->|
            1000                                             |<----------------200 OK UPDATE (answer recvonly)-----------------|
            1000                                             |--200 OK UPDATE (answer recvo…->|                                |
            2000                                             |<------------------------UPDATE (offer)--------------------------|
            2000                                             |---------UPDATE (offer)-------->|                                |
            2000                                             |<----200 OK UPDATE (answer)-----|                                |
            2000                                             |---------------------200 OK UPDATE (answer)--------------------->|
            3000                                             |<--------UPDATE (offer)---------|                                |
            3000                                             |-------------------------UPDATE (offer)------------------------->|
            3000                                             |<--------------------200 OK UPDATE (answer)----------------------|
            3000                                             |-----200 OK UPDATE (answer)---->|                                |
            4000                                             |<----------------------------200 OK------------------------------|
            4000                                             |-------------------------------ACK------------------------------>|
            4000                                             |-------------200 OK------------>|                                |
            4000                                             |<-------------ACK---------------|                                |
            5000                                             |<-------------BYE---------------|                                |
            5000                                             |-----------200 OK BYE---------->|                                |
            5000                                             |-------------------------------BYE------------------------------>|
            5000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
}

#[test]
fn a_transfer_may_go_to_a_phone_that_makes_its_offer_while_it_rings() {
    let world = play(|w| {
        reliable(w);
        w.phones[OTHER].behaviour.reliable = true;
        w.phones[OTHER].behaviour.early_media = true;
        w.phones[OTHER].behaviour.answer = after(3000);
        // As if it had asked for it with a 421.
        w.rewrite = Some(Box::new(|from, to, text| match (from, to) {
            (0, 3) if text.starts_with("INVITE") && !text.contains("100rel") => {
                text.replacen("Supported: replaces", "Supported: replaces, 100rel", 1)
            }
            _ => text.to_owned(),
        }));
        w.phones[CALLER].behaviour.answer = after(0);
        w.phones[CALLEE].behaviour.answer = after(0);
        w.talk();
        let (call, other) = (w.last_call_id().expect("they talk"), w.phones[OTHER].uri());
        let request = crate::world::transfers::transfer(
            &call,
            engine::Side::Caller,
            engine::Target::Uri(other),
            engine::Mode::Bridge,
        );
        w.transfer(request);
        w.run_until(3000);
        assert_eq!(calls(w), [1, 1, 1], "nobody hears of it before the target answers");
        w.run_until(10_000);
        assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
        w.hang_up(CALLER);
    });
    assert!(world.done[&engine::CommandId(1)].is_ok(), "{}", world.ladder);
}

#[test]
fn nothing_of_it_is_spoken_to_simple_phones() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 => without_header(text, "Supported"),
            _ => text.to_owned(),
        }));
        w.phones[CALLEE].behaviour.reliable = true;
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(3000);
        w.hang_up(CALLER);
    });
    assert!(!world.sent.iter().any(|(_, message)| is_request(message, Method::Prack)));
}

/// Both phones want it, and answer after two seconds.
pub(crate) fn reliable(w: &mut World) {
    for phone in [CALLER, CALLEE] {
        w.phones[phone].behaviour.reliable = true;
        w.phones[phone].behaviour.answer = after(2000);
    }
}
