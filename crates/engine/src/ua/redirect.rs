//! An INVITE that is sent elsewhere: a 3xx names other addresses, which are tried one after the
//! other, in the same leg (RFC 3261 §8.1.3.4). Which of them can be called, and how, our user knows.

use std::time::Instant;

use sip::{Name, NameAddr, Response, Scheme, Uri};

use super::leg::State;
use super::{Cause, Event, Failure, LegId, Owner, Purpose, UserAgent};
use crate::ids::Branch;
use crate::limits::MAX_REDIRECTS;
use crate::transaction::Hop;

/// Where else an INVITE may go.
#[derive(Default)]
pub(super) struct Redirect {
    /// In the order to be tried, the last one first.
    next: Vec<Box<str>>,
    /// Every address so far.
    tried: Vec<Box<str>>,
}

impl UserAgent {
    /// Lets our user send INVITEs elsewhere when they are answered 3xx, by
    /// [`Event::Redirected`]; else that is a refusal.
    pub fn follow_redirects(&mut self, follow: bool) {
        self.follows = follow;
    }

    /// The next address that a leg's INVITE may be sent to.
    pub(crate) fn next_redirect(&mut self, id: LegId) -> Option<String> {
        let redirect = self.legs.get_mut(&id)?.redirect.as_mut()?;
        let next = redirect.next.pop()?;
        redirect.tried.push(next.clone());
        Some(next.into())
    }

    /// Sends a leg's INVITE to another address.
    pub(crate) fn redirect(
        &mut self,
        now: Instant,
        id: LegId,
        uri: &str,
        hop: Hop,
        routes: &[String],
    ) {
        let Some(leg) = self.legs.get(&id) else { return };
        let State::Inviting { branch, .. } = leg.state else { return };
        let Some(request) = self.transactions.sent(branch) else {
            return self.end(now, id, Cause::Refused(Failure::unreachable()));
        };
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.dialog.target = uri.into();
            leg.hop = hop;
            leg.source = None;
        }
        let branch = self.ids.branch();
        let owner = Owner { leg: id, purpose: Purpose::Invite };
        let routes: Vec<_> = routes.iter().map(|route| ("Route", route.clone())).collect();
        if !self.send_again(now, owner, &request, uri, branch, &routes) {
            self.end(now, id, Cause::Refused(Failure::unreachable()));
        }
    }

    /// No address is left: the leg ends as its last INVITE was answered.
    pub(crate) fn end_redirect(&mut self, now: Instant, id: LegId, failure: Failure) {
        self.end(now, id, Cause::Refused(failure));
    }

    /// A refusal of our INVITE: whether there is another address to try.
    pub(super) fn is_redirected(&mut self, owner: Owner, response: &Response) -> bool {
        let Some(leg) = self.legs.get_mut(&owner.leg) else { return false };
        let State::Inviting { branch, .. } = &leg.state else { return false };
        let is_current = response.branch().and_then(Branch::parse) == Some(*branch);
        if !self.follows || leg.released || !is_current {
            return false;
        }
        if (300..400).contains(&response.status) {
            let redirect = leg.redirect.get_or_insert_default();
            if redirect.tried.is_empty() {
                redirect.tried.push(leg.dialog.target.clone());
            }
            for uri in contacts(response).into_iter().rev() {
                let is_new = !redirect.tried.iter().chain(&redirect.next).any(|old| **old == *uri);
                if is_new && redirect.tried.len() + redirect.next.len() < MAX_REDIRECTS {
                    redirect.next.push(uri.into());
                }
            }
        }
        if leg.redirect.as_ref().is_none_or(|redirect| redirect.next.is_empty()) {
            return false;
        }
        self.events.push_back(Event::Redirected(owner.leg, Failure::answered(response)));
        true
    }
}

/// The addresses that a 3xx names, the preferred ones first.
pub(super) fn contacts(response: &Response) -> Vec<String> {
    let contacts = response.values(Name::Contact).filter_map(|value| {
        let contact = NameAddr::parse(value).ok()?;
        let uri = Uri::parse(contact.uri).ok()?;
        let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        let uri = Uri { headers: "", ..uri };
        matches!(uri.scheme, Scheme::Sip).then(|| (q, uri.to_string()))
    });
    let mut contacts: Vec<_> = contacts.take(MAX_REDIRECTS).collect();
    contacts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}
