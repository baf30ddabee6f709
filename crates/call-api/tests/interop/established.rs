//! A server, a client, and phones in a call with each other: where most tests begin.

use serde_json::json;

use crate::client::Client;
use crate::phone::Phone;
use crate::server::Server;

/// Two phones that are in a call with each other, and a third that is not.
pub(crate) struct Established<P> {
    pub(crate) client: Client,
    pub(crate) alice: P,
    pub(crate) bob: P,
    pub(crate) cindy: P,
    /// Alice is the caller of it, bob the callee.
    pub(crate) call: String,
    /// A server that is dropped is gone.
    pub(crate) _server: Server,
}

impl<P: Phone> Established<P> {
    /// Everybody's phone answers at once.
    pub(crate) async fn start() -> Self {
        Self::with_cindy(P::start("cindy").await).await
    }

    pub(crate) async fn with_cindy(cindy: P) -> Self {
        let server = Server::start().await;
        let mut client = server.client().await;
        let (mut alice, mut bob) = (P::start("alice").await, P::start("bob").await);
        let call = call(&mut client, &mut alice, &mut bob).await;
        Self { client, alice, bob, cindy, call, _server: server }
    }
}

/// Lets the server connect two phones; returns the Call-ID.
pub(crate) async fn call(
    client: &mut Client,
    caller: &mut impl Phone,
    callee: &mut impl Phone,
) -> String {
    let params = json!({"caller": caller.uri(), "callee": callee.uri(), "mode": "bridge"});
    let call = client.run("CallStart", params).await.call_id();
    caller.establishes_call(&call).await;
    callee.establishes_call(&call).await;
    call
}
