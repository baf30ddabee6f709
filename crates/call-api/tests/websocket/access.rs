//! Who is let in, and with what: tokens in headers and subprotocols, pages of others, and places that
//! are taken.

use std::path::PathBuf;

use call_api::server::access::token::{Entry, Scope};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::http::{HeaderMap, Response, StatusCode};

use super::*;

/// A file of tokens.
pub(crate) struct Tokens {
    directory: TempDir,
    lines: Vec<String>,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), lines: Vec::new() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("tokens.yml")
    }

    /// Adds a token to the file.
    pub(crate) fn add(&mut self, name: &str, change: impl FnOnce(&mut Entry)) -> String {
        let mut entry = Entry { scopes: vec![Scope::Watch, Scope::Control], ..Entry::default() };
        change(&mut entry);
        let (lines, token) = entry.issue(name).unwrap();
        self.lines.push(lines);
        self.write();
        token
    }

    /// Takes a token out of the file.
    pub(crate) fn remove(&mut self, name: &str) {
        self.lines.retain(|lines| !lines.starts_with(&format!("\"{name}\":")));
        self.write();
    }

    fn write(&self) {
        std::fs::write(self.file(), self.lines.concat()).unwrap();
    }

    pub(crate) async fn server(&self) -> TestServer {
        TestServer::configured(|config| config.ws_server.tokens = Some(self.file())).await
    }
}

type Answer = (StatusCode, HeaderMap, Value);

/// Connects with these headers; without success, the answer.
async fn connect(
    server: &TestServer,
    target: &str,
    headers: &[(&'static str, String)],
) -> Result<(Client, Response<Option<Vec<u8>>>), Answer> {
    let mut request = format!("ws://{}{target}", server.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, response)) => Ok((Client { socket }, response)),
        Err(WsError::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = serde_json::from_slice(body).unwrap_or_default();
            Err((response.status(), response.headers().clone(), body))
        }
        Err(other) => panic!("{target} {headers:?}: {other}"),
    }
}

/// Status and error code of a refusal.
async fn refusal(
    server: &TestServer,
    target: &str,
    headers: &[(&'static str, String)],
) -> (u16, Value) {
    let (status, _, body) = connect(server, target, headers).await.err().expect("a refusal");
    (status.as_u16(), body["error"]["code"].clone())
}

pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {token}"))
}

fn origin(origin: &str) -> (&'static str, String) {
    ("Origin", origin.to_owned())
}

#[tokio::test]
async fn a_client_shows_its_token_in_a_header() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |_| {});
    let server = tokens.server().await;
    for path in ["/call-api", "/call-api/v1"] {
        let (mut client, _) = connect(&server, path, &[bearer(&token)]).await.unwrap();
        client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:bob@h"})).await;
        assert_eq!(client.until_ended().await, EXAMPLE_FLOW);
        assert_eq!(refusal(&server, path, &[]).await, (401, json!(-32000)));
        assert_eq!(refusal(&server, path, &[bearer("callapi_00")]).await, (401, json!(-32001)));
        let basic = ("Authorization", "Basic YTpi".to_owned());
        assert_eq!(refusal(&server, path, &[basic]).await, (401, json!(-32001)));
    }
    let (_, headers, body) = connect(&server, "/call-api", &[]).await.err().unwrap();
    assert_eq!(headers["www-authenticate"], "Bearer");
    assert_eq!(body["error"]["data"]["kind"], "auth_required");
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn where_no_token_is_asked_for_what_is_shown_is_not_looked_at() {
    let server = TestServer::start().await;
    let two = [bearer("callapi_00"), ("Authorization", "Basic YTpi".to_owned())];
    for shown in [&two[..1], &two[1..], &two[..]] {
        let (mut client, _) = connect(&server, "/call-api", shown).await.unwrap();
        client.request("Echo", json!({})).await;
        assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
    }
    assert_eq!(refusal(&server, "/call-api?token=x", &[]).await, (400, json!(-32600)));
}

#[tokio::test]
async fn a_page_shows_its_token_as_a_subprotocol_and_gets_another_one_back() {
    let mut tokens = Tokens::new();
    let token = tokens.add("page", |_| {});
    let server = tokens.server().await;
    let offer = |token: &str| {
        let offered = format!("call-api, call-api.token.{token}");
        [("Sec-WebSocket-Protocol", offered), origin(&format!("http://{}", server.address))]
    };
    let (mut client, response) = connect(&server, "/call-api", &offer(&token)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "call-api");
    client.request("Echo", json!({})).await;
    assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
    assert_eq!(refusal(&server, "/call-api", &offer("x")).await, (401, json!(-32001)));
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_whether_or_not_it_is_valid() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |_| {});
    for server in [tokens.server().await, TestServer::start().await] {
        for target in [format!("/call-api?token={token}"), format!("/call-api/v1?a=b&x={token}")] {
            for headers in [&[bearer(&token)][..], &[]] {
                let (status, _, body) = connect(&server, &target, headers).await.err().unwrap();
                assert_eq!(status, 400);
                let message = body["error"]["message"].as_str().unwrap();
                assert!(message.contains("no place in a URL"), "{message}");
                assert!(!message.contains(&token));
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_also_with_a_token() {
    let mut tokens = Tokens::new();
    let token = tokens.add("page", |_| {});
    let server = TestServer::configured(|config| {
        config.ws_server.tokens = Some(tokens.file());
        config.ws_server.origins = vec!["https://desk.example.com".to_owned()];
    })
    .await;
    for page in ["https://evil.example", "null", "http://desk.example.com", "http://127.0.0.1:1"] {
        let headers = [bearer(&token), origin(page)];
        assert_eq!(refusal(&server, "/call-api", &headers).await, (403, json!(-32002)), "{page}");
    }
    let both = [bearer(&token), origin("https://desk.example.com"), origin("https://evil.example")];
    assert_eq!(refusal(&server, "/call-api", &both).await.0, 403);
    let ours = [bearer(&token), origin("https://desk.example.com")];
    assert!(connect(&server, "/call-api", &ours).await.is_ok());
    assert_eq!(refusal(&server, "/call-api", &ours[1..]).await.0, 401);
}

#[tokio::test]
async fn a_token_has_so_many_connections_and_gets_one_back_when_it_leaves_one() {
    let mut tokens = Tokens::new();
    let (few, other) =
        (tokens.add("few", |entry| entry.connections = Some(2)), tokens.add("other", |_| {}));
    let server = tokens.server().await;
    let mut first = connect(&server, "/call-api", &[bearer(&few)]).await.unwrap().0;
    let _second = connect(&server, "/call-api", &[bearer(&few)]).await.unwrap();
    assert_eq!(refusal(&server, "/call-api", &[bearer(&few)]).await, (429, json!(-32006)));
    assert!(connect(&server, "/call-api", &[bearer(&other)]).await.is_ok());
    first.socket.close(None).await.unwrap();
    first.close_code().await;
    let again = async { while connect(&server, "/call-api", &[bearer(&few)]).await.is_err() {} };
    timeout(DEADLINE, again).await.expect("a free place");
}

#[tokio::test]
async fn a_token_that_is_withdrawn_or_changed_loses_its_connections_and_others_stay() {
    let mut tokens = Tokens::new();
    let names = ["gone", "stays", "new"];
    let [gone, stays, changed] = names.map(|name| tokens.add(name, |_| {}));
    let server = tokens.server().await;
    let mut clients = Vec::new();
    for token in [&gone, &stays, &changed] {
        clients.push(connect(&server, "/call-api", &[bearer(token)]).await.unwrap().0);
    }
    std::fs::write(tokens.file(), "what is this").unwrap();
    assert!(server.door.reload().is_err());
    assert!(connect(&server, "/call-api", &[bearer(&gone)]).await.is_ok(), "what was read stays");
    tokens.lines[2] = tokens.lines[2].replace("watch, ", "");
    tokens.lines.remove(0);
    tokens.write();
    server.door.reload().unwrap();
    assert_eq!(clients[0].close_code().await, 1008);
    assert_eq!(clients[2].close_code().await, 1008);
    clients[1].request("Echo", json!({})).await;
    assert_eq!(clients[1].until_ended().await, ["Started", "REPLY", "Ended"]);
    assert_eq!(refusal(&server, "/call-api", &[bearer(&gone)]).await, (401, json!(-32001)));
    let mut again = connect(&server, "/call-api", &[bearer(&changed)]).await.unwrap().0;
    again.request("CallList", json!({})).await;
    assert_eq!(again.next().await["error"]["code"], -32002);
}

#[tokio::test]
async fn one_connection_has_so_many_commands_running_and_another_has_its_own() {
    let server = TestServer::with(|limits| limits.connection_commands = 2).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    let hang = json!({"caller": "sip:alice@h", "callee": "sip:hang@h"});
    for expected in [Value::Null, Value::Null, json!(-32006)] {
        client.request("CallStart", hang.clone()).await;
        let reply = loop {
            let message = client.next().await;
            if message.get("id").is_some() {
                break message;
            }
        };
        assert_eq!(reply["error"]["code"], expected);
    }
    other.request("Echo", json!({})).await;
    assert_eq!(other.until_ended().await, ["Started", "REPLY", "Ended"]);
    server.backend.release();
    client.until_ended().await;
    client.until_ended().await;
    client.request("Echo", json!({})).await;
    assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_business_here_is_told_goodbye_and_others_stay() {
    let server = TestServer::with(|limits| limits.idle = Some(Duration::from_secs(10))).await;
    let (mut idle, mut watching, mut waiting) =
        (server.client().await, server.client().await, server.client().await);
    watching.request("Subscribe", json!({})).await;
    watching.next().await;
    waiting.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:hang@h"})).await;
    let stay = async {
        tokio::join!(watching.close_code(), waiting.until_ended());
    };
    tokio::select! {
        code = idle.close_code() => assert_eq!(code, 1000),
        () = stay => panic!("only the idle one should go"),
    }
    watching.request("CallList", json!({})).await;
    assert!(watching.next().await["result"]["calls"].is_array());
}

#[tokio::test]
async fn how_deep_a_message_nests_is_a_limit_of_its_own() {
    let server = TestServer::with(|limits| limits.json_depth = 10).await;
    let mut client = server.client().await;
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    client.request("Echo", json!({"x": nested(8)})).await;
    assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
    client.request("Echo", json!({"x": nested(9)})).await;
    let refusal = client.next().await;
    assert_eq!(refusal["error"]["code"], -32700);
    assert_eq!(refusal["error"]["message"], "nested more than 10 levels deep");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let server = TestServer::with(|limits| limits.handshake = Duration::from_secs(3)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(4), stream.read_to_end(&mut rest)).await;
    closed.expect("closed in time").unwrap();
    assert!(String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"));
}
