//! What a recorded `mi_http` answers, over real sockets: what of it is an answer, and what means that
//! there is no OpenSIPS.

use std::time::Duration;

use call_api::backend::opensips::link::{Arrival, Link};
use call_api::backend::opensips::mi::in_flight::Outgoing;
use call_api::backend::opensips::mi::reply::Reply;
use call_api::config::MiUrl;
use expect_test::expect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

/// What was answered to each request: the status line and the body, or nothing where the connection was
/// closed. Requests that were never answered are left out: they end at their deadline.
fn answers() -> Vec<Option<(String, String)>> {
    let recording = include_str!("captures/37-mi-http.txt");
    let answered = recording.lines().filter_map(|line| line.split_once(" --- -> "));
    let answer = |(_, text): (&str, &str)| match text.split_once(" {") {
        Some((status, rest)) => {
            // The recorded client counted with numbers.
            let body = rest.split_once("} ")?.1.replace(r#""id":1}"#, r#""id":"1"}"#);
            Some(Some((status.to_owned(), body)))
        }
        None => text.contains("RemoteDisconnected").then_some(None),
    };
    answered.filter_map(answer).collect()
}

#[tokio::test]
async fn what_mi_http_answers_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = answers();
    tokio::spawn(async move {
        for answer in served {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65_536];
            let _ = stream.read(&mut request).await.unwrap();
            let Some((status, body)) = answer else { continue };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let url = MiUrl::Http(address.to_string(), "/mi".to_owned());
    let mut link = Link::open(&url, None, 0).await.unwrap();
    let mut understood = String::new();
    for answer in answers() {
        let text = r#"{"jsonrpc":"2.0","id":"1","method":"uptime"}"#.to_owned();
        let deadline = Instant::now() + Duration::from_secs(30);
        link.requests.send(Outgoing { text, deadline }).await.unwrap();
        let arrival = timeout(Duration::from_secs(30), link.arrivals.recv()).await.unwrap();
        let meant = match arrival.unwrap() {
            Arrival::Answer(bytes) => match Reply::parse(&bytes) {
                Reply::To(id, answer) => format!("the answer to {id}: {}", kind(answer.is_ok())),
                other => format!("{other:?}"),
            },
            Arrival::Gone(_) => "there is no OpenSIPS".to_owned(),
            Arrival::Event(_) => panic!("events come elsewhere"),
        };
        let answered = answer.map_or("closed".to_owned(), |(status, _)| status);
        understood += &format!("{answered}: {meant}\n");
    }
    expect![[r#"
        200 OK: the answer to 1: a result
        200 OK: the answer to 1: a result
        400 Bad Request: there is no OpenSIPS
        closed: there is no OpenSIPS
        closed: there is no OpenSIPS
        200 OK: Foreign
        200 OK: the answer to 1: an error
        200 OK: the answer to s: an error
        406 Not Acceptable: there is no OpenSIPS
        200 OK: the answer to async: a result
        200 OK: the answer to async2: a result
        200 OK: the answer to 1: a result
    "#]]
    .assert_eq(&understood);
}

fn kind(is_result: bool) -> &'static str {
    if is_result { "a result" } else { "an error" }
}
