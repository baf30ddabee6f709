//! Dialect v2: what clients of the Go implementation send and read.

use call_api::config::Limits;
use call_api::server::dialect::Dialect;
use expect_test::{Expect, expect};

use crate::Client;

/// Sends `requests` one after another, over one connection that speaks v2.
async fn check(requests: &[&str], transcript: Expect) {
    let mut client = Client::new().speaking(Dialect::V2);
    for request in requests {
        client.send(request).await;
    }
    transcript.assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_call_start_tells_its_story() {
    check(
        &[r#"{"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"}}"#],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h"},"event":"CallerAnswered","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"caller":"sip:alice@h","destination":"sip:bob@h"},"event":"Transferring","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake"},"event":"TransferStart","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake","extra":"180 Ringing"},"event":"TransferPending","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","sip_code":180,"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake"},"event":"CalleeAnswered","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","event":"Ended","callid":"call-1@fake","time":"T"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn verbose_adds_how_the_callee_is_doing() {
    check(
        &[r#"{"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","verbose":true}}"#],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","verbose":true}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h"},"event":"CallerAnswered","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"caller":"sip:alice@h","destination":"sip:bob@h"},"event":"Transferring","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake"},"event":"TransferStart","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake","extra":"183 Session Progress"},"event":"TransferPending","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake","extra":"180 Ringing"},"event":"TransferPending","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","sip_code":180,"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":{"callee":"sip:bob@h","caller":"sip:alice@h","callid":"call-1@fake"},"event":"CalleeAnswered","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","event":"Ended","callid":"call-1@fake","time":"T"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn transfers_say_when_they_have_succeeded() {
    check(
        &[
            r#"{"jsonrpc":"2.0","id":"1","method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:cindy@h"}}"#,
            r#"{"jsonrpc":"2.0","id":"2","method":"CallAttendedTransfer","params":{"callidA":"x","legA":"callee","callidB":"y","legB":"caller"}}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:cindy@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-1","data":{"destination":"sip:cindy@h"},"event":"Transferring","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-1","data":{"callid":"x","destination":"sip:cindy@h"},"event":"TransferStart","callid":"x","leg":"caller","uri":"sip:cindy@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-1","data":{"callid":"x","destination":"sip:cindy@h"},"event":"TransferSuccessful","callid":"x","uri":"sip:cindy@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-1","event":"Ended","callid":"x","time":"T"}}
            > {"jsonrpc":"2.0","id":"2","method":"CallAttendedTransfer","params":{"callidA":"x","legA":"callee","callidB":"y","legB":"caller"}}
            < {"jsonrpc":"2.0","id":"2","result":{"cmd_id":"cmd-2","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-2","event":"Transferring","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-2","data":{"callid":"x","destination":"sip:other@fake"},"event":"TransferStart","callid":"x","leg":"caller","uri":"sip:other@fake","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-2","data":{"callid":"x","destination":"sip:other@fake"},"event":"TransferSuccessful","callid":"x","uri":"sip:other@fake","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-2","event":"Ended","callid":"x","time":"T"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn holds_say_who_is_asked_and_who_agreed() {
    check(
        &[
            r#"{"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"callid":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":"2","method":"CallUnhold","params":{"callid":"x","leg":"caller"}}"#,
            r#"{"jsonrpc":"2.0","id":"3","method":"CallUnHold","params":{"callid":"x","leg":""}}"#,
            r#"{"jsonrpc":"2.0","id":"4","method":"CallEnd","params":{"callid":"x"}}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"callid":"x"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","event":"CallHolding","callid":"x","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","data":{"leg":"caller"},"event":"CallHoldStart","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","data":{"leg":"callee"},"event":"CallHoldStart","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","data":{"leg":"caller"},"event":"CallHoldSuccessful","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","data":{"leg":"callee"},"event":"CallHoldSuccessful","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-1","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"2","method":"CallUnhold","params":{"callid":"x","leg":"caller"}}
            < {"jsonrpc":"2.0","id":"2","result":{"cmd_id":"cmd-2","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-2","event":"CallUnholding","callid":"x","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-2","data":{"leg":"caller"},"event":"CallUnholdStart","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-2","data":{"leg":"caller"},"event":"CallUnholdSuccessful","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-2","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"3","method":"CallUnHold","params":{"callid":"x","leg":""}}
            < {"jsonrpc":"2.0","id":"3","result":{"cmd_id":"cmd-3","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","event":"CallUnholding","callid":"x","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","data":{"leg":"caller"},"event":"CallUnholdStart","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","data":{"leg":"callee"},"event":"CallUnholdStart","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","data":{"leg":"caller"},"event":"CallUnholdSuccessful","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","data":{"leg":"callee"},"event":"CallUnholdSuccessful","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-3","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"4","method":"CallEnd","params":{"callid":"x"}}
            < {"jsonrpc":"2.0","id":"4","result":{"cmd_id":"cmd-4","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-4","event":"Ended","time":"T"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn failures_are_told_in_words_and_for_programs() {
    let start = |caller: &str, callee: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"1","method":"CallStart","params":{{"caller":"sip:{caller}@h","callee":"sip:{callee}@h"}}}}"#
        )
    };
    check(
        &[
            &start("busy", "bob"),
            &start("silent", "bob"),
            &start("offline", "bob"),
            &start("alice", "busy"),
            r#"{"jsonrpc":"2.0","id":"2","method":"CallHold","params":{"callid":"held"}}"#,
            r#"{"jsonrpc":"2.0","id":"3","method":"CallHold","params":{"callid":"unknown"}}"#,
            r#"{"jsonrpc":"2.0","id":"4","method":"CallEnd","params":{"callid":"unknown"}}"#,
            r#"{"jsonrpc":"2.0","id":"5","method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:engaged@h"}}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:busy@h","callee":"sip:bob@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":"failed to establish initial call: 486 Busy Here","event":"Error","error":{"code":-32020,"message":"caller: 486 Busy Here","data":{"kind":"sip_failure","origin":"caller","sip_code":486,"sip_reason":"Busy Here","q850":17}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:silent@h","callee":"sip:bob@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-2","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-2","data":"failed to establish initial call: 408 Request Timeout","event":"Error","error":{"code":-32007,"message":"caller: no answer in time","data":{"kind":"timeout","origin":"caller","sip_code":408}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-2","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:offline@h","callee":"sip:bob@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-3","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-3","data":"the proxy does not answer","event":"Error","error":{"code":-32009,"message":"the proxy does not answer","data":{"kind":"backend_unavailable"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-3","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:busy@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-4","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","data":{"callee":"sip:busy@h","caller":"sip:alice@h"},"event":"CallerAnswered","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","data":{"caller":"sip:alice@h","destination":"sip:busy@h"},"event":"Transferring","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","data":{"callee":"sip:busy@h","caller":"sip:alice@h","callid":"call-1@fake"},"event":"TransferStart","callid":"call-1@fake","leg":"callee","uri":"sip:busy@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","data":{"callee":"sip:busy@h","caller":"sip:alice@h","callid":"call-1@fake","extra":"180 Ringing"},"event":"TransferPending","callid":"call-1@fake","leg":"callee","uri":"sip:busy@h","sip_code":180,"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","data":"486 Busy Here","event":"Error","error":{"code":-32020,"message":"callee: 486 Busy Here","data":{"kind":"sip_failure","origin":"callee","sip_code":486,"sip_reason":"Busy Here","q850":17}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-4","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"2","method":"CallHold","params":{"callid":"held"}}
            < {"jsonrpc":"2.0","id":"2","result":{"cmd_id":"cmd-5","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-5","data":"480 Both dialog legs are on hold","event":"Error","error":{"code":-32004,"message":"already on hold","data":{"kind":"invalid_state"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-5","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"3","method":"CallHold","params":{"callid":"unknown"}}
            < {"jsonrpc":"2.0","id":"3","result":{"cmd_id":"cmd-6","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-6","data":"404 Dialog not found","event":"Error","error":{"code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-6","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"4","method":"CallEnd","params":{"callid":"unknown"}}
            < {"jsonrpc":"2.0","id":"4","result":{"cmd_id":"cmd-7","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-7","data":"404 Requested Dialog not found","event":"Error","error":{"code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-7","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"5","method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:engaged@h"}}
            < {"jsonrpc":"2.0","id":"5","result":{"cmd_id":"cmd-8","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-8","data":{"destination":"sip:engaged@h"},"event":"Transferring","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-8","data":{"callid":"x","destination":"sip:engaged@h"},"event":"TransferStart","callid":"x","leg":"caller","uri":"sip:engaged@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-8","data":"491 Request Pending","event":"Error","error":{"code":-32004,"message":"a transfer is under way","data":{"kind":"invalid_state"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-8","event":"Ended","time":"T"}}
        "#]],
    )
    .await;
}

/// Each was accepted by the Go implementation.
#[tokio::test]
async fn requests_are_read_loosely() {
    check(
        &[
            r#"{"jsonrpc":"2.0","id":{"o":[1,true]},"method":"Echo","params":{"a":"b"}}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"Echo","params":{"a":"b"}}"#,
            r#"{"jsonrpc":"2.0","method":"Echo","params":{"a":"b"}}"#,
            r#"{"jsonrpc":"1.0","id":"v","method":"Echo","params":{"cmd_id":"","a":"c"}}"#,
            r#"{"JSONRPC":"2.0","ID":"ci","Method":"Echo","PARAMS":{"A":"b"}}"#,
            r#"{"id":"nov","method":"CallEnd","params":{"callid":"x","colour":"red","cmd_id":""}}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","id":{"o":[1,true]},"method":"Echo","params":{"a":"b"}}
            < {"jsonrpc":"2.0","id":{"o":[1,true]},"result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-1","data":{"a":"b"},"event":"Reply","time":"T"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-1","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":1.5,"method":"Echo","params":{"a":"b"}}
            < {"jsonrpc":"2.0","id":1.5,"result":{"cmd_id":"cmd-2","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-2","data":{"a":"b"},"event":"Reply","time":"T"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-2","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","method":"Echo","params":{"a":"b"}}
            < {"jsonrpc":"2.0","id":null,"result":{"cmd_id":"cmd-3","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-3","data":{"a":"b"},"event":"Reply","time":"T"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-3","event":"Ended","time":"T"}}
            > {"jsonrpc":"1.0","id":"v","method":"Echo","params":{"cmd_id":"","a":"c"}}
            < {"jsonrpc":"2.0","id":"v","result":{"cmd_id":"cmd-4","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-4","data":{"cmd_id":"","a":"c"},"event":"Reply","time":"T"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-4","event":"Ended","time":"T"}}
            > {"JSONRPC":"2.0","ID":"ci","Method":"Echo","PARAMS":{"A":"b"}}
            < {"jsonrpc":"2.0","id":"ci","result":{"cmd_id":"cmd-5","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-5","data":{"A":"b"},"event":"Reply","time":"T"}}
            < {"jsonrpc":"2.0","method":"Echo","params":{"cmd_id":"cmd-5","event":"Ended","time":"T"}}
            > {"id":"nov","method":"CallEnd","params":{"callid":"x","colour":"red","cmd_id":""}}
            < {"jsonrpc":"2.0","id":"nov","result":{"cmd_id":"cmd-6","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-6","event":"Ended","time":"T"}}
        "#]],
    )
    .await;
}

/// As it was recorded: of a request that has nothing but text in it, and a known method.
#[tokio::test]
async fn a_command_whose_parameters_are_wrong_is_started_and_fails() {
    let request = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":"1","method":"{method}","params":{{{params}}}}}"#)
    };
    check(
        &[
            &request("CallStart", ""),
            &request("CallStart", r#""caller":"sip:alice@h","callee":"""#),
            &request("CallStart", r#""caller":"not a uri","callee":"sip:bob@h""#),
            &request(
                "CallBlindTransfer",
                r#""callid":"x","leg":"both","destination":"sip:cindy@h""#,
            ),
            &request("CallAttendedTransfer", r#""callidA":"x","legA":"caller","callidB":"y""#),
            &request("CallHold", r#""callid":"a b""#),
            &request("CallUnHold", ""),
            &request("CallEnd", r#""callid":"a b","colour":"red""#),
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","data":"caller not specified","event":"Error","error":{"code":-32602,"message":"parameter \"caller\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-1","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":""}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-2","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-2","data":"callee not specified","event":"Error","error":{"code":-32602,"message":"parameter \"callee\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-2","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"not a uri","callee":"sip:bob@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-3","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-3","data":"400 Invalid ruri","event":"Error","error":{"code":-32602,"message":"parameter \"caller\" is not valid: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallStart","params":{"cmd_id":"cmd-3","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallBlindTransfer","params":{"callid":"x","leg":"both","destination":"sip:cindy@h"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-4","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-4","data":"-32000 Server error","event":"Error","error":{"code":-32602,"message":"parameter \"leg\" is not valid: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallBlindTransfer","params":{"cmd_id":"cmd-4","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-5","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-5","data":"legB not specified","event":"Error","error":{"code":-32602,"message":"parameter \"leg_b\" is missing: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallAttendedTransfer","params":{"cmd_id":"cmd-5","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"callid":"a b"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-6","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-6","data":"404 Dialog not found","event":"Error","error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"cmd-6","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallUnHold","params":{}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-7","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-7","data":"callid not specified","event":"Error","error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallUnhold","params":{"cmd_id":"cmd-7","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":"a b","colour":"red"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-8","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-8","data":"404 Requested Dialog not found","event":"Error","error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-8","event":"Ended","time":"T"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_command_sent_again_is_a_retry_and_another_one_a_conflict() {
    let hold = |params: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"1","method":"CallHold","params":{{"cmd_id":"mine"{params}}}}}"#
        )
    };
    check(
        &[&hold(""), &hold(""), &hold(r#","callid":"x""#), &hold(r#","leg":"caller""#)],
        expect![[r#"
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"mine"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"mine","event":"Started","status":"Started"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","data":"callid not specified","event":"Error","error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}},"time":"T"}}
            < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","event":"Ended","time":"T"}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"mine"}}
            < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"mine","event":"Started","status":"Started","replayed":true}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"mine","callid":"x"}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"mine","leg":"caller"}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
        "#]],
    )
    .await;
}

/// It does not run for longer than it takes to say that it failed, and has called nobody.
#[tokio::test]
async fn a_wrong_command_takes_no_room() {
    let mut client = Client::with_limits(&Limits { commands: 1, ..Limits::default() });
    client = client.speaking(Dialect::V2);
    for _ in 0..3 {
        client.send(r#"{"jsonrpc":"2.0","id":1,"method":"CallStart","params":{}}"#).await;
        assert_eq!(client.commands.running(), 0);
    }
    client.transcript.clear();
    client.send(r#"{"jsonrpc":"2.0","id":1,"method":"CallEnd","params":{"callid":"x"}}"#).await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"CallEnd","params":{"callid":"x"}}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-4","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"cmd-4","event":"Ended","time":"T"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_wrong_command_is_read_by_a_subscriber_of_v1() {
    let mut actor = Client::new().speaking(Dialect::V2);
    let mut of_v1 = actor.another();
    actor.send(r#"{"jsonrpc":"2.0","id":2,"method":"CallHold","params":{"cmd_id":"mine"}}"#).await;
    of_v1.begin(
        r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"mine"}}}"#,
    );
    of_v1.idle().await;
    of_v1.write_down();
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"mine"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"mine","code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"},"subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"mine","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
    "#]].assert_eq(&of_v1.transcript);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_as_in_v1() {
    check(
        &[
            "not json",
            "[]",
            r#"{"jsonrpc":"2.0","id":"m","method":5,"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"NoSuchMethod","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallStart"}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallStart","params":["sip:alice@h","sip:bob@h"]}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":7}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"callid":null}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"timeout_ms":500}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","mode":"both"}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"a\r\nb"}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"Echo","params":{"cmd_id":5}}"#,
            r#"{"jsonrpc":"2.0","id":"1","method":"CallGet","params":{"callid":"x","colour":"red"}}"#,
        ],
        expect![[r#"
            > not json
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: expected ident at line 1 column 2","data":{"kind":"parse_error"}}}
            > []
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a batch must hold a request","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":"m","method":5,"params":{}}
            < {"jsonrpc":"2.0","id":"m","error":{"code":-32600,"message":"\"method\" must be a string","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":"1","method":"NoSuchMethod","params":{}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32601,"message":"unknown method \"NoSuchMethod\"","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart"}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"caller\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":["sip:alice@h","sip:bob@h"]}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameters must be named: expected an object such as {\"callid\": \"…\"}","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":7}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"callid":null}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"timeout_ms":500}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","mode":"both"}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"mode\" is not valid: expected \"auto\", \"refer\" or \"bridge\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallHold","params":{"cmd_id":"a\r\nb"}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"cmd_id\" is not valid: expected 1 to 128 printable characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"Echo","params":{"cmd_id":5}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"parameter \"cmd_id\" is not valid: expected 1 to 128 printable characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","id":"1","method":"CallGet","params":{"callid":"x","colour":"red"}}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"unknown parameter \"colour\"","data":{"kind":"invalid_params"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_retry_is_told_in_both_members() {
    let request =
        r#"{"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":"x","cmd_id":"mine"}}"#;
    check(&[request, request], expect![[r#"
        > {"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":"x","cmd_id":"mine"}}
        < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"mine","event":"Started","status":"Started"}}
        < {"jsonrpc":"2.0","method":"CallEnd","params":{"cmd_id":"mine","event":"Ended","time":"T"}}
        > {"jsonrpc":"2.0","id":"1","method":"CallEnd","params":{"callid":"x","cmd_id":"mine"}}
        < {"jsonrpc":"2.0","id":"1","result":{"cmd_id":"mine","event":"Started","status":"Started","replayed":true}}
    "#]]).await;
}

/// One journal is read in both dialects: a record is one notification at most in either, so `prev` is the
/// cursor of what this client read before.
#[tokio::test]
async fn a_command_is_read_by_subscribers_of_both_dialects() {
    let subscribe =
        r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"mine"}}}"#;
    let hold =
        r#"{"jsonrpc":"2.0","id":2,"method":"CallHold","params":{"callid":"x","cmd_id":"mine"}}"#;
    let mut actor = Client::new().speaking(Dialect::V2);
    let mut of_v1 = actor.another();
    let mut of_v2 = actor.another().speaking(Dialect::V2);
    actor.send(hold).await;
    let mut transcript = String::new();
    for (name, watcher) in [("v1", &mut of_v1), ("v2", &mut of_v2)] {
        watcher.begin(subscribe);
        watcher.idle().await;
        watcher.write_down();
        transcript += &format!("{name}\n{}", watcher.transcript);
    }
    expect![[r#"
        v1
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"mine"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"mine","data":"CALL_HOLD","callid":"x","leg":"caller","time":"T","subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"mine","data":"CALL_HOLD","callid":"x","leg":"callee","time":"T","subscription":"sub-1","cursor":"0000000a-6","prev":"0000000a-5"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"mine","subscription":"sub-1","cursor":"0000000a-7","prev":"0000000a-6"}}
        v2
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"cmd_id":"mine"}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","event":"CallHolding","callid":"x","time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-0"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","data":{"leg":"caller"},"event":"CallHoldStart","callid":"x","leg":"caller","time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","data":{"leg":"callee"},"event":"CallHoldStart","callid":"x","leg":"callee","time":"T","subscription":"sub-1","cursor":"0000000a-4","prev":"0000000a-3"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","data":{"leg":"caller"},"event":"CallHoldSuccessful","callid":"x","leg":"caller","time":"T","subscription":"sub-1","cursor":"0000000a-5","prev":"0000000a-4"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","data":{"leg":"callee"},"event":"CallHoldSuccessful","callid":"x","leg":"callee","time":"T","subscription":"sub-1","cursor":"0000000a-6","prev":"0000000a-5"}}
        < {"jsonrpc":"2.0","method":"CallHold","params":{"cmd_id":"mine","event":"Ended","time":"T","subscription":"sub-1","cursor":"0000000a-7","prev":"0000000a-6"}}
    "#]].assert_eq(&transcript);
}

/// Whoever resumes at any cursor is told what comes after it, and nothing twice.
#[tokio::test]
async fn a_client_of_v2_resumes_between_any_two_notifications() {
    let subscribe = |since: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{{"filter":{{"cmd_id":"mine"}},"since":"{since}"}}}}"#
        )
    };
    let mut actor = Client::new().speaking(Dialect::V2);
    let start = actor.journal.cursor(0).to_string();
    actor
        .send(r#"{"jsonrpc":"2.0","id":2,"method":"CallHold","params":{"callid":"x","cmd_id":"mine"}}"#)
        .await;
    let mut all = actor.another().speaking(Dialect::V2);
    let told = resumed(&mut all, &subscribe(&start)).await;
    assert_eq!(told.len(), 6, "{told:?}");
    for (at, (_, cursor)) in told.iter().enumerate() {
        let mut again = actor.another().speaking(Dialect::V2);
        assert_eq!(resumed(&mut again, &subscribe(cursor)).await, told[at + 1..]);
    }
}

/// The names and cursors of what a subscription tells; each `prev` is the cursor before it.
async fn resumed(client: &mut Client, subscribe: &str) -> Vec<(String, String)> {
    client.connection.receive(subscribe);
    client.idle().await;
    let mut told = Vec::new();
    let mut last = None;
    while let Ok(message) = client.outgoing.messages.try_recv() {
        let message: serde_json::Value = serde_json::from_str(message.text()).unwrap();
        let place = if message["result"].is_object() { "result" } else { "params" };
        let text = |name: &str| message[place][name].as_str().map(str::to_owned);
        if place == "params" {
            assert_eq!(text("prev"), last, "{message}");
            told.push((text("event").unwrap(), text("cursor").unwrap()));
        }
        last = text("cursor");
    }
    told
}
