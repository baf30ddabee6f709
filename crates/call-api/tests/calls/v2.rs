//! Dialect v2 on the embedded engine: what clients of the Go implementation read of calls that phones make,
//! refuse or ignore, and of commands that the state of a call does not allow.

use std::time::Duration;

use call_api::server::dialect::Dialect;
use engine::phone::{Answer, OnRefer};
use engine::{HoldRequest, Mode, Side, Target, TransferRequest};
use expect_test::{Expect, expect};
use serde_json::Value;

use crate::transfers::{consulting, talking, told};
use crate::world::{CALLEE, CALLER, OTHER, World, latency};
use crate::{REFER, run, start};

/// Places a call in a lab that was prepared so.
async fn check_start(params: &str, prepare: fn(&mut World), transcript: Expect) {
    transcript.assert_eq(&run(Dialect::V2, &start(params), prepare, |_| {}).await);
}

async fn check(method: &str, params: &str, prepare: fn(&mut World), transcript: Expect) {
    transcript.assert_eq(&told(Dialect::V2, method, params, prepare).await);
}

/// Of the phone's first report the new call is not known yet.
#[tokio::test]
async fn a_report_names_the_new_call_once_it_is_here() {
    let slow = |w: &mut World| {
        w.phones[CALLEE].behaviour.answer = Answer::After(Duration::from_secs(2));
    };
    check_start(REFER, slow, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071"},"event":"CallerAnswered","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"caller":"sip:alice@127.0.0.1:5071","destination":"sip:bob@127.0.0.1:5072"},"event":"Transferring","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071","extra":"100 Trying"},"event":"TransferPending","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","sip_code":100,"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071","callid":"8ea053b3ba298896c0a9cd6d04705850"},"event":"TransferStart","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071","callid":"8ea053b3ba298896c0a9cd6d04705850","extra":"180 Ringing"},"event":"TransferPending","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"caller","uri":"sip:alice@127.0.0.1:5071","sip_code":180,"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071","callid":"8ea053b3ba298896c0a9cd6d04705850"},"event":"CalleeAnswered","callid":"8ea053b3ba298896c0a9cd6d04705850","leg":"callee","uri":"sip:bob@127.0.0.1:5072","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","event":"Ended","callid":"8ea053b3ba298896c0a9cd6d04705850","time":"T"}}
    "#]]).await;
    let slow = |w: &mut World| {
        talking(w);
        w.phones[OTHER].behaviour.answer = Answer::After(Duration::from_secs(2));
    };
    let params = r#""callid":"FIRST","leg":"callee","destination":"sip:cindy@127.0.0.1:5073""#;
    check("CallBlindTransfer", params, slow, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","leg":"callee","destination":"sip:cindy@127.0.0.1:5073"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","data":{"destination":"sip:cindy@127.0.0.1:5073"},"event":"Transferring","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","data":{"destination":"sip:cindy@127.0.0.1:5073","extra":"100 Trying"},"event":"TransferPending","callid":"FIRST","leg":"callee","sip_code":100,"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","data":{"callid":"NEW","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferStart","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","data":{"callid":"NEW","destination":"sip:cindy@127.0.0.1:5073","extra":"180 Ringing"},"event":"TransferPending","callid":"NEW","leg":"callee","sip_code":180,"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","data":{"callid":"NEW","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferSuccessful","callid":"NEW","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"CMD","event":"Ended","callid":"NEW","time":"T"}}
    "#]]).await;
}

#[tokio::test]
async fn a_caller_who_does_not_go_to_the_callee_has_answered_all_the_same() {
    let refuses = |w: &mut World| w.phones[CALLER].behaviour.refer = OnRefer::Refuse(405);
    check_start(REFER, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071"},"event":"CallerAnswered","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":"405 Method Not Allowed","event":"Error","error":{"code":-32020,"message":"caller: 405 Method Not Allowed","data":{"kind":"sip_failure","origin":"caller","sip_code":405,"sip_reason":"Method Not Allowed"}},"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","event":"Ended","time":"T"}}
    "#]]).await;
    let ignores = |w: &mut World| w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
    check_start(REFER, ignores, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"callee":"sip:bob@127.0.0.1:5072","caller":"sip:alice@127.0.0.1:5071"},"event":"CallerAnswered","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":{"caller":"sip:alice@127.0.0.1:5071","destination":"sip:bob@127.0.0.1:5072"},"event":"Transferring","callid":"28d67565a49ed4aa51c09533595c05df","leg":"caller","uri":"sip:alice@127.0.0.1:5071","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":"408 Request Timeout","event":"Error","error":{"code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}},"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","event":"Ended","time":"T"}}
    "#]]).await;
    let busy = |w: &mut World| {
        w.phones[CALLER].behaviour.answer = Answer::Refuse(486, Duration::from_secs(1));
    };
    check_start(REFER, busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallStart","params":{"caller":"sip:alice@127.0.0.1:5071","callee":"sip:bob@127.0.0.1:5072","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","data":"failed to establish initial call: 486 Busy Here","event":"Error","error":{"code":-32020,"message":"caller: 486 Busy Here","data":{"kind":"sip_failure","origin":"caller","sip_code":486,"sip_reason":"Busy Here"}},"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"CMD","event":"Ended","time":"T"}}
    "#]]).await;
}

#[tokio::test]
async fn an_attended_transfer_says_where_its_party_goes_that_no_client_named() {
    let params = r#""callidA":"FIRST","legA":"caller","callidB":"SECOND","legB":"callee""#;
    check("CallAttendedTransfer", params, consulting, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callidA":"FIRST","legA":"caller","callidB":"SECOND","legB":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","event":"Transferring","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","data":{"extra":"100 Trying"},"event":"TransferPending","callid":"FIRST","leg":"caller","sip_code":100,"time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","data":{"callid":"NEW","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferStart","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","data":{"callid":"NEW","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferSuccessful","callid":"NEW","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","event":"Ended","callid":"NEW","time":"T"}}
    "#]]).await;
    let bridge = format!(r#"{params},"mode":"bridge""#);
    check("CallAttendedTransfer", &bridge, consulting, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callidA":"FIRST","legA":"caller","callidB":"SECOND","legB":"callee","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","event":"Transferring","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","data":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferStart","callid":"FIRST","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","data":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073"},"event":"TransferSuccessful","callid":"FIRST","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"CMD","event":"Ended","callid":"FIRST","time":"T"}}
    "#]]).await;
}

/// A method, its parameters, and how the calls are that they name.
type Command<'a> = (&'a str, &'a str, fn(&mut World));

/// What is said of a command that is refused for the state its call is in: in `data`, and in `error`.
async fn refused(method: &str, params: &str, prepare: fn(&mut World), words: &str, why: &str) {
    let text = told(Dialect::V2, method, params, prepare).await;
    let messages: Vec<Value> =
        text.lines().skip(1).map(|line| serde_json::from_str(&line[2..]).unwrap()).collect();
    let events: Vec<_> = messages
        .iter()
        .map(|message| match &message["result"] {
            Value::Null => message["params"]["event"].as_str().unwrap(),
            started => started["event"].as_str().unwrap(),
        })
        .collect();
    assert_eq!(events, ["Started", "Error", "Ended"], "{text}");
    let error = &messages[1]["params"];
    assert_eq!(
        (error["data"].as_str(), error["error"]["message"].as_str()),
        (Some(words), Some(why))
    );
}

/// The words are those of the nearest case that was recorded: 404 in 25, 410 in 32, 480 in 31, 491 in 27. For a party
/// that is to meet itself there was none.
#[tokio::test]
async fn what_the_state_of_a_call_does_not_allow_is_told_in_known_words() {
    const BLIND: &str =
        r#""callid":"FIRST","leg":"caller","destination":"sip:cindy@127.0.0.1:5073""#;
    const ONE: &str = r#""callid":"FIRST""#;
    const ITSELF: &str = r#""callidA":"FIRST","legA":"caller","callidB":"FIRST","legB":"callee""#;
    const SAME: &str = r#""callidA":"FIRST","legA":"callee","callidB":"SECOND","legB":"caller""#;
    const TWO: &str = r#""callidA":"FIRST","legA":"caller","callidB":"SECOND","legB":"callee""#;
    const NO_CALL: &str = "no call with this Call-ID";
    const ONE_CALL: &str = "a call cannot be transferred to itself";
    const ONE_PHONE: &str = "the two parties are the same phone";
    let refusals: [(&str, &str, &[Command]); 11] = [
        (
            "410 Dialog not ready",
            "the call is not answered yet",
            &[("CallBlindTransfer", BLIND, rings), ("CallHold", ONE, rings)],
        ),
        (
            "491 Request Pending",
            "a transfer is under way",
            &[("CallBlindTransfer", BLIND, is_transferred), ("CallHold", ONE, is_transferred)],
        ),
        (
            "491 Request Pending",
            "another hold is under way",
            &[
                ("CallBlindTransfer", BLIND, is_held),
                ("CallHold", ONE, is_held),
                ("CallAttendedTransfer", TWO, one_of_two_is_held),
            ],
        ),
        (
            "404 Dialog not found",
            "the call is being ended",
            &[("CallBlindTransfer", BLIND, is_ended), ("CallUnhold", ONE, is_ended)],
        ),
        ("480 Both dialog legs are on hold", "already on hold", &[("CallHold", ONE, was_held)]),
        ("480 No dialog legs on hold", "not on hold", &[("CallUnhold", ONE, talking)]),
        ("404 Dialog not found", NO_CALL, &[("CallBlindTransfer", BLIND, is_over)]),
        ("404 Requested Dialog not found", NO_CALL, &[("CallEnd", ONE, is_over)]),
        ("404 Transfer dialog not found", NO_CALL, &[("CallAttendedTransfer", TWO, is_over)]),
        (ONE_CALL, ONE_CALL, &[("CallAttendedTransfer", ITSELF, consulting)]),
        (ONE_PHONE, ONE_PHONE, &[("CallAttendedTransfer", SAME, consulting)]),
    ];
    for (words, why, commands) in refusals {
        for (method, params, prepare) in commands {
            refused(method, params, *prepare, words, why).await;
        }
    }
}

/// A `CallStart` has a dialog with the caller, which is no call yet.
#[tokio::test]
async fn the_dialog_of_a_call_that_is_being_started_is_not_ready() {
    fn starts(w: &mut World) {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        w.start(Mode::Refer);
        w.run_for(Duration::from_secs(1));
    }
    let mut world = World::new(1);
    starts(&mut world);
    let helper = world.call_id_of(engine::Step::Answered);
    let params = format!(r#""callid":"{helper}""#);
    refused("CallHold", &params, starts, "410 Dialog not ready", "the call is being started").await;
}

fn rings(w: &mut World) {
    w.phones[CALLEE].behaviour.answer = Answer::Never;
    w.talk();
}

fn is_transferred(w: &mut World) {
    talking(w);
    let call_id = w.last_call_id().unwrap();
    let to = Target::Uri(w.phones[OTHER].uri());
    let side = Side::Callee;
    let (mode, headers) = (Mode::Bridge, Vec::new());
    w.transfer(TransferRequest { call_id, side, to, mode, headers, timeout: None });
}

fn is_held(w: &mut World) {
    talking(w);
    hold(w);
}

fn one_of_two_is_held(w: &mut World) {
    consulting(w);
    hold(w);
}

fn was_held(w: &mut World) {
    talking(w);
    hold(w);
    w.run_for(Duration::from_secs(1));
}

/// Has the latest call held; its phones have not answered yet.
fn hold(w: &mut World) {
    w.network = latency(10);
    let call_id = w.last_call_id().unwrap();
    w.change_hold(HoldRequest { call_id, side: None, held: true, timeout: None });
}

fn is_ended(w: &mut World) {
    talking(w);
    w.network = latency(10);
    let call_id = w.last_call_id().unwrap();
    w.end(&call_id);
}

fn is_over(w: &mut World) {
    consulting(w);
    for phone in [CALLER, CALLEE, OTHER] {
        w.hang_up(phone);
    }
    w.run_for(Duration::from_secs(1));
}
