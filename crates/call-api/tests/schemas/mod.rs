//! Holds messages against the schemas that the server publishes.

mod validate;

use call_api::server::discovery::Discovery;
use serde_json::{Value, json};

use self::validate::validate;

/// The documents of a server.
pub(crate) struct Schemas {
    openrpc: Value,
    asyncapi: Value,
}

impl Schemas {
    pub(crate) fn new(discovery: &Discovery) -> Self {
        Self { openrpc: discovery.openrpc.clone(), asyncapi: discovery.asyncapi.clone() }
    }

    /// Fails when the parameters of a valid request are not what the documents say.
    pub(crate) fn check_params(&self, method: &str, params: &Value) {
        let described = self.method(method);
        for param in described["params"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            match params.get(name) {
                Some(value) => self.holds(&self.openrpc, &param["schema"], value, name),
                None => assert_ne!(param["required"], true, "{method} without {name}"),
            }
        }
    }

    /// Fails when the result of a method is not what the documents say.
    pub(crate) fn check_result(&self, method: &str, result: &Value) {
        if method != "rpc.discover" {
            self.holds(&self.openrpc, &self.method(method)["result"]["schema"], result, method);
        }
    }

    /// Fails when a notification is not what the documents say.
    pub(crate) fn check_notification(&self, notification: &Value) {
        let method = notification["method"].as_str().unwrap();
        let described = &self.asyncapi["components"]["messages"][method]["payload"];
        assert!(described.is_object(), "{method} is not described");
        self.holds(&self.asyncapi, described, notification, method);
    }

    fn method(&self, name: &str) -> &Value {
        let name = if name == "CallUnhold" { "CallUnHold" } else { name };
        let methods = self.openrpc["methods"].as_array().unwrap();
        methods.iter().find(|method| method["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    fn holds(&self, document: &Value, schema: &Value, value: &Value, what: &str) {
        let schema = json!({ "allOf": [schema], "components": document["components"] });
        if let Err(error) = validate(schema, value) {
            panic!("{what} is not as described: {error}\nin\n{value:#}");
        }
    }
}
