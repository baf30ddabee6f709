//! Session timers (RFC 4028): a session that nobody refreshes in time is over, so that a phone that
//! is gone is noticed. Each leg has its own timer; who refreshes is settled in each INVITE,
//! re-INVITE and UPDATE. With a peer that knows no session timers we refresh alone.
//!
//! A refresh is an UPDATE without a body where the peer takes that, else a re-INVITE, which only our
//! user can make: it knows the description.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::{Headers, Method, Name, Request, Response, Writer};

use super::leg::{Offer, State};
use super::{Event, Failure, Leg, LegId, Owner, Purpose, UserAgent};
use crate::limits::{MAX_SESSION_SECONDS, MIN_SESSION_SECONDS, REFRESH_RETRY};
use crate::transaction::ServerKey;

/// The timer of a leg.
pub(super) struct Session {
    /// Seconds between refreshes.
    interval: u32,
    /// Whether we refresh, and not the peer.
    is_ours: bool,
    /// Our UPDATE has not been answered.
    is_asked: bool,
    /// When we refresh (again), or, where the peer does, when we take it for gone.
    at: Instant,
    /// When the session is over, unless it is refreshed.
    expires: Instant,
}

impl Session {
    fn new(now: Instant, interval: u32, is_ours: bool) -> Self {
        let whole = Duration::from_secs(interval.into());
        // RFC 4028 §10: half the interval; and some time before its end.
        let at = if is_ours { whole / 2 } else { whole - (whole / 3).min(Duration::from_secs(32)) };
        Self { interval, is_ours, is_asked: false, at: now + at, expires: now + whole }
    }

    pub(super) fn next_timeout(&self) -> Instant {
        self.at
    }
}

impl UserAgent {
    /// Asks for sessions of so many seconds, [`MIN_SESSION_SECONDS`] at least; `None` is without end,
    /// and session timers are not spoken of.
    pub fn set_session_timer(&mut self, seconds: Option<u32>) {
        self.session_seconds = seconds.map(|seconds| seconds.max(MIN_SESSION_SECONDS));
    }

    /// What an INVITE or UPDATE of ours says about the session.
    pub(super) fn write_session(&self, writer: &mut Writer, id: LegId) {
        for (name, value) in self.session_headers(id).into_iter().flatten() {
            writer.header(name, value);
        }
    }

    fn session_headers(&self, id: LegId) -> Option<[(&'static str, String); 2]> {
        let seconds = self.session_seconds?;
        let leg = self.legs.get(&id);
        let least = leg.map_or(MIN_SESSION_SECONDS, |leg| leg.least_session);
        let expires = match leg.and_then(|leg| leg.session.as_ref()) {
            None => seconds.max(least).to_string(),
            Some(Session { interval, is_ours, .. }) => {
                let refresher = if *is_ours { "uac" } else { "uas" };
                format!("{};refresher={refresher}", least.max(*interval))
            }
        };
        Some([("Session-Expires", expires), ("Min-SE", least.to_string())])
    }

    /// A 2xx to an INVITE or UPDATE of ours says who refreshes.
    pub(super) fn on_session_agreed(&mut self, now: Instant, id: LegId, response: &Response) {
        let Some(wanted) = self.session_seconds else { return };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let wanted = leg.session.as_ref().map_or(wanted, |session| session.interval);
        let (interval, is_ours) = match expires(response) {
            // §7.2: the peer knows no session timers. It is refreshed all the same.
            None => (wanted.max(leg.least_session), true),
            Some((interval, refresher)) => (interval, refresher != Some("uas")),
        };
        leg.session = Some(Session::new(now, interval.max(MIN_SESSION_SECONDS), is_ours));
        self.arm(id);
    }

    /// Whether a request asks for a session that is shorter than we let phones have (§9).
    pub(super) fn is_too_short(&self, request: &Request) -> bool {
        self.session_seconds.is_some()
            && matches!(request.method, Method::Invite | Method::Update)
            && request.has_token(Name::Supported, "timer")
            && expires(request).is_some_and(|(interval, _)| interval < MIN_SESSION_SECONDS)
    }

    /// Settles who refreshes, and says so in our 2xx to a request of the peer.
    pub(super) fn agree_on_session(
        &mut self,
        now: Instant,
        id: LegId,
        request: &Request,
        response: &mut Writer,
    ) {
        let Some(wanted) = self.session_seconds else { return };
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let is_known = request.has_token(Name::Supported, "timer");
        let asked = expires(request);
        let told = request.number(Name::MinSe).unwrap_or(0);
        leg.least_session = leg.least_session.max(told.min(MAX_SESSION_SECONDS));
        let interval = match asked {
            Some((interval, _)) => interval.max(MIN_SESSION_SECONDS),
            None => wanted.max(leg.least_session),
        };
        // §9, table 2: what the peer leaves open is ours to say, and we like to know.
        let is_ours = !is_known || asked.is_none_or(|(_, refresher)| refresher != Some("uac"));
        if is_known {
            response.header("Require", "timer");
        }
        // A proxy may ask for a timer that the peer does not know (§8.1).
        if is_known || asked.is_some() {
            let refresher = if is_ours { "uas" } else { "uac" };
            response.header("Session-Expires", format_args!("{interval};refresher={refresher}"));
        }
        leg.session = Some(Session::new(now, interval, is_ours));
        self.arm(id);
    }

    /// Asks again with a longer session, as a 422 wants (RFC 4028 §7.3). False when it names none that
    /// is longer than what we have asked for.
    pub(super) fn ask_for_longer(
        &mut self,
        now: Instant,
        owner: Owner,
        response: &Response,
    ) -> bool {
        let request = self.transactions.answered(response);
        let least = response.number(Name::MinSe).filter(|least| *least <= MAX_SESSION_SECONDS);
        let (Some(request), Some(least)) = (request, least) else { return false };
        let asked = expires(&request).map_or(0, |(interval, _)| interval);
        let Some(leg) = self.legs.get_mut(&owner.leg).filter(|_| least > asked) else {
            return false;
        };
        leg.least_session = leg.least_session.max(least);
        let Some(headers) = self.session_headers(owner.leg) else { return false };
        let branch = self.ids.branch();
        let uri = request.uri().to_owned();
        self.send_again(now, owner, &request, &uri, branch, &headers)
    }

    pub(super) fn expire_session(&mut self, now: Instant, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if leg.released || !matches!(leg.state, State::Established) {
            leg.session = None;
            return;
        }
        let Some(session) = leg.session.as_mut().filter(|session| session.at <= now) else {
            return;
        };
        let is_over = !session.is_ours || session.expires <= now;
        // A re-INVITE that is under way has deadlines of its own, and its answer is a refresh.
        if is_over && !matches!(leg.offer, Offer::Sent { .. } | Offer::Received { .. }) {
            return self.lose(now, id, Failure::timed_out());
        }
        session.at = now + REFRESH_RETRY;
        if is_over || session.is_asked {
            return;
        }
        session.at = session.at.min(session.expires);
        if leg.allow.contains(Method::Update) {
            self.send_update(now, id);
        } else {
            self.tell(id, Event::RefreshDue(id));
        }
    }

    fn send_update(&mut self, now: Instant, id: LegId) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let seq = leg.dialog.next_seq();
        if let Some(session) = &mut leg.session {
            session.is_asked = true;
        }
        let hop = leg.hop.clone();
        let mut writer = leg.dialog.request(Method::Update, seq, branch, &self.identity);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        self.capabilities(&mut writer);
        self.write_session(&mut writer, id);
        let bytes = writer.finish();
        let owner = Owner { leg: id, purpose: Purpose::Refresh };
        // Without room it is tried again.
        let _ = self.transactions.request(now, branch, Method::Update, hop, bytes, owner);
    }

    pub(super) fn on_refreshed(&mut self, now: Instant, id: LegId, response: &Response) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.refresh(response);
        }
        self.on_session_agreed(now, id, response);
    }

    pub(super) fn on_refresh_failed(&mut self, now: Instant, id: LegId, failure: &Failure) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(session) = &mut leg.session else { return };
        session.is_asked = false;
        match failure.status {
            // RFC 3261 §12.2.1.2: the peer knows nothing of the dialog, or is gone.
            408 | 481 => self.lose(now, id, failure.clone()),
            // It listed UPDATE and does not take it: a re-INVITE then, at once.
            405 | 501 => {
                leg.allow = leg.allow.without(Method::Update);
                session.at = now;
                self.arm(id);
            }
            // Tried again in a while.
            _ => {}
        }
    }

    /// An UPDATE of the peer (RFC 3311): with an offer it is one like a re-INVITE's, without it
    /// tells where the peer is, and that it is there.
    pub(super) fn on_update(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        if !request.body().is_empty() {
            return self.on_offer(now, id, key, request, source);
        }
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if matches!(leg.state, State::Closing) {
            return self.refuse_request(now, key, &request, source, 481);
        }
        let is_up = matches!(leg.state, State::Established);
        leg.learn_source(&request, source);
        leg.refresh(&request);
        let mut response = sip::respond(&request, 200, "", source);
        response.header("Contact", format_args!("<{}>", self.identity.contact));
        self.capabilities(&mut response);
        if is_up {
            self.agree_on_session(now, id, &request, &mut response);
        }
        self.respond(now, key, response, 200);
    }
}

impl Leg {
    /// When the session is refreshed, or over.
    pub(super) fn session_timeout(&self) -> Option<Instant> {
        self.session.as_ref().map(Session::next_timeout)
    }
}

/// What Session-Expires says: seconds, and who refreshes.
fn expires(headers: &Headers) -> Option<(u32, Option<&'static str>)> {
    let text = headers.text(Name::SessionExpires)?;
    let mut parts = text.split(';').map(str::trim);
    let interval = parts.next()?.parse().ok()?;
    let refresher = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim())
    });
    let refresher = refresher.and_then(|refresher| {
        ["uac", "uas"].into_iter().find(|known| known.eq_ignore_ascii_case(refresher))
    });
    Some((interval, refresher))
}
