//! Batches, and the examples of the JSON-RPC 2.0 specification (§7) with methods of ours.

use call_api::api::jsonrpc::MAX_BATCH;
use expect_test::expect;

use crate::{Client, check};

#[tokio::test]
async fn the_specifications_examples_of_wrong_envelopes() {
    check(
        &[
            // rpc call of non-existent method
            r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
            // rpc call with invalid JSON
            r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
            // rpc call with invalid Request object
            r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
            // rpc call Batch, invalid JSON
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
            // rpc call with an empty Array
            "[]",
            // rpc call with an invalid Batch (but not empty)
            "[1]",
            // rpc call with invalid Batch
            "[1,2,3]",
        ],
        expect![[r#"
            > {"jsonrpc": "2.0", "method": "foobar", "id": "1"}
            < {"jsonrpc":"2.0","id":"1","error":{"code":-32601,"message":"unknown method \"foobar\"","data":{"kind":"method_not_found"}}}
            > {"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: expected `,` or `}` at line 1 column 40","data":{"kind":"parse_error"}}}
            > {"jsonrpc": "2.0", "method": 1, "params": "bar"}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"method\" must be a string","data":{"kind":"invalid_request"}}}
            > [{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: expected `:` at line 1 column 96","data":{"kind":"parse_error"}}}
            > []
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a batch must hold a request","data":{"kind":"invalid_request"}}}
            > [1]
            < [{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}]
            > [1,2,3]
            < [{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}]
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_mixed_batch_gets_its_replies_first_and_then_the_notifications_of_its_commands() {
    check(
        &[r#"[{"jsonrpc":"2.0","method":"Echo","params":{"n":1},"id":"1"},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x"}},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"unknown"},"id":"2"},{"foo":"boo"},{"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},{"jsonrpc":"2.0","method":"CallEnd","id":"9"}]"#],
        expect![[r#"
            > [{"jsonrpc":"2.0","method":"Echo","params":{"n":1},"id":"1"},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x"}},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"unknown"},"id":"2"},{"foo":"boo"},{"jsonrpc":"2.0","method":"foo.get","params":{"name":"myself"},"id":"5"},{"jsonrpc":"2.0","method":"CallEnd","id":"9"}]
            < [{"jsonrpc":"2.0","id":"1","result":{"cmd_id":"cmd-1","status":"Started"}},{"jsonrpc":"2.0","id":"2","result":{"cmd_id":"cmd-2","status":"Started"}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\"","data":{"kind":"invalid_request"}}},{"jsonrpc":"2.0","id":"5","error":{"code":-32601,"message":"unknown method \"foo.get\"","data":{"kind":"method_not_found"}}},{"jsonrpc":"2.0","id":"9","error":{"code":-32602,"message":"parameter \"callid\" is missing: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}]
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"REPLY","params":{"n":1},"time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-3"}}
            < {"jsonrpc":"2.0","method":"Error","params":{"cmd_id":"cmd-2","code":-32003,"message":"no call with this Call-ID","data":{"kind":"not_found"}}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_of_notifications_gets_no_reply() {
    check(
        &[r#"[{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x","cmd_id":"a"}},{"jsonrpc":"2.0","method":"NoSuch"},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"y","cmd_id":"b"}}]"#],
        expect![[r#"
            > [{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x","cmd_id":"a"}},{"jsonrpc":"2.0","method":"NoSuch"},{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"y","cmd_id":"b"}}]
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"a"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"b"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_of_one_gets_a_batch_of_one() {
    check(
        &[r#"[{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x"},"id":1}]"#],
        expect![[r#"
            > [{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x"},"id":1}]
            < [{"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}]
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_batch_over_the_bound_is_refused_whole() {
    let mut client = Client::new();
    let one = r#"{"jsonrpc":"2.0","method":"Echo"}"#;
    client.connection.receive(&format!("[{}]", vec![one; MAX_BATCH + 1].join(",")));
    client.write_down();
    assert_eq!(client.commands.running(), 0);
    expect![[r#"
        < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a batch may hold 1000 requests, not 1001","data":{"kind":"invalid_request"}}}
    "#]].assert_eq(&client.transcript);
}
