//! `call-api demo`: the server, its SIP engine and three software phones in one process, on
//! loopback. It places a call as any client would, transfers and ends it, and shows what the client
//! sees and what SIP says; then it watches a call that a phone places.

mod phone;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::ladder::Ladder;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use self::phone::{Captured, Phone};
use crate::backend::embedded::{Embedded, Settings, Udp};
use crate::config::{Config, WsServer};
use crate::server;
use crate::server::journal::Journal;

/// The phones and the ports they ask for; when one is taken, any other does.
const PHONES: [(&str, u16); 3] = [("alice", 5071), ("bob", 5072), ("cindy", 5073)];
/// How long bob lets it ring.
const RINGING: Duration = Duration::from_millis(600);
/// How long the demo's own call may take: far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);
/// SIP messages kept for the ladder; further ones are not drawn.
const CAPTURE: usize = 1024;

/// Runs the demo until `shutdown`, or with `once` until its own calls are over.
///
/// # Errors
///
/// When a port is taken, the output goes nowhere, or the call fails.
pub async fn run(
    config: &Config,
    out: &mut impl Write,
    once: bool,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    // Its client shows no token, and trusts no certificate.
    let ws_server =
        WsServer { tokens: None, tls_certificate: None, tls_key: None, ..config.ws_server.clone() };
    let listener = server::bind(&ws_server).await?;
    let udp = Udp::listen(&config.sip.listen).await?;
    let sip = udp.local();
    let journal = Arc::new(Journal::default());
    // Its phones are here, whatever proxy and users the configuration names.
    let settings = Settings { advertise: config.sip.advertise.clone(), ..Settings::default() };
    let backend = Arc::new(Embedded::start(udp, settings, journal.clone())?);
    let (captured, mut capture) = mpsc::channel(CAPTURE);
    let mut phones = Vec::new();
    for (name, port) in PHONES {
        phones.push(Phone::start(name, port, sip, RINGING, captured.clone()).await?);
    }
    let url = format!("ws://{}{}", listener.local_addr()?, config.ws_server.http_path);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = {
        let (config, backend) = (config.clone(), backend.clone());
        tokio::spawn(async move {
            // Dropping the sender stops the server just as sending does.
            let stopped = async { drop(stopped.await) };
            server::serve(listener, &config, backend, journal, stopped).await;
        })
    };
    tokio::select! {
        shown = show(&url, sip, &phones, &mut capture, once, out) => shown?,
        () = shutdown => {}
    }
    drop(stop);
    serving.await.map_err(io::Error::other)
}

/// Places a call, transfers it, and watches another; unless `once`, it stays for those of the reader.
async fn show(
    url: &str,
    sip: SocketAddr,
    phones: &[Phone],
    capture: &mut mpsc::Receiver<Captured>,
    once: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let uris: Vec<&str> = phones.iter().map(|phone| phone.uri.as_str()).collect();
    introduce(out, url, sip, &uris)?;
    let lanes: HashMap<SocketAddr, usize> = std::iter::once((sip, 0))
        .chain(phones.iter().zip(1..).map(|(phone, lane)| (phone.address, lane)))
        .collect();
    let mut client = Client::connect(url).await?;
    client.call("CallStart", json!({"caller": uris[0], "callee": uris[1]}), out).await?;
    // The third phone has no part in it.
    draw(out, "The SIP of this call", &["call-api", "alice", "bob"], capture, &lanes)?;
    let callid = client.callid.clone();
    writeln!(out, "\nNow it sends bob on to cindy; alice is released once the two talk:\n")?;
    let transfer = json!({"callid": callid, "leg": "callee", "destination": uris[2]});
    client.call("CallBlindTransfer", transfer, out).await?;
    draw(out, "The SIP of this transfer", &["call-api", "alice", "bob", "cindy"], capture, &lanes)?;
    let callid = client.callid.clone();
    writeln!(out, "\nAnd it ends the call:\n")?;
    client.call("CallEnd", json!({"callid": callid}), out).await?;
    watch(&mut client, phones, once, out).await?;
    if !once {
        writeln!(
            out,
            "\nThe phones stay in their call, and answer others: try the command above. Ctrl-C stops."
        )?;
        out.flush()?;
        std::future::pending::<()>().await;
    }
    Ok(())
}

fn introduce(out: &mut impl Write, url: &str, sip: SocketAddr, uris: &[&str]) -> io::Result<()> {
    let (alice, bob) = (uris[0], uris[1]);
    writeln!(
        out,
        "Call API demo: the server, its SIP engine and three phones, in this process.\n"
    )?;
    writeln!(out, "  clients  {url}")?;
    writeln!(out, "  SIP      udp:{sip}")?;
    writeln!(out, "  phones   {}\n", uris.join("  "))?;
    writeln!(out, "It now places a call, as this would:\n")?;
    writeln!(out, "  cargo run --release --bin call-api-client -- -url {url} \\")?;
    writeln!(
        out,
        "    -method CallStart -params '{{\"caller\": \"{alice}\", \"callee\": \"{bob}\"}}'\n"
    )?;
    out.flush()
}

/// Shows a call that no command has to do with: the third phone calls the first.
async fn watch(
    client: &mut Client,
    phones: &[Phone],
    once: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let [alice, _, cindy] = phones else { return Ok(()) };
    writeln!(out, "\nNow cindy's phone calls alice's; whoever has subscribed is told:\n")?;
    client.send("Subscribe", json!({}), out).await?;
    client.hear(out).await?;
    cindy.dial(&alice.uri).await;
    client.hear_until("CALL_ESTABLISHED", out).await?;
    if once {
        cindy.hang_up().await;
        client.hear_until("CALL_END", out).await?;
    }
    Ok(())
}

/// Draws the SIP messages since the last drawing.
fn draw(
    out: &mut impl Write,
    title: &str,
    names: &[&'static str],
    capture: &mut mpsc::Receiver<Captured>,
    lanes: &HashMap<SocketAddr, usize>,
) -> io::Result<()> {
    let mut ladder = Ladder::without_client(names);
    let mut began = None;
    while let Ok(message) = capture.try_recv() {
        if let (Some(from), Some(to)) = (lanes.get(&message.from), lanes.get(&message.to)) {
            let at = message.at - *began.get_or_insert(message.at);
            ladder.message(at, *from, *to, &message.bytes, false);
        }
    }
    write!(out, "\n{title}, in milliseconds:\n\n{ladder}")
}

/// A client of the API, as anybody could write one.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
    callid: Value,
}

impl Client {
    async fn connect(url: &str) -> io::Result<Self> {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.map_err(io::Error::other)?;
        Ok(Self { socket, requests: 0, callid: Value::Null })
    }

    /// Sends a command and shows every message until it has ended.
    async fn call(&mut self, method: &str, params: Value, out: &mut impl Write) -> io::Result<()> {
        self.send(method, params, out).await?;
        loop {
            let message = self.hear(out).await?;
            if let Some(callid) = message["params"].get("callid") {
                self.callid = callid.clone();
            }
            match message["method"].as_str() {
                Some("Ended") => return Ok(()),
                Some("Error") => {
                    return Err(io::Error::other(message["params"]["message"].to_string()));
                }
                _ if message.get("error").is_some() => {
                    return Err(io::Error::other(message["error"]["message"].to_string()));
                }
                _ => {}
            }
        }
    }

    /// Shows every message until this happens to a call.
    async fn hear_until(&mut self, event: &str, out: &mut impl Write) -> io::Result<()> {
        while self.hear(out).await?["params"]["event"] != event {}
        Ok(())
    }

    async fn send(&mut self, method: &str, params: Value, out: &mut impl Write) -> io::Result<()> {
        self.requests += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params});
        writeln!(out, "> {request}")?;
        self.socket.send(Message::text(request.to_string())).await.map_err(io::Error::other)
    }

    async fn hear(&mut self, out: &mut impl Write) -> io::Result<Value> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.map_err(io::Error::other)?;
            let message = message.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
            let Message::Text(text) = message else { continue };
            writeln!(out, "< {text}")?;
            return serde_json::from_str(&text).map_err(io::Error::from);
        }
    }
}
