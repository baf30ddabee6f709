//! The session description that a party has from us: the other party's, passed on, and the hold
//! that a command laid upon it.
//!
//! A hold is a filter on one leg. What goes to a held party does not ask for its media any more
//! (RFC 3264 §8.4); what that party says meanwhile is passed on as if it still sent. So the other
//! phone never learns of the hold, and nothing has to be repaired there when it ends.
//!
//! Within a dialog all descriptions belong to one session, and its media keep their places (RFC 3264
//! §8). The first one passed on settles both, as its maker wrote it; the version rises with every
//! change and never goes back, although we send some of our own between those we pass on. When the
//! other party becomes another one, by a transfer, what that one says is fitted into the session.

use bytes::Bytes;
use sip::ParseError;
use sip::sdp::{self, Direction, Media, Origin, Sdp};

use crate::call::Call;
use crate::event::Side;

/// What a description is in the exchange it belongs to (RFC 3264 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An offer in an INVITE: the party may refuse it.
    Offer,
    /// An offer in a 2xx, which can only be answered.
    LateOffer,
    Answer,
}

/// What one party has from us.
#[derive(Debug, Default)]
pub(crate) struct Description {
    /// As it stands, without the hold. Empty before the first, and when none was SDP.
    agreed: Bytes,
    /// An offer that the party has not answered.
    proposed: Option<Bytes>,
    /// Where the sections of the last offer went, when they had to be placed otherwise than they
    /// stood: the answer's go back.
    placed: Option<Box<Placed>>,
    /// Whether the version in it was last used to say something else: an offer of ours that was not
    /// accepted.
    used: bool,
    /// Whether a command put this party on hold.
    held: bool,
    /// Whether the other party's phone did.
    held_by_phone: bool,
}

/// The sections of an offer in other places than it had them: see [`sdp::arranged`].
#[derive(Debug)]
struct Placed {
    order: Vec<Option<usize>>,
    /// How many it had.
    count: usize,
}

impl Description {
    /// What a party has that got this offer of our own.
    pub(crate) fn of(offer: Bytes) -> Self {
        Self { agreed: offer, ..Self::default() }
    }

    /// What this party is to get of the other's description. What is not SDP stays as it is.
    pub(crate) fn next(&mut self, sdp: &[u8], role: Role) -> Bytes {
        let next = self.fitted(sdp, role);
        if self.held { held(&next) } else { next }
    }

    /// An offer for a party that is to talk to somebody else: without regard to a hold.
    pub(crate) fn next_unheld(&mut self, sdp: &[u8]) -> Bytes {
        // What it has says something else in this version.
        self.used |= self.held;
        self.fitted(sdp, Role::Offer)
    }

    /// Ends a hold without a word: the party is about to get a description in any case.
    pub(crate) fn lift_hold(&mut self) {
        self.used |= std::mem::take(&mut self.held);
    }

    fn fitted(&mut self, sdp: &[u8], role: Role) -> Bytes {
        let (placed, order) = match role {
            Role::Answer => None,
            Role::Offer | Role::LateOffer => self.placed(sdp),
        }
        .unzip();
        let Ok(numbered) = self.numbered(placed.as_deref().unwrap_or(sdp)) else {
            return Bytes::copy_from_slice(sdp);
        };
        if role != Role::Answer {
            self.placed = order.map(Box::new);
        }
        if role == Role::Offer {
            self.proposed = Some(numbered.clone());
        } else {
            self.proposed = None;
            self.settle(numbered.clone(), role);
        }
        numbered
    }

    /// The party's answer to an offer, in the order that the offer had. An answer that lacks a
    /// section of it, or is not SDP, stays as it is.
    fn restored(&mut self, answer: &[u8]) -> Option<Vec<u8>> {
        let Placed { order, count } = *self.placed.take()?;
        sdp::restored(answer, &order, count).ok()
    }

    /// The answer to an offer that this party makes anew and that goes nowhere: what it has.
    pub(crate) fn again(&mut self, offer: &[u8]) -> Option<Bytes> {
        let offer = Sdp::parse(offer).ok()?;
        let kinds: Vec<&str> = offer.media().map(|media| media.kind).collect();
        let (answer, order) = sdp::arranged(&self.agreed, &kinds).ok()?;
        // Sections beyond those of the offer have no place in an answer (RFC 3264 §6).
        let in_place: Vec<_> = (0..order.len()).map(Some).collect();
        let answer = sdp::restored(&answer, &in_place, kinds.len()).ok()?;
        let offered: Vec<_> = offer.media().map(|media| media.effective_direction()).collect();
        let within = |at: usize, media: &Media<'_>| match media.port {
            0 => media.direction,
            _ => media.effective_direction().within(offered[at].reverse()),
        };
        let said = self.numbered(&sdp::with_directions(&answer, within).ok()?).ok()?;
        self.agreed = sdp::with_origin(&answer, &Sdp::parse(&said).ok()?.origin()).ok()?.into();
        self.used = !same_content(&said, &self.agreed);
        Some(if self.held { held(&said) } else { said })
    }

    /// What answers a re-INVITE of this party that goes nowhere, with an offer or without: what it
    /// has.
    pub(crate) fn reply(&mut self, offer: &[u8]) -> Option<Bytes> {
        if offer.is_empty() { self.refresh() } else { self.again(offer) }
    }

    /// The party took the offer that an INVITE carried.
    pub(crate) fn accepted(&mut self) {
        if let Some(proposed) = self.proposed.take() {
            self.settle(proposed, Role::Offer);
        }
    }

    /// The party refused it: what it had stands, but that version was used.
    pub(crate) fn refused(&mut self) {
        let Some(proposed) = self.proposed.take() else { return };
        let used = Sdp::parse(&proposed).map_or(0, |sdp| sdp.origin().version);
        let last = Sdp::parse(&self.agreed).map_or(0, |sdp| sdp.origin().version);
        if let Ok(sdp) = sdp::with_version(&self.agreed, used.max(last)) {
            self.agreed = sdp.into();
        }
        self.used = true;
    }

    /// The offer of ours in an INVITE that awaits its answer, or is about to be made.
    pub(crate) fn proposed(&self) -> Option<&Bytes> {
        self.proposed.as_ref()
    }

    /// An offer of our own: what the party has, with or without hold. `None` when it has nothing.
    pub(crate) fn offer(&mut self, hold: bool) -> Option<Bytes> {
        let version = Sdp::parse(&self.agreed).ok()?.origin().version.saturating_add(1);
        self.agreed = sdp::with_version(&self.agreed, version).ok()?.into();
        self.used = true;
        Some(if hold { held(&self.agreed) } else { self.agreed.clone() })
    }

    /// An offer of what the party has as it has it, held or not, in a version of its own.
    pub(crate) fn offer_again(&mut self) -> Option<Bytes> {
        self.offer(self.held)
    }

    /// The same, in the version it has if that stands for nothing else (RFC 4028 §7.4).
    pub(crate) fn refresh(&mut self) -> Option<Bytes> {
        self.current().or_else(|| self.offer_again())
    }

    /// The party accepted what it has, once more.
    pub(crate) fn took_again(&mut self) {
        self.set_held(self.held);
    }

    /// What the party has, once more.
    fn current(&self) -> Option<Bytes> {
        // A version that was used for something else is not what the party has.
        if self.agreed.is_empty() || self.used || self.proposed.is_some() {
            return None;
        }
        Some(if self.held { held(&self.agreed) } else { self.agreed.clone() })
    }

    /// The party accepted that offer.
    pub(crate) fn set_held(&mut self, held: bool) {
        self.held = held;
        self.used = false;
    }

    /// Whether a command put this party on hold.
    pub(crate) fn is_held_by_command(&self) -> bool {
        self.held
    }

    /// Whether the party is on hold, by a command or by the other party's phone.
    pub(crate) fn is_held(&self) -> bool {
        self.held || self.held_by_phone
    }

    /// What this party says, without the hold it is under: it would send wherever that is wanted.
    /// `None` when it is under none, or what it says is not SDP.
    fn unfiltered(&self, sdp: &[u8], role: Role) -> Option<Vec<u8>> {
        if !self.held {
            return None;
        }
        let had = Sdp::parse(self.last());
        let wanted: Vec<bool> = had
            .iter()
            .flat_map(Sdp::media)
            .map(|media| media.effective_direction().receives())
            .collect();
        let sends = |at: usize, media: &Media<'_>| match media.direction {
            direction if media.port == 0 => direction,
            // RFC 3264 §6.1: an answer sends only what the offer wants to receive.
            direction if role == Role::Answer && wanted.get(at) != Some(&true) => direction,
            direction if direction.receives() => Direction::SendRecv,
            _ => Direction::SendOnly,
        };
        sdp::with_directions(sdp, sends).ok()
    }

    fn last(&self) -> &Bytes {
        self.proposed.as_ref().unwrap_or(&self.agreed)
    }

    fn settle(&mut self, sdp: Bytes, role: Role) {
        let on_hold = Sdp::parse(&sdp).is_ok_and(|sdp| sdp.is_on_hold());
        // An answer that receives nothing is no hold: it may only mirror an offer that sends none.
        self.held_by_phone = on_hold && (role != Role::Answer || self.held_by_phone);
        self.agreed = sdp;
        self.used = false;
    }

    /// A copy in the session of the last one, with a version above it if it says something new.
    fn numbered(&self, sdp: &[u8]) -> Result<Bytes, ParseError> {
        let origin = Sdp::parse(sdp)?.origin();
        let Ok(last) = Sdp::parse(self.last()).map(|sdp| sdp.origin()) else {
            return Ok(Bytes::copy_from_slice(sdp));
        };
        let is_new = self.used || !same_content(sdp, self.last());
        let least = last.version.saturating_add(u64::from(is_new));
        let is_same = (last.username, last.session_id, last.rest)
            == (origin.username, origin.session_id, origin.rest);
        let version = if is_same { least.max(origin.version) } else { least };
        match is_same && version == origin.version {
            true => Ok(Bytes::copy_from_slice(sdp)),
            false => Ok(sdp::with_origin(sdp, &Origin { version, ..last })?.into()),
        }
    }

    /// An offer with its sections where this party has its own, unless they are there already, and
    /// how to put those of the answer back.
    fn placed(&self, offer: &[u8]) -> Option<(Vec<u8>, Placed)> {
        let (had, new) = (Sdp::parse(self.last()).ok()?, Sdp::parse(offer).ok()?);
        let mut pairs = had.media().zip(new.media());
        let is_in_place = pairs.all(|(had, new)| had.kind == new.kind);
        if is_in_place && had.media().len() <= new.media().len() {
            return None;
        }
        let slots: Vec<&str> = had.media().map(|media| media.kind).collect();
        let (placed, order) = sdp::arranged(offer, &slots).ok()?;
        Some((placed, Placed { order, count: new.media().len() }))
    }
}

/// Passing descriptions between the two parties of a call.
impl Call {
    /// What a party has from us.
    pub(crate) fn has(&mut self, side: Side) -> &mut Description {
        match side {
            Side::Caller => &mut self.caller_has,
            Side::Callee => &mut self.callee_has,
        }
    }

    /// The other party's description as `to` is to get it.
    pub(crate) fn pass(&mut self, to: Side, sdp: &[u8], role: Role) -> Bytes {
        if sdp.is_empty() {
            return Bytes::new();
        }
        let from = self.has(to.other());
        let unfiltered = from.unfiltered(sdp, role);
        let sdp = unfiltered.as_deref().unwrap_or(sdp);
        let restored = if role == Role::Answer { from.restored(sdp) } else { None };
        self.has(to).next(restored.as_deref().unwrap_or(sdp), role)
    }

    /// A party has taken the offer of somebody who is to be its other party from now on, or made the
    /// one it was asked for: what that one gets, and has then, in the session of what it had.
    pub(crate) fn introduce(
        &mut self,
        from: Side,
        sdp: &[u8],
        mut has: Description,
    ) -> (Bytes, Description) {
        let own = self.has(from);
        own.lift_hold();
        let role = if own.proposed().is_some() { Role::Answer } else { Role::LateOffer };
        own.accepted();
        let restored = own.restored(sdp).filter(|_| role == Role::Answer);
        let reply = has.next(restored.as_deref().unwrap_or(sdp), role);
        (reply, has)
    }

    /// What a party took or answered. The role of its own description is told by what it had.
    pub(crate) fn pass_reply(&mut self, from: Side, sdp: &[u8]) -> Bytes {
        let role = if self.has(from).proposed().is_some() { Role::Answer } else { Role::LateOffer };
        let reply = self.pass(from.other(), sdp, role);
        self.has(from).accepted();
        reply
    }
}

/// RFC 3264 §8.4: nothing is wanted of whoever gets this.
fn held(sdp: &Bytes) -> Bytes {
    let direction = |_, media: &Media<'_>| match media.port {
        0 => media.direction,
        _ => media.effective_direction().held(),
    };
    sdp::with_directions(sdp, direction).map_or_else(|_| sdp.clone(), Bytes::from)
}

/// Whether two descriptions differ in nothing but the `o=` line.
fn same_content(a: &[u8], b: &[u8]) -> bool {
    lines(a).eq(lines(b))
}

fn lines(sdp: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = sdp.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"o="));
    lines.map(<[u8]>::trim_ascii_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdp(version: u64, lines: &str) -> String {
        format!(
            "v=0\r\no=bob 1 {version} IN IP4 a\r\ns=-\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\n{lines}"
        )
    }

    fn version(sdp: &[u8]) -> u64 {
        Sdp::parse(sdp).unwrap().origin().version
    }

    fn direction(sdp: &[u8]) -> Direction {
        Sdp::parse(sdp).unwrap().media().next().unwrap().direction
    }

    #[test]
    fn the_version_rises_over_what_we_send_and_what_we_pass_on() {
        let mut has = Description::default();
        let first = sdp(7, "");
        assert_eq!(has.next(first.as_bytes(), Role::Answer), first);
        assert_eq!(version(&has.offer(true).unwrap()), 8);
        has.set_held(true);
        assert_eq!(version(&has.offer(false).unwrap()), 9);
        has.set_held(false);
        // The phone itself counts on from 7.
        assert_eq!(version(&has.next(sdp(8, "a=sendonly\r\n").as_bytes(), Role::Offer)), 10);
        has.refused();
        // A hold was refused, so that its version stands for something else.
        assert_eq!(version(&has.offer(true).unwrap()), 11);
        assert_eq!(version(&has.next(sdp(7, "").as_bytes(), Role::Answer)), 12);
        // What says nothing new needs no new version; what is ahead stays as it is.
        assert_eq!(version(&has.next(sdp(7, "").as_bytes(), Role::Answer)), 12);
        assert_eq!(version(&has.next(sdp(20, "a=inactive\r\n").as_bytes(), Role::Answer)), 20);
    }

    #[test]
    fn each_direction_is_held_as_rfc_3264_8_4_says() {
        for (lines, expected) in [
            ("", Direction::SendOnly),
            ("a=sendonly\r\n", Direction::SendOnly),
            ("a=recvonly\r\n", Direction::Inactive),
            ("a=inactive\r\n", Direction::Inactive),
            ("c=IN IP4 0.0.0.0\r\n", Direction::SendOnly),
            ("c=IN IP6 ::\r\na=recvonly\r\n", Direction::Inactive),
        ] {
            let mut has = Description::default();
            has.next(sdp(1, lines).as_bytes(), Role::Answer);
            assert_eq!(direction(&has.offer(true).unwrap()), expected, "{lines}");
            let back = has.offer(false).unwrap();
            assert_eq!(back, sdp(3, lines), "and it comes back as it was");
        }
    }

    #[test]
    fn a_stream_that_was_refused_stays_so() {
        let mut has = Description::default();
        let refused = sdp(1, "a=rtpmap:0 PCMU/8000\r\nm=video 0 RTP/AVP 31\r\na=recvonly\r\n");
        has.next(refused.as_bytes(), Role::Answer);
        let offer = has.offer(true).unwrap();
        let sections: Vec<_> = Sdp::parse(&offer)
            .unwrap()
            .media()
            .map(|media| (media.port, media.direction))
            .collect();
        assert_eq!(sections, [(9000, Direction::SendOnly), (0, Direction::RecvOnly)]);
    }

    #[test]
    fn what_a_held_party_says_is_passed_on_as_if_it_still_sent() {
        let mut has = Description::default();
        has.next(sdp(1, "").as_bytes(), Role::Answer);
        has.set_held(true);
        for (offered, said, role, passed) in [
            ("", "a=recvonly\r\n", Role::Answer, Direction::SendRecv),
            ("", "a=inactive\r\n", Role::Answer, Direction::SendOnly),
            ("a=sendonly\r\n", "a=recvonly\r\n", Role::Answer, Direction::RecvOnly),
            ("", "a=recvonly\r\n", Role::Offer, Direction::SendRecv),
            ("", "a=inactive\r\n", Role::LateOffer, Direction::SendOnly),
        ] {
            has.next(sdp(2, offered).as_bytes(), Role::Offer);
            let actual =
                direction(&has.unfiltered(sdp(1, said).as_bytes(), role).expect("it is held"));
            assert_eq!(actual, passed, "{offered} {said} {role:?}");
        }
    }

    #[test]
    fn a_phones_own_hold_is_seen_in_its_offers_and_ends_with_any_description() {
        let mut has = Description::default();
        has.next(sdp(1, "a=inactive\r\n").as_bytes(), Role::Answer);
        assert!(!has.is_held(), "an answer may only mirror the offer");
        has.next(sdp(2, "c=IN IP4 0.0.0.0\r\n").as_bytes(), Role::Offer);
        assert!(!has.is_held(), "it was not accepted yet");
        has.accepted();
        assert!(has.is_held());
        has.next(sdp(3, "").as_bytes(), Role::Answer);
        assert!(!has.is_held());
    }

    #[test]
    fn what_is_no_description_is_passed_on_and_cannot_be_held() {
        let mut has = Description::default();
        assert_eq!(has.next(b"nonsense", Role::Answer), "nonsense");
        assert_eq!(has.offer(true), None);
    }
}
