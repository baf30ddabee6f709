//! The documents that describe the API to machines: they are what the specifications of OpenRPC and
//! AsyncAPI ask for, they are published, and the repository shows them.
//!
//! That messages are as they say is asserted where messages are: by the examples of the documentation
//! (`docs.rs`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "schemas/validate.rs"]
mod validate;

use std::path::PathBuf;

use call_api::api::Command;
use call_api::backend::fake::Fake;
use call_api::backend::{Backend, Outcome, Progress};
use call_api::config::WsServer;
use call_api::server::discovery::Discovery;
use expect_test::expect_file;
use serde_json::Value;

fn discovery() -> Discovery {
    Discovery::new(&Fake::default(), &WsServer::default())
}

fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

#[test]
fn the_repository_shows_the_documents() {
    let Discovery { openrpc, asyncapi } = discovery();
    expect_file!["../../../docs/openrpc.json"].assert_eq(&pretty(&openrpc));
    expect_file!["../../../docs/asyncapi.json"].assert_eq(&pretty(&asyncapi));
}

#[test]
fn the_documents_are_what_their_specifications_ask_for() {
    let Discovery { openrpc, asyncapi } = discovery();
    for (document, file) in [(openrpc, "openrpc-1.3.json"), (asyncapi, "asyncapi-3.0.json")] {
        let Some(schema) = published(file) else { continue };
        if let Err(error) = validate::validate(schema, &document) {
            panic!("{file}: {error}");
        }
    }
}

/// A schema that `scripts/install-tools` has put beside the project. Without it the test is skipped
/// aloud; with `CI` set that is a failure.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn published(file: &str) -> Option<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.lab/schemas").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
        eprintln!("SKIPPED: {} is missing: scripts/install-tools gets it", path.display());
        return None;
    };
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    // Draft 7, whatever it calls that.
    schema.as_object_mut().unwrap().remove("$schema");
    Some(schema)
}

#[test]
fn a_document_says_what_its_backend_cannot_do() {
    struct Deaf;
    impl Backend for Deaf {
        fn run(&self, _: Command, _: Progress) -> Outcome<'_> {
            unreachable!("nothing is run")
        }

        fn lacks(&self, method: &str) -> Option<&'static str> {
            (method == "CallHold").then_some("it cannot hold")
        }
    }
    let methods = Discovery::new(&Deaf, &WsServer::default()).openrpc["methods"].clone();
    let lacking =
        methods.as_array().unwrap().iter().filter(|method| !method["x-unsupported"].is_null());
    let lacking: Vec<_> =
        lacking.map(|method| (&method["name"], &method["x-unsupported"])).collect();
    assert_eq!(lacking, [(&Value::from("CallHold"), &Value::from("it cannot hold"))]);
}

#[test]
fn the_documents_say_where_the_server_is_reached() {
    let places = |host: &str, path: &str, tls: Option<&str>| {
        let (host, http_path) = (host.to_owned(), path.to_owned());
        let tls_certificate = tls.map(PathBuf::from);
        let place = WsServer { host, http_path, tls_certificate, ..WsServer::default() };
        let Discovery { openrpc, asyncapi } = Discovery::new(&Fake::default(), &place);
        let server = &asyncapi["servers"]["default"];
        [
            &openrpc["servers"][0]["url"],
            &openrpc["servers"][1]["url"],
            &server["protocol"],
            &server["host"],
            &asyncapi["channels"]["v2"]["address"],
        ]
        .map(|place| place.as_str().unwrap().to_owned())
    };
    assert_eq!(
        places("pbx.example.com", "/calls", Some("chain.pem")),
        [
            "wss://pbx.example.com:5059/calls",
            "wss://pbx.example.com:5059/calls/v1",
            "wss",
            "pbx.example.com:5059",
            "/calls/v2"
        ]
    );
    assert_eq!(places("::1", "/", None)[..2], ["ws://[::1]:5059/", "ws://[::1]:5059/v1"]);
    assert_eq!(places("0.0.0.0", "/calls", None)[3], "localhost:5059");
}
