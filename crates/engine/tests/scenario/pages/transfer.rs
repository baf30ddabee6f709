//! The pages of transfers.

use engine::{Mode, Side};
use expect_test::expect_file;

use super::figures;
use super::page::{self, Row};
use crate::transfer_attended::consulting;
use crate::transfer_blind::{TRANSFER, established};
use crate::world::{CALLEE, CALLER, OTHER};
use crate::{play, refuse, steps};

#[test]
fn a_blind_transfer_by_refer_is_rfc_5359_2_4() {
    let world = play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(5000);
        w.hang_up(OTHER);
    });
    assert_eq!(steps(&world), TRANSFER);
    let file = expect_file!["../../../../../docs/flows/blind_transfer.txt"];
    page::check(&world, BLIND, figures::RFC_5359_2_4, RFC_5359_2_4, &file);
}

#[test]
fn a_blind_transfer_by_bridge_is_rfc_3725_4_4() {
    let world = play(|w| {
        let call = established(w);
        w.blind(&call, Side::Callee, OTHER, Mode::Bridge);
        w.run_until(5000);
        w.hang_up(OTHER);
    });
    assert_eq!(steps(&world), TRANSFER);
    let file = expect_file!["../../../../../docs/flows/blind_transfer_bridge.txt"];
    page::check(&world, BLIND_BRIDGE, figures::RFC_3725_4_4, RFC_3725_4_4_BLIND, &file);
}

#[test]
fn a_blind_transfer_to_a_busy_target_is_rfc_5589_6_3_1() {
    let world = play(|w| {
        let call = established(w);
        w.phones[OTHER].behaviour.answer = refuse(486);
        w.blind(&call, Side::Callee, OTHER, Mode::Refer);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/blind_transfer_busy.txt"];
    page::check(&world, BLIND_BUSY, figures::RFC_5589_6_3_1, RFC_5589_6_3_1, &file);
}

#[test]
fn an_attended_transfer_by_refer_is_rfc_5359_2_5() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Refer);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), TRANSFER);
    let file = expect_file!["../../../../../docs/flows/attended_transfer.txt"];
    page::check(&world, ATTENDED, figures::RFC_5359_2_5, RFC_5359_2_5, &file);
}

#[test]
fn an_attended_transfer_by_bridge_is_rfc_3725_4_4() {
    let world = play(|w| {
        let (first, second) = consulting(w);
        w.attended((&first, Side::Caller), (&second, Side::Callee), Mode::Bridge);
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    assert_eq!(steps(&world), TRANSFER);
    let file = expect_file!["../../../../../docs/flows/attended_transfer_bridge.txt"];
    page::check(&world, ATTENDED_BRIDGE, figures::RFC_3725_4_4, RFC_3725_4_4_ATTENDED, &file);
}

#[test]
fn a_refer_from_a_phone_is_rfc_5589_6_1() {
    let world = play(|w| {
        established(w);
        w.refer(CALLER, w.call_of(CALLER), OTHER, None);
        w.run_until(5000);
        w.hang_up(OTHER);
    });
    let file = expect_file!["../../../../../docs/flows/phone_transfers.txt"];
    page::check(&world, BY_PHONE, figures::RFC_5589_6_1, RFC_5589_6_1, &file);
}

#[test]
fn a_refer_with_replaces_from_a_phone_is_rfc_5589_7_3() {
    let world = play(|w| {
        consulting(w);
        let [first, second] = crate::transfer_by_phone::bobs(w);
        w.refer(CALLEE, first, OTHER, Some(second));
        w.run_until(5000);
        w.hang_up(CALLER);
    });
    let file = expect_file!["../../../../../docs/flows/phone_transfers_attended.txt"];
    page::check(&world, BY_PHONE_ATTENDED, figures::RFC_5589_7_3, RFC_5589_7_3, &file);
}

#[test]
fn an_invite_with_replaces_is_rfc_3891_1() {
    let world = play(|w| {
        let call = established(w);
        let replaces = w.phones[CALLEE].replaces(w.call_of(CALLEE)).expect("a call");
        w.dial_replacing(OTHER, "sip:127.0.0.1:5060", &replaces);
        w.run_until(5000);
        w.end(&call);
    });
    let file = expect_file!["../../../../../docs/flows/invite_with_replaces.txt"];
    page::check(&world, REPLACES, figures::RFC_3891_3, RFC_3891_3, &file);
}

const BLIND: &str = "\
Blind transfer: CallBlindTransfer with REFER (RFC 5359 §2.4)
============================================================

In the RFC Bob has called Alice, and she sends him to Carol: her phone asks his by REFER. Here a client
sends the callee to the target, so the callee is Bob, the caller Alice and the target Carol, and it is
call-api that asks. The old call stands until the new one is answered. At the end the target hangs up.

The RFC's phones speak TLS, here it is UDP. call-api stays in both calls, as a back-to-back user agent:
each message of the new call appears twice. F1 to F4, the first call, are left out.";

const RFC_5359_2_4: &[Row] = &[
    Row {
        rfc: &[5],
        ours: &[1],
        why: "From call-api, for the client. Refer-To is not Carol but a URI of call-api that works \
              once, so that the new call comes by here. Referred-By names the caller.",
    },
    Row { rfc: &[6], ours: &[2], why: "TRANSFER_ACCEPT." },
    Row { rfc: &[7], ours: &[3], why: "" },
    Row { rfc: &[8], ours: &[4], why: "" },
    Row {
        rfc: &[9],
        ours: &[18, 19],
        why: "In the RFC the transferor leaves at once, whatever becomes of the transfer. Here both \
              parties keep their call until the new one is answered: if it is not, they talk on.",
    },
    Row { rfc: &[10], ours: &[21, 22], why: "Ended." },
    Row {
        rfc: &[11],
        ours: &[5, 7],
        why: "CALL_START. From the phone to the one-time URI, and from call-api to the target, with \
              the phone's offer and Call-ID. Referred-By is written by call-api, for not every phone \
              copies it.",
    },
    Row { rfc: &[], ours: &[6, 8], why: "Each hop's own (RFC 3261 §8.2.6.1)." },
    Row { rfc: &[12], ours: &[9, 10], why: "" },
    Row {
        rfc: &[],
        ours: &[11, 12],
        why: "What rings is reported too; the RFC's phone reports the outcome only (RFC 3515 §2.4.5).",
    },
    Row { rfc: &[13], ours: &[13, 15], why: "" },
    Row { rfc: &[14], ours: &[14, 16], why: "" },
    Row {
        rfc: &[15],
        ours: &[17],
        why: "Of no consequence: that the new call is answered, call-api sees itself, so a phone that \
              reports nothing does no harm. In the RFC it comes after the BYE, here it may cross it.",
    },
    Row { rfc: &[16], ours: &[20], why: "" },
    Row {
        rfc: &[],
        ours: &[23, 24, 25, 26],
        why: "The target hangs up, and call-api passes that on. The RFC's figure ends before.",
    },
];

const BLIND_BRIDGE: &str = "\
Blind transfer: CallBlindTransfer without REFER (RFC 3725 §4.4, flow IV)
========================================================================

The party's phone needs nothing but re-INVITE, and learns of nothing before the target has answered.
The RFC's controller is call-api; its A is the callee, which is in a call already, and its B the
target. `mode: auto` comes here when the phone does not take a REFER, or takes it and then does nothing.
At the end the target hangs up.

Messages (1) to (3), which set up the first dialog, are left out: it is there. The RFC leaves out what is
provisional.";

const RFC_3725_4_4_BLIND: &[Row] = &[
    Row {
        rfc: &[4],
        ours: &[1],
        why: "TRANSFER_ACCEPT and CALL_START. With the Call-ID of the call, which goes on under that \
              name; From is the callee, Referred-By the caller.",
    },
    Row { rfc: &[], ours: &[2, 3, 6], why: "The phones' own." },
    Row { rfc: &[5], ours: &[4], why: "" },
    Row {
        rfc: &[6],
        ours: &[5],
        why: "The target's offer, in the session that the callee has: with its o= line and the next \
              version, and with the media sections where they were (RFC 3264 §8).",
    },
    Row { rfc: &[7], ours: &[7], why: "" },
    Row { rfc: &[8], ours: &[9], why: "In the order of the target's offer." },
    Row { rfc: &[9], ours: &[8], why: "" },
    Row {
        rfc: &[],
        ours: &[10, 11],
        why: "The two talk, so the caller is released: Ended. The RFC has no third party.",
    },
    Row {
        rfc: &[],
        ours: &[12, 13, 14, 15],
        why: "The target hangs up, and call-api passes that on.",
    },
];

const BLIND_BUSY: &str = "\
A blind transfer to somebody who is busy (RFC 5589 §6.3.1)
==========================================================

In the RFC the transferor puts the transferee on hold, and takes it back when it is told that the
target is busy. Here the transferor is the caller, the transferee the callee. Nobody was put on hold,
so nothing has to be taken back: the two talk on, and the client is told whose fault it was. At the end
the caller hangs up. The call that is transferred is left out.";

const RFC_5589_6_3_1: &[Row] = &[
    Row { rfc: &[4, 5, 6], ours: &[], why: "A client that wants that sends CallHold." },
    Row {
        rfc: &[7],
        ours: &[1],
        why: "From call-api, inside the dialog and so without Target-Dialog.",
    },
    Row { rfc: &[8], ours: &[2], why: "" },
    Row { rfc: &[9], ours: &[3], why: "" },
    Row { rfc: &[10], ours: &[4], why: "" },
    Row { rfc: &[11], ours: &[5, 7], why: "" },
    Row { rfc: &[], ours: &[6, 8], why: "Each hop's own." },
    Row {
        rfc: &[],
        ours: &[9, 10, 11, 12],
        why: "The target rings before it says that it is busy. The RFC's does not.",
    },
    Row { rfc: &[12], ours: &[13, 15], why: "The error of the command, at once." },
    Row { rfc: &[13], ours: &[14, 16], why: "" },
    Row {
        rfc: &[14],
        ours: &[17],
        why: "It tells call-api nothing new; its 200 lets the phone end its subscription.",
    },
    Row { rfc: &[15], ours: &[18], why: "" },
    Row { rfc: &[16, 17, 18], ours: &[], why: "Nobody was put on hold." },
    Row { rfc: &[19], ours: &[19, 21], why: "" },
    Row { rfc: &[20], ours: &[20, 22], why: "" },
];

const ATTENDED: &str = "\
Attended transfer: CallAttendedTransfer with REFER and Replaces (RFC 5359 §2.5)
===============================================================================

In the RFC Alice talks to Bob, who calls Carol and then connects the two: his phone sends hers a REFER
whose Refer-To replaces his dialog with Carol. Here the caller is Alice, the callee Bob and the target
Carol; a client connects them, and call-api asks. At the end the caller hangs up.

The RFC's phones speak TLS, here it is UDP. call-api stays in all calls, as a back-to-back user agent.
F1 to F14, the two calls and their holds, are left out; a party that is on hold is not after this.";

const RFC_5359_2_5: &[Row] = &[
    Row {
        rfc: &[15],
        ours: &[1],
        why: "Refer-To is a URI of call-api that works once, with a Replaces header as in the RFC. \
              Referred-By is Bob.",
    },
    Row { rfc: &[16], ours: &[2], why: "TRANSFER_ACCEPT." },
    Row { rfc: &[17], ours: &[3], why: "" },
    Row { rfc: &[18], ours: &[4], why: "" },
    Row {
        rfc: &[19],
        ours: &[5, 7],
        why: "CALL_START. call-api calls Carol's phone at its Contact, and writes the Replaces \
              itself: that of Carol's dialog with call-api. `Require: replaces`, so that no phone \
              takes it for a call like any other (RFC 5589 §7.3).",
    },
    Row { rfc: &[], ours: &[6, 8], why: "Each hop's own." },
    Row { rfc: &[20], ours: &[9, 12], why: "" },
    Row { rfc: &[21], ours: &[11, 14], why: "" },
    Row {
        rfc: &[22],
        ours: &[10, 18],
        why: "Carol's phone leaves the replaced dialog. Bob's side of it goes as soon as the two talk, \
              and not before: had Carol's phone said no, Bob would still be in a call with her.",
    },
    Row { rfc: &[23], ours: &[13, 22], why: "" },
    Row { rfc: &[24], ours: &[15], why: "Of no consequence, as in blind_transfer.txt." },
    Row { rfc: &[25], ours: &[19], why: "" },
    Row { rfc: &[26], ours: &[16, 17], why: "To both parties of the first call." },
    Row { rfc: &[27], ours: &[20, 21], why: "Ended." },
    Row {
        rfc: &[],
        ours: &[23, 24, 25, 26],
        why: "The caller hangs up, and call-api passes that on. The RFC's figure ends before.",
    },
];

const ATTENDED_BRIDGE: &str = "\
Attended transfer: CallAttendedTransfer without Replaces (RFC 3725 §4.4, flow IV)
=================================================================================

For phones that know no Replaces: the two parties that remain keep their dialogs, and call-api brings
their media together by re-INVITE. The RFC's controller is call-api; its A is the caller of the first
call, its B the target of the second. `mode: auto` comes here when one of the two phones cannot do it, or
will not. At the end the caller hangs up.

Messages (1) to (3), which set up a dialog, are left out: it is there, and so is the one of (4). The RFC
leaves out what is provisional.";

const RFC_3725_4_4_ATTENDED: &[Row] = &[
    Row {
        rfc: &[4],
        ours: &[1],
        why: "A re-INVITE, for B is in a dialog already. TRANSFER_ACCEPT and CALL_START.",
    },
    Row { rfc: &[], ours: &[2, 5], why: "The phones' own." },
    Row { rfc: &[5], ours: &[3], why: "" },
    Row {
        rfc: &[6],
        ours: &[4],
        why: "In the session that A has: its o= line with the next version, media sections where they \
              were.",
    },
    Row { rfc: &[7], ours: &[6], why: "" },
    Row { rfc: &[8], ours: &[8], why: "In the session that B has." },
    Row { rfc: &[9], ours: &[7], why: "" },
    Row {
        rfc: &[],
        ours: &[9, 10, 11, 12],
        why: "The two talk, so the one who connected them is released from both calls: Ended. The call \
              goes on under the Call-ID of the first; that of the second means it, too.",
    },
    Row {
        rfc: &[],
        ours: &[13, 14, 15, 16],
        why: "The caller hangs up, and call-api passes that on.",
    },
];

const BY_PHONE: &str = "\
A phone sends the other party elsewhere (RFC 5589 §6.1)
=======================================================

In the RFC the transferor's phone sends a REFER to the transferee's phone. Here both are in a call with
call-api: the transferor is the caller, the transferee the callee. call-api carries the REFER out itself,
as a CallBlindTransfer by bridge, so it does not matter what the transferee's phone can. It does so for
phones that may call through it, and answers 603 to others. At the end the target hangs up. The call that
is transferred is left out.";

const RFC_5589_6_1: &[Row] = &[
    Row {
        rfc: &[4, 5, 6],
        ours: &[],
        why: "Most phones do that first; this one does not, and nothing depends on it.",
    },
    Row {
        rfc: &[7],
        ours: &[1],
        why: "Inside the dialog: most phones send it there, and so it needs no Target-Dialog.",
    },
    Row { rfc: &[8], ours: &[2], why: "From call-api." },
    Row { rfc: &[9], ours: &[3], why: "" },
    Row { rfc: &[10], ours: &[5], why: "" },
    Row {
        rfc: &[11],
        ours: &[4],
        why: "From call-api in the transferee's name, without an offer, with Referred-By.",
    },
    Row { rfc: &[], ours: &[6, 7, 12], why: "The phones' own." },
    Row {
        rfc: &[],
        ours: &[8, 9],
        why: "A report for each provisional answer, as RFC 3515 §2.4.5 allows.",
    },
    Row { rfc: &[12], ours: &[10], why: "It carries the target's offer." },
    Row {
        rfc: &[],
        ours: &[11, 13, 14],
        why: "The transferee is asked to take that offer, in the dialog that it has.",
    },
    Row { rfc: &[13], ours: &[15], why: "With the transferee's answer." },
    Row { rfc: &[14], ours: &[16], why: "" },
    Row { rfc: &[15], ours: &[18], why: "" },
    Row {
        rfc: &[16],
        ours: &[17],
        why: "The other way round: its part of the call is over. A phone may hang up before that, as \
              many do after the 202; the transfer goes on all the same.",
    },
    Row { rfc: &[17], ours: &[19], why: "" },
    Row { rfc: &[18], ours: &[20, 22], why: "" },
    Row { rfc: &[19], ours: &[21, 23], why: "" },
];

const BY_PHONE_ATTENDED: &str = "\
A phone connects the parties of its two calls (RFC 5589 §7.3)
=============================================================

The transferor, here the callee of the first call, has called the target and sends a REFER with Replaces.
Its dialog with the target is one with call-api, which therefore knows both calls: it joins the two that
remain, as CallAttendedTransfer by bridge does, so neither of their phones needs Replaces. A Replaces
that names a dialog elsewhere goes into the INVITE to the target. At the end the caller hangs up. The two
calls are left out.";

const RFC_5589_7_3: &[Row] = &[
    Row {
        rfc: &[4, 5, 6, 10, 11, 12],
        ours: &[],
        why: "Most phones do that first; this one does not, and nothing depends on it.",
    },
    Row { rfc: &[13], ours: &[1], why: "" },
    Row { rfc: &[14], ours: &[2], why: "From call-api." },
    Row { rfc: &[15], ours: &[3], why: "" },
    Row { rfc: &[16], ours: &[5], why: "" },
    Row {
        rfc: &[17, 18, 19],
        ours: &[4, 7, 12],
        why: "A re-INVITE in the dialog that was to be replaced, for an offer; the answer goes into \
              the ACK.",
    },
    Row { rfc: &[], ours: &[6, 9], why: "The phones' own." },
    Row { rfc: &[], ours: &[8, 10, 11], why: "The transferee is asked to take that offer." },
    Row { rfc: &[20], ours: &[15], why: "From call-api, as soon as the two talk." },
    Row {
        rfc: &[21],
        ours: &[18],
        why: "After the NOTIFY of the outcome, which does not wait for it.",
    },
    Row { rfc: &[22], ours: &[13], why: "" },
    Row { rfc: &[23], ours: &[16], why: "" },
    Row { rfc: &[24], ours: &[14], why: "The other way round." },
    Row { rfc: &[25], ours: &[17], why: "" },
    Row { rfc: &[26], ours: &[19, 21], why: "The other of the two hangs up." },
    Row { rfc: &[27], ours: &[20, 22], why: "" },
];

const REPLACES: &str = "\
An INVITE with Replaces (RFC 3891 §3)
=====================================

Somebody calls with a Replaces header that names the callee's dialog with call-api, as a phone does that
was sent here by somebody else's transfer. The RFC has rules and no figure: the dialog that is named
must be there, and up; the new call is answered, and the old dialog ended by BYE. What the RFC leaves to
the user agent is where the media goes. At the end a client ends the call.";

const RFC_3891_3: &[Row] = &[
    Row {
        rfc: &[1],
        ours: &[1],
        why: "The caller must be one who may call. 481 when there is no such dialog; 486 to `early-only`; 491 while something else is done with the call.",
    },
    Row { rfc: &[], ours: &[2, 4], why: "Each hop's own." },
    Row {
        rfc: &[],
        ours: &[3, 5, 6],
        why: "The party that stays is asked first, with the new one's offer: if it refuses, so is the \
              INVITE, and the old call stands.",
    },
    Row { rfc: &[2], ours: &[7], why: "With its answer." },
    Row { rfc: &[3], ours: &[9], why: "" },
    Row { rfc: &[4], ours: &[8], why: "Sent with the 200, as the RFC asks." },
    Row { rfc: &[5], ours: &[10], why: "" },
    Row {
        rfc: &[],
        ours: &[11, 12, 13, 14],
        why: "The call goes on under its Call-ID, until it is ended.",
    },
];
