//! `CallBlindTransfer` that succeeds: a party is sent to somebody else.

use std::time::Duration;

use engine::phone::{Notify, OnRefer};
use engine::{CommandId, Mode, Side, Step};
use expect_test::expect;
use sip::sdp::{Direction, Sdp};
use sip::{Method, Name};

use crate::world::{CALLEE, CALLER, OTHER, World};
use crate::{after, check, play, steps, without_header};

#[test]
fn the_callees_phone_calls_the_target() {
    let world = check(
        |w| {
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 1, 1]);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<----------------------202 Accepted REFER------------------------|                                |
            1000                                             |<----------------------NOTIFY (100 Trying)-----------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            1000                                             |<------------------------INVITE (offer)--------------------------|                                |
            1000                                             |---------------------------100 Trying--------------------------->|                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |---------------------------180 Ringing-------------------------->|                                |
            1000   < CALL_RINGING callee                     |                                |                                |                                |
            1000                                             |<---------------------NOTIFY (180 Ringing)-----------------------|                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |-------------------------200 OK (answer)------------------------>|                                |
            2000                                             |<------------------------------ACK-------------------------------|                                |
            2000                                             |<------------------------NOTIFY (200 OK)-------------------------|                                |
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<----------------------------------------------BYE------------------------------------------------|
            5000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            5000                                             |-------------------------------BYE------------------------------>|                                |
            5000                                             |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
    let invite = world.sent_request(0, Method::Invite);
    assert_eq!(invite.text(Name::ReferredBy), Some("<sip:alice@127.0.0.1:5071>"));
    assert_eq!(invite.from().uri, world.phones[CALLEE].uri());
    let new = world.call_id(CommandId(1));
    assert_eq!(invite.call_id(), new, "Ended names the call that now stands");
}

#[test]
fn the_callers_phone_calls_the_target() {
    let world = check(
        |w| {
            let call = established(w);
            w.blind(&call, Side::Caller, OTHER, Mode::Refer);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer caller                |                                |                                |                                |
            1000                                             |-------------REFER------------->|                                |                                |
            1000                                             |<------202 Accepted REFER-------|                                |                                |
            1000                                             |<-----NOTIFY (100 Trying)-------|                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |                                |
            1000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            1000                                             |<--------INVITE (offer)---------|                                |                                |
            1000                                             |-----------100 Trying---------->|                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |----------180 Ringing---------->|                                |                                |
            1000   < CALL_RINGING callee                     |                                |                                |                                |
            1000                                             |<-----NOTIFY (180 Ringing)------|                                |                                |
            1000                                             |---------200 OK NOTIFY--------->|                                |                                |
            1000   < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |--------200 OK (answer)-------->|                                |                                |
            2000                                             |<-------------ACK---------------|                                |                                |
            2000                                             |<-------NOTIFY (200 OK)---------|                                |                                |
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |---------200 OK NOTIFY--------->|                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<-------------BYE---------------|                                |                                |
            5000                                             |-----------200 OK BYE---------->|                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn the_callee_is_joined_to_the_target() {
    let world = check(
        |w| {
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 1, 1]);
            assert_eq!(w.call_id(CommandId(1)), call, "the call goes on under its name");
            w.end(&call);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING caller                     |                                |                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |-------------------------INVITE (offer)------------------------->|                                |
            2000                                             |<--------------------------100 Trying----------------------------|                                |
            2000                                             |<------------------------200 OK (answer)-------------------------|                                |
            2000                                             |-------------------------------ACK------------------------------>|                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000   < Ended                                   |                                |                                |                                |
            5000   > CallEnd                                 |                                |                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |-------------------------------BYE------------------------------>|                                |
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
            5000                                             |<--------------------------200 OK BYE----------------------------|                                |
            5000   < Ended                                   |                                |                                |                                |
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn the_caller_is_joined_to_the_target() {
    let world = check(
        |w| {
            let call = established(w);
            w.blind(&call, Side::Caller, OTHER, Mode::Bridge);
            w.run_until(5000);
            assert_eq!(calls(w), [1, 0, 1]);
            w.hang_up(CALLER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer caller                |                                |                                |                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING callee                     |                                |                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |---------INVITE (offer)-------->|                                |                                |
            2000                                             |<----------100 Trying-----------|                                |                                |
            2000                                             |<-------200 OK (answer)---------|                                |                                |
            2000                                             |--------------ACK-------------->|                                |                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<-------------BYE---------------|                                |                                |
            5000                                             |-----------200 OK BYE---------->|                                |                                |
            5000                                             |-----------------------------------------------BYE----------------------------------------------->|
            5000                                             |<-------------------------------------------200 OK BYE--------------------------------------------|
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn a_call_that_a_command_started_is_transferred_like_any_other() {
    for (start, mode) in [
        (Mode::Refer, Mode::Refer),
        (Mode::Refer, Mode::Bridge),
        (Mode::Bridge, Mode::Refer),
        (Mode::Bridge, Mode::Bridge),
    ] {
        for (side, expected) in [(Side::Caller, [1, 0, 1]), (Side::Callee, [0, 1, 1])] {
            play(|w| {
                let command = w.start(start);
                w.run_until(2000);
                let call = w.call_id(command);
                let transfer = w.blind(&call, side, OTHER, mode);
                w.run_until(5000);
                assert!(w.done[&transfer].is_ok(), "{start:?} {mode:?} {side:?}\n{}", w.ladder);
                assert_eq!(calls(w), expected, "{start:?} {mode:?} {side:?}\n{}", w.ladder);
                w.hang_up(OTHER);
            });
        }
    }
}

#[test]
fn auto_refers_a_phone_that_takes_refer_and_joins_any_other() {
    let refers = |world: &World| {
        let requests = world
            .sent
            .iter()
            .filter(|(from, message)| *from == 0 && crate::is_request(message, Method::Refer));
        requests.count()
    };
    let world = play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Auto);
        w.run_until(5000);
        w.hang_up(OTHER);
    });
    assert_eq!((refers(&world), steps(&world)), (1, TRANSFER.to_vec()));
    let world = play(|w| {
        w.rewrite = Some(Box::new(|from, _, text| match from {
            2 => without_header(text, "Allow"),
            _ => text.to_owned(),
        }));
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Auto);
        w.run_until(5000);
        assert_eq!(calls(w), [0, 1, 1]);
        w.hang_up(OTHER);
    });
    assert_eq!((refers(&world), steps(&world)), (0, TRANSFER.to_vec()));
}

#[test]
fn auto_joins_a_phone_that_refuses_the_refer() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.refer = OnRefer::Refuse(603);
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Auto);
            w.run_until(5000);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<-----------------------603 Decline REFER------------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |----------------------------------------------INVITE--------------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000   < CALL_RINGING caller                     |                                |                                |                                |
            2000                                             |<-----------------------------------------200 OK (offer)------------------------------------------|
            2000                                             |-------------------------INVITE (offer)------------------------->|                                |
            2000                                             |<--------------------------100 Trying----------------------------|                                |
            2000                                             |<------------------------200 OK (answer)-------------------------|                                |
            2000                                             |-------------------------------ACK------------------------------>|                                |
            2000                                             |-------------------------------------------ACK (answer)------------------------------------------>|
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<----------------------------------------------BYE------------------------------------------------|
            5000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            5000                                             |-------------------------------BYE------------------------------>|                                |
            5000                                             |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn auto_joins_a_phone_that_took_the_refer_and_does_nothing() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.refer = OnRefer::AcceptOnly;
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Auto);
            w.run_until(15_000);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<----------------------202 Accepted REFER------------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            11000  < CALL_START                              |                                |                                |                                |
            11000                                            |----------------------------------------------INVITE--------------------------------------------->|
            11000                                            |<-------------------------------------------100 Trying--------------------------------------------|
            11000                                            |<------------------------------------------180 Ringing--------------------------------------------|
            11000  < CALL_RINGING caller                     |                                |                                |                                |
            12000                                            |<-----------------------------------------200 OK (offer)------------------------------------------|
            12000                                            |-------------------------INVITE (offer)------------------------->|                                |
            12000                                            |<--------------------------100 Trying----------------------------|                                |
            12000                                            |<------------------------200 OK (answer)-------------------------|                                |
            12000                                            |-------------------------------ACK------------------------------>|                                |
            12000                                            |-------------------------------------------ACK (answer)------------------------------------------>|
            12000                                            |--------------BYE-------------->|                                |                                |
            12000                                            |<----------200 OK BYE-----------|                                |                                |
            12000  < Ended                                   |                                |                                |                                |
            15000                                            |<----------------------------------------------BYE------------------------------------------------|
            15000                                            |--------------------------------------------200 OK BYE------------------------------------------->|
            15000                                            |-------------------------------BYE------------------------------>|                                |
            15000                                            |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn a_phone_that_reports_nothing_or_without_a_body_gets_there_all_the_same() {
    for notify in [Notify::Never, Notify::Empty] {
        let world = play(|w| {
            w.phones[CALLEE].behaviour.notify = notify;
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(5000);
            w.hang_up(OTHER);
        });
        assert_eq!(steps(&world), TRANSFER, "{notify:?}");
    }
}

#[test]
fn a_phone_may_leave_the_old_call_itself_as_soon_as_it_has_the_new_one() {
    let world = check(
        |w| {
            w.phones[CALLEE].behaviour.leaves = true;
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, Mode::Refer);
            w.run_until(5000);
            w.hang_up(OTHER);
        },
        expect![[r#"
            ms     client                                call-api                          caller                           callee                           target
            1000   > CallBlindTransfer callee                |                                |                                |                                |
            1000                                             |------------------------------REFER----------------------------->|                                |
            1000                                             |<----------------------202 Accepted REFER------------------------|                                |
            1000                                             |<----------------------NOTIFY (100 Trying)-----------------------|                                |
            1000   < TRANSFER_ACCEPT                         |                                |                                |                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 100                   |                                |                                |                                |
            1000                                             |<------------------------INVITE (offer)--------------------------|                                |
            1000                                             |---------------------------100 Trying--------------------------->|                                |
            1000   < CALL_START                              |                                |                                |                                |
            1000                                             |------------------------------------------INVITE (offer)----------------------------------------->|
            1000                                             |<-------------------------------------------100 Trying--------------------------------------------|
            1000                                             |<------------------------------------------180 Ringing--------------------------------------------|
            1000                                             |---------------------------180 Ringing-------------------------->|                                |
            1000   < CALL_RINGING callee                     |                                |                                |                                |
            1000                                             |<---------------------NOTIFY (180 Ringing)-----------------------|                                |
            1000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            1000   < TRANSFER_PROGRESS 180                   |                                |                                |                                |
            2000                                             |<----------------------------------------200 OK (answer)------------------------------------------|
            2000                                             |-----------------------------------------------ACK----------------------------------------------->|
            2000                                             |-------------------------200 OK (answer)------------------------>|                                |
            2000                                             |<------------------------------ACK-------------------------------|                                |
            2000                                             |<------------------------NOTIFY (200 OK)-------------------------|                                |
            2000                                             |<------------------------------BYE-------------------------------|                                |
            2000                                             |--------------BYE-------------->|                                |                                |
            2000                                             |-------------------------------BYE------------------------------>|                                |
            2000                                             |--------------------------200 OK NOTIFY------------------------->|                                |
            2000                                             |---------------------------200 OK BYE--------------------------->|                                |
            2000                                             |<----------200 OK BYE-----------|                                |                                |
            2000                                             |<--------------------------200 OK BYE----------------------------|                                |
            2000   < Ended                                   |                                |                                |                                |
            5000                                             |<----------------------------------------------BYE------------------------------------------------|
            5000                                             |--------------------------------------------200 OK BYE------------------------------------------->|
            5000                                             |-------------------------------BYE------------------------------>|                                |
            5000                                             |<--------------------------200 OK BYE----------------------------|                                |
        "#]],
    );
    assert_eq!(steps(&world), TRANSFER);
}

#[test]
fn the_other_party_may_leave_before_the_target_answers() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(1500);
            w.hang_up(CALLER);
            w.run_until(5000);
            assert_eq!(calls(w), [0, 1, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLEE);
        });
        assert_eq!(steps(&world), TRANSFER, "{mode:?}");
    }
}

#[test]
fn a_party_on_hold_talks_to_the_target() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            w.call_hold(&call, Some(Side::Callee), true);
            w.run_until(2000);
            let transfer = w.blind(&call, Side::Callee, OTHER, mode);
            w.run_until(5000);
            let call = w.call_id(transfer);
            let held = [Side::Caller, Side::Callee].map(|side| w.engine.is_held(&call, side));
            assert_eq!(held, [Some(false); 2], "{mode:?}\n{}", w.ladder);
            w.hang_up(OTHER);
        });
        let last = world
            .sent
            .iter()
            .rev()
            .find(|(from, message)| *from == 2 && Sdp::parse(message.headers().body()).is_ok());
        let sdp = last.map(|(_, message)| Sdp::parse(message.headers().body()).expect("it is"));
        let direction = sdp.and_then(|sdp| sdp.media().next().map(|media| media.direction));
        assert_eq!(direction, Some(Direction::SendRecv), "{mode:?}");
    }
}

#[test]
fn a_transferred_call_is_held_and_transferred_again() {
    play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.run_until(5000);
        for held in [true, false] {
            let hold = w.call_hold(&call, None, held);
            w.run_for(Duration::from_secs(1));
            assert_eq!(w.done[&hold], Ok(None), "{}", w.ladder);
        }
        // bob is the callee, cindy the caller now: she goes to alice.
        w.phones[CALLER].behaviour.answer = after(1000);
        let again = w.blind(&call, Side::Caller, CALLER, Mode::Bridge);
        w.run_for(Duration::from_secs(3));
        assert!(w.done[&again].is_ok(), "{}", w.ladder);
        assert_eq!(calls(w), [1, 0, 1]);
        w.hold(OTHER, true);
        w.run_for(Duration::from_secs(1));
        assert_eq!(w.engine.is_held(&call, Side::Callee), Some(true), "a phone's own hold");
        w.end(&call);
    });
}

#[test]
fn the_target_may_be_a_user_with_several_phones() {
    play(|w| {
        let call = established(w);
        w.phones[OTHER].set_account("shared", "");
        w.register(OTHER, 600);
        w.run_until(1500);
        let uri = w.phones[OTHER].aor();
        let transfer = crate::world::transfers::transfer(
            &call,
            Side::Caller,
            engine::Target::Uri(uri),
            Mode::Bridge,
        );
        let transfer = w.transfer(transfer);
        w.run_until(5000);
        assert!(w.done[&transfer].is_ok(), "{}", w.ladder);
        assert_eq!(calls(w), [1, 0, 1]);
        w.hang_up(OTHER);
        w.register(OTHER, 0);
    });
}

/// The events of a transfer that succeeds.
pub(crate) const TRANSFER: [Step; 2] = [Step::TransferAccepted, Step::CallStarted];

/// Two phones talk; the third one answers after a second.
pub(crate) fn established(w: &mut World) -> String {
    w.show_other("target");
    w.phones[OTHER].behaviour.answer = after(1000);
    w.talk();
    w.draw_from_here();
    w.last_call_id().expect("a call was placed")
}

/// How many calls each phone is in.
pub(crate) fn calls(w: &World) -> [usize; 3] {
    [CALLER, CALLEE, OTHER].map(|phone| w.phones[phone].calls().len())
}
