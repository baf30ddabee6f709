//! Plain HTTP: what a `POST` is answered with, and what it cannot do that a WebSocket cannot.

use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::process::Command;

use super::access::{Tokens, bearer};
use super::*;

/// An HTTP connection to the server.
struct Http {
    host: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Http {
    async fn to(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { host: server.address.to_string(), sender }
    }

    async fn send(&mut self, method: Method, headers: &[(&str, String)], body: String) -> Answer {
        self.sender.ready().await.unwrap();
        let mut request = Request::builder().method(method).uri("/call-api");
        request = request.header("Host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::from(body)).unwrap();
        let answer = timeout(DEADLINE, self.sender.send_request(request)).await;
        Answer(answer.expect("an answer in time").unwrap())
    }

    async fn post(&mut self, headers: &[(&str, String)], body: &Value) -> Answer {
        self.send(Method::POST, headers, body.to_string()).await
    }
}

struct Answer(Response<Incoming>);

impl Answer {
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.0.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next piece of the body; none at its end.
    async fn next(&mut self) -> Option<Result<String, hyper::Error>> {
        let frame = timeout(DEADLINE, self.0.frame()).await.expect("a piece in time")?;
        Some(frame.map(|frame| String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()))
    }

    async fn next_json(&mut self) -> Value {
        serde_json::from_str(&self.next().await.unwrap().unwrap()).unwrap()
    }

    /// The whole body.
    async fn text(mut self) -> String {
        let mut text = String::new();
        while let Some(piece) = self.next().await {
            text += &piece.unwrap();
        }
        text
    }

    async fn json(self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn call(callee: &str) -> Value {
    request("CallStart", json!({"caller": "sip:alice@h", "callee": format!("sip:{callee}@h")}))
}

fn accept(media_type: &str) -> [(&'static str, String); 1] {
    [("Accept", media_type.to_owned())]
}

/// What the messages say: `Started`, the `data` of events, the method of what follows.
fn said(lines: &str) -> Vec<String> {
    let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |message: Value| {
        let words = [&message["result"]["status"], &message["params"]["data"], &message["method"]];
        words.iter().find_map(|word| word.as_str()).unwrap().to_owned()
    };
    messages.map(word).collect()
}

/// Waits for the end of a command, told to a client of a WebSocket.
async fn ended(server: &TestServer, cmd_id: &str) {
    ended_for(server.client().await, cmd_id).await;
}

async fn ended_for(mut client: Client, cmd_id: &str) {
    client.request("Subscribe", json!({"filter": {"cmd_id": cmd_id}})).await;
    while client.next().await["method"] != "Ended" {}
}

#[tokio::test]
async fn a_query_is_answered_at_once_with_one_json_text() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let answer = http.post(&accept("*/*"), &request("CallList", json!({}))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json().await;
    assert_eq!((&body["id"], &body["result"]["calls"]), (&json!(1), &json!([])));
}

#[tokio::test]
async fn a_command_is_told_line_by_line_and_the_connection_serves_the_next() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    for _ in 0..2 {
        let answer = http.post(&[], &call("bob")).await;
        assert_eq!((answer.status(), answer.header("cache-control")), (200, "no-store"));
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert_eq!(said(&answer.text().await), EXAMPLE_FLOW);
    }
    // A command that fails says so in the stream.
    let answer = http.post(&[], &call("busy")).await;
    let said = said(&answer.text().await);
    assert_eq!(said[said.len() - 2..], ["Error", "Ended"]);
}

#[tokio::test]
async fn each_message_is_sent_when_it_is_said() {
    let server = TestServer::start().await;
    let mut answer = Http::to(&server).await.post(&[], &call("hang")).await;
    assert_eq!(answer.next_json().await["result"]["status"], "Started");
    for data in ["CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START"] {
        assert_eq!(answer.next_json().await["params"]["data"], data);
    }
    server.backend.release();
    assert_eq!(said(&answer.text().await), ["CALL_ANSWER", "Ended"]);
}

#[tokio::test]
async fn an_event_stream_names_the_cursor_from_which_a_subscription_goes_on() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let mut start = call("bob");
    start["params"]["cmd_id"] = json!("order-7");
    let answer = http.post(&accept("text/event-stream"), &start).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let text = answer.text().await;
    let events: Vec<_> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), EXAMPLE_FLOW.len(), "{text}");
    assert!(events[0].starts_with("data: {") && events[0].contains("Started"), "{text}");
    let mut ids = Vec::new();
    for event in &events[1..] {
        let (id, data) = event.split_once("\ndata: ").unwrap();
        let message: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            Some(id),
            message["params"]["cursor"].as_str().map(|c| format!("id: {c}")).as_deref()
        );
        ids.push(id.strip_prefix("id: ").unwrap());
    }
    // Whoever lost the stream after the second event reads on from there.
    let params = json!({"filter": {"cmd_id": "order-7"}, "since": ids[1]});
    let mut answer = http.post(&[], &request("Subscribe", params)).await;
    assert_eq!(answer.next_json().await["result"]["cursor"], ids[1]);
    for (id, word) in ids[2..].iter().zip(&EXAMPLE_FLOW[3..]) {
        let message = answer.next_json().await;
        assert_eq!(message["params"]["cursor"], **id);
        assert_eq!(said(&message.to_string()), [*word]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_in_which_nothing_happens_shows_that_it_lives() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let mut events =
        http.post(&accept("text/event-stream"), &request("Subscribe", json!({}))).await;
    let mut lines = Http::to(&server).await.post(&[], &request("Subscribe", json!({}))).await;
    assert!(events.next().await.unwrap().unwrap().starts_with("data: {"));
    lines.next().await.unwrap().unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(events.next().await.unwrap().unwrap(), ":\n\n");
    }
    assert_eq!(began.elapsed().as_secs(), 60);
    // Lines hold messages and nothing else.
    let silence = timeout(Duration::from_secs(3600), lines.0.frame()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn whoever_takes_nothing_but_json_gets_the_reply_and_the_command_runs_on() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let answer = http.post(&accept("application/json"), &call("hang")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let reply = answer.json().await;
    assert_eq!(reply["result"]["status"], "Started");
    server.backend.release();
    ended(&server, reply["result"]["cmd_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_client_that_leaves_loses_its_stream_and_not_its_command() {
    let server = TestServer::with(|limits| limits.connections = 2).await;
    let mut http = Http::to(&server).await;
    let mut answer = http.post(&[], &call("hang")).await;
    let reply = answer.next_json().await;
    let mut watch = Http::to(&server).await;
    let mut watching = watch.post(&[], &request("Subscribe", json!({}))).await;
    watching.next_json().await;
    drop((answer, http, watching, watch));
    // Their places are free again, though the command still runs.
    let url = format!("ws://{}/call-api", server.address);
    let mut places = Vec::new();
    let again = async {
        while places.len() < 2 {
            places.extend(connect_async(&url).await);
        }
    };
    timeout(DEADLINE, again).await.expect("free places");
    let client = Client { socket: places.pop().unwrap().0 };
    server.backend.release();
    ended_for(client, reply["result"]["cmd_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_has_left_and_its_command_runs_on() {
    let server = TestServer::start().await;
    let params = json!({"caller": "sip:alice@h", "callee": "sip:hang@h", "cmd_id": "order-7"});
    let body = request("CallStart", params).to_string();
    let head = format!(
        "POST /call-api HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        server.address,
        body.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut stream = BufReader::new(stream);
    while !answer.contains("Started") {
        timeout(DEADLINE, stream.read_line(&mut answer)).await.expect("a reply").unwrap();
    }
    stream.shutdown().await.unwrap();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an end").unwrap();
    assert!(!answer.contains("Ended"), "{answer}");
    server.backend.release();
    ended(&server, "order-7").await;
}

#[tokio::test]
async fn a_request_without_an_id_is_answered_with_nothing_and_runs() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let mut start = call("bob");
    start.as_object_mut().unwrap().remove("id");
    start["params"]["cmd_id"] = json!("order-8");
    let answer = http.post(&[], &start).await;
    assert_eq!((answer.status(), answer.text().await.as_str()), (204, ""));
    ended(&server, "order-8").await;
    start["id"] = json!(2);
    assert_eq!(http.post(&[], &start).await.json().await["result"]["replayed"], true);
}

#[tokio::test]
async fn a_batch_is_answered_with_a_list_and_streams_until_all_have_ended() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let batch = json!([request("Echo", json!({})), request("NoSuch", json!({})), call("bob")]);
    let mut answer = http.post(&[], &batch).await;
    let replies = answer.next_json().await;
    assert_eq!(replies[0]["result"]["status"], "Started");
    assert_eq!(replies[1]["error"]["code"], -32601);
    assert_eq!(replies[2]["result"]["status"], "Started");
    let said = said(&answer.text().await);
    assert_eq!(said.iter().filter(|word| *word == "Ended").count(), 2, "{said:?}");
    assert_eq!((said.len(), said.last().unwrap().as_str()), (7, "Ended"), "{said:?}");
    let queries = json!([request("CallList", json!({})), request("CallList", json!({}))]);
    let answer = http.post(&[], &queries).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json().await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_an_answer_and_not_an_http_status() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    let bodies = [
        ("", -32700),
        ("{\"jsonrpc\": \"2.0\"", -32700),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc": "2.0", "id": 7, "method": "NoSuch"}"#, -32601),
        (r#"{"jsonrpc": "2.0", "id": 7, "method": "CallEnd", "params": {}}"#, -32602),
        (r#"{"jsonrpc": "2.0", "id": 7, "method": "CallGet", "params": {"callid": "x"}}"#, -32003),
    ];
    for (body, code) in bodies {
        let answer = http.send(Method::POST, &[], body.to_owned()).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json().await["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn a_body_at_the_limit_is_served_and_one_byte_more_is_refused() {
    let server = TestServer::start().await;
    let body = |bytes| echo(bytes).into_text().unwrap().to_string();
    let mut http = Http::to(&server).await;
    let answer = http.send(Method::POST, &[], body(65_536)).await;
    assert_eq!(said(&answer.text().await), ["Started", "REPLY", "Ended"]);
    for bytes in [65_537, 4 << 16, (4 << 16) + 1, 1 << 20] {
        let answer = Http::to(&server).await.send(Method::POST, &[], body(bytes)).await;
        assert_eq!(answer.status(), 413, "{bytes} bytes");
        assert_eq!(answer.json().await["error"]["code"], -32600, "{bytes} bytes");
    }
    // Refused in order: the connection serves the next.
    assert_eq!(http.send(Method::POST, &[], body(65_537)).await.json().await["id"], Value::Null);
    assert_eq!(http.send(Method::POST, &[], body(100)).await.status(), 200);
}

#[tokio::test]
async fn a_reply_that_is_longer_than_the_queue_is_refused_also_while_a_command_runs() {
    let server = TestServer::with(|limits| limits.queue_bytes = 10_000).await;
    let mut batch = vec![json!(1); 500];
    batch.push(call("hang"));
    let answer = Http::to(&server).await.post(&[], &json!(batch)).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.json().await["error"]["data"]["kind"], "rate_limited");
    server.backend.release();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /call-api HTTP/1.1\r\nHost: {}\r\nContent-Length: 99\r\n\r\n{{",
        server.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let whole = timeout(Duration::from_secs(11), stream.read_to_string(&mut answer));
    whole.await.expect("closed in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("-32600"), "{answer}");
}

#[tokio::test]
async fn other_methods_are_refused_and_named() {
    let server = TestServer::start().await;
    let mut http = Http::to(&server).await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = http.send(method.clone(), &[], call("bob").to_string()).await;
        assert_eq!(answer.status(), 405, "{method}");
        assert!(answer.header("allow").contains("POST"), "{}", answer.header("allow"));
    }
    for method in [Method::GET, Method::HEAD] {
        let answer = http.send(method, &[], String::new()).await;
        assert_eq!((answer.status(), answer.header("upgrade")), (426, "websocket"));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_places_no_call() {
    let server = TestServer::configured(|config| {
        config.ws_server.origins = vec!["https://desk.example.com".to_owned()];
    })
    .await;
    let mut http = Http::to(&server).await;
    let mut start = call("bob");
    start["params"]["cmd_id"] = json!("order-9");
    let origin = |origin: &str| ("Origin", origin.to_owned());
    // What a page may send without asking first: a form, and text.
    for page in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
            let headers = [origin(page), ("Content-Type", media_type.to_owned())];
            let answer = http.post(&headers, &start).await;
            assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (403, ""));
            assert_eq!(answer.json().await["error"]["code"], -32002);
        }
        let asks = [origin(page), ("Access-Control-Request-Method", "POST".to_owned())];
        let answer = http.send(Method::OPTIONS, &asks, String::new()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    // A page that may, asks first whether it may show a token.
    let page = "https://desk.example.com";
    let asks = [
        origin(page),
        ("Access-Control-Request-Method", "POST".to_owned()),
        ("Access-Control-Request-Headers", "authorization".to_owned()),
    ];
    let answer = http.send(Method::OPTIONS, &asks, String::new()).await;
    assert_eq!(answer.header("access-control-allow-origin"), page);
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    let reply = http.post(&[origin(page)], &start).await;
    assert_eq!(reply.header("access-control-allow-origin"), page);
    assert_eq!(reply.header("vary").to_ascii_lowercase().matches("origin").count(), 1);
    // It is the first to use this id.
    assert_eq!(said(&reply.text().await), EXAMPLE_FLOW);
}

#[tokio::test]
async fn a_token_is_asked_for_and_counts_its_streams() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |entry| entry.connections = Some(1));
    let server = tokens.server().await;
    let mut http = Http::to(&server).await;
    let answer = http.post(&[], &call("bob")).await;
    assert_eq!((answer.status(), answer.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(answer.json().await["error"]["code"], -32000);
    let answer = http.post(&[bearer("callapi_00")], &call("bob")).await;
    assert_eq!(
        (answer.status(), answer.json().await["error"]["code"].clone()),
        (401, json!(-32001))
    );
    let mut stream = http.post(&[bearer(&token)], &call("hang")).await;
    stream.next_json().await;
    let answer = Http::to(&server).await.post(&[bearer(&token)], &call("bob")).await;
    assert_eq!((answer.status(), answer.header("retry-after")), (429, "5"));
    assert_eq!(answer.json().await["error"]["code"], -32006);
    server.backend.release();
    stream.text().await;
    // The place is given back a moment after the last message.
    let mut http = Http::to(&server).await;
    let again = async { while http.post(&[bearer(&token)], &call("bob")).await.status() == 429 {} };
    timeout(DEADLINE, again).await.expect("a free place");
}

#[tokio::test]
async fn a_token_that_is_withdrawn_while_a_body_comes_commands_nothing() {
    let mut tokens = Tokens::new();
    let (token, other) = (tokens.add("shop", |_| {}), tokens.add("other", |_| {}));
    let server = tokens.server().await;
    let body = request("Echo", json!({"cmd_id": "late"})).to_string();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /call-api HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
         Expect: 100-continue\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        server.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.expect("let in").unwrap();
    tokens.remove("shop");
    server.door.reload().unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("-32001"), "{answer}");
    let answer = Http::to(&server).await.post(&[bearer(&other)], &request("Echo", json!({}))).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_stream_breaks_off_when_its_token_is_withdrawn() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |_| {});
    let server = tokens.server().await;
    let mut http = Http::to(&server).await;
    let mut stream = http.post(&[bearer(&token)], &request("Subscribe", json!({}))).await;
    stream.next_json().await;
    let mut others = Tokens::new();
    others.add("other", |_| {});
    std::fs::copy(others.file(), tokens.file()).unwrap();
    server.door.reload().unwrap();
    // Not like the end of a stream.
    assert!(stream.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_shutdown_refuses_what_is_new_and_lets_streams_come_to_their_end() {
    let server = TestServer::start().await;
    let (mut calling, mut watching) = (Http::to(&server).await, Http::to(&server).await);
    let mut stream = calling.post(&[], &call("hang")).await;
    stream.next_json().await;
    let mut events = watching.post(&[], &request("Subscribe", json!({}))).await;
    events.next_json().await;
    let mut third = Http::to(&server).await;
    server.stop.send(()).unwrap();
    let refused = async {
        loop {
            let answer = third.post(&[], &request("CallList", json!({}))).await;
            if answer.status() == 503 {
                return answer.json().await;
            }
            answer.text().await;
        }
    };
    let refused = timeout(DEADLINE, refused).await.unwrap();
    assert_eq!(refused["error"]["code"], -32010);
    server.backend.release();
    let said = said(&stream.text().await);
    assert_eq!(said.last().unwrap(), "Ended");
    // A subscription has no last message: its stream ends in good order.
    assert_eq!(events.text().await, "");
    timeout(DEADLINE, server.task).await.expect("stopped").unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_cut_and_others_are_served() {
    let server = TestServer::with(|limits| limits.ping_interval = Duration::from_secs(1)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = echo(60_000).into_text().unwrap().to_string();
    let head = format!(
        "POST /call-api HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        server.address,
        body.len()
    );
    let request = head + &body;
    let flood =
        tokio::spawn(async move { while stream.write_all(request.as_bytes()).await.is_ok() {} });
    let mut other = Http::to(&server).await;
    let served = async {
        while !flood.is_finished() {
            let answer = other.post(&[], &call("bob")).await;
            assert_eq!(said(&answer.text().await), EXAMPLE_FLOW);
        }
    };
    timeout(DEADLINE, served).await.expect("the flood is stopped");
}

#[tokio::test]
async fn curl_places_a_call_and_reads_what_becomes_of_it() {
    let server = TestServer::start().await;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--max-time", "20"]);
    curl.args(["--data", &call("bob").to_string()]);
    let output =
        curl.arg(format!("http://{}/call-api", server.address)).stdin(Stdio::null()).output();
    let output = match output.await {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none(), "curl is missing");
            return eprintln!("SKIPPED: curl is missing (scripts/install-tools)");
        }
        Err(error) => panic!("{error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said(std::str::from_utf8(&output.stdout).unwrap()), EXAMPLE_FLOW);
}
