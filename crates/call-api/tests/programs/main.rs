//! The programs as a user runs them: exit codes and output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod service;

use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use call_api::backend::fake::Fake;
use call_api::config::{Config, WsServer};
use call_api::server;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::net::UdpSocket;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// Starts a server without SIP and returns its URL. It lives as long as the test.
async fn start_server() -> String {
    let ws_server = WsServer { port: 0, ..WsServer::default() };
    let listener = server::bind(&ws_server).await.unwrap();
    let url = format!("ws://{}/call-api", listener.local_addr().unwrap());
    let config = Config { ws_server, ..Config::default() };
    tokio::spawn(async move {
        server::serve(
            listener,
            &config,
            Arc::new(Fake::default()),
            Arc::default(),
            std::future::pending(),
        )
        .await
    });
    url
}

async fn client(args: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_call-api-client"), args).await
}

async fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    timeout(DEADLINE, output).await.expect("an end in time").unwrap()
}

fn messages(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_client_prints_every_message_and_exits_0_when_the_command_succeeded() {
    let url = start_server().await;
    let params = r#"{"caller": "sip:alice@127.0.0.1:5071", "callee": "sip:cindy@127.0.0.1:5073"}"#;
    let output = client(&["-url", &url, "-method", "CallStart", "-params", params]).await;
    assert_eq!(output.status.code(), Some(0));
    let messages = messages(&output);
    assert_eq!(messages.len(), 6);
    assert_eq!(messages[0]["result"]["status"], "Started");
    assert_eq!(messages[5]["method"], "Ended");
}

#[tokio::test]
async fn the_client_exits_1_when_the_command_failed_or_was_refused() {
    let url = start_server().await;
    let busy = r#"--params={"caller": "sip:busy@h", "callee": "sip:bob@h"}"#;
    let output = client(&["--url", &url, "--method", "CallStart", busy]).await;
    assert_eq!(output.status.code(), Some(1));
    let methods: Vec<_> = messages(&output).iter().map(|m| m["method"].clone()).collect();
    assert_eq!(methods, [Value::Null, "Error".into(), "Ended".into()]);

    let output = client(&["--url", &url, "--method", "NoSuch"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(messages(&output)[0]["error"]["code"], -32601);
}

#[tokio::test]
async fn the_client_understands_both_dialects() {
    let url = format!("{}/v2", start_server().await);
    for (caller, code) in [("alice", 0), ("busy", 1)] {
        let params = format!(r#"{{"caller": "sip:{caller}@h", "callee": "sip:bob@h"}}"#);
        let output = client(&["-url", &url, "-method", "CallStart", "-params", &params]).await;
        assert_eq!(output.status.code(), Some(code), "{caller}");
        let last = messages(&output).pop().unwrap();
        assert_eq!(
            (&last["method"], &last["params"]["event"]),
            (&"CallStart".into(), &"Ended".into())
        );
    }
}

#[tokio::test]
async fn the_client_exits_2_when_it_could_not_ask() {
    assert_eq!(client(&["-params", "{}"]).await.status.code(), Some(2));
    assert_eq!(client(&["-method", "Echo", "-params", "{"]).await.status.code(), Some(2));
    let output = client(&["-method", "Echo", "-url", "ws://127.0.0.1:1/call-api"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("ws://127.0.0.1:1/call-api"));
}

fn configured(yaml: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("call-api.yml");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

const FREE_PORTS: &str = "ws_server:\n  port: 0\nsip:\n  listen: udp:127.0.0.1:0\n";

async fn call_api(args: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_call-api"), args).await
}

#[tokio::test]
async fn the_client_stops_when_its_question_is_answered() {
    let url = start_server().await;
    let output = client(&["--url", &url, "--method", "CallList"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(messages(&output)[0]["result"]["calls"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn the_server_says_its_version() {
    for flag in ["-v", "--version"] {
        let output = call_api(&[flag]).await;
        assert_eq!(text(&output.stdout), format!("call-api {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_check_says_what_would_be_done() {
    let (_directory, file) = configured(FREE_PORTS);
    for flag in ["-config", "--config"] {
        let output = call_api(&[flag, &file, "--check"]).await;
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
        for line in [
            &format!("configuration: {file}\n"),
            "  ws_server.port: 0\n",
            "clients: ws://127.0.0.1:",
            "SIP: udp:127.0.0.1:0",
        ] {
            assert!(said.contains(line), "{line} is not in {said}");
        }
    }
}

#[tokio::test]
async fn a_check_fails_on_a_bad_key_and_on_a_port_in_use() {
    let (_directory, file) = configured("ws_server:\n  prot: 0\n");
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains(r#"did you mean "ws_server.port"?"#),
        "{}",
        text(&output.stderr)
    );

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = format!("udp:{}", taken.local_addr().unwrap());
    let (_directory, file) =
        configured(&format!("ws_server:\n  port: 0\nsip:\n  listen: {listen}\n"));
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains(&format!("sip.listen {listen}")),
        "{}",
        text(&output.stderr)
    );
}

#[tokio::test]
async fn a_check_asks_opensips() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_directory, file) =
        configured(&format!("ws_server:\n  port: 0\nmi:\n  urls: [\"{nobody}\"]\n"));
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains(&format!("calls: made by OpenSIPS at udp:{nobody}\n")), "{said}");
    assert!(said.contains(&format!("OpenSIPS at udp:{nobody}: Connection refused")), "{said}");
    assert!(text(&output.stderr).contains("docs/opensips.md"), "{}", text(&output.stderr));
}

/// Runs `call-api user` with this on its standard input.
async fn user(args: &[&str], password: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("password");
    std::fs::write(&input, password).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_call-api"))
        .arg("user")
        .args(args)
        .stdin(std::fs::File::open(input).unwrap())
        .kill_on_drop(true)
        .output();
    timeout(DEADLINE, output).await.expect("an end in time").unwrap()
}

#[tokio::test]
async fn users_are_made_by_a_command_and_read_by_the_server() {
    let (alice, bob) = (user(&["alice"], "wonderland\n").await, user(&["bob"], "builder").await);
    let users = format!("{}{}", text(&alice.stdout), text(&bob.stdout));
    assert!(!users.contains("wonderland"), "{users}");
    let (directory, file) = configured(FREE_PORTS);
    let users_file = directory.path().join("users.yml");
    std::fs::write(&users_file, users).unwrap();
    let yaml = format!("{FREE_PORTS}  users: {}\n", users_file.display());
    std::fs::write(&file, yaml).unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("phones: those of the users in "), "{said}");

    let other = user(&["cindy", "--realm", "elsewhere"], "x\n").await;
    std::fs::write(&users_file, [alice.stdout, other.stdout].concat()).unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("users.yml: cindy: realm"), "{}", text(&output.stderr));
    assert_eq!(user(&["dora"], "\n").await.status.code(), Some(1));
}

#[tokio::test]
async fn a_directory_of_another_server_is_refused_and_named() {
    let (directory, file) = configured(FREE_PORTS);
    let yaml = format!("{FREE_PORTS}journal:\n  directory: {}\n", directory.path().display());
    std::fs::write(&file, yaml).unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    let said = text(&output.stdout);
    assert!(said.contains(&format!("journal: in {}\n", directory.path().display())), "{said}");
    let mut server = Server::start(&file);
    server.logs("SIP: udp:127.0.0.1:").await;
    let output = call_api(&["--config", &file]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("another process uses it"), "{said}");
    server.signal("-TERM").await;
    assert_eq!(server.stopped().await, Some(0));
}

#[tokio::test]
async fn a_check_leaves_no_log_behind() {
    let (directory, file) = configured("");
    let log = directory.path().join("call-api.log");
    let yaml =
        |log: &std::path::Path| format!("{FREE_PORTS}log:\n  file_path: {}\n", log.display());
    std::fs::write(&file, yaml(&log)).unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!log.exists());

    std::fs::write(&log, "a line\n").unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "a line\n");

    std::fs::write(&file, yaml(&directory.path().join("nowhere/call-api.log"))).unwrap();
    let output = call_api(&["--config", &file, "--check"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("log.file_path"), "{}", text(&output.stderr));
}

/// A server as a process of its own, and its log.
struct Server {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start(file: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_call-api"))
            .args(["--config", file])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, log }
    }

    /// What the log says behind these words, as soon as it says them.
    async fn logs(&mut self, words: &str) -> String {
        let said = async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("a log");
                if let Some((_, rest)) = line.split_once(words) {
                    return rest.to_owned();
                }
            }
        };
        timeout(DEADLINE, said).await.expect(words)
    }

    async fn signal(&self, signal: &str) {
        run("kill", &[signal, &self.process.id().unwrap().to_string()]).await;
    }

    async fn stopped(&mut self) -> Option<i32> {
        timeout(DEADLINE, self.process.wait()).await.expect("stopped").unwrap().code()
    }
}

#[tokio::test]
async fn the_server_stops_in_good_order_when_told_to() {
    let (_directory, file) = configured(FREE_PORTS);
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(&file);
        server.logs("SIP: udp:127.0.0.1:").await;
        server.signal(signal).await;
        assert_eq!(server.stopped().await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn clients_that_come_and_go_leave_nothing_open() {
    let (_directory, file) = configured(FREE_PORTS);
    let mut server = Server::start(&file);
    let url = server.logs("clients: ").await;
    let folder = format!("/proc/{}/fd", server.process.id().unwrap());
    // Somebody has to read its log, or it stops at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = server.log.next_line().await {} });
    let open = || std::fs::read_dir(&folder).unwrap().count();
    let before = open();
    let closed = async {
        for _ in 0..500 {
            let (mut client, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
            client.close(None).await.unwrap();
        }
        while open() > before {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, closed).await.expect("every connection is closed");
}

/// A socket in the place of a phone, on the wire.
struct Phone(UdpSocket);

impl Phone {
    async fn hear(&self, method: &str) -> (String, SocketAddr) {
        let heard = async {
            loop {
                let mut buffer = vec![0; 65_535];
                let (length, from) = self.0.recv_from(&mut buffer).await.unwrap();
                let message = text(&buffer[..length]);
                if message.starts_with(method) {
                    return (message, from);
                }
            }
        };
        timeout(DEADLINE, heard).await.expect(method)
    }

    async fn ring(&self) -> SocketAddr {
        self.answer("180 Ringing").await
    }

    /// Answers the next INVITE with this.
    async fn answer(&self, status: &str) -> SocketAddr {
        let (invite, server) = self.hear("INVITE ").await;
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = invite.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
        let headers = lines.map(|line| match line.starts_with("To:") {
            true => format!("{line};tag=1\r\n"),
            false => format!("{line}\r\n"),
        });
        let answer =
            format!("SIP/2.0 {status}\r\n{}Content-Length: 0\r\n\r\n", headers.collect::<String>());
        self.0.send_to(answer.as_bytes(), server).await.unwrap();
        server
    }
}

#[tokio::test]
async fn a_phone_that_rings_when_the_server_stops_is_told_to_stop() {
    let (_directory, file) = configured(&format!("{FREE_PORTS}limits:\n  drain_seconds: 1\n"));
    let mut server = Server::start(&file);
    let url = server.logs("clients: ").await;
    let phone = Phone(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let params = format!(
        r#"{{"caller": "sip:alice@{}", "callee": "sip:bob@127.0.0.1:5072", "verbose": true}}"#,
        phone.0.local_addr().unwrap()
    );
    let mut client = Command::new(env!("CARGO_BIN_EXE_call-api-client"))
        .args(["-url", &url, "-method", "CallStart", "-params", &params])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    phone.ring().await;
    let mut said = BufReader::new(client.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("CALL_RINGING") {
        timeout(DEADLINE, said.read_line(&mut lines)).await.expect("CALL_RINGING").unwrap();
    }
    server.signal("-TERM").await;
    phone.hear("CANCEL ").await;
    timeout(DEADLINE, said.read_to_string(&mut lines)).await.expect("the end").unwrap();
    assert!(lines.contains("draining"), "{lines}");
    assert!(lines.contains("Ended"), "{lines}");
    assert_eq!(server.stopped().await, Some(0));
}

#[tokio::test]
async fn the_log_counts_broken_datagrams() {
    let (_directory, file) = configured(FREE_PORTS);
    let mut server = Server::start(&file);
    let url = server.logs("clients: ").await;
    let phone = Phone(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let uri = format!("sip:alice@{}", phone.0.local_addr().unwrap());
    let params = format!(r#"{{"caller": "{uri}", "callee": "{uri}"}}"#);
    let _client = Command::new(env!("CARGO_BIN_EXE_call-api-client"))
        .args(["-url", &url, "-method", "CallStart", "-params", &params])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let address = phone.ring().await;
    phone.0.send_to(b"what is this", address).await.unwrap();
    assert_eq!(server.logs("broken SIP datagrams: ").await, "0 refused, 1 dropped");
}
