//! The notifications: what a client reads beside replies.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::Command;
use crate::config::WsServer;
use crate::server::dialect::{
    CallEventParams, CommandParams, EndedParams, ErrorParams, EventParams, Marked,
    RegistrationEventParams,
};

/// Messages by their names.
type Messages = Map<String, Value>;

/// The document.
pub(super) fn document(ws_server: &WsServer) -> Value {
    let generator = &mut super::generator();
    let v1 = Messages::from_iter([
        message::<EventParams<'_>>("Event", "A command went on.", generator),
        message::<ErrorParams<'_>>("Error", "A command failed. Ended follows.", generator),
        message::<EndedParams<'_>>("Ended", "A command is over: its last message.", generator),
    ]);
    let v2 = Messages::from_iter(Command::NAMES.map(|name| {
        let method = if name == "CallUnHold" { "CallUnhold" } else { name };
        message::<CommandParams<'_>>(method, &format!("What becomes of a {name}."), generator)
    }));
    let both = Messages::from_iter([
        message::<CallEventParams<'_>>("CallEvent", "Something happened to a call.", generator),
        message::<RegistrationEventParams>(
            "RegistrationEvent",
            "A phone registered, or is not registered any more.",
            generator,
        ),
    ]);
    let channel = |name: &str, messages: &Messages| {
        let reference = |name: &String| {
            (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }))
        };
        json!({
            "address": ws_server.under(name),
            "description": format!("JSON-RPC 2.0; the requests and replies are described by /openrpc.json. {} itself speaks v1, unless ws_server.dialect is v2.", ws_server.http_path),
            "messages": messages.keys().chain(both.keys()).map(reference).collect::<Messages>(),
        })
    };
    let operation = |name: &str| json!({ "action": "send", "channel": { "$ref": format!("#/channels/{name}") } });
    let (in_v1, in_v2) = (channel("v1", &v1), channel("v2", &v2));
    json!({
        "asyncapi": "3.0.0",
        "info": super::info(),
        "defaultContentType": "application/json",
        "servers": { "default": { "host": ws_server.authority(), "protocol": ws_server.scheme() } },
        "channels": { "v1": in_v1, "v2": in_v2 },
        "operations": { "tellInV1": operation("v1"), "tellInV2": operation("v2") },
        "components": {
            "messages": v1.into_iter().chain(v2).chain(both).collect::<Messages>(),
            "schemas": generator.take_definitions(true),
        },
    })
}

/// A JSON-RPC notification whose params are a `P` with its mark.
fn message<P: JsonSchema>(
    method: &str,
    summary: &str,
    generator: &mut SchemaGenerator,
) -> (String, Value) {
    let message = json!({
        "name": method,
        "summary": summary,
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "method", "params"],
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "method": { "const": method },
                "params": generator.subschema_for::<Marked<P>>(),
            },
        },
    });
    (method.to_owned(), message)
}
