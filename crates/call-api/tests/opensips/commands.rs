//! What a client reads of each command, when all goes well and when phones fail.

use std::time::Duration;

use expect_test::{Expect, expect};

use crate::client::Client;
use crate::script::{OnHold, OnRefer, Phone, Script, World};

const START: &str = r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1""#;

/// Runs commands in a world in which alice talks to bob, and then nothing is left but what should be.
async fn check(world: World, commands: &[(&str, &str)], left: &[&str], transcript: Expect) {
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await;
    script.call("talk", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    for (method, params) in commands {
        client.run(method, params).await;
    }
    transcript.assert_eq(&client.transcript);
    let callids: Vec<String> = script.dialogs().into_iter().map(|dialog| dialog.callid).collect();
    assert_eq!(callids, left, "the dialogs that are left");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_started() {
    check(World::default(), &[("CallStart", START)], &["talk", "new-of-call"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1","callid":"new-of-call"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_started_and_told_in_full() {
    let world = World { passes_provisional: true, ..World::default() };
    let params = format!(r#"{START},"verbose":true"#);
    check(world, &[("CallStart", &params)], &["talk", "new-of-call"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","verbose":true
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_RINGING","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_PROGRESS","callid":"new-of-call","leg":"caller","uri":"sip:alice@127.0.0.1","sip_code":100}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_PROGRESS","callid":"new-of-call","leg":"caller","uri":"sip:alice@127.0.0.1","sip_code":180}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1","callid":"new-of-call"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_busy() {
    let caller = Phone::Refuses("486 Busy Here", Duration::from_secs(1));
    let world = World { caller, ..World::default() };
    check(world, &[("CallStart", START)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"caller: 486 Busy Here","data":{"kind":"sip_failure","origin":"caller","sip_code":486,"sip_reason":"Busy Here","q850":17}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_does_not_answer() {
    let world = World { caller: Phone::Rings, ..World::default() };
    let params = format!(r#"{START},"timeout_ms":20000"#);
    check(world, &[("CallStart", &params)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":20000
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_callee_is_busy() {
    let target = Phone::Refuses("486 Busy Here", Duration::from_secs(1));
    let world = World { target, ..World::default() };
    check(world, &[("CallStart", START)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_callee_is_not_registered_and_the_notify_says_so() {
    let target = Phone::Refuses("404 Not Found", Duration::ZERO);
    let world = World { target, ..World::default() };
    check(world, &[("CallStart", START)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"callee: 404 Not Found","data":{"kind":"sip_failure","origin":"callee","sip_code":404,"sip_reason":"Not Found"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_callee_does_not_answer() {
    let world = World { target: Phone::Rings, ..World::default() };
    let params = format!(r#"{START},"timeout_ms":20000"#);
    check(world, &[("CallStart", &params)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":20000
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-call","leg":"callee","uri":"sip:bob@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32007,"message":"callee: no answer in time","data":{"kind":"timeout","origin":"callee","sip_code":408}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_refuses_the_refer() {
    let world = World { on_refer: OnRefer::Refuses, ..World::default() };
    check(world, &[("CallStart", START)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"caller: it refused the REFER, or did not answer it","data":{"kind":"sip_failure","origin":"caller"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_takes_the_refer_and_does_nothing() {
    let world = World { on_refer: OnRefer::Nothing, ..World::default() };
    let params = format!(r#"{START},"timeout_ms":20000"#);
    check(world, &[("CallStart", &params)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","timeout_ms":20000
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_hangs_up_when_it_is_referred() {
    let world = World { on_refer: OnRefer::HangsUp, ..World::default() };
    check(world, &[("CallStart", START)], &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"caller: 487 Request Terminated","data":{"kind":"sip_failure","origin":"caller","sip_code":487,"sip_reason":"Request Terminated"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_proxy_keeps_no_dialogs_of_its_own_calls() {
    let world = World { has_no_dialogs: true, ..World::default() };
    let mut script = Script::new(world);
    let mut client = Client::of(&mut script).await;
    client.run("CallStart", START).await;
    expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_ANSWER","callid":"helper-1","leg":"caller","uri":"sip:alice@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32008,"message":"OpenSIPS has no dialog for a call of its own: its script must call create_dialog(), and sip.uri lead there","data":{"kind":"unsupported"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]].assert_eq(&client.transcript);
    let requests = script.requests("t_uac_dlg");
    assert_eq!(requests[1]["method"], "BYE", "the caller is not left with a dead call");
    assert_eq!(requests[1]["next_hop"], "sip:127.0.0.1;lr");
}

#[tokio::test(start_paused = true)]
async fn what_opensips_cannot_do_is_said_before_anything_happens() {
    let bridge = format!(r#"{START},"mode":"bridge""#);
    let headers = format!(r#"{START},"headers":{{"X-Order":"7"}}"#);
    let commands = [("CallStart", bridge.as_str()), ("CallStart", headers.as_str())];
    check(World::default(), &commands, &["talk"], expect![[r#"
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","mode":"bridge"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32008,"message":"mode \"bridge\": OpenSIPS refers phones only","data":{"kind":"unsupported"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
        > CallStart "caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1","headers":{"X-Order":"7"}
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-2","code":-32008,"message":"headers: the callee's INVITE is written by the caller's phone","data":{"kind":"unsupported"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_invite_shows_who_is_called_and_asks_to_be_answered() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    let params = format!(
        r#"{START},"from":"sip:shop@127.0.0.1","display":"The \"Shop\"","auto_answer":true"#
    );
    client.run("CallStart", &params).await;
    let mut invite = script.requests("t_uac_dlg").remove(0);
    let headers = invite["headers"].as_str().unwrap();
    let callid = headers.split("Call-ID: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let headers = headers.replace(callid, "call-api-UUID").replace("\r\n", "\n");
    invite["headers"] = headers.clone().into();
    expect![[r#"
        From: "The \"Shop\"" <sip:shop@127.0.0.1>
        To: <sip:alice@127.0.0.1>
        Contact: <sip:call-api@127.0.0.1:5060>
        Call-ID: call-api-UUID
        CSeq: 1 INVITE
        Content-Type: application/sdp
        Answer-Mode: Auto
        Call-Info: <sip:call-api.invalid>;answer-after=0
        Alert-Info: <http://call-api.invalid>;info=alert-autoanswer
    "#]]
    .assert_eq(&headers);
    assert_eq!(invite["ruri"], "sip:alice@127.0.0.1");
    assert_eq!(invite["next_hop"], "sip:127.0.0.1:5060");
    assert!(invite["body"].as_str().unwrap().contains("a=inactive"));
}

const BLIND: &str = r#""callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1""#;

#[tokio::test(start_paused = true)]
async fn a_party_is_transferred() {
    check(World::default(), &[("CallBlindTransfer", BLIND)], &["new-of-talk"], expect![[r#"
        > CallBlindTransfer "callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"talk","leg":"callee"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-talk","leg":"callee","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1","callid":"new-of-talk"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_fails_and_a_second_one_is_impossible() {
    let target = Phone::Refuses("486 Busy Here", Duration::ZERO);
    let world = World { target, ..World::default() };
    let commands = [("CallBlindTransfer", BLIND), ("CallBlindTransfer", BLIND)];
    check(world, &commands, &["talk"], expect![[r#"
        > CallBlindTransfer "callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"talk","leg":"callee"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-talk","leg":"callee","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
        > CallBlindTransfer "callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-2","code":-32004,"message":"a call is transferred once in OpenSIPS, and this one was, or is being","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refer_is_refused() {
    let world = World { on_refer: OnRefer::Refuses, ..World::default() };
    check(world, &[("CallBlindTransfer", BLIND)], &["talk"], expect![[r#"
        > CallBlindTransfer "callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"callee: it refused the REFER, or did not answer it","data":{"kind":"sip_failure","origin":"callee"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn the_target_does_not_answer_and_the_call_goes_on() {
    let world = World { target: Phone::Rings, ..World::default() };
    let params = format!(r#"{BLIND},"timeout_ms":20000"#);
    check(world, &[("CallBlindTransfer", &params)], &["talk"], expect![[r#"
        > CallBlindTransfer "callid":"talk","leg":"callee","destination":"sip:cindy@127.0.0.1","timeout_ms":20000
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"talk","leg":"callee"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-talk","leg":"callee","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32007,"message":"target: no answer in time","data":{"kind":"timeout","origin":"target","sip_code":408}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn parties_of_two_calls_are_joined() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    script.call("talk", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    script.call("other", "sip:alice@127.0.0.1", "sip:cindy@127.0.0.1");
    let params = r#""callid_a":"talk","leg_a":"callee","callid_b":"other","leg_b":"callee""#;
    client.run("CallAttendedTransfer", params).await;
    let itself = r#""callid_a":"x","leg_a":"callee","callid_b":"x","leg_b":"callee""#;
    client.run("CallAttendedTransfer", itself).await;
    expect![[r#"
        > CallAttendedTransfer "callid_a":"talk","leg_a":"callee","callid_b":"other","leg_b":"callee"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"TRANSFER_ACCEPT","callid":"talk","leg":"callee"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_START","callid":"new-of-talk","leg":"callee","uri":"sip:cindy@127.0.0.1"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1","callid":"new-of-talk"}}
        > CallAttendedTransfer "callid_a":"x","leg_a":"callee","callid_b":"x","leg_b":"callee"
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-2","code":-32004,"message":"the two calls are one","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
    "#]].assert_eq(&client.transcript);
    let left: Vec<String> = script.dialogs().into_iter().map(|dialog| dialog.callid).collect();
    assert_eq!(left, ["new-of-talk"]);
}

#[tokio::test(start_paused = true)]
async fn parties_are_held_and_taken_back() {
    let both = r#""callid":"talk""#;
    let one = r#""callid":"talk","leg":"caller""#;
    let commands = [
        ("CallHold", both),
        ("CallHold", both),
        ("CallUnHold", both),
        ("CallUnHold", both),
        ("CallHold", one),
        ("CallUnHold", one),
    ];
    check(World::default(), &commands, &["talk"], expect![[r#"
        > CallHold "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_HOLD","callid":"talk","leg":"caller"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_HOLD","callid":"talk","leg":"callee"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
        > CallHold "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-2","code":-32004,"message":"already on hold","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
        > CallUnHold "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-3","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-3","data":"CALL_UNHOLD","callid":"talk","leg":"caller"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-3","data":"CALL_UNHOLD","callid":"talk","leg":"callee"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-3"}}
        > CallUnHold "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-4","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-4","code":-32004,"message":"not on hold","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-4"}}
        > CallHold "callid":"talk","leg":"caller"
        < {"id":1,"result":{"cmd_id":"cmd_id-5","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-5","data":"CALL_HOLD","callid":"talk","leg":"caller"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-5"}}
        > CallUnHold "callid":"talk","leg":"caller"
        < {"id":1,"result":{"cmd_id":"cmd_id-6","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-6","data":"CALL_UNHOLD","callid":"talk","leg":"caller"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-6"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn one_party_refuses_to_be_held_and_the_other_is_taken_back() {
    let world = World { on_hold: [OnHold::Agrees, OnHold::Refuses], ..World::default() };
    check(world, &[("CallHold", r#""callid":"talk""#)], &["talk"], expect![[r#"
        > CallHold "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_HOLD","callid":"talk","leg":"caller"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_UNHOLD","callid":"talk","leg":"caller"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32020,"message":"callee: it refused the re-INVITE, or did not answer it","data":{"kind":"sip_failure","origin":"callee"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn opensips_3_holds_both_parties_only() {
    let world = World { is_old: true, ..World::default() };
    let commands = [("CallHold", r#""callid":"talk","leg":"caller""#)];
    check(world, &commands, &["talk"], expect![[r#"
        > CallHold "callid":"talk","leg":"caller"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32008,"message":"this OpenSIPS holds both parties only: one alone needs 4.0","data":{"kind":"unsupported"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
    "#]]).await;
}

#[tokio::test(start_paused = true)]
async fn calls_are_ended_at_any_stage() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    let talk = script.call("talk", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    let early = script.new_dialog("early", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    script.advance(&early, 2);
    client.run("CallHold", r#""callid":"early""#).await;
    let transfer = r#""callid":"early","leg":"callee","destination":"sip:cindy@127.0.0.1""#;
    client.run("CallBlindTransfer", transfer).await;
    assert!(script.requests("call_transfer").is_empty());
    client.run("CallEnd", r#""callid":"early""#).await;
    client.run("CallEnd", &format!(r#""callid":"{talk}""#)).await;
    client.run("CallEnd", r#""callid":"talk""#).await;
    expect![[r#"
        > CallHold "callid":"early"
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-1","code":-32004,"message":"the call is not established","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
        > CallBlindTransfer "callid":"early","leg":"callee","destination":"sip:cindy@127.0.0.1"
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-2","code":-32004,"message":"the call is not established","data":{"kind":"invalid_state"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
        > CallEnd "callid":"early"
        < {"id":1,"result":{"cmd_id":"cmd_id-3","status":"Started"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-3"}}
        > CallEnd "callid":"1.abd"
        < {"id":1,"result":{"cmd_id":"cmd_id-4","status":"Started"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-4"}}
        > CallEnd "callid":"talk"
        < {"id":1,"result":{"cmd_id":"cmd_id-5","status":"Started"}}
        < {"method":"Error","params":{"cmd_id":"cmd_id-5","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-5"}}
    "#]].assert_eq(&client.transcript);
    assert!(script.dialogs().is_empty());
}
