//! Transfers between phones whose Contact leads nowhere, whose NOTIFYs are missing or late, or that leave
//! at the wrong moment.

use std::time::Duration;

use engine::phone::{Answer, Notify, OnRefer};
use engine::{Error, Mode, Side, Target};
use sip::{Message, Method};

use crate::play;
use crate::transfer_attended::{consulting, go_on};
use crate::transfer_blind::{calls, established};
use crate::world::transfers::transfer;
use crate::world::{CALLEE, CALLER, OTHER, World, latency};

#[test]
fn a_target_behind_nat_is_called_and_talked_to_where_its_other_call_has_found_it() {
    for mode in [Mode::Auto, Mode::Refer, Mode::Bridge] {
        play(|w| {
            w.rewrite = Some(Box::new(|from, _, text| {
                let lines = text.split_inclusive("\r\n").map(|line| {
                    match from == OTHER + 1 && line.starts_with("Contact:") {
                        true => line.replace("127.0.0.1", "10.0.0.1"),
                        false => line.to_owned(),
                    }
                });
                lines.collect()
            }));
            w.talk();
            let first = w.last_call_id().unwrap();
            let bob = w.phones[CALLEE].uri();
            w.dial(OTHER, &bob);
            w.run_for(Duration::from_secs(1));
            let second = w.last_call_id().unwrap();
            let command = w.attended((&first, Side::Caller), (&second, Side::Caller), mode);
            w.run_for(Duration::from_secs(60));
            assert!(w.done[&command].is_ok(), "{mode:?}\n{}", w.ladder);
            assert_eq!(calls(w), [1, 0, 1], "{mode:?}\n{}", w.ladder);
            w.hang_up(CALLER);
        });
    }
}

#[test]
fn a_phone_that_never_reports_what_became_of_our_refer_may_transfer_by_itself() {
    // It was asked to call, did not, and was bridged.
    play(|w| {
        w.phones[CALLER].behaviour.refer = OnRefer::AcceptOnly;
        w.phones[CALLEE].behaviour.answer = Answer::After(Duration::ZERO);
        w.phones[OTHER].behaviour.answer = Answer::After(Duration::ZERO);
        let start = w.start(Mode::Auto);
        w.run_for(Duration::from_secs(30));
        assert!(w.done[&start].is_ok(), "{}", w.ladder);
        transfers_by_itself(w, CALLER);
    });
    // It was asked, called, and was turned away.
    play(|w| {
        let call = established(w);
        w.phones[CALLEE].behaviour.notify = Notify::Never;
        w.phones[OTHER].behaviour.answer = Answer::Refuse(486, Duration::ZERO);
        let failed = w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_for(Duration::from_secs(60));
        assert!(w.done[&failed].is_err(), "{}", w.ladder);
        w.phones[OTHER].behaviour.answer = Answer::After(Duration::ZERO);
        transfers_by_itself(w, CALLEE);
    });
}

/// A phone in a call sends its peer to the third one.
fn transfers_by_itself(w: &mut World, phone: usize) {
    w.refer(phone, w.call_of(phone), OTHER, None);
    w.run_for(Duration::from_secs(10));
    let accepted = w.sent.iter().any(|(from, message)| {
        *from == 0
            && matches!(message, Message::Response(response)
                if response.status == 202 && response.cseq().method == Method::Refer)
    });
    assert!(accepted, "{}", w.ladder);
    let stays = if phone == CALLER { CALLEE } else { CALLER };
    let mut expected = [0; 3];
    expected[stays] = 1;
    expected[OTHER] = 1;
    assert_eq!(calls(w), expected, "{}", w.ladder);
    w.hang_up(OTHER);
}

#[test]
fn the_late_report_of_a_transfer_that_was_given_up_says_nothing_of_the_next_one() {
    play(|w| {
        let call = established(w);
        w.network = latency(10);
        w.phones[OTHER].behaviour.answer = Answer::Never;
        let mut request =
            transfer(&call, Side::Callee, Target::Uri(w.phones[OTHER].uri()), Mode::Refer);
        request.timeout = Some(Duration::from_secs(2));
        let first = w.transfer(request);
        while !w.done.contains_key(&first) {
            w.run_for(Duration::from_millis(1));
        }
        // The phone does not know yet that its call was turned away.
        w.phones[OTHER].behaviour.answer = Answer::After(Duration::from_millis(500));
        let second = w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_for(Duration::from_secs(10));
        assert!(w.done[&second].is_ok(), "{}", w.ladder);
        assert_eq!(calls(w), [0, 1, 1], "{}", w.ladder);
        w.hang_up(OTHER);
    });
}

#[test]
fn a_target_that_leaves_while_it_is_called_is_not_waited_for() {
    for millis in [5, 15, 25, 35] {
        play(|w| {
            w.network = latency(10);
            let (first, second) = consulting(w);
            let command = w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Auto);
            w.run_for(Duration::from_millis(millis));
            w.hang_up(OTHER);
            w.run_for(Duration::from_secs(1));
            let ended = w.done.get(&command);
            assert!(
                matches!(ended, Some(Err(Error::Target(_)))),
                "after {millis} ms: {ended:?}\n{}",
                w.ladder
            );
            assert_eq!(calls(w), [1, 1, 0], "after {millis} ms\n{}", w.ladder);
            w.hang_up(CALLER);
        });
    }
}

#[test]
fn a_phone_that_has_lost_its_call_is_still_told_that_its_offer_came() {
    let world = play(|w| {
        let call = established(w);
        w.network = crate::delaying(400, |from, message| {
            from == 2 && crate::is_request(message, Method::Ack)
        });
        // alice's phone makes an offer, and bob's takes its time to answer it.
        w.ask_for_offer(CALLEE);
        w.run_for(Duration::from_millis(100));
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(481);
        let transfer = w.blind(&call, Side::Caller, OTHER, Mode::Refer);
        w.run_for(Duration::from_secs(1));
        assert!(w.done[&transfer].is_err());
        assert_eq!(calls(w), [0, 0, 0], "{}", w.ladder);
    });
    let ack = world.sent_request(0, Method::Ack);
    let refused = String::from_utf8_lossy(ack.body()).contains("m=audio 0 ");
    assert!(refused, "an ACK with an answer\n{}", world.ladder);
}

#[test]
fn a_target_that_is_back_when_the_transfer_was_given_up_is_still_in_its_call() {
    play(|w| {
        let (first, second) = consulting(w);
        w.network = crate::losing(|from, message| {
            from == 3 || (from == 0 && message.headers().to().uri.contains("5073"))
        });
        let to = Target::Party { call_id: second.clone(), side: Side::Callee, uri: None };
        let mut request = transfer(&first, Side::Caller, to, Mode::Refer);
        request.timeout = Some(Duration::from_secs(3));
        let command = w.transfer(request);
        w.run_for(Duration::from_secs(5));
        assert!(w.done[&command].is_err());
        w.network = latency(0);
        w.run_for(Duration::from_secs(60));
        go_on(w, &[&first, &second]);
    });
}
