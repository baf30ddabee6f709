//! Scenario tests: the ladder is the assertion. `UPDATE_EXPECT=1 cargo test` redraws it, and the
//! pages of `docs/flows`, which are ladders with a comparison to the RFC's own figure.

#[path = "../world/mod.rs"]
mod world;

mod call_hold;
mod call_hold_failures;
mod call_hold_phones;
mod end;
mod fork;
mod hidden_call_id;
mod hold;
mod incoming;
mod incoming_failures;
mod inside;
mod network;
mod pages;
mod pickup;
mod redirect;
mod register;
mod reliable;
mod session;
mod session_flows;
mod session_too_short;
mod start;
mod start_auto;
mod start_callee_failures;
mod start_caller_failures;
mod start_caller_leaves;
mod start_refer_failures;
mod suspended;
mod transfer_attended;
mod transfer_blind;
mod transfer_blind_failures;
mod transfer_by_phone;
mod transfer_identity;
mod transfer_odd_phones;
mod transfer_options;
mod watch;

use std::time::Duration;

use engine::phone::{Answer, PhoneEvent};
use engine::{CommandId, Error, FailureKind, Side, Step};
use expect_test::Expect;
use sip::{Message, Method};
use world::{Fate, Network, World};

/// An answer after this many milliseconds.
fn after(millis: u64) -> Answer {
    Answer::After(Duration::from_millis(millis))
}

/// A refusal after a second of ringing.
fn refuse(status: u16) -> Answer {
    Answer::Refuse(status, Duration::from_secs(1))
}

/// Runs a scenario in virtual time, compares the ladder it drew, and sees that nothing is left.
fn check(scenario: impl FnOnce(&mut World), ladder: Expect) -> World {
    check_in(World::new(1), scenario, ladder)
}

fn check_in(world: World, scenario: impl FnOnce(&mut World), ladder: Expect) -> World {
    let world = play_in(world, scenario);
    ladder.assert_eq(&world.ladder.to_string());
    world
}

/// Runs a scenario for what its ladder does not show.
fn play(scenario: impl FnOnce(&mut World)) -> World {
    play_in(World::new(1), scenario)
}

fn play_in(mut world: World, scenario: impl FnOnce(&mut World)) -> World {
    scenario(&mut world);
    world.run();
    world.assert_at_rest();
    world
}

/// Why the first command failed: which party, whose word it is, and the status.
fn failure(world: &World) -> (Side, FailureKind, u16) {
    match &world.done[&CommandId(1)] {
        Err(Error::Party(side, failure)) => (*side, failure.kind, failure.status),
        other => panic!("no party failed: {other:?}\n{}", world.ladder),
    }
}

/// The events that every client of a `CallStart` gets.
fn steps(world: &World) -> Vec<Step> {
    let steps = world.progress.iter().map(|(_, step, _)| *step);
    steps.filter(|step| !is_provisional(*step)).collect()
}

fn is_provisional(step: Step) -> bool {
    matches!(step, Step::Ringing | Step::EarlyMedia | Step::TransferProgress(_))
}

/// The phones that got into a call, in that order.
fn established(world: &World) -> Vec<usize> {
    let shown = world.shown.iter();
    let established = shown.filter(|(_, event)| matches!(event, PhoneEvent::Established(_)));
    established.map(|(phone, _)| *phone).collect()
}

/// The flow of a `CallStart` that succeeds.
const SUCCESS: [Step; 4] =
    [Step::Answered, Step::TransferAccepted, Step::CallStarted, Step::Answered];

/// A network that loses what is chosen.
fn losing(mut chosen: impl FnMut(usize, &Message) -> bool + 'static) -> Network {
    Box::new(move |from, _, message| match chosen(from, message) {
        true => Fate::Lost,
        false => Fate::Arrives(Duration::ZERO),
    })
}

/// A network that lets what is chosen arrive later, by this many milliseconds.
fn delaying(millis: u64, mut chosen: impl FnMut(usize, &Message) -> bool + 'static) -> Network {
    Box::new(move |from, _, message| {
        Fate::Arrives(Duration::from_millis(if chosen(from, message) { millis } else { 0 }))
    })
}

fn is_request(message: &Message, method: Method) -> bool {
    matches!(message, Message::Request(request) if request.method == method)
}

fn is_response(message: &Message, status: u16, method: Method) -> bool {
    matches!(message, Message::Response(response)
        if response.status == status && response.cseq().method == method)
}

/// What was sent, without what only some clients and phones need: header lines with this name.
fn without_header(text: &str, name: &str) -> String {
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with(&format!("{name}:"))).collect()
}

/// A message whose body was left out.
fn without_body(text: &str) -> String {
    let (head, _) = text.split_once("\r\n\r\n").expect("a message has an empty line");
    let head = without_header(&format!("{head}\r\n"), "Content-Type");
    format!("{}Content-Length: 0\r\n\r\n", without_header(&head, "Content-Length"))
}
