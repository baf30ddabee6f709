//! The sockets: every way to reach OpenSIPS and its events, in real time on loopback, and who is not
//! listened to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use call_api::backend::opensips::OpenSips;
use call_api::backend::opensips::link::{Arrival, Link};
use call_api::backend::opensips::mi::in_flight::Outgoing;
use call_api::config::{self, Config};
use call_api::server::journal::Journal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::script::{Script, World};

const START: &str = r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1""#;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A played OpenSIPS, to be put behind a socket.
struct Behind {
    requests: mpsc::Sender<Outgoing>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Behind {
    fn new() -> Self {
        let mut script = Script::new(World::default());
        let (link, far) = Link::pair("behind", "", std::net::Ipv4Addr::LOCALHOST.into());
        script.serve(far);
        Self { requests: link.requests, arrivals: link.arrivals }
    }
}

async fn read(requests: &mpsc::Sender<Outgoing>, text: &[u8]) {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let deadline = Instant::now() + DEADLINE;
    requests.send(Outgoing { text, deadline }).await.unwrap();
}

/// The socket that a request subscribes.
fn subscribed(text: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(text).unwrap();
    request["params"]["socket"].as_str().map(str::to_owned)
}

/// Sends events to whatever socket was subscribed.
struct Events {
    socket: UdpSocket,
    stream: Option<TcpStream>,
    to: Option<String>,
}

impl Events {
    async fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, stream: None, to: None }
    }

    async fn send(&mut self, event: &[u8]) {
        let to = self.to.as_deref().expect("events are sent to subscribers");
        let (transport, address) = to.split_once(':').unwrap();
        if transport == "udp" {
            self.socket.send_to(event, address).await.unwrap();
            return;
        }
        if self.stream.is_none() {
            self.stream = Some(TcpStream::connect(address).await.unwrap());
        }
        self.stream.as_mut().unwrap().write_all(event).await.unwrap();
    }
}

/// Somebody who can send datagrams to us.
struct Stranger {
    near: UdpSocket,
    elsewhere: UdpSocket,
}

impl Stranger {
    async fn new() -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { near, elsewhere: UdpSocket::bind("127.0.0.2:0").await.unwrap() }
    }

    /// Answers before the proxy does, with the right id.
    async fn answer(&self, request: &[u8], to: SocketAddr) {
        let id = serde_json::from_slice::<Value>(request).unwrap()["id"].clone();
        let forged = format!(r#"{{"error":{{"code":404,"message":"forged"}},"id":{id}}}"#);
        self.near.send_to(forged.as_bytes(), to).await.unwrap();
    }

    /// Says that what begins has failed.
    async fn event(&self, event: &[u8], to: &str) {
        let event = String::from_utf8(event.to_vec()).unwrap();
        let forged = event.replace(r#""start","status":"""#, r#""fail","status":"603 Forged""#);
        let Some(to) = to.strip_prefix("udp:") else { return };
        self.elsewhere.send_to(forged.as_bytes(), to).await.unwrap();
    }
}

/// `mi_datagram` on UDP, and a stranger who is always faster.
async fn udp(behind: Behind) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let Behind { requests, mut arrivals } = behind;
    let task = tokio::spawn(async move {
        let (mut events, stranger) = (Events::new().await, Stranger::new().await);
        let (mut buffer, mut peer) = (vec![0; 65_535], None);
        loop {
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    peer = Some(from);
                    events.to = subscribed(&buffer[..length]).or(events.to.take());
                    stranger.answer(&buffer[..length], from).await;
                    read(&requests, &buffer[..length]).await;
                }
                Some(arrival) = arrivals.recv() => match arrival {
                    Arrival::Answer(bytes) => drop(socket.send_to(&bytes, peer.unwrap()).await),
                    Arrival::Event(bytes) => {
                        stranger.event(&bytes, events.to.as_deref().unwrap()).await;
                        events.send(&bytes).await;
                    }
                    Arrival::Gone(_) => return,
                },
            }
        }
    });
    (address, task)
}

/// A server that uses the proxy at `url`, configured as an operator would.
async fn client(url: &str, events: Option<&str>) -> Client {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut environment = vec![variable("CALL_API_MI_URL", url)];
    environment.extend(events.map(|events| variable("CALL_API_MI_EVENTS", events)));
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = Some(file.path().to_owned());
    let config: Config = config::load("call-api", path, environment).unwrap().config;
    let journal = Arc::new(Journal::default());
    let backend = OpenSips::connect(&config, journal.clone()).await.unwrap();
    Client::on(backend, journal)
}

async fn assert_starts_a_call(mut client: Client) {
    timeout(DEADLINE, client.run("CallStart", START)).await.unwrap();
    assert!(
        client.transcript.contains(r#""data":"CALL_ANSWER","callid":"new-of-call""#),
        "{}",
        client.transcript
    );
    assert!(!client.transcript.contains("Error"), "{}", client.transcript);
}

#[tokio::test]
async fn over_udp_and_only_the_proxy_is_listened_to() {
    let (address, _task) = udp(Behind::new()).await;
    assert_starts_a_call(client(&address.to_string(), None).await).await;
}

#[tokio::test]
async fn over_udp_with_events_over_tcp() {
    let (address, _task) = udp(Behind::new()).await;
    let client = client(&format!("udp:{address}"), Some("tcp:127.0.0.1:0")).await;
    assert_starts_a_call(client).await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mi.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let Behind { requests, mut arrivals } = Behind::new();
    tokio::spawn(async move {
        let mut events = Events::new().await;
        let (mut buffer, mut peer) = (vec![0; 65_535], None);
        loop {
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    peer = from.as_pathname().map(Path::to_owned);
                    events.to = subscribed(&buffer[..length]).or(events.to.take());
                    read(&requests, &buffer[..length]).await;
                }
                Some(arrival) = arrivals.recv() => match arrival {
                    Arrival::Answer(bytes) => {
                        let peer = peer.as_ref().expect("we are known by a path");
                        drop(socket.send_to(&bytes, peer).await);
                    }
                    Arrival::Event(bytes) => events.send(&bytes).await,
                    Arrival::Gone(_) => return,
                },
            }
        }
    });
    assert_starts_a_call(client(&format!("unix:{}", path.display()), None).await).await;
}

/// Ids of requests, and where their answers go.
type Waiting = Vec<(Value, mpsc::Sender<Vec<u8>>)>;

#[tokio::test]
async fn over_http() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let Behind { requests, mut arrivals } = Behind::new();
    let events = Arc::new(Mutex::new(Events::new().await));
    let waiting: Arc<Mutex<Waiting>> = Arc::default();
    let (answering, subscribing) = (Arc::clone(&waiting), Arc::clone(&events));
    tokio::spawn(async move {
        while let Some(arrival) = arrivals.recv().await {
            match arrival {
                Arrival::Answer(bytes) => {
                    let id = serde_json::from_slice::<Value>(&bytes).unwrap()["id"].clone();
                    let mut waiting = answering.lock().await;
                    let at = waiting.iter().position(|(waits, _)| *waits == id).unwrap();
                    let (_, answer) = waiting.remove(at);
                    let _ = answer.send(bytes).await;
                }
                Arrival::Event(bytes) => events.lock().await.send(&bytes).await,
                Arrival::Gone(_) => return,
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (requests, waiting) = (requests.clone(), Arc::clone(&waiting));
            let subscribing = Arc::clone(&subscribing);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                while let Some(body) = http_request(&mut stream).await {
                    if let Some(to) = subscribed(&body) {
                        subscribing.lock().await.to = Some(to);
                    }
                    let id = serde_json::from_slice::<Value>(&body).unwrap()["id"].clone();
                    let (answer, mut answered) = mpsc::channel(1);
                    waiting.lock().await.push((id, answer));
                    read(&requests, &body).await;
                    let Some(text) = answered.recv().await else { return };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        text.len()
                    );
                    stream.write_all(head.as_bytes()).await.unwrap();
                    stream.write_all(&text).await.unwrap();
                }
            });
        }
    });
    assert_starts_a_call(client(&format!("http://{address}/mi"), None).await).await;
}

/// Reads a request that `mi_http` would answer, and returns its body.
async fn http_request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    assert!(head.starts_with("post /mi http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

#[tokio::test]
async fn a_proxy_that_dies_is_noticed_at_once() {
    let (address, task) = udp(Behind::new()).await;
    let mut client = client(&address.to_string(), None).await;
    task.abort();
    let _ = task.await;
    let began = Instant::now();
    timeout(DEADLINE, client.run("CallEnd", r#""callid":"x""#)).await.unwrap();
    assert!(client.transcript.contains("backend_unavailable"), "{}", client.transcript);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_starts_before_its_proxy() {
    let reserved = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let mut client = client(&address.to_string(), None).await;
    timeout(DEADLINE, client.run("CallEnd", r#""callid":"x""#)).await.unwrap();
    assert!(client.transcript.contains("backend_unavailable"), "{}", client.transcript);
}
