//! The example flow of each command, which is the contract with every client: `METHOD.jsonl` holds
//! the request, and then every message that is read of the command, a line each. Those in `v2/` are in dialect v2,
//! as the Go implementation was recorded.

use call_api::server::dialect::Dialect;
use serde_json::Value;

/// Members that the API may add to `result` and to the `params` of the contract's notifications, and a client may
/// ignore.
fn optional(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::V1 => &["callid", "leg", "uri", "time", "cursor"],
        Dialect::V2 => &["callid", "leg", "uri", "time", "cursor", "status"],
    }
}

/// The request of a command's example, where some of its parameters have other values.
pub(crate) fn request(dialect: Dialect, method: &str, params: &[(&str, &str)]) -> Value {
    let mut request = example(dialect, method).swap_remove(0);
    for (name, value) in params {
        let known = request["params"].get_mut(*name);
        *known.unwrap_or_else(|| panic!("the example of {method} has no {name}")) =
            Value::from(*value);
    }
    request
}

/// Checks that a client has read what the example of a command shows: the same messages with the
/// same members, and beside them none that is not optional. `request` is what was sent.
pub(crate) fn assert_like_example(dialect: Dialect, request: &Value, read: &[Value]) {
    let method = request["method"].as_str().expect("a request has a method");
    let mut example = example(dialect, method);
    let asked = example.remove(0);
    let cmd_id = example[0]["result"]["cmd_id"].clone();
    let chosen = read[0]["result"]["cmd_id"].clone();
    assert_ne!(chosen, Value::Null, "the first message has the cmd_id: {}", read[0]);
    let mut read = read.to_vec();
    // It comes as often as the referred phone likes.
    read.retain(|message| message["params"]["event"] != "TransferPending");
    for message in &mut read {
        for place in ["result", "params"] {
            let Some(members) = message.get_mut(place).and_then(Value::as_object_mut) else {
                continue;
            };
            if members.get("cmd_id") == Some(&chosen) {
                members.insert("cmd_id".to_owned(), cmd_id.clone());
            }
            members.retain(|name, _| !optional(dialect).contains(&name.as_str()));
        }
    }
    // What was asked for comes back, and the new call has a name.
    for message in &mut example {
        if let Some(data) = message.pointer_mut("/params/data").and_then(Value::as_object_mut) {
            let params = asked["params"].as_object().expect("an example has params");
            for (name, value) in params {
                let known = data.values_mut().filter(|known| *known == value && name != "leg");
                known.for_each(|known| *known = request["params"][name].clone());
            }
        }
    }
    for message in read.iter_mut().chain(&mut example) {
        if let Some(callid) = message.pointer_mut("/params/data/callid") {
            assert!(callid.is_string(), "a Call-ID is text");
            *callid = "new".into();
        }
        // The order of members means nothing in JSON.
        message.sort_all_objects();
    }
    let lines = |messages: &[Value]| messages.iter().map(|m| format!("{m}\n")).collect::<String>();
    assert_eq!(lines(&read), lines(&example), "{method}");
}

fn example(dialect: Dialect, method: &str) -> Vec<Value> {
    let folder = match dialect {
        Dialect::V1 => "flows",
        Dialect::V2 => "flows/v2",
    };
    let file = format!("{}/tests/{folder}/{method}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
