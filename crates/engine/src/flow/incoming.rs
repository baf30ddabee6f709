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
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::{Name, NameAddr, Request, Uri};

use crate::call::{Call, CallKey, Errand, State};
use crate::description::{Description, Role};
use crate::dialog::address;
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Event, Side, Step};
use crate::flow::fork::Fork;
use crate::flow::transfer::{Place, Way};
use crate::limits::{MAX_PASSES, RING_TIMEOUT};
use crate::passing::{Parting, told};
use crate::registrar::Refusal;
use crate::ua::{self, Cause, Failure, Invite, LegId, ServerKey};
use crate::watch::{Change, Ending, Party, Reached};

/// What becomes of an INVITE.
enum Destination {
    /// It goes where its request URI says, with these headers beside its own.
    Uri(String, Vec<(String, String)>),
    /// A phone was asked to place it: for this, and it goes there.
    Asked(Errand, Way),
    /// It takes the place of another one (RFC 3891).
    Place(Place),
}

impl Engine {
    /// Somebody calls.
    pub(crate) fn on_incoming(&mut self, now: Instant, caller: LegId) {
        let Some(call_id) = self.ua.call_id(caller) else { return };
        let destination = match self.destination(now, caller, &call_id) {
            Ok(destination) => destination,
            Err(Refusal { status, headers }) => {
                return self.ua.reject_with(now, caller, status, &headers);
            }
        };
        let Some((request, _)) = self.ua.invitation(caller) else { return };
        let request = request.clone();
        // The caller is known by the URI it was called at, not by what its phone says.
        let (errand, way) = match destination {
            Destination::Place(Place::Party(key, side)) => {
                return self.take_place(now, caller, key, side);
            }
            Destination::Place(Place::Ringing(role)) => return self.pick_up(now, caller, role),
            Destination::Asked(errand, way) => (Some(errand), way),
            Destination::Uri(uri, headers) => (
                None,
                Way { uri, hop: None, source: None, headers, caller: request.from().uri.into() },
            ),
        };
        let from = address(&NameAddr { uri: &way.caller, ..request.from() });
        let to = address(&NameAddr { uri: &way.uri, display: b"", ..request.to() });
        let max_forwards = request.number(Name::MaxForwards).unwrap_or(70).saturating_sub(1);
        let offer = request.body();
        let parties =
            [Party::new(&way.caller, Reached::Calling), Party::new(&way.uri, Reached::Calling)];
        let patience = lifetime(&request).unwrap_or(RING_TIMEOUT);
        let mut call = Call::new(call_id.clone(), caller, now + patience, parties);
        let offer = Some(call.pass(Side::Callee, offer, Role::Offer)).filter(|sdp| !sdp.is_empty());
        call.errand = errand;
        let key = self.add_call(call);
        self.set_role(caller, key, Side::Caller);
        match errand {
            Some(Errand::Start(command)) => self.on_call_placed(command, key),
            Some(Errand::Transfer(transfer)) => self.on_referred_call_placed(transfer, key),
            None => {}
        }
        let invite = Invite {
            uri: &way.uri,
            from: &from,
            to: &to,
            call_id: Some(call_id),
            hop: way.hop,
            max_forwards,
            offer,
            headers: &way.headers,
            passed: Some(&request),
            reliable: ua::takes_reliable(&request),
        };
        self.call_callee(now, key, &invite);
        // Its Contact leads nowhere: another call has shown where it is.
        if let (Some(source), Some(call)) = (way.source, self.calls.get(&key)) {
            call.fork.legs().for_each(|leg| self.ua.pin(leg, source));
        }
    }

    /// Calls the callee of a call, on all phones there are.
    pub(crate) fn call_callee(&mut self, now: Instant, key: CallKey, invite: &Invite<'_>) {
        let legs = match self.call_all(now, invite) {
            Ok(legs) => legs,
            Err(failure) => {
                return self.take_down(now, key, Error::Party(Side::Callee, failure));
            }
        };
        for leg in &legs {
            self.set_role(*leg, key, Side::Callee);
        }
        let call_id = legs.first().and_then(|leg| self.ua.call_id(*leg));
        if let Some(call) = self.calls.get_mut(&key) {
            call.fork = Fork::of(legs);
        }
        if let Some(call_id) = call_id {
            self.bring_name(key, Side::Callee, call_id);
        }
    }

    /// Decides on an INVITE.
    fn destination(
        &mut self,
        now: Instant,
        leg: LegId,
        call_id: &Arc<str>,
    ) -> Result<Destination, Refusal> {
        let Some((request, _)) = self.ua.invitation(leg) else { return Err(500.into()) };
        let Ok(uri) = Uri::parse(request.uri()) else { return Err(400.into()) };
        let (text, is_us) = (request.uri().to_owned(), self.is_us(&uri));
        let is_ours = is_us && uri.scheme == sip::Scheme::Sip;
        // RFC 3261 §16.3: what has come too far goes no further.
        let is_tired = request.number(Name::MaxForwards) == Some(0);
        let user = uri.user.filter(|_| is_us).map(str::to_owned);
        if let Some(errand) = user.and_then(|user| self.take_one_time(&user)) {
            let way = match errand {
                Errand::Start(command) => self.take_started_call(command, call_id),
                Errand::Transfer(transfer) => self.take_referred_call(transfer, call_id),
            };
            return way.map(|way| Destination::Asked(errand, way)).ok_or(481.into());
        }
        if is_tired {
            return Err(483.into());
        }
        self.admit(now, leg)?;
        if !self.has_room() {
            return Err(503.into());
        }
        if self.by_call_id.get(call_id).is_some_and(|calls| calls.len() >= MAX_PASSES) {
            return Err(482.into());
        }
        if let Some(place) = self.replaced_party(leg, is_ours)? {
            return Ok(Destination::Place(place));
        }
        if !is_ours && self.route(&text).is_none() {
            return Err(416.into());
        }
        Ok(Destination::Uri(text, self.replaces_elsewhere(leg)))
    }

    /// The errand of a URI that works once.
    fn take_one_time(&mut self, user: &str) -> Option<Errand> {
        let token = u64::from_str_radix(user, 16).ok().filter(|_| user.len() == 16)?;
        self.one_time.remove(&token)
    }

    /// Something happened to a party of a call.
    pub(crate) fn on_party(&mut self, now: Instant, key: CallKey, side: Side, event: ua::Event) {
        match event {
            ua::Event::Progress(leg, response, sdp) => {
                self.on_callee_progress(now, key, leg, &response, sdp);
            }
            ua::Event::AnsweredEarly(_, answer) => self.on_answered_early(now, key, &answer),
            ua::Event::Answered(leg, response, sdp) => {
                self.on_callee_answered(now, key, leg, &response, &sdp);
            }
            ua::Event::Acknowledged(_, body) => self.on_acknowledged(now, key, side, &body),
            ua::Event::Offered(leg) => self.pass_offer(now, key, side, leg),
            ua::Event::OfferCancelled(_) => self.pass_cancel(now, key, side),
            ua::Event::OfferAccepted(_, response) => {
                self.on_offer_accepted(now, key, side, &response)
            }
            ua::Event::OfferRefused(_, failure) => self.on_offer_refused(now, key, side, failure),
            ua::Event::RefreshDue(leg) => self.refresh_session(now, key, side, leg),
            ua::Event::Referred(leg) => self.on_phone_refer(now, key, side, leg),
            ua::Event::Inside(leg, request) => self.pass_inside(now, key, side, leg, request),
            ua::Event::ReferAnswered(..) | ua::Event::Notified(..) => {
                self.on_referral(now, key, side, &event);
            }
            ua::Event::Incoming(_)
            | ua::Event::Redirected(..)
            | ua::Event::Ended(..)
            | ua::Event::Registered(_)
            | ua::Event::Request { .. } => {}
        }
        self.tell_held(key);
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

    fn on_callee_progress(
        &mut self,
        now: Instant,
        key: CallKey,
        leg: LegId,
        response: &sip::Response,
        sdp: Bytes,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (errand, call_id) = (call.errand, call.call_id.clone());
        let media = if sdp.is_empty() { Reached::Ringing } else { Reached::EarlyMedia };
        if self.ua.has_agreed(leg) && !sdp.is_empty() {
            call.has(Side::Callee).accepted();
        }
        // One dialog can have one answer only (RFC 3261 §13.2.1): that of the phone that answers.
        let sdp = if call.fork.is_wide() { Bytes::new() } else { sdp };
        if self.ua.owes_answer(leg) {
            self.pass_early_offer(now, key, leg, response, &sdp);
        } else {
            self.pass_progress(now, key, response, &sdp);
        }
        if let Some(errand) = errand {
            let step = if sdp.is_empty() { Step::Ringing } else { Step::EarlyMedia };
            self.progress(errand, Side::Callee, &call_id, step);
        }
        self.tell_callee(key, media);
    }

    /// The callee rings, with the answer to the caller's offer or without.
    fn pass_progress(&mut self, now: Instant, key: CallKey, response: &sip::Response, sdp: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(caller) = call.caller.filter(|_| !call.joins) {
            // What a caller has agreed to before the answer is changed by an offer only.
            let sdp = if self.ua.has_agreed(caller) { b"" } else { sdp };
            let sdp = call.pass(Side::Caller, sdp, Role::Answer);
            self.ua.progress(now, caller, response.status, &sdp, Some(response));
        }
    }

    /// The callee rings and makes an offer that has to be answered before it goes on (RFC 3262 §5).
    fn pass_early_offer(
        &mut self,
        now: Instant,
        key: CallKey,
        leg: LegId,
        response: &sip::Response,
        offer: &[u8],
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let caller = call.caller.filter(|_| !call.fork.is_wide());
        match caller {
            Some(caller) if call.joins && !self.ua.is_negotiating(caller) => {
                self.join_early(now, key, caller, offer);
            }
            Some(caller) if !call.joins && self.ua.takes_early_offer(caller) => {
                let offer = call.pass(Side::Caller, offer, Role::LateOffer);
                self.ua.progress(now, caller, response.status, &offer, Some(response));
            }
            Some(_) | None => {
                self.defer(now, leg, response.body());
                self.pass_progress(now, key, response, b"");
            }
        }
    }

    /// Nobody is there yet to answer a phone's early offer: it is asked for another one later.
    pub(crate) fn defer(&mut self, now: Instant, leg: LegId, offer: &[u8]) {
        let answer = self.inactive(offer);
        self.ua.defer(now, leg, answer);
    }

    /// A description of our own for a phone that made this offer, or is to have one like it: nothing
    /// flows.
    pub(crate) fn inactive(&mut self, offer: &[u8]) -> Bytes {
        let session_id = self.ua.ids().number() >> 1;
        sip::sdp::inactive_answer(offer, self.config.address.ip(), session_id).into()
    }

    /// The caller answers the offer that its phone got in a provisional answer.
    fn on_answered_early(&mut self, now: Instant, key: CallKey, answer: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let answer = call.pass(Side::Callee, answer, Role::Answer);
        if let Some(callee) = call.only_leg(Side::Callee) {
            self.ua.acknowledge(now, callee, &answer);
        }
    }

    fn on_callee_answered(
        &mut self,
        now: Instant,
        key: CallKey,
        leg: LegId,
        response: &sip::Response,
        sdp: &[u8],
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let picked_up = call.fork.picked_up(leg);
        let is_pickup = picked_up.is_some();
        let others = call.fork.answered(leg);
        call.callee = Some(leg);
        self.stop_ringing(now, others);
        let deferred = || self.ua.deferred(leg).map(Description::of);
        if let (Some(has), Some(call)) = (picked_up.or_else(deferred), self.calls.get_mut(&key)) {
            call.callee_has = has;
        }
        if is_pickup {
            self.on_picked_up(key, leg);
        }
        let has_agreed = self.ua.has_agreed(leg);
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.joins {
            return self.on_joined_callee_answered(now, key, sdp, has_agreed);
        }
        if let Some(caller) = call.caller
            && (is_pickup || self.ua.has_offered_early(caller))
            && self.ua.has_agreed(caller)
            && !sdp.is_empty()
        {
            // The caller has answered another offer than this one: it is to take this one, too.
            self.ua.accept(now, caller, b"", Some(response));
            return self.join_caller(now, key, sdp);
        }
        call.state = State::Answered;
        let sdp = match has_agreed {
            true => call.pass(Side::Caller, sdp, Role::Answer),
            false => call.pass_reply(Side::Callee, sdp),
        };
        let (caller, errand, call_id) = (call.caller, call.errand, call.call_id.clone());
        if let Some(caller) = caller {
            self.ua.accept(now, caller, &sdp, Some(response));
        }
        // A transfer has ended when it says so.
        if let Some(Errand::Start(command)) = errand {
            self.progress(command, Side::Callee, &call_id, Step::Answered);
        }
        self.tell_callee(key, Reached::Answered);
    }

    /// A party acknowledged our 2xx; its answer, if it owed one, goes to the other.
    fn on_acknowledged(&mut self, now: Instant, key: CallKey, side: Side, body: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (other, errand) = (call.leg(side.other()), call.errand);
        // The offer that is being asked about is another one.
        if matches!(call.state, State::Joining { .. }) {
            return self.advance(now, key);
        }
        let first = call.state == State::Answered;
        if first {
            call.state = State::Established;
        }
        if let Some(other) = other {
            let answer = call.pass(side.other(), body, Role::Answer);
            self.ua.acknowledge(now, other, &answer);
        }
        if first {
            self.tell(key, Change::Established);
        }
        if let Some(errand) = errand.filter(|_| first) {
            self.on_errand_up(now, errand);
        }
        self.on_early_refers(now, key);
        self.advance(now, key);
    }

    /// The call that somebody waited for is up.
    pub(crate) fn on_errand_up(&mut self, now: Instant, errand: Errand) {
        match errand {
            Errand::Start(command) => self.on_call_up(now, command),
            Errand::Transfer(transfer) => self.on_referred_call_up(now, transfer),
        }
    }

    /// Takes down the legs to phones that a flow has no more use for.
    pub(crate) fn let_go(&mut self, now: Instant, legs: Vec<LegId>) {
        for leg in legs {
            self.roles.remove(&leg);
            self.ua.hang_up(now, leg, 487);
        }
    }

    /// Lets go of phones that still ring when another one has answered.
    pub(crate) fn stop_ringing(&mut self, now: Instant, legs: Vec<LegId>) {
        for leg in legs {
            self.roles.remove(&leg);
            self.ua.part(now, leg, 487, Some(&Parting::AnsweredElsewhere));
        }
    }

    /// A party's leg is no more: neither is the call, unless other phones of that party ring.
    pub(crate) fn on_party_ended(
        &mut self,
        now: Instant,
        key: CallKey,
        side: Side,
        leg: LegId,
        cause: Cause,
    ) {
        let parting = self.ua.take_farewell(leg);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (forked, ending) = (call.fork.has(leg), Ending::by_party(side, &cause));
        let failure = if forked {
            call.fork.ended(leg, cause)
        } else {
            call.clear(side);
            Some(cause.into_failure())
        };
        if call.state == State::Ending {
            if call.is_over() {
                self.forget_call(key);
            }
            return;
        }
        if let Some(failure) = failure {
            if self.party_left_transfer(now, key, side, &failure, &ending) {
                return;
            }
            let Some(call) = self.calls.get_mut(&key) else { return };
            // Of several phones it is the best refusal that ends the call, not the last one.
            let refused = || Ending::by_party(side, &Cause::Refused(failure.clone()));
            call.ending = Some(if forked { refused() } else { ending });
            self.part(now, key, Error::Party(side, failure), parting);
        }
    }

    /// Tells a caller where else to call, if that is its business.
    fn pass_redirect(&mut self, now: Instant, caller: LegId, failure: &Failure) {
        if !self.config.follow_redirects {
            let contacts = failure.contacts.iter().map(|uri| ("Contact", format!("<{uri}>")));
            let contacts: Vec<_> = contacts.collect();
            self.ua.reject_with(now, caller, failure.status, &contacts);
        }
    }

    pub(crate) fn on_call_timeout(&mut self, now: Instant, key: CallKey) {
        if self.calls.get(&key).is_some_and(|call| call.state == State::Ending) {
            return self.give_up_ends(now, key);
        }
        if self.calls.get(&key).is_some_and(|call| call.hold.is_some()) {
            return self.on_hold_timeout(now, key);
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let invitation = call.caller.and_then(|caller| self.ua.invitation(caller));
        if invitation.is_some_and(|(request, _)| lifetime(request).is_some()) {
            // It is as if its caller took it back.
            call.ending = Some(Ending::by_party(Side::Caller, &Cause::Cancelled));
            return self.take_down(now, key, Error::Party(Side::Caller, Failure::hung_up(None)));
        }
        self.take_down(now, key, Error::Party(Side::Callee, Failure::timed_out()));
    }

    /// Ends a call: the legs that are still there, and the `CallStart` that was about to be proud
    /// of it. An unanswered caller is told why.
    pub(crate) fn take_down(&mut self, now: Instant, key: CallKey, error: Error) {
        self.part(now, key, error, None);
    }

    /// The same, with what the party that ended it said.
    fn part(&mut self, now: Instant, key: CallKey, error: Error, parting: Option<Parting>) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.state != State::Ending) else {
            return;
        };
        call.state = State::Ending;
        call.ending.get_or_insert_with(|| Ending::of(&error));
        let (legs, errand) = (call.legs().collect::<Vec<_>>(), call.errand.take());
        let transfer = call.transfer;
        let hold = call.hold.take().and_then(|hold| hold.command());
        let status = match &error {
            Error::Party(Side::Callee, failure) => told(failure.status),
            Error::Party(Side::Caller, _)
            | Error::Target(_)
            | Error::NoSuchCall
            | Error::Ambiguous(_)
            | Error::InvalidState(_)
            | Error::Superseded => 487,
            Error::Full | Error::Bug => 500,
        };
        if let Error::Party(Side::Callee, failure) = &error
            && !failure.contacts.is_empty()
            // A command's phone would follow, and be in a call when the command has failed.
            && errand.is_none()
            && let Some(caller) = self.calls.get(&key).and_then(|call| call.caller)
        {
            // Those that we were to call were called already, or are the caller's to call.
            self.pass_redirect(now, caller, failure);
        }
        let parting = parting.or_else(|| Parting::of(&error));
        for leg in &legs {
            self.ua.part(now, *leg, status, parting.as_ref());
        }
        self.tell(key, Change::Ending);
        if let Some(command) = hold {
            self.report(Event::Done(command, Err(error.clone())));
        }
        if let Some(transfer) = transfer
            && self.transfers.get(&transfer).is_some_and(|transfer| !transfer.is_releasing())
        {
            self.fail_transfer(now, transfer, error.clone());
        }
        if legs.is_empty() {
            self.forget_call(key);
        }
        match errand {
            Some(Errand::Start(command)) => self.fail_start(now, command, error),
            Some(Errand::Transfer(transfer)) => self.on_referred_call_failed(now, transfer, error),
            None => {}
        }
    }
}

/// How long an INVITE wants to wait for its answer (RFC 3261 §13.3.1), if that is less than we let
/// phones ring.
fn lifetime(request: &Request) -> Option<Duration> {
    let lifetime = Duration::from_secs(request.number(Name::Expires)?.into());
    Some(lifetime).filter(|lifetime| *lifetime < RING_TIMEOUT)
}
