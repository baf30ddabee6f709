//! JSON Schema.

use serde_json::{Value, json};

/// Holds a value against a schema of draft 7.
pub(crate) fn validate(schema: Value, value: &Value) -> Result<(), String> {
    let (mut compiled, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.set_default_draft(boon::Draft::V7);
    // OpenRPC's name for JSON Schema, and what it uses of it.
    let json_schema = json!({
        "allOf": [{ "$ref": "http://json-schema.org/draft-07/schema#" }],
        "definitions": { "JSONSchemaObject": { "properties": { "$ref": { "type": "string" } } } },
    });
    compiler.add_resource("https://meta.json-schema.tools/", json_schema).unwrap();
    compiler.add_resource("memory:schema", schema).unwrap();
    let schema = compiler.compile("memory:schema", &mut compiled).unwrap();
    compiled.validate(value, schema).map_err(|error| format!("{error:#}"))
}
