//! `CallStart`: click to dial.
//!
//! With REFER, as RFC 5359 §2.18: the engine calls the caller's phone, and asks it to call a URI
//! that works once and here only; that call is then passed on like any other.
//!
//! ```text
//!  engine         caller         callee
//!    |--INVITE----->|               |      inactive offer, From the callee
//!    |<-200 OK------|               |      CALL_ANSWER (caller)
//!    |--ACK-------->|               |
//!    |--REFER------>|               |
//!    |<-202---------|               |      TRANSFER_ACCEPT
//!    |<-INVITE------|               |      CALL_START
//!    |--INVITE--------------------->|
//!    |<-200 OK----------------------|      CALL_ANSWER (callee)
//!    |--200 OK----->|               |
//!    |--BYE-------->|               |      the helper dialog goes
//! ```
//!
//! A phone that refuses the REFER, or does nothing, is joined to the callee by re-INVITE instead
//! (`bridge`), in mode `auto`; in mode `refer` the command fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::Method;

use crate::call::{CallKey, Errand};
use crate::description::Description;
use crate::engine::{Engine, Role, Waiter};
use crate::error::Error;
use crate::event::{CommandId, Event, Side, Step};
use crate::flow::fork::Fork;
use crate::flow::transfer::Way;
use crate::limits::{REFER_TIMEOUT, RING_TIMEOUT};
use crate::passing::quoted;
use crate::ua::{self, Cause, Failure, Invite, LegId};
use crate::watch::{Party, Reached};

/// The parameters of a `CallStart`. URIs were checked by whoever read them.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// SIP URI that is called first.
    pub caller: String,
    /// SIP URI that the caller is connected with.
    pub callee: String,
    /// SIP URI that the caller's phone shows; the callee's when `None`.
    pub from: Option<String>,
    /// Name that the caller's phone shows.
    pub display: Option<String>,
    /// How the two are connected.
    pub mode: Mode,
    /// Further header lines of the INVITEs to both, name and value.
    pub headers: Vec<(String, String)>,
    /// Whether the caller's phone is asked to answer by itself.
    pub auto_answer: bool,
    /// Time for the whole command. Without it each wait has its own bound.
    pub timeout: Option<Duration>,
}

/// What asks a phone to answer by itself: RFC 5373, and the two that phones knew before it.
const AUTO_ANSWER: [(&str, &str); 3] = [
    ("Answer-Mode", "Auto"),
    ("Call-Info", "<sip:call-api.invalid>;answer-after=0"),
    ("Alert-Info", "<http://call-api.invalid>;info=alert-autoanswer"),
];

/// What asks a phone to answer by itself, beside the client's own headers: where these have one of the
/// name, the client's counts.
fn auto_answer(own: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
    let is_own = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let wanted = AUTO_ANSWER.into_iter().filter(move |(name, _)| !is_own(name));
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// How the caller gets to the callee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// REFER when the caller's phone says it takes it, and bridge when it then does not.
    #[default]
    Auto,
    /// REFER only.
    Refer,
    /// The engine joins the two by re-INVITE.
    Bridge,
}

/// A `CallStart` that is not over.
pub(crate) struct Start {
    pub(crate) request: StartRequest,
    phase: Phase,
    /// The legs to all of the caller's phones, until one answers and becomes `helper`.
    fork: Fork,
    /// Our dialog with the caller's phone, until it becomes a party's leg or goes.
    helper: Option<LegId>,
    helper_call_id: Arc<str>,
    /// What the caller's phone has from us.
    has: Description,
    call: Option<CallKey>,
    /// Call-ID of the call, once the two talk.
    made: Option<Arc<str>>,
    one_time: Option<u64>,
    /// End of the current wait, unless the call itself has one.
    deadline: Option<Instant>,
    /// End of the client's patience.
    give_up: Option<Instant>,
    pub(crate) provisional: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    CallingCaller,
    /// REFER was sent; `accepted` once a 2xx came.
    Referring {
        accepted: bool,
    },
    CallingCallee,
    /// The two talk; the helper dialog is going.
    Releasing,
}

impl Start {
    /// The two it is to connect, as far as they got without a call of their own.
    pub(crate) fn parties(&self) -> [Party; 2] {
        let reached = match self.phase {
            Phase::CallingCaller => Reached::Calling,
            Phase::Referring { .. } | Phase::CallingCallee | Phase::Releasing => Reached::Answered,
        };
        let Self { request: StartRequest { caller, callee, .. }, .. } = self;
        [Party::new(caller, reached), Party::new(callee, Reached::Calling)]
    }

    /// Where a party is called.
    pub(crate) fn uri(&self, side: Side) -> &str {
        match side {
            Side::Caller => &self.request.caller,
            Side::Callee => &self.request.callee,
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        [self.deadline, self.give_up].into_iter().flatten().min()
    }
}

impl Engine {
    /// Starts a call between two participants. Ends with [`Event::Done`].
    pub fn start(&mut self, now: Instant, command: CommandId, request: StartRequest) {
        if !self.has_room() {
            return self.report(Event::Done(command, Err(Error::Full)));
        }
        let session_id = self.ua.ids().number() >> 1;
        let offer = sip::sdp::inactive_audio(self.config.address.ip(), session_id);
        let offer = Bytes::from(offer);
        let shown = request.from.as_deref().unwrap_or(&request.callee);
        let from = match &request.display {
            Some(name) => format!("{} <{shown}>", quoted(name)),
            None => format!("<{shown}>"),
        };
        let mut headers = request.headers.clone();
        if request.auto_answer {
            headers.extend(auto_answer(&request.headers));
        }
        let legs = self.call_all(
            now,
            &Invite {
                uri: &request.caller,
                from: from.as_bytes(),
                to: format!("<{}>", request.caller).as_bytes(),
                call_id: None,
                hop: None,
                max_forwards: 70,
                offer: Some(offer.clone()),
                headers: &headers,
                passed: None,
                reliable: true,
            },
        );
        let legs = match legs {
            Ok(legs) => legs,
            Err(failure) => {
                let error = Error::Party(Side::Caller, failure);
                return self.report(Event::Done(command, Err(error)));
            }
        };
        let call_id = legs.first().and_then(|leg| self.ua.call_id(*leg));
        let helper_call_id = call_id.unwrap_or_default();
        for leg in &legs {
            self.roles.insert(*leg, Role::Helper(command));
        }
        self.helpers.insert(helper_call_id.clone(), command);
        let start = Start {
            give_up: request.timeout.map(|timeout| now + timeout),
            request,
            phase: Phase::CallingCaller,
            fork: Fork::of(legs),
            helper: None,
            helper_call_id,
            has: Description::of(offer),
            call: None,
            made: None,
            one_time: None,
            deadline: Some(now + RING_TIMEOUT),
            provisional: 0,
        };
        self.starts.insert(command, start);
        self.arm_start(command);
        self.run(now);
    }

    /// Something happened in the dialog with the caller's phone.
    pub(crate) fn on_helper(&mut self, now: Instant, command: CommandId, event: ua::Event) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        let call_id = start.helper_call_id.clone();
        match event {
            ua::Event::Progress(_, _, sdp) => {
                let step = if sdp.is_empty() { Step::Ringing } else { Step::EarlyMedia };
                self.progress(command, Side::Caller, &call_id, step);
            }
            ua::Event::Answered(leg, _, sdp) => self.on_caller_answered(now, command, leg, &sdp),
            ua::Event::ReferAnswered(_, Ok(())) => self.on_refer_accepted(now, command),
            ua::Event::ReferAnswered(_, Err(failure)) => {
                if start.phase == (Phase::Referring { accepted: false }) {
                    // Without a dialog there is nobody left to join.
                    let gone = failure.status == 481;
                    self.on_refer_failed(now, command, failure, gone);
                }
            }
            ua::Event::Notified(_, Some(report)) => {
                // It speaks of the call that the phone has placed, once that is here.
                let placed = start.call.and_then(|key| self.calls.get(&key));
                let call_id = placed.map_or(call_id, |call| call.call_id.clone());
                let step = Step::TransferProgress(report.status);
                self.progress(command, Side::Caller, &call_id, step);
                self.on_report(now, command, report);
            }
            // The call has no media yet, whatever the phone would like it to have.
            ua::Event::Offered(leg) => {
                let Some((request, _)) = self.ua.offered(leg) else { return };
                let answer = start.has.reply(request.body());
                self.answer_offer(now, leg, answer);
            }
            ua::Event::RefreshDue(leg) => {
                if !self.ua.is_negotiating(leg)
                    && let Some(offer) = start.has.refresh()
                {
                    self.ua.offer(now, leg, Some(offer));
                }
            }
            ua::Event::OfferAccepted(..) => start.has.took_again(),
            ua::Event::Referred(leg) => self.ua.refuse_refer(now, leg, 603),
            // There is no other party yet.
            ua::Event::Inside(leg, key) => self.ua.answer_inside(now, leg, key, 480),
            ua::Event::Notified(_, None)
            | ua::Event::Incoming(_)
            | ua::Event::AnsweredEarly(..)
            | ua::Event::Redirected(..)
            | ua::Event::Acknowledged(..)
            | ua::Event::OfferCancelled(_)
            | ua::Event::OfferRefused(..)
            | ua::Event::Ended(..)
            | ua::Event::Registered(_)
            | ua::Event::Request { .. } => {}
        }
    }

    fn on_caller_answered(&mut self, now: Instant, command: CommandId, leg: LegId, sdp: &[u8]) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        let others = start.fork.answered(leg);
        start.helper = Some(leg);
        let (call_id, mode) = (start.helper_call_id.clone(), start.request.mode);
        self.stop_ringing(now, others);
        self.progress(command, Side::Caller, &call_id, Step::Answered);
        if sdp.is_empty() {
            // RFC 3264 §5: without an answer there is nothing to talk with.
            let failure = Failure::no_description();
            return self.fail_start(now, command, Error::Party(Side::Caller, failure));
        }
        let takes_refer = self.ua.allow(leg).contains(Method::Refer);
        match mode {
            Mode::Refer => self.refer_caller(now, command, leg),
            Mode::Auto if takes_refer => self.refer_caller(now, command, leg),
            Mode::Auto | Mode::Bridge => self.bridge(now, command),
        }
    }

    fn refer_caller(&mut self, now: Instant, command: CommandId, leg: LegId) {
        let token = self.ua.ids().number();
        let Some(start) = self.starts.get_mut(&command) else { return };
        start.phase = Phase::Referring { accepted: false };
        start.deadline = Some(now + REFER_TIMEOUT);
        start.one_time = Some(token);
        self.one_time.insert(token, Errand::Start(command));
        let refer_to = format!("sip:{token:016x}@{}", self.ua.identity().sent_by);
        let referred_by = start.request.from.clone().unwrap_or(start.request.callee.clone());
        self.arm_start(command);
        self.ua.refer(now, leg, &refer_to, &referred_by);
    }

    fn on_refer_accepted(&mut self, now: Instant, command: CommandId) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        let call_id = start.helper_call_id.clone();
        if start.phase == (Phase::Referring { accepted: false }) {
            start.phase = Phase::Referring { accepted: true };
            start.deadline = Some(now + REFER_TIMEOUT);
            self.arm_start(command);
            self.progress(command, Side::Caller, &call_id, Step::TransferAccepted);
        }
    }

    /// A NOTIFY. Only a failure before the new call reached us tells something we do not see
    /// ourselves; a success is believed when the call is here.
    fn on_report(&mut self, now: Instant, command: CommandId, report: Failure) {
        let Some(start) = self.starts.get(&command) else { return };
        if matches!(start.phase, Phase::Referring { .. }) && report.status >= 300 {
            self.on_refer_failed(now, command, report, false);
        }
    }

    /// The phone will not place the call.
    fn on_refer_failed(&mut self, now: Instant, command: CommandId, failure: Failure, gone: bool) {
        let Some(start) = self.starts.get(&command) else { return };
        match start.request.mode {
            Mode::Auto if !gone && start.helper.is_some() => self.bridge(now, command),
            Mode::Auto | Mode::Refer | Mode::Bridge => {
                self.fail_start(now, command, Error::Party(Side::Caller, failure));
            }
        }
    }

    /// Joins the caller, whose phone stays in the dialog it is in, and the callee.
    fn bridge(&mut self, now: Instant, command: CommandId) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        let Some(caller) = start.helper.take().filter(|leg| self.ua.call_id(*leg).is_some()) else {
            // Its end is on its way to us.
            let failure = Failure::hung_up(None);
            return self.fail_start(now, command, Error::Party(Side::Caller, failure));
        };
        let call_id = start.helper_call_id.clone();
        let accepted = start.phase == (Phase::Referring { accepted: true });
        start.phase = Phase::CallingCallee;
        start.deadline = None;
        let (has, request) = (std::mem::take(&mut start.has), start.request.clone());
        let token = start.one_time.take();
        token.map(|token| self.one_time.remove(&token));
        self.helpers.remove(&call_id);
        self.ua.abandon_refer(now, caller);
        if !accepted {
            self.progress(command, Side::Caller, &call_id, Step::TransferAccepted);
        }
        self.progress(command, Side::Callee, &call_id, Step::CallStarted);
        let key = self.join(now, command, caller, has, &request);
        if let Some(start) = self.starts.get_mut(&command) {
            start.call = Some(key);
        }
        self.arm_start(command);
    }

    /// The caller's phone calls the one-time URI: where that call goes.
    pub(crate) fn take_started_call(
        &mut self,
        command: CommandId,
        call_id: &Arc<str>,
    ) -> Option<Way> {
        let start = self.starts.get_mut(&command)?;
        let accepted = start.phase == (Phase::Referring { accepted: true });
        start.phase = Phase::CallingCallee;
        start.deadline = None;
        start.one_time = None;
        let helper_call_id = start.helper_call_id.clone();
        let request = start.request.clone();
        self.arm_start(command);
        // Its 202 was overtaken by the call itself.
        if !accepted {
            self.progress(command, Side::Caller, &helper_call_id, Step::TransferAccepted);
        }
        self.progress(command, Side::Callee, call_id, Step::CallStarted);
        let StartRequest { caller, callee, headers, .. } = request;
        Some(Way { uri: callee, hop: None, source: None, headers, caller: caller.into() })
    }

    /// The call of a `CallStart` was placed.
    pub(crate) fn on_call_placed(&mut self, command: CommandId, key: CallKey) {
        if let Some(start) = self.starts.get_mut(&command) {
            start.call = Some(key);
        }
    }

    /// The two parties talk: the helper dialog has served.
    pub(crate) fn on_call_up(&mut self, now: Instant, command: CommandId) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        start.phase = Phase::Releasing;
        start.deadline = None;
        // What becomes of the call from here on is no more this command's.
        if let Some(call) = start.call.and_then(|key| self.calls.get_mut(&key)) {
            call.errand = None;
            start.made = Some(call.call_id.clone());
        }
        match start.helper {
            Some(helper) => self.ua.hang_up(now, helper, 487),
            None => self.finish_start(command),
        }
    }

    pub(crate) fn on_helper_ended(
        &mut self,
        now: Instant,
        command: CommandId,
        leg: LegId,
        cause: Cause,
    ) {
        let Some(start) = self.starts.get_mut(&command) else { return };
        if start.fork.has(leg) {
            if let Some(failure) = start.fork.ended(leg, cause) {
                self.fail_start(now, command, Error::Party(Side::Caller, failure));
            }
            return;
        }
        start.helper = None;
        match (start.phase, cause) {
            (Phase::Releasing, _) => self.finish_start(command),
            // A phone may leave this dialog as soon as it has promised, or placed, the call.
            (Phase::CallingCallee | Phase::Referring { accepted: true }, _) => {}
            (_, Cause::Refused(failure) | Cause::Lost(failure)) => {
                self.fail_start(now, command, Error::Party(Side::Caller, failure));
            }
            (_, Cause::Bye(q850)) => {
                self.fail_start(now, command, Error::Party(Side::Caller, Failure::hung_up(q850)));
            }
            (_, Cause::Cancelled | Cause::Released) => {
                self.fail_start(now, command, Error::Superseded);
            }
        }
    }

    pub(crate) fn on_start_timeout(&mut self, now: Instant, command: CommandId) {
        let Some(start) = self.starts.get(&command) else { return };
        let given_up = start.give_up.is_some_and(|at| at <= now);
        let silent = start.deadline.is_some_and(|at| at <= now);
        match start.phase {
            Phase::Referring { .. } if silent && !given_up => {
                self.on_refer_failed(now, command, Failure::timed_out(), false);
            }
            Phase::CallingCaller | Phase::Referring { .. } if silent || given_up => {
                self.fail_start(now, command, Error::Party(Side::Caller, Failure::timed_out()));
            }
            Phase::CallingCallee if given_up => {
                self.fail_start(now, command, Error::Party(Side::Callee, Failure::timed_out()));
            }
            // The two talk; the client need not wait for a phone that is slow to leave the helper.
            Phase::Releasing if given_up => self.finish_start(command),
            _ => {}
        }
    }

    /// Ends a `CallStart` without success, and takes down whatever it had set up. What is said now
    /// is the whole truth: the rest is only the phones' agreement.
    pub(crate) fn fail_start(&mut self, now: Instant, command: CommandId, error: Error) {
        let Some(start) = self.forget_start(command) else { return };
        self.report(Event::Done(command, Err(error.clone())));
        self.let_go(now, start.helper.into_iter().chain(start.fork.legs()).collect());
        if let Some(key) = start.call {
            self.take_down(now, key, error);
        }
    }

    fn finish_start(&mut self, command: CommandId) {
        let Some(start) = self.forget_start(command) else { return };
        self.report(Event::Done(command, Ok(start.made)));
    }

    /// Takes the dialog with the caller's phone, or those with all that ring, out of a `CallStart`.
    pub(crate) fn release_helper(&mut self, command: CommandId) -> Option<(Vec<LegId>, Arc<str>)> {
        let start = self.starts.get_mut(&command)?;
        let ringing = std::mem::take(&mut start.fork);
        let legs: Vec<_> = start.helper.take().into_iter().chain(ringing.legs()).collect();
        (!legs.is_empty()).then(|| (legs, start.helper_call_id.clone()))
    }

    fn forget_start(&mut self, command: CommandId) -> Option<Start> {
        let start = self.starts.remove(&command)?;
        self.helpers.remove(&start.helper_call_id);
        start.one_time.map(|token| self.one_time.remove(&token));
        Some(start)
    }

    fn arm_start(&mut self, command: CommandId) {
        if let Some(at) = self.starts.get(&command).and_then(Start::next_timeout) {
            self.deadlines.set(at, Waiter::Start(command));
        }
    }
}
