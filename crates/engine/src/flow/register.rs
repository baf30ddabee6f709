//! REGISTER, and who may call through us (RFC 3261 §10.3, §22).
//!
//! ```text
//!  phone          engine
//!    |--REGISTER--->|
//!    |<-401---------|      a challenge for each algorithm
//!    |--REGISTER--->|      credentials
//!    |<-200 OK------|      every contact of the user
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sip::{Name, NameAddr, Request, Uri};

use crate::engine::{Engine, Waiter};
use crate::event::Event;
use crate::registrar::{Changes, Denial, RecordId, Refusal, user_of};
use crate::transaction::Hop;
use crate::ua::{LegId, ServerKey};

impl Engine {
    pub(crate) fn on_register(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        source: SocketAddr,
    ) {
        let (status, headers) = match self.register(now, request, source) {
            Ok(headers) => (200, headers),
            Err(refusal) => (refusal.status, refusal.headers),
        };
        let mut response = self.ua.answer_to(request, source, status);
        for (name, value) in headers {
            response.header(name, value);
        }
        self.ua.respond(now, key, response, status);
    }

    /// The steps of RFC 3261 §10.3. Gives the headers of the 200.
    fn register(
        &mut self,
        now: Instant,
        request: &Request,
        source: SocketAddr,
    ) -> Result<Vec<(&'static str, String)>, Refusal> {
        let name = match (Uri::parse(request.uri()), Uri::parse(request.to().uri)) {
            (Ok(domain), Ok(aor)) if self.is_us(&domain) && self.is_of_us(&aor) => user_of(&aor),
            _ => None,
        };
        if self.registrar.has_users() {
            match self.registrar.authenticate(now, request, Name::Authorization) {
                Ok(user) if name.as_ref().is_some_and(|name| *name != user) => {
                    return Err(403.into());
                }
                Ok(_) => {}
                Err(denial) => {
                    return Err(self.challenge(now, 401, name.as_deref(), denial));
                }
            }
        } else if !self.config.open {
            return Err(403.into());
        }
        let name = name.ok_or(404)?;
        let contacts = request.values(Name::Contact).filter_map(|c| NameAddr::parse(c).ok());
        let mut uris = contacts.filter_map(|contact| Uri::parse(contact.uri).ok());
        // A call to it would come back here for ever.
        if uris.any(|uri| self.is_us(&uri)) {
            return Err(403.into());
        }
        let fresh = RecordId(self.ua.ids().number());
        let changes = self.registrar.register(now, fresh, &name, request, source)?;
        self.publish(&name, changes);
        if let Some((id, _)) = self.registrar.record(&name) {
            self.arm_record(id);
        }
        let bindings = self.registrar.bindings(&name).iter();
        let mut headers: Vec<_> =
            bindings.map(|binding| ("Contact", binding.shown(now).to_string())).collect();
        // RFC 3327 §5.3.
        let path = request.values(Name::Path);
        headers.extend(path.map(|path| ("Path", String::from_utf8_lossy(path).into_owned())));
        Ok(headers)
    }

    /// Whether the caller of an unanswered INVITE may call through us: everybody when we are open,
    /// else the next hop, a registered user from where it registered, and who knows a password.
    pub(crate) fn admit(&mut self, now: Instant, caller: LegId) -> Result<(), Refusal> {
        let Some((request, source)) = self.ua.invitation(caller) else { return Err(500.into()) };
        if self.trusts(request.from().uri, source) {
            return Ok(());
        }
        if !self.registrar.has_users() {
            return Err(403.into());
        }
        let name = self.user_at(request.from().uri);
        match self.registrar.authenticate(now, request, Name::ProxyAuthorization) {
            // Nobody calls in the name of another user of ours.
            Ok(user) if name.as_ref().is_some_and(|name| *name != user) => Err(403.into()),
            Ok(_) => Ok(()),
            Err(denial) => Err(self.challenge(now, 407, name.as_deref(), denial)),
        }
    }

    /// Whether whoever says to be this URI may use us without a password: everybody when we are
    /// open, else the next hop, and a user from where it registered.
    pub(crate) fn trusts(&self, uri: &str, source: SocketAddr) -> bool {
        self.config.open
            || matches!(&self.next_hop, Some(Hop::Address(hop)) if hop.ip() == source.ip())
            || self
                .user_at(uri)
                .is_some_and(|name| self.registrar.is_registered_from(&name, source))
    }

    /// The name of the user of ours that the URI of a From means.
    fn user_at(&self, uri: &str) -> Option<String> {
        let uri = Uri::parse(uri).ok().filter(|uri| self.is_of_us(uri))?;
        user_of(&uri)
    }

    /// A user's bindings have come to their time.
    pub(crate) fn on_record_timeout(&mut self, now: Instant, id: RecordId) {
        if let Some((name, changes)) = self.registrar.expire(now, id) {
            self.publish(&name, changes);
            self.arm_record(id);
        }
    }

    fn challenge(
        &mut self,
        now: Instant,
        status: u16,
        user: Option<&str>,
        denial: Denial,
    ) -> Refusal {
        let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        let random = self.ua.ids().number();
        let challenges = self.registrar.challenges(now, user, random, denial == Denial::Stale);
        let headers = challenges.into_iter().map(|challenge| (name, challenge));
        Refusal { status, headers: headers.collect() }
    }

    fn publish(&mut self, name: &str, changes: Changes) {
        let aor: Arc<str> = format!("sip:{name}@{}", self.ua.identity().sent_by).into();
        for (contact, change, expires) in changes {
            self.report(Event::Registration { aor: aor.clone(), contact, change, expires });
        }
    }

    fn arm_record(&mut self, id: RecordId) {
        if let Some(at) = self.registrar.next_timeout(id) {
            self.deadlines.set(at, Waiter::Record(id));
        }
    }
}
