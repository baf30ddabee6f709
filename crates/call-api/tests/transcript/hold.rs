//! `CallHold` and `CallUnHold`.

use expect_test::expect;

use crate::check;

#[tokio::test]
async fn a_hold_of_one_leg_sends_the_messages_of_the_example_flow() {
    check(
        &[
            r#"{"method":"CallHold","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller"},"id":"831717ed97e5","jsonrpc":"2.0"}"#,
            r#"{"method":"CallUnHold","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller"},"id":"831717ed97e5","jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallHold","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller"},"id":"831717ed97e5","jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":"831717ed97e5","result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_HOLD","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallUnHold","params":{"callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller"},"id":"831717ed97e5","jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":"831717ed97e5","result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"CALL_UNHOLD","callid":"431fc357.a3e3.49c2@127.0.0.1","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn without_a_leg_both_are_held_and_either_spelling_takes_both_back() {
    check(
        &[
            r#"{"method":"CallHold","params":{"callid":"x"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallUnhold","params":{"callid":"x","timeout_ms":5000},"id":2,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallHold","params":{"callid":"x"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_HOLD","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_HOLD","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallUnhold","params":{"callid":"x","timeout_ms":5000},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"CALL_UNHOLD","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"CALL_UNHOLD","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_call_that_is_unknown_or_held_already_is_an_error() {
    check(
        &[
            r#"{"method":"CallHold","params":{"callid":"unknown"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallHold","params":{"callid":"held"},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallUnHold","params":{"callid":"unknown"},"id":3,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallHold","params":{"callid":"unknown"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-1","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallHold","params":{"callid":"held"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-2","code":-32004,"message":"already on hold","data":{"kind":"invalid_state"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
            > {"method":"CallUnHold","params":{"callid":"unknown"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"result":{"cmd_id":"cmd-3","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-3","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-3"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_leg_is_caller_or_callee_and_a_callid_is_needed() {
    check(
        &[
            r#"{"method":"CallHold","params":{"callid":"x","leg":"both"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallUnHold","params":{"callid":"x","leg":7},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallHold","params":{"leg":"caller"},"id":3,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallHold","params":{"callid":"x","headers":[]},"id":4,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallHold","params":{"callid":"x","leg":"both"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"leg\" is not valid: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallUnHold","params":{"callid":"x","leg":7},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"parameter \"leg\" is not valid: expected \"caller\" or \"callee\"","data":{"kind":"invalid_params"}}}
            > {"method":"CallHold","params":{"leg":"caller"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"method":"CallHold","params":{"callid":"x","headers":[]},"id":4,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"unknown parameter \"headers\"","data":{"kind":"invalid_params"}}}
        "#]],
    )
    .await;
}
