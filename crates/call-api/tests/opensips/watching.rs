//! What watchers are told of a proxy's calls: also of those that no command caused.

use std::time::Duration;

use call_api::backend::opensips::link::Arrival;
use expect_test::expect;
use tokio::time::sleep;

use crate::client::Client;
use crate::script::{Script, World};

#[tokio::test(start_paused = true)]
async fn calls_of_phones_are_told_from_beginning_to_end() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    client.query("Subscribe", "");
    let call = script.new_dialog("phones", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1;osid=1.2");
    for state in 2..=4 {
        sleep(Duration::from_secs(1)).await;
        script.advance(&call, state);
    }
    sleep(Duration::from_secs(1)).await;
    client.run("CallHold", r#""callid":"phones","leg":"callee""#).await;
    sleep(Duration::from_secs(1)).await;
    client.run("CallEnd", r#""callid":"phones""#).await;
    sleep(Duration::from_secs(1)).await;
    client.write_down();
    client.query("CallList", "");
    expect![[r#"
        > Subscribe 
        < {"id":1,"result":{"subscription":"subscription-1","calls":[]}}
        > CallHold "callid":"phones","leg":"callee"
        < {"method":"CallEvent","params":{"event":"CALL_START","call":{"id":"1.abd","callid":"phones","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"calling","held":false}],"created":"T"},"subscription":"subscription-1"}}
        < {"method":"CallEvent","params":{"event":"CALL_RINGING","leg":"callee","call":{"id":"1.abd","callid":"phones","state":"calling","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"ringing","held":false}],"created":"T"},"subscription":"subscription-1"}}
        < {"method":"CallEvent","params":{"event":"CALL_ANSWER","leg":"callee","call":{"id":"1.abd","callid":"phones","state":"answered","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"answered","held":false}],"created":"T","answered":"T"},"subscription":"subscription-1"}}
        < {"method":"CallEvent","params":{"event":"CALL_ESTABLISHED","call":{"id":"1.abd","callid":"phones","state":"established","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"answered","held":false}],"created":"T","answered":"T","established":"T"},"subscription":"subscription-1"}}
        < {"id":1,"result":{"cmd_id":"cmd_id-1","status":"Started"}}
        < {"method":"Event","params":{"cmd_id":"cmd_id-1","data":"CALL_HOLD","callid":"phones","leg":"callee"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-1"}}
        > CallEnd "callid":"phones"
        < {"method":"CallEvent","params":{"event":"CALL_HOLD","leg":"callee","call":{"id":"1.abd","callid":"phones","state":"established","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"answered","held":true}],"created":"T","answered":"T","established":"T"},"subscription":"subscription-1"}}
        < {"id":1,"result":{"cmd_id":"cmd_id-2","status":"Started"}}
        < {"method":"CallEvent","params":{"event":"CALL_ENDING","call":{"id":"1.abd","callid":"phones","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"answered","held":true}],"created":"T","answered":"T","established":"T","ended":{"origin":"command"}},"subscription":"subscription-1"}}
        < {"method":"CallEvent","params":{"event":"CALL_END","call":{"id":"1.abd","callid":"phones","state":"ending","legs":[{"leg":"caller","uri":"sip:alice@127.0.0.1","state":"answered","held":false},{"leg":"callee","uri":"sip:bob@127.0.0.1","state":"answered","held":true}],"created":"T","answered":"T","established":"T","ended":{"origin":"command"}},"subscription":"subscription-1"}}
        < {"method":"Ended","params":{"cmd_id":"cmd_id-2"}}
        > CallList 
        < {"id":1,"result":{"calls":[]}}
    "#]].assert_eq(&client.transcript);
}

#[tokio::test(start_paused = true)]
async fn helpers_are_not_calls() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    client.query("Subscribe", "");
    let params = r#""caller":"sip:alice@127.0.0.1","callee":"sip:bob@127.0.0.1""#;
    client.run("CallStart", params).await;
    sleep(Duration::from_secs(1)).await;
    client.write_down();
    let told = client.transcript.lines().filter(|line| line.contains(r#""subscription""#)).skip(1);
    assert!(told.clone().all(|line| line.contains("new-of-call")), "{}", client.transcript);
    assert!(told.count() >= 3, "{}", client.transcript);
}

#[tokio::test(start_paused = true)]
async fn calls_that_stand_when_the_server_comes_are_listed() {
    let mut script = Script::new(World::default());
    for call in 0..50 {
        script.call(&format!("call-{call}"), "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    }
    // So that pages have to shrink until they fit.
    script.change(|world| world.longest_answer = 2000);
    let mut client = Client::of(&mut script).await;
    sleep(Duration::from_secs(1)).await;
    client.query("CallList", "");
    for call in 0..50 {
        let callid = format!(r#""callid":"call-{call}""#);
        assert!(client.transcript.contains(&callid), "{callid} in {}", client.transcript);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_not_told_is_noticed() {
    let lost_events = vec![("E_DLG_STATE_CHANGED", "5")];
    let mut script = Script::new(World { lost_events, ..World::default() });
    let mut client = Client::of(&mut script).await;
    let call = script.call("gone", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    script.call("stays", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    sleep(Duration::from_secs(1)).await;
    script.advance(&call, 5);
    sleep(Duration::from_secs(120)).await;
    client.query("CallList", "");
    assert!(!client.transcript.contains("gone"), "{}", client.transcript);
    assert!(client.transcript.contains("stays"), "{}", client.transcript);
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_restart_lost_have_ended() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    script.call("lost", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    sleep(Duration::from_secs(1)).await;
    client.query("CallList", "");
    assert!(client.transcript.contains("lost"), "{}", client.transcript);
    script.restart();
    script.send(Arrival::Gone("Connection refused".to_owned())).await;
    sleep(Duration::from_secs(10)).await;
    client.transcript.clear();
    client.query("CallList", "");
    assert!(!client.transcript.contains("lost"), "{}", client.transcript);
}

#[tokio::test(start_paused = true)]
async fn two_calls_of_one_call_id_are_told_apart() {
    let mut script = Script::new(World::default());
    let mut client = Client::of(&mut script).await;
    let first = script.call("twice", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    sleep(Duration::from_secs(1)).await;
    let second = script.call("twice", "sip:alice@127.0.0.1", "sip:bob@127.0.0.1");
    sleep(Duration::from_secs(120)).await;
    client.run("CallEnd", r#""callid":"twice""#).await;
    assert!(client.transcript.contains("invalid_state"), "{}", client.transcript);
    assert!(client.transcript.contains(&second), "{}", client.transcript);
    client.run("CallHold", &format!(r#""callid":"{second}""#)).await;
    assert!(client.transcript.contains("unsupported"), "{}", client.transcript);
    client.run("CallEnd", &format!(r#""callid":"{second}""#)).await;
    assert_eq!((script.state_of(&first), script.state_of(&second)), (Some(4), Some(5)));
}
