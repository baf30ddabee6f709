//! Each command's example flow, message for message, with real phones.

use crate::client::Client;
use call_api::server::dialect::Dialect;

use crate::flows;
use crate::phone::{talk, with_each_phone};
use crate::server::Server;

with_each_phone! {
    async fn each_command_is_like_its_example<P>() {
        let server = Server::start().await;
        let mut client = server.client().await;
        let (mut alice, mut bob) = (P::start("alice").await, P::start("bob").await);
        let mut cindy = P::start("cindy").await;
        let uris = [alice.uri(), bob.uri(), cindy.uri()];
        let [at_alice, at_bob, at_cindy] = uris.each_ref().map(String::as_str);

        let parties = [("caller", at_alice), ("callee", at_bob)];
        let first = check(&mut client, "CallStart", &parties).await;
        alice.establishes_call(&first).await;
        bob.establishes_call(&first).await;
        check(&mut client, "CallHold", &[("callid", &first)]).await;
        alice.comes_to(&first, "recvonly").await;
        check(&mut client, "CallUnHold", &[("callid", &first)]).await;
        alice.comes_to(&first, "sendrecv").await;

        let blind = [("callid", &*first), ("destination", at_cindy)];
        let second = check(&mut client, "CallBlindTransfer", &blind).await;
        cindy.establishes_call(&second).await;
        alice.closes_call(&first).await;
        talk(&mut bob, &mut cindy, &second, '1').await;
        check(&mut client, "CallEnd", &[("callid", &second)]).await;
        bob.closes_call(&second).await;
        cindy.closes_call(&second).await;

        // Bob is in a call with each of the others, and is to be left out.
        let third = check(&mut client, "CallStart", &parties).await;
        let parties = [("caller", at_bob), ("callee", at_cindy)];
        let fourth = check(&mut client, "CallStart", &parties).await;
        let attended =
            [("callid_a", &*third), ("callid_b", &*fourth), ("destination", at_cindy)];
        check(&mut client, "CallAttendedTransfer", &attended).await;
        bob.closes_call(&third).await;
        bob.closes_call(&fourth).await;
        assert_eq!((alice.calls().await, bob.calls().await, cindy.calls().await), (1, 0, 1));
    }
}

/// Runs a command's example with these parameters; returns the Call-ID that its `Ended` names, if
/// any.
async fn check(client: &mut Client, method: &str, params: &[(&str, &str)]) -> String {
    let request = flows::request(Dialect::V1, method, params);
    let read = client.exchange(&request).await;
    flows::assert_like_example(Dialect::V1, &request, &read);
    let ended = read.last().expect("Ended");
    ended["params"]["callid"].as_str().unwrap_or_default().to_owned()
}
