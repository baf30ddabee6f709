//! What happens at the engine's bounds.

use std::time::Duration;

use engine::limits::{MAX_FORKS, MAX_GLARE_RETRIES, MAX_PROVISIONAL_EVENTS, MAX_TRANSACTIONS};
use engine::{CommandId, Event, Mode, StartRequest, Step};

use crate::call::{Call, invite};
use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Wire, address, log, the, times};

/// Far more than any bound of one call.
const MANY: usize = 100;

#[test]
fn without_room_a_new_request_is_503_and_what_is_under_way_goes_on() {
    let mut call = Call::established();
    let options = Draft::request("OPTIONS", "sip:192.0.2.1", CALLER).branch("z9hG4bK#").bytes();
    let options = String::from_utf8(options).unwrap();
    let held = call.wire.engine.load().transactions;
    for number in 0..MAX_TRANSACTIONS {
        // The call's own INVITE has a place too.
        let distinct =
            options.replace('#', &number.to_string()).replace("call@peer", &number.to_string());
        let sent = call.wire.receive(CALLER, distinct);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].is("200"), number + 1 < MAX_TRANSACTIONS, "{number}");
    }
    assert!(call.wire.engine.load().transactions <= MAX_TRANSACTIONS + held);

    let late = Draft::request("INVITE", "sip:bob@192.0.2.20", CALLER).branch("z9hG4bKlate").sdp();
    let refused = call.wire.receive(CALLER, &late);
    assert_eq!(refused.len(), 1, "{}", log(&refused));
    assert!(refused[0].is("503") && refused[0].tag("To").is_some());
    assert_eq!(refused[0].text("Retry-After"), "10");
    assert_eq!(call.wire.receive(CALLER, &late)[0].bytes, refused[0].bytes, "without memory of it");

    let sent = call.wire.receive(CALLER, call.by_caller("BYE", 2));
    assert_eq!((times(&sent, CALLER, "200"), times(&sent, CALLEE, "BYE")), (vec![0], vec![0]));
    call.wire.run_for(Duration::from_secs(64));
    call.wire.assert_at_rest();
    the(&call.wire.receive(CALLER, late), "INVITE");
}

#[test]
fn only_so_many_forks_of_one_call_are_hung_up() {
    let mut call = Call::answered();
    let mut hung_up = 0;
    for fork in 0..MANY {
        let answer = Draft::answer(&call.outgoing, "200 OK", &format!("fork{fork}"));
        let contact = format!("<sip:fork@{}>", address(40, 6000 + fork as u16));
        let sent = call.wire.receive(CALLEE, answer.set("Contact", contact).sdp());
        hung_up += sent.iter().filter(|sent| sent.is("BYE")).count();
    }
    assert_eq!(hung_up, MAX_FORKS);
    the(
        &call
            .wire
            .receive(CALLER, call.by_caller("ACK", 1))
            .into_iter()
            .chain(call.wire.receive(CALLER, call.by_caller("BYE", 2)))
            .collect::<Vec<_>>(),
        "BYE",
    );
    call.wire.run_for(Duration::from_secs(64));
    call.wire.assert_at_rest();
}

#[test]
fn forks_of_an_invite_that_was_given_up_leave_nothing_behind() {
    let mut call = Call::placed(invite());
    call.wire.run_for(Duration::from_secs(33));
    for fork in 0..MANY {
        let answer = Draft::answer(&call.outgoing, "200 OK", &format!("fork{fork}")).sdp();
        call.wire.receive(CALLEE, answer);
    }
    assert!(call.wire.engine.load().legs <= MAX_FORKS + 1, "{:?}", call.wire.engine.load());
    call.wire.run_for(Duration::from_secs(100));
    call.wire.assert_at_rest();
}

#[test]
fn a_phone_that_never_stops_ringing_is_reported_so_often_and_no_more() {
    let mut wire = Wire::new();
    let invite = the(&wire.start(CommandId(1), start_request()), "INVITE");
    for _ in 0..MANY {
        wire.receive(CALLER, Draft::answer(&invite, "180 Ringing", "alice"));
    }
    let is_ringing = |event: &&Event| match event {
        Event::Progress(_, progress) => progress.step == Step::Ringing,
        Event::Done(..) | Event::Call(_) | Event::Registration { .. } | Event::Bug(_) => false,
    };
    let ringing = wire.events.iter().filter(is_ringing).count();
    assert_eq!(ringing, MAX_PROVISIONAL_EVENTS as usize);
    wire.receive(CALLER, Draft::answer(&invite, "486 Busy Here", "alice"));
    assert!(matches!(wire.events.last(), Some(Event::Done(_, Err(_)))), "the outcome is told");
    wire.run_for(Duration::from_secs(64));
    wire.assert_at_rest();
}

#[test]
fn a_phone_that_answers_491_for_ever_is_not_asked_for_ever() {
    let mut wire = Wire::new();
    let request = StartRequest { mode: Mode::Bridge, ..start_request() };
    let invite = the(&wire.start(CommandId(1), request), "INVITE");
    let sent = wire.receive(CALLER, Draft::answer(&invite, "200 OK", "alice").sdp());
    let called = the(&sent, "INVITE");
    let mut sent = wire.receive(CALLEE, Draft::answer(&called, "200 OK", "bob").sdp());
    let mut asked = 0;
    while let Some(offer) = sent.iter().find(|sent| sent.is("INVITE") && sent.to == CALLER) {
        asked += 1;
        assert!(asked < MANY);
        let refused = Draft::answer(offer, "491 Request Pending", "");
        sent = wire.receive(CALLER, refused);
        sent.extend(wire.run_for(Duration::from_secs(4)));
    }
    assert_eq!(asked, 1 + MAX_GLARE_RETRIES as usize);
    assert!(matches!(wire.events.last(), Some(Event::Done(_, Err(_)))), "the command fails");
    wire.run_for(Duration::from_secs(64));
    wire.assert_at_rest();
}

fn start_request() -> StartRequest {
    StartRequest {
        caller: "sip:alice@192.0.2.10:5070".to_owned(),
        callee: "sip:bob@192.0.2.20:5080".to_owned(),
        from: None,
        display: None,
        mode: Mode::Auto,
        headers: Vec::new(),
        auto_answer: false,
        timeout: None,
    }
}
