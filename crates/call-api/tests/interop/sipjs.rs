//! A headless SIP.js phone: when it is referred it places the call, and nobody hears from it what became
//! of that. `sipjs.mjs` is its remote control.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::lab::{Home, Ports, sipjs};
use crate::remote::Remote;

/// A running phone, which answers at once.
pub(crate) struct SipJs {
    name: &'static str,
    ports: Ports,
    remote: Remote,
    _home: Home,
}

impl SipJs {
    /// Starts a phone of the user `name` and returns when it takes calls.
    pub(crate) async fn start(name: &'static str) -> Self {
        let ports = Ports::take();
        let home = Home::new(&format!("{name}'s phone"), &["errors"]);
        let [stderr, _] = home.outputs("errors");
        let mut command = Command::new("node");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/sipjs.mjs"))
            .args([name, &ports.sip.to_string(), &ports.media.to_string()])
            .arg(sipjs())
            .stderr(stderr);
        let mut phone =
            Self { name, ports, remote: Remote::start(name, &mut command), _home: home };
        // An answer means that it takes calls, too.
        assert_eq!(phone.calls().await, 0);
        phone
    }

    /// Where the phone takes calls.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    pub(crate) async fn establishes_call(&mut self, call_id: &str) {
        self.remote.event_of(call_id, "established").await;
    }

    pub(crate) async fn closes_call(&mut self, call_id: &str) {
        self.remote.event_of(call_id, "closed").await;
    }

    /// It is asked to call somebody else; returns whom.
    pub(crate) async fn is_referred(&mut self, call_id: &str) -> String {
        let event = self.remote.event_of(call_id, "referred").await;
        event["to"].as_str().expect("a SIP URI").to_owned()
    }

    /// How many calls the phone is in.
    pub(crate) async fn calls(&mut self) -> u64 {
        self.remote.command(json!({"command": "calls"})).await.as_u64().expect("a number")
    }
}
