//! One call in the place of another: which dialog a Replaces header means (RFC 3891), and how the
//! peer of a dialog is called anew.

use sip::{NameAddr, Replaces};

use super::leg::State;
use super::{Leg, LegId, UserAgent};
use crate::ids::Tag;
use crate::transaction::Hop;

/// Where a dialog stands whose place somebody wants to take (RFC 3891 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Its INVITE was accepted.
    Confirmed,
    /// We called, and its phone rings.
    Ringing,
    /// We have not answered its INVITE, or have hung up: nobody takes its place.
    Other,
}

impl UserAgent {
    /// Whether the peer lets a call take the place of this one: its Supported lists `replaces`
    /// (RFC 3891).
    pub fn takes_replaces(&self, leg: LegId) -> bool {
        self.legs.get(&leg).is_some_and(|leg| leg.replaces)
    }

    /// The Replaces header by which another call to the peer takes the place of this leg
    /// (RFC 3891). `None` when the peer has no tag yet.
    pub fn replaces(&self, leg: LegId) -> Option<String> {
        let dialog = &self.legs.get(&leg)?.dialog;
        let replaces = Replaces {
            call_id: &dialog.call_id,
            to_tag: dialog.remote_tag.as_deref()?,
            from_tag: &dialog.local_tag.to_string(),
            early_only: false,
        };
        Some(replaces.to_string())
    }

    /// The leg whose dialog a Replaces header of a request to us names, and where that stands.
    pub fn replaced(&self, replaces: &Replaces<'_>) -> Option<(LegId, Replaced)> {
        let id = Tag::parse(replaces.to_tag)?;
        let Leg { dialog, state, released, .. } = &**self.legs.get(&id)?;
        let is_peer = match state {
            State::Inviting { tags, .. } => tags.iter().any(|tag| **tag == *replaces.from_tag),
            State::Invited { .. } | State::Established | State::Closing => {
                dialog.remote_tag.as_deref() == Some(replaces.from_tag)
            }
        };
        let stage = match state {
            State::Inviting { .. } | State::Established if *released => Replaced::Other,
            State::Inviting { .. } => Replaced::Ringing,
            State::Established => Replaced::Confirmed,
            State::Invited { .. } | State::Closing => Replaced::Other,
        };
        (is_peer && *dialog.call_id == *replaces.call_id).then_some((id, stage))
    }

    /// The URI of a leg's peer, as its From or To shows it.
    pub(crate) fn remote_uri(&self, leg: LegId) -> Option<String> {
        let dialog = &self.legs.get(&leg)?.dialog;
        Some(NameAddr::parse(&dialog.remote).ok()?.uri.to_owned())
    }

    /// Where the peer of a leg wants its requests: its Contact.
    pub(crate) fn contact(&self, leg: LegId) -> Option<&str> {
        self.legs.get(&leg).map(|leg| &*leg.dialog.target)
    }

    /// The way there: the next hop, and what the Route headers say.
    pub(crate) fn way_to(&self, leg: LegId) -> Option<(Hop, Vec<String>)> {
        let Leg { dialog, hop, .. } = &**self.legs.get(&leg)?;
        Some((hop.clone(), dialog.routes.iter().map(|route| route.to_string()).collect()))
    }
}
