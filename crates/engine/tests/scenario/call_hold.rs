//! `CallHold` and `CallUnHold` that succeed, and what phones do while they are on hold.

use std::time::Duration;

use engine::{CommandId, Error, Mode, Side, Step};
use expect_test::expect;
use sip::sdp::Sdp;
use sip::{Message, Method};

use crate::world::{CALLEE, CALLER, Fate, World};
use crate::{check, delaying, is_request, play};

#[test]
fn both_are_held_and_taken_back() {
    let world = check(
        |w| {
            let call = established(w);
            w.call_hold(&call, None, true);
            w.run_until(2000);
            assert_eq!(held(w, &call), (true, true));
            w.call_hold(&call, None, false);
            w.run_until(3000);
            assert_eq!(held(w, &call), (false, false));
            w.end(&call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold                                |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<-------------------200 OK (answer recvonly)---------------------|
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1000                                             |-------------------------------ACK------------------------------>|
            1000   < CALL_HOLD callee                        |                                |                                |
            1000   < Ended                                   |                                |                                |
            2000   > CallUnHold                              |                                |                                |
            2000                                             |---------INVITE (offer)-------->|                                |
            2000                                             |-------------------------INVITE (offer)------------------------->|
            2000                                             |<----------100 Trying-----------|                                |
            2000                                             |<-------200 OK (answer)---------|                                |
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<------------------------200 OK (answer)-------------------------|
            2000                                             |--------------ACK-------------->|                                |
            2000   < CALL_UNHOLD caller                      |                                |                                |
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < CALL_UNHOLD callee                      |                                |                                |
            2000   < Ended                                   |                                |                                |
            3000   > CallEnd                                 |                                |                                |
            3000                                             |--------------BYE-------------->|                                |
            3000                                             |-------------------------------BYE------------------------------>|
            3000                                             |<----------200 OK BYE-----------|                                |
            3000                                             |<--------------------------200 OK BYE----------------------------|
            3000   < Ended                                   |                                |                                |
        "#]],
    );
    let [asked, held, unheld] = [Step::HoldAsked, Step::Held, Step::Unheld];
    assert_eq!(steps(&world), [asked, asked, held, held, asked, asked, unheld, unheld]);
}

#[test]
fn one_is_held_and_the_other_hears_nothing_of_it() {
    let world = check(
        |w| {
            let call = established(w);
            w.call_hold(&call, Some(Side::Callee), true);
            w.run_until(2000);
            assert_eq!(held(w, &call), (false, true));
            w.call_hold(&call, Some(Side::Callee), false);
            w.run_until(3000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold callee                         |                                |                                |
            1000                                             |---------------------INVITE (offer sendonly)-------------------->|
            1000                                             |<--------------------------100 Trying----------------------------|
            1000                                             |<-------------------200 OK (answer recvonly)---------------------|
            1000                                             |-------------------------------ACK------------------------------>|
            1000   < CALL_HOLD callee                        |                                |                                |
            1000   < Ended                                   |                                |                                |
            2000   > CallUnHold callee                       |                                |                                |
            2000                                             |-------------------------INVITE (offer)------------------------->|
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<------------------------200 OK (answer)-------------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < CALL_UNHOLD callee                      |                                |                                |
            2000   < Ended                                   |                                |                                |
            3000                                             |<-------------BYE---------------|                                |
            3000                                             |-----------200 OK BYE---------->|                                |
            3000                                             |-------------------------------BYE------------------------------>|
            3000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    let [asked, held, unheld] = [Step::HoldAsked, Step::Held, Step::Unheld];
    assert_eq!(steps(&world), [asked, held, asked, unheld]);
}

#[test]
fn a_leg_that_is_held_already_does_not_hinder_the_other() {
    let world = check(
        |w| {
            let call = established(w);
            w.call_hold(&call, Some(Side::Caller), true);
            w.run_until(2000);
            w.call_hold(&call, None, true);
            w.run_until(3000);
            w.call_hold(&call, Some(Side::Callee), false);
            w.run_until(4000);
            w.call_hold(&call, None, false);
            w.run_until(5000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold caller                         |                                |                                |
            1000                                             |----INVITE (offer sendonly)---->|                                |
            1000                                             |<----------100 Trying-----------|                                |
            1000                                             |<---200 OK (answer recvonly)----|                                |
            1000                                             |--------------ACK-------------->|                                |
            1000   < CALL_HOLD caller                        |                                |                                |
            1000   < Ended                                   |                                |                                |
            2000   > CallHold                                |                                |                                |
            2000                                             |---------------------INVITE (offer sendonly)-------------------->|
            2000                                             |<--------------------------100 Trying----------------------------|
            2000                                             |<-------------------200 OK (answer recvonly)---------------------|
            2000                                             |-------------------------------ACK------------------------------>|
            2000   < CALL_HOLD callee                        |                                |                                |
            2000   < Ended                                   |                                |                                |
            3000   > CallUnHold callee                       |                                |                                |
            3000                                             |-------------------------INVITE (offer)------------------------->|
            3000                                             |<--------------------------100 Trying----------------------------|
            3000                                             |<------------------------200 OK (answer)-------------------------|
            3000                                             |-------------------------------ACK------------------------------>|
            3000   < CALL_UNHOLD callee                      |                                |                                |
            3000   < Ended                                   |                                |                                |
            4000   > CallUnHold                              |                                |                                |
            4000                                             |---------INVITE (offer)-------->|                                |
            4000                                             |<----------100 Trying-----------|                                |
            4000                                             |<-------200 OK (answer)---------|                                |
            4000                                             |--------------ACK-------------->|                                |
            4000   < CALL_UNHOLD caller                      |                                |                                |
            4000   < Ended                                   |                                |                                |
            5000                                             |<-------------BYE---------------|                                |
            5000                                             |-----------200 OK BYE---------->|                                |
            5000                                             |-------------------------------BYE------------------------------>|
            5000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert!(world.done.values().all(Result::is_ok), "{:?}", world.done);
}

#[test]
fn a_bridged_call_is_held_like_any_other_and_keeps_its_session() {
    let world = play(|w| {
        let command = w.start(Mode::Bridge);
        w.run_until(1000);
        let call = w.call_id(command);
        w.call_hold(&call, None, true);
        w.run_until(2000);
        w.hold(CALLER, true);
        w.run_until(3000);
        w.hold(CALLER, false);
        w.run_until(4000);
        w.call_hold(&call, None, false);
        w.run_until(5000);
        w.hang_up(CALLEE);
    });
    assert!(world.done.values().all(Result::is_ok), "{:?}", world.done);
    let to_caller = descriptions(&world, "alice");
    let sessions = to_caller.iter().skip(1).map(|(origin, _)| origin.split(' ').nth(1));
    let sessions: std::collections::HashSet<_> = sessions.collect();
    assert_eq!(sessions.len(), 1, "{to_caller:?}");
}

#[test]
fn what_is_offered_is_what_the_party_had_but_for_direction_and_version() {
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            2 => with_body(text, |sdp| sdp.replace("a=sendrecv", "a=x-mine:1\r\na=recvonly")),
            _ => text.to_owned(),
        }));
        let call = established(w);
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(2000);
        w.call_hold(&call, Some(Side::Caller), false);
        w.run_until(3000);
        w.hang_up(CALLER);
    });
    let bodies: Vec<String> = world
        .sent
        .iter()
        .filter(|(from, message)| *from == 0 && names(message, "alice"))
        .map(|(_, message)| String::from_utf8_lossy(message.headers().body()).into_owned())
        .filter(|body| !body.is_empty())
        .collect();
    let [answer, hold, unhold] = &bodies[..] else { panic!("{bodies:?}") };
    let raised = |version: u64| answer.replace("o=bob 1 1 ", &format!("o=bob 1 {version} "));
    assert_eq!(*hold, raised(2).replace("a=recvonly", "a=inactive"), "RFC 3264 §8.4");
    assert_eq!(*unhold, raised(3));
}

#[test]
fn old_ways_to_hold_are_understood() {
    for address in ["IP4 0.0.0.0", "IP6 ::"] {
        let world = play(|w| {
            let call = established(w);
            w.rewrite = Some(Box::new(move |from, _, text| match from {
                1 => with_body(text, |sdp| {
                    sdp.replace("c=IN IP4 127.0.0.1", &format!("c=IN {address}"))
                }),
                _ => text.to_owned(),
            }));
            // The caller's phone says: send nothing to me.
            w.hold(CALLER, false);
            w.run_until(2000);
            assert_eq!(held(w, &call), (false, true), "{address}");
            w.rewrite = None;
            w.call_hold(&call, Some(Side::Callee), true);
            w.run_until(3000);
            w.call_hold(&call, Some(Side::Callee), false);
            w.run_until(4000);
            assert_eq!(held(w, &call), (false, true), "the phone's own hold stands");
            w.hold(CALLER, false);
            w.run_until(5000);
            assert_eq!(held(w, &call), (false, false));
            w.hang_up(CALLER);
        });
        let to_callee = descriptions(&world, "bob");
        let directions: Vec<_> = to_callee.iter().map(|(_, direction)| *direction).collect();
        let expected = ["sendrecv", "sendonly", "sendonly", "sendonly", "sendrecv"];
        assert_eq!(directions, expected, "{to_callee:?}");
    }
}

#[test]
fn a_2xx_without_an_answer_counts() {
    let world = play(|w| {
        let call = established(w);
        w.rewrite = Some(Box::new(|from, _, text| match from {
            2 if text.starts_with("SIP/2.0 200") => crate::without_body(text),
            _ => text.to_owned(),
        }));
        w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(2000);
        assert_eq!(held(w, &call), (false, true));
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), [Step::HoldAsked, Step::Held]);
}

#[test]
fn a_lost_re_invite_is_sent_again_and_the_state_changes_only_with_the_answer() {
    let world = check(
        |w| {
            let call = established(w);
            let mut losses = 2;
            w.network = Box::new(move |from, to, message| {
                let lost =
                    (from, to) == (0, 1) && is_request(message, Method::Invite) && losses > 0;
                losses -= usize::from(lost);
                if lost { Fate::Lost } else { Fate::Arrives(Duration::ZERO) }
            });
            w.call_hold(&call, Some(Side::Caller), true);
            w.run_until(2000);
            assert_eq!(held(w, &call), (false, false));
            w.run_until(4000);
            assert_eq!(held(w, &call), (true, false));
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            1000   > CallHold caller                         |                                |                                |
            1000                                             |----INVITE (offer sendonly)---x |                                |
            1500                                             |----INVITE (offer sendonly)---x |                                |
            2500                                             |----INVITE (offer sendonly)---->|                                |
            2500                                             |<----------100 Trying-----------|                                |
            2500                                             |<---200 OK (answer recvonly)----|                                |
            2500                                             |--------------ACK-------------->|                                |
            2500   < CALL_HOLD caller                        |                                |                                |
            2500   < Ended                                   |                                |                                |
            4000                                             |<-------------BYE---------------|                                |
            4000                                             |-----------200 OK BYE---------->|                                |
            4000                                             |-------------------------------BYE------------------------------>|
            4000                                             |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    assert_eq!(steps(&world), [Step::HoldAsked, Step::Held]);
}

#[test]
fn what_is_so_already_is_an_invalid_state() {
    play(|w| {
        let call = established(w);
        assert_eq!(refusal(w, &call, None, false), "not on hold");
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(2000);
        assert_eq!(refusal(w, &call, Some(Side::Caller), true), "already on hold");
        assert_eq!(refusal(w, &call, Some(Side::Callee), false), "not on hold");
        w.call_hold(&call, None, true);
        w.run_until(3000);
        assert_eq!(refusal(w, &call, None, true), "already on hold");
        w.hang_up(CALLER);
    });
}

#[test]
fn a_call_that_is_not_up_or_is_busy_is_an_invalid_state() {
    play(|w| {
        let command = w.start(Mode::Refer);
        w.phones[CALLEE].behaviour.answer = crate::after(2000);
        let helper = w.helper_call_id().unwrap_or_default();
        assert_eq!(refusal(w, &helper, None, true), "no such call");
        w.run_until(1000);
        let helper = w.progress[0].2.clone();
        assert_eq!(refusal(w, &helper, None, true), "the call is being started");
        let placed = w.progress.iter().find(|(_, step, _)| *step == Step::CallStarted);
        let call = placed.expect("the call was placed").2.clone();
        assert_eq!(refusal(w, &call, None, true), "the call is not answered yet");
        w.run_until(5000);
        assert_eq!(w.call_id(command), call);
        w.network = delaying(100, |_, _| true);
        w.call_hold(&call, Some(Side::Caller), true);
        assert_eq!(refusal(w, &call, Some(Side::Callee), true), "another hold is under way");
        w.run_until(6000);
        w.end(&call);
        assert_eq!(refusal(w, &call, None, false), "the call is being ended");
    });
}

/// Takes the only stream out of what phones say (RFC 3264 §8.2).
fn without_sound(w: &mut World) {
    w.rewrite = Some(Box::new(|from, _, text| match from {
        1 | 2 if text.contains("\r\nm=audio ") => with_body(text, |body| {
            let (before, rest) = body.split_once("m=audio ").expect("it has a stream");
            let (_, after) = rest.split_once(' ').expect("a port");
            format!("{before}m=audio 0 {after}")
        }),
        _ => text.to_owned(),
    }));
}

#[test]
fn a_stream_that_was_taken_out_is_no_hold_and_comes_back_under_one() {
    let world = play(|w| {
        let call = established(w);
        without_sound(w);
        w.hold(CALLER, false);
        w.run_until(2000);
        assert_eq!(held(w, &call), (false, false));
        w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(3000);
        assert_eq!(held(w, &call), (false, true));
        w.rewrite = None;
        w.hold(CALLER, false);
        w.run_until(4000);
        assert_eq!(held(w, &call), (false, true));
        w.call_hold(&call, Some(Side::Callee), false);
        w.run_until(5000);
        assert_eq!(held(w, &call), (false, false));
        w.hang_up(CALLER);
    });
    let told = descriptions(&world, "bob").into_iter().map(|(_, direction)| direction);
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["sendrecv", "inactive", "inactive", "sendonly", "sendrecv"]);
    let [asked, held, unheld] = [Step::HoldAsked, Step::Held, Step::Unheld];
    assert_eq!(steps(&world), [asked, held, asked, unheld]);
}

/// What a hold that cannot even begin is told.
fn refusal(w: &mut World, call: &str, side: Option<Side>, held: bool) -> String {
    let command = w.call_hold(call, side, held);
    match &w.done[&command] {
        Err(error @ (Error::InvalidState(_) | Error::NoSuchCall)) => error.to_string(),
        other => panic!("{other:?}\n{}", w.ladder),
    }
}

/// A call that the first phone placed to the second, through the engine.
pub(crate) fn established(w: &mut World) -> String {
    w.talk();
    w.draw_from_here();
    w.sent_request(1, Method::Invite).call_id().to_owned()
}

/// Who is on hold: the caller, the callee.
pub(crate) fn held(w: &World, call: &str) -> (bool, bool) {
    let is_held = |side| w.engine.is_held(call, side).expect("the call stands");
    (is_held(Side::Caller), is_held(Side::Callee))
}

pub(crate) fn steps(world: &World) -> Vec<Step> {
    world.progress.iter().map(|(_, step, _)| *step).collect()
}

/// Every description that the engine sent to a phone: its o= line, and its direction.
fn descriptions(world: &World, user: &str) -> Vec<(String, &'static str)> {
    let ours = world.sent.iter().filter(|(from, message)| *from == 0 && names(message, user));
    ours.filter_map(|(_, message)| {
        let sdp = Sdp::parse(message.headers().body()).ok()?;
        let origin = sdp.origin();
        let line = format!("{} {} {}", origin.username, origin.session_id, origin.rest);
        Some((line, sdp.media().next()?.effective_direction().as_str()))
    })
    .collect()
}

/// A message with another body.
fn with_body(text: &str, change: impl FnOnce(&str) -> String) -> String {
    let (head, body) = text.split_once("\r\n\r\n").expect("a message has an empty line");
    let head = crate::without_header(&format!("{head}\r\n"), "Content-Length");
    let body = change(body);
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Whether the engine sent this to the phone of a user.
fn names(message: &Message, user: &str) -> bool {
    match message {
        Message::Request(request) => request.uri().contains(user),
        Message::Response(response) => response.from().uri.contains(user),
    }
}

/// How the first command ended, for those that place no call by command.
pub(crate) fn outcome(world: &World) -> &Result<Option<String>, Error> {
    &world.done[&CommandId(1)]
}
