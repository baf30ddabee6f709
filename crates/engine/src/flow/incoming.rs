//! A call that a phone placed: passed on to whom it means, answer for answer. Also the second half
//! of a `CallStart` by REFER.
//!
//! ```text
//!  caller         engine         callee
//!    |--INVITE----->|               |
//!    |<-100---------|--INVITE------>|
//!    |<-180---------|<-180----------|
//!    |<-200 OK------|<-200 OK-------|
//!    |              |--ACK--------->|
//!    |--ACK-------->|               |
//! ```

use std::sync::Arc;
use std::time::Instant;

use sip::{Name, NameAddr, Uri};

use crate::call::{Call, CallKey, State};
use crate::description::Role;
use crate::dialog::address;
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{CommandId, Event, Side, Step};
use crate::flow::start::{StartRequest, hung_up};
use crate::limits::RING_TIMEOUT;
use crate::ua::{self, Cause, Failure, Invite, LegId, ServerKey};
use crate::watch::{Change, Ending, Party, Reached};

/// Where an INVITE goes, or why it does not.
struct Destination {
    uri: String,
    /// The `CallStart` that the INVITE is the second half of, and what it asks for.
    start: Option<(CommandId, StartRequest)>,
}

impl Engine {
    /// Somebody calls.
    pub(crate) fn on_incoming(&mut self, now: Instant, caller: LegId) {
        let Some(call_id) = self.ua.call_id(caller) else { return };
        let destination = match self.destination(caller, &call_id) {
            Ok(destination) => destination,
            Err(status) => return self.ua.reject(now, caller, status),
        };
        let Some((request, _)) = self.ua.invitation(caller) else { return };
        let request = request.clone();
        let (command, asked) = destination.start.unzip();
        // The caller is known by the URI it was called at, not by what its phone says.
        let calling = asked.as_ref().map_or(request.from().uri, |asked| &asked.caller);
        let from = address(&NameAddr { uri: calling, ..request.from() });
        let headers = asked.as_ref().map(|asked| asked.headers.clone()).unwrap_or_default();
        let to = address(&NameAddr { uri: &destination.uri, display: b"", ..request.to() });
        let max_forwards = request.number(Name::MaxForwards).unwrap_or(70).saturating_sub(1);
        let offer = request.body();
        let parties =
            [Party::new(calling, Reached::Calling), Party::new(&destination.uri, Reached::Calling)];
        let mut call = Call::new(call_id.clone(), caller, now + RING_TIMEOUT, parties);
        let offer = Some(call.pass(Side::Callee, offer, Role::Offer)).filter(|sdp| !sdp.is_empty());
        call.start = command;
        let key = self.add_call(call);
        self.set_role(caller, key, Side::Caller);
        if let Some(command) = command {
            self.on_call_placed(command, key);
        }
        let hop = self.route(&destination.uri);
        let uri = &destination.uri;
        let invite = Invite {
            uri,
            from: &from,
            to: &to,
            call_id: Some(call_id),
            hop,
            max_forwards,
            offer,
            headers: &headers,
            passed: Some(&request),
        };
        self.call_callee(now, key, invite);
    }

    /// Calls the callee of a call.
    pub(crate) fn call_callee(&mut self, now: Instant, key: CallKey, invite: Invite<'_>) {
        let callee = self.ua.invite(now, invite);
        self.set_role(callee, key, Side::Callee);
        if let Some(call) = self.calls.get_mut(&key) {
            call.callee = Some(callee);
        }
    }

    /// Decides on an INVITE, with the status that refuses it.
    fn destination(&mut self, leg: LegId, call_id: &Arc<str>) -> Result<Destination, u16> {
        let Some((request, source)) = self.ua.invitation(leg) else { return Err(500) };
        let Ok(uri) = Uri::parse(request.uri()) else { return Err(400) };
        if self.is_us(&uri) {
            let user = uri.user.unwrap_or_default().to_owned();
            let (command, request) = self.take_one_time(&user, call_id).ok_or(404_u16)?;
            let uri = request.callee.clone();
            return Ok(Destination { uri, start: Some((command, request)) });
        }
        // RFC 3261 §16.3: what has come too far goes no further.
        if request.number(Name::MaxForwards) == Some(0) {
            return Err(483);
        }
        let from_next_hop = matches!(&self.next_hop, Some(crate::transaction::Hop::Address(hop)) if hop.ip() == source.ip());
        if !self.config.open && !from_next_hop {
            return Err(403);
        }
        if !self.has_room() {
            return Err(503);
        }
        if self.route(request.uri()).is_none() {
            return Err(416);
        }
        Ok(Destination { uri: request.uri().to_owned(), start: None })
    }

    /// Something happened to a party of a call.
    pub(crate) fn on_party(&mut self, now: Instant, key: CallKey, side: Side, event: ua::Event) {
        match event {
            ua::Event::Progress(_, response) => self.on_callee_progress(now, key, &response),
            ua::Event::Answered(_, response) => self.on_callee_answered(now, key, &response),
            ua::Event::Acknowledged(_, body) => self.on_acknowledged(now, key, side, &body),
            ua::Event::Offered(leg) => self.pass_offer(now, key, side, leg),
            ua::Event::OfferAccepted(_, response) => {
                self.on_offer_accepted(now, key, side, response.body())
            }
            ua::Event::OfferRefused(_, failure) => self.on_offer_refused(now, key, side, failure),
            ua::Event::Referred(leg) => self.ua.refuse_refer(now, leg, 603),
            ua::Event::Inside(leg, request) => self.pass_inside(now, key, side, leg, request),
            // The phone of a `CallStart` that was bridged after all.
            ua::Event::ReferAnswered(..) | ua::Event::Notified(..) => {}
            ua::Event::Incoming(_) | ua::Event::Ended(..) | ua::Event::Request { .. } => {}
        }
    }

    /// A request that is meant for the other party.
    fn pass_inside(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        leg: LegId,
        request: ServerKey,
    ) {
        match self.calls.get(&key).and_then(|call| call.leg(side.other())) {
            Some(other) => self.ua.pass(now, leg, request, other),
            None => self.ua.answer_inside(now, leg, request, 480),
        }
    }

    fn on_callee_progress(&mut self, now: Instant, key: CallKey, response: &sip::Response) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (start, call_id) = (call.start, call.call_id.clone());
        let bridged = call.caller_session.is_some();
        if let Some(caller) = call.caller.filter(|_| !bridged) {
            let sdp = call.pass(Side::Caller, response.body(), Role::Answer);
            self.ua.progress(now, caller, response.status, &sdp, Some(response));
        }
        if let Some(command) = start {
            let step = if response.body().is_empty() { Step::Ringing } else { Step::EarlyMedia };
            self.progress(command, Side::Callee, &call_id, step);
        }
        let media = !response.body().is_empty();
        self.tell_callee(key, if media { Reached::EarlyMedia } else { Reached::Ringing });
    }

    fn on_callee_answered(&mut self, now: Instant, key: CallKey, response: &sip::Response) {
        let body = response.body();
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.caller_session.is_some() {
            return self.join_caller(now, key, body);
        }
        call.state = State::Answered;
        let sdp = call.pass_reply(Side::Callee, body);
        let (caller, start, call_id) = (call.caller, call.start, call.call_id.clone());
        if let Some(caller) = caller {
            self.ua.accept(now, caller, &sdp, Some(response));
        }
        if let Some(command) = start {
            self.progress(command, Side::Callee, &call_id, Step::Answered);
        }
        self.tell_callee(key, Reached::Answered);
    }

    /// A party acknowledged our 2xx; its answer, if it owed one, goes to the other.
    fn on_acknowledged(&mut self, now: Instant, key: CallKey, side: Side, body: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (other, start) = (call.leg(side.other()), call.start);
        let first = call.state == State::Answered;
        if first {
            call.state = State::Established;
        }
        let answer = call.pass(side.other(), body, Role::Answer);
        if let Some(other) = other {
            self.ua.acknowledge(now, other, &answer);
        }
        if first {
            self.tell(key, Change::Established);
        }
        if let Some(command) = start.filter(|_| first) {
            self.on_call_up(now, command);
        }
        self.advance_hold(now, key);
    }

    /// A party's leg is no more: neither is the call.
    pub(crate) fn on_party_ended(&mut self, now: Instant, key: CallKey, side: Side, cause: Cause) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.clear(side);
        if call.state == State::Ending {
            if call.is_over() {
                self.forget_call(key);
            }
            return;
        }
        call.ending = Some(Ending::by_party(side, &cause));
        let failure = match cause {
            Cause::Refused(failure) | Cause::Lost(failure) => failure,
            Cause::Cancelled | Cause::Released => hung_up(None),
            Cause::Bye(q850) => hung_up(q850),
        };
        self.take_down(now, key, Error::Party(side, failure));
    }

    pub(crate) fn on_call_timeout(&mut self, now: Instant, key: CallKey) {
        if self.calls.get(&key).is_some_and(|call| call.state == State::Ending) {
            return self.give_up_ends(now, key);
        }
        if self.calls.get(&key).is_some_and(|call| call.hold.is_some()) {
            return self.on_hold_timeout(now, key);
        }
        self.take_down(now, key, Error::Party(Side::Callee, Failure::timed_out()));
    }

    /// Ends a call: the legs that are still there, and the `CallStart` that was about to be proud
    /// of it. An unanswered caller is told why.
    pub(crate) fn take_down(&mut self, now: Instant, key: CallKey, error: Error) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.state != State::Ending) else {
            return;
        };
        call.state = State::Ending;
        call.ending.get_or_insert_with(|| Ending::of(&error));
        let (caller, callee, start) = (call.caller, call.callee, call.start.take());
        let hold = call.hold.take().and_then(|hold| hold.command());
        let status = match &error {
            Error::Party(Side::Callee, failure) => told(failure.status),
            Error::Party(Side::Caller, _)
            | Error::NoSuchCall
            | Error::Ambiguous(_)
            | Error::InvalidState(_)
            | Error::Superseded => 487,
            Error::Full | Error::Bug => 500,
        };
        for leg in [caller, callee].into_iter().flatten() {
            self.ua.hang_up(now, leg, status);
        }
        self.tell(key, Change::Ending);
        if let Some(command) = hold {
            self.report(Event::Done(command, Err(error.clone())));
        }
        if caller.is_none() && callee.is_none() {
            self.forget_call(key);
        }
        if let Some(command) = start {
            self.fail_start(now, command, error);
        }
    }
}

/// What an unanswered caller is told when the callee's side failed like this. A redirection or a
/// challenge is between the callee's side and us.
fn told(status: u16) -> u16 {
    match status {
        300..=399 => 480,
        401 | 407 => 403,
        _ => status,
    }
}
