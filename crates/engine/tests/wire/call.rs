//! A call through the engine between two peers that write their own datagrams.

use crate::draft::Draft;
use crate::wire::{CALLEE, CALLER, Sent, Wire, the};

/// The URI that the caller calls.
pub(crate) const CALLEE_URI: &str = "sip:bob@192.0.2.20:5080";

pub(crate) struct Call {
    pub(crate) wire: Wire,
    /// The caller's INVITE.
    pub(crate) invite: Draft,
    /// The engine's INVITE to the callee.
    pub(crate) outgoing: Sent,
    /// The callee's answer.
    pub(crate) answer: Draft,
    /// The 200 that the caller got.
    pub(crate) accepted: Option<Sent>,
}

/// The INVITE of the caller to the callee.
pub(crate) fn invite() -> Draft {
    Draft::request("INVITE", CALLEE_URI, CALLER).sdp()
}

impl Call {
    /// The caller has called; the callee has the INVITE and said nothing.
    pub(crate) fn placed(invite: Draft) -> Self {
        Self::placed_in(Wire::new(), invite)
    }

    fn placed_in(mut wire: Wire, invite: Draft) -> Self {
        let sent = wire.receive(CALLER, &invite);
        let outgoing = the(&sent, "INVITE");
        assert_eq!(outgoing.to, CALLEE);
        let answer = Draft::answer(&outgoing, "200 OK", "callee").sdp();
        Self { wire, invite, outgoing, answer, accepted: None }
    }

    /// The callee rings.
    pub(crate) fn ringing() -> Self {
        let mut call = Self::placed(invite());
        let ringing = Draft::answer(&call.outgoing, "180 Ringing", "callee");
        call.wire.receive(CALLEE, ringing);
        call
    }

    /// The callee has answered; the caller has the 200 and did not acknowledge it.
    pub(crate) fn answered() -> Self {
        Self::answered_with(invite(), |answer| answer)
    }

    /// The same, with this INVITE and this change to the callee's answer.
    pub(crate) fn answered_with(invite: Draft, change: impl FnOnce(Draft) -> Draft) -> Self {
        let mut call = Self::placed(invite);
        call.answer = change(call.answer);
        call.answer()
    }

    fn answer(mut self) -> Self {
        let sent = self.wire.receive(CALLEE, &self.answer);
        let accepted = the(&sent, "200");
        the(&sent, "ACK");
        self.accepted = Some(accepted);
        self
    }

    /// Both talk.
    pub(crate) fn established() -> Self {
        Self::established_with(invite(), |answer| answer)
    }

    /// The same, with this INVITE and this change to the callee's answer.
    pub(crate) fn established_with(invite: Draft, change: impl FnOnce(Draft) -> Draft) -> Self {
        Self::answered_with(invite, change).acknowledge()
    }

    /// The same, through this engine.
    pub(crate) fn established_in(wire: Wire, invite: Draft) -> Self {
        Self::placed_in(wire, invite).answer().acknowledge()
    }

    fn acknowledge(mut self) -> Self {
        let ack = self.by_caller("ACK", 1);
        assert_eq!(self.wire.receive(CALLER, ack).len(), 0);
        self
    }

    /// A request of the caller in its dialog.
    pub(crate) fn by_caller(&self, method: &str, seq: u32) -> Draft {
        let accepted = self.accepted.as_ref().expect("the caller has a 200");
        let uri = accepted.text("Contact");
        Draft::request(method, uri.trim_matches(['<', '>']), CALLER)
            .branch(&format!("z9hG4bK-caller-{method}-{seq}"))
            .set("From", accepted.all("From").remove(0))
            .set("To", accepted.all("To").remove(0))
            .set("CSeq", format!("{seq} {method}"))
    }

    /// A request of the callee in its dialog.
    pub(crate) fn by_callee(&self, method: &str, seq: u32) -> Draft {
        let uri = self.outgoing.text("Contact");
        Draft::request(method, uri.trim_matches(['<', '>']), CALLEE)
            .branch(&format!("z9hG4bK-callee-{method}-{seq}"))
            .set("From", format!("{};tag=callee", self.outgoing.text("To")))
            .set("To", self.outgoing.all("From").remove(0))
            .set("Call-ID", self.outgoing.all("Call-ID").remove(0))
            .set("CSeq", format!("{seq} {method}"))
    }

    /// A CANCEL of the caller's INVITE.
    pub(crate) fn cancel(&self) -> Draft {
        Draft::request("CANCEL", CALLEE_URI, CALLER).branch("z9hG4bK-INVITE").without("Contact")
    }
}
