//! The demo as a newcomer runs it: a call in one command, its transfer, their messages, and the SIP under
//! them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{TcpListener, UdpSocket};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

const FREE: &str = "127.0.0.1:0";

/// A configuration file with these addresses for clients and for SIP. It is there as long as the
/// directory.
fn configured(clients: &str, sip: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("call-api.yml");
    let (host, port) = clients.rsplit_once(':').unwrap();
    let yaml = format!("ws_server:\n  host: {host}\n  port: {port}\nsip:\n  listen: udp:{sip}\n");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

async fn output(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    timeout(DEADLINE, output).await.expect("an end in time").unwrap()
}

async fn demo_once(clients: &str, sip: &str) -> Output {
    let (_directory, file) = configured(clients, sip);
    output(env!("CARGO_BIN_EXE_call-api"), &["--config", &file, "demo", "--once"]).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a message says in a word: the status of a reply, the event, else the method.
fn word(message: &str) -> String {
    let message: Value = serde_json::from_str(message).unwrap();
    let (result, params) = (&message["result"], &message["params"]);
    let words = [&result["status"], &params["data"], &params["event"], &message["method"]];
    words.iter().find_map(|word| word.as_str()).unwrap_or("reply").to_owned()
}

#[tokio::test]
async fn one_command_shows_a_call_its_transfer_and_its_end_and_a_call_that_a_phone_places() {
    let output = demo_once(FREE, FREE).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");

    let sent: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("> ")).map(word).collect();
    assert_eq!(sent, ["CallStart", "CallBlindTransfer", "CallEnd", "Subscribe"]);
    let read: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("< ")).map(word).collect();
    let (start, rest) = read.split_at(6);
    let example_flow =
        ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];
    assert_eq!(start, example_flow);
    let (transfer, rest) = rest.split_at(4);
    assert_eq!(transfer, ["Started", "TRANSFER_ACCEPT", "CALL_START", "Ended"]);
    let (end, watched) = rest.split_at(2);
    assert_eq!(end, ["Started", "Ended"]);
    let (placed, ended) = watched.split_at(5);
    let life = ["reply", "CALL_START", "CALL_RINGING", "CALL_ANSWER", "CALL_ESTABLISHED"];
    assert_eq!(placed, life);
    assert_eq!(ended, ["CALL_ENDING", "CALL_END"]);
}

#[tokio::test]
async fn the_ladders_under_the_messages_show_how_sip_made_the_call_and_moved_it() {
    let said = text(&demo_once(FREE, FREE).await.stdout);
    let call = [
        "INVITE (offer inactive)",
        "200 OK (answer inactive)",
        "REFER",
        "202 Accepted REFER",
        "INVITE (offer)",
        "INVITE (offer)",
        "200 OK (answer)",
        "200 OK (answer)",
        "BYE",
        "200 OK BYE",
    ];
    let transfer = [
        "REFER",
        "202 Accepted REFER",
        "INVITE (offer)",
        "INVITE (offer)",
        "200 OK (answer)",
        "200 OK (answer)",
        "BYE",
        "200 OK BYE",
    ];
    for (title, lanes, shown) in [
        ("The SIP of this call", &["call-api", "alice", "bob"][..], &call[..]),
        ("The SIP of this transfer", &["call-api", "alice", "bob", "cindy"], &transfer),
    ] {
        let ladder = between(&said, title, "\n> ");
        let arrows = ladder.lines();
        let arrows = arrows.filter_map(|line| line.split('|').find(|lane| lane.contains("--")));
        let mut messages = arrows.map(|arrow| arrow.trim_matches(|c| "<- >".contains(c)));
        for expected in shown {
            assert!(messages.any(|message| message == *expected), "no {expected} in\n{ladder}");
        }
        for lane in lanes {
            assert!(ladder.contains(lane), "no {lane}\n{ladder}");
        }
    }
}

#[tokio::test]
async fn the_command_that_the_demo_prints_works_while_it_runs() {
    let (_directory, file) = configured(FREE, FREE);
    let mut demo = Command::new(env!("CARGO_BIN_EXE_call-api"))
        .args(["--config", &file, "demo"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let waits = async {
        while !said.contains("Ctrl-C") {
            said += &lines.next_line().await.unwrap().expect("the demo runs on");
            said.push('\n');
        }
    };
    timeout(DEADLINE, waits).await.expect("the demo's own call is over");
    let url = between(&said, "-url ", " ");
    let params = between(&said, "-params '", "'");
    let args = ["-url", url, "-method", "CallStart", "-params", params];
    let call = output(env!("CARGO_BIN_EXE_call-api-client"), &args).await;
    assert_eq!(call.status.code(), Some(0), "{}{}", text(&call.stdout), text(&call.stderr));

    output("kill", &["-INT", &demo.id().unwrap().to_string()]).await;
    let status = timeout(DEADLINE, demo.wait()).await.expect("stopped").unwrap();
    assert_eq!(status.code(), Some(0));
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).expect("both are there").0
}

#[tokio::test]
async fn the_demo_can_be_stopped_in_the_middle_and_its_reader_may_leave() {
    let (_directory, file) = configured(FREE, FREE);
    let start = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_call-api"))
            .args(["--config", &file, "demo"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    let mut demo = start(&[]);
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let begun = async {
        while !said.contains("Started") {
            said += &lines.next_line().await.unwrap().expect("the demo runs on");
        }
    };
    timeout(DEADLINE, begun).await.expect("the call begins");
    output("kill", &["-INT", &demo.id().unwrap().to_string()]).await;
    let mut rest = lines.into_inner();
    timeout(DEADLINE, rest.read_to_string(&mut said)).await.expect("stopped").unwrap();
    assert!(!said.contains("Subscribe"), "it went on: {said}");
    assert_eq!(demo.wait().await.unwrap().code(), Some(0));

    let mut demo = start(&["--once"]);
    drop(demo.stdout.take());
    let output = timeout(DEADLINE, demo.wait_with_output()).await.expect("stopped").unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_in_one_line() {
    let clients = TcpListener::bind(FREE).unwrap();
    let sip = UdpSocket::bind(FREE).unwrap();
    let (clients, sip) = (clients.local_addr().unwrap(), sip.local_addr().unwrap());
    let free = FREE.to_owned();
    for (clients, sip, said) in [
        (clients.to_string(), free.clone(), format!("call-api: ws_server {clients}: ")),
        (free, sip.to_string(), format!("call-api: sip.listen udp:{sip}: ")),
    ] {
        let output = demo_once(&clients, &sip).await;
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.starts_with(&said) && errors.contains("in use"), "{errors}");
        assert_eq!((errors.lines().count(), text(&output.stdout).as_str()), (1, ""), "{errors}");
    }
}
