//! `CallAttendedTransfer`: a party of one call is sent to a party of another. bob talks to alice and
//! to cindy, and connects the two.

use std::time::Duration;

use engine::phone::{OnOffer, OnRefer, PhoneEvent};
use engine::{CommandId, Error, FailureKind, Mode, Side, Target};
use expect_test::expect;
use sip::{Method, Name};

use crate::transfer_blind::{TRANSFER, calls};
use crate::transfer_blind_failures::target_failed;
use crate::world::transfers::transfer;
use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{after, check, failure, is_request, is_response, play, steps};

#[test]
fn the_partys_phone_calls_the_target_in_the_place_of_its_call() {
    let world = check(
        |w| {
            let (first, second) = consulting(w);
            w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Refer);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            2000   > CallAttendedTransfer caller             |                                |                                |                                |
            2000                                             |-------------REFER------------->|                                |                                |
            2000                                             |<------202 Accepted REFER-------|                                |                                |
            2000                                             |<-----NOTIFY (100 Trying)-------|                                |                                |
            2000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |                                |
            2000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            2000                                             |<--------INVITE (offer)---------|                                |                                |
            2000                                             |-----------100 Trying---------->|                                |                                |
            2000   < CALL_START                              |                                |                                |                                |
            2000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            2000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |<----------------------------------------------BYE------------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |--------200 OK (answer)-------->|                                |                                |
            2000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            2000                                             |<-------------ACK---------------|                                |                                |
            2000                                             |<-------NOTIFY (200 OK)---------|                                |                                |
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<-------------BYE---------------|                                |                                |
            5000                                             |-----------200 OK BYE---------->|                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.uri(), world.phones[OTHER].uri(), "the phone itself is called");
    assert_eq!(invite.text(Name::Require), Some("replaces"));
    assert_eq!(invite.text(Name::ReferredBy), Some("<sip:bob@127.0.0.1:5072>"));
    assert_eq!(world.call_id(CommandId(1)), invite.call_id());
    assert!(is_told_of_replaces(&world));
}

#[test]
fn a_phone_that_does_not_know_replaces_is_told_of_none() {
    let world = play(|w| {
        w.phones[CALLER].forget_extensions();
        let (first, second) = consulting(w);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Refer);
        w.run_until(5000);
        assert_eq!(calls(w), [1, 0, 1]);
        w.hang_up(CALLER);
    });
    assert!(!is_told_of_replaces(&world));
    assert_eq!(steps(&world), TRANSFER);
}

fn is_told_of_replaces(world: &World) -> bool {
    let refer_to = world.sent_request(0, Method::Refer).text(Name::ReferTo);
    refer_to.expect("a Refer-To").contains("?Replaces=")
}

#[test]
fn the_two_that_remain_are_joined() {
    let world = check(
        |w| {
            let (first, second) = consulting(w);
            w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            assert_eq!(w.call_id(CommandId(1)), first);
            // Each phone knows the call by another name; both mean it.
            let hold = w.call_hold(&second, Some(Side::Callee), true);
            w.run_until(6000);
            assert_eq!(w.done[&hold], Ok(None));
            w.end(&first);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            2000   > CallAttendedTransfer caller             |                                |                                |                                |
            2000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            2000   < CALL_START                              |                                |                                |                                |
            2000                                             |----------------------------------------------INVITE--------------------------------------------->|
            2000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |---------INVITE (offer)-------->|                                |                                |
            2000                                             |<----------100 Trying-----------|                                |                                |
            2000                                             |<-------200 OK (answer)---------|                                |                                |
            2000                                             |--------------ACK-------------->|                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000   > CallHold callee                         |                                |                                |                                |
            5000                                             |-------------------------------------INVITE (offer sendonly)------------------------------------->|
            5000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            5000                                             |<------------------------------------200 OK (answer recvonly)-------------------------------------|
            5000                                             |-----------------------------------------------ACK----------------------------------------------->|
            5000   < CALL_HOLD callee                        |                                |                                |                                |
            5000   < Ended                                   |                                |                                |                                |
            6000   > CallEnd                                 |                                |                                |                                |
            6000                                             |--------------BYE-------------->|                                |                                |
            6000                                             |-----------------------------------------------BYE----------------------------------------------->|
            6000                                             |<----------200 OK BYE-----------|                                |                                |
            6000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
            6000   < Ended                                   |                                |                                |                                |
        "#]],
    );
    assert_eq!(steps(&world)[..2], TRANSFER);
}

#[test]
fn each_party_of_each_call_can_be_sent_to_each_of_the_other() {
    // alice called bob, and bob called cindy: bob is the callee of one and the caller of the other.
    for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
        for (a, b) in [
            (Side::Caller, Side::Callee),
            (Side::Callee, Side::Callee),
            (Side::Caller, Side::Caller),
        ] {
            play(|w| {
                let (first, second) = consulting(w);
                let command = w.attended((&first, a), (&second, b), mode);
                w.run_until(5000);
                assert!(w.done[&command].is_ok(), "{mode:?} {a:?} {b:?}\n{}", w.ladder);
                let bob = usize::from(a == Side::Callee) + usize::from(b == Side::Caller);
                let (alice, cindy) =
                    (usize::from(a == Side::Caller), usize::from(b == Side::Callee));
                assert_eq!(calls(w), [alice, bob, cindy], "{mode:?} {a:?} {b:?}\n{}", w.ladder);
                let call = w.call_id(command);
                w.end(&call);
            });
        }
    }
}

#[test]
fn the_target_is_called_at_the_destination_when_there_is_one() {
    let world = play(|w| {
        w.register(OTHER, 600);
        let (first, second) = consulting(w);
        let uri = Some(w.phones[OTHER].aor());
        let to = Target::Party { call_id: second, side: Side::Callee, uri };
        let command = w.transfer(transfer(&first, Side::Caller, to, Mode::Refer));
        w.run_until(5000);
        assert!(w.done[&command].is_ok(), "{}", w.ladder);
        assert_eq!(calls(w), [1, 0, 1]);
        w.hang_up(CALLER);
        w.register(OTHER, 0);
    });
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.to().uri, world.phones[OTHER].aor());
}

#[test]
fn auto_joins_phones_of_which_one_cannot_do_it() {
    let refers = |world: &World| {
        let sent = world.sent.iter();
        sent.filter(|(from, message)| *from == 0 && is_request(message, Method::Refer)).count()
    };
    // The target's phone knows no Replaces, or the party's phone no REFER.
    let without: [fn(&mut World); 2] = [
        |w| w.phones[OTHER].forget_extensions(),
        |w| {
            w.rewrite = Some(Box::new(|from, _, text| match from {
                1 => crate::without_header(text, "Allow"),
                _ => text.to_owned(),
            }));
        },
    ];
    for without in without {
        let world = play(|w| {
            without(w);
            let (first, second) = consulting(w);
            w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Auto);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!((refers(&world), steps(&world)), (0, TRANSFER.to_vec()));
    }
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Auto);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    assert_eq!((refers(&world), steps(&world)), (1, TRANSFER.to_vec()));
}

#[test]
fn auto_joins_the_two_when_the_targets_phone_will_not_be_replaced() {
    let world = check(
        |w| {
            let (first, second) = consulting(w);
            // It said that it knows Replaces, and then does not.
            w.phones[OTHER].forget_extensions();
            w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Auto);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            2000   > CallAttendedTransfer caller             |                                |                                |                                |
            2000                                             |-------------REFER------------->|                                |                                |
            2000                                             |<------202 Accepted REFER-------|                                |                                |
            2000                                             |<-----NOTIFY (100 Trying)-------|                                |                                |
            2000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |                                |
            2000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            2000                                             |<--------INVITE (offer)---------|                                |                                |
            2000                                             |-----------100 Trying---------->|                                |                                |
            2000   < CALL_START                              |                                |                                |                                |
            2000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            2000                                             |<---------------------------------------420 Bad Extension-----------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |-------420 Bad Extension------->|                                |                                |
            2000                                             |----------------------------------------------INVITE--------------------------------------------->|
            2000                                             |<-------------ACK---------------|                                |                                |
            2000                                             |<--NOTIFY (420 Bad Extension)---|                                |                                |
            2000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |---------200 OK NOTIFY--------->|                                |                                |
            2000                                             |---------INVITE (offer)-------->|                                |                                |
            2000                                             |<----------100 Trying-----------|                                |                                |
            2000                                             |<-------200 OK (answer)---------|                                |                                |
            2000                                             |--------------ACK-------------->|                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<-------------BYE---------------|                                |                                |
            5000                                             |-----------200 OK BYE---------->|                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(steps(&world)[..2], TRANSFER);
}

#[test]
fn a_target_that_will_not_be_replaced_fails_mode_refer() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.phones[OTHER].forget_extensions();
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Refer);
        w.run_until(5000);
        go_on(w, &[&first, &second]);
    });
    assert_eq!(target_failed(&world), (FailureKind::Answered, 420));
}

#[test]
fn a_phone_that_refuses_the_refer_fails_mode_refer() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(603);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Refer);
        w.run_until(5000);
        go_on(w, &[&first, &second]);
    });
    assert_eq!(failure(&world), (Side::Caller, FailureKind::Answered, 603));
}

#[test]
fn a_party_that_refuses_leaves_both_calls_as_they_were() {
    let world = check(
        |w| {
            let (first, second) = consulting(w);
            w.phones[CALLER].behaviour.offer = OnOffer::Refuse(488);
            w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
            w.run_until(5000);
            w.phones[CALLER].behaviour.offer = OnOffer::Accept;
            go_on(w, &[&first, &second]);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            2000   > CallAttendedTransfer caller             |                                |                                |                                |
            2000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            2000   < CALL_START                              |                                |                                |                                |
            2000                                             |----------------------------------------------INVITE--------------------------------------------->|
            2000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |---------INVITE (offer)-------->|                                |                                |
            2000                                             |<----------100 Trying-----------|                                |                                |
            2000                                             |<---488 Not Acceptable Here-----|                                |                                |
            2000                                             |--------------ACK-------------->|                                |                                |
            2000   < Error: caller: 488 Not Acceptable Here  |                                |                                |                                |
            2000   < Ended                                   |                                |                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
        "#]],
    );
    assert_eq!(failure(&world), (Side::Caller, FailureKind::Answered, 488));
    // What the target made an offer for: it was answered with what it had.
    let mut acks = world.sent.iter().filter_map(|(from, message)| match message {
        sip::Message::Request(ack) if *from == 0 && ack.method == Method::Ack => Some(ack),
        _ => None,
    });
    let answered = acks.rfind(|ack| !ack.body().is_empty()).expect("an ACK answers");
    let sdp = String::from_utf8_lossy(answered.body());
    assert!(sdp.contains("m=audio 25072 RTP/AVP 0 101\r\n"), "bob's, as before: {sdp}");
}

#[test]
fn a_target_that_refuses_leaves_both_calls_as_they_were() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.phones[OTHER].behaviour.offer = OnOffer::Refuse(500);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
        w.run_until(5000);
        w.phones[OTHER].behaviour.offer = OnOffer::Accept;
        go_on(w, &[&first, &second]);
    });
    assert_eq!(target_failed(&world), (FailureKind::Answered, 500));
}

#[test]
fn who_answers_too_late_gets_back_what_it_had() {
    for late in [1, 3] {
        play(|w| {
            let (first, second) = consulting(w);
            w.network = crate::delaying(900, move |from, message| {
                from == late && is_response(message, 200, Method::Invite)
            });
            let to = Target::Party { call_id: second.clone(), side: Side::Callee, uri: None };
            let mut request = transfer(&first, Side::Caller, to, Mode::Bridge);
            request.timeout = Some(Duration::from_millis(300));
            let command = w.transfer(request);
            w.run_until(8000);
            assert!(w.done[&command].is_err(), "{}", w.ladder);
            w.network = crate::world::latency(0);
            go_on(w, &[&first, &second]);
        });
    }
}

#[test]
fn the_one_who_connected_them_may_leave_at_once() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            w.network = crate::world::latency(50);
            let (first, second) = consulting(w);
            w.attended((&first, Side::Caller), (&second, Side::Callee), mode);
            w.run_for(Duration::from_millis(60));
            w.hang_up(CALLEE);
            w.run_for(Duration::from_secs(5));
            assert_eq!(calls(w), [1, 0, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
        assert_eq!(steps(&world), TRANSFER, "{mode:?}");
    }
}

#[test]
fn a_party_or_target_that_hangs_up_fails_it() {
    for mode in [Mode::Refer, Mode::Bridge] {
        for leaves in [CALLER, OTHER] {
            let world = play(|w| {
                w.network = crate::world::latency(50);
                let (first, second) = consulting(w);
                w.attended((&first, Side::Caller), (&second, Side::Callee), mode);
                w.run_for(Duration::from_millis(20));
                w.hang_up(leaves);
                w.run_for(Duration::from_secs(5));
                let [alice, _, cindy] = calls(w);
                assert_eq!(alice + cindy, 1, "{mode:?} {leaves}\n{}", w.ladder);
                w.hang_up(CALLEE);
            });
            assert!(world.done[&CommandId(1)].is_err(), "{mode:?} {leaves}\n{}", world.ladder);
        }
    }
}

#[test]
fn a_call_end_of_either_call_fails_it_and_leaves_the_other() {
    for mode in [Mode::Refer, Mode::Bridge] {
        for ended in [0, 1] {
            let world = play(|w| {
                w.network = crate::world::latency(50);
                let (first, second) = consulting(w);
                w.attended((&first, Side::Caller), (&second, Side::Callee), mode);
                w.run_for(Duration::from_millis(60));
                let names = [&first, &second];
                let end = w.end(names[ended]);
                w.run_for(Duration::from_secs(5));
                assert_eq!(w.done[&end], Ok(None), "{}", w.ladder);
                go_on(w, &[names[1 - ended]]);
            });
            assert_eq!(world.done[&CommandId(1)], Err(Error::Superseded), "{mode:?} {ended}");
        }
    }
}

#[test]
fn nobody_is_connected_with_itself_or_with_a_call_that_does_not_stand() {
    play(|w| {
        let (first, second) = consulting(w);
        let same = w.attended((&first, Side::Caller), (&first, Side::Callee), Mode::Auto);
        let itself = Err(Error::InvalidState("a call cannot be transferred to itself"));
        assert_eq!(w.done[&same], itself);
        // bob is a party of both.
        let bob = w.attended((&first, Side::Callee), (&second, Side::Caller), Mode::Auto);
        assert_eq!(w.done[&bob], Err(Error::InvalidState("the two parties are the same phone")));
        let unknown = w.attended((&first, Side::Caller), ("nobody", Side::Callee), Mode::Auto);
        assert_eq!(w.done[&unknown], Err(Error::NoSuchCall));
        w.phones[OTHER].behaviour.answer = engine::phone::Answer::Never;
        let uri = w.phones[OTHER].uri();
        w.dial(CALLER, &uri);
        w.run_for(Duration::from_millis(10));
        let ringing = w.last_call_id().expect("a call was placed");
        let early = w.attended((&first, Side::Caller), (&ringing, Side::Callee), Mode::Auto);
        assert_eq!(w.done[&early], Err(Error::InvalidState("the call is not answered yet")));
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
        let twice = w.attended((&second, Side::Callee), (&first, Side::Caller), Mode::Bridge);
        assert_eq!(w.done[&twice], Err(Error::InvalidState("a transfer is under way")));
        w.run_for(Duration::from_secs(2));
        for phone in [CALLER, CALLEE, OTHER] {
            w.hang_up(phone);
        }
    });
}

#[test]
fn parties_on_hold_are_not_when_they_talk() {
    for mode in [Mode::Refer, Mode::Bridge] {
        play(|w| {
            let (first, second) = consulting(w);
            w.call_hold(&first, None, true);
            w.call_hold(&second, Some(Side::Callee), true);
            w.run_for(Duration::from_secs(1));
            let command = w.attended((&first, Side::Caller), (&second, Side::Callee), mode);
            w.run_for(Duration::from_secs(2));
            let call = w.call_id(command);
            let held = [Side::Caller, Side::Callee].map(|side| w.engine.is_held(&call, side));
            assert_eq!(held, [Some(false); 2], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
    }
}

#[test]
fn media_sections_keep_their_places_when_the_phones_have_different_ones() {
    // alice and bob have video first; cindy has no video.
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            1 => with_video_first(text),
            2 if text.contains("To: <sip:bob@") => with_video_first(text),
            _ => text.to_owned(),
        }));
        let (first, second) = consulting(w);
        let command = w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
        w.run_until(5000);
        assert!(w.done[&command].is_ok(), "{}", w.ladder);
        w.hang_up(OTHER);
    });
    let kinds = |body: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(body).into_owned();
        let media = text.lines().filter(|line| line.starts_with("m="));
        media.map(|line| line[2..].split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let offer = world.sent.iter().rev().find(|(from, message)| {
        matches!(message, sip::Message::Request(request)
            if *from == 0 && request.method == Method::Invite && request.uri().contains("alice"))
    });
    let offer = offer.expect("alice was asked").1.headers().body();
    assert_eq!(kinds(offer), ["video 0", "audio 25073"], "video stays first, and is off");
    let answer = world.sent.iter().rev().find(|(from, message)| {
        matches!(message, sip::Message::Request(request)
            if *from == 0 && request.method == Method::Ack && !request.body().is_empty())
    });
    assert_eq!(kinds(answer.expect("cindy got it").1.headers().body()), ["audio 25071"]);
}

/// A message whose session description has a video section before the audio.
fn with_video_first(text: &str) -> String {
    let Some((head, body)) = text.split_once("\r\n\r\n").filter(|(_, body)| !body.is_empty())
    else {
        return text.to_owned();
    };
    let body = body.replace("m=audio", "m=video 9 RTP/AVP 31\r\nm=audio");
    let head = crate::without_header(&format!("{head}\r\n"), "Content-Length");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// alice called bob, and bob cindy; both calls stand.
pub(crate) fn consulting(w: &mut World) -> (String, String) {
    w.show_other("target");
    w.talk();
    let first = w.last_call_id().expect("a call was placed");
    w.phones[OTHER].behaviour.answer = after(0);
    let other = w.phones[OTHER].uri();
    w.dial(CALLEE, &other);
    w.run_for(Duration::from_secs(1));
    w.draw_from_here();
    (first, w.last_call_id().expect("a call was placed"))
}

/// Calls stand as if nothing had been. The ladder does not show that.
pub(crate) fn go_on(w: &mut World, names: &[&str]) {
    let ladder = w.draw_from_here();
    for call in names {
        for held in [true, false] {
            let hold = w.call_hold(call, None, held);
            w.run_for(Duration::from_secs(1));
            assert_eq!(w.done[&hold], Ok(None), "{}", w.ladder);
        }
        w.end(call);
    }
    w.run_for(Duration::from_secs(1));
    assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    let lost = w
        .shown
        .iter()
        .any(|(_, event)| matches!(event, PhoneEvent::Closed(_, engine::ua::Cause::Lost(_))));
    assert!(!lost, "{}", w.ladder);
    w.ladder = ladder;
}
