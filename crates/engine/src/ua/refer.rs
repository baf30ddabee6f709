//! REFER in a dialog and the subscription it makes (RFC 3515, RFC 6665), both roles.

use std::net::SocketAddr;
use std::time::Instant;

use sip::{Method, Name, Request};

use super::leg::{Refer, State};
use super::{Event, Failure, FailureKind, LegId, Owner, Purpose, UserAgent};
use crate::transaction::ServerKey;

impl UserAgent {
    /// Asks the peer to call `refer_to`. Its answer comes as `ReferAnswered`, its reports as
    /// `Notified`. `referred_by` is the URI in whose name we ask (RFC 3892).
    pub fn refer(&mut self, now: Instant, id: LegId, refer_to: &str, referred_by: &str) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if !matches!(leg.state, State::Established) {
            return;
        }
        let seq = leg.dialog.next_seq();
        let mut writer = leg.dialog.request(Method::Refer, seq, branch, &self.identity);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        writer.header("Refer-To", format_args!("<{refer_to}>"));
        writer.header("Referred-By", format_args!("<{referred_by}>"));
        leg.refer = Some(Refer::Sent { branch });
        let (hop, bytes) = (leg.hop.clone(), writer.finish());
        let owner = Owner { leg: id, purpose: Purpose::Refer };
        if self.transactions.request(now, branch, Method::Refer, hop, bytes, owner).is_err() {
            self.tell(id, Event::ReferAnswered(id, Err(Failure::unreachable())));
        }
    }

    /// Stops asking, when the peer has not answered our REFER in time. Its reports are still taken.
    pub fn abandon_refer(&mut self, now: Instant, id: LegId) {
        if let Some(Refer::Sent { branch }) = self.legs.get(&id).and_then(|leg| leg.refer.as_ref())
        {
            self.transactions.abandon(now, *branch);
        }
    }

    /// The REFER that waits for an answer.
    pub fn referred(&self, id: LegId) -> Option<&Request> {
        match self.legs.get(&id)?.refer.as_ref()? {
            Refer::Received { request, .. } => Some(request),
            Refer::Sent { .. } | Refer::Notifying => None,
        }
    }

    /// Accepts the peer's REFER: 202. The reports that follow are the user's to send.
    pub fn accept_refer(&mut self, now: Instant, id: LegId) {
        self.answer_refer(now, id, 202, Some(Refer::Notifying));
    }

    /// Refuses the peer's REFER.
    pub fn refuse_refer(&mut self, now: Instant, id: LegId, status: u16) {
        self.answer_refer(now, id, status, None);
    }

    /// Reports how the call that the peer asked for stands: the status line of its answer. With
    /// `last` the subscription ends. Without a status the body is left out, as some phones do.
    pub fn notify(&mut self, now: Instant, id: LegId, status: Option<u16>, last: bool) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        if !matches!(leg.refer, Some(Refer::Notifying)) || !matches!(leg.state, State::Established)
        {
            return;
        }
        if last {
            leg.refer = None;
        }
        let seq = leg.dialog.next_seq();
        let mut writer = leg.dialog.request(Method::Notify, seq, branch, &self.identity);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        writer.header("Event", "refer");
        let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
        writer.header("Subscription-State", state);
        let bytes = match status {
            Some(status) => {
                let line = format!("SIP/2.0 {status} {}\r\n", sip::reason_phrase(status));
                writer.body("message/sipfrag;version=2.0", line.as_bytes())
            }
            None => writer.finish(),
        };
        let hop = leg.hop.clone();
        let owner = Owner { leg: id, purpose: Purpose::Courtesy };
        // A report without room is lost; the subscriber lives with lost reports anyway.
        let _ = self.transactions.request(now, branch, Method::Notify, hop, bytes, owner);
    }

    fn answer_refer(&mut self, now: Instant, id: LegId, status: u16, next: Option<Refer>) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(Refer::Received { key, request, source }) = leg.refer.take() else { return };
        leg.refer = next;
        let mut response = sip::respond(&request, status, "", source);
        response.header("Contact", format_args!("<{}>", self.identity.contact));
        self.respond(now, key, response, status);
    }

    pub(super) fn on_refer(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        // RFC 3515 §2.4.2: exactly one Refer-To. One REFER at a time is all we keep.
        let status = match (&leg.state, &leg.refer) {
            _ if request.values(Name::ReferTo).count() != 1 => 400,
            (State::Established, None) => {
                leg.refer = Some(Refer::Received { key, request: Box::new(request), source });
                return self.tell(id, Event::Referred(id));
            }
            (State::Established, Some(_)) => 491,
            (State::Inviting { .. } | State::Invited { .. } | State::Closing, _) => 481,
        };
        self.refuse_request(now, key, &request, source, status);
    }

    /// A report on our REFER. It is read without its `id`, for phones leave it out or not, and also
    /// when the leg is closing, for the last report and our BYE often cross.
    pub(super) fn on_notify(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let status = match request.text(Name::Event).map(sip::Event::parse) {
            Some(Ok(event)) if event.package.eq_ignore_ascii_case("refer") => {
                if matches!(leg.refer, Some(Refer::Sent { .. })) { 200 } else { 481 }
            }
            // The other party's, who may have subscribed.
            Some(Ok(_)) => return self.on_inside(now, id, key, request, source),
            _ => 489,
        };
        self.refuse_request(now, key, &request, source, status);
        if status == 200 {
            let report = sip::sipfrag::parse(request.body()).map(|(status, reason)| {
                Failure::ours(FailureKind::Answered, status, &String::from_utf8_lossy(reason))
            });
            // RFC 6665 §4.1.2: the subscription ends when the notifier says so.
            let state = request.text(Name::SubscriptionState).map(sip::SubscriptionState::parse);
            if matches!(state, Some(Ok(state)) if state.state.eq_ignore_ascii_case("terminated"))
                && let Some(leg) = self.legs.get_mut(&id)
            {
                leg.refer = None;
            }
            self.tell(id, Event::Notified(id, report));
        }
    }
}
