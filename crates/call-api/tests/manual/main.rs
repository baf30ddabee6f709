//! `docs/api.md`: its prose is `api.md.in`, its tables are the code's. Each line `{{…}}` there stands for
//! a table made from the types that the server reads and writes with (by the documents of
//! `rpc.discover` and `/asyncapi.json`), from the table of errors, or from the configuration.
//!
//! `UPDATE_EXPECT=1` writes it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use call_api::api::ErrorKind;
use call_api::backend::fake::Fake;
use call_api::config::{Config, WsServer};
use call_api::server::discovery::Discovery;
use expect_test::expect_file;
use schemars::SchemaGenerator;
use serde_json::Value;

/// The types that have a row in the table of values, and how they are called there.
const VALUES: [(&str, &str); 8] = [
    ("SipUri", "SIP URI"),
    ("CallId", "Call-ID"),
    ("CommandId", "command id"),
    ("Milliseconds", "milliseconds"),
    ("DisplayName", "display name"),
    ("ExtraHeaders", "headers"),
    ("Cursor", "cursor"),
    ("Filter", "filter"),
];

#[test]
fn the_manual_is_made_from_the_code() {
    let manual = Manual::new();
    let mut text = String::new();
    for line in include_str!("api.md.in").lines() {
        match line.strip_prefix("{{").and_then(|line| line.strip_suffix("}}")) {
            Some(table) => text += &manual.table(table),
            None => text += line,
        }
        text += "\n";
    }
    expect_file!["../../../../docs/api.md"].assert_eq(&text);
}

/// What the server says of itself.
struct Manual {
    methods: Vec<Value>,
    /// Of both documents. A type that is in both is the same in both.
    schemas: Vec<Value>,
}

impl Manual {
    fn new() -> Self {
        let Discovery { openrpc, asyncapi } =
            Discovery::new(&Fake::default(), &WsServer::default());
        let methods = openrpc["methods"].as_array().unwrap().clone();
        let schemas = [openrpc, asyncapi].map(|document| document["components"]["schemas"].clone());
        Self { methods, schemas: schemas.to_vec() }
    }

    fn table(&self, what: &str) -> String {
        let rows = match what.split_once(' ') {
            Some(("parameters", method)) => self.parameters(method),
            Some(("members", name)) => self.members(name),
            Some(("names", name)) => names(self.schema(name)),
            None if what == "values" => self.values(),
            None if what == "errors" => errors(),
            None if what == "limits" => limits(),
            _ => panic!("no table {what}"),
        };
        rows.join("\n")
    }

    fn schema(&self, name: &str) -> &Value {
        let found = self.schemas.iter().find_map(|schemas| schemas.get(name));
        found.unwrap_or_else(|| panic!("no type {name}"))
    }

    /// The parameters of a method.
    fn parameters(&self, method: &str) -> Vec<String> {
        let method = self.methods.iter().find(|known| known["name"] == method).unwrap();
        let row = |param: &Value| {
            let schema = &param["schema"];
            let default = match &schema["default"] {
                Value::Null => String::new(),
                Value::Array(empty) if empty.is_empty() => String::new(),
                Value::String(word) => format!("; default `{word}`"),
                other => format!("; default `{other}`"),
            };
            let mandatory = if param["required"] == true { ", mandatory" } else { &default };
            let (name, meaning) = (param["name"].as_str().unwrap(), text(param));
            format!("| `{name}` | {}{mandatory} | {meaning} |", self.kind(schema))
        };
        let head = ["| Parameter | Value | Meaning |", "| --- | --- | --- |"].map(str::to_owned);
        head.into_iter().chain(method["params"].as_array().unwrap().iter().map(row)).collect()
    }

    /// The members of an object.
    fn members(&self, name: &str) -> Vec<String> {
        let schema = self.schema(name);
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let row = |(name, schema): (&String, &Value)| {
            let always =
                if required.iter().any(|required| required == name) { ", always" } else { "" };
            format!("| `{name}` | {}{always} | {} |", self.kind(schema), text(schema))
        };
        let head = ["| Member | Value | Meaning |", "| --- | --- | --- |"].map(str::to_owned);
        head.into_iter().chain(schema["properties"].as_object().unwrap().iter().map(row)).collect()
    }

    /// What a value may be, in a few words.
    fn kind(&self, schema: &Value) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            if let Some((_, title)) = VALUES.iter().find(|(known, _)| *known == name) {
                return format!("[{title}](#values)");
            }
            return self.kind(self.schema(name));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let names: Vec<Value> = choices.iter().map(|choice| choice["const"].clone()).collect();
            // More have a table of their own.
            return if names.len() > 6 { "a name below".to_owned() } else { listed(&names) };
        }
        // One type, which may be left out.
        for several in ["allOf", "anyOf"] {
            if let Some(types) = schema[several].as_array() {
                let types = types.iter().filter(|schema| schema["type"] != "null");
                let kinds: Vec<_> = types.map(|schema| self.kind(schema)).collect();
                let anything = kinds.iter().find(|kind| *kind == "anything");
                return anything.cloned().unwrap_or_else(|| kinds.join(" or "));
            }
        }
        if !schema["const"].is_null() {
            return listed(std::slice::from_ref(&schema["const"]));
        }
        let kind = schema["type"].as_array().map_or(&schema["type"], |types| &types[0]);
        match kind.as_str() {
            Some("boolean") => "`true`, `false`".to_owned(),
            Some("integer") => "number".to_owned(),
            Some("string") => "text".to_owned(),
            Some("object") => "object".to_owned(),
            Some("array") => format!("list of {}s", self.kind(&schema["items"])),
            None => "anything".to_owned(),
            Some(other) => panic!("no words for {other}"),
        }
    }

    /// What kinds of values parameters take.
    fn values(&self) -> Vec<String> {
        let row = |(name, title): (&str, &str)| {
            let schema = self.schema(name);
            format!("| {title} | {} | {} |", bounds(schema), text(schema))
        };
        let head = ["| Value | Bounds | |", "| --- | --- | --- |"].map(str::to_owned);
        head.into_iter().chain(VALUES.into_iter().map(row)).collect()
    }
}

/// The bounds that a schema sets.
fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema[name].as_u64();
    let range = |least: Option<u64>, most: u64| match least {
        Some(least) => format!("{least} to {most}"),
        None => format!("up to {most}"),
    };
    if let Some(most) = number("maxLength") {
        return format!("{} characters", range(number("minLength"), most));
    }
    if let Some(most) = number("maximum") {
        return range(number("minimum"), most);
    }
    match (number("maxProperties"), schema["additionalProperties"]["maxLength"].as_u64()) {
        (Some(most), Some(length)) => {
            format!("up to {most} names, with values of up to {length} bytes")
        }
        (Some(most), None) => format!("up to {most} member"),
        (None, _) => String::new(),
    }
}

/// The names that something may have, and what they mean.
fn names(schema: &Value) -> Vec<String> {
    let row = |name: &Value| {
        format!("| {} | {} |", listed(std::slice::from_ref(&name["const"])), text(name))
    };
    let head = ["| Name | Meaning |", "| --- | --- |"].map(str::to_owned);
    head.into_iter().chain(schema["oneOf"].as_array().unwrap().iter().map(row)).collect()
}

fn errors() -> Vec<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<ErrorKind>();
    let kinds = schema.get("oneOf").and_then(Value::as_array).unwrap();
    let row = |((_, code, name), kind): ((ErrorKind, i32, &str), &Value)| {
        format!("| {code} | `{name}` | {} |", text(kind))
    };
    let head = ["| Code | Kind | When |", "| --- | --- | --- |"].map(str::to_owned);
    head.into_iter().chain(ErrorKind::TABLE.into_iter().zip(kinds).map(row)).collect()
}

/// The settings of the section `limits`, their defaults and what is said of them there.
fn limits() -> Vec<String> {
    let sample = Config::sample();
    let (_, limits) = sample.split_once("\nlimits:\n").unwrap();
    let lines: Vec<_> = limits.lines().collect();
    let (pairs, rest) = lines.as_chunks::<2>();
    assert!(rest.is_empty(), "a line that explains, and the setting");
    let row = |[meaning, setting]: &[&str; 2]| {
        let meaning = meaning.strip_prefix("  # ").unwrap();
        let (name, default) = setting.strip_prefix("  #").unwrap().split_once(": ").unwrap();
        format!("| `limits.{name}` | {default} | {meaning} |")
    };
    let head = ["| Setting | Default | Meaning |", "| --- | --- | --- |"].map(str::to_owned);
    head.into_iter().chain(pairs.iter().map(row)).collect()
}

/// Words in code font.
fn listed(words: &[Value]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect::<Vec<_>>().join(", ")
}

/// A description in one line, without the full stop of a single sentence.
fn text(described: &Value) -> String {
    let text = described["description"].as_str().unwrap_or_default().replace('\n', " ");
    match text.strip_suffix('.') {
        Some(sentence) if !sentence.contains(". ") => sentence.to_owned(),
        _ => text,
    }
}
