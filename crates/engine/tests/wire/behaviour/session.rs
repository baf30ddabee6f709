//! Session timers (RFC 4028) of peers that take their time.

use std::time::Duration;

use engine::Config;

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, ENGINE, Wire, the, times};

#[test]
fn a_session_does_not_end_while_a_re_invite_is_under_way() {
    let mut call = short();
    // The callee's user is asked about it for longer than the session of either.
    let offer = call.by_caller("INVITE", 2).sdp();
    let passed = the(&call.wire.receive(CALLER, offer), "INVITE");
    call.wire.receive(CALLEE, Draft::answer(&passed, "180 Ringing", ""));
    let sent = call.wire.run_for(Duration::from_secs(110));
    assert_eq!(sent.iter().filter(|sent| sent.is("BYE")).count(), 0, "{sent:?}");
    let sent = call.wire.receive(CALLEE, Draft::answer(&passed, "200 OK", "").sdp());
    assert_eq!(times(&sent, CALLER, "200"), [110_000]);
    // Its ACK, and then nothing any more: now it counts.
    let ack = call.by_caller("ACK", 2);
    call.wire.receive(CALLER, ack);
    let sent = call.wire.run_for(Duration::from_secs(200));
    assert_eq!(times(&sent, CALLER, "INVITE")[0], 155_000);
    assert_eq!(times(&sent, CALLER, "BYE")[0], 187_000, "64·T1 after that");
    call.wire.assert_at_rest();
}

#[test]
fn a_peer_that_refreshes_itself_is_not_missed_while_it_is_asked_something() {
    let mut call = short();
    let mut refresh = call.by_callee("INVITE", 1).sdp();
    refresh = refresh.set("Supported", "timer").set("Session-Expires", "90;refresher=uac");
    let passed = the(&call.wire.receive(CALLEE, refresh), "INVITE");
    let sent = call.wire.receive(CALLER, Draft::answer(&passed, "200 OK", "").sdp());
    assert_eq!(the(&sent, "200").text("Session-Expires"), "90;refresher=uac");
    let ack = call.by_callee("ACK", 1);
    call.wire.receive(CALLEE, ack);
    let offer = call.by_caller("INVITE", 2).sdp();
    let passed = the(&call.wire.receive(CALLER, offer), "INVITE");
    call.wire.receive(CALLEE, Draft::answer(&passed, "180 Ringing", ""));
    let sent = call.wire.run_for(Duration::from_secs(100));
    assert_eq!(sent.iter().filter(|sent| sent.is("BYE")).count(), 0, "{sent:?}");
    let sent = call.wire.receive(CALLEE, Draft::answer(&passed, "200 OK", "").sdp());
    assert_eq!(times(&sent, CALLER, "200"), [100_000]);
}

/// A call with the shortest sessions there are, of peers that take no UPDATE.
fn short() -> Call {
    let config = Config { open: true, session_seconds: Some(90), ..Config::at(ENGINE) };
    Call::established_in(Wire::seeded(config, 1), invite())
}
