//! A client that loses its connection.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::DEADLINE;

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Connects to wherever the server is now; `None` while it is not there.
    pub(crate) async fn connect(url: &watch::Receiver<String>) -> Option<Self> {
        let url = url.borrow().clone();
        let (socket, _) = timeout(DEADLINE, connect_async(url)).await.expect("an answer").ok()?;
        Some(Self { socket })
    }

    /// Sends a request. Whether it arrives is another matter.
    pub(crate) async fn send(&mut self, method: &str, params: &Value) {
        let request = json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params});
        let _ = self.socket.send(Message::text(request.to_string())).await;
    }

    /// The next message as it came; `None` when the connection is gone.
    pub(crate) async fn hear_text(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(text.as_str().to_owned()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        Some(serde_json::from_str(&self.hear_text().await?).unwrap())
    }

    /// The reply to a request, whatever else comes before.
    pub(crate) async fn ask(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.send(method, params).await;
        loop {
            let message = self.hear().await?;
            if message["id"] == method {
                return Some(message);
            }
        }
    }
}
