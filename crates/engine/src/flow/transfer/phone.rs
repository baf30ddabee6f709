//! Transfers that phones ask for. A REFER from a phone in a call (RFC 3515) is carried out by the
//! engine, whatever the other phone can: it joins the other party to the target and reports to the
//! phone. With Replaces in its Refer-To it is the attended one (RFC 5589 §7). An INVITE with Replaces
//! (RFC 3891) takes the place of the dialog it names.
//!
//! ```text
//!  asks             engine      the other one    target
//!    |--REFER--------->|               |             |
//!    |<-202------------|               |             |
//!    |<-NOTIFY 100-----|--INVITE-------------------->|
//!    |<-NOTIFY 180-----|<-180------------------------|
//!    |                 |<-200------------------------|      offer
//!    |                 |--INVITE------>|             |      that offer
//!    |                 |<-200----------|             |      answer
//!    |<-NOTIFY 200-----|--ACK----------------------->|      that answer
//!    |<-BYE------------|               |             |
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use sip::{Method, Name, NameAddr, Replaces, Request, Scheme, Uri};

use super::{AskedBy, Phase, To};
use crate::call::{CallKey, State};
use crate::engine::{Engine, Role};
use crate::event::Side;
use crate::flow::start::Mode;
use crate::limits::HOLD_TIMEOUT;
use crate::registrar::Refusal;
use crate::ua::{LegId, Replaced};

/// The place that an INVITE with Replaces takes.
pub(crate) enum Place {
    /// That of a party of a call that stands.
    Party(CallKey, Side),
    /// That of a phone which rings, in this role.
    Ringing(Role),
}

/// What a Refer-To asks for.
struct Referral {
    to: To,
    headers: Vec<(String, String)>,
}

impl Engine {
    /// A party's phone asks us to call somebody in its place.
    pub(crate) fn on_phone_refer(&mut self, now: Instant, key: CallKey, side: Side, leg: LegId) {
        // Its phone has answered, or was answered, and believes to talk. The other one is about to.
        if let Some(call) = self.calls.get_mut(&key)
            && matches!(call.state, State::Answered | State::Joining { .. })
        {
            call.referred[side as usize] = true;
            return;
        }
        let Some((request, source)) = self.ua.referred(leg) else { return };
        let request = request.clone();
        match self.referral(key, side, &request, source) {
            Err(status) => self.ua.refuse_refer(now, leg, status),
            Ok(Referral { to, headers }) => {
                self.ua.accept_refer(now, leg);
                self.ua.notify(now, leg, Some(100), false);
                let (goes, asked_by) = (side.other(), AskedBy::Phone(leg));
                let key = self.add_transfer(key, goes, to, asked_by, Mode::Bridge, headers);
                self.begin_transfer(now, key);
            }
        }
    }

    /// Both talk: what their phones asked for before is looked at.
    pub(crate) fn on_early_refers(&mut self, now: Instant, key: CallKey) {
        for side in [Side::Caller, Side::Callee] {
            let Some(call) = self.calls.get_mut(&key) else { return };
            let was_referred = std::mem::take(&mut call.referred[side as usize]);
            if let Some(leg) = call.leg(side).filter(|_| was_referred) {
                self.on_phone_refer(now, key, side, leg);
            }
        }
    }

    /// Whom a REFER leads to, or why it is refused: it asks us to spend money, so not everybody may.
    fn referral(
        &self,
        key: CallKey,
        side: Side,
        request: &Request,
        source: SocketAddr,
    ) -> Result<Referral, u16> {
        let call = self.calls.get(&key).ok_or(481_u16)?;
        // A registered phone may have been called at its address instead of by its name.
        let contact = call.leg(side).and_then(|leg| self.ua.contact(leg)).unwrap_or_default();
        if !self.trusts(&call.parties[side as usize].uri, source)
            && !self.registrar.is_contact_from(contact, source)
        {
            return Err(603);
        }
        call.is_standing().map_err(|_| 491_u16)?;
        let refer_to = request.value(Name::ReferTo).and_then(|value| NameAddr::parse(value).ok());
        let uri = refer_to.and_then(|refer_to| Uri::parse(refer_to.uri).ok()).ok_or(400_u16)?;
        // RFC 3261 §19.1.1: it may ask for another method, which is no transfer.
        let is_invite = uri
            .params
            .get("method")
            .is_none_or(|method| Method::parse(method.as_bytes()) == Method::Invite);
        if !is_invite || !matches!(uri.scheme, Scheme::Sip | Scheme::Tel) {
            return Err(603);
        }
        let target = Uri { headers: "", ..uri };
        let target = match uri.scheme {
            Scheme::Sip => target.to_string(),
            // Its digits are all there is to it.
            _ => refer_to.map(|refer_to| refer_to.uri.to_owned()).unwrap_or_default(),
        };
        let Some(replaces) = uri.header("Replaces") else {
            return Ok(Referral { to: To::Uri(target), headers: Vec::new() });
        };
        let replaces = sip::uri::unescape(replaces).ok_or(400_u16)?;
        let replaces = Replaces::parse(&replaces).map_err(|_| 400_u16)?;
        let Some((leg, _)) = self.ua.replaced(&replaces) else {
            // A dialog that does not come by here: the target's phone knows it.
            let replaces = ("Replaces".to_owned(), replaces.to_string());
            let headers = vec![replaces, ("Require".to_owned(), "replaces".to_owned())];
            return Ok(Referral { to: To::Uri(target), headers });
        };
        let Some(Role::Party(other, place)) = self.roles.get(&leg).copied() else {
            return Err(603);
        };
        let standing = self.calls.get(&other).ok_or(481_u16)?;
        standing.is_standing().map_err(|_| 491_u16)?;
        let to = To::Party { call: other, side: place.other(), uri: None };
        self.check_parties(key, side.other(), &to).map_err(|_| 603_u16)?;
        Ok(Referral { to, headers: Vec::new() })
    }

    /// Whose place an INVITE with Replaces is to take. `None` without Replaces, and when it is meant
    /// for somebody else's dialog.
    pub(crate) fn replaced_party(
        &self,
        caller: LegId,
        is_for_us: bool,
    ) -> Result<Option<Place>, Refusal> {
        let Some((request, _)) = self.ua.invitation(caller) else { return Err(500.into()) };
        let mut values = request.values(Name::Replaces);
        let Some(value) = values.next() else { return Ok(None) };
        // RFC 3891 §3: more than one is an error.
        if values.next().is_some() {
            return Err(400.into());
        }
        let replaces = str::from_utf8(value).ok().and_then(|value| Replaces::parse(value).ok());
        let replaces = replaces.ok_or(400)?;
        let Some((leg, stage)) = self.ua.replaced(&replaces) else {
            return if is_for_us { Err(481.into()) } else { Ok(None) };
        };
        match (stage, self.roles.get(&leg).copied()) {
            (Replaced::Ringing, Some(role @ (Role::Party(..) | Role::Transfer(_)))) => {
                Ok(Some(Place::Ringing(role)))
            }
            (Replaced::Confirmed, Some(Role::Party(..))) if replaces.early_only => Err(486.into()),
            (Replaced::Confirmed, Some(Role::Party(key, side))) => {
                match self.calls.get(&key).map(|call| call.is_standing()) {
                    Some(Ok(())) => Ok(Some(Place::Party(key, side))),
                    Some(Err(_)) => Err(491.into()),
                    None => Err(481.into()),
                }
            }
            // RFC 3891 §3: only a call that we have placed is picked up.
            (Replaced::Other, Some(Role::Party(..))) => Err(481.into()),
            // It is over, or was never a call between two.
            (_, Some(Role::Helper(_) | Role::Transfer(_)) | None) => Err(603.into()),
        }
    }

    /// The Replaces of an INVITE that is meant for somebody else's dialog, to be passed on.
    pub(crate) fn replaces_elsewhere(&self, caller: LegId) -> Vec<(String, String)> {
        let Some((request, _)) = self.ua.invitation(caller) else { return Vec::new() };
        let replaces = request.text(Name::Replaces).and_then(|value| Replaces::parse(value).ok());
        let Some(replaces) = replaces else { return Vec::new() };
        let mut headers = vec![("Replaces".to_owned(), replaces.to_string())];
        if request.has_token(Name::Require, "replaces") {
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
        headers
    }

    /// Somebody calls to take a party's place: the other party gets the offer.
    pub(crate) fn take_place(&mut self, now: Instant, caller: LegId, key: CallKey, side: Side) {
        let stays = side.other();
        let key =
            self.add_transfer(key, stays, To::Caller, AskedBy::Nobody, Mode::Bridge, Vec::new());
        self.roles.insert(caller, Role::Transfer(key));
        let phase = Phase::Replacing { caller, asked: false };
        self.set_phase(key, phase, Some(now + HOLD_TIMEOUT));
        self.advance_transfer(now, key);
    }
}
