//! Registrations that somebody watches.

use std::time::Duration;

use call_api::api::{Registration, RegistrationChange, RegistrationEvent, SipUri};
use call_api::backend::EventSink;
use expect_test::expect;

use crate::Client;

const SUBSCRIBE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true}}}"#;

/// A change to one of alice's phones.
pub(crate) fn event(change: RegistrationChange, phone: &str, seconds: u64) -> RegistrationEvent {
    let uri = |text: &str| SipUri::parse(text).unwrap();
    let registration =
        Registration { aor: uri("sip:alice@h"), contact: uri(&format!("sip:{phone}@h:5071")) };
    RegistrationEvent { change, registration, expires: Duration::from_secs(seconds) }
}

impl Client {
    /// The backend tells of a registration; then come the notifications.
    async fn registers(&mut self, change: RegistrationChange, phone: &str) {
        let seconds = if change == RegistrationChange::Registered { 600 } else { 0 };
        self.journal.registration(event(change, phone, seconds));
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
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":600}]}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REGISTERED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T","expires":600},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"EXPIRED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":0},"time":"T","subscription":"sub-1","cursor":"0000000a-12","prev":"0000000a-2"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T","expires":0},"time":"T","subscription":"sub-1","cursor":"0000000a-13","prev":"0000000a-12"}}
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
        < {"jsonrpc":"2.0","id":2,"result":{"registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":600},{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T","expires":600}],"cursor":"0000000a-2"}}
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true},"since":"0000000a-1"}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REGISTERED","registration":{"aor":"sip:alice@h","contact":"sip:mobile@h:5071","since":"T","expires":600},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":0},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_renewal_is_not_told_but_seen_in_the_time_that_is_left() {
    let mut client = Client::new();
    client.registers(RegistrationChange::Registered, "desk").await;
    client.begin(SUBSCRIBE);
    client.journal.registration(event(RegistrationChange::Renewed, "desk", 3600));
    client.idle().await;
    client.write_down();
    client.begin(r#"{"jsonrpc":"2.0","id":2,"method":"RegistrationList"}"#);
    client.registers(RegistrationChange::Removed, "desk").await;
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":600}]}}
        > {"jsonrpc":"2.0","id":2,"method":"RegistrationList"}
        < {"jsonrpc":"2.0","id":2,"result":{"registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":3600}],"cursor":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":0},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test]
async fn a_phone_that_spells_itself_otherwise_is_listed_once() {
    let mut client = Client::new();
    client.registers(RegistrationChange::Registered, "DESK").await;
    client.begin(SUBSCRIBE);
    client.registers(RegistrationChange::Removed, "DESK").await;
    client.registers(RegistrationChange::Registered, "desk").await;
    client.begin(r#"{"jsonrpc":"2.0","id":2,"method":"RegistrationList"}"#);
    expect![[r#"
        > {"jsonrpc":"2.0","id":1,"method":"Subscribe","params":{"filter":{"registrations":true}}}
        < {"jsonrpc":"2.0","id":1,"result":{"subscription":"sub-1","cursor":"0000000a-1","registrations":[{"aor":"sip:alice@h","contact":"sip:DESK@h:5071","since":"T","expires":600}]}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REMOVED","registration":{"aor":"sip:alice@h","contact":"sip:DESK@h:5071","since":"T","expires":0},"time":"T","subscription":"sub-1","cursor":"0000000a-2","prev":"0000000a-1"}}
        < {"jsonrpc":"2.0","method":"RegistrationEvent","params":{"event":"REGISTERED","registration":{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":600},"time":"T","subscription":"sub-1","cursor":"0000000a-3","prev":"0000000a-2"}}
        > {"jsonrpc":"2.0","id":2,"method":"RegistrationList"}
        < {"jsonrpc":"2.0","id":2,"result":{"registrations":[{"aor":"sip:alice@h","contact":"sip:desk@h:5071","since":"T","expires":600}],"cursor":"0000000a-3"}}
    "#]].assert_eq(&client.transcript);
}
