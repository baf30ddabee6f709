//! Calling somebody who may have several phones: all of them ring, the first that answers has the
//! call, the others stop; when none does, the best refusal is told (RFC 3261 §16.7).
//!
//! ```text
//!  engine         phone 1        phone 2
//!    |--INVITE----->|               |
//!    |--INVITE--------------------->|
//!    |<-180---------|<-180----------|
//!    |<-200 OK----------------------|
//!    |--ACK------------------------>|
//!    |--CANCEL----->|               |
//!    |<-487---------|               |
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use sip::{Name, Scheme, Uri};

use crate::description::Description;
use crate::engine::Engine;
use crate::registrar::user_of;
use crate::transaction::Hop;
use crate::ua::{Cause, Failure, FailureKind, Invite, LegId};

/// How many branches a request may have at a time that does not say (RFC 5393 §5.3.1).
const DEFAULT_BREADTH: usize = 60;

/// The legs to the phones of one party, of which none has answered.
#[derive(Debug, Default)]
pub(crate) struct Fork {
    ringing: Vec<LegId>,
    /// Whoever picks up for them, and did not get through yet.
    pickup: Option<Box<Pickup>>,
    /// The best refusal so far.
    best: Option<Box<Failure>>,
}

/// Somebody who takes the place of the phones that ring (RFC 3891).
#[derive(Debug)]
pub(crate) struct Pickup {
    pub(crate) leg: LegId,
    /// What it has from us, and is about to get.
    pub(crate) has: Description,
}

/// One phone of a party.
struct Target {
    uri: String,
    hop: Option<Hop>,
    path: Vec<String>,
    /// Where the phone is reached, when it is behind NAT.
    source: Option<SocketAddr>,
}

impl Fork {
    pub(crate) fn of(legs: Vec<LegId>) -> Self {
        Self { ringing: legs, ..Self::default() }
    }

    pub(crate) fn legs(&self) -> impl Iterator<Item = LegId> {
        self.ringing.iter().copied().chain(self.pickup.iter().map(|pickup| pickup.leg))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.legs().next().is_none()
    }

    /// Whether more than one phone may still answer.
    pub(crate) fn is_wide(&self) -> bool {
        self.legs().nth(1).is_some()
    }

    /// The one phone that rings, if there is no other.
    pub(crate) fn only(&self) -> Option<LegId> {
        match self.ringing[..] {
            [leg] => Some(leg),
            _ => None,
        }
    }

    pub(crate) fn has(&self, leg: LegId) -> bool {
        self.legs().any(|other| other == leg)
    }

    /// Somebody picks up. False when somebody else does.
    pub(crate) fn pick_up(&mut self, pickup: Pickup) -> bool {
        let is_free = self.pickup.is_none();
        if is_free {
            self.pickup = Some(Box::new(pickup));
        }
        is_free
    }

    /// What whoever picked up has from us, if this is it, and is through.
    pub(crate) fn picked_up(&mut self, leg: LegId) -> Option<Description> {
        Some(self.pickup.take_if(|pickup| pickup.leg == leg)?.has)
    }

    /// A phone answered: these are the others.
    pub(crate) fn answered(&mut self, leg: LegId) -> Vec<LegId> {
        let others = self.legs().filter(|other| *other != leg).collect();
        *self = Self::default();
        others
    }

    /// A phone will not answer. What to tell the other party, when no phone will any more.
    pub(crate) fn ended(&mut self, leg: LegId, cause: Cause) -> Option<Failure> {
        let failure = cause.into_failure();
        if self.picked_up(leg).is_some() {
            // It is as if it had not been there.
            let is_last = self.ringing.is_empty();
            return is_last.then(|| self.best.take().map_or(failure, |best| *best));
        }
        self.ringing.retain(|other| *other != leg);
        // RFC 3261 §16.7 step 5: a 6xx speaks for all phones.
        let is_last = self.is_over() || failure.status >= 600;
        if self.best.as_ref().is_none_or(|best| rank(&failure) < rank(best)) {
            self.best = Some(Box::new(failure));
        }
        if is_last { self.best.take().map(|best| *best) } else { None }
    }
}

/// RFC 3261 §16.7 step 6: a 6xx, else the lowest class, and in it what says how to try again. But a
/// challenge is between that phone and us, and silence says least.
fn rank(failure: &Failure) -> (u16, u16) {
    let class = if failure.status >= 600 { 0 } else { failure.status / 100 };
    let within = match (failure.kind, failure.status) {
        (FailureKind::TimedOut | FailureKind::Unreachable, _) => 3,
        (FailureKind::Answered, 401 | 407) => 2,
        (FailureKind::Answered, 415 | 420 | 484) => 0,
        (FailureKind::Answered, _) => 1,
    };
    (class, within)
}

impl Engine {
    /// Calls a party: every phone of a user of ours, else whoever the URI leads to, or the hop of
    /// `invite` if it has one. `invite` has the party's own URI.
    ///
    /// # Errors
    ///
    /// With 404 when the URI is ours and names nobody, with 480 when that user is registered
    /// nowhere, with 440 when there are more phones than the request may still fork to.
    pub(crate) fn call_all(
        &mut self,
        now: Instant,
        invite: &Invite<'_>,
    ) -> Result<Vec<LegId>, Failure> {
        let targets = self.targets(invite.uri)?;
        let breadth = breadth(invite, targets.len())?;
        // Legs of one call share its Call-ID, and the phones of a party theirs.
        let mut call_id = invite.call_id.clone().filter(|_| !self.config.hide_call_id);
        if targets.len() > 1 {
            call_id.get_or_insert_with(|| self.ua.ids().call_id().into());
        }
        let is_alone = targets.len() == 1;
        let legs = targets.into_iter().map(|target| {
            let source = target.source.filter(|_| invite.hop.is_none());
            let mut headers = invite.headers.to_vec();
            let breadth = breadth.map(|breadth| ("Max-Breadth".to_owned(), breadth.to_string()));
            headers.extend(breadth);
            headers.extend(target.path.into_iter().map(|route| ("Route".to_owned(), route)));
            let invite = Invite {
                uri: &target.uri,
                call_id: call_id.clone(),
                hop: invite.hop.clone().or(target.hop),
                headers: &headers,
                // One dialog can have one answer only, and not one of several phones.
                reliable: invite.reliable && is_alone,
                ..invite.clone()
            };
            let leg = self.ua.invite(now, invite);
            source.inspect(|source| self.ua.pin(leg, *source));
            leg
        });
        Ok(legs.collect())
    }

    /// A phone sends us elsewhere: there we call next, or whoever else it named. An address that
    /// leads nowhere is passed over.
    pub(crate) fn on_redirected(&mut self, now: Instant, leg: LegId, failure: Failure) {
        while let Some(uri) = self.ua.next_redirect(leg) {
            // Of a user of ours with several phones the first: one leg has one phone.
            let target = self.targets(&uri).ok().and_then(|targets| targets.into_iter().next());
            if let Some(Target { uri, hop: Some(hop), path, source }) = target {
                self.ua.redirect(now, leg, &uri, hop, &path);
                source.inspect(|source| self.ua.pin(leg, *source));
                return;
            }
        }
        self.ua.end_redirect(now, leg, failure);
    }

    fn targets(&self, uri: &str) -> Result<Vec<Target>, Failure> {
        let is_ours = |uri: &Uri<'_>| uri.scheme == Scheme::Sip && self.is_us(uri);
        let user = Uri::parse(uri).ok().filter(is_ours);
        let Some(user) = user else {
            let hop = self.route(uri);
            let uri = uri.to_owned();
            return Ok(vec![Target { uri, hop, path: Vec::new(), source: None }]);
        };
        let name = user_of(&user).unwrap_or_default();
        let bindings = self.registrar.bindings(&name).iter();
        let targets = bindings.map(|binding| Target {
            uri: request_uri(&binding.contact),
            hop: binding.hop(),
            path: binding.path.iter().map(|route| route.to_string()).collect(),
            source: binding.source_behind_nat(),
        });
        let targets: Vec<_> = targets.collect();
        match (targets.is_empty(), self.registrar.knows(&name)) {
            (false, _) => Ok(targets),
            (true, true) => {
                Err(Failure::ours(FailureKind::Unreachable, 480, "Temporarily Unavailable"))
            }
            (true, false) => Err(Failure::ours(FailureKind::Unreachable, 404, "Not Found")),
        }
    }
}

/// A contact as a request URI, which has no headers (RFC 3261 §19.1.1 table 1).
fn request_uri(contact: &str) -> String {
    Uri::parse(contact).map_or(contact.to_owned(), |uri| Uri { headers: "", ..uri }.to_string())
}

/// The Max-Breadth of each of so many branches (RFC 5393 §5.3.3), where it must be told: contacts
/// that lead back here would otherwise double a call with every round.
fn breadth(invite: &Invite<'_>, branches: usize) -> Result<Option<usize>, Failure> {
    let told = invite.passed.and_then(|request| request.number(Name::MaxBreadth));
    let all = told.map_or(DEFAULT_BREADTH, |told| DEFAULT_BREADTH.min(told as usize));
    match all / branches {
        0 => Err(Failure::ours(FailureKind::Unreachable, 440, "Max-Breadth Exceeded")),
        _ if told.is_none() && branches == 1 => Ok(None),
        each => Ok(Some(each)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    fn told(statuses: &[u16]) -> Option<u16> {
        let mut ids = Ids::new([1; 32]);
        let legs: Vec<_> = statuses.iter().map(|_| ids.tag()).collect();
        let mut fork = Fork::of(legs.clone());
        let mut ends = legs.iter().zip(statuses).map(|(leg, status)| {
            let failure = match status {
                408 => Failure::timed_out(),
                _ => Failure::ours(FailureKind::Answered, *status, ""),
            };
            fork.ended(*leg, Cause::Refused(failure))
        });
        ends.find_map(|told| told).map(|failure| failure.status)
    }

    #[test]
    fn a_phone_that_hangs_up_says_why() {
        let leg = Ids::new([1; 32]).tag();
        let told = Fork::of(vec![leg]).ended(leg, Cause::Bye(Some(17)));
        assert_eq!(told, Some(Failure::hung_up(Some(17))));
    }

    #[test]
    fn the_best_refusal_is_told_when_no_phone_is_left() {
        assert_eq!(told(&[486]), Some(486));
        assert_eq!(told(&[486, 480]), Some(486));
        assert_eq!(told(&[408, 480]), Some(480));
        assert_eq!(told(&[503, 486]), Some(486));
        assert_eq!(told(&[486, 302]), Some(302));
        assert_eq!(told(&[486, 484]), Some(484));
        assert_eq!(told(&[401, 486]), Some(486));
        assert_eq!(told(&[486, 603, 302]), Some(603));
    }
}
