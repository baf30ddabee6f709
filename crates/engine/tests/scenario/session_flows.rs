//! Sessions live on whatever a flow is doing meanwhile: phones that take no UPDATE are refreshed by
//! re-INVITE, and phones that refresh by re-INVITE are answered (RFC 4028 §10).

use engine::phone::{Answer, PhoneEvent};
use engine::{CommandId, Config, Mode, Side};
use sip::sdp::{Direction, Sdp};
use sip::{Message, Method};

use crate::session::{answers, sent_to};
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{SUCCESS, after, delaying, is_response, play_in, steps};

/// The shortest sessions there are, and phones of which none takes an UPDATE.
fn short() -> World {
    let mut world = World::with_config(1, Config { session_seconds: Some(90), ..World::config() });
    world.rewrite = Some(Box::new(|from, _, text| match from {
        0 => text.to_owned(),
        _ => text.replace(" UPDATE,", ""),
    }));
    world
}

#[test]
fn a_caller_whose_callee_rings_longer_than_its_session_is_refreshed_and_then_joined() {
    let world = play_in(short(), |w| {
        w.phones[CALLEE].behaviour.answer = after(100_000);
        w.start(Mode::Bridge);
        w.run_until(101_000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), SUCCESS);
    let bodies: Vec<_> = sent_to(&world, "sip:alice").map(|invite| invite.body()).collect();
    assert_eq!(bodies.len(), 4, "{}", world.ladder);
    assert!(bodies[1] == bodies[0] && bodies[2] == bodies[0], "what it has, twice");
    assert_eq!(direction(bodies[3]), Direction::SendRecv, "the callee's offer");
}

#[test]
fn a_callee_that_answers_during_the_callers_refresh_waits_until_that_is_through() {
    let world = play_in(short(), |w| {
        w.phones[CALLEE].behaviour.answer = after(46_000);
        w.start(Mode::Bridge);
        w.run_until(44_000);
        // alice's phone takes three seconds to answer the refresh.
        w.network =
            delaying(3000, |from, message| from == 1 && is_response(message, 200, Method::Invite));
        w.run_until(60_000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), SUCCESS);
    assert_eq!(sent_to(&world, "sip:alice").count(), 3, "{}", world.ladder);
    assert_eq!(answers(&world), [0; 0], "and nothing is asked twice");
}

#[test]
fn the_dialog_with_the_callers_phone_lives_until_the_callee_has_answered() {
    let world = play_in(short(), |w| {
        w.phones[CALLEE].behaviour.answer = after(100_000);
        w.start(Mode::Refer);
        w.run_until(99_000);
        assert_eq!(w.phones[CALLER].calls().len(), 2, "{}", w.ladder);
        w.run_until(101_000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), SUCCESS);
    let bodies: Vec<_> = sent_to(&world, "sip:alice").map(|invite| invite.body()).collect();
    assert_eq!(bodies, [bodies[0]; 3], "what it has, twice\n{}", world.ladder);
}

#[test]
fn a_caller_that_refreshes_itself_while_the_callee_rings_gets_what_it_has() {
    for mode in [Mode::Bridge, Mode::Refer] {
        let world = play_in(World::new(1), |w| {
            w.phones[CALLEE].behaviour.answer = after(10_000);
            w.start(mode);
            w.run_until(2000);
            let helper = w.shown.iter().find_map(|(_, event)| match event {
                PhoneEvent::Established(call) => Some(*call),
                _ => None,
            });
            let helper = helper.expect("alice has answered");
            let now = w.now;
            w.phones[CALLER].hold(now, helper, false);
            w.run_until(4000);
            let now = w.now;
            w.phones[CALLER].ask_for_offer(now, helper);
            w.run_until(20_000);
            w.hang_up(CALLER);
        });
        assert_eq!(steps(&world), SUCCESS, "{}", world.ladder);
        let accepted = world.sent.iter().filter_map(|(from, message)| match message {
            Message::Response(response)
                if *from == 0 && is_response(message, 200, Method::Invite) =>
            {
                Some(direction(response.body()))
            }
            _ => None,
        });
        let accepted: Vec<_> = accepted.take(2).collect();
        assert_eq!(accepted, [Direction::Inactive; 2], "{mode:?}\n{}", world.ladder);
    }
}

#[test]
fn who_is_left_alone_in_a_transfer_is_refreshed_and_answered() {
    let world = play_in(short(), |w| {
        w.phones[OTHER].behaviour.answer = after(100_000);
        w.talk();
        let call = w.call_of(CALLER);
        w.refer(CALLER, call, OTHER, None);
        w.run_for(std::time::Duration::from_secs(1));
        w.hang_up(CALLER);
        w.run_until(60_000);
        w.hold(CALLEE, true);
        w.run_until(62_000);
        w.ask_for_offer(CALLEE);
        w.run_until(110_000);
        assert_eq!(w.phones[OTHER].calls().len(), 1, "{}", w.ladder);
        w.hang_up(OTHER);
    });
    assert_eq!(answers(&world)[1..], [200, 200], "{}", world.ladder);
    let held = world.sent.iter().filter_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && is_response(message, 200, Method::Invite) => {
            Some(direction(response.body()))
        }
        _ => None,
    });
    let held: Vec<_> = held.skip(1).collect();
    assert_eq!(held, [Direction::RecvOnly, Direction::SendRecv], "RFC 3264 §6.1");
}

#[test]
fn a_party_is_refreshed_while_the_other_one_thinks_about_a_hold() {
    let world = play_in(short(), |w| {
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.run_until(44_000);
        // bob's phone says that it works on it, and no more.
        w.rewrite = Some(Box::new(|from, _, text| match from {
            2 if text.starts_with("SIP/2.0 200") && text.contains("INVITE\r\n") => {
                crate::without_body(&text.replacen("200 OK", "180 Ringing", 1))
            }
            _ => text.to_owned(),
        }));
        w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(75_000);
        w.hang_up(CALLER);
        w.rewrite = None;
    });
    assert!(world.done[&CommandId(1)].is_err());
    assert_eq!(sent_to(&world, "sip:alice").count(), 1, "{}", world.ladder);
}

#[test]
fn a_phone_that_never_answers_is_not_called_alive() {
    let world = play_in(short(), |w| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        w.start(Mode::Bridge);
        w.run_until(40_000);
        w.network = crate::losing(|from, _| from == 1);
        w.run_until(80_000);
        w.network = crate::world::latency(0);
        w.hang_up(CALLER);
    });
    let (side, _, status) = crate::failure(&world);
    assert_eq!((side, status), (Side::Caller, 408));
}

fn direction(sdp: &[u8]) -> Direction {
    Sdp::parse(sdp).expect("it is SDP").media().next().expect("it has audio").direction
}
