//! Figures of the RFCs, message by message, as far as a page stands beside them. Where an RFC has rules
//! and no figure, it is the messages that these rules ask for.

use super::page::{Figure, Said};

const fn said(
    name: &'static str,
    what: &'static str,
    from: &'static str,
    to: &'static str,
) -> Said {
    Said { name, what, from, to }
}

/// RFC 5359 §2.1, call hold.
pub(crate) const RFC_5359_2_1: Figure = &[
    said("F1", "INVITE", "Alice", "proxy"),
    said("F2", "INVITE", "proxy", "Bob"),
    said("F3", "100 Trying", "proxy", "Alice"),
    said("F4", "180 Ringing", "Bob", "proxy"),
    said("F5", "180 Ringing", "proxy", "Alice"),
    said("F6", "200 OK", "Bob", "proxy"),
    said("F7", "200 OK", "proxy", "Alice"),
    said("F8", "ACK", "Alice", "proxy"),
    said("F9", "ACK", "proxy", "Bob"),
    said("F10", "INVITE (hold)", "Bob", "proxy"),
    said("F11", "INVITE (hold)", "proxy", "Alice"),
    said("F12", "200 OK", "Alice", "proxy"),
    said("F13", "200 OK", "proxy", "Bob"),
    said("F14", "ACK", "Bob", "proxy"),
    said("F15", "ACK", "proxy", "Alice"),
    said("F16", "INVITE", "Bob", "proxy"),
    said("F17", "INVITE", "proxy", "Alice"),
    said("F18", "200 OK", "Alice", "proxy"),
    said("F19", "200 OK", "proxy", "Bob"),
    said("F20", "ACK", "Bob", "proxy"),
    said("F21", "ACK", "proxy", "Alice"),
    said("F22", "BYE", "Alice", "proxy"),
    said("F23", "BYE", "proxy", "Bob"),
    said("F24", "200 OK", "Bob", "proxy"),
    said("F25", "200 OK", "proxy", "Alice"),
];

/// RFC 5359 §2.2, consultation hold.
pub(crate) const RFC_5359_2_2: Figure = &[
    said("F1", "INVITE", "Alice", "proxy"),
    said("F2", "INVITE", "proxy", "Bob"),
    said("F3", "100 Trying", "proxy", "Alice"),
    said("F4", "180 Ringing", "Bob", "proxy"),
    said("F5", "180 Ringing", "proxy", "Alice"),
    said("F6", "200 OK", "Bob", "proxy"),
    said("F7", "200 OK", "proxy", "Alice"),
    said("F8", "ACK", "Alice", "proxy"),
    said("F9", "ACK", "proxy", "Bob"),
    said("F10", "INVITE (hold)", "Bob", "proxy"),
    said("F11", "INVITE (hold)", "proxy", "Alice"),
    said("F12", "200 OK", "Alice", "proxy"),
    said("F13", "200 OK", "proxy", "Bob"),
    said("F14", "ACK", "Bob", "proxy"),
    said("F15", "ACK", "proxy", "Alice"),
    said("F16", "INVITE", "Bob", "proxy"),
    said("F17", "INVITE", "proxy", "Carol"),
    said("F18", "100 Trying", "proxy", "Bob"),
    said("F19", "180 Ringing", "Carol", "proxy"),
    said("F20", "180 Ringing", "proxy", "Bob"),
    said("F21", "200 OK", "Carol", "proxy"),
    said("F22", "200 OK", "proxy", "Bob"),
    said("F23", "ACK", "Bob", "proxy"),
    said("F24", "ACK", "proxy", "Carol"),
    said("F25", "BYE", "Bob", "proxy"),
    said("F26", "BYE", "proxy", "Carol"),
    said("F27", "200 OK", "Carol", "proxy"),
    said("F28", "200 OK", "proxy", "Bob"),
    said("F29", "INVITE", "Bob", "proxy"),
    said("F30", "INVITE", "proxy", "Alice"),
    said("F31", "200 OK", "Alice", "proxy"),
    said("F32", "200 OK", "proxy", "Bob"),
    said("F33", "ACK", "Bob", "proxy"),
    said("F34", "ACK", "proxy", "Alice"),
    said("F35", "BYE", "Alice", "proxy"),
    said("F36", "BYE", "proxy", "Bob"),
    said("F37", "200 OK", "Bob", "proxy"),
    said("F38", "200 OK", "proxy", "Alice"),
];

/// RFC 5359 §2.4, unattended transfer.
pub(crate) const RFC_5359_2_4: Figure = &[
    said("F1", "INVITE", "Bob", "Alice"),
    said("F2", "180 Ringing", "Alice", "Bob"),
    said("F3", "200 OK", "Alice", "Bob"),
    said("F4", "ACK", "Bob", "Alice"),
    said("F5", "REFER", "Alice", "Bob"),
    said("F6", "202 Accepted", "Bob", "Alice"),
    said("F7", "NOTIFY", "Bob", "Alice"),
    said("F8", "200 OK", "Alice", "Bob"),
    said("F9", "BYE", "Alice", "Bob"),
    said("F10", "200 OK", "Bob", "Alice"),
    said("F11", "INVITE", "Bob", "Carol"),
    said("F12", "180 Ringing", "Carol", "Bob"),
    said("F13", "200 OK", "Carol", "Bob"),
    said("F14", "ACK", "Bob", "Carol"),
    said("F15", "NOTIFY", "Bob", "Alice"),
    said("F16", "200 OK", "Alice", "Bob"),
];

/// RFC 5359 §2.5, attended transfer.
pub(crate) const RFC_5359_2_5: Figure = &[
    said("F1", "INVITE", "Alice", "Bob"),
    said("F2", "180 Ringing", "Bob", "Alice"),
    said("F3", "200 OK", "Bob", "Alice"),
    said("F4", "ACK", "Alice", "Bob"),
    said("F5", "INVITE (hold)", "Bob", "Alice"),
    said("F6", "200 OK", "Alice", "Bob"),
    said("F7", "ACK", "Bob", "Alice"),
    said("F8", "INVITE", "Bob", "Carol"),
    said("F9", "180 Ringing", "Carol", "Bob"),
    said("F10", "200 OK", "Carol", "Bob"),
    said("F11", "ACK", "Bob", "Carol"),
    said("F12", "INVITE (hold)", "Bob", "Carol"),
    said("F13", "200 OK", "Carol", "Bob"),
    said("F14", "ACK", "Bob", "Carol"),
    said("F15", "REFER", "Bob", "Alice"),
    said("F16", "202 Accepted", "Alice", "Bob"),
    said("F17", "NOTIFY", "Alice", "Bob"),
    said("F18", "200 OK", "Bob", "Alice"),
    said("F19", "INVITE (Replaces)", "Alice", "Carol"),
    said("F20", "200 OK", "Carol", "Alice"),
    said("F21", "ACK", "Alice", "Carol"),
    said("F22", "BYE", "Carol", "Bob"),
    said("F23", "200 OK", "Bob", "Carol"),
    said("F24", "NOTIFY", "Alice", "Bob"),
    said("F25", "200 OK", "Bob", "Alice"),
    said("F26", "BYE", "Bob", "Alice"),
    said("F27", "200 OK", "Alice", "Bob"),
];

/// RFC 5359 §2.18, click to dial.
pub(crate) const RFC_5359_2_18: Figure = &[
    said("F1", "REFER", "PC", "Bob"),
    said("F2", "202 Accepted", "Bob", "PC"),
    said("F3", "INVITE", "Bob", "Carol"),
    said("F4", "180 Ringing", "Carol", "Bob"),
    said("F5", "200 OK", "Carol", "Bob"),
    said("F6", "ACK", "Bob", "Carol"),
];

/// RFC 5589 §6.1, basic transfer.
pub(crate) const RFC_5589_6_1: Figure = &[
    said("F1", "INVITE", "transferee", "transferor"),
    said("F2", "200 OK", "transferor", "transferee"),
    said("", "ACK", "transferee", "transferor"),
    said("", "INVITE (hold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("F3", "REFER", "transferor", "transferee"),
    said("", "202 Accepted", "transferee", "transferor"),
    said("F4", "NOTIFY (100 Trying)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("F5", "INVITE", "transferee", "target"),
    said("", "200 OK", "target", "transferee"),
    said("", "ACK", "transferee", "target"),
    said("F6", "NOTIFY (200 OK)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "BYE", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "BYE", "target", "transferee"),
    said("", "200 OK", "transferee", "target"),
];

/// RFC 5589 §6.3.1, target busy.
pub(crate) const RFC_5589_6_3_1: Figure = &[
    said("", "INVITE", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "ACK", "transferee", "transferor"),
    said("", "INVITE (hold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("", "REFER", "transferor", "transferee"),
    said("", "202 Accepted", "transferee", "transferor"),
    said("", "NOTIFY (100 Trying)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "INVITE", "transferee", "target"),
    said("", "486 Busy Here", "target", "transferee"),
    said("", "ACK", "transferee", "target"),
    said("", "NOTIFY (486 Busy Here)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "INVITE (unhold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("", "BYE", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
];

/// RFC 5589 §7.3, attended transfer.
pub(crate) const RFC_5589_7_3: Figure = &[
    said("F1", "INVITE", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "ACK", "transferee", "transferor"),
    said("", "INVITE (hold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("F3", "INVITE", "transferor", "target"),
    said("", "200 OK", "target", "transferor"),
    said("", "ACK", "transferor", "target"),
    said("", "INVITE (hold)", "transferor", "target"),
    said("", "200 OK", "target", "transferor"),
    said("", "ACK", "transferor", "target"),
    said("F5", "REFER", "transferor", "transferee"),
    said("", "202 Accepted", "transferee", "transferor"),
    said("", "NOTIFY (100 Trying)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("F6", "INVITE (Replaces)", "transferee", "target"),
    said("", "200 OK", "target", "transferee"),
    said("", "ACK", "transferee", "target"),
    said("", "BYE", "target", "transferor"),
    said("", "200 OK", "transferor", "target"),
    said("", "NOTIFY (200 OK)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "BYE", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "BYE", "target", "transferee"),
    said("", "200 OK", "transferee", "target"),
];

/// RFC 3725 §4.4, flow IV.
pub(crate) const RFC_3725_4_4: Figure = &[
    said("(1)", "INVITE (offer1, no media)", "controller", "A"),
    said("(2)", "200 OK (answer1, no media)", "A", "controller"),
    said("(3)", "ACK", "controller", "A"),
    said("(4)", "INVITE", "controller", "B"),
    said("(5)", "200 OK (offer2)", "B", "controller"),
    said("(6)", "INVITE (offer2')", "controller", "A"),
    said("(7)", "200 OK (answer2')", "A", "controller"),
    said("(8)", "ACK (answer2)", "controller", "B"),
    said("(9)", "ACK", "controller", "A"),
];

/// RFC 3261 §24.2, session setup.
pub(crate) const RFC_3261_24_2: Figure = &[
    said("F1", "INVITE", "Alice", "proxy 1"),
    said("F2", "100 Trying", "proxy 1", "Alice"),
    said("F3", "INVITE", "proxy 1", "proxy 2"),
    said("F4", "100 Trying", "proxy 2", "proxy 1"),
    said("F5", "INVITE", "proxy 2", "Bob"),
    said("F6", "180 Ringing", "Bob", "proxy 2"),
    said("F7", "180 Ringing", "proxy 2", "proxy 1"),
    said("F8", "180 Ringing", "proxy 1", "Alice"),
    said("F9", "200 OK", "Bob", "proxy 2"),
    said("F10", "200 OK", "proxy 2", "proxy 1"),
    said("F11", "200 OK", "proxy 1", "Alice"),
    said("F12", "ACK", "Alice", "Bob"),
    said("F13", "BYE", "Bob", "Alice"),
    said("F14", "200 OK", "Alice", "Bob"),
];

/// RFC 3261 §15, which has rules and no figure: whoever leaves a dialog.
pub(crate) const RFC_3261_15: Figure =
    &[said("§15.1.1", "BYE", "UA", "peer"), said("§15.1.2", "200 OK", "peer", "UA")];

/// RFC 3261 §9, which has rules and no figure: a caller that gives up.
pub(crate) const RFC_3261_9: Figure = &[
    said("§9.1", "CANCEL", "caller", "callee"),
    said("§9.2", "200 OK", "callee", "caller"),
    said("§9.2", "487 Request Terminated", "callee", "caller"),
    said("§17.1.1.3", "ACK", "caller", "callee"),
];

/// RFC 3264 §8, which has rules and no figure: an offer that is refused.
pub(crate) const RFC_3264_8: Figure = &[
    said("§8", "INVITE (offer)", "UA", "peer"),
    said("§8", "488 Not Acceptable Here", "peer", "UA"),
    said("RFC 3261 §17.1.1.3", "ACK", "UA", "peer"),
];

/// RFC 3891 §3, which has rules and no figure: an INVITE with Replaces.
pub(crate) const RFC_3891_3: Figure = &[
    said("§3", "INVITE (Replaces)", "caller", "UA"),
    said("§3", "200 OK", "UA", "caller"),
    said("RFC 3261 §13.2.2.4", "ACK", "caller", "UA"),
    said("§3", "BYE", "UA", "replaced"),
    said("RFC 3261 §15.1.2", "200 OK", "replaced", "UA"),
];

/// RFC 5359 §2.16, call pickup.
pub(crate) const RFC_5359_2_16: Figure = &[
    said("F1", "INVITE", "Alice", "Bob"),
    said("F2", "180 Ringing", "Bob", "Alice"),
    said("F3", "SUBSCRIBE", "Bill", "Bob"),
    said("F4", "200 OK", "Bob", "Bill"),
    said("F5", "NOTIFY", "Bob", "Bill"),
    said("F6", "200 OK", "Bill", "Bob"),
    said("F7", "INVITE (Replaces)", "Bill", "Alice"),
    said("F8", "200 OK", "Alice", "Bill"),
    said("F9", "CANCEL", "Alice", "Bob"),
    said("F10", "200 OK", "Bob", "Alice"),
    said("F11", "487 Request Terminated", "Bob", "Alice"),
    said("F12", "ACK", "Alice", "Bob"),
    said("F13", "ACK", "Bill", "Alice"),
    said("F14", "BYE", "Alice", "Bill"),
    said("F15", "200 OK", "Bill", "Alice"),
];

/// RFC 5589 §6.3.2, target does not answer.
pub(crate) const RFC_5589_6_3_2: Figure = &[
    said("", "INVITE", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "ACK", "transferee", "transferor"),
    said("", "INVITE (hold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("", "REFER", "transferor", "transferee"),
    said("", "202 Accepted", "transferee", "transferor"),
    said("", "NOTIFY (100 Trying)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "INVITE", "transferee", "target"),
    said("", "180 Ringing", "target", "transferee"),
    said("", "CANCEL", "transferee", "target"),
    said("", "200 OK (CANCEL)", "target", "transferee"),
    said("", "487 Request Cancelled (INVITE)", "target", "transferee"),
    said("", "ACK", "transferee", "target"),
    said("", "NOTIFY (487 Request Cancelled)", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "INVITE (unhold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("", "BYE", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
];

/// RFC 5589 §7.4, recovery when one party does not support REFER.
pub(crate) const RFC_5589_7_4: Figure = &[
    said("", "INVITE", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "ACK", "transferee", "transferor"),
    said("", "INVITE (hold)", "transferor", "transferee"),
    said("", "200 OK", "transferee", "transferor"),
    said("", "ACK", "transferor", "transferee"),
    said("", "INVITE", "transferor", "target"),
    said("", "200 OK", "target", "transferor"),
    said("", "ACK", "transferor", "target"),
    said("", "INVITE (hold)", "transferor", "target"),
    said("", "200 OK", "target", "transferor"),
    said("", "ACK", "transferor", "target"),
    said("", "REFER", "transferor", "transferee"),
    said("", "501 Not Implemented", "transferee", "transferor"),
    said("", "REFER", "transferor", "target"),
    said("", "202 Accepted", "target", "transferor"),
    said("", "NOTIFY (100 Trying)", "target", "transferor"),
    said("", "200 OK", "transferor", "target"),
    said("", "INVITE (Replaces)", "target", "transferee"),
    said("", "200 OK", "transferee", "target"),
    said("", "ACK", "target", "transferee"),
    said("", "NOTIFY (200 OK)", "target", "transferor"),
    said("", "200 OK", "transferor", "target"),
    said("", "BYE", "transferee", "transferor"),
    said("", "200 OK", "transferor", "transferee"),
    said("", "BYE", "transferor", "target"),
    said("", "200 OK", "target", "transferor"),
    said("", "BYE", "transferee", "target"),
    said("", "200 OK", "target", "transferee"),
];

/// RFC 3515 §2.4.2, which has rules and no figure: a REFER that is refused.
pub(crate) const RFC_3515_2_4_2: Figure = &[
    said("§2.4.2", "REFER", "agent", "recipient"),
    said("§2.4.2", "603 Decline", "recipient", "agent"),
];

/// RFC 3261 §14.1, which has rules and no figure: a re-INVITE that nobody answers.
pub(crate) const RFC_3261_14: Figure = &[said("§14.1", "INVITE (hold)", "UA", "peer")];

/// RFC 3261 §24.1, registration, with the challenge of §22.2 that the figure leaves out.
pub(crate) const RFC_3261_24_1: Figure = &[
    said("§24.1 F1", "REGISTER", "Bob", "registrar"),
    said("§22.2", "401 Unauthorized", "registrar", "Bob"),
    said("§22.2", "REGISTER (Authorization)", "Bob", "registrar"),
    said("§24.1 F2", "200 OK", "registrar", "Bob"),
];

/// RFC 3261 §16.7, which has rules and no figure: a call that forks.
pub(crate) const RFC_3261_16_7: Figure = &[
    said("§16.6", "INVITE", "caller", "proxy"),
    said("§16.6", "INVITE", "proxy", "phone 1"),
    said("", "INVITE", "proxy", "phone 2"),
    said("§16.7 (5)", "180 Ringing", "phone 1", "proxy"),
    said("", "180 Ringing", "phone 2", "proxy"),
    said("", "180 Ringing", "proxy", "caller"),
    said("§16.7 (5)", "200 OK", "phone 2", "proxy"),
    said("", "200 OK", "proxy", "caller"),
    said("§13.2.2.4", "ACK", "caller", "phone 2"),
    said("§16.7 (10)", "CANCEL", "proxy", "phone 1"),
    said("§9.2", "200 OK (CANCEL)", "phone 1", "proxy"),
    said("§9.2", "487 Request Terminated", "phone 1", "proxy"),
    said("§17.1.1.3", "ACK", "proxy", "phone 1"),
];

/// RFC 3261 §8.1.3.4, which has rules and no figure: a 3xx that is followed.
pub(crate) const RFC_3261_8_1_3_4: Figure = &[
    said("§8.1.3.4", "INVITE", "UAC", "phone 1"),
    said("§21.3", "302 Moved Temporarily", "phone 1", "UAC"),
    said("§17.1.1.3", "ACK", "UAC", "phone 1"),
    said("§8.1.3.4", "INVITE", "UAC", "phone 2"),
    said("§13.3.1.4", "200 OK", "phone 2", "UAC"),
    said("§13.2.2.4", "ACK", "UAC", "phone 2"),
];

/// RFC 4028 §10, which has rules and no figure: a refresh that nobody answers.
pub(crate) const RFC_4028_10: Figure =
    &[said("§7.4", "UPDATE", "refresher", "peer"), said("§10", "BYE", "refresher", "peer")];

/// RFC 3262 §3 and §4, which have rules and no figure: a provisional response that is acknowledged.
pub(crate) const RFC_3262_3: Figure = &[
    said("§3", "INVITE", "UAC", "UAS"),
    said("§3", "183 Session Progress", "UAS", "UAC"),
    said("§4", "PRACK", "UAC", "UAS"),
    said("§3", "200 OK (PRACK)", "UAS", "UAC"),
    said("§3", "200 OK", "UAS", "UAC"),
    said("RFC 3261 §13.2.2.4", "ACK", "UAC", "UAS"),
];

/// RFC 3261 §14, which has rules and no figure: offers that cross.
pub(crate) const RFC_3261_14_GLARE: Figure = &[
    said("§14.1", "INVITE", "owner of the Call-ID", "peer"),
    said("§14.1", "INVITE", "peer", "owner of the Call-ID"),
    said("§14.2", "491 Request Pending", "peer", "owner of the Call-ID"),
    said("§14.2", "491 Request Pending", "owner of the Call-ID", "peer"),
    said("§17.1.1.3", "ACK", "owner of the Call-ID", "peer"),
    said("§17.1.1.3", "ACK", "peer", "owner of the Call-ID"),
    said("§14.1", "INVITE", "peer, after 0 to 2 s", "owner of the Call-ID"),
    said("§14.2", "200 OK", "owner of the Call-ID", "peer"),
    said("§13.2.2.4", "ACK", "peer", "owner of the Call-ID"),
    said("§14.1", "INVITE", "owner, after 2.1 to 4 s", "peer"),
    said("§14.2", "200 OK", "peer", "owner of the Call-ID"),
    said("§13.2.2.4", "ACK", "owner of the Call-ID", "peer"),
];

/// RFC 3891 §3, which has rules and no figure: a Replaces that names no dialog.
pub(crate) const RFC_3891_3_REFUSED: Figure = &[
    said("§3", "INVITE (Replaces)", "caller", "UA"),
    said("§3", "481 Call/Transaction Does Not Exist", "UA", "caller"),
    said("RFC 3261 §17.1.1.3", "ACK", "caller", "UA"),
];

/// RFC 3261 §9 and §15, which have rules and no figure: a dialog is left, and an INVITE taken back.
pub(crate) const RFC_3261_9_15: Figure = &[
    said("§15.1.1", "BYE", "UA", "peer"),
    said("§15.1.2", "200 OK", "peer", "UA"),
    said("§9.1", "CANCEL", "UA", "target"),
    said("§9.2", "200 OK", "target", "UA"),
    said("§9.2", "487 Request Terminated", "target", "UA"),
    said("§17.1.1.3", "ACK", "UA", "target"),
];

/// RFC 3515 §2.4, which has rules and no figure: a REFER that is taken, and never reported on.
pub(crate) const RFC_3515_DEAD: Figure = &[
    said("§2.4.1", "REFER", "agent", "recipient"),
    said("§2.4.2", "202 Accepted", "recipient", "agent"),
    said("§2.4.4", "NOTIFY (100 Trying)", "recipient", "agent"),
    said("RFC 6665 §4.1.3", "200 OK", "agent", "recipient"),
    said("§2.4.5", "NOTIFY (final)", "recipient", "agent"),
];
