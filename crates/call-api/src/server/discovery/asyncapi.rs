//! The notifications: what a client reads beside replies.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::server::dialect::{
    CallEventParams, EndedParams, ErrorParams, EventParams, RegistrationEventParams,
};

/// The document.
pub(super) fn document() -> Value {
    let mut generator = super::generator();
    let messages = [
        message::<EventParams<'_>>("Event", "A command went on.", &mut generator),
        message::<ErrorParams<'_>>("Error", "A command failed. Ended follows.", &mut generator),
        message::<EndedParams<'_>>("Ended", "A command is over: its last message.", &mut generator),
        message::<CallEventParams<'_>>(
            "CallEvent",
            "Something happened to a call.",
            &mut generator,
        ),
        message::<RegistrationEventParams<'_>>(
            "RegistrationEvent",
            "A phone registered, or is not registered any more.",
            &mut generator,
        ),
    ];
    let references = |place: &str| {
        let reference = |(name, _): &(&str, Value)| json!({ "$ref": format!("#/{place}/{name}") });
        messages.iter().map(reference).collect::<Vec<_>>()
    };
    let by_name: Map<String, Value> = messages
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .zip(references("components/messages"))
        .collect();
    let told = references("channels/api/messages");
    json!({
        "asyncapi": "3.0.0",
        "info": super::info(),
        "defaultContentType": "application/json",
        "servers": {
            "default": { "host": "localhost:5059", "pathname": "/call-api", "protocol": "ws" },
        },
        "channels": {
            "api": {
                "address": "/call-api",
                "description": "JSON-RPC 2.0; the requests and replies are described by /openrpc.json.",
                "messages": by_name,
            },
        },
        "operations": {
            "tell": {
                "action": "send",
                "channel": { "$ref": "#/channels/api" },
                "messages": told,
            },
        },
        "components": {
            "messages": messages.into_iter().map(|(name, message)| (name.to_owned(), message)).collect::<Map<_, _>>(),
            "schemas": generator.take_definitions(true),
        },
    })
}

/// A JSON-RPC notification whose params are a `T`.
fn message<T: JsonSchema>(
    method: &'static str,
    summary: &str,
    generator: &mut SchemaGenerator,
) -> (&'static str, Value) {
    let message = json!({
        "name": method,
        "summary": summary,
        "payload": {
            "type": "object",
            "required": ["jsonrpc", "method", "params"],
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "method": { "const": method },
                "params": generator.subschema_for::<T>(),
            },
        },
    });
    (method, message)
}
