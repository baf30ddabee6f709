//! `mi_http`: a POST for each request.
//!
//! The proxy has one process for it and answers one request after another, so a call that rings keeps
//! every other request waiting. The Content-Type must be `application/json` and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout_at;

use super::{Arrival, FarEnd};
use crate::backend::opensips::mi::in_flight::Outgoing;

/// Connections at a time. More would only wait in the proxy instead of here.
const MAX_CONNECTIONS: usize = 16;
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;

type Connection = SendRequest<Full<Bytes>>;

/// Where requests go, and the connections that none uses just now.
struct Client {
    proxy: SocketAddr,
    path: String,
    idle: Mutex<Vec<Connection>>,
}

/// Carries requests and answers until nobody wants them any more.
pub(super) fn start(proxy: SocketAddr, path: &str, far: FarEnd) {
    let client = Arc::new(Client { proxy, path: path.to_owned(), idle: Mutex::default() });
    tokio::spawn(run(client, far));
}

async fn run(client: Arc<Client>, FarEnd { mut requests, arrivals }: FarEnd) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(request) = requests.recv().await {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (client, arrivals) = (Arc::clone(&client), arrivals.clone());
        tokio::spawn(async move {
            let _slot = slot;
            carry(&client, request, &arrivals).await;
        });
    }
}

async fn carry(client: &Client, request: Outgoing, arrivals: &mpsc::Sender<Arrival>) {
    tracing::trace!(request = request.text, "MI >");
    let arrival = tokio::select! {
        posted = timeout_at(request.deadline, client.post(request.text)) => match posted {
            Ok(Ok(answer)) => Arrival::Answer(answer.to_vec()),
            Ok(Err(error)) => Arrival::Gone(error.to_string()),
            // Whoever asked has been told.
            Err(_) => return,
        },
        () = arrivals.closed() => return,
    };
    tracing::trace!(?arrival, "MI <");
    let _ = arrivals.send(arrival).await;
}

impl Client {
    async fn post(&self, text: String) -> io::Result<Bytes> {
        let request = |text: &str| {
            Request::post(&self.path)
                .header(HOST, self.proxy.to_string())
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(text.to_owned()))
                .map_err(io::Error::other)
        };
        while let Some(mut connection) = self.take_idle() {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.send_request(request(&text)?).await {
                Ok(response) => return self.finish(connection, response).await,
                // The proxy closed it before anything of the request was sent.
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request(&text)?).await.map_err(io::Error::other)?;
        self.finish(connection, response).await
    }

    async fn finish(
        &self,
        connection: Connection,
        response: Response<Incoming>,
    ) -> io::Result<Bytes> {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if status != StatusCode::OK {
            return Err(io::Error::other(format!("HTTP {status}")));
        }
        self.idle().push(connection);
        Ok(body)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.proxy).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection to mi_http");
            }
        });
        Ok(connection)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle().pop()
    }

    /// Every change of the list is complete, so a poisoned lock guards nothing broken.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
