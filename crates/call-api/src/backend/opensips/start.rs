//! `CallStart` (RFC 5359 §2.18): the proxy calls the caller and then refers it to the callee.
//!
//! ```text
//!  caller         OpenSIPS          callee
//!    |<---INVITE------|                |    t_uac_dlg: inactive offer, From the callee
//!    |----200 OK----->|                |
//!    |<---ACK---------|                |    E_DLG_STATE_CHANGED 4, t_uac_dlg: OPTIONS to itself
//!    |<---REFER-------|                |    call_transfer
//!    |----202-------->|                |
//!    |----INVITE----->|----INVITE----->|    E_CALL_TRANSFER start
//!    |<---200 OK------|<---200 OK------|    E_CALL_TRANSFER ok
//!    |<---BYE---------|                |    dlg_end_dlg
//! ```
//!
//! The dialog of the first INVITE is a helper and is taken down whatever happens.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::dialogs::HELPER;
use super::events::{DialogState, Happened};
use super::mi::{Answer, Method, MiError};
use super::outcome::{failure, final_response, refusal};
use super::proxy::{Proxy, Watch};
use super::refer::{LONGEST_LOOK, Referral, transfer_error, until};
use super::stop::Stop;
use super::tracker::{Failure, Step};
use crate::api::{
    CallId, CallStart, CommandError, Done, Event, EventKind, Mode, Origin, Side, SipUri,
};
use crate::backend::Progress;

/// How long the ACK may take to reach the phone: a REFER must not overtake it.
const ACK: Duration = Duration::from_millis(500);
/// Time until it is first asked what became of an INVITE of which nothing is heard. Events tell of it
/// within milliseconds.
const LOOK: Duration = Duration::from_secs(1);
/// How often there may be no dialog of it. Time enough for the proxy to send it three times.
const LOOKS: u32 = 3;
/// How long the reason may take when the dialog has gone: the response, or that the proxy was restarted.
const GONE: Duration = Duration::from_secs(3);
/// Time between attempts to take the helper down.
const RETRY: Duration = Duration::from_millis(500);
/// How long taking the helper down may take.
const TAKE_DOWN: Duration = Duration::from_secs(20);
/// How long the phone may take to answer a BYE.
const BYE: Duration = Duration::from_secs(10);

/// What asks phones to answer by themselves (RFC 5373, and two older ways).
const AUTO_ANSWER: &str = "Answer-Mode: Auto\r\n\
    Call-Info: <sip:call-api.invalid>;answer-after=0\r\n\
    Alert-Info: <http://call-api.invalid>;info=alert-autoanswer\r\n";

/// Runs the command.
pub(super) async fn run(
    proxy: &Proxy,
    start: CallStart,
    progress: &Progress,
    mut stop: Stop,
) -> Result<Done, CommandError> {
    is_supported(&start)?;
    let name = format!("{HELPER}{}", uuid::Uuid::new_v4());
    let callid = CallId::parse(&name).expect("a prefix and a UUID are visible ASCII");
    let watch = proxy.watch(&callid).await;
    let params = invite(proxy, &start, &callid);
    let (provisional, answered) = proxy.send_request(params, stop.deadline()).await;
    let CallStart { caller, callee, .. } = start;
    let mut helper = Helper {
        proxy,
        progress,
        caller,
        callee,
        callid,
        watch,
        provisional,
        answered: Some(answered),
        response: None,
        is_known: false,
        is_heard: false,
        new: None,
        talks: false,
        waits_for: Origin::Caller,
    };
    let outcome = tokio::select! {
        outcome = helper.connect() => outcome,
        why = stop.wait(proxy) => Err(why.error(helper.waits_for)),
    };
    helper.take_down().await;
    match helper.talks {
        true => Ok(Done { callid: helper.new }),
        false => outcome.map(|()| Done::default()),
    }
}

/// What the proxy cannot be made to do.
fn is_supported(start: &CallStart) -> Result<(), CommandError> {
    let what = match start {
        CallStart { mode: Mode::Bridge, .. } => "mode \"bridge\": OpenSIPS refers phones only",
        CallStart { headers, .. } if !headers.as_slice().is_empty() => {
            "headers: the callee's INVITE is written by the caller's phone"
        }
        _ => return Ok(()),
    };
    Err(CommandError::Unsupported(what.to_owned()))
}

/// The parameters of `t_uac_dlg`.
fn invite(proxy: &Proxy, start: &CallStart, callid: &CallId) -> Value {
    let CallStart { caller, callee, from, display, auto_answer, .. } = start;
    let shown = from.as_ref().unwrap_or(callee);
    let display = match display {
        Some(name) => format!("{} ", quoted(name.as_str())),
        None => String::new(),
    };
    // The phone's requests in this dialog go to the proxy, and no further.
    let contact = format!("sip:call-api@{}", host_and_port(&proxy.sip));
    let auto_answer = if *auto_answer { AUTO_ANSWER } else { "" };
    let headers = format!(
        "From: {display}<{shown}>\r\n\
         To: <{caller}>\r\n\
         Contact: <{contact}>\r\n\
         Call-ID: {callid}\r\n\
         CSeq: 1 INVITE\r\n\
         Content-Type: application/sdp\r\n\
         {auto_answer}"
    );
    let session_id = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
    json!({
        "method": "INVITE",
        "ruri": caller,
        "headers": headers,
        "next_hop": *proxy.sip,
        "body": sip::sdp::inactive_audio(Ipv4Addr::UNSPECIFIED.into(), session_id),
    })
}

/// A display name as a quoted string (RFC 3261 §25.1).
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `host:port` of a SIP URI.
fn host_and_port(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(';').next().unwrap_or(rest)
}

/// The dialog in which the caller is told whom to call.
struct Helper<'a> {
    proxy: &'a Proxy,
    progress: &'a Progress,
    caller: SipUri,
    callee: SipUri,
    callid: CallId,
    watch: Watch,
    provisional: mpsc::Receiver<Value>,
    /// Until the final response to the INVITE is here.
    answered: Option<oneshot::Receiver<Answer>>,
    /// The final response to the INVITE.
    response: Option<Value>,
    /// Whether the proxy has shown that it has a dialog for it.
    is_known: bool,
    /// Whether the phone, or somebody on the way to it, has said something.
    is_heard: bool,
    /// The call to the callee, once there is one that the proxy knows.
    new: Option<CallId>,
    /// Whether it is answered.
    talks: bool,
    /// Whose turn it is.
    waits_for: Origin,
}

impl Helper<'_> {
    /// Until caller and callee talk.
    async fn connect(&mut self) -> Result<(), CommandError> {
        let is_acknowledged = self.answer().await?;
        self.report(EventKind::Answered);
        if !is_acknowledged {
            self.acknowledge().await;
        }
        self.proxy.catch_up().await;
        self.refer().await
    }

    /// Waits until the caller answers. An answer of which only the dialog tells will do: the response
    /// may be lost, and so may the request. Returns whether the ACK is known to be sent.
    async fn answer(&mut self) -> Result<bool, CommandError> {
        let (mut look, mut pause) = (Instant::now() + LOOK, LOOK);
        let (mut misses, mut settle) = (0, None);
        loop {
            let answered = self.answered.as_mut().expect("it is taken once, below");
            let state = tokio::select! {
                Some(provisional) = self.provisional.recv() => {
                    self.is_heard = true;
                    self.ringing(&provisional);
                    continue;
                }
                event = self.watch.next() => self.dialog_state(&event),
                response = answered => {
                    self.answered = None;
                    return self.final_response(response).map(|()| false);
                }
                () = sleep_until(look) => {
                    let looked = self.look(&mut misses).await?;
                    if self.is_known {
                        pause = (2 * pause).min(LONGEST_LOOK);
                    }
                    look = Instant::now() + pause;
                    looked
                }
                () = until(settle) => {
                    return Err(transfer_error(Failure::Unknown, Origin::Caller, Origin::Caller));
                }
            };
            match state {
                Some(DialogState::Answered) => return Ok(false),
                Some(DialogState::Confirmed) => return Ok(true),
                // The response says why, unless it is lost.
                Some(DialogState::Deleted) => {
                    settle.get_or_insert(Instant::now() + GONE);
                }
                Some(DialogState::Unconfirmed | DialogState::Early) | None => {}
            }
        }
    }

    /// Takes the final response to the INVITE.
    fn final_response(
        &mut self,
        response: Result<Answer, oneshot::error::RecvError>,
    ) -> Result<(), CommandError> {
        let gone = |_| MiError::Unavailable("its task has ended".to_owned());
        let response = response.map_err(gone).flatten();
        // The deadline of the request is that of the command.
        if response == Err(MiError::NoAnswer) {
            return Err(CommandError::Timeout { origin: Origin::Caller });
        }
        let response = response.map_err(|error| failure(self.proxy, Method::SendRequest, error))?;
        let (status, cause) = final_response(&response)
            .ok_or_else(|| CommandError::Internal(format!("OpenSIPS answered with {response}")))?;
        if !(200..300).contains(&status.code) {
            return Err(refusal(Origin::Caller, status, cause));
        }
        self.response = Some(response);
        Ok(())
    }

    /// Asks the proxy for the dialog. The INVITE makes it on its way to the phone, so the request for
    /// it was lost if there is none, or the INVITE gets nowhere. It is not asked for again: the proxy
    /// would call twice if it were only late.
    async fn look(&mut self, misses: &mut u32) -> Result<Option<DialogState>, CommandError> {
        match self.proxy.dialog(&self.callid).await {
            Ok(listed) => {
                self.is_known = true;
                Ok(listed.map(|listed| listed.state))
            }
            Err(error) if error.code() != Some(404) => Ok(None),
            Err(_) if self.is_known => Ok(Some(DialogState::Deleted)),
            // The script makes no dialog, which is told once the phone has answered.
            Err(_) if self.is_heard => Ok(None),
            Err(_) => {
                *misses += 1;
                if *misses < LOOKS {
                    return Ok(None);
                }
                Err(self.proxy.unavailable(match self.cancel().await {
                    true => "it did not get the request to call the caller",
                    false => "its own INVITE has made no dialog: it has too much to do, its script does not call create_dialog(), or sip.uri does not lead there",
                }))
            }
        }
    }

    /// Cancels the INVITE where there is no dialog to end. Returns whether there is none: the request
    /// for it came to nothing.
    async fn cancel(&self) -> bool {
        let params = json!({"callid": self.callid, "cseq": "1"});
        let cancelled = self.proxy.ask(Method::CancelRequest, params).await;
        cancelled.is_err_and(|error| error.code() == Some(481))
    }

    fn ringing(&self, provisional: &Value) {
        let Some((status, _)) = final_response(provisional) else { return };
        let message = provisional["Message"].as_str().unwrap_or_default();
        let has_media = message.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty());
        match status.code {
            180 => self.report(EventKind::Ringing),
            101..200 if has_media => self.report(EventKind::EarlyMedia),
            _ => {}
        }
    }

    /// Waits until the proxy has sent the ACK. If it does not say so, it is asked.
    async fn acknowledge(&mut self) {
        let patience = Instant::now() + ACK;
        loop {
            tokio::select! {
                event = self.watch.next() => {
                    if self.dialog_state(&event) >= Some(DialogState::Confirmed) {
                        return;
                    }
                }
                () = sleep_until(patience) => break,
            }
        }
        let answer = self.proxy.ask(Method::Dialogs, json!({"callid": self.callid})).await;
        self.is_known |= answer.is_ok();
    }

    /// Sends the caller to the callee, and waits until they talk.
    async fn refer(&mut self) -> Result<(), CommandError> {
        let Self { proxy, progress, caller, callee, callid, watch, new, talks, waits_for, .. } =
            self;
        let mut referral = Referral::new(proxy, watch, callid);
        let params = json!({"callid": callid, "leg": "callee", "destination": callee});
        match referral.send(params).await {
            // The call it means was answered a moment ago.
            Err(CommandError::NotFound(_)) => {
                return Err(CommandError::Unsupported(
                    "OpenSIPS has no dialog for a call of its own: its script must call create_dialog(), and sip.uri lead there".to_owned(),
                ));
            }
            sent => sent?,
        }
        let report = |kind, side, uri: &SipUri, callid: Option<&CallId>| {
            let event = Event::new(kind).at(side, uri.clone());
            progress.report(match callid {
                Some(callid) => event.in_call(callid.clone()),
                None => event,
            });
        };
        let step = |step| match step {
            Step::Accepted => {
                report(EventKind::TransferAccepted, Side::Caller, caller, Some(callid))
            }
            Step::Progress(sip_code) => {
                let kind = EventKind::TransferProgress { sip_code };
                // Of the new call, once there is one that is known.
                report(kind, Side::Caller, caller, new.as_ref().or(Some(callid)));
            }
            Step::Started { callid: started, .. } => {
                *waits_for = Origin::Callee;
                report(EventKind::CallStarted, Side::Callee, callee, started.as_ref());
                *new = started;
            }
        };
        let answered = referral.follow(step).await;
        let answered =
            answered.map_err(|failure| transfer_error(failure, Origin::Caller, Origin::Callee))?;
        report(EventKind::Answered, Side::Callee, callee, answered.as_ref());
        *talks = true;
        referral.acknowledged().await;
        Ok(())
    }

    /// Ends what is left: the helper, and the call to the callee if they do not talk.
    async fn take_down(&mut self) {
        if let (Some(new), false) = (&self.new, self.talks) {
            // A call that ended by itself is not there any more.
            let _ = self.proxy.ask(Method::EndDialog, json!({"dialog_id": new})).await;
        }
        if timeout(TAKE_DOWN, self.end()).await.is_err() {
            tracing::warn!(callid = %self.callid, "the call to the caller may be left: it could not be ended");
        }
    }

    /// Ends the helper, however far it got.
    async fn end(&mut self) {
        while self.proxy.health().down.is_none() {
            let params = json!({"dialog_id": self.callid});
            let answer = self.proxy.ask(Method::EndDialog, params).await;
            if self.answered.is_some() {
                // The INVITE may be on its way to where the proxy makes a dialog of it.
                let is_missing = answer.is_err_and(|error| error.code() == Some(404));
                if is_missing && self.cancel().await {
                    return;
                }
                // The caller may answer while CANCEL is on its way.
                if self.ends_within(RETRY).await {
                    return;
                }
                continue;
            }
            match answer {
                Ok(_) => return,
                Err(MiError::NoAnswer) => {}
                Err(_) => return self.bye().await,
            }
        }
    }

    /// Whether the INVITE fails or the dialog ends within a time. An answer is waited for no longer.
    async fn ends_within(&mut self, time: Duration) -> bool {
        let patience = Instant::now() + time;
        loop {
            let Some(answered) = self.answered.as_mut() else { return false };
            let response = tokio::select! {
                response = answered => response,
                event = self.watch.next() => match self.dialog_state(&event) {
                    Some(DialogState::Deleted) => return true,
                    _ => continue,
                },
                () = sleep_until(patience) => return false,
            };
            self.answered = None;
            let Ok(Ok(response)) = response else { return false };
            let is_up = final_response(&response)
                .is_some_and(|(status, _)| (200..300).contains(&status.code));
            if !is_up {
                return true;
            }
            self.response = Some(response);
        }
    }

    /// Hangs up where the proxy keeps no dialog: by a BYE of our own. The only request before it was
    /// the INVITE.
    async fn bye(&self) {
        let Some(response) = self.response.as_ref().filter(|_| !self.is_known) else { return };
        let headers = response["Message"].as_str().unwrap_or_default();
        let line = |name: &str| {
            let is_it = |line: &&str| {
                line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
            };
            headers.split("\r\n").find(is_it).unwrap_or_default().to_owned()
        };
        let routes = response["Routes"].as_array().map_or(&[][..], Vec::as_slice);
        let routes: String =
            routes.iter().filter_map(Value::as_str).map(|r| format!("Route: {r}\r\n")).collect();
        let callid = &self.callid;
        let headers = format!(
            "{}\r\n{}\r\nCall-ID: {callid}\r\nCSeq: 2 BYE\r\n{routes}",
            line("From"),
            line("To")
        );
        let ruri = response["RURI"].as_str().unwrap_or(self.caller.as_str());
        let mut params = json!({"method": "BYE", "ruri": ruri, "headers": headers});
        if let Some(hop) = response["Next-hop"].as_str() {
            params["next_hop"] = hop.into();
        }
        let (_, answered) = self.proxy.send_request(params, Instant::now() + BYE).await;
        // The phone may have hung up itself.
        let _ = answered.await;
    }

    /// The state of the helper that an event tells.
    fn dialog_state(&mut self, event: &Happened) -> Option<DialogState> {
        match event {
            Happened::Dialog(event) if event.callid == self.callid.as_str() => {
                self.is_known = true;
                Some(event.state)
            }
            Happened::Dialog(_) | Happened::Transfer(_) | Happened::Hold(_) => None,
        }
    }

    /// Reports what the caller does.
    fn report(&self, kind: EventKind) {
        let event = Event::new(kind).at(Side::Caller, self.caller.clone());
        self.progress.report(event.in_call(self.callid.clone()));
    }
}
