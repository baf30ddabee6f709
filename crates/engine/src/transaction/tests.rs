//! The four machines as tables: state, input, what is done, the state after, and when it wakes.
//! To be held against figures 5 to 8 of RFC 3261 and the corrections of RFC 6026.

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};

use super::Action;
use super::client::Client;
use super::invite_client::InviteClient;
use super::invite_server::InviteServer;
use super::server::Server;
use crate::timer::{T1, T1X64, T2, T4};

/// The one instant of these tests; all others are offsets from it.
#[expect(clippy::disallowed_methods, reason = "a table needs some instant to count from")]
fn epoch() -> Instant {
    Instant::now()
}

struct Table {
    epoch: Instant,
    text: String,
}

impl Table {
    fn new() -> Self {
        Self { epoch: epoch(), text: String::new() }
    }

    fn row(
        &mut self,
        before: &str,
        input: &str,
        actions: &[Action],
        after: &str,
        wakes: Option<Instant>,
    ) {
        let actions =
            actions.iter().map(|action| format!("{action:?}")).collect::<Vec<_>>().join(" ");
        let wakes =
            wakes.map_or("-".to_owned(), |at| format!("{} ms", (at - self.epoch).as_millis()));
        self.text += &format!("{before:<11} {input:<12} {actions:<12} {after:<11} {wakes}\n");
    }

    fn check(&self, expected: &Expect) {
        expected.assert_eq(&self.text);
    }
}

/// The variant's name without its fields.
fn name(state: &impl std::fmt::Debug) -> String {
    let text = format!("{state:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn invite_client() {
    let mut table = Table::new();
    let t = table.epoch;
    let until = t + T1X64;
    let calling = InviteClient::new(t);
    let states = [
        calling,
        InviteClient::Proceeding,
        InviteClient::Completed { until },
        InviteClient::Accepted { until },
        InviteClient::Terminated,
    ];
    for before in states {
        for (input, status) in [("1xx", 180), ("2xx", 200), ("300-699", 486)] {
            let mut state = before;
            let actions = state.on_response(t, status);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
        for (input, at) in [("timer A", T1), ("timer B,D,M", T1X64)] {
            let mut state = before;
            let actions = state.on_timeout(t + at);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
    }
    table.check(&expect![[r#"
        Calling     1xx          Deliver      Proceeding  -
        Calling     2xx          Deliver      Accepted    32000 ms
        Calling     300-699      Ack Deliver  Completed   32000 ms
        Calling     timer A      Send         Calling     1500 ms
        Calling     timer B,D,M  TimedOut     Completed   64000 ms
        Proceeding  1xx          Deliver      Proceeding  -
        Proceeding  2xx          Deliver      Accepted    32000 ms
        Proceeding  300-699      Ack Deliver  Completed   32000 ms
        Proceeding  timer A                   Proceeding  -
        Proceeding  timer B,D,M               Proceeding  -
        Completed   1xx                       Completed   32000 ms
        Completed   2xx          Deliver      Completed   32000 ms
        Completed   300-699      Ack          Completed   32000 ms
        Completed   timer A                   Completed   32000 ms
        Completed   timer B,D,M               Terminated  -
        Accepted    1xx                       Accepted    32000 ms
        Accepted    2xx          Deliver      Accepted    32000 ms
        Accepted    300-699                   Accepted    32000 ms
        Accepted    timer A                   Accepted    32000 ms
        Accepted    timer B,D,M               Terminated  -
        Terminated  1xx                       Terminated  -
        Terminated  2xx                       Terminated  -
        Terminated  300-699                   Terminated  -
        Terminated  timer A                   Terminated  -
        Terminated  timer B,D,M               Terminated  -
    "#]]);
}

#[test]
fn client() {
    let mut table = Table::new();
    let t = table.epoch;
    let trying = Client::new(t);
    let proceeding = Client::Proceeding { retransmit: t + T1, give_up: t + T1X64 };
    for before in [trying, proceeding, Client::Completed { until: t + T4 }, Client::Terminated] {
        for (input, status) in [("1xx", 100), ("2xx", 200), ("300-699", 404)] {
            let mut state = before;
            let actions = state.on_response(t, status);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
        for (input, at) in [("timer E", T1), ("timer K", T4), ("timer F", T1X64)] {
            let mut state = before;
            let actions = state.on_timeout(t + at);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
    }
    table.check(&expect![[r#"
        Trying      1xx          Deliver      Proceeding  500 ms
        Trying      2xx          Deliver      Completed   5000 ms
        Trying      300-699      Deliver      Completed   5000 ms
        Trying      timer E      Send         Trying      1500 ms
        Trying      timer K      Send         Trying      1500 ms
        Trying      timer F      TimedOut     Terminated  -
        Proceeding  1xx          Deliver      Proceeding  500 ms
        Proceeding  2xx          Deliver      Completed   5000 ms
        Proceeding  300-699      Deliver      Completed   5000 ms
        Proceeding  timer E      Send         Proceeding  4500 ms
        Proceeding  timer K      Send         Proceeding  4500 ms
        Proceeding  timer F      TimedOut     Terminated  -
        Completed   1xx                       Completed   5000 ms
        Completed   2xx                       Completed   5000 ms
        Completed   300-699                   Completed   5000 ms
        Completed   timer E                   Completed   5000 ms
        Completed   timer K                   Terminated  -
        Completed   timer F                   Terminated  -
        Terminated  1xx                       Terminated  -
        Terminated  2xx                       Terminated  -
        Terminated  300-699                   Terminated  -
        Terminated  timer E                   Terminated  -
        Terminated  timer K                   Terminated  -
        Terminated  timer F                   Terminated  -
    "#]]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn invite_server() {
    let mut table = Table::new();
    let t = table.epoch;
    let until = t + T1X64;
    let completed = InviteServer::Completed { retransmit: t + T1, interval: T1, give_up: until };
    let states = [
        InviteServer::new(),
        completed,
        InviteServer::Confirmed { until: t + T4 },
        InviteServer::Accepted { until },
        InviteServer::Terminated,
    ];
    for before in states {
        let mut state = before;
        let actions = state.on_retransmission();
        table.row(&name(&before), "INVITE", actions, &name(&state), state.next_timeout());
        let mut state = before;
        let actions = state.on_ack(t);
        table.row(&name(&before), "ACK", actions, &name(&state), state.next_timeout());
        for (input, status) in [("user: 1xx", 180), ("user: 2xx", 200), ("user: 300+", 486)] {
            let mut state = before;
            let actions = state.respond(t, status);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
        for (input, at) in [("timer G", T1), ("timer I", T4), ("timer H,L", T1X64)] {
            let mut state = before;
            let actions = state.on_timeout(t + at);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
    }
    table.check(&expect![[r#"
        Proceeding  INVITE       Send         Proceeding  -
        Proceeding  ACK                       Proceeding  -
        Proceeding  user: 1xx    Send         Proceeding  -
        Proceeding  user: 2xx    Send         Accepted    32000 ms
        Proceeding  user: 300+   Send         Completed   500 ms
        Proceeding  timer G                   Proceeding  -
        Proceeding  timer I                   Proceeding  -
        Proceeding  timer H,L                 Proceeding  -
        Completed   INVITE       Send         Completed   500 ms
        Completed   ACK                       Confirmed   5000 ms
        Completed   user: 1xx                 Completed   500 ms
        Completed   user: 2xx                 Completed   500 ms
        Completed   user: 300+                Completed   500 ms
        Completed   timer G      Send         Completed   1500 ms
        Completed   timer I      Send         Completed   1500 ms
        Completed   timer H,L    TimedOut     Terminated  -
        Confirmed   INVITE                    Confirmed   5000 ms
        Confirmed   ACK                       Confirmed   5000 ms
        Confirmed   user: 1xx                 Confirmed   5000 ms
        Confirmed   user: 2xx                 Confirmed   5000 ms
        Confirmed   user: 300+                Confirmed   5000 ms
        Confirmed   timer G                   Confirmed   5000 ms
        Confirmed   timer I                   Terminated  -
        Confirmed   timer H,L                 Terminated  -
        Accepted    INVITE                    Accepted    32000 ms
        Accepted    ACK          Deliver      Accepted    32000 ms
        Accepted    user: 1xx                 Accepted    32000 ms
        Accepted    user: 2xx    Send         Accepted    32000 ms
        Accepted    user: 300+                Accepted    32000 ms
        Accepted    timer G                   Accepted    32000 ms
        Accepted    timer I                   Accepted    32000 ms
        Accepted    timer H,L                 Terminated  -
        Terminated  INVITE                    Terminated  -
        Terminated  ACK                       Terminated  -
        Terminated  user: 1xx                 Terminated  -
        Terminated  user: 2xx                 Terminated  -
        Terminated  user: 300+                Terminated  -
        Terminated  timer G                   Terminated  -
        Terminated  timer I                   Terminated  -
        Terminated  timer H,L                 Terminated  -
    "#]]);
}

#[test]
fn server() {
    let mut table = Table::new();
    let t = table.epoch;
    let until = t + T1X64;
    for before in [
        Server::new(t),
        Server::Proceeding { until },
        Server::Completed { until },
        Server::Terminated,
    ] {
        let mut state = before;
        let actions = state.on_retransmission();
        table.row(&name(&before), "request", actions, &name(&state), state.next_timeout());
        for (input, status) in [("user: 1xx", 100), ("user: 200+", 200)] {
            let mut state = before;
            let actions = state.respond(t, status);
            table.row(&name(&before), input, actions, &name(&state), state.next_timeout());
        }
        let mut state = before;
        let actions = state.on_timeout(until);
        table.row(&name(&before), "timer J", actions, &name(&state), state.next_timeout());
    }
    table.check(&expect![[r#"
        Trying      request                   Trying      32000 ms
        Trying      user: 1xx    Send         Proceeding  32000 ms
        Trying      user: 200+   Send         Completed   32000 ms
        Trying      timer J                   Terminated  -
        Proceeding  request      Send         Proceeding  32000 ms
        Proceeding  user: 1xx    Send         Proceeding  32000 ms
        Proceeding  user: 200+   Send         Completed   32000 ms
        Proceeding  timer J                   Terminated  -
        Completed   request      Send         Completed   32000 ms
        Completed   user: 1xx                 Completed   32000 ms
        Completed   user: 200+                Completed   32000 ms
        Completed   timer J                   Terminated  -
        Terminated  request                   Terminated  -
        Terminated  user: 1xx                 Terminated  -
        Terminated  user: 200+                Terminated  -
        Terminated  timer J                   Terminated  -
    "#]]);
}

/// The moments at which a request without an answer is sent, in milliseconds.
fn sent(
    mut timeout: impl FnMut(Instant) -> (&'static [Action], Option<Instant>),
    first: Option<Instant>,
    epoch: Instant,
) -> Vec<u128> {
    let mut times = vec![0];
    let mut next = first;
    while let Some(at) = next {
        let (actions, after) = timeout(at);
        times.push((at - epoch).as_millis());
        next = after.filter(|_| !actions.contains(&Action::TimedOut));
    }
    times
}

#[test]
fn retransmissions_follow_timers_a_e_and_g() {
    let t = epoch();
    let mut invite = InviteClient::new(t);
    let first = invite.next_timeout();
    let times = sent(|at| (invite.on_timeout(at), invite.next_timeout()), first, t);
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 15500, 31500, 32000], "A doubles until B");

    let mut request = Client::new(t);
    let first = request.next_timeout();
    let times = sent(|at| (request.on_timeout(at), request.next_timeout()), first, t);
    assert_eq!(
        times,
        [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000],
        "E doubles up to T2 until F"
    );

    let mut refusal = InviteServer::new();
    refusal.respond(t, 486);
    let first = refusal.next_timeout();
    let times = sent(|at| (refusal.on_timeout(at), refusal.next_timeout()), first, t);
    assert_eq!(
        times,
        [0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000],
        "G doubles up to T2 until H"
    );
    assert!(T2 > Duration::ZERO);
}
