//! Offers and answers before an INVITE is answered (RFC 3262 §5, RFC 6337 §3): one in a reliable
//! provisional response and, where the INVITE carried none, its answer in the PRACK. Once both are
//! through, further ones go in UPDATEs (RFC 3311 §5.1).
//!
//! An offer of the peer that our user has no answer to yet may be deferred: it is answered with a
//! description in which nothing flows, and the peer is asked for another one as soon as it has
//! answered the INVITE.

use std::time::Instant;

use bytes::Bytes;
use sip::{Method, Name, Request, Response};

use super::leg::{Leg, State};
use super::{Event, LegId, Owner, UserAgent, takes_reliable};
use crate::ids::Branch;

/// How far a leg whose INVITE is not answered finally is with offer and answer.
#[derive(Default)]
pub(super) enum Early {
    /// Nothing went in a reliable message, or only the INVITE's offer.
    #[default]
    None,
    /// The peer's offer awaits our answer, in the PRACK of its response with this number, to our
    /// INVITE with this one.
    Owed { number: u32, seq: u32 },
    /// Our offer awaits the answer in the caller's PRACK.
    Offered,
    /// Both have a description. The peer's answer, if its 2xx may leave it out and no other came
    /// since.
    Agreed { answer: Bytes },
    /// The peer has this from us, in which nothing flows. It is made this offer next, or asked for its
    /// own; `is_over` once it has answered.
    Deferred { answer: Bytes, offer: Option<Bytes>, is_over: bool },
}

impl Early {
    pub(super) fn agreed() -> Self {
        Self::Agreed { answer: Bytes::new() }
    }

    /// Another offer is made: an answer that is remembered is not the last word any more.
    pub(super) fn supersede(&mut self) {
        if let Self::Agreed { answer } = self {
            answer.clear();
        }
    }

    /// Whether the first offer of a leg came from the peer, and is not answered.
    pub(super) fn is_ours_to_answer(&self, state: &State) -> bool {
        match (self, state) {
            (Self::Owed { .. }, _) => true,
            (_, State::Invited { request, .. }) => !request.body().is_empty(),
            _ => false,
        }
    }
}

impl UserAgent {
    /// Whether an offer in the peer's provisional response awaits our answer: `acknowledge` or
    /// `defer`.
    pub fn owes_answer(&self, id: LegId) -> bool {
        self.legs.get(&id).is_some_and(|leg| matches!(leg.early, Early::Owed { .. }))
    }

    /// Whether both ends have had a description before the INVITE was answered.
    pub fn has_agreed(&self, id: LegId) -> bool {
        self.legs.get(&id).is_some_and(|leg| matches!(leg.early, Early::Agreed { .. }))
    }

    /// Whether a provisional answer to this leg's INVITE may carry an offer: it lacked one, got none,
    /// and its sender takes reliable responses.
    pub fn takes_early_offer(&self, id: LegId) -> bool {
        let takes = |request: &Request| request.body().is_empty() && takes_reliable(request);
        !self.is_simple
            && self.invitation(id).is_some_and(|(request, _)| takes(request))
            && self.legs.get(&id).is_some_and(|leg| matches!(leg.early, Early::None))
    }

    /// Whether we have made the offer that a leg's INVITE lacked.
    pub(crate) fn has_offered_early(&self, id: LegId) -> bool {
        let is_early = |leg: &Leg| matches!(leg.early, Early::Offered | Early::Agreed { .. });
        let lacked_offer = |(request, _): (&Request, _)| request.body().is_empty();
        self.legs.get(&id).is_some_and(|leg| is_early(leg))
            && self.invitation(id).is_some_and(lacked_offer)
    }

    /// Whether our user may make the peer of a leg an offer: it has answered, or takes UPDATE and is
    /// through with the first offer.
    pub fn takes_offer(&self, id: LegId) -> bool {
        self.legs.get(&id).is_some_and(|leg| match leg.state {
            State::Established => true,
            State::Inviting { .. } | State::Invited { .. } => {
                !leg.released
                    && matches!(leg.early, Early::Agreed { .. })
                    && leg.allow.contains(Method::Update)
            }
            State::Closing => false,
        })
    }

    /// Answers an offer in the peer's provisional response with a description in which nothing
    /// flows. The `Answered` of the leg then comes with a new offer.
    pub fn defer(&mut self, now: Instant, id: LegId, answer: Bytes) {
        if self.acknowledge_early(now, id, &answer)
            && let Some(leg) = self.legs.get_mut(&id)
        {
            leg.early = Early::Deferred { answer, offer: None, is_over: false };
        }
    }

    /// Accepts an INVITE with a description in which nothing flows, and then makes this offer, or asks
    /// for one. The `Answered` of the leg comes when the peer has accepted that.
    pub(crate) fn accept_deferred(
        &mut self,
        now: Instant,
        id: LegId,
        answer: Bytes,
        offer: Option<Bytes>,
    ) {
        self.accept(now, id, &answer, None);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.early = Early::Deferred { answer, offer, is_over: false };
        }
    }

    /// The peer has answered, or acknowledged: what was put off is due. False when nothing was.
    pub(super) fn resumes_deferred(&mut self, now: Instant, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        let Early::Deferred { offer, is_over: false, .. } = &mut leg.early else { return false };
        let offer = offer.take();
        self.offer(now, id, offer);
        true
    }

    /// What a leg's peer has from us that was deferred.
    pub(crate) fn deferred(&self, id: LegId) -> Option<Bytes> {
        match &self.legs.get(&id)?.early {
            Early::Deferred { answer, .. } => Some(answer.clone()),
            Early::None | Early::Owed { .. } | Early::Offered | Early::Agreed { .. } => None,
        }
    }

    /// The peer has answered a re-INVITE: whether that is the offer which was put off.
    pub(super) fn takes_deferred(&mut self, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        match &mut leg.early {
            Early::Deferred { is_over, .. } => !std::mem::replace(is_over, true),
            Early::None | Early::Owed { .. } | Early::Offered | Early::Agreed { .. } => false,
        }
    }

    /// Sends the answer to an offer in a provisional response, in its PRACK. False when there is
    /// none.
    pub(super) fn acknowledge_early(&mut self, now: Instant, id: LegId, answer: &[u8]) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return false };
        let Early::Owed { number, seq } = leg.early else { return false };
        leg.early = Early::agreed();
        let dialog = leg.dialog.clone();
        self.send_prack(now, id, dialog, (number, seq), answer);
        true
    }

    /// What the description in a reliable response means, and whether its PRACK goes at once: with
    /// the body that is returned.
    pub(super) fn takes_description(&mut self, id: LegId, response: &Response) -> Described {
        let body = description(response);
        let nothing = Described { sdp: Bytes::new(), prack: Some(Bytes::new()) };
        let Some(leg) = self.legs.get_mut(&id) else { return nothing };
        let State::Inviting { offered, .. } = leg.state else { return nothing };
        if body.is_empty() {
            return nothing;
        }
        match (&leg.early, offered) {
            (Early::None, true) => {
                leg.dialog.establish(response);
                leg.early = Early::Agreed { answer: body.clone() };
                Described { sdp: body, prack: Some(Bytes::new()) }
            }
            (Early::None, false) => {
                leg.dialog.establish(response);
                let number = response.number(Name::RSeq).unwrap_or_default();
                leg.early = Early::Owed { number, seq: response.cseq().number };
                Described { sdp: body, prack: None }
            }
            // RFC 6337 §3.1.1: the answer was there before.
            (_, true) => nothing,
            // Another branch of a fork has an offer of its own, which must be answered.
            (_, false) if leg.dialog.remote_tag.as_deref() != response.to_tag() => {
                Described { prack: Some(sip::sdp::rejecting(&body).into()), ..nothing }
            }
            (_, false) => nothing,
        }
    }

    /// What the description in a 2xx to our INVITE means, after what went before it. With it the
    /// leg's peer is known.
    pub(super) fn takes_answer(&mut self, id: LegId, response: &Response) -> Accepted {
        let body = description(response);
        let Some(leg) = self.legs.get_mut(&id) else { return Accepted::Plain(body) };
        let State::Inviting { offered, .. } = leg.state else { return Accepted::Plain(body) };
        if leg.dialog.remote_tag.as_deref().is_some_and(|tag| Some(tag) != response.to_tag()) {
            // Another branch of a fork: what was agreed with the first is not with this one.
            leg.forget_early();
        }
        match std::mem::take(&mut leg.early) {
            Early::Agreed { answer } => {
                leg.early = Early::agreed();
                match offered && !answer.is_empty() {
                    // Not all phones repeat what they said, and some say something else.
                    true if body.is_empty() => Accepted::Early(answer),
                    true => Accepted::Early(body),
                    false => Accepted::Early(Bytes::new()),
                }
            }
            deferred @ Early::Deferred { .. } => {
                leg.early = deferred;
                Accepted::Deferred
            }
            Early::None | Early::Offered | Early::Owed { .. } => Accepted::Plain(body),
        }
    }

    /// The caller has acknowledged a response of ours that carried a description. False when it owed
    /// an answer and brought none.
    pub(super) fn on_description_acknowledged(&mut self, id: LegId, answer: &[u8]) -> bool {
        let Some(leg) = self.legs.get_mut(&id) else { return true };
        match leg.early {
            Early::Offered if answer.is_empty() => return false,
            Early::Offered => {
                leg.early = Early::agreed();
                self.tell(id, Event::AnsweredEarly(id, Bytes::copy_from_slice(answer)));
            }
            Early::None => leg.early = Early::agreed(),
            Early::Owed { .. } | Early::Agreed { .. } | Early::Deferred { .. } => {}
        }
        true
    }

    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        id: LegId,
        mut dialog: crate::dialog::Dialog,
        (number, seq): (u32, u32),
        body: &[u8],
    ) {
        let branch: Branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        dialog.local_seq = leg.dialog.next_seq();
        let hop = leg.way(&dialog);
        let mut writer = dialog.request(Method::Prack, dialog.local_seq, branch, &self.identity);
        writer.header("RAck", format_args!("{number} {seq} INVITE"));
        let owner = Owner { leg: id, purpose: super::Purpose::Courtesy };
        // Without room it is lost, and the response comes again.
        let bytes = super::invite::finish(writer, Some(body));
        let _ = self.transactions.request(now, branch, Method::Prack, hop, bytes, owner);
    }
}

/// The description in a response; bodies of other kinds are none.
pub(super) fn description(response: &Response) -> Bytes {
    let is_sdp = |kind: &str| kind.eq_ignore_ascii_case("application/sdp");
    let is_described = response.content_type().is_none_or(is_sdp);
    Bytes::copy_from_slice(if is_described { response.body() } else { b"" })
}

/// What a reliable provisional response brings.
pub(super) struct Described {
    /// The description, if it is one that counts.
    pub(super) sdp: Bytes,
    /// What its PRACK carries; `None` when that waits for our user's answer.
    pub(super) prack: Option<Bytes>,
}

/// What a 2xx to our INVITE brings.
pub(super) enum Accepted {
    /// The answer to our offer, or an offer.
    Plain(Bytes),
    /// Nothing to be answered: this was agreed before, or says nothing when empty.
    Early(Bytes),
    /// The peer is to be asked for its offer.
    Deferred,
}

impl Leg {
    /// The INVITE goes elsewhere, or somebody else answers it: the early dialog is none of it.
    pub(super) fn forget_early(&mut self) {
        self.early = Early::None;
        if let State::Inviting { tags, .. } = &mut self.state {
            tags.clear();
        }
        self.dialog.remote_tag = None;
        self.dialog.remote_seq = None;
    }
}
