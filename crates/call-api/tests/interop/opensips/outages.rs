//! Proxies that die and come back.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Lab, Opensips, before};
use crate::lab::{expect_within, poll};
use crate::phone::Phone as _;
use crate::sipp::Sipp;

const BACKEND_UNAVAILABLE: i64 = -32009;

/// A command that waits for a proxy that is gone must end long before its own deadline.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_proxy_that_dies_fails_its_commands_and_is_used_again() {
    let Some(mut lab) = Lab::start().await else { return };
    let rings = Sipp::start("uas-rings-behind-proxy-until-cancel").await;
    let params = json!({"caller": rings.uri("alice"), "callee": lab.proxy.uri("bob")});
    let command = lab.client.start("CallStart", params).await;
    poll("the caller's phone to ring", async || {
        lab.proxy.calls().await.values().any(|state| *state == 2).then_some(())
    })
    .await;

    lab.proxy.kill().await;
    let run = expect_within(SOON, "the command to fail", lab.client.finish(&command)).await;
    assert_eq!(run.messages, ["Started", "Error", "Ended"]);
    run.expect_error(BACKEND_UNAVAILABLE, json!({"kind": "backend_unavailable"}));
    for (method, params) in [
        ("CallStart", json!({"caller": "sip:a@127.0.0.1", "callee": "sip:b@127.0.0.1"})),
        ("CallEnd", json!({"callid": "any"})),
    ] {
        let command = lab.client.start(method, params).await;
        let run = expect_within(SOON, "a command to fail", lab.client.finish(&command)).await;
        run.expect_error(BACKEND_UNAVAILABLE, json!({"kind": "backend_unavailable"}));
    }

    lab.proxy.restart().await;
    let busy = Sipp::start("uas-busy").await;
    let params = json!({"caller": busy.uri("alice"), "callee": lab.proxy.uri("bob")});
    let run = poll("the proxy to be used again", async || {
        let run = lab.client.run("CallStart", params.clone()).await;
        let code = run.error.as_ref().map_or(Value::Null, |error| error["code"].clone());
        (code != BACKEND_UNAVAILABLE).then_some(run)
    })
    .await;
    run.expect_error(-32020, json!({"kind": "sip_failure", "sip_code": 486}));
    busy.finish().await;
}

#[tokio::test]
async fn events_come_again_after_a_restart() {
    let Some(mut lab) = Lab::start().await else { return };
    // The server tells a proxy from its successor by the second in which it was started.
    poll("the proxy to be a second old", async || {
        let uptime = lab.proxy.ask("uptime", json!({})).await?;
        (uptime["Up time"] != "0 [sec]").then_some(())
    })
    .await;
    lab.proxy.kill().await;
    lab.proxy.restart().await;
    poll("the server to subscribe again", async || {
        let list = lab.proxy.ask("subscribers_list", json!({"event": "E_CALL_TRANSFER"})).await?;
        let subscribers = list["Event"]["Subscribers"].as_array()?;
        (subscribers.len() == 1).then_some(())
    })
    .await;
    let (_alice, _bob, call_id) = lab.call("alice", "bob").await;
    let hold = lab.run("CallHold", json!({"callid": call_id})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
}

#[tokio::test]
async fn a_command_goes_to_the_proxy_that_has_the_call() {
    let Some(lab) = Lab::start().await else { return };
    let Some(other) = Opensips::start().await else { return };
    let server = before(&[&other, &lab.proxy]).await;
    let mut lab = Lab { client: server.client().await, server, proxy: lab.proxy };
    let (mut alice, mut bob, call_id) = lab.call("alice", "bob").await;

    let hold = lab.run("CallHold", json!({"callid": call_id})).await;
    assert_eq!(hold.messages, ["Started", "CALL_HOLD", "CALL_HOLD", "Ended"]);
    let end = lab.run("CallEnd", json!({"callid": call_id})).await;
    assert_eq!(end.messages, ["Started", "Ended"]);
    alice.is_in_calls(0).await;
    bob.is_in_calls(0).await;
}
