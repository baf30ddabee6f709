//! The `curl` commands of `docs/http.md` print what the page shows.

use serde_json::Value;
use tokio::process::Command;

use crate::libraries::{Demo, output};
use crate::{is_installed, program, root};

/// What differs from run to run.
const NAMES: [&str; 4] = ["callid", "cmd_id", "cursor", "time"];

/// The messages of an answer, in lines or in events, and how many of these have an id.
fn messages(text: &str) -> (Vec<Value>, usize) {
    let ids = text.lines().filter(|line| line.starts_with("id: ")).count();
    let lines = text.lines().filter(|line| !line.starts_with("id: "));
    let json: String = lines.map(|line| line.strip_prefix("data: ").unwrap_or(line)).collect();
    let messages = serde_json::Deserializer::from_str(&json).into_iter();
    let messages = messages.collect::<Result<Vec<Value>, _>>();
    let mut messages = messages.unwrap_or_else(|error| panic!("{error} in {text}"));
    for message in &mut messages {
        for part in ["result", "params"] {
            let members = message.get_mut(part).and_then(Value::as_object_mut);
            for (name, value) in members.into_iter().flatten() {
                if NAMES.contains(&name.as_str()) && value != "greeting" {
                    *value = Value::Null;
                }
            }
            // The page leaves out the cursors in commands' notifications.
            if let Some(members) = message.get_mut(part).and_then(Value::as_object_mut) {
                members.remove("cursor");
            }
        }
    }
    (messages, ids)
}

#[tokio::test]
async fn the_commands_in_the_page_about_plain_http_print_what_it_shows() {
    if !is_installed("curl", &[program("curl")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path()).await;
    let page = std::fs::read_to_string(root().join("docs/http.md")).unwrap();
    let mut examples = 0;
    for block in page.split("```console\n$ ").skip(1) {
        let block = block.split_once("\n```").unwrap().0;
        // The command ends with the quote that its data began with.
        let (command, shown) = block.split_once("}'\n").unwrap();
        let mut command = format!("{command}}}'");
        let mut shown = shown.to_owned();
        let documented = ["localhost:5059", "127.0.0.1:5071", "127.0.0.1:5072"];
        for (documented, here) in documented.iter().zip(&demo.args) {
            let here = here.strip_prefix("ws://").map_or_else(
                || here.split_once('@').unwrap().1,
                |url| url.strip_suffix("/call-api").unwrap(),
            );
            command = command.replace(documented, here);
            shown = shown.replace(documented, here);
        }
        let printed = output(Command::new("sh").args(["-c", &command])).await;
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert_eq!(messages(&printed), messages(&shown), "{command}\n{printed}");
        examples += 1;
    }
    assert_eq!(examples, 2);
}
