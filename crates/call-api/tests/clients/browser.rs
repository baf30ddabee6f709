//! A browser, driven by WebDriver (W3C Recommendation of 5 June 2018): which pages get in.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use call_api::backend::fake::Fake;
use call_api::config::{Config, WsServer};
use call_api::server;
use call_api::server::access::token::{Entry, Scope};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{DEADLINE, is_installed, program};

/// What a page tries: a call by WebSocket, and a call by `fetch`.
const PAGE: &str = r#"
const [address, id, token, done] = arguments;
const call = (kind) => JSON.stringify({jsonrpc: "2.0", id: 1, method: "CallStart",
    params: {caller: "sip:alice@h", callee: "sip:bob@h", cmd_id: id + kind}});
const word = ({result, params, method, error}) =>
    result?.status ?? params?.data ?? method ?? error?.data.kind;

const socket = new Promise((resolve) => {
    const protocols = token ? ["call-api", "call-api.token." + token] : [];
    const socket = new WebSocket("ws://" + address + "/call-api", protocols);
    const said = [];
    socket.onopen = () => socket.send(call("socket"));
    socket.onmessage = ({data}) => {
        said.push(word(JSON.parse(data)));
        if (said.at(-1) === "Ended") resolve(said);
    };
    socket.onclose = () => resolve("refused");
});

// Without a token this is what a page may send to any server without asking first.
const headers = token ? {Authorization: "Bearer " + token} : {};
const post = fetch("http://" + address + "/call-api", {method: "POST", headers, body: call("post")})
    .then((response) => response.text())
    .then((text) => text.trim().split("\n").map((line) => word(JSON.parse(line))))
    .catch(() => "refused");

Promise.all([socket, post]).then(done);
"#;

const FLOW: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];

/// A browser that runs until it is dropped.
struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Child,
    _profile: TempDir,
}

impl Browser {
    async fn start(driver: &std::path::Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let finds_port = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the driver runs on");
                let port = line
                    .rsplit_once("successfully on port ")
                    .map(|(_, port)| port.trim_end_matches('.'));
                if let Some(port) = port {
                    return port.parse::<u16>().unwrap();
                }
            }
        };
        let port = timeout(DEADLINE, finds_port).await.expect("a driver in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile_arg = format!("--user-data-dir={}", profile.path().display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // It ends with its driver, whatever ends that.
            "--remote-debugging-pipe",
            &profile_arg,
        ];
        let mut browser = Self {
            driver: ([127, 0, 0, 1], port).into(),
            session: String::new(),
            _process: process,
            _profile: profile,
        };
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": args}});
        let session = json!({"capabilities": {"alwaysMatch": wanted}});
        let value = browser.send("POST", "/session", &session).await;
        browser.session = format!("/session/{}", value["sessionId"].as_str().unwrap());
        browser
    }

    /// What a page of this address gets when it tries both ways.
    async fn tries(&self, page: &str, server: SocketAddr, id: &str, token: Option<&str>) -> Value {
        self.send("POST", &format!("{}/url", self.session), &json!({"url": page})).await;
        let args = json!([server.to_string(), id, token]);
        let script = json!({"script": PAGE, "args": args});
        self.send("POST", &format!("{}/execute/async", self.session), &script).await
    }

    async fn quit(self) {
        self.send("DELETE", &self.session, &json!({})).await;
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let stream = TcpStream::connect(self.driver).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path);
        let request = request.header("Host", self.driver.to_string());
        let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
        let answers = async {
            let answer = sender.send_request(request).await.unwrap();
            (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
        };
        let (status, body) = timeout(DEADLINE, answers).await.expect("an answer in time");
        assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
    }
}

/// A web server with one page, that lives as long as the test: its origin.
async fn origin() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // A request fits into one segment. A browser may leave before it is answered.
                let _ = stream.read(&mut [0; 4096]).await;
                let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\
                            Connection: close\r\n\r\na page";
                let _ = stream.write_all(page.as_bytes()).await;
            });
        }
    });
    origin
}

/// A server that lives as long as the test.
async fn serve(ws_server: WsServer) -> SocketAddr {
    let ws_server = WsServer { port: 0, ..ws_server };
    let listener = server::bind(&ws_server).await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config { ws_server, ..Config::default() };
    tokio::spawn(async move {
        let (backend, never) = (Arc::new(Fake::default()), std::future::pending());
        server::serve(listener, &config, backend, Arc::default(), never).await;
    });
    address
}

#[tokio::test]
async fn a_browser_lets_in_pages_of_the_same_host_and_of_allowed_origins_and_no_others() {
    let (browser, driver) = (program("chromium"), program("chromedriver"));
    if !is_installed("Chromium with its driver", &[browser, driver.clone()]) {
        return;
    }
    let browser = Browser::start(&driver).await;
    let (other, desk) = (origin().await, origin().await);
    let open = serve(WsServer::default()).await;

    // The page of somebody else.
    assert_eq!(browser.tries(&other, open, "x-", None).await, json!(["refused", "refused"]));
    // A page of the same host; its commands are the first with their ids.
    let same = format!("http://{open}/healthz");
    assert_eq!(browser.tries(&same, open, "x-", None).await, json!([FLOW, FLOW]));

    // A page that may, with a token, and the same page without.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.yml");
    let entry = Entry { scopes: vec![Scope::Control], ..Entry::default() };
    let (lines, token) = entry.issue("desk").unwrap();
    std::fs::write(&file, lines).unwrap();
    let (tokens, origins) = (Some(file), vec![desk.clone()]);
    let guarded = serve(WsServer { tokens, origins, ..WsServer::default() }).await;
    let token = Some(token.as_str());
    assert_eq!(
        browser.tries(&desk, guarded, "y-", None).await,
        json!(["refused", ["auth_required"]])
    );
    assert_eq!(browser.tries(&desk, guarded, "y-", token).await, json!([FLOW, FLOW]));
    // The page of somebody else, with a token that it has got hold of.
    assert_eq!(browser.tries(&other, guarded, "z-", token).await, json!(["refused", "refused"]));
    browser.quit().await;
}
