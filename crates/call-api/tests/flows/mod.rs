//! The example flow of each command, which is the contract with every client: `METHOD.jsonl` holds
//! the request, and then every message that is read of the command, a line each.

use serde_json::Value;

/// Members that the API may add to the `params` of the contract's notifications, and a client may
/// ignore.
const OPTIONAL: [&str; 5] = ["callid", "leg", "uri", "time", "cursor"];

/// The request of a command's example, where some of its parameters have other values.
pub(crate) fn request(method: &str, params: &[(&str, &str)]) -> Value {
    let mut request = example(method).swap_remove(0);
    for (name, value) in params {
        let known = request["params"].get_mut(*name);
        *known.unwrap_or_else(|| panic!("the example of {method} has no {name}")) =
            Value::from(*value);
    }
    request
}

/// Checks that a client has read what the example of a command shows: the same messages with the
/// same members, and beside them none that is not optional.
pub(crate) fn assert_like_example(method: &str, read: &[Value]) {
    let mut example = example(method).split_off(1);
    let cmd_id = example[0]["result"]["cmd_id"].clone();
    let chosen = read[0]["result"]["cmd_id"].clone();
    assert_ne!(chosen, Value::Null, "the first message has the cmd_id: {}", read[0]);
    let mut read = read.to_vec();
    for message in &mut read {
        for place in ["result", "params"] {
            match message.get_mut(place).and_then(|place| place.get_mut("cmd_id")) {
                Some(found) if *found == chosen => *found = cmd_id.clone(),
                Some(_) | None => {}
            }
        }
        if let Some(params) = message.get_mut("params").and_then(Value::as_object_mut) {
            params.retain(|name, _| !OPTIONAL.contains(&name.as_str()));
        }
    }
    // The order of members means nothing in JSON.
    read.iter_mut().chain(&mut example).for_each(Value::sort_all_objects);
    let lines = |messages: &[Value]| messages.iter().map(|m| format!("{m}\n")).collect::<String>();
    assert_eq!(lines(&read), lines(&example), "{method}");
}

fn example(method: &str) -> Vec<Value> {
    let file = format!("{}/tests/flows/{method}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
