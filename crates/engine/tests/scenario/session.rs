//! Session timers (RFC 4028), and UPDATE (RFC 3311).

use engine::{Config, Side};
use expect_test::expect;
use sip::{Message, Method, Name};

use crate::world::{CALLEE, CALLER, World};
use crate::{check_in, losing, play_in, without_header};

#[test]
fn both_phones_are_asked_in_time_whether_they_are_there() {
    let world = check_in(
        timed(),
        |w| {
            w.talk();
            w.run_until(1_000_000);
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
            900000                                           |-----------------------------UPDATE----------------------------->|
            900000                                           |-------------UPDATE------------>|                                |
            900000                                           |<-------------------------200 OK UPDATE--------------------------|
            900000                                           |<--------200 OK UPDATE----------|                                |
            1000000                                           |<-------------BYE---------------|                                |
            1000000                                           |-----------200 OK BYE---------->|                                |
            1000000                                           |-------------------------------BYE------------------------------>|
            1000000                                           |<--------------------------200 OK BYE----------------------------|
        "#]],
    );
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.text(Name::SessionExpires), Some("1800"));
    assert_eq!(invite.text(Name::MinSe), Some("90"));
    assert!(invite.has_token(Name::Supported, "timer"));
}

#[test]
fn a_phone_that_takes_no_update_is_asked_by_re_invite_with_what_it_has() {
    let world = play_in(timed(), |w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            0 => text.to_owned(),
            _ => text.replace(" UPDATE,", ""),
        }));
        w.talk();
        w.run_until(1_000_000);
        w.hang_up(CALLEE);
    });
    let bodies: Vec<_> = sent_to(&world, "sip:bob").map(|invite| invite.body().to_vec()).collect();
    assert_eq!(bodies.len(), 2, "{}", world.ladder);
    assert_eq!(bodies[0], bodies[1], "the same version of the same description");
}

#[test]
fn a_phone_that_dies_in_a_call_is_noticed_and_the_other_one_released() {
    let world = check_in(
        timed(),
        |w| {
            w.talk();
            w.run_until(10_000);
            w.draw_from_here();
            w.network = losing(|from, message| from == 2 || is_to(message, "sip:bob"));
            w.run_until(1_000_000);
            assert_eq!(w.phones[CALLER].calls().len(), 0);
            w.network = crate::world::latency(0);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee
            900000                                           |-----------------------------UPDATE----------------------------x |
            900000                                           |-------------UPDATE------------>|                                |
            900000                                           |<--------200 OK UPDATE----------|                                |
            900500                                           |-----------------------------UPDATE----------------------------x |
            901500                                           |-----------------------------UPDATE----------------------------x |
            903500                                           |-----------------------------UPDATE----------------------------x |
            907500                                           |-----------------------------UPDATE----------------------------x |
            911500                                           |-----------------------------UPDATE----------------------------x |
            915500                                           |-----------------------------UPDATE----------------------------x |
            919500                                           |-----------------------------UPDATE----------------------------x |
            923500                                           |-----------------------------UPDATE----------------------------x |
            927500                                           |-----------------------------UPDATE----------------------------x |
            931500                                           |-----------------------------UPDATE----------------------------x |
            932000                                           |-------------------------------BYE-----------------------------x |
            932000                                           |--------------BYE-------------->|                                |
            932000                                           |<----------200 OK BYE-----------|                                |
            932500                                           |-------------------------------BYE-----------------------------x |
            933500                                           |-------------------------------BYE-----------------------------x |
            935500                                           |-------------------------------BYE-----------------------------x |
            939500                                           |-------------------------------BYE-----------------------------x |
            943500                                           |-------------------------------BYE-----------------------------x |
            947500                                           |-------------------------------BYE-----------------------------x |
            951500                                           |-------------------------------BYE-----------------------------x |
            955500                                           |-------------------------------BYE-----------------------------x |
            959500                                           |-------------------------------BYE-----------------------------x |
            963500                                           |-------------------------------BYE-----------------------------x |
            1000000                                           |<------------------------------BYE-------------------------------|
            1000000                                           |-------------481 Call/Transaction Does Not Exist BYE------------>|
        "#]],
    );
    assert!(world.watched.is_empty());
}

#[test]
fn a_phone_that_refreshes_itself_is_left_to_it_and_missed_when_it_stops() {
    let world = play_in(timed(), |w| {
        // alice asks for 90 seconds, and to refresh herself.
        w.phones[CALLER].set_session_timer(Some(90));
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 => text.replace("Session-Expires: 90\r\n", "Session-Expires: 90;refresher=uac\r\n"),
            _ => text.to_owned(),
        }));
        w.talk();
        let to_caller = |w: &World| sent_to(w, "sip:alice").count();
        w.run_until(300_000);
        assert_eq!(to_caller(w), 0, "{}", w.ladder);
        assert_eq!(w.phones[CALLEE].calls().len(), 1, "{}", w.ladder);
        w.network = losing(|from, _| from == 1);
        w.run_until(500_000);
        assert_eq!(w.phones[CALLEE].calls().len(), 0, "{}", w.ladder);
        w.network = crate::world::latency(0);
        w.hang_up(CALLER);
    });
    let accepted = world.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.status == 200 => Some(response),
        _ => None,
    });
    let accepted = accepted.expect("the call was accepted");
    assert_eq!(accepted.text(Name::SessionExpires), Some("90;refresher=uac"));
    assert_eq!(accepted.text(Name::Require), Some("timer"));
}

#[test]
fn a_session_that_is_too_short_is_refused_with_the_shortest_there_is() {
    let world = play_in(timed(), |w| {
        w.phones[CALLER].set_session_timer(Some(90));
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 => text.replace("Session-Expires: 90\r\nMin-SE: 90\r\n", "Session-Expires: 60\r\n"),
            _ => text.to_owned(),
        }));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(1000);
        w.rewrite = None;
        w.hang_up(CALLER);
    });
    let refused = world.sent.iter().find_map(|(from, message)| match message {
        Message::Response(response) if *from == 0 && response.status == 422 => Some(response),
        _ => None,
    });
    assert_eq!(refused.expect("it is too short").text(Name::MinSe), Some("90"));
}

#[test]
fn a_phone_that_wants_longer_sessions_gets_them() {
    let world = play_in(timed(), |w| {
        // bob refuses the first INVITE, as a phone does whose Min-SE is longer.
        let mut refused = false;
        w.rewrite = Some(Box::new(move |from, _, text| match from {
            2 if !refused && text.starts_with("SIP/2.0 180") => {
                refused = true;
                text.replace(
                    "180 Ringing\r\n",
                    "422 Session Interval Too Small\r\nMin-SE: 3600\r\n",
                )
            }
            _ => text.to_owned(),
        }));
        w.talk();
        w.run_until(5000);
        assert_eq!(w.phones[CALLER].calls().len(), 1, "{}", w.ladder);
        w.hang_up(CALLER);
        w.hang_up(CALLEE);
    });
    let asked: Vec<_> =
        sent_to(&world, "sip:bob").filter_map(|invite| invite.text(Name::SessionExpires)).collect();
    assert_eq!(asked, ["1800", "3600"]);
    let second = sent_to(&world, "sip:bob").last().expect("it was sent again");
    assert_eq!(second.text(Name::MinSe), Some("3600"), "RFC 4028 §7.3");
}

#[test]
fn timers_are_not_spoken_of_when_they_are_off() {
    let world = play_in(World::new(1), |w| {
        w.talk();
        w.run_until(10_000_000);
        w.hang_up(CALLER);
    });
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.text(Name::SessionExpires), None);
    assert!(!invite.has_token(Name::Supported, "timer"));
}

/// An engine with session timers, and phones that have none.
pub(crate) fn timed() -> World {
    World::with_config(1, Config { session_seconds: Some(1800), ..World::config() })
}

/// The INVITEs and UPDATEs that the engine sent to this user.
pub(crate) fn sent_to<'a>(world: &'a World, user: &str) -> impl Iterator<Item = &'a sip::Request> {
    world.sent.iter().filter_map(move |(from, message)| match message {
        Message::Request(request)
            if *from == 0
                && matches!(request.method, Method::Invite | Method::Update)
                && request.uri().starts_with(user) =>
        {
            Some(request)
        }
        _ => None,
    })
}

/// The engine's final answers to INVITEs.
pub(crate) fn answers(world: &World) -> Vec<u16> {
    let answers = world.sent.iter().filter_map(|(from, message)| match message {
        Message::Response(response)
            if *from == 0 && response.status >= 200 && response.cseq().method == Method::Invite =>
        {
            Some(response.status)
        }
        Message::Response(_) | Message::Request(_) => None,
    });
    answers.collect()
}

pub(crate) fn is_to(message: &Message, user: &str) -> bool {
    matches!(message, Message::Request(request) if request.uri().starts_with(user))
}

#[test]
fn an_update_without_a_body_tells_that_a_phone_is_there() {
    // A whole hour with phones that refresh, and an engine that does too.
    play_in(timed(), |w| {
        for phone in [CALLER, CALLEE] {
            w.phones[phone].set_session_timer(Some(600));
        }
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.run_until(1_000_000);
        let hold = w.call_hold(&call, None, true);
        w.run_until(2_600_000);
        assert_eq!(w.done[&hold], Ok(None), "{}", w.ladder);
        let held = [Side::Caller, Side::Callee].map(|side| w.engine.is_held(&call, side));
        assert_eq!(held, [Some(true); 2]);
        w.run_until(3_600_000);
        assert_eq!(w.phones[CALLER].calls().len(), 1);
        w.hang_up(CALLER);
    });
}

#[test]
fn a_hold_stands_when_it_is_refreshed_by_re_invite() {
    let world = play_in(timed(), |w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            0 => text.to_owned(),
            _ => without_header(text, "Allow"),
        }));
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(1_000_000);
        assert_eq!(w.engine.is_held(&call, Side::Callee), Some(true));
        w.hang_up(CALLER);
    });
    let last = sent_to(&world, "sip:bob").last().expect("it was refreshed");
    let sdp = String::from_utf8_lossy(last.body());
    assert!(sdp.contains("a=sendonly"), "{sdp}");
}
