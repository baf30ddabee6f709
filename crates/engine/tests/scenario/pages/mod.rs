//! The flows that `docs/flows` shows: the page is what the scenario drew, with the figure of the RFC
//! beside it, message by message.

mod ends;
mod failures;
mod figures;
mod hold;
mod page;
mod phones;
mod transfer;

use std::time::Duration;

use engine::Mode;
use expect_test::expect_file;

use self::page::Row;
use crate::world::{CALLEE, CALLER, World};
use crate::{SUCCESS, after, play, steps};

#[test]
fn click_to_dial_by_refer_is_rfc_5359_2_18() {
    let world = play(|w| start_and_hang_up(w, Mode::Refer));
    assert_eq!(steps(&world), SUCCESS);
    let file = expect_file!["../../../../../docs/flows/click_to_dial.txt"];
    page::check(&world, CLICK_TO_DIAL, figures::RFC_5359_2_18, RFC_5359_2_18, &file);
}

#[test]
fn click_to_dial_by_bridge_is_rfc_3725_4_4() {
    let world = play(|w| start_and_hang_up(w, Mode::Bridge));
    assert_eq!(steps(&world), SUCCESS);
    let file = expect_file!["../../../../../docs/flows/click_to_dial_bridge.txt"];
    page::check(&world, BRIDGE, figures::RFC_3725_4_4, RFC_3725_4_4, &file);
}

#[test]
fn a_phone_calls_a_phone_as_in_rfc_3261_24_2() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = after(3000);
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(10_000);
        w.hang_up(CALLEE);
    });
    let file = expect_file!["../../../../../docs/flows/phone_to_phone.txt"];
    page::check(&world, PHONE_TO_PHONE, figures::RFC_3261_24_2, RFC_3261_24_2, &file);
}

#[test]
fn call_end_says_bye_to_both_as_in_rfc_3261_15() {
    let world = play(|w| {
        let command = w.start(Mode::Refer);
        w.run_until(5000);
        w.draw_from_here();
        let call_id = w.call_id(command);
        let end = w.end(&call_id);
        w.run_for(Duration::from_secs(1));
        assert_eq!(w.done[&end], Ok(None));
    });
    let file = expect_file!["../../../../../docs/flows/call_end.txt"];
    page::check(&world, CALL_END, figures::RFC_3261_15, RFC_3261_15, &file);
}

#[test]
fn a_call_end_while_it_rings_is_rfc_3261_9() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = engine::phone::Answer::Never;
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(2000);
        let call_id = w.last_call_id().expect("a call was placed");
        w.draw_from_here();
        let end = w.end(&call_id);
        w.run_for(Duration::from_secs(1));
        assert_eq!(w.done[&end], Ok(None));
    });
    let file = expect_file!["../../../../../docs/flows/call_end_ringing.txt"];
    page::check(&world, CALL_END_RINGING, figures::RFC_3261_9, RFC_3261_9, &file);
}

#[test]
fn click_to_dial_to_a_busy_callee_is_rfc_5359_2_18_cut_short() {
    let world = play(|w| {
        w.phones[CALLEE].behaviour.answer = crate::refuse(486);
        w.start(Mode::Refer);
        w.run_until(10_000);
    });
    let file = expect_file!["../../../../../docs/flows/click_to_dial_busy.txt"];
    page::check(&world, CLICK_TO_DIAL_BUSY, figures::RFC_5359_2_18, RFC_5359_2_18_BUSY, &file);
}

fn start_and_hang_up(w: &mut World, mode: Mode) {
    w.phones[CALLER].behaviour.answer = after(2000);
    w.phones[CALLEE].behaviour.answer = after(3000);
    w.start(mode);
    w.run_until(10_000);
    w.hang_up(CALLEE);
}

const CLICK_TO_DIAL: &str = "\
Click to dial: CallStart with REFER (RFC 5359 §2.18)
====================================================

In the RFC a PC sends a REFER to Bob's phone, which then calls Carol. Here call-api stands where the
PC stands, the caller is Bob's phone and the callee is Carol. At the end the callee hangs up.

Three things differ throughout. The RFC's phones speak TLS, here it is UDP. Its PC has no part in
the call itself; call-api stays in it, as a back-to-back user agent, so that the call can be held,
transferred and ended later: each message of the new call is passed on, and appears twice. And the
RFC leaves out the 100 Trying that each hop sends.";

const RFC_5359_2_18: &[Row] = &[
    Row {
        rfc: &[],
        ours: &[1, 2, 3, 4, 5],
        why: "A call to the caller first. The user of the RFC's PC sits beside the phone; the client \
              of an API may be anywhere, so the phone has to ring and somebody has to answer before \
              anybody else is disturbed. It shows who is going to be called, since From is the \
              callee. And most phones accept a REFER only from somebody they are in a dialog with. \
              The offer is inactive: no media flows until the real call.",
    },
    Row {
        rfc: &[1],
        ours: &[6],
        why: "Inside the dialog just made, not on its own. Refer-To is not Carol but a URI of \
              call-api that works once, so that the new call comes by here; call-api knows that it \
              means the callee. Referred-By says who asks (RFC 3892). No `Refer-Sub: false`, for few \
              phones know RFC 4488: the REFER makes a subscription.",
    },
    Row { rfc: &[2], ours: &[7], why: "" },
    Row {
        rfc: &[],
        ours: &[8, 9, 16, 17, 22, 24],
        why: "The reports of that subscription (RFC 3515 §2.4.5). They matter only when the phone \
              fails before its call gets here; from then on call-api sees for itself, and a phone \
              that reports nothing, or without a body, does no harm.",
    },
    Row {
        rfc: &[3],
        ours: &[10, 12],
        why: "From the phone to the one-time URI, and from call-api to the callee: with the phone's \
              own offer and the same Call-ID, From the caller's own URI. The tags are new: each half \
              is a dialog of its own. Referred-By is not passed on.",
    },
    Row { rfc: &[], ours: &[11, 13], why: "Each hop's own (RFC 3261 §8.2.6.1)." },
    Row { rfc: &[4], ours: &[14, 15], why: "" },
    Row { rfc: &[5], ours: &[18, 20], why: "The answer passes unchanged." },
    Row {
        rfc: &[6],
        ours: &[19, 21],
        why: "call-api acknowledges the callee at once and does not wait for the caller: the \
              callee's 200 carried the answer, so nothing is missing.",
    },
    Row {
        rfc: &[],
        ours: &[23, 25],
        why: "The first dialog has served. `Ended` comes when the phone has agreed. A phone that goes \
              on reporting gets 481: nobody listens any more (RFC 6665 §4.1.3).",
    },
    Row {
        rfc: &[],
        ours: &[26, 27, 28, 29],
        why: "The callee hangs up, and call-api passes that on. The RFC's example ends before.",
    },
];

const BRIDGE: &str = "\
Click to dial: CallStart without REFER (RFC 3725 §4.4, flow IV)
===============================================================

The RFC's controller is call-api, its A is the caller and its B the callee. The phones need nothing
but re-INVITE. `mode: auto` comes here when the caller's phone does not take a REFER, or takes it and
then does nothing. At the end the callee hangs up.

The RFC leaves out what is provisional: 100 Trying and 180 Ringing.";

const RFC_3725_4_4: &[Row] = &[
    Row {
        rfc: &[1],
        ours: &[1],
        why: "The RFC's offer has no media line at all. Ours has one for audio that is inactive: \
              some phones refuse an offer with nothing in it. From is \
              the callee, so the caller's phone shows who is going to be called.",
    },
    Row { rfc: &[], ours: &[2, 3], why: "" },
    Row { rfc: &[2], ours: &[4], why: "Inactive, as the offer was." },
    Row { rfc: &[3], ours: &[5], why: "" },
    Row {
        rfc: &[4],
        ours: &[6],
        why: "With the Call-ID of the caller's dialog, so that one Call-ID names the call; From is \
              the caller.",
    },
    Row {
        rfc: &[],
        ours: &[7, 8],
        why: "The caller hears nothing of the ringing: its dialog is up already. The RFC suggests \
              music (§5); call-api has no media.",
    },
    Row { rfc: &[5], ours: &[9], why: "" },
    Row {
        rfc: &[6],
        ours: &[10],
        why: "The callee's offer with the o= line of offer1 and the next version, as the RFC asks. \
              Because offer1 had an audio line, audio comes first here too: media lines keep their \
              place (RFC 3264 §8), and the answer gets the callee's order back.",
    },
    Row { rfc: &[], ours: &[11], why: "" },
    Row { rfc: &[7], ours: &[12], why: "" },
    Row { rfc: &[8], ours: &[14], why: "" },
    Row {
        rfc: &[9],
        ours: &[13],
        why: "Before (8), not after: the two are independent, and this one is complete already.",
    },
    Row {
        rfc: &[],
        ours: &[15, 16, 17, 18],
        why: "The callee hangs up, and call-api passes that on. The RFC's figure ends before.",
    },
];

const PHONE_TO_PHONE: &str = "\
A phone calls a phone (RFC 3261 §24.2)
======================================

In the RFC's example Alice calls Bob through two proxies. call-api stands where they stand, alone: it
is a back-to-back user agent and not a proxy, so the two dialogs are its own. At the end the callee
hangs up, as Bob does in the RFC.";

const RFC_3261_24_2: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[2], ours: &[2], why: "" },
    Row {
        rfc: &[3, 5],
        ours: &[3],
        why: "One hop instead of two. The Request-URI, From and To without their tags, the Call-ID \
              and the offer are the caller's; tags, CSeq, Via and Contact are ours, and Max-Forwards \
              is one less. No Record-Route: what comes later comes here by our Contact.",
    },
    Row { rfc: &[4], ours: &[4], why: "From the callee itself, which may send one." },
    Row { rfc: &[6, 7, 8], ours: &[5, 6], why: "" },
    Row { rfc: &[9, 10, 11], ours: &[7, 9], why: "" },
    Row {
        rfc: &[12],
        ours: &[8, 10],
        why: "In the RFC end to end. Here each dialog has its own, and the callee's does not wait \
              for the caller's, unless the caller left the offer to the callee: then its ACK \
              carries the answer.",
    },
    Row { rfc: &[13], ours: &[11, 13], why: "" },
    Row {
        rfc: &[14],
        ours: &[12, 14],
        why: "Each dialog answers for itself: the callee need not wait until the caller has agreed.",
    },
];

const CALL_END: &str = "\
CallEnd of an established call (RFC 3261 §15.1)
===============================================

The RFC has no figure of its own for it: who wants to leave a dialog sends BYE and takes the session
as ended, and the peer answers 200. call-api has a dialog with each party, and leaves both at once.
`Ended` comes when both have answered, or can no longer object: after 32 seconds (timer F).";

const RFC_3261_15: &[Row] = &[
    Row {
        rfc: &[1],
        ours: &[1, 2],
        why: "To both at once. Neither waits for the other: a party that does not answer must not \
              keep the other one in a call that is over.",
    },
    Row { rfc: &[2], ours: &[3, 4], why: "" },
];

const CALL_END_RINGING: &str = "\
CallEnd of a call that rings (RFC 3261 §9, §15.1.1)
===================================================

A phone has called another one, which rings, and a client ends the call. The caller's INVITE is
unanswered, so it is refused; the callee's is ours, so it is taken back.";

const RFC_3261_9: &[Row] = &[
    Row { rfc: &[], ours: &[1], why: "487, as if the caller itself had given up: nobody refused." },
    Row { rfc: &[], ours: &[3], why: "For that refusal (RFC 3261 §17.1.1.3)." },
    Row { rfc: &[1], ours: &[2], why: "" },
    Row { rfc: &[2, 3], ours: &[4, 5], why: "" },
    Row { rfc: &[4], ours: &[6], why: "Ended." },
];

const CLICK_TO_DIAL_BUSY: &str = "\
Click to dial to somebody who is busy (RFC 5359 §2.18)
======================================================

The RFC's example ends well. When the callee refuses, the client is told so at once, and the caller's
phone is released from the call that brought it here. As for the rest, see click_to_dial.txt.";

const RFC_5359_2_18_BUSY: &[Row] = &[
    Row { rfc: &[], ours: &[1, 2, 3, 4, 5], why: "A call to the caller first: CALL_ANSWER." },
    Row { rfc: &[1], ours: &[6], why: "" },
    Row { rfc: &[2], ours: &[7], why: "TRANSFER_ACCEPT." },
    Row { rfc: &[3], ours: &[10, 12], why: "CALL_START." },
    Row { rfc: &[], ours: &[11, 13], why: "Each hop's own." },
    Row { rfc: &[4], ours: &[14, 15], why: "" },
    Row {
        rfc: &[5, 6],
        ours: &[18, 19, 20, 22],
        why: "486 Busy Here instead, passed on with its ACK in each dialog: the error names the callee.",
    },
    Row {
        rfc: &[],
        ours: &[8, 9, 16, 17, 23, 25],
        why: "The reports of the subscription that the REFER made.",
    },
    Row { rfc: &[], ours: &[21, 24], why: "The first dialog has no more use." },
];
