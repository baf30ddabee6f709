//! The pages of commands that fail, and of those that get there another way.

use std::time::Duration;

use engine::phone::{Answer, OnOffer, OnRefer};
use engine::{Mode, Side, Target};
use expect_test::expect_file;

use super::figures;
use super::page::{self, Row};
use crate::transfer_attended::consulting;
use crate::transfer_blind::{TRANSFER, established};
use crate::world::transfers::transfer;
use crate::world::{CALLEE, CALLER, OTHER, latency};
use crate::{is_request, losing, play, refuse, steps};

#[test]
fn click_to_dial_from_a_phone_that_is_busy_is_rfc_5359_2_18_cut_short() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.answer = refuse(486);
        w.start(Mode::Refer);
        w.run_until(5000);
    });
    let file = expect_file!["../../../../../docs/flows/click_to_dial_caller_busy.txt"];
    page::check(&world, CALLER_BUSY, figures::RFC_5359_2_18, RFC_5359_2_18_CALLER_BUSY, &file);
}

#[test]
fn click_to_dial_from_a_phone_that_refuses_refer_is_rfc_5359_2_18_cut_short() {
    let world = play(|w| {
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(603);
        w.start(Mode::Refer);
        w.run_until(5000);
    });
    let file = expect_file!["../../../../../docs/flows/click_to_dial_refused.txt"];
    page::check(&world, REFUSED, figures::RFC_5359_2_18, RFC_5359_2_18_REFUSED, &file);
}

#[test]
fn click_to_dial_to_somebody_who_does_not_answer_is_rfc_5359_2_18_cut_short() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = Answer::Never;
        let mut request = w.request(Mode::Refer);
        request.timeout = Some(Duration::from_secs(20));
        w.start_with(request);
        w.run_until(25_000);
    });
    let file = expect_file!["../../../../../docs/flows/click_to_dial_no_answer.txt"];
    page::check(&world, NO_ANSWER, figures::RFC_5359_2_18, RFC_5359_2_18_NO_ANSWER, &file);
}

#[test]
fn a_hold_that_a_phone_does_not_answer_is_given_up() {
    let mut page = None;
    play(|w| {
        let call = crate::call_hold::established(w);
        w.network = losing(|from, message| from == 0 && is_request(message, sip::Method::Invite));
        let patience = Some(Duration::from_secs(2));
        w.call_hold_for(&call, Some(Side::Caller), true, patience);
        w.run_for(Duration::from_secs(3));
        page = Some(w.ladder.to_string());
        w.network = latency(0);
        w.run_for(Duration::from_secs(40));
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/hold_no_answer.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, HOLD_NO_ANSWER, figures::RFC_3261_14, RFC_3261_14, &file);
}

#[test]
fn a_blind_transfer_to_somebody_who_does_not_answer_is_rfc_5589_6_3_2() {
    let world = play(|w| {
        let call = established(w);
        w.phones[OTHER].behaviour.answer = Answer::Never;
        let to = Target::Uri(w.phones[OTHER].uri());
        let mut request = transfer(&call, Side::Callee, to, Mode::Refer);
        request.timeout = Some(Duration::from_secs(20));
        w.transfer(request);
        w.run_until(25_000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/blind_transfer_no_answer.txt"];
    page::check(&world, BLIND_NO_ANSWER, figures::RFC_5589_6_3_2, RFC_5589_6_3_2, &file);
}

#[test]
fn a_blind_transfer_that_the_phone_refuses_is_rfc_3515_2_4_2() {
    let world = play(|w| {
        let call = established(w);
        w.phones[CALLEE].behaviour.refer = OnRefer::Refuse(603);
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/blind_transfer_refused.txt"];
    page::check(&world, BLIND_REFUSED, figures::RFC_3515_2_4_2, RFC_3515_2_4_2, &file);
}

#[test]
fn an_attended_transfer_of_a_phone_that_cannot_refer_is_rfc_5589_7_4() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(501);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Auto);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), TRANSFER);
    let file = expect_file!["../../../../../docs/flows/attended_transfer_recovery.txt"];
    page::check(&world, RECOVERY, figures::RFC_5589_7_4, RFC_5589_7_4, &file);
}

#[test]
fn an_attended_transfer_whose_target_refuses_leaves_both_calls() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.phones[OTHER].behaviour.offer = OnOffer::Refuse(488);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
        w.run_until(5000);
        w.hang_up(CALLEE);
    });
    let file = expect_file!["../../../../../docs/flows/attended_transfer_refused.txt"];
    page::check(&world, ATTENDED_REFUSED, figures::RFC_3725_4_4, RFC_3725_4_4_REFUSED, &file);
}

#[test]
fn a_phones_transfer_to_a_busy_target_is_rfc_5589_6_3_1() {
    let world = play(|w| {
        established(w);
        w.phones[OTHER].behaviour.answer = refuse(486);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/phone_transfers_busy.txt"];
    page::check(&world, BY_PHONE_BUSY, figures::RFC_5589_6_3_1, RFC_5589_6_3_1, &file);
}

const CALLER_BUSY: &str = "\
Click to dial from a phone that is busy (RFC 5359 §2.18)
========================================================

The RFC's PC sits beside Bob's phone and asks it straight away. call-api calls that phone first; when it
refuses, nobody else was disturbed, and the client is told so.";

const RFC_5359_2_18_CALLER_BUSY: &[Row] = &[
    Row {
        rfc: &[],
        ours: &[1, 2, 3, 4, 5],
        why: "The call to the caller, which in click_to_dial.txt is answered. Its refusal is the error, and names the caller.",
    },
    Row {
        rfc: &[1, 2, 3, 4, 5, 6],
        ours: &[],
        why: "There is nobody who could be asked to call Carol.",
    },
];

const REFUSED: &str = "\
Click to dial from a phone that refuses REFER (RFC 5359 §2.18)
==============================================================

With `mode: refer` the refusal is the outcome. With `auto` call-api goes on as in click_to_dial_bridge.txt, in
the dialog that is up.";

const RFC_5359_2_18_REFUSED: &[Row] = &[
    Row { rfc: &[], ours: &[1, 2, 3, 4, 5], why: "A call to the caller first: CALL_ANSWER." },
    Row { rfc: &[1], ours: &[6], why: "" },
    Row { rfc: &[2], ours: &[7], why: "603 instead. The error names the caller." },
    Row { rfc: &[3, 4, 5, 6], ours: &[], why: "The phone does not call." },
    Row { rfc: &[], ours: &[8, 9], why: "Nothing is left of the call to the caller." },
];

const NO_ANSWER: &str = "\
Click to dial to somebody who does not answer (RFC 5359 §2.18)
==============================================================

The client waits 20 seconds (`timeout_ms`); without that call-api lets it ring for two minutes.";

const RFC_5359_2_18_NO_ANSWER: &[Row] = &[
    Row { rfc: &[], ours: &[1, 2, 3, 4, 5], why: "A call to the caller first: CALL_ANSWER." },
    Row { rfc: &[1], ours: &[6], why: "" },
    Row { rfc: &[2], ours: &[7], why: "TRANSFER_ACCEPT." },
    Row {
        rfc: &[],
        ours: &[8, 9, 16, 17],
        why: "The reports of the subscription that the REFER made.",
    },
    Row { rfc: &[3], ours: &[10, 12], why: "CALL_START." },
    Row { rfc: &[], ours: &[11, 13], why: "Each hop's own." },
    Row { rfc: &[4], ours: &[14, 15], why: "" },
    Row { rfc: &[], ours: &[18, 21], why: "The first dialog has no more use." },
    Row {
        rfc: &[5, 6],
        ours: &[19, 20, 22, 23, 24, 25],
        why: "Instead of an answer the end of the client's patience: 408 for the caller, and the callee's phone stops ringing (RFC 3261 §9).",
    },
];

const HOLD_NO_ANSWER: &str = "\
A hold that a phone does not answer (RFC 3261 §14.1)
====================================================

The client waits two seconds (`timeout_ms`); without that call-api waits for 20. The session is as it was
before, as for any re-INVITE that fails: what the other party sends and hears has not changed.";

const RFC_3261_14: &[Row] = &[Row {
    rfc: &[1],
    ours: &[1, 2, 3],
    why: "Repeated by timer A (RFC 3261 §17.1.1.2), also after the client was told. A phone that then takes it after all is asked back; one that is silent for 32 seconds has left, and the call ends with 408 (§14.1, §12.2.1.2).",
}];

const BLIND_NO_ANSWER: &str = "\
A blind transfer to somebody who does not answer (RFC 5589 §6.3.2)
==================================================================

In the RFC the transferee gets tired of waiting; here it is the client, after 20 seconds (`timeout_ms`). The
transferor is the caller, the transferee the callee. They talk on, and at the end the caller hangs up. The
call that is transferred is left out.";

const RFC_5589_6_3_2: &[Row] = &[
    Row { rfc: &[4, 5, 6], ours: &[], why: "A client that wants that sends CallHold." },
    Row { rfc: &[7], ours: &[1], why: "From call-api, for the client." },
    Row { rfc: &[8], ours: &[2], why: "TRANSFER_ACCEPT." },
    Row { rfc: &[9], ours: &[3], why: "" },
    Row { rfc: &[10], ours: &[4], why: "" },
    Row { rfc: &[11], ours: &[5, 7], why: "CALL_START." },
    Row { rfc: &[], ours: &[6, 8], why: "Each hop's own." },
    Row { rfc: &[12], ours: &[9, 10], why: "" },
    Row { rfc: &[], ours: &[11, 12], why: "What rings is reported too (RFC 3515 §2.4.5)." },
    Row {
        rfc: &[],
        ours: &[13, 15],
        why: "The transferee gets a final answer for its INVITE: it did not give up itself.",
    },
    Row { rfc: &[13], ours: &[14], why: "From call-api to the target." },
    Row { rfc: &[14], ours: &[17], why: "Without waiting for it, the transferee reports." },
    Row { rfc: &[15], ours: &[18], why: "The same." },
    Row { rfc: &[16], ours: &[20], why: "The same." },
    Row { rfc: &[17], ours: &[16], why: "With the 408 that it got." },
    Row { rfc: &[18], ours: &[19], why: "" },
    Row { rfc: &[19, 20, 21], ours: &[], why: "Nobody was put on hold." },
    Row { rfc: &[22], ours: &[21, 23], why: "" },
    Row { rfc: &[23], ours: &[22, 24], why: "" },
];

const BLIND_REFUSED: &str = "\
A blind transfer that the phone refuses (RFC 3515 §2.4.2)
=========================================================

With `mode: refer` the refusal is the outcome. With `auto` call-api calls the target itself, as in
blind_transfer_bridge.txt. The call goes on; at the end the caller hangs up.";

const RFC_3515_2_4_2: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[2], ours: &[2], why: "The error names the party." },
    Row { rfc: &[], ours: &[3, 4, 5, 6], why: "The caller hangs up, and call-api passes that on." },
];

const RECOVERY: &str = "\
An attended transfer of a phone that cannot REFER (RFC 5589 §7.4)
=================================================================

In the RFC the transferor then asks the target to call the transferee. call-api has both calls and needs
nobody's help: it joins the two, as in attended_transfer_bridge.txt. Here the transferor is the callee of the
first call and the caller of the second, the transferee the caller, and the target the callee of the second.
At the end the caller hangs up. The two calls are left out.";

const RFC_5589_7_4: &[Row] = &[
    Row { rfc: &[4, 5, 6, 10, 11, 12], ours: &[], why: "A client that wants that sends CallHold." },
    Row { rfc: &[13], ours: &[1], why: "From call-api, inside the dialog." },
    Row { rfc: &[14], ours: &[2], why: "" },
    Row {
        rfc: &[15, 16, 17, 18],
        ours: &[],
        why: "The target is not asked to call: its phone might not know REFER either. TRANSFER_ACCEPT and CALL_START.",
    },
    Row {
        rfc: &[19, 20, 21],
        ours: &[3, 5, 10],
        why: "A re-INVITE in the dialog that was to be replaced, for an offer; the answer goes into the ACK.",
    },
    Row { rfc: &[], ours: &[4, 7], why: "The phones' own." },
    Row { rfc: &[], ours: &[6, 8, 9], why: "The transferee is asked to take that offer." },
    Row {
        rfc: &[22, 23],
        ours: &[],
        why: "There was no REFER to report on; the client gets Ended.",
    },
    Row { rfc: &[24], ours: &[11], why: "The other way round, as soon as the two talk." },
    Row { rfc: &[25], ours: &[13], why: "The two BYEs do not wait for each other." },
    Row { rfc: &[26], ours: &[12], why: "From call-api, too." },
    Row { rfc: &[27], ours: &[14], why: "Ended." },
    Row { rfc: &[28], ours: &[15, 17], why: "The other of the two hangs up." },
    Row { rfc: &[29], ours: &[16, 18], why: "" },
];

const ATTENDED_REFUSED: &str = "\
An attended transfer whose target refuses (RFC 3725 §4.4, flow IV)
==================================================================

The party that goes is not asked before the target has made its offer, so both calls are as they were. At the
end the one who was to connect them hangs up both. Messages (1) to (3) are left out.";

const RFC_3725_4_4_REFUSED: &[Row] = &[
    Row {
        rfc: &[4],
        ours: &[1],
        why: "A re-INVITE, for B is in a dialog already. TRANSFER_ACCEPT and CALL_START.",
    },
    Row { rfc: &[], ours: &[2], why: "The phone's own." },
    Row { rfc: &[5], ours: &[3, 4], why: "488 instead: the error names the target." },
    Row { rfc: &[6, 7, 8, 9], ours: &[], why: "A is not asked." },
    Row {
        rfc: &[],
        ours: &[5, 6, 7, 8, 9, 10, 11, 12],
        why: "The party in both calls hangs up, and call-api passes that on.",
    },
];

const BY_PHONE_BUSY: &str = "\
A phone sends the other party to somebody who is busy (RFC 5589 §6.3.1)
=======================================================================

The transferor is the caller, the transferee the callee. call-api calls the target itself, as in
phone_transfers.txt; the transferee's phone learns of nothing. They talk on, and at the end the caller hangs
up. The call that is transferred is left out.";

const RFC_5589_6_3_1: &[Row] = &[
    Row {
        rfc: &[4, 5, 6],
        ours: &[],
        why: "Most phones do that first; this one does not, and nothing depends on it.",
    },
    Row { rfc: &[7], ours: &[1], why: "" },
    Row { rfc: &[8], ours: &[2], why: "From call-api." },
    Row { rfc: &[9], ours: &[3], why: "" },
    Row { rfc: &[10], ours: &[5], why: "The engine does not wait for it." },
    Row {
        rfc: &[11],
        ours: &[4],
        why: "From call-api in the transferee's name, without an offer, with Referred-By.",
    },
    Row {
        rfc: &[],
        ours: &[6, 7, 8, 9],
        why: "The target rings before it says that it is busy, which is reported.",
    },
    Row { rfc: &[12], ours: &[10], why: "" },
    Row { rfc: &[13], ours: &[11], why: "" },
    Row { rfc: &[14], ours: &[12], why: "" },
    Row { rfc: &[15], ours: &[13], why: "" },
    Row { rfc: &[16, 17, 18], ours: &[], why: "Nobody was put on hold." },
    Row { rfc: &[19], ours: &[14, 16], why: "" },
    Row { rfc: &[20], ours: &[15, 17], why: "" },
];
