//! Whatever a client sends: the connection stays up, and every command that was started ends once,
//! and last.

use std::collections::HashMap;

use serde_json::{Value, json};

use call_api::server::dialect::Dialect;

use crate::Client;

/// xorshift64*: enough chance for a test, and the same on every machine.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    pub(crate) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(1000) as i64 - 500),
            3 => json!(self.below(1 << 30) as f64 * 1e300),
            4 => {
                json!(self.one_of(&["", "sip:a@b", "\r\n", "\u{0}", "order-7", "2.0", "\u{1F600}"]))
            }
            5 => json!("x".repeat(self.below(300))),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(4)).map(|n| (format!("k{n}"), self.value(depth - 1))).collect(),
        }
    }

    /// A request that is right more often than not.
    fn request(&mut self) -> Value {
        let users = ["alice", "bob", "busy", "silent", "gone", "broken", "hang", "panic"];
        let method = self.one_of(&[
            "CallStart",
            "CallStart",
            "CallStart",
            "CallEnd",
            "CallEnd",
            "Echo",
            "CallHold",
            "CallBlindTransfer",
            "rpc.x",
            "CallList",
            "Subscribe",
            "Unsubscribe",
        ]);
        let mut params = match method {
            "CallStart" => json!({
                "caller": format!("sip:{}@h", self.one_of(&users[..6])),
                "callee": format!("sip:{}@h", self.one_of(&users)),
                "verbose": self.below(2) == 0,
            }),
            "CallBlindTransfer" => json!({
                "callid": self.one_of(&["unknown", "call-1@fake"]),
                "leg": self.one_of(&["caller", "callee"]),
                "destination": format!("sip:{}@h", self.one_of(&users)),
            }),
            "CallEnd" | "CallHold" => json!({"callid": self.one_of(&["unknown", "call-1@fake"])}),
            _ => self.value(2),
        };
        if let (Value::Object(params), 0) = (&mut params, self.below(3)) {
            params.insert("cmd_id".to_owned(), json!(format!("mine-{}", self.below(50))));
        }
        let mut request = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if self.below(5) > 0 {
            request["id"] = json!(self.below(1000));
        }
        if self.below(6) == 0 {
            let member = self.one_of(&["jsonrpc", "method", "params", "id"]);
            request[member] = self.value(2);
        }
        request
    }

    fn message(&mut self) -> String {
        let message = match self.below(6) {
            0 => Value::Array((0..self.below(6)).map(|_| self.request()).collect()),
            1 => self.value(3),
            _ => self.request(),
        };
        let mut bytes = message.to_string().into_bytes();
        for _ in 0..self.below(8).saturating_sub(5) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] = self.below(256) as u8,
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, b"[]{}\",:0\\"[self.below(9)]),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What was said about one command.
#[derive(Default)]
struct Life {
    started: usize,
    errors: usize,
    ended: usize,
}

#[tokio::test]
async fn no_input_kills_the_connection_and_every_command_ends_once_and_last() {
    for seed in 1..=40 {
        let mut chance = Chance(seed);
        let dialect = [Dialect::V1, Dialect::V2][seed as usize % 2];
        let mut client = Client::new().speaking(dialect);
        for _ in 0..100 {
            client.connection.receive(&chance.message());
            if chance.below(3) == 0 {
                tokio::task::yield_now().await;
            }
        }
        client.backend.release();
        while client.commands.running() > 0 {
            tokio::task::yield_now().await;
        }
        client.connection.receive(r#"{"jsonrpc":"2.0","method":"NoSuch","id":"still here"}"#);
        let lives = listen(&mut client, seed);
        assert!(lives.len() > 20, "seed {seed}: only {} commands", lives.len());
        for (cmd_id, life) in lives {
            assert_eq!(life.ended, 1, "seed {seed}: {cmd_id} ended {} times", life.ended);
            assert!(
                life.errors <= 1 && life.started <= 1,
                "seed {seed}: {cmd_id} started or failed twice"
            );
        }
    }
}

/// Reads everything that came back, in order.
fn listen(client: &mut Client, seed: u64) -> HashMap<String, Life> {
    let mut lives: HashMap<String, Life> = HashMap::new();
    let mut last = Value::Null;
    while let Ok(message) = client.outgoing.messages.try_recv() {
        let message: Value = serde_json::from_str(message.text()).unwrap();
        for part in message.as_array().unwrap_or(&vec![message.clone()]) {
            assert_eq!(part["jsonrpc"], "2.0");
            let Some(cmd_id) =
                part["params"]["cmd_id"].as_str().or(part["result"]["cmd_id"].as_str())
            else {
                continue;
            };
            let life = lives.entry(cmd_id.to_owned()).or_default();
            let event = part["params"].get("event").unwrap_or(&part["method"]);
            match event.as_str() {
                None if part["result"]["replayed"] == true => {}
                None => {
                    assert_eq!(life.ended, 0, "seed {seed}: {cmd_id} started after its end");
                    life.started += 1;
                }
                Some(method) => {
                    assert_eq!(life.ended, 0, "seed {seed}: {cmd_id}: {method} after Ended");
                    match method {
                        "Error" => life.errors += 1,
                        "Ended" => life.ended += 1,
                        _ => assert_eq!(
                            life.errors, 0,
                            "seed {seed}: {cmd_id}: an event after Error"
                        ),
                    }
                }
            }
        }
        last = message;
    }
    assert_eq!(last["id"], "still here", "seed {seed}");
    lives
}
