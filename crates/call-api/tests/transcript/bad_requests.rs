//! Requests that are refused: nothing is started.

use expect_test::expect;

use crate::{Client, check};

#[tokio::test]
async fn what_is_not_json_is_a_parse_error_with_a_null_id() {
    check(
        &["", "{", "not json", r#"{"jsonrpc":"2.0","method":"Echo","id":1} trailing"#],
        expect![[r#"
            > 
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: EOF while parsing a value at line 1 column 0","data":{"kind":"parse_error"}}}
            > {
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: EOF while parsing an object at line 1 column 1","data":{"kind":"parse_error"}}}
            > not json
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: expected ident at line 1 column 2","data":{"kind":"parse_error"}}}
            > {"jsonrpc":"2.0","method":"Echo","id":1} trailing
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: trailing characters at line 1 column 42","data":{"kind":"parse_error"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn deep_nesting_is_a_parse_error() {
    let mut client = Client::new();
    let deep = "[".repeat(32_000) + &"]".repeat(32_000);
    client.connection.receive(&deep);
    client
        .connection
        .receive(&format!(r#"{{"jsonrpc":"2.0","method":"Echo","id":1,"params":{deep}}}"#));
    client.write_down();
    expect![[r#"
        < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"nested more than 64 levels deep","data":{"kind":"parse_error"}}}
        < {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"nested more than 64 levels deep","data":{"kind":"parse_error"}}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn json_that_is_not_a_request_is_an_invalid_request() {
    check(
        &[
            "1",
            "null",
            r#""CallStart""#,
            "{}",
            r#"{"method":"Echo","id":1}"#,
            r#"{"jsonrpc":"1.0","method":"Echo","id":2}"#,
            r#"{"jsonrpc":2.0,"method":"Echo","id":3}"#,
            r#"{"jsonrpc":"2.0","id":4}"#,
            r#"{"jsonrpc":"2.0","method":5,"id":5}"#,
            r#"{"jsonrpc":"2.0","method":"Echo","params":"x","id":6}"#,
            r#"{"jsonrpc":"2.0","method":"Echo","id":{"a":1}}"#,
            r#"{"jsonrpc":"2.0","method":"Echo","id":[7]}"#,
            r#"{"jsonrpc":"2.0","method":"Echo","id":true}"#,
            r#"{"jsonrpc":"2.0","result":{},"id":8}"#,
        ],
        expect![[r#"
            > 1
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}
            > null
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}
            > "CallStart"
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"a request must be an object","data":{"kind":"invalid_request"}}}
            > {}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\"","data":{"kind":"invalid_request"}}}
            > {"method":"Echo","id":1}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\"","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"1.0","method":"Echo","id":2}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\"","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":2.0,"method":"Echo","id":3}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32600,"message":"\"jsonrpc\" must be \"2.0\"","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","id":4}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32600,"message":"\"method\" must be a string","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","method":5,"id":5}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32600,"message":"\"method\" must be a string","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","method":"Echo","params":"x","id":6}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32600,"message":"\"params\" must be an object","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","method":"Echo","id":{"a":1}}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"id\" must be a string, a number or null","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","method":"Echo","id":[7]}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"id\" must be a string, a number or null","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","method":"Echo","id":true}
            < {"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"\"id\" must be a string, a number or null","data":{"kind":"invalid_request"}}}
            > {"jsonrpc":"2.0","result":{},"id":8}
            < {"jsonrpc":"2.0","id":8,"error":{"code":-32600,"message":"\"method\" must be a string","data":{"kind":"invalid_request"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn an_unknown_method_is_not_found() {
    check(
        &[
            r#"{"jsonrpc":"2.0","method":"CallPark","params":{"callid":"x"},"id":1}"#,
            r#"{"jsonrpc":"2.0","method":"callstart","id":2}"#,
            r#"{"jsonrpc":"2.0","method":"CallSart","id":3}"#,
            r#"{"jsonrpc":"2.0","method":"NotifyEnd","params":{},"id":4}"#,
            r#"{"jsonrpc":"2.0","method":"rpc.describe","id":5}"#,
            r#"{"jsonrpc":"2.0","method":"a\r\nb","id":6}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","method":"CallPark","params":{"callid":"x"},"id":1}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"unknown method \"CallPark\"","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","method":"callstart","id":2}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"unknown method \"callstart\", did you mean \"CallStart\"?","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","method":"CallSart","id":3}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"unknown method \"CallSart\", did you mean \"CallStart\"?","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","method":"NotifyEnd","params":{},"id":4}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"unknown method \"NotifyEnd\"","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","method":"rpc.describe","id":5}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"unknown method \"rpc.describe\"","data":{"kind":"method_not_found"}}}
            > {"jsonrpc":"2.0","method":"a\r\nb","id":6}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32601,"message":"unknown method \"a\\r\\nb\"","data":{"kind":"method_not_found"}}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_parameter_that_is_missing_unknown_or_wrong_is_named() {
    check(
        &[
            r#"{"jsonrpc":"2.0","method":"CallStart","id":1}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h"},"id":2}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","calee":"sip:b@h"},"id":13}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":5,"callee":"sip:b@h"},"id":3}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"bob"},"id":4}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","mode":"magic"},"id":5}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","timeout_ms":0},"id":6}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","timeout_ms":3600001},"id":7}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","verbose":"yes"},"id":8}"#,
            r#"{"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","calee":"sip:b@h","callee":"sip:b@h"},"id":9}"#,
            r#"{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":""},"id":10}"#,
            r#"{"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x","colour":"red"},"id":11}"#,
            r#"{"jsonrpc":"2.0","method":"CallEnd","params":["x"],"id":12}"#,
        ],
        expect![[r#"
            > {"jsonrpc":"2.0","method":"CallStart","id":1}
            < {"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"parameter \"caller\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h"},"id":2}
            < {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"parameter \"callee\" is missing: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","calee":"sip:b@h"},"id":13}
            < {"jsonrpc":"2.0","id":13,"error":{"code":-32602,"message":"parameter \"callee\" is missing (is it \"calee\"?): expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":5,"callee":"sip:b@h"},"id":3}
            < {"jsonrpc":"2.0","id":3,"error":{"code":-32602,"message":"parameter \"caller\" is not valid: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"bob"},"id":4}
            < {"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"parameter \"callee\" is not valid: expected a SIP URI such as \"sip:alice@10.0.0.10\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","mode":"magic"},"id":5}
            < {"jsonrpc":"2.0","id":5,"error":{"code":-32602,"message":"parameter \"mode\" is not valid: expected \"auto\", \"refer\" or \"bridge\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","timeout_ms":0},"id":6}
            < {"jsonrpc":"2.0","id":6,"error":{"code":-32602,"message":"parameter \"timeout_ms\" is not valid: expected milliseconds from 1 to 3600000","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","timeout_ms":3600001},"id":7}
            < {"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"parameter \"timeout_ms\" is not valid: expected milliseconds from 1 to 3600000","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","callee":"sip:b@h","verbose":"yes"},"id":8}
            < {"jsonrpc":"2.0","id":8,"error":{"code":-32602,"message":"parameter \"verbose\" is not valid: expected true or false","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallStart","params":{"caller":"sip:a@h","calee":"sip:b@h","callee":"sip:b@h"},"id":9}
            < {"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"unknown parameter \"calee\", did you mean \"callee\"?","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallEnd","params":{"callid":""},"id":10}
            < {"jsonrpc":"2.0","id":10,"error":{"code":-32602,"message":"parameter \"callid\" is not valid: expected a SIP Call-ID: 1 to 256 visible ASCII characters","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallEnd","params":{"callid":"x","colour":"red"},"id":11}
            < {"jsonrpc":"2.0","id":11,"error":{"code":-32602,"message":"unknown parameter \"colour\"","data":{"kind":"invalid_params"}}}
            > {"jsonrpc":"2.0","method":"CallEnd","params":["x"],"id":12}
            < {"jsonrpc":"2.0","id":12,"error":{"code":-32602,"message":"parameters must be named: expected an object such as {\"callid\": \"…\"}","data":{"kind":"invalid_params"}}}
        "#]],
    )
    .await;
}

/// Every parameter, with every kind of character that could break out of a SIP header line.
#[tokio::test]
async fn no_parameter_takes_a_control_character() {
    let commands = [
        ("CallStart", "caller", "sip:a@h"),
        ("CallStart", "callee", "sip:a@h"),
        ("CallStart", "from", "sip:a@h"),
        ("CallStart", "display", "name"),
        ("CallStart", "mode", "auto"),
        ("CallStart", "cmd_id", "mine"),
        ("CallHold", "callid", "x"),
        ("CallHold", "leg", "caller"),
        ("CallUnHold", "callid", "x"),
        ("CallUnHold", "leg", "callee"),
        ("CallEnd", "callid", "x"),
        ("CallEnd", "cmd_id", "mine"),
        ("Echo", "cmd_id", "mine"),
    ];
    let mut client = Client::new();
    for (method, name, good) in commands {
        for bad in ["\r\nVia: x", "\n", "\r", "\0", "\t", "\u{1b}", "\u{7f}", "\u{85}"] {
            for value in [
                format!("{good}{bad}"),
                format!("{bad}{good}"),
                good.replacen(['a', 'x'], bad, 1) + bad,
            ] {
                let mut params = match method {
                    "CallStart" => serde_json::json!({"caller": "sip:a@h", "callee": "sip:b@h"}),
                    "CallEnd" | "CallHold" | "CallUnHold" => serde_json::json!({"callid": "x"}),
                    _ => serde_json::json!({}),
                };
                params[name] = value.clone().into();
                let request = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
                client.connection.receive(&request.to_string());
                let reply = client.outgoing.messages.try_recv().unwrap();
                assert!(
                    reply.text().contains("-32602") && reply.text().contains(name),
                    "{value:?}: {}",
                    reply.text()
                );
            }
        }
    }
    assert_eq!(client.commands.running(), 0);
}
