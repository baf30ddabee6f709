//! Registrations that somebody watches.

use call_api::api::{Registration, RegistrationChange, RegistrationEvent, SipUri};
use call_api::backend::EventSink;
use expect_test::expect;

use crate::Client;

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true}}}"#;

/// A change to one of alice's phones.
pub(crate) fn event(change: RegistrationChange, phone: &str) -> RegistrationEvent {
    let uri = |text: &str| SipUri::parse(text).unwrap();
    let registration =
        Registration { aor: uri("sip:alice@h"), contact: uri(&format!("sip:{phone}@h:5071")) };
    RegistrationEvent { change, registration }
}

impl Client {
    /// The backend tells of a registration; then come the notifications.
    async fn registers(&mut self, change: RegistrationChange, phone: &str) {
        self.journal.registration(event(change, phone));
        self.idle().await;
        self.write_down();
    }
}

#[tokio::test]
async fn a_subscription_tells_which_phones_come_and_go_and_nothing_else() {
    let mut client = Client::new();
    client.registers(RegistrationChange::Registered, "desk").await;
    client.begin(SUBSCRIBE);
    client.registers(RegistrationChange::Registered, "mobile").await;
    for call in crate::watching::life("0a", "call-7@phone") {
        client.journal.call(call);
    }
    client.registers(RegistrationChange::Expired, "desk").await;
    client.registers(RegistrationChange::Removed, "mobile").await;
    client.begin(r#"{"jsonrpc":"2.0","id":2,"method":"RegistrationList"}"#);
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T"}]}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REGISTERED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"EXPIRED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-12","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-13","prev":"0000000a-12"}}
        > {"jsonrpc":"2.0","id":2,"method":"RegistrationList"}
        < {"jsonrpc":"2.0","id":2,"result":{"registrations":[],"cursor":"0000000a-13"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn registrations_are_listed_and_gone_on_with_from_a_cursor() {
    let mut client = Client::new();
    client.registers(RegistrationChange::Registered, "desk").await;
    client.registers(RegistrationChange::Registered, "mobile").await;
    client.begin(r#"{"jsonrpc":"2.0","id":2,"method":"RegistrationList"}"#);
    client.registers(RegistrationChange::Removed, "desk").await;
    let since = SUBSCRIBE.replace("true}}", r#"true},"since":"0000000a-1"}"#);
    client.begin(&since);
    client.idle().await;
    client.write_down();
    expect![[r#"
        > {"jsonrpc":"2.0","id":2,"method":"RegistrationList"}
        < {"jsonrpc":"2.0","id":2,"result":{"registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T"},{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T"}],"cursor":"0000000a-2"}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true},"since":"0000000a-1"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REGISTERED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T"},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
    "#]].assert_eq(&client.transcript);
}
