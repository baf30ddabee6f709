//! Several proxies: a command goes to the one that has the call, and what happens to one is nothing
//! to the others.

use std::time::Duration;

use call_api::backend::opensips::link::Arrival;
use tokio::time::sleep;

use crate::client::Client;
use crate::script::{Script, World};

const START: &str = r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1""#;

#[tokio::test(start_paused = true)]
async fn a_command_goes_to_the_proxy_that_has_the_call() {
    let (mut one, mut two) = (Script::new(World::default()), Script::new(World::default()));
    let mut client = Client::with(&mut [&mut one, &mut two]).await;
    one.call("first", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    two.call("second", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    client.run("CallHold", r#""callid":"second""#).await;
    client.run("CallHold", r#""callid":"first""#).await;
    assert_eq!((one.requests("call_hold").len(), two.requests("call_hold").len()), (1, 1));
    sleep(Duration::from_secs(1)).await;
    client.query("CallList", "");
    assert!(client.transcript.contains(r#""id":"1-1.abd""#), "{}", client.transcript);
    client.run("CallEnd", r#""callid":"2-1.abd""#).await;
    assert_eq!((one.dialogs().len(), two.dialogs().len()), (1, 0));
    client.run("CallEnd", r#""callid":"nowhere""#).await;
    assert!(client.transcript.contains("not_found"), "{}", client.transcript);
    let two_proxies = r#""callid_a":"first","leg_a":"caller","callid_b":"third","leg_b":"callee""#;
    two.call("third", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    client.run("CallAttendedTransfer", two_proxies).await;
    assert!(client.transcript.contains("different proxies"), "{}", client.transcript);
}

#[tokio::test(start_paused = true)]
async fn calls_are_started_on_each_in_turn_and_on_none_that_is_gone() {
    let (mut one, mut two) = (Script::new(World::default()), Script::new(World::default()));
    let mut client = Client::with(&mut [&mut one, &mut two]).await;
    for _ in 0..4 {
        client.run("CallStart", START).await;
    }
    assert_eq!((one.requests("t_uac_dlg").len(), two.requests("t_uac_dlg").len()), (2, 2));
    two.call("on-two", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    sleep(Duration::from_secs(1)).await;
    two.change(|world| world.is_frozen = true);
    two.send(Arrival::Gone("Connection refused".to_owned())).await;
    for _ in 0..4 {
        client.run("CallStart", START).await;
    }
    assert_eq!((one.requests("t_uac_dlg").len(), two.requests("t_uac_dlg").len()), (6, 2));
    assert!(!client.transcript.contains(r#""method":"Error""#), "{}", client.transcript);
    client.run("CallEnd", r#""callid":"on-two""#).await;
    assert!(client.transcript.contains("backend_unavailable"), "{}", client.transcript);
    two.change(|world| world.is_frozen = false);
    sleep(Duration::from_secs(10)).await;
    client.run("CallEnd", r#""callid":"on-two""#).await;
    assert!(!two.dialogs().iter().any(|dialog| dialog.callid == "on-two"));
}
