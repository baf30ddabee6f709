//! What is passed from one party to the other while they talk: INFO, MESSAGE, NOTIFY, and the
//! headers that are meant for the other end.

use engine::Mode;
use engine::phone::PhoneEvent;
use expect_test::expect;
use sip::{Message, Method, Request};

use crate::world::{CALLEE, CALLER, Fate, World};
use crate::{check, play};

/// A call between two phones that one of them placed.
fn talking(w: &mut World) {
    w.talk();
    w.draw_from_here();
}

fn end(w: &mut World) {
    w.run_until(2000);
    w.hang_up(CALLEE);
}

/// The INVITE that call-api sent to a phone.
fn invite_to(world: &World, phone: usize) -> &Request {
    let uri = world.phones[phone].uri();
    let sent = world.sent.iter().filter(|(from, _)| *from == 0);
    let invites = sent.filter_map(|(_, message)| match message {
        Message::Request(request) if request.method == Method::Invite => Some(request),
        Message::Request(_) | Message::Response(_) => None,
    });
    let to_it = |invite: &&Request| invite.uri() == uri && invite.to_tag().is_none();
    invites.into_iter().find(to_it).expect("it was called")
}

#[test]
fn a_digit_is_passed_and_its_answer_comes_back() {
    let world = check(
        |w| {
            talking(w);
            w.press(CALLER, '7');
            w.press(CALLEE, '#');
            end(w);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------INFO--------------|                                |
            1000                                             |<-----------------------------INFO-------------------------------|
            1000                                             |------------------------------INFO------------------------------>|
            1000                                             |--------------INFO------------->|                                |
            1000                                             |<--------------------------200 OK INFO---------------------------|
            1000                                             |<---------200 OK INFO-----------|                                |
            1000                                             |----------200 OK INFO---------->|                                |
            1000                                             |---------------------------200 OK INFO-------------------------->|
            2000                                             |<------------------------------BYE-------------------------------|
            2000                                             |---------------------------200 OK BYE--------------------------->|
            2000                                             |--------------BYE-------------->|                                |
            2000                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
    let received = world.shown.iter().filter_map(|(phone, event)| match event {
        PhoneEvent::Received(_, text) => Some((*phone, text.as_str())),
        PhoneEvent::Ringing(..)
        | PhoneEvent::Established(_)
        | PhoneEvent::Transfer(..)
        | PhoneEvent::Closed(..)
        | PhoneEvent::Registered(_) => None,
    });
    assert_eq!(
        received.collect::<Vec<_>>(),
        [
            (CALLEE, "INFO Signal=7\r\nDuration=160\r\n"),
            (CALLER, "INFO Signal=#\r\nDuration=160\r\n")
        ]
    );
}

#[test]
fn a_digit_that_gets_no_answer_is_not_answered_either_and_the_call_goes_on() {
    let world = check(
        |w| {
            talking(w);
            w.network = Box::new(|from, to, message| {
                let passed =
                    from == 0 && to == 2 && message.headers().cseq().method == Method::Info;
                if passed { Fate::Lost } else { Fate::Arrives(std::time::Duration::ZERO) }
            });
            w.press(CALLER, '7');
            w.run_until(40_000);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------INFO--------------|                                |
            1000                                             |------------------------------INFO-----------------------------x |
            1500                                             |------------------------------INFO-----------------------------x |
            1500                                             |<-------------INFO--------------|                                |
            2500                                             |------------------------------INFO-----------------------------x |
            2500                                             |<-------------INFO--------------|                                |
            4500                                             |------------------------------INFO-----------------------------x |
            4500                                             |<-------------INFO--------------|                                |
            8500                                             |------------------------------INFO-----------------------------x |
            8500                                             |<-------------INFO--------------|                                |
            12500                                            |------------------------------INFO-----------------------------x |
            12500                                            |<-------------INFO--------------|                                |
            16500                                            |------------------------------INFO-----------------------------x |
            16500                                            |<-------------INFO--------------|                                |
            20500                                            |------------------------------INFO-----------------------------x |
            20500                                            |<-------------INFO--------------|                                |
            24500                                            |------------------------------INFO-----------------------------x |
            24500                                            |<-------------INFO--------------|                                |
            28500                                            |------------------------------INFO-----------------------------x |
            28500                                            |<-------------INFO--------------|                                |
            32500                                            |------------------------------INFO-----------------------------x |
            32500                                            |<-------------INFO--------------|                                |
            40000                                            |<------------------------------BYE-------------------------------|
            40000                                            |---------------------------200 OK BYE--------------------------->|
            40000                                            |--------------BYE-------------->|                                |
            40000                                            |<----------200 OK BYE-----------|                                |
        "#]],
    );
    assert_eq!(world.engine.load(), engine::Load::default());
}

#[test]
fn a_digit_before_there_is_another_party_is_refused() {
    check(
        |w| {
            w.phones[CALLER].behaviour.refer = engine::phone::OnRefer::AcceptOnly;
            w.start(Mode::Refer);
            w.run_until(1000);
            w.draw_from_here();
            w.press(CALLER, '7');
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------INFO--------------|                                |
            1000                                             |--480 Temporarily Unavailable…->|                                |
            10000  < Error: caller: 408 Request Timeout      |                                |                                |
            10000  < Ended                                   |                                |                                |
            10000                                            |--------------BYE-------------->|                                |
            10000                                            |<----------200 OK BYE-----------|                                |
        "#]],
    );
}

#[test]
fn a_clients_headers_reach_both_phones_and_auto_answer_only_the_caller() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let mut request = w.request(mode);
            request.headers = vec![("X-Order".to_owned(), "7".to_owned())];
            request.auto_answer = true;
            w.start_with(request);
            w.run_until(1000);
            w.hang_up(CALLEE);
        });
        for (phone, answers_itself) in [(CALLER, true), (CALLEE, false)] {
            let invite = invite_to(&world, phone);
            assert_eq!(invite.named("X-Order"), Some(&b"7"[..]), "{mode:?}");
            // RFC 5373, and what phones knew before it.
            for (name, value) in [
                ("Answer-Mode", "Auto"),
                ("Call-Info", "<sip:call-api.invalid>;answer-after=0"),
                ("Alert-Info", "<http://call-api.invalid>;info=alert-autoanswer"),
            ] {
                let asked = answers_itself.then_some(value.as_bytes());
                assert_eq!(invite.named(name), asked, "{name} {mode:?}");
            }
        }
    }
}

#[test]
fn a_phone_that_knows_nothing_of_the_call_a_digit_is_for_ends_it() {
    check(
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| match from {
                2 if text.contains(" INFO\r\n") => text.replace("200 OK", "481 No Such Call"),
                _ => text.to_owned(),
            }));
            talking(w);
            w.press(CALLER, '7');
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------INFO--------------|                                |
            1000                                             |------------------------------INFO------------------------------>|
            1000                                             |<---------------------481 No Such Call INFO----------------------|
            1000                                             |--481 Call/Transaction Does N…->|                                |
            1000                                             |-------------------------------BYE------------------------------>|
            1000                                             |--------------BYE-------------->|                                |
            1000                                             |<-------------BYE---------------|                                |
            1000                                             |<--------------------------200 OK BYE----------------------------|
            1000                                             |<-481 Call/Transaction Does N…--|                                |
            1000                                             |-----------200 OK BYE---------->|                                |
        "#]],
    );
}

#[test]
fn a_digit_that_is_refused_otherwise_leaves_the_call() {
    for status in ["405 No", "408 Late", "500 No", "603 No"] {
        play(|w| {
            w.rewrite = Some(Box::new(|from, _, text| match from {
                2 if text.contains(" INFO\r\n") => text.replace("200 OK", status),
                _ => text.to_owned(),
            }));
            talking(w);
            w.press(CALLER, '7');
            w.run_until(60_000);
            assert_eq!(w.phones[CALLEE].calls().len(), 1, "{status}\n{}", w.ladder);
            w.hang_up(CALLEE);
        });
    }
}

#[test]
fn a_clients_own_headers_count_before_those_of_auto_answer() {
    let world = play(|w| {
        let mut request = w.request(Mode::Bridge);
        let own = [("answer-mode", "Manual"), ("Alert-Info", "<http://example.com/ring>")];
        request.headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        request.auto_answer = true;
        w.start_with(request);
        w.run_until(1000);
        w.hang_up(CALLEE);
    });
    let text = String::from_utf8_lossy(invite_to(&world, CALLER).bytes()).to_lowercase();
    for (name, value) in [
        ("answer-mode", "manual"),
        ("alert-info", "<http://example.com/ring>"),
        ("call-info", "<sip:call-api.invalid>;answer-after=0"),
    ] {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("{name}: ")));
        assert_eq!(lines.collect::<Vec<_>>(), [value], "{name}");
    }
}

#[test]
fn headers_for_the_other_end_pass_and_those_of_the_dialog_do_not() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 => text.replace(
                "\r\nContact:",
                "\r\nX-Account: 42\r\nProxy-Authorization: secret\r\nContact:",
            ),
            _ => text.to_owned(),
        }));
        talking(w);
        end(w);
    });
    let invite = invite_to(&world, CALLEE);
    assert_eq!(invite.named("X-Account"), Some(&b"42"[..]));
    assert_eq!(invite.named("Proxy-Authorization"), None, "it is for us");
    let message = Message::parse(invite.bytes().clone());
    assert!(message.is_ok(), "one of each header: {message:?}");
}

#[test]
fn a_digit_while_the_callee_rings_does_not_cost_the_phone_its_dialog() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = crate::after(3000);
            w.start(Mode::Bridge);
            w.run_until(1000);
            w.draw_from_here();
            w.press(CALLER, '7');
            w.run_until(4000);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000                                             |<-------------INFO--------------|                                |
            1000                                             |--480 Temporarily Unavailable…->|                                |
            3000                                             |<------------------------200 OK (answer)-------------------------|
            3000                                             |---------INVITE (offer)-------->|                                |
            3000                                             |<----------100 Trying-----------|                                |
            3000                                             |<-------200 OK (answer)---------|                                |
            3000                                             |--------------ACK-------------->|                                |
            3000                                             |--------------------------ACK (answer)-------------------------->|
            3000   < CALL_ANSWER callee                      |                                |                                |
            3000   < Ended                                   |                                |                                |
            4000                                             |<------------------------------BYE-------------------------------|
            4000                                             |---------------------------200 OK BYE--------------------------->|
            4000                                             |--------------BYE-------------->|                                |
            4000                                             |<----------200 OK BYE-----------|                                |
        "#]],
    );
}
