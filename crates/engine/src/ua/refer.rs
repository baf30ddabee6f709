//! REFER in a dialog and the subscription it makes (RFC 3515, RFC 6665), both roles.

use std::net::SocketAddr;
use std::time::Instant;

use sip::{Method, Name, Request};

use super::leg::{Refer, State};
use super::{Event, Failure, FailureKind, LegId, Owner, Purpose, UserAgent};
use crate::limits::REPORT_TIMEOUT;
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
        leg.drop_own_refer();
        leg.refer = Some(Refer::Sent { branch, seq, awaited: true });
        let (hop, bytes) = (leg.hop.clone(), writer.finish());
        let owner = Owner { leg: id, purpose: Purpose::Refer };
        if self.transactions.request(now, branch, Method::Refer, hop, bytes, owner).is_err() {
            self.tell(id, Event::ReferAnswered(id, Err(Failure::unreachable())));
        }
    }

    /// Stops asking, and waiting. The peer's reports are still taken, until it sends a REFER itself.
    pub fn abandon_refer(&mut self, now: Instant, id: LegId) {
        let refer = self.legs.get_mut(&id).and_then(|leg| leg.refer.as_mut());
        if let Some(Refer::Sent { branch, awaited, .. }) = refer {
            *awaited = false;
            self.transactions.abandon(now, *branch);
        }
    }

    /// Wants to hear no more of our REFER: whatever the peer still reports is answered 481, which
    /// ends the subscription there, too (RFC 6665 §4.1.3).
    pub fn forget_refer(&mut self, now: Instant, id: LegId) {
        self.abandon_refer(now, id);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.drop_own_refer();
        }
    }

    /// The REFER that waits for an answer, and where it came from.
    pub fn referred(&self, id: LegId) -> Option<(&Request, SocketAddr)> {
        match self.legs.get(&id)?.refer.as_ref()? {
            Refer::Received { request, source, .. } => Some((request, *source)),
            Refer::Sent { .. } | Refer::Notifying { .. } => None,
        }
    }

    /// Accepts the peer's REFER: 202. The reports that follow are the user's to send.
    pub fn accept_refer(&mut self, now: Instant, id: LegId) {
        self.answer_refer(now, id, 202);
    }

    /// Refuses the peer's REFER.
    pub fn refuse_refer(&mut self, now: Instant, id: LegId, status: u16) {
        self.answer_refer(now, id, status);
    }

    /// Reports how the call that the peer asked for stands: the status line of its answer. With
    /// `last` the subscription ends. Without a status the body is left out, as some phones do.
    pub fn notify(&mut self, now: Instant, id: LegId, status: Option<u16>, last: bool) {
        let branch = self.ids.branch();
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let (Some(Refer::Notifying { id: package_id }), State::Established) =
            (&leg.refer, &leg.state)
        else {
            return;
        };
        // RFC 3515 §2.4.6: a second REFER in a dialog is told from the first by its number.
        let event = package_id.map_or("refer".to_owned(), |id| format!("refer;id={id}"));
        if last {
            leg.refer = None;
        }
        let seq = leg.dialog.next_seq();
        let mut writer = leg.dialog.request(Method::Notify, seq, branch, &self.identity);
        writer.header("Contact", format_args!("<{}>", self.identity.contact));
        writer.header("Event", event);
        match last {
            true => writer.header("Subscription-State", "terminated;reason=noresource"),
            false => writer.header(
                "Subscription-State",
                format_args!("active;expires={}", REPORT_TIMEOUT.as_secs()),
            ),
        };
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

    fn answer_refer(&mut self, now: Instant, id: LegId, status: u16) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let Some(Refer::Received { key, request, source }) =
            leg.refer.take_if(|refer| matches!(refer, Refer::Received { .. }))
        else {
            return;
        };
        // RFC 4488 §4: the peer wants no reports, and there is no subscription.
        let unwatched = request.text(Name::ReferSub).is_some_and(|value| {
            value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false")
        });
        if status < 300 && !unwatched {
            let number = std::mem::replace(&mut leg.was_referred, true);
            leg.refer = Some(Refer::Notifying { id: number.then_some(request.cseq().number) });
        }
        let mut response = sip::respond(&request, status, "", source);
        response.header("Contact", format_args!("<{}>", self.identity.contact));
        if status < 300 && unwatched {
            response.header("Refer-Sub", "false");
        }
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
            (State::Established, None | Some(Refer::Sent { awaited: false, .. })) => {
                leg.drop_own_refer();
                leg.refer = Some(Refer::Received { key, request: Box::new(request), source });
                return self.tell(id, Event::Referred(id));
            }
            (State::Established, Some(_)) => 491,
            (State::Inviting { .. } | State::Invited { .. } | State::Closing, _) => 481,
        };
        self.refuse_request(now, key, &request, source, status);
    }

    /// A report on our REFER: its `id`, which phones leave out or not, must not name another one. One
    /// without is believed only if it can be of no other (RFC 3515 §2.4.6). It is read also when the leg
    /// is closing, for the last report and our BYE often cross.
    pub(super) fn on_notify(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        // RFC 6665 §4.1.2: the subscription ends when the notifier says so.
        let state = request.text(Name::SubscriptionState).map(sip::SubscriptionState::parse);
        let is_last =
            matches!(state, Some(Ok(state)) if state.state.eq_ignore_ascii_case("terminated"));
        let mut is_doubtful = false;
        let status = match request.text(Name::Event).map(sip::Event::parse) {
            Some(Ok(event)) if event.package.eq_ignore_ascii_case("refer") => {
                let is_of = |seq: u32| event.id.is_none_or(|id| id.parse() == Ok(seq));
                is_doubtful = event.id.is_none() && leg.unreported > 0;
                leg.unreported -= u32::from(is_doubtful && is_last);
                match leg.refer {
                    Some(Refer::Sent { seq, .. }) if is_of(seq) => 200,
                    _ => 481,
                }
            }
            // The other party's, who may have subscribed.
            Some(Ok(_)) => return self.on_inside(now, id, key, request, source),
            _ => 489,
        };
        self.refuse_request(now, key, &request, source, status);
        if status == 200 && !is_doubtful {
            let report = sip::sipfrag::parse(request.body()).map(|(status, reason)| {
                Failure::ours(FailureKind::Answered, status, &String::from_utf8_lossy(reason))
            });
            if is_last && let Some(leg) = self.legs.get_mut(&id) {
                leg.refer = None;
            }
            self.tell(id, Event::Notified(id, report));
        }
    }
}
