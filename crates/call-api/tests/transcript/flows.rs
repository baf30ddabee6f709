//! Commands that succeed.

use call_api::server::Phase;
use expect_test::expect;

use crate::{Client, check};

#[tokio::test]
async fn a_call_start_sends_the_messages_of_the_example_flow() {
    check(
        &[r#"{"method":"CallStart","params":{"caller":"sip:alice@10.0.0.10","callee":"sip:bob@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sip:alice@10.0.0.10","callee":"sip:bob@10.0.0.11"},"id":"831717ed97e5","jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":"831717ed97e5","result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@10.0.0.10","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@10.0.0.10","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:bob@10.0.0.11","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:bob@10.0.0.11","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"call-1@fake"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_call_that_was_started_can_be_ended() {
    check(
        &[
            r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallEnd","params":{"callid":"call-1@fake"},"id":2,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"call-1@fake"}}
            > {"method":"CallEnd","params":{"callid":"call-1@fake"},"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn verbose_adds_provisional_progress() {
    check(
        &[r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","verbose":true},"id":1,"jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h","verbose":true},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_RINGING","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_PROGRESS","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"TRANSFER_PROGRESS","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","sip_code":180,"time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:bob@h","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1","callid":"call-1@fake"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_request_without_id_is_run_and_not_answered() {
    check(
        &[
            r#"{"method":"CallEnd","params":{"callid":"x","cmd_id":"mine"},"jsonrpc":"2.0"}"#,
            r#"{"method":"CallEnd","params":{"callid":"x"},"id":null,"jsonrpc":"2.0"}"#,
            r#"{"method":"CallEnd","params":{},"jsonrpc":"2.0"}"#,
            r#"{"method":"NoSuchMethod","jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"CallEnd","params":{"callid":"x","cmd_id":"mine"},"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"mine"}}
            > {"method":"CallEnd","params":{"callid":"x"},"id":null,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":null,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"CallEnd","params":{},"jsonrpc":"2.0"}
            > {"method":"NoSuchMethod","jsonrpc":"2.0"}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn echo_sends_back_whatever_it_was_sent() {
    check(
        &[
            r#"{"method":"Echo","params":{"z":[1,{"a":null}],"text":"Grüße\u0000\r\n"},"id":1,"jsonrpc":"2.0"}"#,
            r#"{"method":"Echo","params":[1,2],"id":2,"jsonrpc":"2.0"}"#,
            r#"{"method":"Echo","id":3,"jsonrpc":"2.0"}"#,
            r#"{"method":"Echo","params":{"cmd_id":"mine","verbose":7},"id":4,"jsonrpc":"2.0"}"#,
            r#"{"method":"Echo","params":{"cmd_id":7},"id":5,"jsonrpc":"2.0"}"#,
        ],
        expect![[r#"
            > {"method":"Echo","params":{"z":[1,{"a":null}],"text":"Grüße\u0000\r\n"},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"cmd-1","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-1","data":"REPLY","params":{"z":[1,{"a":null}],"text":"Grüße\u0000\r\n"},"time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-1"}}
            > {"method":"Echo","params":[1,2],"id":2,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":2,"result":{"cmd_id":"cmd-2","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-2","data":"REPLY","params":[1,2],"time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-2"}}
            > {"method":"Echo","id":3,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":3,"result":{"cmd_id":"cmd-3","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"cmd-3","data":"REPLY","params":null,"time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"cmd-3"}}
            > {"method":"Echo","params":{"cmd_id":"mine","verbose":7},"id":4,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":4,"result":{"cmd_id":"mine","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"mine","data":"REPLY","params":{"cmd_id":"mine","verbose":7},"time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"mine"}}
            > {"method":"Echo","params":{"cmd_id":7},"id":5,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"parameter \"cmd_id\" is not valid: expected 1 to 128 printable characters","data":{"kind":"invalid_params"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn every_option_of_call_start_is_accepted() {
    check(
        &[r#"{"method":"CallStart","params":{"caller":"sips:alice@h:5061","callee":"sip:bob@[::1];transport=udp","mode":"refer","from":"sip:shop@h","display":"The \"Shop\" Ü","timeout_ms":30000,"cmd_id":"order 7","verbose":false},"id":1,"jsonrpc":"2.0"}"#],
        expect![[r#"
            > {"method":"CallStart","params":{"caller":"sips:alice@h:5061","callee":"sip:bob@[::1];transport=udp","mode":"refer","from":"sip:shop@h","display":"The \"Shop\" Ü","timeout_ms":30000,"cmd_id":"order 7","verbose":false},"id":1,"jsonrpc":"2.0"}
            < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"order 7","status":"Started"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order 7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sips:alice@h:5061","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order 7","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sips:alice@h:5061","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order 7","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:bob@[::1];transport=udp","time":"T"}}
            < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"order 7","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:bob@[::1];transport=udp","time":"T"}}
            < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"order 7","callid":"call-1@fake"}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_command_outlives_its_client() {
    let mut client = Client::new();
    let other = client.another();
    client.begin(r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h"},"id":1,"jsonrpc":"2.0"}"#);
    drop((client.connection, client.outgoing));
    tokio::task::yield_now().await;
    assert_eq!(other.commands.running(), 1);
    other.backend.release();
    while other.commands.running() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn while_draining_calls_are_not_started_but_can_be_ended_and_commands_run_on() {
    let mut client = Client::new();
    client.begin(r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","cmd_id":"first"},"id":1,"jsonrpc":"2.0"}"#);
    client.phase.send_replace(Phase::Draining);
    client.begin(r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"},"id":2,"jsonrpc":"2.0"}"#);
    client.begin(
        r#"{"method":"CallEnd","params":{"callid":"x","cmd_id":"second"},"id":4,"jsonrpc":"2.0"}"#,
    );
    client.until_ended().await;
    client.begin(r#"{"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","cmd_id":"first"},"id":3,"jsonrpc":"2.0"}"#);
    client.backend.release();
    client.until_ended().await;
    expect![[r#"
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","cmd_id":"first"},"id":1,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":1,"result":{"cmd_id":"first","status":"Started"}}
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:bob@h"},"id":2,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":2,"error":{"code":-32010,"message":"the server is shutting down","data":{"kind":"draining"}}}
        > {"method":"CallEnd","params":{"callid":"x","cmd_id":"second"},"id":4,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":4,"result":{"cmd_id":"second","status":"Started"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"first","data":"CALL_ANSWER","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"first","data":"TRANSFER_ACCEPT","callid":"call-1@fake","leg":"caller","uri":"sip:alice@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"first","data":"CALL_START","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"second"}}
        > {"method":"CallStart","params":{"caller":"sip:alice@h","callee":"sip:hang@h","cmd_id":"first"},"id":3,"jsonrpc":"2.0"}
        < {"jsonrpc":"2.0","id":3,"result":{"cmd_id":"first","status":"Started","replayed":true}}
        < {"jsonrpc":"2.0","method":"Event","params":{"cmd_id":"first","data":"CALL_ANSWER","callid":"call-1@fake","leg":"callee","uri":"sip:hang@h","time":"T"}}
        < {"jsonrpc":"2.0","method":"Ended","params":{"cmd_id":"first","callid":"call-1@fake"}}
    "#]].assert_eq(&client.transcript);
}
