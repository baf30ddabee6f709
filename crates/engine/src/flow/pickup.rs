//! Picking up a call that rings elsewhere: an INVITE with Replaces for a dialog that we began and
//! nobody has answered yet (RFC 3891 §3). Two have made an offer now, or none has. So whoever picks up
//! is accepted with a description in which nothing flows, and then gets the caller's offer, or is
//! asked for one, as a phone is that answers. Until it has answered that the others go on ringing.
//!
//! ```text
//!  caller         engine         callee       picks up
//!    |              |<-INVITE (Replaces)----------|      offer
//!    |              |--200 OK-------------------->|      nothing flows
//!    |              |<-ACK------------------------|
//!    |              |--INVITE-------------------->|      the caller's offer
//!    |              |<-200 OK---------------------|      answer
//!    |              |--ACK----------------------->|
//!    |              |--CANCEL------>|             |
//!    |<-200 OK------|               |             |      that answer
//! ```

use std::time::Instant;

use bytes::Bytes;
use sip::sdp::Sdp;

use super::fork::{Fork, Pickup};
use crate::call::CallKey;
use crate::description::{self, Description};
use crate::engine::{Engine, Role};
use crate::event::Side;
use crate::ua::LegId;
use crate::watch::{Change, Party};

impl Engine {
    /// Somebody calls to take the place of a phone that rings.
    pub(crate) fn pick_up(&mut self, now: Instant, caller: LegId, role: Role) {
        if let Err(status) = self.begin_pickup(now, caller, role) {
            self.ua.reject(now, caller, status);
        }
    }

    fn begin_pickup(&mut self, now: Instant, caller: LegId, role: Role) -> Result<(), u16> {
        let offer = match role {
            Role::Party(key, _) => self.open_offer(key)?,
            Role::Transfer(_) | Role::Helper(_) => None,
        };
        let (invitation, _) = self.ua.invitation(caller).ok_or(500_u16)?;
        let own = Bytes::copy_from_slice(invitation.body());
        // One that leaves the offer to us gets one like the caller's. Without any there is no telling
        // what its phone can.
        let like = if own.is_empty() { offer.clone().unwrap_or_default() } else { own };
        if Sdp::parse(&like).is_err() {
            return Err(488);
        }
        let inactive = self.inactive(&like);
        let mut has = Description::of(inactive.clone());
        let offer = offer.map(|offer| has.next(&offer, description::Role::Offer));
        let fork = self.ringing_fork(role).ok_or(603_u16)?;
        if !fork.pick_up(Pickup { leg: caller, has }) {
            return Err(491);
        }
        self.roles.insert(caller, role);
        self.ua.accept_deferred(now, caller, inactive, offer);
        Ok(())
    }

    /// The caller's offer, if there is one and it has no answer. Refused while that is being settled.
    fn open_offer(&self, key: CallKey) -> Result<Option<Bytes>, u16> {
        let caller = self.calls.get(&key).and_then(|call| call.caller).ok_or(481_u16)?;
        if self.ua.is_describing(caller) || self.ua.is_negotiating(caller) {
            return Err(491);
        }
        let invitation = self.ua.invitation(caller).filter(|_| !self.ua.has_agreed(caller));
        let offer = invitation.map(|(request, _)| Bytes::copy_from_slice(request.body()));
        Ok(offer.filter(|offer| !offer.is_empty()))
    }

    fn ringing_fork(&mut self, role: Role) -> Option<&mut Fork> {
        match role {
            Role::Party(key, Side::Callee) => Some(&mut self.calls.get_mut(&key)?.fork),
            Role::Transfer(key) => self.target_fork(key),
            Role::Party(_, Side::Caller) | Role::Helper(_) => None,
        }
    }

    /// Whoever picked up has answered, and is the callee now.
    pub(crate) fn on_picked_up(&mut self, key: CallKey, leg: LegId) {
        let party = self.calling_party(leg);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let callee = call.party(Side::Callee);
        *callee = Party { uri: party.uri, ..callee.clone() };
        if let Some(call_id) = party.call_id {
            self.bring_name(key, Side::Callee, call_id);
        }
        self.tell(key, Change::Transferred(Side::Callee));
    }
}
