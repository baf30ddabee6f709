//! How records are written on disk: a change here needs a new `store::FORMAT`.

use expect_test::expect;

use super::*;
use crate::api::call::Ending;
use crate::api::{Origin, Side};
use crate::server::journal::record::{Begun, CallRecord, Progress, RegistrationRecord};

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn start(owner: Owner) -> Arc<CommandRecord> {
    let [caller, callee] = ["sip:alice@h", "sip:bob@h"].map(|uri| SipUri::parse(uri).unwrap());
    let subject = Subject::CallStart { caller, callee };
    Arc::new(CommandRecord::new(owner, id("order-7"), subject))
}

fn text(what: What) -> String {
    let record = Record { number: 7, time: time(1_795_424_400_123), what };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    format!("{text}\n")
}

#[test]
fn records_are_written_as_json() {
    let mut call = call("5b0f");
    call.stage = Stage::Ending;
    call.callee.held = true;
    let status = Some((486, "Busy Here".to_owned()));
    call.ending = Some(Ending { by: EndedBy::Party(Side::Callee), status, q850: Some(17) });
    let (created, answered, established) = (time(1_000), Some(time(2_000)), None);
    let between = [call.caller.uri.clone(), None];
    let record = CallRecord { call, first: 3, between, created, answered, established };
    let RegistrationEvent { change, registration, .. } = registered();
    let (since, expires) = (time(5_000), time(9_000));
    let registration = RegistrationRecord { registration, first: 4, since, expires };
    let error = CommandError::Sip {
        origin: Origin::Callee,
        code: 486,
        reason: "Busy Here".to_owned(),
        q850: None,
    };
    let event = Event::new(EventKind::TransferProgress { sip_code: 180 }).at_leg(Side::Caller);
    let records = [
        text(What::Call(CallChange::Held(Side::Callee), Arc::new(record))),
        text(What::Registration(change, Arc::new(registration))),
        text(What::Begun(start(shop()), Some(fingerprint()))),
        text(What::Begun(start(Owner::default()), None)),
        text(What::Command(start(shop()), Notice::Event(event))),
        text(What::Command(start(shop()), Notice::Error(error))),
        text(What::Command(start(shop()), Notice::Error(CommandError::Restarted))),
        text(What::Command(
            start(shop()),
            Notice::Ended(Some(Done { callid: CallId::parse("x") })),
        )),
    ];
    expect![[r#"
        {"number":7,"time":1795424400123,"what":{"Call":[{"Held":"callee"},{"call":{"id":"5b0f","callid":"5b0f@phone","stage":"ending","caller":{"uri":"sip:alice@h","callid":null,"reached":"calling","held":false},"callee":{"uri":"sip:bob@h","callid":null,"reached":"calling","held":true},"ending":{"by":{"Party":"callee"},"status":[486,"Busy Here"],"q850":17}},"first":3,"between":["sip:alice@h",null],"created":1000,"answered":2000,"established":null}]}}
        {"number":7,"time":1795424400123,"what":{"Registration":["Registered",{"registration":{"aor":"sip:alice@h","contact":"sip:alice@10.0.0.10"},"first":4,"since":5000,"expires":9000}]}}
        {"number":7,"time":1795424400123,"what":{"Begun":[{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},[12989877724393277609,14174091519939198489,12239868995341405610,17662004338664827276]]}}
        {"number":7,"time":1795424400123,"what":{"Begun":[{"owner":null,"cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},null]}}
        {"number":7,"time":1795424400123,"what":{"Command":[{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},{"Event":{"kind":{"TransferProgress":{"sip_code":180}},"callid":null,"leg":"caller","uri":null}}]}}
        {"number":7,"time":1795424400123,"what":{"Command":[{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},{"Error":{"Sip":{"origin":"callee","code":486,"reason":"Busy Here","q850":null}}}]}}
        {"number":7,"time":1795424400123,"what":{"Command":[{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},{"Error":"Restarted"}]}}
        {"number":7,"time":1795424400123,"what":{"Command":[{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},{"Ended":{"callid":"x"}}]}}
    "#]].assert_eq(&records.concat());
}

#[test]
fn remembered_commands_are_written_as_json() {
    let begun = Begun {
        command: start(shop()),
        fingerprint: Some(fingerprint()),
        time: time(1_795_424_400_123),
        progress: Progress::Failed,
    };
    let text = serde_json::to_string(&begun).unwrap();
    assert_eq!(serde_json::from_str::<Begun>(&text).unwrap(), begun);
    expect![[r#"{"command":{"owner":"shop","cmd_id":"order-7","subject":{"CallStart":{"caller":"sip:alice@h","callee":"sip:bob@h"}},"told":"Begun"},"fingerprint":[12989877724393277609,14174091519939198489,12239868995341405610,17662004338664827276],"time":1795424400123,"progress":"Failed"}"#]].assert_eq(&text);
}

#[test]
fn whatever_an_echo_sent_comes_back_as_it_was() {
    let deep = format!("{}1e-7{}", "[".repeat(120), "]".repeat(120));
    for sent in [&*deep, r#"{"b":1,"a":[null,true,"\u0000é"],"pi":3.141592653589793238}"#] {
        let params = serde_json::from_str(sent).unwrap();
        text(What::Command(
            echo(shop(), "x"),
            Notice::Event(Event::new(EventKind::Reply { params })),
        ));
    }
}
