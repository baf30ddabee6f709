//! What the API is, for machines: an OpenRPC document of its methods and an AsyncAPI document of its
//! notifications, made from the types that requests are parsed into and notifications are written
//! from.
//!
//! <https://spec.open-rpc.org>, version 1.3; <https://www.asyncapi.com>, version 3.0.

mod asyncapi;
mod openrpc;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::config::WsServer;

/// Both documents, as they are for one backend, reached at one place.
#[derive(Debug)]
pub struct Discovery {
    /// The result of `rpc.discover`, and `/openrpc.json`.
    pub openrpc: Value,
    /// `/asyncapi.json`.
    pub asyncapi: Value,
}

impl Discovery {
    /// Says what this backend supports, and where.
    #[must_use]
    pub fn new(backend: &dyn Backend, ws_server: &WsServer) -> Self {
        Self {
            openrpc: openrpc::document(backend, ws_server),
            asyncapi: asyncapi::document(ws_server),
        }
    }
}

/// A generator whose schemas refer to those in the `components` of a document.
fn generator() -> SchemaGenerator {
    let in_components =
        |settings: &mut SchemaSettings| settings.definitions_path = "/components/schemas".into();
    SchemaSettings::draft07().with(in_components).into_generator()
}

fn info() -> Value {
    json!({
        "title": "Call API",
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "version": env!("CARGO_PKG_VERSION"),
    })
}
