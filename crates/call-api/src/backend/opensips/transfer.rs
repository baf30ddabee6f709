//! `CallBlindTransfer` and `CallAttendedTransfer` (RFC 5359 §2.4, §2.5): a party is referred, to a
//! third one or, with Replaces, to a party of another call.

use serde_json::{Value, json};

use super::dialogs::Listed;
use super::events::{DialogState, leg};
use super::mi::Method;
use super::outcome::failure;
use super::proxy::{Proxy, Watch};
use super::refer::{Referral, transfer_error};
use super::stop::Stop;
use super::tracker::Step;
use crate::api::call::EndedBy;
use crate::api::param::ExtraHeaders;
use crate::api::{
    CallAttendedTransfer, CallBlindTransfer, CallId, CommandError, Done, Event, EventKind, Mode,
    Origin, Side, SipUri,
};
use crate::backend::Progress;

/// A transfer of either kind.
pub(super) struct Transfer {
    callid: CallId,
    leg: Side,
    /// Who it is sent to, as the client has it.
    destination: Option<SipUri>,
    /// The parameters of `call_transfer`.
    params: Value,
    /// The call that is replaced, and the party of it that the other one is to talk to.
    replaced: Option<(CallId, Side)>,
}

impl Transfer {
    /// `callid` is what `transfer.callid` means.
    pub(super) fn blind(transfer: CallBlindTransfer, callid: CallId) -> Result<Self, CommandError> {
        let CallBlindTransfer { leg: side, destination, mode, headers, .. } = transfer;
        is_supported(mode, &headers)?;
        let params = json!({"callid": callid, "leg": leg(side), "destination": destination});
        let destination = Some(destination);
        Ok(Self { callid, leg: side, destination, params, replaced: None })
    }

    /// `callid_a` and `callid_b` are what the transfer's mean.
    pub(super) fn attended(
        transfer: CallAttendedTransfer,
        callid_a: CallId,
        callid_b: CallId,
    ) -> Result<Self, CommandError> {
        let CallAttendedTransfer { leg_a, leg_b, destination, mode, headers, .. } = transfer;
        is_supported(mode, &headers)?;
        if callid_a == callid_b {
            return Err(CommandError::InvalidState("the two calls are one".to_owned()));
        }
        let mut params = json!({
            "callid": callid_a,
            "leg": leg(leg_a),
            "transfer_callid": callid_b,
            "transfer_leg": leg(leg_b),
        });
        if let Some(destination) = &destination {
            params["destination"] = destination.as_str().into();
        }
        Ok(Self {
            callid: callid_a,
            leg: leg_a,
            destination,
            params,
            replaced: Some((callid_b, leg_b)),
        })
    }

    /// Runs the command.
    pub(super) async fn run(
        self,
        proxy: &Proxy,
        progress: &Progress,
        mut stop: Stop,
    ) -> Result<Done, CommandError> {
        let watch = proxy.watch(&self.callid).await;
        let referred = match self.leg {
            Side::Caller => Origin::Caller,
            Side::Callee => Origin::Callee,
        };
        let mut running = Running {
            transfer: self,
            proxy,
            progress,
            watch,
            new: None,
            talks: false,
            waits_for: referred,
            referred,
        };
        let outcome = tokio::select! {
            outcome = running.refer() => outcome,
            why = stop.wait(proxy) => Err(why.error(running.waits_for)),
        };
        if running.talks {
            running.release().await;
            return Ok(Done { callid: running.new });
        }
        running.withdraw().await;
        outcome.map(|()| Done::default())
    }
}

/// What the proxy cannot be made to do.
fn is_supported(mode: Mode, headers: &ExtraHeaders) -> Result<(), CommandError> {
    let what = match mode {
        Mode::Bridge => "mode \"bridge\": OpenSIPS refers phones only",
        Mode::Auto | Mode::Refer if !headers.as_slice().is_empty() => {
            "headers: the new INVITE is written by the phone that is transferred"
        }
        Mode::Auto | Mode::Refer => return Ok(()),
    };
    Err(CommandError::Unsupported(what.to_owned()))
}

/// The dialog of a call that can be transferred. OpenSIPS would send a REFER to a phone that rings.
async fn established(proxy: &Proxy, callid: &CallId) -> Result<Listed, CommandError> {
    let listed = proxy.dialog(callid).await;
    let listed = listed.map_err(|error| failure(proxy, Method::Dialogs, error))?;
    // What is over is refused later, unless another call has the same Call-ID.
    let is_up = |listed: &Listed| listed.state >= DialogState::Confirmed;
    listed
        .filter(is_up)
        .ok_or_else(|| CommandError::InvalidState("the call is not established".to_owned()))
}

struct Running<'a> {
    transfer: Transfer,
    proxy: &'a Proxy,
    progress: &'a Progress,
    watch: Watch,
    /// The new call.
    new: Option<CallId>,
    /// Whether it is answered.
    talks: bool,
    /// Whose turn it is.
    waits_for: Origin,
    referred: Origin,
}

impl Running<'_> {
    /// Refers the party, and waits until it talks to the other one.
    async fn refer(&mut self) -> Result<(), CommandError> {
        established(self.proxy, &self.transfer.callid).await?;
        // What the REFER names, unless the client has said something else.
        let mut target = None;
        if let Some((replaced, side)) = &self.transfer.replaced {
            target = established(self.proxy, replaced).await?.uri(*side);
        }
        let Self { transfer, proxy, progress, watch, new, talks, waits_for, referred } = self;
        let mut referral = Referral::new(proxy, watch, &transfer.callid);
        referral.send(transfer.params.clone()).await?;
        let step = |step| {
            let event = match step {
                Step::Accepted => Event::new(EventKind::TransferAccepted)
                    .at_leg(transfer.leg)
                    .in_call(transfer.callid.clone()),
                // Of the new call, once there is one that is known.
                Step::Progress(sip_code) => Event::new(EventKind::TransferProgress { sip_code })
                    .at_leg(transfer.leg)
                    .in_call(new.as_ref().unwrap_or(&transfer.callid).clone()),
                Step::Started { callid: started, destination } => {
                    *waits_for = Origin::Target;
                    new.clone_from(&started);
                    let event = Event::new(EventKind::CallStarted);
                    let named = transfer.destination.clone();
                    let event = match named.or(destination).or(target.take()) {
                        Some(uri) => event.at(Side::Callee, uri),
                        None => event.at_leg(Side::Callee),
                    };
                    match started {
                        Some(started) => event.in_call(started),
                        None => event,
                    }
                }
            };
            progress.report(event);
        };
        let answered = referral.follow(step).await;
        answered.map_err(|failure| transfer_error(failure, *referred, Origin::Target))?;
        *talks = true;
        referral.acknowledged().await;
        Ok(())
    }

    /// Releases the parties that do not talk any more.
    async fn release(&self) {
        let replaced = self.transfer.replaced.as_ref().map(|(callid, _)| callid);
        for callid in std::iter::once(&self.transfer.callid).chain(replaced) {
            self.proxy.dialogs.ending(callid.as_str(), EndedBy::Transfer);
            let params = json!({"dialog_id": callid});
            match self.proxy.ask(Method::EndDialog, params).await {
                Ok(_) => {}
                // A phone has hung up itself.
                Err(error) if error.code() == Some(404) => {}
                Err(error) => {
                    tracing::warn!(%callid, %error, "a call that was transferred may be left")
                }
            }
        }
    }

    /// Ends a new call that is not answered: the old one goes on.
    async fn withdraw(&self) {
        if let Some(new) = &self.new {
            // One that was refused is not there any more.
            let _ = self.proxy.ask(Method::EndDialog, json!({"dialog_id": new})).await;
        }
    }
}
