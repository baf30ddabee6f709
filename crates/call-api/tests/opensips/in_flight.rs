//! Requests that are not answered yet: how many are sent at once, in which order, and what is
//! repeated.

use std::time::Duration;

use call_api::backend::opensips::mi::in_flight::{InFlight, Outgoing, WINDOW};
use call_api::backend::opensips::mi::{Answer, Ask, Method, MiError, REPEAT};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A request with an hour's time.
fn ask(in_flight: &mut InFlight, method: Method, now: Instant) -> oneshot::Receiver<Answer> {
    let (answer, answered) = oneshot::channel();
    let deadline = now + Duration::from_secs(3600);
    in_flight.ask(Ask { method, params: json!({}), deadline, answer, provisional: None });
    answered
}

fn sent(in_flight: &mut InFlight, now: Instant) -> Vec<Value> {
    let requests = std::iter::from_fn(|| in_flight.poll(now));
    requests.map(|Outgoing { text, .. }| serde_json::from_str(&text).unwrap()).collect()
}

fn answer(in_flight: &mut InFlight, request: &Value) {
    let answer = json!({"jsonrpc": "2.0", "result": "OK", "id": request["id"]});
    in_flight.handle(answer.to_string().as_bytes());
}

#[test]
fn no_more_are_sent_than_the_proxys_socket_holds() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let _answers: Vec<_> = (0..1000).map(|_| ask(&mut in_flight, Method::EndDialog, now)).collect();
    let first = sent(&mut in_flight, now);
    assert_eq!(first.len(), WINDOW);
    // The proxy reads in order: an answer says that it has read all before it.
    answer(&mut in_flight, &first[WINDOW / 2]);
    assert_eq!(sent(&mut in_flight, now).len(), WINDOW / 2 + 1);
    answer(&mut in_flight, &first[0]);
    assert!(sent(&mut in_flight, now).is_empty(), "that was known");
}

#[test]
fn calls_that_ring_do_not_keep_others_waiting() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let _ringing: Vec<_> =
        (0..1000).map(|_| ask(&mut in_flight, Method::SendRequest, now)).collect();
    let mut calls = 0;
    for _ in 0..=1000 / WINDOW {
        let requests = sent(&mut in_flight, now);
        let (fences, invites): (Vec<_>, Vec<_>) =
            requests.iter().partition(|request| request["method"] == "uptime");
        assert!(invites.len() <= WINDOW && fences.len() <= 1);
        calls += invites.len();
        fences.iter().for_each(|fence| answer(&mut in_flight, fence));
    }
    assert_eq!(calls, 1000);
}

#[test]
fn only_what_can_be_repeated_is_and_then_under_the_same_id() {
    let mut now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let methods = [Method::Dialogs, Method::EndDialog, Method::SendRequest, Method::Transfer];
    let _answers: Vec<_> =
        methods.into_iter().map(|method| ask(&mut in_flight, method, now)).collect();
    let first = sent(&mut in_flight, now);
    for _ in 0..3 {
        now += REPEAT;
        in_flight.handle_timeout(now);
        assert_eq!(sent(&mut in_flight, now), [first[0].clone()]);
    }
    answer(&mut in_flight, &first[0]);
    now += REPEAT;
    in_flight.handle_timeout(now);
    assert!(sent(&mut in_flight, now).is_empty());
}

#[test]
fn a_request_nobody_waits_for_is_not_sent() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    drop(ask(&mut in_flight, Method::Transfer, now));
    assert!(sent(&mut in_flight, now).is_empty() && in_flight.is_empty());
}

#[test]
fn what_is_not_answered_in_time_ends() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let mut answered = ask(&mut in_flight, Method::SendRequest, now);
    let _ = sent(&mut in_flight, now);
    let late = in_flight.next_timeout().unwrap();
    in_flight.handle_timeout(late);
    assert_eq!(answered.try_recv().unwrap(), Err(MiError::NoAnswer));
    assert!(in_flight.is_empty() && in_flight.next_timeout().is_none());
}

#[test]
fn what_waits_behind_a_call_that_rings_over_http_has_its_time_afterwards() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7).serial();
    let _ringing = ask(&mut in_flight, Method::SendRequest, now);
    let (answer, mut answered) = oneshot::channel();
    let (method, deadline) = (Method::Uptime, now + 5 * REPEAT);
    in_flight.ask(Ask { method, params: json!({}), deadline, answer, provisional: None });
    assert_eq!(sent(&mut in_flight, now).len(), 2);
    in_flight.handle_timeout(now + 60 * REPEAT);
    assert!(sent(&mut in_flight, now).is_empty(), "nothing is repeated");
    assert!(answered.try_recv().is_err(), "and nothing is given up");
    assert_eq!(in_flight.len(), 2);
}

#[test]
fn a_list_that_does_not_fit_ends_the_first_that_waits() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let mut call = ask(&mut in_flight, Method::SendRequest, now);
    let mut list = ask(&mut in_flight, Method::Dialogs, now);
    let mut next = ask(&mut in_flight, Method::Dialogs, now);
    let _ = sent(&mut in_flight, now);
    in_flight.handle(b"500 Internal error\n");
    assert_eq!(list.try_recv().unwrap(), Err(MiError::TooLong));
    assert!(call.try_recv().is_err() && next.try_recv().is_err());
}

#[test]
fn a_provisional_response_ends_nothing() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(7);
    let (answer, mut answered) = oneshot::channel();
    let (provisional, mut provisionals) = tokio::sync::mpsc::channel(4);
    let deadline = now + Duration::from_secs(60);
    let method = Method::SendRequest;
    let provisional = Some(provisional);
    in_flight.ask(Ask { method, params: json!({}), deadline, answer, provisional });
    let id = sent(&mut in_flight, now)[0]["id"].clone();
    for status in ["100 Trying", "180 Ringing", "200 OK"] {
        let response = json!({"jsonrpc": "2.0", "result": {"Status": status}, "id": id});
        in_flight.handle(response.to_string().as_bytes());
    }
    assert_eq!(provisionals.try_recv().unwrap()["Status"], "100 Trying");
    assert_eq!(provisionals.try_recv().unwrap()["Status"], "180 Ringing");
    assert_eq!(answered.try_recv().unwrap().unwrap()["Status"], "200 OK");
    assert!(in_flight.is_empty());
}
