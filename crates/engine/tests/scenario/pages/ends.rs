//! The pages of calls that end in the middle of something: of a start, a hold or a transfer; and of a
//! phone that takes no REFER, or takes it and dies.

use engine::phone::OnRefer;
use engine::{Mode, Side, Step};
use expect_test::expect_file;

use super::figures;
use super::page::{self, Row};
use crate::transfer_blind::established;
use crate::world::{CALLEE, CALLER, OTHER, latency};
use crate::{SUCCESS, losing, play, steps};

#[test]
fn a_call_end_during_a_start_is_rfc_3261_9_and_15() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = engine::phone::Answer::Never;
        w.start(Mode::Refer);
        w.run_until(2000);
        let call = w.call_id_of(Step::CallStarted);
        w.draw_from_here();
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/call_end_start.txt"];
    page::check(&world, START, figures::RFC_3261_9_15, RFC_3261_9_15_START, &file);
}

#[test]
fn a_call_end_during_a_bridged_start_is_rfc_3261_9_and_15() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = engine::phone::Answer::Never;
        w.start(Mode::Bridge);
        w.run_until(2000);
        let call = w.call_id_of(Step::CallStarted);
        w.draw_from_here();
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/call_end_start_bridge.txt"];
    page::check(&world, START_BRIDGE, figures::RFC_3261_9_15, RFC_3261_9_15_START_BRIDGE, &file);
}

#[test]
fn a_call_end_during_a_hold_is_rfc_3261_15() {
    let world = play(|w| {
        let call = crate::call_hold::established(w);
        w.network = latency(50);
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(1020);
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/call_end_hold.txt"];
    page::check(&world, HOLD, figures::RFC_3261_15, RFC_3261_15_HOLD, &file);
}

#[test]
fn a_call_end_during_a_transfer_is_rfc_3261_9_and_15() {
    let world = play(|w| {
        let call = established(w);
        w.phones[OTHER].behaviour.answer = engine::phone::Answer::Never;
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.run_until(2000);
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/call_end_transfer.txt"];
    page::check(&world, TRANSFER, figures::RFC_3261_9_15, RFC_3261_9_15_TRANSFER, &file);
}

#[test]
fn a_call_end_during_a_transfer_by_refer_is_rfc_3261_9_and_15() {
    let world = play(|w| {
        let call = established(w);
        w.phones[OTHER].behaviour.answer = engine::phone::Answer::Never;
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(2000);
        w.draw_from_here();
        w.end(&call);
        w.run_until(3000);
    });
    let file = expect_file!["../../../../../docs/flows/call_end_transfer_refer.txt"];
    page::check(&world, BY_REFER, figures::RFC_3261_9_15, RFC_3261_9_15_BY_REFER, &file);
}

#[test]
fn a_refused_refer_is_followed_by_the_bridge_of_rfc_3725_4_4() {
    let mut page = None;
    let world = play(|w| {
        w.phones[CALLER].behaviour.refer = OnRefer::Refuse(603);
        w.start(Mode::Auto);
        w.run_until(5000);
        page = Some(w.ladder.to_string());
        w.hang_up(CALLEE);
    });
    assert_eq!(steps(&world), SUCCESS);
    let file = expect_file!["../../../../../docs/flows/click_to_dial_fallback.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, FALLBACK, figures::RFC_3725_4_4, RFC_3725_4_4_FALLBACK, &file);
}

#[test]
fn a_phone_that_dies_after_its_202_is_rfc_3515() {
    let mut page = None;
    play(|w| {
        let call = established(w);
        w.phones[CALLEE].behaviour.refer = OnRefer::AcceptOnly;
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(1500);
        w.network = losing(|from, message| from == 2 || crate::session::is_to(message, "sip:bob"));
        w.run_until(60_000);
        page = Some(w.ladder.to_string());
        w.hang_up(CALLER);
        w.run_until(120_000);
        w.network = latency(0);
        w.hang_up(CALLEE);
    });
    let file = expect_file!["../../../../../docs/flows/blind_transfer_dead.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, DEAD, figures::RFC_3515_DEAD, RFC_3515_DEAD, &file);
}

const START: &str = "\
CallEnd during a CallStart (RFC 3261 §9, §15)
=============================================

The caller's phone has taken the REFER and placed its call, and the callee's rings. A client ends that call, and
with it the command that wanted it. What is before is left out; click_to_dial.txt has it.";

const RFC_3261_9_15_START: &[Row] = &[
    Row {
        rfc: &[],
        ours: &[1, 4],
        why: "The caller's INVITE is unanswered and gets its final answer: 487, for nobody refused.",
    },
    Row {
        rfc: &[1],
        ours: &[3],
        why: "To the caller, in the dialog that the REFER came by: it has no more use.",
    },
    Row { rfc: &[2], ours: &[8], why: "" },
    Row { rfc: &[3], ours: &[2], why: "At once: the parties do not wait for each other." },
    Row { rfc: &[4], ours: &[6], why: "Before that BYE is answered, for the same reason." },
    Row { rfc: &[5], ours: &[7], why: "The same." },
    Row { rfc: &[6], ours: &[10], why: "Ended, of the CallEnd." },
    Row {
        rfc: &[],
        ours: &[5, 9],
        why: "The phone's report on its call (RFC 3515 §2.4.5) crossed the BYE, and is answered.",
    },
];

const START_BRIDGE: &str = "\
CallEnd during a CallStart by bridge (RFC 3261 §9, §15)
=======================================================

The caller has answered and the callee's phone rings. What is before is left out; click_to_dial_bridge.txt has it.";

const RFC_3261_9_15_START_BRIDGE: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "To the caller, who is alone in the call." },
    Row { rfc: &[2], ours: &[3], why: "" },
    Row { rfc: &[3], ours: &[2], why: "At once: the parties do not wait for each other." },
    Row { rfc: &[4], ours: &[4], why: "" },
    Row { rfc: &[5], ours: &[5], why: "" },
    Row { rfc: &[6], ours: &[6], why: "Ended, of the CallEnd." },
];

const HOLD: &str = "\
CallEnd during a CallHold (RFC 3261 §15.1)
==========================================

The offer is on its way, 50 ms long, when a client ends the call. A BYE may be sent while a re-INVITE waits for its
answer. The call that is held is left out.";

const RFC_3261_15_HOLD: &[Row] = &[
    Row {
        rfc: &[],
        ours: &[1, 4, 5, 8],
        why: "The hold. Its 200 was sent before the BYE came there, and is acknowledged like any (RFC 3261 §13.2.2.4). Nothing comes of it: CallHold has failed.",
    },
    Row { rfc: &[1], ours: &[2, 3], why: "To both at once." },
    Row { rfc: &[2], ours: &[6, 7], why: "Ended, of the CallEnd." },
];

const TRANSFER: &str = "\
CallEnd during a transfer (RFC 3261 §9, §15)
============================================

call-api has called the target of a blind transfer, whose phone rings, when a client ends the call that is
transferred. Nobody is left for the target to talk to, so that call is taken back. The call before is left out.";

const RFC_3261_9_15_TRANSFER: &[Row] = &[
    Row { rfc: &[], ours: &[1, 2, 3], why: "The transfer: TRANSFER_ACCEPT, CALL_START." },
    Row { rfc: &[1], ours: &[4, 5], why: "To both parties at once." },
    Row { rfc: &[2], ours: &[7, 8], why: "" },
    Row { rfc: &[3], ours: &[6], why: "Without waiting for their answers." },
    Row { rfc: &[4], ours: &[9], why: "" },
    Row { rfc: &[5], ours: &[10], why: "" },
    Row {
        rfc: &[6],
        ours: &[11],
        why: "The CallEnd has ended when the last INVITE has its answer.",
    },
];

const BY_REFER: &str = "\
CallEnd during a transfer by REFER (RFC 3261 §9, §15)
=====================================================

The callee's phone has taken the REFER and placed its call, and the target's rings. What is before is left out;
blind_transfer.txt has it.";

const RFC_3261_9_15_BY_REFER: &[Row] = &[
    Row { rfc: &[1], ours: &[1, 2], why: "To both parties at once." },
    Row { rfc: &[2], ours: &[5, 6], why: "" },
    Row {
        rfc: &[],
        ours: &[3, 7],
        why: "The INVITE of the phone that goes is unanswered and gets its final answer. With the dialog, the REFER's subscription \
              has ended: there is no NOTIFY (RFC 5057 §5.1).",
    },
    Row { rfc: &[3], ours: &[4], why: "Without waiting for the answers to the BYEs." },
    Row { rfc: &[4], ours: &[8], why: "" },
    Row { rfc: &[5], ours: &[9], why: "" },
    Row {
        rfc: &[6],
        ours: &[10],
        why: "The CallEnd has ended when the last INVITE has its answer.",
    },
];

const FALLBACK: &str = "\
Click to dial with a phone that refuses REFER (RFC 3725 §4.4, flow IV)
======================================================================

With `mode: auto` call-api asks a phone that says it knows REFER. When it refuses all the same, the caller stays on
the line and call-api places the call itself, as in click_to_dial_bridge.txt. The end of the call is left out.";

const RFC_3725_4_4_FALLBACK: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "As in click_to_dial_bridge.txt." },
    Row { rfc: &[], ours: &[2, 3], why: "" },
    Row { rfc: &[2], ours: &[4], why: "" },
    Row { rfc: &[3], ours: &[5], why: "" },
    Row {
        rfc: &[],
        ours: &[6, 7],
        why: "Any refusal will do. TRANSFER_ACCEPT is said when call-api takes over.",
    },
    Row { rfc: &[4], ours: &[8], why: "" },
    Row { rfc: &[], ours: &[9, 10], why: "" },
    Row { rfc: &[5], ours: &[11], why: "" },
    Row { rfc: &[6], ours: &[12], why: "" },
    Row { rfc: &[], ours: &[13], why: "" },
    Row { rfc: &[7], ours: &[14], why: "" },
    Row { rfc: &[8], ours: &[16], why: "" },
    Row { rfc: &[9], ours: &[15], why: "Before (8): the two are independent." },
];

const DEAD: &str = "\
A blind transfer by a phone that takes the REFER and is gone (RFC 3515 §2.4)
============================================================================

A 202 is a promise and no outcome. When neither a report nor the new call has come after ten seconds, the transfer
has failed, and the error names the party. The call stands as far as call-api can tell; that a phone is
gone shows at the next request in its dialog (see session_timer.txt). What is before and after is left out.";

const RFC_3515_DEAD: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[2], ours: &[2], why: "TRANSFER_ACCEPT." },
    Row { rfc: &[3, 4, 5], ours: &[], why: "The phone is gone: Error and Ended stand for them." },
];
