//! The JSON Schemas (draft 7) of the values that check themselves: what `param` and `query` accept,
//! as far as a schema can say it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::param::{CallId, CommandId, DisplayName, ExtraHeaders, MAX_TIMEOUT, SipUri};
use super::query::{Cursor, Filter};

macro_rules! schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A duration on the wire.
pub(super) struct Milliseconds;

schema!(Milliseconds, {
    "description": "A whole number of milliseconds, an hour at most.",
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_TIMEOUT.as_millis() as u64,
});

schema!(SipUri, {
    "description": "A SIP URI (RFC 3261 §19.1), without a name around it and without headers.",
    "type": "string",
    "pattern": "^[sS][iI][pP][sS]?:[!#-;=@-~]+$",
    "maxLength": SipUri::MAX_LENGTH,
    "examples": ["sip:alice@10.0.0.10"],
});

schema!(CallId, {
    "description": "A SIP Call-ID (RFC 3261 §8.1.1.4), or the id of a call.",
    "type": "string",
    "pattern": "^[!-~]+$",
    "maxLength": CallId::MAX_LENGTH,
});

schema!(CommandId, {
    "description": "Names a command; no control characters.",
    "type": "string",
    "minLength": 1,
    "maxLength": CommandId::MAX_LENGTH,
});

schema!(DisplayName, {
    "description": "The name that a phone shows; no control characters.",
    "type": "string",
    "maxLength": DisplayName::MAX_LENGTH,
});

schema!(ExtraHeaders, {
    "description": "Names and values of SIP headers, none of them the dialog's own (From, Via, Contact, …).",
    "type": "object",
    "maxProperties": ExtraHeaders::MAX,
    "additionalProperties": { "type": "string", "maxLength": ExtraHeaders::MAX_VALUE },
});

schema!(Cursor, {
    "description": "A place in what the server has told. Clients send it back as they got it.",
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9]+$",
});

impl JsonSchema for Filter {
    fn schema_name() -> Cow<'static, str> {
        "Filter".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (callid, cmd_id) =
            (generator.subschema_for::<CallId>(), generator.subschema_for::<CommandId>());
        json_schema!({
            "description": "All calls, those of one Call-ID or id, one command's notifications, or the phones that register.",
            "type": "object",
            "maxProperties": 1,
            "additionalProperties": false,
            "properties": { "callid": callid, "cmd_id": cmd_id, "registrations": { "type": "boolean" } },
        })
    }
}
