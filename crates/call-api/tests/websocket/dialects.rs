//! Which dialect is spoken where.

use call_api::server::dialect::Dialect;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{Client, TestServer};

/// The dialect that is spoken to whoever connects there: by the events of an `Echo`.
async fn spoken(server: &TestServer, path: &str) -> Dialect {
    let mut client = server.client_at(path).await;
    client.request("Echo", json!({"a": "b"})).await;
    match replied(&mut client).await["method"].as_str() {
        Some("Event") => Dialect::V1,
        Some("Echo") => Dialect::V2,
        other => panic!("{other:?}"),
    }
}

/// Reads `Started`, the reply to an `Echo`, and `Ended`.
async fn replied(client: &mut Client) -> Value {
    client.next().await;
    let replied = client.next().await;
    client.next().await;
    replied
}

#[tokio::test]
async fn each_path_speaks_its_dialect_and_the_setting_chooses_that_of_the_shortest() {
    let server = TestServer::start().await;
    assert_eq!(spoken(&server, "/call-api").await, Dialect::V1);
    assert_eq!(spoken(&server, "/call-api/v1").await, Dialect::V1);
    assert_eq!(spoken(&server, "/call-api/v2").await, Dialect::V2);

    let server = TestServer::configured(|config| {
        config.ws_server.dialect = Dialect::V2;
        config.ws_server.http_path = "/phones/".to_owned();
    });
    let server = server.await;
    assert_eq!(spoken(&server, "/phones/").await, Dialect::V2);
    assert_eq!(spoken(&server, "/phones/v1").await, Dialect::V1);
    assert_eq!(spoken(&server, "/phones/v2").await, Dialect::V2);
}

#[tokio::test]
async fn text_in_a_binary_frame_is_read_in_v2_alone() {
    let server = TestServer::start().await;
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"Echo","params":{"a":"b"}}"#;
    let binary = || Message::binary(request.as_bytes().to_vec());
    let mut client = server.client_at("/call-api/v2").await;
    client.send(binary()).await;
    assert_eq!(replied(&mut client).await["params"]["data"], json!({"a": "b"}));
    client.send(Message::binary(vec![0xff])).await;
    assert_eq!(client.close_code().await, 1003);

    let mut client = server.client_at("/call-api/v1").await;
    client.send(binary()).await;
    assert_eq!(client.close_code().await, 1003);
}

#[tokio::test]
async fn a_binary_frame_over_the_limit_closes_with_1009_as_a_text_frame_does() {
    let server = TestServer::start().await;
    let mut client = server.client_at("/call-api/v2").await;
    client.send(Message::binary(vec![b' '; 65_537])).await;
    assert_eq!(client.close_code().await, 1009);
}
