//! The methods: what they take, what their reply is, how they are refused.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::api::manual::{self, Entry, Parameter};
use crate::api::{Command, ErrorKind};
use crate::backend::Backend;
use crate::config::WsServer;
use crate::server::dialect::{CallShown, Calls, Registrations, Started, Subscribed, Unsubscribed};

/// The document.
pub(super) fn document(backend: &dyn Backend, ws_server: &WsServer) -> Value {
    let mut generator = super::generator();
    let entries: Vec<Entry> = manual::commands(&mut generator)
        .into_iter()
        .chain(manual::queries(&mut generator))
        .collect();
    let methods: Vec<Value> =
        entries.into_iter().map(|entry| method(entry, backend, &mut generator)).collect();
    let server = |name: &str, path: &str| {
        let url = format!("{}://{}{path}", ws_server.scheme(), ws_server.authority());
        json!({ "name": name, "url": url })
    };
    json!({
        "openrpc": "1.3.2",
        "info": super::info(),
        "servers": [
            server("default", &ws_server.http_path),
            server("v1", &ws_server.under("v1")),
            server("v2", &ws_server.under("v2")),
        ],
        "methods": methods,
        "components": { "schemas": generator.take_definitions(true), "errors": errors() },
    })
}

fn method(entry: Entry, backend: &dyn Backend, generator: &mut SchemaGenerator) -> Value {
    let is_command = Command::NAMES.contains(&entry.name);
    let mut method = json!({
        "name": entry.name,
        "summary": entry.summary,
        "description": entry.description,
        "paramStructure": "by-name",
        "params": entry.params.into_iter().map(param).collect::<Vec<_>>(),
        "result": result(entry.name, generator),
        "errors": ErrorKind::of_requests().map(reference).collect::<Vec<_>>(),
        "tags": [{ "name": if is_command { "command" } else { "query" } }],
    });
    if let Some(reason) = backend.lacks(entry.name) {
        method["deprecated"] = true.into();
        method["x-unsupported"] = reason.into();
    }
    method
}

fn param(Parameter { name, description, required, schema }: Parameter) -> Value {
    json!({ "name": name, "description": description, "required": required, "schema": schema })
}

fn result(method: &str, generator: &mut SchemaGenerator) -> Value {
    fn named<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
        json!({ "name": T::schema_name(), "schema": generator.subschema_for::<T>() })
    }
    match method {
        "CallList" => named::<Calls>(generator),
        "CallGet" => named::<CallShown>(generator),
        "RegistrationList" => named::<Registrations>(generator),
        "Subscribe" => named::<Subscribed<'_>>(generator),
        "Unsubscribe" => named::<Unsubscribed<'_>>(generator),
        "rpc.discover" => json!({
            "name": "OpenRPC Schema",
            "schema": { "$ref": "https://raw.githubusercontent.com/open-rpc/meta-schema/master/schema.json" },
        }),
        _ => named::<Started<'_>>(generator),
    }
}

fn reference(kind: ErrorKind) -> Value {
    json!({ "$ref": format!("#/components/errors/{}", kind.name()) })
}

/// Those of requests, and those that `Error` notifications carry, too.
fn errors() -> Value {
    let error = |(_, code, name): (ErrorKind, i32, &str)| {
        let error = json!({ "code": code, "message": name, "data": { "kind": name } });
        (name.to_owned(), error)
    };
    Value::Object(ErrorKind::TABLE.into_iter().map(error).collect())
}
