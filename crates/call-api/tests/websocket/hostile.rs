//! Clients that send anything: mutated HTTP requests, `POST`s among them, and mutated WebSocket frames,
//! seeded. Nobody gets in without a token, nothing keeps the server from serving others, and every
//! connection ends.

use tokio::task::JoinSet;

use super::access::Tokens;
use super::*;

/// xorshift64*: enough chance for a test, and the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    /// A few changes of single bytes, pieces and lengths.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at + 1),
                3 => drop(bytes.drain(at..end.min(at + bytes.len() - 1))),
                4 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let pieces: [&[u8]; 6] =
                        [b"\r\n", b"\0", b"\r\n\r\n", b"\xFF\xFF\xFF", b": ", b"%"];
                    bytes.splice(at..at, pieces[self.below(6)].iter().copied());
                }
            }
        }
    }
}

pub(crate) fn upgrade(address: SocketAddr, token: &str) -> String {
    format!(
        "GET /call-api HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
}

/// Sends all of it and no more, and reads to the end.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have heard enough before all is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end");
    answer
}

async fn serves(server: &TestServer, token: &str) {
    let answer = exchange(server.address, upgrade(server.address, token).as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn no_mutation_of_a_request_gets_in_without_the_token() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |_| {});
    let server = tokens.server().await;
    let (mut refused, mut entered) = (0, 0);
    for seed in 1..=1500 {
        let mut request = upgrade(server.address, &token).into_bytes();
        Chance(seed).mutate(&mut request);
        let has_token = request.windows(token.len()).any(|piece| piece == token.as_bytes());
        let answer = exchange(server.address, &request).await;
        if answer.starts_with(b"HTTP/1.1 101") {
            assert!(has_token, "seed {seed}: {}", String::from_utf8_lossy(&request));
            entered += 1;
        } else {
            refused += 1;
        }
        let echoed = answer.windows(token.len()).any(|piece| piece == token.as_bytes());
        assert!(!echoed, "seed {seed}: the token came back");
    }
    assert!(refused > 300 && entered > 50, "refused {refused}, entered {entered}");
    serves(&server, &token).await;
}

/// A masked frame (RFC 6455 §5.2) whose mask is zero, so that its payload is as it is read.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A handshake, and mutated frames behind it.
fn frames(seed: u64, address: SocketAddr, requests: &[Value; 3]) -> Vec<u8> {
    let mut chance = Chance(seed);
    let mut frames = Vec::new();
    for _ in 0..=chance.below(4) {
        let request = requests[chance.below(3)].to_string();
        let opcode = [1, 1, 1, 2, 9, 10, 0, 8, 3][chance.below(9)];
        // Control frames are short (RFC 6455 §5.5).
        let length = request.len().min(if opcode > 7 { 125 } else { 1000 });
        frames.extend(frame(opcode, &request.as_bytes()[..length]));
    }
    chance.mutate(&mut frames);
    let mut bytes = upgrade(address, "none").into_bytes();
    bytes.extend(frames);
    bytes
}

#[tokio::test]
async fn no_mutation_of_frames_keeps_the_server_from_serving_others() {
    let server = TestServer::start().await;
    let requests = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "Echo", "params": {"x": "y".repeat(200)}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "CallStart", "params": {"caller": "sip:a@h", "callee": "sip:busy@h"}}),
        json!([{"jsonrpc": "2.0", "id": 3, "method": "Subscribe"}, {"jsonrpc": "2.0", "method": "CallEnd", "params": {"callid": "x"}}]),
    ];
    let mut answered = 0;
    for some in (1..=800).collect::<Vec<u64>>().chunks(100) {
        // Side by side: the server gives each that it breaks off with a moment to read why.
        let mut exchanges = JoinSet::new();
        for seed in some.iter().copied() {
            let (address, bytes) = (server.address, frames(seed, server.address, &requests));
            exchanges.spawn(async move { (seed, exchange(address, &bytes).await) });
        }
        for (seed, answer) in exchanges.join_all().await {
            assert!(answer.starts_with(b"HTTP/1.1 101"), "seed {seed}");
            let head = answer.windows(4).position(|piece| piece == b"\r\n\r\n").unwrap() + 4;
            answered += usize::from(answer.len() > head);
        }
    }
    assert!(answered > 300, "{answered} said more than the handshake");
    let mut client = server.client().await;
    client.request("CallStart", json!({"caller": "sip:alice@h", "callee": "sip:bob@h"})).await;
    assert_eq!(client.until_ended().await, EXAMPLE_FLOW);
}

/// A few `POST`s in a row, mutated. The last one ends the connection, if it is read as such.
fn posts(seed: u64, address: SocketAddr, token: &str, requests: &[Value; 4]) -> Vec<u8> {
    let mut chance = Chance(seed);
    let mut bytes = Vec::new();
    let count = 1 + chance.below(3);
    for number in 1..=count {
        let body = requests[chance.below(requests.len())].to_string();
        let connection = if number == count { "close" } else { "keep-alive" };
        let accept = ["*/*", "text/event-stream", "application/json"][chance.below(3)];
        let framing = match chance.below(2) {
            0 => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
            _ => {
                format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
            }
        };
        let head = format!(
            "POST /call-api HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n\
             Authorization: Bearer {token}\r\nAccept: {accept}\r\n"
        );
        bytes.extend((head + &framing).into_bytes());
    }
    chance.mutate(&mut bytes);
    bytes
}

#[tokio::test]
async fn no_mutation_of_posts_gets_in_without_the_token_and_every_connection_ends() {
    let mut tokens = Tokens::new();
    let token = tokens.add("shop", |entry| entry.connections = Some(1000));
    let server = TestServer::configured(|config| {
        config.ws_server.tokens = Some(tokens.file());
        // What a mutation leaves unfinished is waited for.
        config.limits.handshake = Duration::from_secs(1);
    })
    .await;
    let requests = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "Echo", "params": {"x": "y".repeat(200)}}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "CallStart", "params": {"caller": "sip:a@h", "callee": "sip:busy@h"}}),
        json!([{"jsonrpc": "2.0", "id": 3, "method": "CallList"}, {"jsonrpc": "2.0", "method": "CallEnd", "params": {"callid": "x"}}]),
        json!({"jsonrpc": "2.0", "method": "Echo"}),
    ];
    let (mut served, mut refused) = (0, 0);
    for some in (1..=800).collect::<Vec<u64>>().chunks(100) {
        let mut exchanges = JoinSet::new();
        for seed in some.iter().copied() {
            let (address, bytes) = (server.address, posts(seed, server.address, &token, &requests));
            exchanges.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                // The server may have heard enough before all is sent.
                let _ = stream.write_all(&bytes).await;
                let mut answer = Vec::new();
                let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("an end");
                (seed, bytes, answer)
            });
        }
        for (seed, bytes, answer) in exchanges.join_all().await {
            let holds = |text: &[u8], piece: &str| {
                text.windows(piece.len()).any(|window| window == piece.as_bytes())
            };
            assert!(!holds(&answer, &token), "seed {seed}: the token came back");
            if holds(&answer, "HTTP/1.1 200") || holds(&answer, "HTTP/1.1 204") {
                assert!(holds(&bytes, &token), "seed {seed}: {}", String::from_utf8_lossy(&bytes));
                served += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(served > 200 && refused > 100, "served {served}, refused {refused}");
    serves(&server, &token).await;
}
