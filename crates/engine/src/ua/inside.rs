//! Requests inside a dialog that neither offer nor end anything (INFO, MESSAGE, NOTIFY): our user
//! says which other leg they are meant for, and the answer finds its own way back.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use sip::{Headers, Method, Name, Request, Response, Writer};

use super::leg::State;
use super::{Event, Failure, FailureKind, LegId, Owner, Purpose, UserAgent};
use crate::limits::MAX_PASSING;
use crate::passing::{copy_passed, told};
use crate::transaction::ServerKey;

/// A request that waits for its answer from elsewhere.
pub(super) struct Passing {
    pub(super) key: ServerKey,
    pub(super) request: Request,
    pub(super) source: SocketAddr,
}

impl UserAgent {
    /// A request inside a leg's dialog that waits for an answer.
    pub fn inside(&self, id: LegId, key: ServerKey) -> Option<&Request> {
        self.passing(id, key).map(|passing| &passing.request)
    }

    /// Sends a request of our own inside a dialog. Nothing depends on its answer.
    pub fn send_inside(
        &mut self,
        now: Instant,
        id: LegId,
        method: Method,
        content_type: &str,
        body: &[u8],
    ) {
        let branch = self.ids.branch();
        let leg = self.legs.get_mut(&id).filter(|leg| matches!(leg.state, State::Established));
        let Some(leg) = leg else { return };
        let seq = leg.dialog.next_seq();
        let writer = leg.dialog.request(method, seq, branch, &self.identity);
        let (hop, bytes) = (leg.hop.clone(), writer.body(content_type, body));
        let owner = Owner { leg: id, purpose: Purpose::Courtesy };
        // Without room it is lost, as nothing depends on it.
        let _ = self.transactions.request(now, branch, method, hop, bytes, owner);
    }

    /// Passes a request of one leg on to another leg. Its answer is passed back.
    pub fn pass(&mut self, now: Instant, from: LegId, key: ServerKey, to: LegId) {
        let branch = self.ids.branch();
        let Some(request) = self.passing(from, key).map(|passing| passing.request.clone()) else {
            return;
        };
        let leg = self.legs.get_mut(&to).filter(|leg| matches!(leg.state, State::Established));
        // Not 481, which would end the sender's own dialog (RFC 3261 §12.2.1.2).
        let Some(leg) = leg else { return self.answer_inside(now, from, key, 480) };
        let seq = leg.dialog.next_seq();
        let mut writer = leg.dialog.request(request.method, seq, branch, &self.identity);
        if request.method == Method::Notify {
            writer.header("Contact", format_args!("<{}>", self.identity.contact));
        }
        copy_passed(&mut writer, &request);
        let (hop, bytes) = (leg.hop.clone(), with_body_of(writer, &request));
        let owner = Owner { leg: to, purpose: Purpose::Pass { from, key } };
        if self.transactions.request(now, branch, request.method, hop, bytes, owner).is_err() {
            self.answer_inside(now, from, key, 503);
        }
    }

    /// Answers a request that came inside a leg's dialog, without a body.
    pub fn answer_inside(&mut self, now: Instant, id: LegId, key: ServerKey, status: u16) {
        if let Some(Passing { key, request, source }) = self.take_passing(id, key) {
            self.refuse_request(now, key, &request, source, status);
        }
    }

    pub(super) fn on_inside(
        &mut self,
        now: Instant,
        id: LegId,
        key: ServerKey,
        request: Request,
        source: SocketAddr,
    ) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let status = match leg.state {
            _ if leg.released || matches!(leg.state, State::Closing) => 481,
            _ if leg.passing.len() >= MAX_PASSING => 500,
            _ => {
                leg.passing.push(Passing { key, request, source });
                return self.events.push_back(Event::Inside(id, key));
            }
        };
        self.refuse_request(now, key, &request, source, status);
    }

    /// The answer to a request that was passed on.
    pub(super) fn on_passed(
        &mut self,
        now: Instant,
        from: LegId,
        key: ServerKey,
        response: &Response,
    ) {
        let Some(Passing { key, request, source }) = self.take_passing(from, key) else { return };
        let status = told(response.status);
        let mut answer = sip::respond(&request, status, "", source);
        copy_passed(&mut answer, response);
        let bytes = with_body_of(answer, response);
        self.transactions.respond(now, key, status, bytes);
    }

    /// There is no answer to a request that was passed on. Then its sender gets none either: its own
    /// timer ends at the same time, and RFC 4320 §4.2 forbids a 408 here.
    pub(super) fn on_pass_failed(
        &mut self,
        now: Instant,
        from: LegId,
        key: ServerKey,
        failure: &Failure,
    ) {
        match failure.kind {
            FailureKind::TimedOut => drop(self.take_passing(from, key)),
            FailureKind::Answered | FailureKind::Unreachable => {
                self.answer_inside(now, from, key, failure.status);
            }
        }
    }

    fn passing(&self, id: LegId, key: ServerKey) -> Option<&Passing> {
        self.legs.get(&id)?.passing.iter().find(|passing| passing.key == key)
    }

    fn take_passing(&mut self, id: LegId, key: ServerKey) -> Option<Passing> {
        let passing = &mut self.legs.get_mut(&id)?.passing;
        let at = passing.iter().position(|passing| passing.key == key)?;
        Some(passing.swap_remove(at))
    }
}

/// Ends a message with the body of another one.
fn with_body_of(writer: Writer, other: &Headers) -> Bytes {
    match other.text(Name::ContentType) {
        Some(content_type) if !other.body().is_empty() => writer.body(content_type, other.body()),
        _ => writer.finish(),
    }
}
