//! Dialect v2 on the embedded engine: what clients of the Go implementation read of calls that phones make,
//! refuse or ignore.

use std::time::Duration;

use call_api::server::dialect::Dialect;
use engine::phone::{Answer, OnRefer};
use expect_test::{Expect, expect};

use crate::transfers::{consulting, talking, told};
use crate::world::{CALLEE, CALLER, OTHER, World};
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
