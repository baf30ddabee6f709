//! A transfer by the phone of the party that goes: it is asked by REFER to call a URI that works
//! once and here only, and that call is passed on to the target (RFC 5589 §6). For an attended
//! transfer the engine's INVITE to the target's phone replaces the dialog that it has (§7).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Phase, To, Transfer, TransferKey};
use crate::call::{CallKey, Errand};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Side, Step};
use crate::flow::start::Mode;
use crate::limits::REFER_TIMEOUT;
use crate::transaction::Hop;
use crate::ua::{self, Failure, FailureKind};

/// Whom the party's own call goes to.
pub(crate) struct Way {
    /// Request URI.
    pub(crate) uri: String,
    /// Where it goes, when that is known already.
    pub(crate) hop: Option<Hop>,
    /// Where the phone is reached that is behind NAT, when that is known.
    pub(crate) source: Option<SocketAddr>,
    /// Further header lines.
    pub(crate) headers: Vec<(String, String)>,
    /// The party that goes, as it is known.
    pub(crate) caller: Arc<str>,
}

impl Engine {
    /// Asks the party's phone to place the new call.
    pub(super) fn refer_party(&mut self, now: Instant, key: TransferKey) {
        let token = self.ua.ids().number();
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        transfer.one_time = Some(token);
        let transfer = &self.transfers[&key];
        let Some(leg) = self.leg_of(transfer.call, transfer.side) else { return };
        let mut refer_to = format!("sip:{token:016x}@{}", self.ua.identity().sent_by);
        // To show the phone what its call is for; nothing depends on it. A phone that does not know
        // Replaces may take the header for a part of the URI, as baresip 1.0 does.
        let replaces = self.replaces(&transfer.to).filter(|_| self.ua.takes_replaces(leg));
        if let Some(replaces) = replaces {
            refer_to += &format!("?Replaces={}", sip::uri::escape_header(&replaces));
        }
        let referred_by = transfer.referrer.clone();
        self.one_time.insert(token, Errand::Transfer(key));
        self.set_phase(key, Phase::Referring { accepted: false }, Some(now + REFER_TIMEOUT));
        self.ua.refer(now, leg, &refer_to, &referred_by);
    }

    /// Something about the REFER, in the dialog with the party's phone.
    pub(crate) fn on_referral(
        &mut self,
        now: Instant,
        call: CallKey,
        side: Side,
        event: &ua::Event,
    ) {
        let Some(call) = self.calls.get(&call) else { return };
        let (Some(key), call_id) = (call.transfer, call.call_id.clone()) else { return };
        let Some(transfer) = self.transfers.get(&key) else { return };
        let Phase::Referring { accepted } = transfer.phase else {
            if let (ua::Event::Notified(_, Some(report)), Phase::Placed(new)) =
                (event, &transfer.phase)
            {
                // It speaks of the call that the phone has placed.
                let placed = new.and_then(|key| self.calls.get(&key));
                let call_id = placed.map_or(call_id, |call| call.call_id.clone());
                self.progress(key, side, &call_id, Step::TransferProgress(report.status));
            }
            return;
        };
        match event {
            ua::Event::ReferAnswered(_, Ok(())) if !accepted => {
                let phase = Phase::Referring { accepted: true };
                self.set_phase(key, phase, Some(now + REFER_TIMEOUT));
                self.progress(key, side, &call_id, Step::TransferAccepted);
            }
            ua::Event::ReferAnswered(_, Err(failure)) => {
                self.on_party_refused(now, key, failure.clone());
            }
            // A success is believed when the call is here; a failure before it came is the phone's.
            ua::Event::Notified(_, Some(report)) => {
                self.progress(key, side, &call_id, Step::TransferProgress(report.status));
                if report.status >= 300 {
                    self.on_party_refused(now, key, report.clone());
                }
            }
            _ => {}
        }
    }

    /// The party's phone will not place the call.
    pub(super) fn on_party_refused(&mut self, now: Instant, key: TransferKey, failure: Failure) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        let (call, side) = (transfer.call, transfer.side);
        transfer.one_time.take().map(|token| self.one_time.remove(&token));
        let is_auto = transfer.mode == Mode::Auto;
        if is_auto && self.leg_of(call, side).is_some() && failure.status != 481 {
            self.forget_referral(now, call, side);
            self.call_target(now, key);
        } else {
            self.fail_transfer(now, key, Error::Party(side, failure));
        }
    }

    /// The party's phone calls the one-time URI: where that call goes.
    pub(crate) fn take_referred_call(
        &mut self,
        key: TransferKey,
        call_id: &Arc<str>,
    ) -> Option<Way> {
        let transfer = self.transfers.get(&key)?;
        let way = self.way_to_target(transfer)?;
        let accepted = matches!(transfer.phase, Phase::Referring { accepted: true });
        let (call, side) = (transfer.call, transfer.side);
        let old = self.calls.get(&call).map(|call| call.call_id.clone());
        self.set_phase(key, Phase::Placed(None), None);
        // Its 202 was overtaken by the call itself.
        if let Some(old) = old.filter(|_| !accepted) {
            self.progress(key, side, &old, Step::TransferAccepted);
        }
        self.progress(key, Side::Callee, call_id, Step::CallStarted);
        Some(way)
    }

    /// The call of the party's phone is on its way.
    pub(crate) fn on_referred_call_placed(&mut self, key: TransferKey, call: CallKey) {
        if let Some(transfer) = self.transfers.get_mut(&key) {
            transfer.phase = Phase::Placed(Some(call));
        }
    }

    /// The party talks to the target, in the call that its phone has placed.
    pub(crate) fn on_referred_call_up(&mut self, now: Instant, key: TransferKey) {
        let Some(transfer) = self.transfers.get(&key) else { return };
        let Phase::Placed(Some(new)) = transfer.phase else { return };
        let old = transfer.calls().filter(|call| self.calls.contains_key(call)).collect();
        let Some(call) = self.calls.get_mut(&new) else { return };
        call.errand = None;
        let made = call.call_id.clone();
        self.release(now, key, made, Vec::new(), old);
    }

    /// The call of the party's phone will not come up.
    pub(crate) fn on_referred_call_failed(&mut self, now: Instant, key: TransferKey, error: Error) {
        let Some(transfer) = self.transfers.get_mut(&key) else { return };
        let side = transfer.side;
        let error = match error {
            Error::Party(Side::Callee, failure) => Error::Target(failure),
            Error::Party(Side::Caller, failure) => Error::Party(side, failure),
            other => other,
        };
        transfer.phase = Phase::Placed(None);
        let call = transfer.call;
        let target = match transfer.to {
            To::Party { call, side, .. } => Some((call, side)),
            To::Uri(_) | To::Caller => None,
        };
        let is_there = |(call, side)| self.leg_of(call, side).is_some();
        let can_be_joined = target.is_some_and(is_there) && is_there((call, side));
        match (&error, self.transfers[&key].mode) {
            // The target's phone would not take a call in the place of the one it has.
            (Error::Target(failure), Mode::Auto)
                if can_be_joined && failure.kind == FailureKind::Answered =>
            {
                self.abandon_referral(now, call, side);
                self.call_target(now, key);
            }
            _ => self.fail_transfer(now, key, error),
        }
    }

    /// Waits no longer for what a party's phone has to say of its REFER.
    pub(super) fn abandon_referral(&mut self, now: Instant, call: CallKey, side: Side) {
        if let Some(leg) = self.leg_of(call, side) {
            self.ua.abandon_refer(now, leg);
        }
    }

    /// Forgets the REFER to a party's phone.
    pub(super) fn forget_referral(&mut self, now: Instant, call: CallKey, side: Side) {
        if let Some(leg) = self.leg_of(call, side) {
            self.ua.forget_refer(now, leg);
        }
    }

    fn way_to_target(&self, transfer: &Transfer) -> Option<Way> {
        let (caller, mut headers) = (transfer.goes.clone(), transfer.headers_to_target());
        let (uri, hop, source) = match &transfer.to {
            To::Uri(uri) => (uri.clone(), None, None),
            To::Party { call, side, uri } => {
                headers.push(("Replaces".to_owned(), self.replaces(&transfer.to)?));
                headers.push(("Require".to_owned(), "replaces".to_owned()));
                match uri {
                    Some(uri) => (uri.clone(), None, None),
                    None => {
                        let leg = self.leg_of(*call, *side)?;
                        let (hop, routes) = self.ua.way_to(leg)?;
                        let routes = routes.into_iter().map(|route| ("Route".to_owned(), route));
                        headers.extend(routes);
                        (self.ua.contact(leg)?.to_owned(), Some(hop), self.ua.source(leg))
                    }
                }
            }
            To::Caller => return None,
        };
        Some(Way { uri, hop, source, headers, caller })
    }

    /// The Replaces by which a call takes the target out of the call it is in.
    fn replaces(&self, to: &To) -> Option<String> {
        let To::Party { call, side, .. } = to else { return None };
        self.ua.replaces(self.leg_of(*call, *side)?)
    }
}
