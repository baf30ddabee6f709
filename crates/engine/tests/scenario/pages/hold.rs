//! The pages of `CallHold` and `CallUnHold`, beside RFC 5359 §2.1.

use engine::phone::OnOffer;
use engine::{Side, Step};
use expect_test::expect_file;
use sip::Method;

use super::figures;
use super::page::{self, Row};
use crate::call_hold::{established, steps};
use crate::play;
use crate::world::{CALLEE, CALLER, OTHER, World};

#[test]
fn a_hold_of_one_party_and_its_end_are_rfc_5359_2_1() {
    let world = play(|w| {
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(1000);
        let call = w.sent_request(1, Method::Invite).call_id().to_owned();
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(5000);
        w.call_hold(&call, Some(Side::Caller), false);
        w.run_until(8000);
        w.hang_up(CALLER);
    });
    let [asked, held, unheld] = [Step::HoldAsked, Step::Held, Step::Unheld];
    assert_eq!(steps(&world), [asked, held, asked, unheld]);
    let file = expect_file!["../../../../../docs/flows/hold.txt"];
    page::check(&world, HOLD, figures::RFC_5359_2_1, RFC_5359_2_1, &file);
}

#[test]
fn a_hold_of_both_is_twice_the_hold_of_rfc_5359_2_1() {
    let mut page = None;
    play(|w| {
        let call = established(w);
        w.call_hold(&call, None, true);
        w.run_until(5000);
        page = Some(w.ladder.to_string());
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/hold_both.txt"];
    page::check_ladder(
        &page.unwrap_or_default(),
        HOLD_BOTH,
        figures::RFC_5359_2_1,
        RFC_5359_2_1_HOLD,
        &file,
    );
}

#[test]
fn the_end_of_both_holds_is_twice_that_of_rfc_5359_2_1() {
    let mut page = None;
    play(|w| {
        let call = established(w);
        w.call_hold(&call, None, true);
        w.run_until(5000);
        w.draw_from_here();
        w.call_hold(&call, None, false);
        w.run_until(8000);
        page = Some(w.ladder.to_string());
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/unhold.txt"];
    page::check_ladder(
        &page.unwrap_or_default(),
        UNHOLD,
        figures::RFC_5359_2_1,
        RFC_5359_2_1_UNHOLD,
        &file,
    );
}

#[test]
fn a_consultation_hold_is_rfc_5359_2_2() {
    let world = play(|w| {
        let call = crate::transfer_blind::established(w);
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(2000);
        let target = w.phones[OTHER].uri();
        w.dial(CALLEE, &target);
        w.run_until(4000);
        let consultation = w.last_call_id().expect("bob calls cindy");
        w.end(&consultation);
        w.run_until(5000);
        w.call_hold(&call, Some(Side::Caller), false);
        w.run_until(6000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/consultation_hold.txt"];
    page::check(&world, CONSULTATION_HOLD, figures::RFC_5359_2_2, RFC_5359_2_2, &file);
}

#[test]
fn a_hold_that_one_party_refuses_is_undone() {
    let mut page = None;
    let scenario = |w: &mut World| {
        let call = established(w);
        w.phones[CALLEE].behaviour.offer = OnOffer::Refuse(488);
        w.call_hold(&call, None, true);
        w.run_until(5000);
        page = Some(w.ladder.to_string());
        w.end(&call);
    };
    play(scenario);
    let file = expect_file!["../../../../../docs/flows/hold_refused.txt"];
    page::check_ladder(
        &page.unwrap_or_default(),
        HOLD_REFUSED,
        figures::RFC_3264_8,
        RFC_3264_8,
        &file,
    );
}

const HOLD: &str = "\
Hold of one party: CallHold and CallUnHold with a leg (RFC 5359 §2.1)
=====================================================================

In the RFC Alice calls Bob through a proxy, Bob puts her on hold and takes her back, and Alice hangs
up. Here the caller is Alice and the callee is Bob, but it is call-api that holds, for a client: the
callee's phone has no part in it. It goes on sending, so the caller may hear what the callee says or
plays; the caller's phone sends nothing. The RFC's phones speak TLS, here it is UDP.";

const RFC_5359_2_1: &[Row] = &[
    Row {
        rfc: &[1, 2],
        ours: &[1, 3],
        why: "Two dialogs that share a Call-ID, for call-api is a back-to-back user agent: so it can \
              send requests of its own in each.",
    },
    Row { rfc: &[3], ours: &[2], why: "" },
    Row { rfc: &[], ours: &[4], why: "The callee's own, which the RFC leaves out." },
    Row { rfc: &[4, 5], ours: &[5, 6], why: "" },
    Row { rfc: &[6, 7], ours: &[7, 9], why: "" },
    Row { rfc: &[8, 9], ours: &[8, 10], why: "One in each dialog; neither waits for the other." },
    Row { rfc: &[10], ours: &[], why: "The client's CallHold stands for it." },
    Row {
        rfc: &[11],
        ours: &[11],
        why: "The callee's description as the caller has it: a=sendonly, and a version one higher in \
              the o= line, which stays the callee's. Not `+sip.rendering=\"no\"` in Contact: it says \
              that a user agent plays nothing (RFC 4235 §5.2), and call-api cannot say that of \
              the callee's.",
    },
    Row { rfc: &[], ours: &[12, 16], why: "The phone's own, which the RFC leaves out." },
    Row {
        rfc: &[12],
        ours: &[13],
        why: "CALL_HOLD. Until this answer the caller does not count as held.",
    },
    Row {
        rfc: &[13],
        ours: &[],
        why: "The callee asked for nothing, and is not told that nothing comes.",
    },
    Row { rfc: &[14], ours: &[], why: "As for F13." },
    Row { rfc: &[15], ours: &[14], why: "" },
    Row { rfc: &[16], ours: &[], why: "The client's CallUnHold stands for it." },
    Row {
        rfc: &[17],
        ours: &[15],
        why: "The callee's description again, with another version and the direction it had.",
    },
    Row { rfc: &[18], ours: &[17], why: "CALL_UNHOLD." },
    Row {
        rfc: &[19],
        ours: &[],
        why: "What the caller's phone said while it was held was passed on as if it still \
              sent, so the callee's phone has nothing to take back.",
    },
    Row { rfc: &[20], ours: &[], why: "As for F19." },
    Row { rfc: &[21], ours: &[18], why: "" },
    Row { rfc: &[22, 23], ours: &[19, 21], why: "" },
    Row { rfc: &[24, 25], ours: &[20, 22], why: "Each dialog answers for itself." },
];

const HOLD_BOTH: &str = "\
Hold of both parties: CallHold (RFC 5359 §2.1)
==============================================

Without a leg both parties are held, at once and each for itself, as in the hold of one party (see
hold.txt): each phone is asked to send nothing, so nothing flows. `Ended` comes when both agreed. What is
before and after the hold is left out.";

const RFC_5359_2_1_HOLD: &[Row] = &[
    Row {
        rfc: &[11],
        ours: &[1, 2],
        why: "To each party, with the other's description and a=sendonly. Not a=inactive: RFC 3264 \
              §8.4 holds each direction for itself, and what was recvonly becomes inactive.",
    },
    Row { rfc: &[], ours: &[3, 5], why: "The phones' own, which the RFC leaves out." },
    Row { rfc: &[12], ours: &[4, 6], why: "CALL_HOLD for each." },
    Row { rfc: &[15], ours: &[7, 8], why: "" },
    Row {
        rfc: &[10, 13, 14],
        ours: &[],
        why: "What passes between Bob and the proxy is the client's command here.",
    },
];

const UNHOLD: &str = "\
The end of both holds: CallUnHold (RFC 5359 §2.1)
=================================================

Each phone gets the description that it had, so media flows again as before. What is before F16 and after
F21 is left out.";

const RFC_5359_2_1_UNHOLD: &[Row] = &[
    Row {
        rfc: &[17],
        ours: &[1, 2],
        why: "To each party, with the direction that the other's description has itself: when a \
              phone's user holds as well, that stays.",
    },
    Row { rfc: &[], ours: &[3, 5], why: "The phones' own, which the RFC leaves out." },
    Row { rfc: &[18], ours: &[4, 6], why: "CALL_UNHOLD for each." },
    Row { rfc: &[21], ours: &[7, 8], why: "" },
    Row {
        rfc: &[16, 19, 20],
        ours: &[],
        why: "What passes between Bob and the proxy is the client's command here.",
    },
];

const HOLD_REFUSED: &str = "\
A hold that one party refuses (RFC 3264 §8, RFC 3261 §14.1)
===========================================================

A command holds all it was asked to, or nobody. RFC 5359 shows no refusal; the rules are those of
offer and answer: a refused offer leaves the session as it was.";

const RFC_3264_8: &[Row] = &[
    Row { rfc: &[1], ours: &[1, 2], why: "" },
    Row { rfc: &[], ours: &[3, 5, 10], why: "The phones' own." },
    Row { rfc: &[], ours: &[4, 7], why: "The caller is on hold: CALL_HOLD." },
    Row { rfc: &[2, 3], ours: &[6, 8], why: "The callee stays as it was." },
    Row {
        rfc: &[],
        ours: &[9, 11, 12],
        why: "The caller is asked back: CALL_UNHOLD. Then the error is told, and it is the callee's.",
    },
];

const CONSULTATION_HOLD: &str = "\
Consultation hold: CallHold, and a call meanwhile (RFC 5359 §2.2)
=================================================================

In the RFC Alice calls Bob, who holds her, calls Carol, comes back and goes on. Here the caller is Alice,
the callee Bob and the target Carol. A client holds the caller, Bob's phone calls Carol, a client ends
that call and takes the caller back. The RFC's proxy is call-api. F1 to F9, the first call, are left out.";

const RFC_5359_2_2: &[Row] = &[
    Row { rfc: &[10], ours: &[], why: "The client's CallHold stands for it." },
    Row { rfc: &[11], ours: &[1], why: "As in hold.txt." },
    Row { rfc: &[], ours: &[2, 20], why: "The phone's own, which the RFC leaves out." },
    Row { rfc: &[12], ours: &[3], why: "CALL_HOLD." },
    Row {
        rfc: &[13, 14],
        ours: &[],
        why: "Between Bob and the proxy, where the client's command is here.",
    },
    Row { rfc: &[15], ours: &[4], why: "" },
    Row { rfc: &[16, 17], ours: &[5, 7], why: "" },
    Row { rfc: &[18], ours: &[6], why: "" },
    Row { rfc: &[], ours: &[8], why: "Carol's own." },
    Row { rfc: &[19, 20], ours: &[9, 10], why: "" },
    Row { rfc: &[21, 22], ours: &[11, 13], why: "" },
    Row { rfc: &[23, 24], ours: &[12, 14], why: "One in each dialog." },
    Row { rfc: &[25, 26], ours: &[15, 16], why: "The client's CallEnd: call-api says it to both." },
    Row { rfc: &[27, 28], ours: &[17, 18], why: "" },
    Row { rfc: &[29], ours: &[], why: "The client's CallUnHold stands for it." },
    Row { rfc: &[30], ours: &[19], why: "" },
    Row { rfc: &[31], ours: &[21], why: "CALL_UNHOLD." },
    Row { rfc: &[32, 33], ours: &[], why: "Between Bob and the proxy." },
    Row { rfc: &[34], ours: &[22], why: "" },
    Row { rfc: &[35, 36], ours: &[23, 25], why: "" },
    Row { rfc: &[37, 38], ours: &[24, 26], why: "Each dialog answers for itself." },
];
