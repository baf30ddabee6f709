//! A client's own `cmd_id` is an idempotency key.

use expect_test::expect;

use crate::{Client, check};

#[tokio::test]
async fn a_retry_gets_the_first_reply_and_starts_nothing() {
    check(
        &[
            r#"{"method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallStart","params":{"cmd_id":"order-7","callee":"sip:b@h","caller":"sip:a@h"},"id":2,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order-7","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:a@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:a@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:b@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order-7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:b@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7","callid":"call-1@fake"}}
            > {"method":"CallStart","params":{"cmd_id":"order-7","callee":"sip:b@h","caller":"sip:a@h"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"order-7","status":"Started","replayed":true}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_transfer_that_is_tried_again_is_one_transfer_however_it_is_spelled() {
    check(
        &[
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:c@h","cmd_id":"move-1"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"cmd_id":"move-1","destination":"sip:c@h","leg":"callee","callid":"x","mode":"auto"},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:d@h","cmd_id":"move-1"},"id":3,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callid_b":"y","leg_b":"callee","cmd_id":"move-2"},"id":4,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"callee","cmd_id":"move-2"},"id":5,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"caller","cmd_id":"move-2"},"id":6,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:c@h","cmd_id":"move-1"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"move-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-1","data":"TRANSFER_ACCEPT","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-1","data":"CALL_START","callid":"x","leg":"caller","uri":"sip:c@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"move-1","callid":"x"}}
            > {"method":"CallBlindTransfer","params":{"cmd_id":"move-1","destination":"sip:c@h","leg":"callee","callid":"x","mode":"auto"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"move-1","status":"Started","replayed":true}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:d@h","cmd_id":"move-1"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
            > {"method":"CallAttendedTransfer","params":{"callid_a":"x","leg_a":"caller","callid_b":"y","leg_b":"callee","cmd_id":"move-2"},"id":4,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":4,"result":{"cmd_id":"move-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-2","data":"TRANSFER_ACCEPT","callid":"x","leg":"caller","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-2","data":"CALL_START","callid":"x","leg":"callee","uri":"sip:other@fake","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"move-2","callid":"x"}}
            > {"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"callee","cmd_id":"move-2"},"id":5,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":5,"result":{"cmd_id":"move-2","status":"Started","replayed":true}}
            > {"method":"CallAttendedTransfer","params":{"callidA":"x","legA":"caller","callidB":"y","legB":"caller","cmd_id":"move-2"},"id":6,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_transfer_that_failed_is_not_tried_again_under_its_id() {
    check(
        &[
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:busy@h","cmd_id":"move-1"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:busy@h","cmd_id":"move-1"},"id":2,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:busy@h","cmd_id":"move-1"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"move-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-1","data":"TRANSFER_ACCEPT","callid":"x","leg":"callee","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"move-1","data":"CALL_START","callid":"x","leg":"caller","uri":"sip:busy@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"move-1","code":-32020,"message":"target: 486 Busy Here","data":{"kind":"sip_failure","origin":"target","sip_code":486,"sip_reason":"Busy Here","q850":17}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"move-1"}}
            > {"method":"CallBlindTransfer","params":{"callid":"x","leg":"callee","destination":"sip:busy@h","cmd_id":"move-1"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"move-1","status":"Started","replayed":true}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_same_id_for_something_else_is_a_conflict() {
    check(
        &[
            r#"{"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallEnd","params":{"callid":"y","cmd_id":"order-7"},"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"Echo","params":{"callid":"x","cmd_id":"order-7"},"id":3,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order-7","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7"}}
            > {"method":"CallEnd","params":{"callid":"y","cmd_id":"order-7"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
            > {"method":"Echo","params":{"callid":"x","cmd_id":"order-7"},"id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32005,"message":"this cmd_id was used for another command","data":{"kind":"conflict"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_retry_within_a_batch_or_over_another_connection_is_a_retry_all_the_same() {
    let mut client = Client::new();
    let one =
        r#"{"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}"#;
    client.send(&format!("[{one},{one}]")).await;
    let mut other = client.another();
    other.send(one).await;
    expect![[r#"
        > [{"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"},{"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}]
        < [{"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order-7","status":"Started"}},{"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order-7","status":"Started","replayed":true}}]
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7"}}
        -- another connection
        > {"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order-7","status":"Started","replayed":true}}
    "#]]
        .assert_eq(&format!("{}-- another connection\n{}", client.transcript, other.transcript));
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_id() {
    check(
        &[
            r#"{"method":"CallEnd","params":{"callid":5,"cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":2,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallEnd","params":{"callid":5,"cmd_id":"order-7"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"method":"CallEnd","params":{"callid":"x","cmd_id":"order-7"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"order-7","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order-7"}}
        "#]],
    )
    .await;
}
