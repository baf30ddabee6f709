//! The manual of the API, as data: every method and its parameters, from the types' own doc
//! comments. `server::discovery` publishes it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::command::{
    CallAttendedTransfer, CallBlindTransfer, CallEnd, CallHold, CallStart, CallUnHold, Echo,
};
use super::param::{CallId, CommandId};
use super::query::Subscribe;

/// A method.
#[derive(Debug)]
pub struct Entry {
    /// Its name in a request.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: String,
    /// The rest of its doc comment; often empty.
    pub description: String,
    /// What it takes, in the order of the manual.
    pub params: Vec<Parameter>,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in `params`.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What it may be.
    pub schema: Value,
}

type Describe = fn(&mut SchemaGenerator) -> Schema;

/// [`super::Command::NAMES`], with the types that describe them.
const COMMANDS: [(&str, Describe); 7] = [
    ("CallStart", CallStart::json_schema),
    ("CallBlindTransfer", CallBlindTransfer::json_schema),
    ("CallAttendedTransfer", CallAttendedTransfer::json_schema),
    ("CallHold", CallHold::json_schema),
    ("CallUnHold", CallUnHold::json_schema),
    ("CallEnd", CallEnd::json_schema),
    ("Echo", Echo::json_schema),
];

/// [`super::Query::NAMES`], with the types that describe them.
const QUERIES: [(&str, Describe); 6] = [
    ("CallList", CallList::json_schema),
    ("CallGet", CallGet::json_schema),
    ("RegistrationList", RegistrationList::json_schema),
    ("Subscribe", Subscribe::json_schema),
    ("Unsubscribe", Unsubscribe::json_schema),
    ("rpc.discover", Discover::json_schema),
];

/// What every command takes beside its own parameters.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "described here, read by Invocation::parse")]
struct EveryCommand {
    /// Also report ringing and other provisional events.
    #[schemars(default)]
    verbose: bool,
    /// Your own name for the command, which makes a retry safe.
    cmd_id: Option<CommandId>,
}

/// Every call there is, oldest first, with the cursor from which a subscription goes on.
#[derive(JsonSchema)]
struct CallList {}

/// One call, by its Call-ID or its id.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "described here, read by Query::parse")]
struct CallGet {
    /// The call's SIP Call-ID or id.
    callid: CallId,
}

/// Every phone that is registered, with the cursor from which a subscription goes on.
#[derive(JsonSchema)]
struct RegistrationList {}

/// Ends a subscription of this connection. Nothing of it follows the reply.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "described here, read by Query::parse")]
struct Unsubscribe {
    /// Its name, as the reply to `Subscribe` has it.
    subscription: String,
}

/// This description of the API, as an OpenRPC document.
#[derive(JsonSchema)]
struct Discover {}

/// Every command, in the order of the manual. The generator collects the types that they share.
pub fn commands(generator: &mut SchemaGenerator) -> Vec<Entry> {
    let every = Entry::new("", EveryCommand::json_schema(generator)).params;
    let command = |(name, describe): (&'static str, Describe)| {
        let mut entry = Entry::new(name, describe(generator));
        entry.params.extend(every.iter().cloned());
        entry
    };
    COMMANDS.into_iter().map(command).collect()
}

/// Every query, likewise.
pub fn queries(generator: &mut SchemaGenerator) -> Vec<Entry> {
    QUERIES.into_iter().map(|(name, describe)| Entry::new(name, describe(generator))).collect()
}

impl Entry {
    /// From the schema of an object whose members are the parameters.
    fn new(name: &'static str, schema: Schema) -> Self {
        let text = text_of(schema.get("description"));
        let (summary, description) = text.split_once("\n\n").unwrap_or((&text, ""));
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        let members = schema.get("properties").and_then(Value::as_object);
        let param = |(name, schema): (&String, &Value)| {
            let (mut schema, name) = (schema.clone(), name.clone());
            let description =
                schema.as_object_mut().and_then(|members| members.remove("description"));
            let (description, required) = (text_of(description.as_ref()), is_required(&name));
            Parameter { name, description, required, schema }
        };
        Self {
            name,
            summary: summary.to_owned(),
            description: description.to_owned(),
            params: members.into_iter().flatten().map(param).collect(),
        }
    }
}

fn text_of(description: Option<&Value>) -> String {
    description.and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use schemars::generate::SchemaSettings;

    use super::*;
    use crate::api::{Command, Invocation, Query};

    #[test]
    fn every_method_is_described() {
        assert_eq!(COMMANDS.map(|(name, _)| name), Command::NAMES);
        assert_eq!(QUERIES.map(|(name, _)| name), Query::NAMES);
        let generator = &mut SchemaSettings::draft07().into_generator();
        for entry in commands(generator).into_iter().chain(queries(generator)) {
            assert!(!entry.summary.is_empty(), "{}", entry.name);
            for param in entry.params {
                assert!(!param.description.is_empty(), "{} of {}", param.name, entry.name);
            }
        }
    }

    /// The message of an empty request names the first parameter that is missing, one of an unknown
    /// parameter comes last: so what is described is what is read.
    #[test]
    fn what_is_described_is_what_is_read() {
        for entry in commands(&mut SchemaSettings::draft07().into_generator()) {
            let null = entry.params.iter().map(|param| (param.name.clone(), Value::Null)).collect();
            let first = entry.params.iter().find(|param| param.required);
            let message = match Invocation::parse(entry.name, Value::Object(null)) {
                Ok(_) => String::new(),
                Err(error) => error.message,
            };
            let expected =
                first.map_or(String::new(), |param| format!("{:?} is missing", param.name));
            assert!(message.contains(&expected), "{}: {message}", entry.name);
        }
    }
}
