//! `event_stream`: events over TCP, one JSON value after another with nothing in between.

use std::io;
use std::net::IpAddr;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Arrival, MAX_DATAGRAM};

/// Connections at a time: OpenSIPS has one, and a new one after it lost it.
const MAX_CONNECTIONS: usize = 16;
/// Bytes of an event that is not complete yet. Beyond it the connection is closed.
const MAX_EVENT: usize = MAX_DATAGRAM;

/// Accepts connections of `proxy` and reads events from them.
pub(super) async fn events(listener: TcpListener, arrivals: mpsc::Sender<Arrival>, proxy: IpAddr) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = arrivals.closed() => return,
        };
        match accepted {
            Ok((_, peer)) if peer.ip() != proxy || connections.len() >= MAX_CONNECTIONS => {
                tracing::debug!(%peer, "an event connection that is refused");
            }
            Ok((stream, peer)) => {
                let arrivals = arrivals.clone();
                connections.spawn(async move {
                    if let Err(error) = read(stream, &arrivals).await {
                        tracing::warn!(%peer, %error, "event connection");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "accepting event connections"),
        }
    }
}

async fn read(mut stream: TcpStream, arrivals: &mpsc::Sender<Arrival>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        for event in take_complete(&mut buffer)? {
            tracing::trace!(%event, "EVT <");
            if arrivals.send(Arrival::Event(event.to_string().into_bytes())).await.is_err() {
                return Ok(());
            }
        }
        if buffer.len() > MAX_EVENT {
            return Err(io::Error::other("an event has no end"));
        }
    }
}

/// Takes the JSON values that are there in full.
fn take_complete(buffer: &mut Vec<u8>) -> io::Result<Vec<Value>> {
    let mut values = serde_json::Deserializer::from_slice(buffer).into_iter::<Value>();
    let mut complete = Vec::new();
    let taken = loop {
        match values.next() {
            Some(Ok(value)) => complete.push(value),
            Some(Err(error)) if error.is_eof() => break values.byte_offset(),
            Some(Err(error)) => return Err(error.into()),
            None => break buffer.len(),
        }
    };
    buffer.drain(..taken);
    Ok(complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_where_they_end_however_they_arrive() {
        let text = br#"{"method":"E_CALL_HOLD","params":{"callid":"a}b{"}}{"method":"E_CALL_TRANSFER"}{"method":1}"#;
        for piece in 1..text.len() {
            let mut buffer = Vec::new();
            let mut events = Vec::new();
            for part in text.chunks(piece) {
                buffer.extend_from_slice(part);
                events.extend(take_complete(&mut buffer).unwrap());
            }
            assert_eq!(events.len(), 3, "in pieces of {piece}");
            assert_eq!(events[0]["params"]["callid"], "a}b{");
            assert!(buffer.is_empty());
        }
        assert!(take_complete(&mut b"GET / HTTP/1.1".to_vec()).is_err());
    }
}
