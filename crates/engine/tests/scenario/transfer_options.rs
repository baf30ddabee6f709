//! What a client may say with a transfer: `timeout_ms`, whatever is under way when it is over, and
//! `headers`, which reach the target and nobody else.

use std::time::Duration;

use engine::phone::{Answer, OnRefer};
use engine::{CommandId, Error, FailureKind, Mode, Side, Target, TransferRequest};
use sip::{Message, Method};

use crate::transfer_attended::{consulting, go_on};
use crate::transfer_blind::{calls, established};
use crate::transfer_blind_failures::goes_on;
use crate::world::transfers::transfer;
use crate::world::{CALLEE, CALLER, Fate, OTHER, World, latency};
use crate::{delaying, is_request, is_response, losing, play};

/// How long the clients here wait: less than the engine itself would, in every phase.
const PATIENCE: u64 = 3000;

/// Who is at fault, as far as the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Party(Side),
    Target,
}

/// A wait of a transfer: in which mode it comes, what makes it last, and whose fault it then is.
type Wait = (&'static str, Mode, fn(&mut World), Fault);

const BLIND: [Wait; 7] = [
    (
        "for an answer to REFER",
        Mode::Refer,
        |w| w.network = losing(|_, message| is_request(message, Method::Refer)),
        Fault::Party(Side::Callee),
    ),
    (
        "for an answer to REFER, where there is another way",
        Mode::Auto,
        |w| w.network = losing(|_, message| is_request(message, Method::Refer)),
        Fault::Party(Side::Callee),
    ),
    (
        "for the call of the phone that took the REFER",
        Mode::Refer,
        |w| w.phones[CALLEE].behaviour.refer = OnRefer::AcceptOnly,
        Fault::Party(Side::Callee),
    ),
    (
        "for the target that this phone called",
        Mode::Refer,
        |w| w.phones[OTHER].behaviour.answer = Answer::Never,
        Fault::Target,
    ),
    (
        "for the target that the engine called",
        Mode::Bridge,
        |w| w.phones[OTHER].behaviour.answer = Answer::Never,
        Fault::Target,
    ),
    (
        "for the target that the engine called and that is not there",
        Mode::Bridge,
        |w| w.phones[OTHER].behaviour.answer = Answer::Silent,
        Fault::Target,
    ),
    (
        "for the party to take the offer of the target",
        Mode::Bridge,
        |w| w.network = answers_late(2),
        Fault::Party(Side::Callee),
    ),
];

const ATTENDED: [Wait; 5] = [
    (
        "for an answer to REFER",
        Mode::Refer,
        |w| w.network = losing(|_, message| is_request(message, Method::Refer)),
        Fault::Party(Side::Caller),
    ),
    (
        "for the call of the phone that took the REFER",
        Mode::Refer,
        |w| w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly,
        Fault::Party(Side::Caller),
    ),
    (
        "for the target that this phone called",
        Mode::Refer,
        |w| {
            w.network = losing(|from, message| from == 0 && is_request(message, Method::Invite));
        },
        Fault::Target,
    ),
    (
        "for the target to make an offer",
        Mode::Bridge,
        |w| w.network = answers_late(3),
        Fault::Target,
    ),
    (
        "for the party to take the offer of the target",
        Mode::Bridge,
        |w| w.network = answers_late(1),
        Fault::Party(Side::Caller),
    ),
];

/// Everything is immediate but the answer of this lane to an INVITE, which is too late.
fn answers_late(lane: usize) -> crate::world::Network {
    delaying(PATIENCE + 500, move |from, message| {
        from == lane && is_response(message, 200, Method::Invite)
    })
}

#[test]
fn a_client_that_waits_no_longer_for_a_blind_transfer_gets_its_call_back() {
    for (what, mode, makes_wait, fault) in BLIND {
        let world = play(|w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = Answer::After(Duration::ZERO);
            makes_wait(w);
            let to = Target::Uri(w.phones[OTHER].uri());
            gives_up(w, transfer(&call, Side::Callee, to, mode), what);
            goes_on(w, &call);
        });
        assert_eq!(timed_out(&world), fault, "{what}\n{}", world.ladder);
    }
}

#[test]
fn a_client_that_waits_no_longer_for_an_attended_transfer_gets_both_calls_back() {
    for (what, mode, makes_wait, fault) in ATTENDED {
        let world = play(|w| {
            let (first, second) = consulting(w);
            makes_wait(w);
            let to = Target::Party { call_id: second.clone(), side: Side::Callee, uri: None };
            gives_up(w, transfer(&first, Side::Caller, to, mode), what);
            go_on(w, &[&first, &second]);
        });
        assert_eq!(timed_out(&world), fault, "{what}\n{}", world.ladder);
    }
}

#[test]
fn a_transfer_that_waits_only_for_those_it_released_has_succeeded() {
    let silent = |_, message: &Message| is_response(message, 200, Method::Bye);
    for mode in [Mode::Refer, Mode::Bridge] {
        play(|w| {
            let call = established(w);
            w.phones[OTHER].behaviour.answer = Answer::After(Duration::ZERO);
            w.network = losing(silent);
            let to = Target::Uri(w.phones[OTHER].uri());
            succeeds_at_last(w, transfer(&call, Side::Callee, to, mode));
            assert_eq!(calls(w), [0, 1, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(OTHER);
        });
        play(|w| {
            let (first, second) = consulting(w);
            w.network = losing(silent);
            let to = Target::Party { call_id: second, side: Side::Callee, uri: None };
            succeeds_at_last(w, transfer(&first, Side::Caller, to, mode));
            assert_eq!(calls(w), [1, 0, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(OTHER);
        });
    }
}

#[test]
fn a_client_is_not_kept_waiting_because_an_earlier_wait_would_have_ended_first() {
    play(|w| {
        let (first, second) = consulting(w);
        // The party may take 20 s for the target's offer and takes 10; then nobody who is released
        // leaves, which may take 32 s more.
        w.network = Box::new(|from, _, message| {
            if is_response(message, 200, Method::Bye) {
                return Fate::Lost;
            }
            let is_late = from == 1 && is_response(message, 200, Method::Invite);
            Fate::Arrives(Duration::from_secs(if is_late { 10 } else { 0 }))
        });
        let to = Target::Party { call_id: second, side: Side::Callee, uri: None };
        let request = transfer(&first, Side::Caller, to, Mode::Bridge);
        let command = ends_after(w, request, 25_000);
        assert!(matches!(w.done[&command], Ok(Some(_))), "{}", w.ladder);
        w.network = latency(0);
        w.run_for(Duration::from_secs(60));
        w.hang_up(OTHER);
    });
}

/// Sends the command, and sees it fail when the client's time is over: not before, not later.
fn gives_up(w: &mut World, request: TransferRequest, what: &str) {
    let command = ends_in_time(w, request);
    assert!(w.done[&command].is_err(), "{what}\n{}", w.ladder);
    // What is late comes to nothing. A phone that has said nothing cannot be told to forget its INVITE,
    // which is repeated for 32 s (RFC 3261 §9.1): it is not back before that.
    w.run_for(Duration::from_secs(35));
    w.network = latency(0);
}

fn succeeds_at_last(w: &mut World, request: TransferRequest) {
    let command = ends_in_time(w, request);
    assert!(matches!(w.done[&command], Ok(Some(_))), "{}", w.ladder);
    w.network = latency(0);
    w.run_for(Duration::from_secs(60));
}

fn ends_in_time(w: &mut World, request: TransferRequest) -> CommandId {
    ends_after(w, request, PATIENCE)
}

/// The command ends when the time of its client is over, in milliseconds, and not before.
fn ends_after(w: &mut World, mut request: TransferRequest, patience: u64) -> CommandId {
    request.timeout = Some(Duration::from_millis(patience));
    let command = w.transfer(request);
    w.run_for(Duration::from_millis(patience - 1));
    assert!(!w.done.contains_key(&command), "too early\n{}", w.ladder);
    w.run_for(Duration::from_millis(1));
    assert!(w.done.contains_key(&command), "too late\n{}", w.ladder);
    command
}

fn timed_out(world: &World) -> Fault {
    let (fault, failure) = match &world.done[&CommandId(1)] {
        Err(Error::Target(failure)) => (Fault::Target, failure),
        Err(Error::Party(side, failure)) => (Fault::Party(*side), failure),
        other => panic!("nobody is at fault: {other:?}\n{}", world.ladder),
    };
    assert_eq!((failure.kind, failure.status), (FailureKind::TimedOut, 408));
    fault
}

#[test]
fn a_clients_headers_reach_the_target_and_nobody_else() {
    for mode in [Mode::Refer, Mode::Bridge] {
        let world = play(|w| {
            let call = established(w);
            let to = Target::Uri(w.phones[OTHER].uri());
            w.transfer(with_headers(transfer(&call, Side::Callee, to, mode)));
            w.run_until(5000);
            w.hang_up(OTHER);
        });
        assert_eq!(told(&world), [TARGET], "{mode:?}\n{}", world.ladder);
    }
    // By REFER the target's phone gets an INVITE; joined, it is in its call already and gets none.
    for (mode, expected) in [(Mode::Refer, &[TARGET][..]), (Mode::Bridge, &[])] {
        let world = play(|w| {
            let (first, second) = consulting(w);
            let to = Target::Party { call_id: second, side: Side::Callee, uri: None };
            w.transfer(with_headers(transfer(&first, Side::Caller, to, mode)));
            w.run_until(5000);
            w.hang_up(CALLER);
        });
        assert_eq!(told(&world), expected, "{mode:?}\n{}", world.ladder);
    }
}

/// The address of the third phone.
const TARGET: &str = "sip:cindy@127.0.0.1:5073";

fn with_headers(mut request: TransferRequest) -> TransferRequest {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    request.headers = vec![header("X-Ticket", "7"), header("Subject", "Order 7, Müller")];
    request
}

/// Where the engine sent requests with the client's headers.
fn told(world: &World) -> Vec<&str> {
    let requests = world.sent.iter().filter_map(|(from, message)| match message {
        Message::Request(request) if *from == 0 => Some(request),
        Message::Request(_) | Message::Response(_) => None,
    });
    let told = requests.filter(|request| {
        let told = request.named("X-Ticket").is_some();
        let subject = request.named("Subject");
        assert_eq!(subject, told.then_some("Order 7, Müller".as_bytes()), "both or none");
        told
    });
    told.map(|request| request.uri()).collect()
}
