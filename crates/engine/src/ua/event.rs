//! What a user agent tells its user.

use std::net::SocketAddr;

use bytes::Bytes;
use sip::{Request, Response};

use super::leg::LegId;
use super::q850;
use super::redirect::contacts;
use crate::transaction::ServerKey;

/// What happened to a leg, or beside all legs.
#[derive(Debug)]
pub enum Event {
    /// Somebody calls: see [`UserAgent::invitation`](super::UserAgent::invitation); answer with
    /// `progress`, `accept`, `reject`.
    Incoming(LegId),
    /// Our INVITE got a provisional answer other than 100, with this description. It is an offer when
    /// [`UserAgent::owes_answer`](super::UserAgent::owes_answer) says so: then
    /// [`UserAgent::acknowledge`](super::UserAgent::acknowledge) or `defer` is due.
    Progress(LegId, Response, Bytes),
    /// The caller answered the offer in a provisional answer of ours.
    AnsweredEarly(LegId, Bytes),
    /// Our INVITE was accepted, with this description; empty when it says nothing that was not said
    /// before. When neither our INVITE nor a provisional answer carried an offer, this is one, and
    /// `acknowledge` is due.
    Answered(LegId, Response, Bytes),
    /// Our INVITE was refused, and there is another address for it: see `next_redirect`.
    Redirected(LegId, Failure),
    /// Our 2xx was acknowledged; the body is the answer when our 2xx carried the offer.
    Acknowledged(LegId, Bytes),
    /// The peer sent a re-INVITE: see [`UserAgent::offered`](super::UserAgent::offered); answer with
    /// `accept_offer` or `refuse_offer`.
    Offered(LegId),
    /// The peer takes its re-INVITE back: it still wants an answer, best from `cancel_offer` on the
    /// other leg.
    OfferCancelled(LegId),
    /// Our re-INVITE was accepted. When it carried no offer, `acknowledge` is due.
    OfferAccepted(LegId, Response),
    /// Our re-INVITE was refused; the session stands as it was.
    OfferRefused(LegId, Failure),
    /// The session is to be refreshed by a re-INVITE with what the peer has; best at once, else
    /// this comes again.
    RefreshDue(LegId),
    /// Our REFER was answered finally; `Ok` is a 2xx.
    ReferAnswered(LegId, Result<(), Failure>),
    /// The phone we referred reports: the status line it sent, if any.
    Notified(LegId, Option<Failure>),
    /// The peer asks us to call somebody: see
    /// [`UserAgent::referred`](super::UserAgent::referred); answer with `accept_refer` or
    /// `refuse_refer`.
    Referred(LegId),
    /// A request inside the dialog that is meant for the other party: answer with `pass` or
    /// `answer_inside`.
    Inside(LegId, ServerKey),
    /// Our REGISTER was answered finally.
    Registered(Result<Response, Failure>),
    /// The leg is no more.
    Ended(LegId, Cause),
    /// A request outside any dialog, to be answered with
    /// [`UserAgent::respond`](super::UserAgent::respond).
    Request {
        /// Names the transaction.
        key: ServerKey,
        /// The request.
        request: Request,
        /// Where it came from.
        source: SocketAddr,
    },
}

/// Why a leg ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Our INVITE was refused or not answered.
    Refused(Failure),
    /// The peer took its INVITE back before we answered.
    Cancelled,
    /// The peer hung up; the Q.850 cause of its Reason header (RFC 3326).
    Bye(Option<u16>),
    /// We hung up or refused.
    Released,
    /// The peer lost the dialog or never acknowledged it. We sent a BYE all the same.
    Lost(Failure),
}

/// A final answer that is not a success, or its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether a peer said it or we did.
    pub kind: FailureKind,
    /// SIP status code; 408 for silence and 503 for an unreachable peer (RFC 3261 §8.1.3.1).
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Q.850 cause of the Reason header (RFC 3326), when there is one.
    pub q850: Option<u16>,
    /// Where a 3xx sends us, the preferred address first.
    pub contacts: Vec<String>,
}

/// Who said a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The peer answered so.
    Answered,
    /// The peer did not answer in time.
    TimedOut,
    /// There was no way to the peer.
    Unreachable,
}

impl Cause {
    /// The same, as the failure of whose leg it was.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Refused(failure) | Self::Lost(failure) => failure,
            Self::Cancelled | Self::Released => Failure::hung_up(None),
            Self::Bye(q850) => Failure::hung_up(q850),
        }
    }
}

impl Failure {
    pub(crate) fn answered(response: &Response) -> Self {
        Self {
            kind: FailureKind::Answered,
            status: response.status,
            reason: response.reason_text().into_owned(),
            q850: q850(response),
            contacts: match response.status {
                300..=399 => contacts(response),
                _ => Vec::new(),
            },
        }
    }

    pub(crate) fn ours(kind: FailureKind, status: u16, reason: &str) -> Self {
        Self { kind, status, reason: reason.to_owned(), q850: None, contacts: Vec::new() }
    }

    pub(crate) fn timed_out() -> Self {
        Self::ours(FailureKind::TimedOut, 408, "Request Timeout")
    }

    pub(crate) fn unreachable() -> Self {
        Self::ours(FailureKind::Unreachable, 503, "Destination Unreachable")
    }

    /// The peer hung up, with this Q.850 cause, while it was still needed.
    pub(crate) fn hung_up(q850: Option<u16>) -> Self {
        Self { q850, ..Self::ours(FailureKind::Answered, 487, "Request Terminated") }
    }

    /// The peer's answer lacks what the other party is to get (RFC 3264 §5).
    pub(crate) fn no_description() -> Self {
        Self::ours(FailureKind::Answered, 488, "No session description in the answer")
    }
}

/// What became of the datagrams that were not part of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Broken requests answered 400 or 505.
    pub refused: u64,
    /// Broken datagrams dropped: nothing in them could be answered.
    pub dropped: u64,
}
