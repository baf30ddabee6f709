//! `CallBlindTransfer` and `CallAttendedTransfer`.

use expect_test::expect;

use crate::check;

#[tokio::test]
async fn a_blind_transfer_sends_the_messages_of_the_example_flow() {
    check(
        &[r#"{"method":"CallBlindTransfer","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"callee","destination":"sip:cindy@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallBlindTransfer","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"callee","destination":"sip:cindy@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":"831717ed97e5","result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller","uri":"sip:cindy@10.0.0.11","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"431fc357.a3e3.49c2@127.0.0.1"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_attended_transfer_sends_the_messages_of_the_example_flow() {
    check(
        &[r#"{"method":"CallAttendedTransfer","params":{"callid_a":"431fc357.a3e3.49c2@127.0.0.1","leg_a":"caller","callid_b":"0ba2cf53-9a78-41de-8fe6-f2e5bb4d1a1e","leg_b":"callee","destination":"sip:cindy@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallAttendedTransfer","params":{"callid_a":"431fc357.a3e3.49c2@127.0.0.1","leg_a":"caller","callid_b":"0ba2cf53-9a78-41de-8fe6-f2e5bb4d1a1e","leg_b":"callee","destination":"sip:cindy@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":"831717ed97e5","result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"callee","uri":"sip:cindy@10.0.0.11","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"431fc357.a3e3.49c2@127.0.0.1"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_target_is_named_as_the_one_at_fault() {
    check(
        &[
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:busy@h","verbose":true},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:silent@h","mode":"bridge","timeout_ms":500},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"caller","mode":"refer"},"id":3,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callid_b":"unknown","leg_b":"caller"},"id":4,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:busy@h","verbose":true},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"x","leg":"callee","uri":"sip:busy@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_RINGING","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here","q850":17}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:silent@h","mode":"bridge","timeout_ms":500},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"TRANSFER_ACCEPT","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"CALL_START","callid":"x","leg":"callee","uri":"sip:silent@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-2","code":-32007,"message":"target: no answer in time","data":{"kind":"timeout","origin":"target","sip_code":408}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
            > {"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"caller","mode":"refer"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"result":{"cmd_id":"cmd-3","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-3","data":"TRANSFER_ACCEPT","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-3","data":"CALL_START","callid":"x","leg":"callee","uri":"sip:other@fake","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-3","callid":"x"}}
            > {"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callid_b":"unknown","leg_b":"caller"},"id":4,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":4,"result":{"cmd_id":"cmd-4","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-4","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-4"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn parameters_that_are_missing_or_wrong_are_named() {
    check(
        &[
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"both","destination":"sip:c@h"},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","destination":"sip:c@h"},"id":3,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:c@h\r\nX: y"},"id":4,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callidA":"x","callid_b":"y","leg_b":"callee"},"id":5,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callid":"x","leg":"caller"},"id":6,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfr","params":{},"id":7,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"destination\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"both","destination":"sip:c@h"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"parameter \"leg\" is not valid: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","destination":"sip:c@h"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"parameter \"leg\" is missing: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"caller","destination":"sip:c@h\r\nX: y"},"id":4,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"parameter \"destination\" is not valid: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callidA":"x","callid_b":"y","leg_b":"callee"},"id":5,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"parameter \"callid_a\" is given twice, the second time as \"callidA\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallAttendedTransfer","params":{"callid":"x","leg":"caller"},"id":6,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32602,"message":"parameter \"callid_a\" is missing (is it \"callid\"?): expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"method":"CallBlindTransfr","params":{},"id":7,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"unknown method \"CallBlindTransfr\", did you mean \"CallBlindTransfer\"?","data":{"kind":"method_not_found"}}}
        "#]],
    )
    .await;
}
