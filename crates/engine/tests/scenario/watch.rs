//! What a watcher is told (`*`) of calls, most of them calls that no command started. It is told of
//! each transition once, when it happens; `CALL_ENDING` and `CALL_END` say who ended the call and
//! how.

use std::time::Duration;

use engine::Mode;
use engine::phone::Answer;
use expect_test::{Expect, expect};
use sip::Method;

use crate::world::{CALLEE, CALLER, Fate, World, latency};
use crate::{after, delaying, is_request, losing, play, refuse};

/// Runs a scenario and compares what the watcher and the client were told, without the messages.
fn check(scenario: impl FnOnce(&mut World), told: Expect) {
    let world = play(|w| {
        w.show_watcher = true;
        scenario(w);
    });
    assert!(world.watched.is_empty(), "a call is left: {:?}", world.watched);
    let ladder = world.ladder.to_string();
    let lines =
        ladder.lines().filter(|line| line.contains(['*', '<', '>']) && !line.contains("--"));
    let lines = lines.map(|line| line.split('|').next().unwrap_or_default().trim_end());
    told.assert_eq(&lines.fold(String::new(), |text, line| text + line + "\n"));
}

fn alice_dials_bob(w: &mut World) {
    let bob = w.phones[CALLEE].uri();
    w.dial(CALLER, &bob);
}

#[test]
fn a_phone_calls_a_phone() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(2000);
            alice_dials_bob(w);
            w.run_until(10_000);
            w.hang_up(CALLEE);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            2000   * CALL_ANSWER callee
            2000   * CALL_ESTABLISHED
            10000  * CALL_ENDING callee
            10000  * CALL_END callee
        "#]],
    );
}

#[test]
fn a_call_keeps_who_the_parties_are_and_how_far_they_got() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = after(2000);
        alice_dials_bob(w);
        w.run_until(1000);
        let call = w.watched.values().next().expect("the phone's call is there").clone();
        w.note(&format!("{:?} {:?}", call.stage, call.caller));
        w.note(&format!("{:?}", call.callee));
        w.run_until(3000);
        let call = w.watched.values().next().expect("the phone's call is there").clone();
        w.note(&format!("{:?} {:?}", call.stage, call.caller));
        w.note(&format!("{:?}", call.callee));
        w.hang_up(CALLER);
    });
    let ladder = world.ladder.to_string();
    let notes = ladder.lines().filter(|line| line.contains("reached"));
    let notes = notes.map(|line| line.split('|').next().unwrap_or_default().trim_end());
    expect![[r#"
        1000   Calling Party { uri: "sip:alice@127.0.0.1:5071", call_id: None, reached: Calling, held: false }
        1000   Party { uri: "sip:bob@127.0.0.1:5072", call_id: None, reached: Ringing, held: false }
        3000   Established Party { uri: "sip:alice@127.0.0.1:5071", call_id: None, reached: Answered, held: false }
        3000   Party { uri: "sip:bob@127.0.0.1:5072", call_id: None, reached: Answered, held: false }"#]]
    .assert_eq(&notes.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_callee_is_busy() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = refuse(486);
            alice_dials_bob(w);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            1000   * CALL_ENDING callee 486 Busy Here
            1000   * CALL_END callee 486 Busy Here
        "#]],
    );
}

#[test]
fn the_caller_gives_up() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            alice_dials_bob(w);
            w.run_until(3000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            3000   * CALL_ENDING caller 487 Request Terminated
            3000   * CALL_END caller 487 Request Terminated
        "#]],
    );
}

#[test]
fn nobody_is_at_the_callees_address() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Silent;
            alice_dials_bob(w);
        },
        expect![[r#"
            0      * CALL_START
            32000  * CALL_ENDING callee 408 Request Timeout
            32000  * CALL_END callee 408 Request Timeout
        "#]],
    );
}

#[test]
fn a_phone_rings_once_however_often_it_says_so() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(2000);
            w.network =
                Box::new(|_, _, _| Fate::Doubled(Duration::ZERO, Duration::from_millis(40)));
            alice_dials_bob(w);
            w.run_until(10_000);
            w.network = latency(0);
            w.hang_up(CALLER);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            2000   * CALL_ANSWER callee
            2000   * CALL_ESTABLISHED
            10000  * CALL_ENDING caller
            10000  * CALL_END caller
        "#]],
    );
}

#[test]
fn media_comes_before_the_answer() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(2000);
            w.rewrite = Some(Box::new(|from, _, text| match from {
                2 if text.starts_with("SIP/2.0 180") => with_media(text),
                _ => text.to_owned(),
            }));
            alice_dials_bob(w);
            w.run_until(10_000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_PROGRESS callee
            2000   * CALL_ANSWER callee
            2000   * CALL_ESTABLISHED
            10000  * CALL_ENDING caller
            10000  * CALL_END caller
        "#]],
    );
}

/// A 180 as a 183 with a session description.
fn with_media(text: &str) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0\r\n";
    let head = text.replace("180 Ringing", "183 Session Progress");
    let head = head.replace(
        "Content-Length: 0",
        &format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len()),
    );
    head + body
}

#[test]
fn a_party_that_never_acknowledges_is_told_apart_from_one_that_hangs_up() {
    check(
        |w| {
            w.network = losing(|from, message| from == 1 && is_request(message, Method::Ack));
            alice_dials_bob(w);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            0      * CALL_ANSWER callee
            32000  * CALL_ENDING caller 408 Request Timeout
            32000  * CALL_END caller 408 Request Timeout
        "#]],
    );
}

#[test]
fn a_call_start_by_refer_makes_one_call() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = after(2000);
            let command = w.start(Mode::Refer);
            w.run_until(5000);
            let call_id = w.call_id(command);
            w.end(&call_id);
        },
        expect![[r#"
            0      > CallStart
            0      < CALL_RINGING caller
            0      < CALL_ANSWER caller
            0      < TRANSFER_ACCEPT
            0      < TRANSFER_PROGRESS 100
            0      < CALL_START
            0      * CALL_START
            0      < CALL_RINGING callee
            0      * CALL_RINGING callee
            0      < TRANSFER_PROGRESS 180
            2000   < CALL_ANSWER callee
            2000   * CALL_ANSWER callee
            2000   * CALL_ESTABLISHED
            2000   < Ended
            5000   > CallEnd
            5000   * CALL_ENDING command
            5000   * CALL_END command
            5000   < Ended
        "#]],
    );
}

#[test]
fn a_call_start_by_bridge_makes_its_call_when_the_caller_has_answered() {
    check(
        |w| {
            w.phones[CALLER].behaviour.answer = after(1000);
            w.phones[CALLEE].behaviour.answer = after(2000);
            w.start(Mode::Bridge);
            w.run_until(8000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            0      > CallStart
            0      < CALL_RINGING caller
            1000   < CALL_ANSWER caller
            1000   < TRANSFER_ACCEPT
            1000   < CALL_START
            1000   * CALL_START
            1000   < CALL_RINGING callee
            1000   * CALL_RINGING callee
            3000   * CALL_ANSWER callee
            3000   * CALL_ESTABLISHED
            3000   < CALL_ANSWER callee
            3000   < Ended
            8000   * CALL_ENDING caller
            8000   * CALL_END caller
        "#]],
    );
}

#[test]
fn a_callee_that_does_not_answer_in_the_clients_time_ends_the_call() {
    check(
        |w| {
            w.phones[CALLEE].behaviour.answer = Answer::Never;
            let mut request = w.request(Mode::Bridge);
            request.timeout = Some(Duration::from_secs(5));
            w.start_with(request);
        },
        expect![[r#"
            0      > CallStart
            0      < CALL_RINGING caller
            0      < CALL_ANSWER caller
            0      < TRANSFER_ACCEPT
            0      < CALL_START
            0      * CALL_START
            0      < CALL_RINGING callee
            0      * CALL_RINGING callee
            5000   < Error: callee: 408 Request Timeout
            5000   < Ended
            5000   * CALL_ENDING callee 408 Request Timeout
            5000   * CALL_END callee 408 Request Timeout
        "#]],
    );
}

#[test]
fn a_call_start_that_is_ended_before_its_call_exists_is_a_call_that_ends() {
    check(
        |w| {
            w.phones[CALLER].behaviour.answer = after(1000);
            w.network = delaying(1500, |_, message| is_request(message, Method::Refer));
            w.start(Mode::Refer);
            w.run_until(1200);
            let call_id = w.helper_call_id().expect("the caller answered");
            w.end(&call_id);
        },
        expect![[r#"
            0      > CallStart
            0      < CALL_RINGING caller
            1000   < CALL_ANSWER caller
            1200   > CallEnd
            1200   < Error: another command ended the call
            1200   < Ended
            1200   * CALL_START command
            1200   * CALL_END command
            1200   < Ended
        "#]],
    );
}

#[test]
fn who_is_on_hold_whether_a_phone_or_a_command_did_it() {
    check(
        |w| {
            alice_dials_bob(w);
            w.run_until(1000);
            w.hold(CALLER, true);
            w.run_until(2000);
            w.hold(CALLER, false);
            w.run_until(3000);
            let call_id = w.watched.values().next().expect("the call is there").call_id.to_string();
            w.call_hold(&call_id, None, true);
            w.run_until(4000);
            // Already on hold, by the command: the phone changes nothing for bob.
            w.hold(CALLER, true);
            w.run_until(5000);
            w.call_hold(&call_id, None, false);
            w.run_until(6000);
            w.hang_up(CALLER);
        },
        expect![[r#"
            0      * CALL_START
            0      * CALL_RINGING callee
            0      * CALL_ANSWER callee
            0      * CALL_ESTABLISHED
            1000   * CALL_HOLD callee
            2000   * CALL_UNHOLD callee
            3000   > CallHold
            3000   < CALL_HOLD caller
            3000   * CALL_HOLD caller
            3000   < CALL_HOLD callee
            3000   < Ended
            3000   * CALL_HOLD callee
            5000   > CallUnHold
            5000   < CALL_UNHOLD caller
            5000   * CALL_UNHOLD caller
            5000   < CALL_UNHOLD callee
            5000   < Ended
            6000   * CALL_ENDING caller
            6000   * CALL_END caller
        "#]],
    );
}
