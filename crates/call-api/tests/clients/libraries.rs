//! Libraries for JSON-RPC over WebSocket drive every command, on the SIP engine and with phones.
//!
//! The programs are `examples/clients/`; they check what they are told, and here it is checked that
//! they were told all.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{DEADLINE, is_installed, program, root};

/// What each of them prints: a command, and what the library was told of it.
const TOLD: &str = "\
Echo REPLY Ended
CallStart CALL_ANSWER TRANSFER_ACCEPT CALL_START CALL_ANSWER Ended
CallHold CALL_HOLD Ended
CallUnHold CALL_UNHOLD Ended
CallBlindTransfer TRANSFER_ACCEPT CALL_START Ended
CallEnd Ended
CallStart CALL_ANSWER TRANSFER_ACCEPT CALL_START CALL_ANSWER Ended
CallStart CALL_ANSWER TRANSFER_ACCEPT CALL_START CALL_ANSWER Ended
CallAttendedTransfer TRANSFER_ACCEPT CALL_START Ended
CallEnd Ended
Subscribe CALL_ANSWER CALL_END CALL_ENDING CALL_ESTABLISHED CALL_HOLD CALL_RINGING CALL_START CALL_UNHOLD
";

/// The demo: a server with three phones, in a process of its own, until it is dropped.
pub(crate) struct Demo {
    /// Where clients connect, and the phones' URIs.
    pub(crate) args: Vec<String>,
    _process: Child,
}

impl Demo {
    pub(crate) async fn start(directory: &Path) -> Self {
        let config = directory.join("call-api.yml");
        let yaml = "ws_server:\n  host: 127.0.0.1\n  port: 0\nsip:\n  listen: udp:127.0.0.1:0\n";
        std::fs::write(&config, yaml).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_call-api"))
            .arg("--config")
            .arg(&config)
            .arg("demo")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut args = Vec::new();
        let reads = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the demo runs on");
                let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
                match words.first().map(String::as_str) {
                    Some("clients" | "phones") => args.extend(words.into_iter().skip(1)),
                    _ if line.contains("Ctrl-C") => break,
                    _ => {}
                }
            }
        };
        timeout(DEADLINE, reads).await.expect("the demo's own calls are over");
        assert_eq!(args.len(), 4, "{args:?}");
        Self { args, _process: process }
    }
}

pub(crate) async fn output(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(DEADLINE, output).await.expect("an end in time").unwrap()
}

fn expect_all_told(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(said, TOLD);
}

#[tokio::test]
async fn a_library_from_npm_drives_every_command() {
    let (node, modules) = (program("node"), root().join(".lab/clients/node_modules"));
    if !is_installed("rpc-websockets", &[node.clone(), modules.join("rpc-websockets")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path()).await;
    // Node looks for a library beside the program.
    let script = directory.path().join("every_command.mjs");
    std::fs::copy(root().join("examples/clients/every_command.mjs"), &script).unwrap();
    std::os::unix::fs::symlink(modules, directory.path().join("node_modules")).unwrap();
    expect_all_told(&output(Command::new(node).arg(script).args(&demo.args)).await);
}

#[tokio::test]
async fn a_library_from_pypi_drives_every_command() {
    let python = root().join(".lab/clients/python/bin/python3");
    if !is_installed("jsonrpc-websocket", std::slice::from_ref(&python)) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path()).await;
    let script = root().join("examples/clients/every_command.py");
    expect_all_told(&output(Command::new(python).arg(script).args(&demo.args)).await);
}
