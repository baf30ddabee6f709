//! The server over real sockets: the example flow, limits, slow clients, web pages of others, and
//! shutting down; in files of their own, plain HTTP, who is let in, TLS, and clients that send anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod dialects;
mod frames;
mod hostile;
mod http;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use call_api::api::call::{Party, Reached, Stage};
use call_api::api::{Call, CallChange, CallEvent, CallId};
use call_api::backend::EventSink;
use call_api::backend::fake::Fake;
use call_api::config::{Config, Limits, WsServer};
use call_api::server::journal::Journal;
use call_api::server::{self, Door};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Far longer than anything here takes: a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(30);

struct TestServer {
    address: SocketAddr,
    door: Arc<Door>,
    backend: Arc<Fake>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl TestServer {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits)).await
    }

    async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::watching(Arc::default(), change).await
    }

    async fn watching(journal: Arc<Journal>, change: impl FnOnce(&mut Config)) -> Self {
        let ws_server = WsServer { port: 0, ..WsServer::default() };
        let mut config = Config { ws_server, ..Config::default() };
        change(&mut config);
        let listener = server::bind(&config.ws_server).await.unwrap();
        let (address, door) = (listener.local_addr().unwrap(), listener.door());
        let backend = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn({
            let backend = backend.clone();
            async move {
                let shutdown = async {
                    if stopped.await.is_err() {
                        // The test is over, and with it its runtime.
                        std::future::pending::<()>().await;
                    }
                };
                server::serve(listener, &config, backend, journal, shutdown).await;
            }
        });
        Self { address, door, backend, stop, task }
    }

    async fn client(&self) -> Client {
        self.client_at("/call-api").await
    }

    async fn client_at(&self, path: &str) -> Client {
        let (socket, _) = connect_async(format!("ws://{}{path}", self.address)).await.unwrap();
        Client { socket }
    }

    async fn get(&self, path: &str) -> String {
        http_get(self.address, path).await
    }
}

/// The whole response; empty when there was none.
async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn request(&mut self, method: &str, params: Value) {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.send(Message::text(request.to_string())).await;
    }

    async fn next(&mut self) -> Value {
        loop {
            match timeout(DEADLINE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// What a call start says: the status of its reply, the `data` of its events, the method of
    /// what follows.
    async fn until_ended(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let message = self.next().await;
            let words =
                [&message["result"]["status"], &message["params"]["data"], &message["method"]];
            let word = words.iter().find_map(|word| word.as_str()).unwrap().to_owned();
            said.push(word);
            if message["method"] == "Ended" {
                return said;
            }
        }
    }

    /// The close code; 1006 when there was none.
    async fn close_code(&mut self) -> u16 {
        timeout(DEADLINE, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return code.into(),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return 1006,
                }
            }
        })
        .await
        .expect("an end in time")
    }
}

fn echo(bytes: usize) -> Message {
    let head = r#"{"jsonrpc":"2.0","id":1,"method":"Echo","params":{"x":""#;
    let tail = r#""}}"#;
    Message::text(format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len())))
}

const EXAMPLE_FLOW: [&str; 6] =
    ["Started", "CALL_ANSWER", "TRANSFER_ACCEPT", "CALL_START", "CALL_ANSWER", "Ended"];

#[tokio::test]
async fn a_call_start_is_answered_with_the_example_flow_on_both_paths() {
    let server = TestServer::start().await;
    for path in ["/call-api", "/call-api/v1"] {
        let mut client = server.client_at(path).await;
        client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:bob@h"})).await;
        assert_eq!(client.until_ended().await, EXAMPLE_FLOW);
    }
}

#[tokio::test]
async fn a_message_at_the_limit_is_served_and_one_byte_more_closes_with_1009() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(echo(65_536)).await;
    assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
    client.send(echo(65_537)).await;
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test]
async fn a_message_far_over_the_limit_closes_with_1009_too() {
    let server = TestServer::start().await;
    for bytes in [256 << 10, (256 << 10) + 1, 32 << 20] {
        let (mut sink, stream) = server.client().await.socket.split();
        // A message this long is not read to its end, so sending it may fail; the close frame
        // arrives all the same.
        let sent = tokio::spawn(async move { (sink.send(echo(bytes)).await, sink) });
        let code = timeout(DEADLINE, close_code(stream)).await.unwrap();
        assert_eq!(code, 1009, "{bytes} bytes");
        drop(sent.await);
    }
}

async fn close_code(
    mut stream: impl futures_util::Stream<Item = Result<Message, WsError>> + Unpin,
) -> u16 {
    while let Some(Ok(message)) = stream.next().await {
        if let Message::Close(Some(CloseFrame { code, .. })) = message {
            return code.into();
        }
    }
    1006
}

#[tokio::test]
async fn a_message_in_fragments_counts_as_a_whole() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let part = vec![b' '; 40_000];
    client
        .send(Message::Frame(Frame::message(part.clone(), OpCode::Data(Data::Text), false)))
        .await;
    client.send(Message::Frame(Frame::message(part, OpCode::Data(Data::Continue), true))).await;
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test]
async fn a_binary_message_closes_with_1003() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(Message::binary(b"{}".to_vec())).await;
    assert_eq!(client.close_code().await, 1003);
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client
        .send(Message::Frame(Frame::message(vec![0xC3, 0x28], OpCode::Data(Data::Text), true)))
        .await;
    assert_eq!(client.close_code().await, 1007);
}

#[tokio::test]
async fn deep_nesting_is_answered_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(Message::text("[".repeat(65_536))).await;
    assert_eq!(client.next().await["error"]["code"], -32700);
    client.request("Echo", json!({})).await;
    assert_eq!(client.until_ended().await, ["Started", "REPLY", "Ended"]);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_others_are_served() {
    let server = TestServer::with(|limits| limits.ping_interval = Duration::from_secs(1)).await;
    let (mut sink, _unread) = server.client().await.socket.split();
    let flood = tokio::spawn(async move { while sink.send(echo(60_000)).await.is_ok() {} });
    let mut other = server.client().await;
    let served = async {
        while !flood.is_finished() {
            other.request("Echo", json!({})).await;
            assert_eq!(other.until_ended().await, ["Started", "REPLY", "Ended"]);
        }
    };
    timeout(DEADLINE, served).await.expect("the flood is stopped");
}

#[tokio::test]
async fn a_client_whose_queue_is_full_is_closed_with_1008() {
    let server = TestServer::with(|limits| limits.queue_bytes = 10_000).await;
    let mut client = server.client().await;
    client.send(Message::text(format!("[{}]", vec!["1"; 1000].join(",")))).await;
    assert_eq!(client.close_code().await, 1008);
}

#[tokio::test]
async fn a_client_that_sends_much_before_it_reads_gets_every_answer() {
    const REQUESTS: usize = 20_000;
    let server = TestServer::with(|limits| limits.queue_bytes = 1 << 20).await;
    let (mut sink, mut stream) = server.client().await.socket.split();
    let sender = tokio::spawn(async move {
        for _ in 0..REQUESTS {
            sink.feed(Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"NoSuch"}"#))
                .await
                .unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    for _ in 0..REQUESTS {
        let message = timeout(DEADLINE, stream.next()).await.unwrap().unwrap().unwrap();
        assert!(message.to_text().unwrap().contains("-32601"));
    }
    drop(sender.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_dropped_after_two() {
    let server = TestServer::start().await;
    let mut deaf = server.client().await;
    // Nothing is read meanwhile, so no ping is answered.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let mut pings = 0;
    while let Some(Ok(message)) = deaf.socket.next().await {
        pings += usize::from(message.is_ping());
    }
    assert_eq!(pings, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut pings = 0;
    let hour = timeout(Duration::from_secs(3600), async {
        while let Some(message) = client.socket.next().await {
            pings += usize::from(message.unwrap().is_ping());
        }
    });
    assert!(hour.await.is_err(), "disconnected after {pings} pings");
    assert!(pings >= 179, "{pings} pings");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_no_request_is_closed() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /call").await.unwrap();
    let mut rest = Vec::new();
    timeout(Duration::from_secs(11), stream.read_to_end(&mut rest))
        .await
        .expect("closed in time")
        .unwrap();
}

#[tokio::test]
async fn web_pages_of_others_are_refused() {
    let server = TestServer::start().await;
    let connect = async |origin: String| {
        let mut request =
            format!("ws://{}/call-api", server.address).into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        connect_async(request).await
    };
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        match connect(origin.to_owned()).await {
            Err(WsError::Http(response)) => assert_eq!(response.status(), 403, "{origin}"),
            other => panic!("{origin}: {other:?}"),
        }
    }
    assert!(connect(format!("http://{}", server.address)).await.is_ok());
}

#[tokio::test]
async fn one_connection_more_than_the_bound_is_closed_and_its_place_is_free_again_later() {
    let server = TestServer::with(|limits| limits.connections = 1).await;
    let mut first = server.client().await;
    assert!(connect_async(format!("ws://{}/call-api", server.address)).await.is_err());
    first.socket.close(None).await.unwrap();
    first.close_code().await;
    drop(first);
    let again = async {
        while connect_async(format!("ws://{}/call-api", server.address)).await.is_err() {}
    };
    timeout(DEADLINE, again).await.expect("a free place");
}

#[tokio::test]
async fn health_and_unknown_paths_are_answered() {
    let server = TestServer::start().await;
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404"));
    assert!(server.get("/call-api").await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn a_shutdown_lets_running_commands_end_and_then_closes_with_1001() {
    let server = TestServer::start().await;
    let (mut client, mut idle) = (server.client().await, server.client().await);
    client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:hang@h"})).await;
    for _ in 0..4 {
        client.next().await; // Started and three events: the call hangs
    }
    server.stop.send(()).unwrap();
    let address = server.address;
    let draining =
        async { while !http_get(address, "/readyz").await.starts_with("HTTP/1.1 503") {} };
    timeout(DEADLINE, draining).await.expect("draining");
    assert!(http_get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(connect_async(format!("ws://{address}/call-api")).await.is_err());
    idle.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:bob@h"})).await;
    assert_eq!(idle.next().await["error"]["code"], -32010);
    idle.request("CallEnd", json!({"callid": "x"})).await;
    assert_eq!(idle.until_ended().await, ["Started", "Ended"]);
    server.backend.release();
    assert_eq!(client.until_ended().await, ["CALL_ANSWER", "Ended"]);
    assert_eq!((client.close_code().await, idle.close_code().await), (1001, 1001));
    timeout(DEADLINE, server.task).await.expect("stopped").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_calls_as_long_as_it_is_told_to() {
    let waits = |seconds| async move {
        let journal = Arc::new(Journal::default());
        let (server, journal) = (
            TestServer::watching(journal.clone(), |config| {
                config.limits.drain_calls = Duration::from_secs(seconds);
            })
            .await,
            journal,
        );
        let began = Instant::now();
        let call = Call {
            id: CallId::parse("1").unwrap(),
            callid: None,
            stage: Stage::Established,
            caller: party(),
            callee: party(),
            ending: None,
        };
        journal.call(CallEvent { change: CallChange::Created, call: call.clone() });
        server.stop.send(()).unwrap();
        let ends = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            journal.call(CallEvent { change: CallChange::Ended, call });
            std::future::pending::<()>().await;
        };
        tokio::select! {
            stopped = server.task => stopped.unwrap(),
            () = ends => {}
        }
        began.elapsed().as_secs()
    };
    assert_eq!((waits(0).await, waits(30).await, waits(300).await), (0, 30, 60));
}

fn party() -> Party {
    Party { uri: None, callid: None, reached: Reached::Answered, held: false }
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let server = TestServer::with(|limits| limits.drain = Duration::from_millis(50)).await;
    let mut client = server.client().await;
    client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:hang@h"})).await;
    assert_eq!(client.next().await["result"]["status"], "Started");
    server.stop.send(()).unwrap();
    let said = client.until_ended().await;
    assert_eq!(said[said.len() - 2..], ["Error", "Ended"]);
    assert_eq!(client.close_code().await, 1001);
    timeout(DEADLINE, server.task).await.expect("stopped").unwrap();
}

#[tokio::test]
async fn an_address_that_others_reach_must_be_meant() {
    let remote = WsServer { host: "0.0.0.0".to_owned(), port: 0, ..WsServer::default() };
    let error = server::bind(&remote).await.unwrap_err().to_string();
    assert!(error.contains("ws_server.tokens"), "{error}");
    assert!(error.contains("ws_server.allow_remote"), "{error}");
    assert!(server::bind(&WsServer { allow_remote: true, ..remote }).await.is_ok());
    assert!(
        server::bind(&WsServer { host: "localhost".to_owned(), port: 0, ..WsServer::default() })
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let server = TestServer::start().await;
    let taken = WsServer { port: server.address.port(), ..WsServer::default() };
    let error = server::bind(&taken).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("ws_server 127.0.0.1:{}", taken.port)), "{error}");
}
