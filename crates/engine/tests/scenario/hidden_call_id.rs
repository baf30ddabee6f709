//! Callers whose Call-ID is not shown to the phones they call.

use std::time::Duration;

use engine::{Config, Mode, Side};
use sip::Method;

use crate::fork::bob_has_two_phones;
use crate::play_in;
use crate::transfer_blind::calls;
use crate::world::{CALLEE, CALLER, OTHER, World};

#[test]
fn a_call_is_known_by_the_call_id_of_either_leg() {
    for side in [CALLER, CALLEE] {
        play_in(hiding(), |w| {
            w.talk();
            let callers = w.sent_request(CALLER + 1, Method::Invite).call_id().to_owned();
            let callees = w.sent_request(0, Method::Invite).call_id().to_owned();
            assert_ne!(callers, callees);
            let call = w.watched.values().next().expect("a call");
            assert_eq!(*call.call_id, callers);
            assert_eq!(call.callee.call_id.as_deref(), Some(&*callees));
            let hold = w.call_hold(&callees, None, true);
            w.run_for(Duration::from_secs(1));
            assert_eq!(w.done[&hold], Ok(None));
            w.end(if side == CALLER { &callers } else { &callees });
            w.run_for(Duration::from_secs(1));
            assert_eq!(calls(w), [0, 0, 0]);
        });
    }
}

#[test]
fn all_phones_of_a_user_are_called_with_the_same_one() {
    play_in(hiding(), |w| {
        bob_has_two_phones(w);
        let bob = w.phones[CALLEE].aor();
        w.dial(CALLER, &bob);
        w.run_for(Duration::from_secs(5));
        let callers = w.sent_request(CALLER + 1, Method::Invite).call_id().to_owned();
        let invites = w
            .sent
            .iter()
            .filter(|(from, message)| *from == 0 && crate::is_request(message, Method::Invite));
        let called: Vec<_> = invites.map(|(_, message)| message.headers().call_id()).collect();
        assert_eq!(called.len(), 2);
        assert_eq!(called[0], called[1]);
        assert_ne!(called[0], callers);
        w.hang_up(CALLER);
    });
}

#[test]
fn so_is_the_target_of_a_transfer() {
    for mode in [Mode::Refer, Mode::Bridge] {
        play_in(hiding(), |w| {
            let start = w.start(Mode::Bridge);
            w.run_for(Duration::from_secs(5));
            let call = w.call_id(start);
            assert_ne!(w.sent_request(0, Method::Ack).call_id(), call, "the callee's");
            let transfer = w.blind(&call, Side::Caller, OTHER, mode);
            w.run_for(Duration::from_secs(5));
            let call = w.call_id(transfer);
            let address = w.phones[OTHER].uri();
            let invite = w.sent.iter().rev().find_map(|(_, message)| match message {
                sip::Message::Request(request) if request.uri() == address => Some(request),
                _ => None,
            });
            let targets = invite.expect("cindy was called").call_id().to_owned();
            assert_ne!(targets, call);
            assert_eq!(calls(w), [1, 0, 1], "{}", w.ladder);
            w.end(&targets);
        });
    }
}

fn hiding() -> World {
    World::with_config(1, Config { hide_call_id: true, ..World::config() })
}
