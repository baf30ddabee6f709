//! The server as a service: who may reach it, tokens from the command line, the audit log, signals, and
//! what systemd is told.

use tokio::net::UnixDatagram;

use super::*;

/// Makes a token: its lines for the file, and the token.
async fn token(args: &[&str]) -> (String, String) {
    let output = call_api(&[&["token"], args].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr).trim().to_owned())
}

/// A request over a connection with this token: the exit code, and all that was said.
async fn ask(url: &str, token: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_call-api-client"))
        .args([&["-url", url], args].concat())
        .env("CALL_API_TOKEN", token)
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, output).await.expect("an end in time").unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test]
async fn the_server_refuses_to_start_for_other_machines_without_tokens() {
    const REMOTE: &str = "ws_server:\n  host: 0.0.0.0\n  port: 0\n";
    const SIP: &str = "sip:\n  listen: udp:127.0.0.1:0\n";
    let (directory, file) = configured(&format!("{REMOTE}{SIP}"));
    let output = call_api(&["--config", &file]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("ws_server.tokens") && said.contains("ws_server.allow_remote"), "{said}");

    let tokens = directory.path().join("tokens.yml");
    std::fs::write(&tokens, token(&["shop"]).await.0).unwrap();
    for allowed in
        [format!("  tokens: {}\n", tokens.display()), "  allow_remote: true\n".to_owned()]
    {
        std::fs::write(&file, format!("{REMOTE}{allowed}{SIP}")).unwrap();
        let output = call_api(&["--config", &file, "--check"]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    std::fs::write(&tokens, "shop: {}\n").unwrap();
    std::fs::write(&file, format!("{REMOTE}  tokens: {}\n{SIP}", tokens.display())).unwrap();
    let output = call_api(&["--config", &file]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("tokens.yml"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_token_is_made_by_a_command_and_its_commands_are_in_the_audit_log() {
    let (lines, shop) = token(&["shop", "--scope", "control", "--callee", "*@127.0.0.1"]).await;
    assert!(lines.contains("scopes: [control]") && lines.contains("*@127.0.0.1"), "{lines}");
    assert!(!lines.contains(&shop), "{lines}");
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("tokens.yml"), lines).unwrap();
    let yaml = format!(
        "ws_server:\n  port: 0\n  tokens: {}\nsip:\n  listen: udp:127.0.0.1:0\nlog:\n  audit_path: {}\n",
        at("tokens.yml").display(),
        at("audit.log").display()
    );
    std::fs::write(at("call-api.yml"), yaml).unwrap();
    let mut server = Server::start(at("call-api.yml").to_str().unwrap());
    let url = server.logs("clients: ").await;
    server.logs("access: with one of 1 tokens").await;

    let secret = format!("{url}?token={shop}");
    let forbidden = r#"{"caller": "sip:a@127.0.0.1", "callee": "sip:+1900@127.0.0.2"}"#;
    let end = ["-method", "CallEnd", "-params", r#"{"callid": "nothing", "cmd_id": "mine"}"#];
    let (code, said) = ask(&secret, &shop, &end).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("no place in a URL"), "{said}");
    assert_eq!(ask(&url, "wrong", &end).await.0, Some(2));
    assert_eq!(ask(&url, &shop, &end).await.0, Some(1));
    let (code, said) = ask(&url, &shop, &["-method", "CallStart", "-params", forbidden]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("forbidden"), "{said}");
    // In dialect v2 a command that lacks a parameter is one.
    let wrong = ["-method", "CallStart", "-params", r#"{"caller": "sip:a@127.0.0.1"}"#];
    let (code, said) = ask(&format!("{url}/v2"), &shop, &wrong).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("callee not specified"), "{said}");
    server.signal("-TERM").await;
    let mut log = String::new();
    while let Some(line) = server.log.next_line().await.unwrap() {
        log += &line;
    }
    assert_eq!(server.stopped().await, Some(0));

    let audit = std::fs::read_to_string(at("audit.log")).unwrap();
    assert!(!log.contains(&shop) && !audit.contains(&shop), "the token is logged");
    let entries: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = entries
        .iter()
        .filter(|entry| entry["what"] != "connection" || entry["token"].is_null())
        .map(|entry| {
            ["token", "what", "method", "outcome"].map(|name| entry[name].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ["-", "connection", "-", "invalid_request"],
            ["-", "connection", "-", "auth_failed"],
            ["shop", "command", "CallEnd", "started"],
            ["shop", "end", "CallEnd", "not_found"],
            ["shop", "command", "CallStart", "forbidden"],
            ["shop", "command", "CallStart", "started"],
            ["shop", "end", "CallStart", "invalid_params"],
        ]
    );
    assert_eq!(entries.iter().filter(|entry| entry["outcome"] == "connected").count(), 3);
    let started = entries.iter().find(|entry| entry["outcome"] == "started").unwrap();
    assert_eq!(
        (&started["cmd_id"], &started["params"]["callid"]),
        (&"mine".into(), &"nothing".into())
    );
    assert!(entries.iter().all(|entry| entry["peer"].as_str().unwrap().starts_with("127.0.0.1:")));
}

#[tokio::test]
async fn an_audit_entry_is_a_line_of_json_whatever_a_phone_says() {
    let directory = tempfile::tempdir().unwrap();
    let audit = directory.path().join("audit.log");
    let (_directory, file) =
        configured(&format!("{FREE_PORTS}log:\n  audit_path: {}\n", audit.display()));
    let mut server = Server::start(&file);
    let url = server.logs("clients: ").await;
    let phone = Phone(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let uri = format!("sip:alice@{}", phone.0.local_addr().unwrap());
    let params = format!(r#"{{"caller": "{uri}", "callee": "{uri}"}}"#);
    let reason = "Bu\u{9b}sy\u{7f} \u{2028}Here";
    let (args, refusal) =
        (["-url", &url, "-method", "CallStart", "-params", &params], format!("486 {reason}"));
    let (output, _) = tokio::join!(client(&args), phone.answer(&refusal));
    assert_eq!(output.status.code(), Some(1));
    server.signal("-TERM").await;
    assert_eq!(server.stopped().await, Some(0));
    let log = std::fs::read_to_string(audit).unwrap();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = entries.iter().find(|entry| entry["what"] == "end").unwrap();
    assert_eq!(end["message"], format!("caller: 486 {reason}"));
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
}

#[tokio::test]
async fn tokens_are_read_again_on_hangup() {
    let directory = tempfile::tempdir().unwrap();
    let (tokens, file) = (directory.path().join("tokens.yml"), directory.path().join("c.yml"));
    let ((old, before), (new, after)) = (token(&["old"]).await, token(&["new"]).await);
    std::fs::write(&tokens, old).unwrap();
    let yaml = format!(
        "ws_server:\n  port: 0\n  tokens: {}\nsip:\n  listen: udp:127.0.0.1:0\n",
        tokens.display()
    );
    std::fs::write(&file, yaml).unwrap();
    let mut server = Server::start(file.to_str().unwrap());
    let url = server.logs("clients: ").await;
    server.logs("SIP: ").await;
    assert_eq!(ask(&url, &before, &["-method", "Echo"]).await.0, Some(0));
    std::fs::write(&tokens, new).unwrap();
    server.signal("-HUP").await;
    server.logs("read again").await;
    assert_eq!(ask(&url, &before, &["-method", "Echo"]).await.0, Some(2));
    assert_eq!(ask(&url, &after, &["-method", "Echo"]).await.0, Some(0));
}

#[tokio::test]
async fn systemd_is_told_that_the_server_is_ready_lives_and_stops() {
    let (directory, file) = configured(FREE_PORTS);
    let path = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_call-api"))
        .args(["--config", &file])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut buffer = [0; 100];
    let mut told = async || {
        let length = timeout(DEADLINE, systemd.recv(&mut buffer)).await.expect("a word").unwrap();
        text(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(told().await, "READY=1");
    assert_eq!(told().await, "WATCHDOG=1");
    run("kill", &["-TERM", &process.id().unwrap().to_string()]).await;
    while told().await != "STOPPING=1" {}
    let stopped = timeout(DEADLINE, process.wait()).await.expect("stopped").unwrap();
    assert_eq!(stopped.code(), Some(0));
}

#[tokio::test]
async fn the_client_talks_to_a_server_whose_certificate_it_is_told_to_trust() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(at("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let yaml = format!(
        "ws_server:\n  port: 0\n  tls_certificate: {}\n  tls_key: {}\nsip:\n  listen: udp:127.0.0.1:0\n",
        at("cert.pem"),
        at("key.pem")
    );
    std::fs::write(at("call-api.yml"), yaml).unwrap();
    let mut server = Server::start(&at("call-api.yml"));
    let url = server.logs("clients: ").await;
    assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
    server.logs("SIP: ").await;
    let trusting = client(&["-url", &url, "-method", "Echo", "-ca", &at("cert.pem")]).await;
    assert_eq!(trusting.status.code(), Some(0), "{}", text(&trusting.stderr));
    assert_eq!(client(&["-url", &url, "-method", "Echo"]).await.status.code(), Some(2));
}
