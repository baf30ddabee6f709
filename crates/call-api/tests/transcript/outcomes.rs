//! Commands that fail: one `Error`, then `Ended`.

use std::time::Duration;

use call_api::api::ErrorKind;
use call_api::config::Limits;
use call_api::server::Phase;
use expect_test::expect;

use crate::{Client, check};

fn call(caller: &str, callee: &str) -> String {
    format!(
        r#"{{"method":"CallStart","params":{{"caller":"sip:{caller}@h","callee":"sip:{callee}@h"}},"id":1,"jsonrpc":"2.0"}}"#
    )
}

#[tokio::test]
async fn a_busy_caller_is_an_error_before_any_event() {
    check(&[&call("busy", "bob")], expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:busy@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32020,"message":"caller: 486 Busy Here","data":{"kind":"sip_failure","origin":"caller","sip_code":486,"sip_reason":"Busy Here","q850":17}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
    "#]]).await;
}

#[tokio::test]
async fn a_busy_callee_is_an_error_after_the_caller_answered() {
    check(&[&call("alice", "busy")], expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:busy@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:busy@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here","q850":17}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
    "#]]).await;
}

#[tokio::test]
async fn a_callee_that_never_answers_is_a_timeout_with_its_origin() {
    check(&[&call("alice", "silent")], expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:silent@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:silent@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32007,"message":"callee: no answer in time","data":{"kind":"timeout","origin":"callee","sip_code":408}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
    "#]]).await;
}

#[tokio::test]
async fn every_other_failure_has_its_code_and_kind() {
    let callers = ["gone", "engaged", "foreign", "offline", "crowded", "closing", "broken"];
    let requests: Vec<_> = callers.iter().map(|caller| call(caller, "bob")).collect();
    let requests: Vec<_> = requests.iter().map(String::as_str).collect();
    check(&requests, expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:gone@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32003,"message":"sip:gone@h is not registered","data":{"kind":"not_found"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
        > {"method":"CallStart","params":{"caller":"sip:engaged@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-2","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-2","code":-32004,"message":"a transfer is under way","data":{"kind":"invalid_state"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        > {"method":"CallStart","params":{"caller":"sip:foreign@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-3","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-3","code":-32008,"message":"this backend cannot do that","data":{"kind":"unsupported"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-3"}}
        > {"method":"CallStart","params":{"caller":"sip:offline@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-4","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-4","code":-32009,"message":"the proxy does not answer","data":{"kind":"backend_unavailable"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-4"}}
        > {"method":"CallStart","params":{"caller":"sip:crowded@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-5","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-5","code":-32006,"message":"too many calls","data":{"kind":"rate_limited"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-5"}}
        > {"method":"CallStart","params":{"caller":"sip:closing@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-6","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-6","code":-32010,"message":"the server is shutting down","data":{"kind":"draining"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-6"}}
        > {"method":"CallStart","params":{"caller":"sip:broken@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-7","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-7","code":-32603,"message":"this is a bug","data":{"kind":"internal"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-7"}}
    "#]]).await;
}

#[tokio::test]
async fn a_call_that_does_not_exist_cannot_be_ended() {
    check(
        &[r#"{"method":"CallEnd","params":{"callid":"unknown"},"id":1,"jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallEnd","params":{"callid":"unknown"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_panic_in_the_backend_costs_one_command() {
    let request = call("alice", "panic");
    check(
        &[&request, r#"{"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:panic@h"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:panic@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32603,"message":"the command met a bug","data":{"kind":"internal"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        "#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_returns_is_given_up_after_the_deadline_and_its_grace() {
    let mut client = Client::new();
    let start = tokio::time::Instant::now();
    client.begin(r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","timeout_ms":5000},"id":1,"jsonrpc":"2.0"}"#);
    client.until_ended().await;
    assert_eq!(start.elapsed(), Duration::from_secs(45));
    // What the backend reports from now on goes nowhere.
    client.backend.release();
    client.send(r#"{"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}"#).await;
    expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","timeout_ms":5000},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32603,"message":"the command did not end in time","data":{"kind":"internal"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
        > {"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_command_that_outlasts_the_drain_ends_with_an_error() {
    let mut client = Client::new();
    client.begin(&call("alice", "hang"));
    client.idle().await;
    client.phase.send_replace(Phase::Ending);
    client.until_ended().await;
    expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32010,"message":"the server is shutting down","data":{"kind":"draining"}}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn one_command_more_than_the_bound_is_refused() {
    let mut client = Client::with_limits(&Limits { commands: 1, ..Limits::default() });
    client.begin(&call("alice", "hang"));
    client.begin(r#"{"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}"#);
    client.backend.release();
    client.until_ended().await;
    client.idle().await;
    client.send(r#"{"method":"CallEnd","params":{"callid":"x"},"id":3,"jsonrpc":"2.0"}"#).await;
    expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
        > {"method":"CallEnd","params":{"callid":"x"},"id":2,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":2,"error":{"code":-32006,"message":"too many commands are running","data":{"kind":"rate_limited"}}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"call-1@fake"}}
        > {"method":"CallEnd","params":{"callid":"x"},"id":3,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":3,"result":{"cmd_id":"cmd-2","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
    "#]].assert_eq(&client.transcript);
}

#[test]
fn the_table_of_errors_is_the_documented_one() {
    let table: String =
        ErrorKind::TABLE.iter().map(|(_, code, name)| format!("{code} {name}\n")).collect();
    expect![[r#"
        -32700 parse_error
        -32600 invalid_request
        -32601 method_not_found
        -32602 invalid_params
        -32603 internal
        -32000 auth_required
        -32001 auth_failed
        -32002 forbidden
        -32003 not_found
        -32004 invalid_state
        -32005 conflict
        -32006 rate_limited
        -32007 timeout
        -32008 unsupported
        -32009 backend_unavailable
        -32010 draining
        -32020 sip_failure
    "#]]
    .assert_eq(&table);
}
