//! The pages of what phones do by themselves: register, fork, redirect, die, and make sure of what they say.

use engine::Side;
use expect_test::expect_file;

use super::figures;
use super::page::{self, Row};
use crate::call_hold::{established, held};
use crate::fork::bob_has_two_phones;
use crate::pickup::{pick_up, ringing};
use crate::redirect::moves;
use crate::register::with_passwords;
use crate::reliable::reliable;
use crate::session::{is_to, timed};
use crate::transfer_by_phone::ENGINE;
use crate::world::{CALLEE, CALLER, OTHER, latency};
use crate::{after, losing, play, play_in};

#[test]
fn a_register_with_a_challenge_is_rfc_3261_24_1_and_22() {
    let world = play_in(with_passwords(), |w| {
        w.register(CALLER, 60);
        w.run_until(30_000);
        w.register(CALLER, 0);
    });
    let file = expect_file!["../../../../../docs/flows/register.txt"];
    page::check(&world, REGISTER, figures::RFC_3261_24_1, RFC_3261_24_1, &file);
}

#[test]
fn a_call_to_a_user_with_two_phones_is_rfc_3261_16_7() {
    let mut page = None;
    play(|w| {
        bob_has_two_phones(w);
        w.phones[CALLEE].behaviour.answer = after(4000);
        w.phones[OTHER].behaviour.answer = after(2000);
        w.draw_from_here();
        let bob = w.phones[CALLEE].aor();
        w.dial(CALLER, &bob);
        w.run_until(10_000);
        page = Some(w.ladder.to_string());
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/fork.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, FORK, figures::RFC_3261_16_7, RFC_3261_16_7, &file);
}

#[test]
fn a_call_that_is_sent_elsewhere_is_rfc_3261_8_1_3_4() {
    let mut page = None;
    play(|w| {
        w.show_other("other");
        moves(w, "<sip:cindy@127.0.0.1:5073>");
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(5000);
        page = Some(w.ladder.to_string());
        w.hang_up(OTHER);
    });
    let file = expect_file!["../../../../../docs/flows/redirect.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, REDIRECT, figures::RFC_3261_8_1_3_4, RFC_3261_8_1_3_4, &file);
}

#[test]
fn a_phone_that_is_gone_is_noticed_by_rfc_4028() {
    let mut page = None;
    play_in(timed(), |w| {
        w.talk();
        w.run_until(10_000);
        w.draw_from_here();
        w.network = losing(|from, message| from == 2 || is_to(message, "sip:bob"));
        w.run_until(932_400);
        page = Some(w.ladder.to_string());
        w.run_until(1_000_000);
        w.network = latency(0);
        w.hang_up(CALLEE);
    });
    let file = expect_file!["../../../../../docs/flows/session_timer.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, TIMER, figures::RFC_4028_10, RFC_4028_10, &file);
}

#[test]
fn ringing_that_arrives_is_rfc_3262() {
    let mut page = None;
    play(|w| {
        reliable(w);
        w.phones[CALLEE].behaviour.early_media = true;
        let callee = w.phones[CALLEE].uri();
        w.dial(CALLER, &callee);
        w.run_until(5000);
        page = Some(w.ladder.to_string());
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/prack.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, PRACK, figures::RFC_3262_3, RFC_3262_3, &file);
}

#[test]
fn a_hold_that_crosses_a_phones_own_is_rfc_3261_14() {
    let mut page = None;
    play(|w| {
        let call = established(w);
        w.network = latency(30);
        w.hold(CALLER, true);
        w.call_hold(&call, Some(Side::Caller), true);
        w.run_until(20_000);
        assert!(held(w, &call).0);
        page = Some(w.ladder.to_string());
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/hold_glare.txt"];
    let page = page.unwrap_or_default();
    page::check_ladder(&page, GLARE, figures::RFC_3261_14_GLARE, RFC_3261_14_GLARE, &file);
}

#[test]
fn an_invite_that_replaces_nothing_is_refused_by_rfc_3891_3() {
    let world = play(|w| {
        w.show_other("other");
        w.dial_replacing(OTHER, ENGINE, "nobody@nowhere;to-tag=1;from-tag=2");
    });
    let file = expect_file!["../../../../../docs/flows/invite_with_replaces_refused.txt"];
    page::check(&world, NOTHING, figures::RFC_3891_3_REFUSED, RFC_3891_3_REFUSED, &file);
}

#[test]
fn a_call_that_is_picked_up_is_rfc_5359_2_16() {
    let world = play(|w| {
        w.show_other("picks up");
        ringing(w);
        pick_up(w, OTHER, CALLEE);
        w.run_until(3000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/pickup.txt"];
    page::check(&world, PICKUP, figures::RFC_5359_2_16, RFC_5359_2_16, &file);
}

const REGISTER: &str = "\
A phone registers with its password (RFC 3261 §24.1, §22)
=========================================================

The RFC's figure leaves the challenge out and says so; it is put in here by the rules of §22.2. Bob's phone is
the caller's, whose user is alice; the registrar is call-api. At the end the phone takes its registration back.";

const RFC_3261_24_1: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row {
        rfc: &[2],
        ours: &[2],
        why: "A challenge for each hash that the user has, the strongest first (RFC 8760 §2.3).",
    },
    Row {
        rfc: &[3],
        ours: &[3],
        why: "With the same Call-ID, the next CSeq and the answer to the challenge.",
    },
    Row { rfc: &[4], ours: &[4], why: "" },
    Row {
        rfc: &[],
        ours: &[5, 6, 7, 8],
        why: "With `Expires: 0` the same way. The RFC's figure ends before.",
    },
];

const FORK: &str = "\
A call to a user with two phones (RFC 3261 §16.7)
=================================================

The RFC has rules for a proxy that forks; call-api is a back-to-back user agent and does for its caller what they
ask for. Both phones ring, one answers. The call that follows is left out.";

const RFC_3261_16_7: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[], ours: &[2, 5, 7], why: "Each hop's own." },
    Row { rfc: &[2, 3], ours: &[3, 4], why: "To all at once, each a dialog of its own." },
    Row { rfc: &[4, 5, 6], ours: &[6, 8, 9, 10], why: "The caller is told of each." },
    Row { rfc: &[7, 8], ours: &[11, 14], why: "" },
    Row {
        rfc: &[9],
        ours: &[12, 17],
        why: "One in each dialog; the phone's does not wait for the caller's.",
    },
    Row {
        rfc: &[10],
        ours: &[13],
        why: "Reason says that the call was completed elsewhere (RFC 3326), so that the phone shows no missed call.",
    },
    Row { rfc: &[11], ours: &[15], why: "" },
    Row { rfc: &[12], ours: &[16], why: "" },
    Row { rfc: &[13], ours: &[18], why: "" },
];

const REDIRECT: &str = "\
A call that a phone sends elsewhere (RFC 3261 §8.1.3.4)
=======================================================

call-api follows a 3xx itself, so that the caller need not and the call stays with it; with `sip.redirects: pass`
it hands the answer on instead. UAC is call-api. The end of the call is left out.";

const RFC_3261_8_1_3_4: &[Row] = &[
    Row { rfc: &[], ours: &[1, 2], why: "The call of the phone that is carried out here." },
    Row { rfc: &[1], ours: &[3], why: "" },
    Row {
        rfc: &[],
        ours: &[4, 5, 6, 10, 11, 12],
        why: "It rings here and there, and the caller hears both.",
    },
    Row { rfc: &[2], ours: &[7], why: "" },
    Row { rfc: &[3], ours: &[8], why: "" },
    Row { rfc: &[4], ours: &[9], why: "To the first address of its Contact, a dialog of its own." },
    Row { rfc: &[5], ours: &[13, 15], why: "" },
    Row { rfc: &[6], ours: &[14, 16], why: "One in each dialog." },
];

const TIMER: &str = "\
A phone that is gone during a call (RFC 4028 §10)
=================================================

Of a session of 30 minutes half has gone by, and call-api asks both phones whether they are there. The callee's
has lost its network: the crosses are what does not arrive. The call before is left out, and so is what repeats the
last BYE.";

const RFC_4028_10: &[Row] = &[
    Row {
        rfc: &[1],
        ours: &[1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        why: "Repeated by timer E until 32 seconds are over (RFC 3261 §17.1.2.2). UPDATE rather than a re-INVITE (§7.4): it needs no description.",
    },
    Row { rfc: &[], ours: &[2, 3], why: "The caller's phone is there." },
    Row {
        rfc: &[2],
        ours: &[14],
        why: "As after a 408 (RFC 3261 §12.2.1.2). It may reach a phone that hears and cannot be heard.",
    },
    Row {
        rfc: &[],
        ours: &[15, 16],
        why: "Nobody is left to talk to: the other phone is released at once.",
    },
];

const PRACK: &str = "\
Ringing that is sure to arrive (RFC 3262)
=========================================

Both phones know 100rel, and the callee's sends media before it is answered. Its answer is in the 183. A reliable
answer is acknowledged hop by hop (docs/decisions/0008): UAC and UAS are the caller and call-api, and call-api and
the callee. The end of the call is left out.";

const RFC_3262_3: &[Row] = &[
    Row { rfc: &[1], ours: &[1, 3], why: "" },
    Row { rfc: &[], ours: &[2, 4], why: "Each hop's own." },
    Row {
        rfc: &[],
        ours: &[5, 6, 7, 8, 10, 12],
        why: "The same with a 180 first. call-api acknowledges it at once and does not wait for the caller.",
    },
    Row {
        rfc: &[2],
        ours: &[9, 13],
        why: "To the caller only after it has acknowledged the 180: one at a time (§3).",
    },
    Row { rfc: &[3], ours: &[11, 15], why: "" },
    Row { rfc: &[4], ours: &[14, 16], why: "" },
    Row {
        rfc: &[5],
        ours: &[17, 19],
        why: "The caller's has the answer of the 183 once more, the same. RFC 6337 §3.1.1 would leave it out; a phone that has it ignores it (RFC 3261 §13.2.1).",
    },
    Row { rfc: &[6], ours: &[18, 20], why: "" },
];

const GLARE: &str = "\
A hold that crosses a phone's own (RFC 3261 §14)
================================================

The caller's user and a client hold at the same moment, and the two offers pass each other on a way of 30 ms. Each
side refuses, and tries again after a time that depends on who made the Call-ID. That was the caller's phone, so
call-api's turn comes first. The end of the call is left out.";

const RFC_3261_14_GLARE: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[2], ours: &[2], why: "" },
    Row { rfc: &[3], ours: &[3], why: "" },
    Row { rfc: &[4], ours: &[4], why: "" },
    Row { rfc: &[5], ours: &[5], why: "" },
    Row { rfc: &[6], ours: &[6], why: "" },
    Row { rfc: &[7], ours: &[7], why: "" },
    Row { rfc: &[], ours: &[8, 12, 14], why: "Each hop's own." },
    Row { rfc: &[8], ours: &[9], why: "" },
    Row { rfc: &[9], ours: &[10], why: "CALL_HOLD." },
    Row {
        rfc: &[10, 11, 12],
        ours: &[11, 13, 15, 16, 17, 18],
        why: "Passed on to the callee, whose 200 is passed back: inactive for the caller, because it is on hold as well.",
    },
];

const NOTHING: &str = "\
INVITE with Replaces that names no call (RFC 3891 §3)
=====================================================

The call that is to be replaced is over, or never was.";

const RFC_3891_3_REFUSED: &[Row] = &[
    Row { rfc: &[1], ours: &[1], why: "" },
    Row { rfc: &[], ours: &[2], why: "Each hop's own." },
    Row { rfc: &[2], ours: &[3], why: "" },
    Row { rfc: &[3], ours: &[4], why: "" },
];

const PICKUP: &str = "\
Call pickup: an INVITE with Replaces for a phone that rings (RFC 5359 §2.16)
===========================================================================

Alice is the caller, Bob the callee, and Bill picks up. In the RFC he calls Alice, whose phone has called Bob's. Here
call-api has, so it is call-api that his Replaces header leads to. F3 to F6, by which he learns of Bob's dialog, go between the
two phones and are left out. At the end Alice hangs up.";

const RFC_5359_2_16: &[Row] = &[
    Row { rfc: &[1], ours: &[1, 3], why: "" },
    Row { rfc: &[], ours: &[2, 4, 8, 12], why: "Each hop's own." },
    Row { rfc: &[2], ours: &[5, 6], why: "" },
    Row {
        rfc: &[7],
        ours: &[7],
        why: "Bill must be one who may call. 481 when there is no such dialog, or its phone was not called from here; \
              491 when somebody else is picking up; 488 when neither he nor Alice has made an offer.",
    },
    Row {
        rfc: &[8],
        ours: &[9],
        why: "Alice and Bill have both made an offer. So he has an answer in which nothing flows, until he has hers.",
    },
    Row { rfc: &[13], ours: &[10], why: "As the 200 comes before the CANCEL, so does its ACK." },
    Row {
        rfc: &[],
        ours: &[11, 13, 14],
        why: "Alice's offer, and his answer. If he does not take it, he is hung up, and Bob's phone rings on.",
    },
    Row { rfc: &[9], ours: &[15], why: "" },
    Row { rfc: &[], ours: &[16, 19], why: "Alice's phone learns of nothing but Bill's answer." },
    Row { rfc: &[10], ours: &[17], why: "" },
    Row { rfc: &[11], ours: &[18], why: "" },
    Row { rfc: &[12], ours: &[20], why: "" },
    Row { rfc: &[14], ours: &[21, 23], why: "" },
    Row { rfc: &[15], ours: &[22, 24], why: "" },
];
