//! Phones that answer a re-INVITE or UPDATE 422: they want longer sessions than we have asked for
//! (RFC 4028 §7.3). That is between such a phone and us.

use engine::{Error, FailureKind, Mode, Side};
use sip::Name;

use crate::play_in;
use crate::session::{answers, sent_to, timed};
use crate::world::{CALLEE, CALLER, OTHER, Rewrite, World};

#[test]
fn a_re_invite_of_the_other_phone_is_passed_on_again_with_a_longer_session() {
    let world = play_in(timed(), |w| {
        w.talk();
        w.rewrite = Some(refusing(2, "INVITE", 1, "Min-SE: 3600"));
        w.hold(CALLER, true);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    assert_eq!(
        asked(&world, "sip:bob", Name::SessionExpires),
        ["1800", "1800;refresher=uac", "3600;refresher=uac"]
    );
    assert_eq!(asked(&world, "sip:bob", Name::MinSe), ["90", "90", "3600"]);
    let bodies: Vec<_> = sent_to(&world, "sip:bob").map(|invite| invite.body()).collect();
    assert_eq!(bodies[1], bodies[2], "the same offer");
    assert_eq!(answers(&world), [200, 200], "the other phone hears nothing of it");
}

#[test]
fn a_422_without_a_longer_time_never_reaches_the_other_phone() {
    for least in ["Min-SE: 90", "Min-SE: 1800", "Min-SE: 4000000000", "X-Nothing: 1"] {
        let world = play_in(timed(), |w| {
            w.talk();
            w.rewrite = Some(refusing(2, "INVITE", 1, least));
            w.hold(CALLER, true);
            w.run_until(5000);
            assert_eq!(w.phones[CALLER].calls().len(), 1, "the call goes on\n{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!(answers(&world), [200, 488], "{least}\n{}", world.ladder);
    }
}

#[test]
fn a_call_is_refused_with_a_status_of_its_own_when_422_names_no_longer_time() {
    let world = play_in(timed(), |w| {
        w.rewrite = Some(refusing(2, "INVITE", 1, "X-Nothing: 1"));
        w.talk();
        w.rewrite = None;
        w.hang_up(CALLEE);
    });
    assert_eq!(answers(&world), [488]);
}

#[test]
fn a_hold_is_asked_again_with_a_longer_session_and_refreshes_keep_to_it() {
    let world = play_in(timed(), |w| {
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.rewrite = Some(refusing(2, "INVITE", 1, "Min-SE: 3600"));
        let hold = w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(5000);
        assert_eq!(w.done[&hold], Ok(None), "{}", w.ladder);
        assert_eq!(w.engine.is_held(&call, Side::Callee), Some(true));
        w.run_until(2_000_000);
        w.hang_up(CALLER);
    });
    // At half the time that was agreed upon.
    assert_eq!(
        asked(&world, "sip:bob", Name::SessionExpires),
        ["1800", "1800;refresher=uac", "3600;refresher=uac", "3600;refresher=uac"]
    );
    assert_eq!(asked(&world, "sip:bob", Name::MinSe), ["90", "90", "3600", "3600"]);
}

#[test]
fn a_hold_fails_with_a_422_that_names_no_longer_time() {
    let world = play_in(timed(), |w| {
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.rewrite = Some(refusing(2, "INVITE", 1, "Min-SE: 90"));
        w.call_hold(&call, Some(Side::Callee), true);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    let (side, kind, status) = crate::failure(&world);
    assert_eq!((side, kind, status), (Side::Callee, FailureKind::Answered, 422));
}

#[test]
fn the_offer_of_a_transfer_is_made_again_with_a_longer_session() {
    let world = play_in(timed(), |w| {
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        w.rewrite = Some(refusing(2, "INVITE", 2, "Min-SE"));
        let transfer = w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.run_until(20_000);
        assert_eq!(w.done[&transfer], Ok(Some(call)), "{}", w.ladder);
        w.hang_up(OTHER);
    });
    // Two that want more, one after the other, as a proxy and the phone behind it do.
    assert_eq!(asked(&world, "sip:bob", Name::MinSe), ["90", "90", "2000", "3000"]);
}

#[test]
fn an_offer_that_was_taken_back_is_not_made_again() {
    let world = play_in(timed(), |w| {
        w.talk();
        let call = w.last_call_id().expect("a call was placed");
        // bob's phone asks its user until that is taken back.
        let mut is_cancelled = false;
        w.rewrite = Some(Box::new(move |from, _, text| {
            is_cancelled |= from == 0 && text.starts_with("CANCEL");
            let instead = match is_cancelled {
                true => "SIP/2.0 422 Session Interval Too Small\r\nMin-SE: 3600",
                false => "SIP/2.0 180 Ringing",
            };
            match from == 2 && is_answer(text, "INVITE") {
                true => crate::without_body(&text.replacen("SIP/2.0 200 OK", instead, 1)),
                false => text.to_owned(),
            }
        }));
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.run_until(60_000);
        w.rewrite = None;
        w.hang_up(CALLER);
        w.hang_up(CALLEE);
    });
    let failed = world.done.values().next().expect("the command has ended");
    assert!(matches!(failed, Err(Error::Party(Side::Callee, _))), "{failed:?}");
    assert!(!asked(&world, "sip:bob", Name::MinSe).contains(&"3600"), "{}", world.ladder);
}

#[test]
fn what_the_first_422_asked_for_is_asked_for_ever_after() {
    let world = play_in(timed(), |w| {
        w.rewrite = Some(refusing(2, "INVITE", 1, "Min-SE: 3600"));
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(2_000_000);
        w.hang_up(CALLER);
        w.hang_up(CALLEE);
    });
    assert_eq!(
        asked(&world, "sip:bob", Name::SessionExpires),
        ["1800", "3600", "3600;refresher=uac"]
    );
    assert_eq!(asked(&world, "sip:bob", Name::MinSe), ["90", "3600", "3600"]);
}

#[test]
fn an_update_that_is_too_short_is_sent_again_at_once() {
    let world = play_in(timed(), |w| {
        w.talk();
        w.rewrite = Some(refusing(2, "UPDATE", 1, "Min-SE: 3600"));
        w.run_until(901_000);
        w.hang_up(CALLER);
    });
    assert_eq!(asked(&world, "sip:bob", Name::MinSe), ["90", "90", "3600"]);
}

/// Turns the first answers of a phone to this method into 422, with this line; a `Min-SE` alone is
/// 2000, 3000 and so on.
fn refusing(phone: usize, method: &'static str, times: u32, line: &'static str) -> Rewrite {
    let mut left = times;
    let mut least = 1000;
    Box::new(move |from, _, text| {
        if from != phone || left == 0 || !is_answer(text, method) {
            return text.to_owned();
        }
        left -= 1;
        least += 1000;
        let line = if line == "Min-SE" { format!("Min-SE: {least}") } else { line.to_owned() };
        let refusal = format!("SIP/2.0 422 Session Interval Too Small\r\n{line}");
        crate::without_body(&text.replacen("SIP/2.0 200 OK", &refusal, 1))
    })
}

fn is_answer(text: &str, method: &str) -> bool {
    text.starts_with("SIP/2.0 200")
        && text.lines().any(|line| line.starts_with("CSeq:") && line.ends_with(method))
}

/// What the engine's INVITEs and UPDATEs to this user say in this header.
fn asked<'a>(world: &'a World, user: &str, name: Name) -> Vec<&'a str> {
    sent_to(world, user).filter_map(|request| request.text(name)).collect()
}
