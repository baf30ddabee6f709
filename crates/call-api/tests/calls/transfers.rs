//! `CallBlindTransfer` and `CallAttendedTransfer`. alice has called bob; in an attended transfer bob has
//! then called cindy. Call-IDs are shown as `FIRST`, `SECOND` and, for one that the transfer made, `NEW`.

use std::time::Duration;

use call_api::server::dialect::Dialect;
use engine::phone::{Answer, OnOffer, OnRefer};
use expect_test::{Expect, expect};
use sip::{Message, Method};

use crate::run;
use crate::world::{CALLEE, CALLER, OTHER, World};

/// alice's phone calls bob's.
pub(crate) fn talking(w: &mut World) {
    w.talk();
    w.phones[OTHER].behaviour.answer = Answer::After(Duration::from_secs(1));
}

/// And bob's calls cindy's.
pub(crate) fn consulting(w: &mut World) {
    w.talk();
    let cindy = w.phones[OTHER].uri();
    w.dial(CALLEE, &cindy);
    w.run_for(Duration::from_secs(1));
}

/// A blind transfer with these parameters beside the call's name, in a lab where alice and bob talk.
async fn blind(params: &str, prepare: fn(&mut World), transcript: Expect) {
    let params = format!(r#""callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073",{params}"#);
    check("CallBlindTransfer", &params, prepare, transcript).await;
}

/// An attended transfer of alice to cindy, with these parameters beside, where bob talks to both.
async fn attended(params: &str, prepare: fn(&mut World), transcript: Expect) {
    let params = format!(
        r#""callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee"{params}"#
    );
    check("CallAttendedTransfer", &params, prepare, transcript).await;
}

async fn check(method: &str, params: &str, prepare: fn(&mut World), transcript: Expect) {
    transcript.assert_eq(&told(Dialect::V1, method, params, prepare).await);
}

/// What a client of this dialect reads of a command that names calls that phones have placed.
pub(crate) async fn told(
    dialect: Dialect,
    method: &str,
    params: &str,
    prepare: fn(&mut World),
) -> String {
    // The same seed makes the same Call-IDs.
    let mut world = World::new(1);
    prepare(&mut world);
    let placed = world.sent.iter().filter_map(|(lane, message)| match message {
        Message::Request(request) if *lane != 0 && request.method == Method::Invite => {
            Some(request.call_id().to_owned())
        }
        Message::Request(_) | Message::Response(_) => None,
    });
    let calls: Vec<(&str, String)> = ["FIRST", "SECOND"].into_iter().zip(placed).collect();
    let mut request =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
    for (name, call_id) in &calls {
        request = request.replace(name, call_id);
    }
    let mut text = run(dialect, &request, prepare, |_| {}).await;
    for (name, call_id) in &calls {
        text = text.replace(call_id, name);
    }
    with_new_calls(&text)
}

/// Shows the Call-IDs that nobody knew before.
fn with_new_calls(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('"').collect();
    for at in 2..parts.len() {
        if parts[at - 2] == "callid" && !["FIRST", "SECOND"].contains(&parts[at]) {
            parts[at] = "NEW";
        }
    }
    parts.join("\"")
}

#[tokio::test]
async fn the_callees_phone_calls_the_target() {
    blind(r#""leg":"callee""#, talking, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"NEW"}}
    "#]]).await;
}

#[tokio::test]
async fn the_caller_is_joined_to_the_target_verbose() {
    blind(r#""leg":"caller","mode":"bridge","verbose":true"#, talking, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"caller","mode":"bridge","verbose":true}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_RINGING","callid":"FIRST","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"FIRST"}}
    "#]]).await;
}

#[tokio::test]
async fn the_target_is_busy() {
    let busy = |w: &mut World| {
        talking(w);
        w.phones[OTHER].behaviour.answer = Answer::Refuse(486, Duration::from_secs(1));
    };
    blind(r#""leg":"callee""#, busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    blind(r#""leg":"callee","mode":"bridge""#, busy, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"caller","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_target_does_not_answer_within_the_clients_time() {
    let silent = |w: &mut World| {
        talking(w);
        w.phones[OTHER].behaviour.answer = Answer::Never;
    };
    blind(r#""leg":"callee","timeout_ms":5000"#, silent, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee","timeout_ms":5000}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"target: no answer in time","data":{"kind":"timeout","origin":"target","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    blind(r#""leg":"callee","mode":"bridge","timeout_ms":5000"#, silent, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee","mode":"bridge","timeout_ms":5000}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"caller","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"target: no answer in time","data":{"kind":"timeout","origin":"target","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_partys_phone_refuses_the_refer() {
    let refuses = |w: &mut World| {
        talking(w);
        w.phones[CALLEE].behaviour.refer = OnRefer::Refuse(603);
    };
    blind(r#""leg":"callee","mode":"refer""#, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"callee: 603 Decline","data":{"kind":"sip_failure","origin":"callee","sip_code":603,"sip_reason":"Decline"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    blind(r#""leg":"callee""#, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"caller","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"FIRST"}}
    "#]]).await;
}

#[tokio::test]
async fn the_party_refuses_the_targets_offer() {
    let refuses = |w: &mut World| {
        talking(w);
        w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
    };
    blind(r#""leg":"callee","mode":"bridge""#, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"callee","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"caller","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"callee: 488 Not Acceptable Here","data":{"kind":"sip_failure","origin":"callee","sip_code":488,"sip_reason":"Not Acceptable Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_partys_phone_takes_the_place_of_the_one_who_connected_them() {
    attended("", consulting, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"NEW","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"NEW"}}
    "#]]).await;
}

#[tokio::test]
async fn the_two_that_remain_are_joined() {
    attended(r#","mode":"bridge""#, consulting, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD","callid":"FIRST"}}
    "#]]).await;
}

#[tokio::test]
async fn the_target_of_an_attended_transfer_refuses() {
    let refuses = |w: &mut World| {
        consulting(w);
        w.phones[OTHER].behaviour.offer = OnOffer::Refuse(488);
    };
    attended(r#","mode":"bridge""#, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee","mode":"bridge"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"CALL_START","callid":"FIRST","leg":"callee","uri":"sip:cindy@127.0.0.1:5073","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"target: 488 Not Acceptable Here","data":{"kind":"sip_failure","origin":"target","sip_code":488,"sip_reason":"Not Acceptable Here"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_party_of_an_attended_transfer_refuses_the_refer() {
    let refuses = |w: &mut World| {
        consulting(w);
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(405);
    };
    attended(r#","mode":"refer""#, refuses, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee","mode":"refer"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32020,"message":"caller: 405 Method Not Allowed","data":{"kind":"sip_failure","origin":"caller","sip_code":405,"sip_reason":"Method Not Allowed"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn the_party_of_an_attended_transfer_does_nothing_within_the_clients_time() {
    let idle = |w: &mut World| {
        consulting(w);
        w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
    };
    attended(r#","mode":"refer","timeout_ms":2000"#, idle, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallAttendedTransfer","params":{"callid_a":"FIRST","leg_a":"caller","callid_b":"SECOND","leg_b":"callee","mode":"refer","timeout_ms":2000}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"CMD","data":"TRANSFER_ACCEPT","callid":"FIRST","leg":"caller","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}

#[tokio::test]
async fn a_call_that_is_over_or_rings_is_not_transferred() {
    let over = |w: &mut World| {
        talking(w);
        w.hang_up(CALLER);
        w.run_for(Duration::from_secs(1));
    };
    blind(r#""leg":"callee""#, over, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
    let rings = |w: &mut World| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        w.talk();
    };
    blind(r#""leg":"callee""#, rings, expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallBlindTransfer","params":{"callid":"FIRST","destination":"sip:cindy@127.0.0.1:5073","leg":"callee"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"CMD","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"CMD","code":-32004,"message":"the call is not answered yet","data":{"kind":"invalid_state"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"CMD"}}
    "#]]).await;
}
