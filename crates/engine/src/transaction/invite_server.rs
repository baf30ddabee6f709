//! The INVITE server transaction: RFC 3261 §17.2.1, figure 7, as corrected by RFC 6026 §8.5.
//!
//! ```text
//!              | INVITE received
//!              V                INVITE: send the last response
//!         +------------+ ------------------------> itself
//!         | Proceeding |
//!         +------------+
//!     300-699 |      | 2xx
//!             V      +-------> +----------+ INVITE: absorbed, ACK: to the user
//!      +-----------+           | Accepted | ---> itself    L: Terminated
//!      | Completed | ---+      +----------+
//!      +-----------+    | INVITE, G: send, H: timed out (no ACK)
//!             | ACK     +--> itself, Terminated
//!             V
//!      +-----------+
//!      | Confirmed |  I: Terminated
//!      +-----------+
//! ```

use std::time::{Duration, Instant};

use super::Action::{self, Deliver, Send, TimedOut};
use crate::timer::{T1, T1X64, T2, T4};

/// Where an INVITE that we received stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InviteServer {
    /// Not answered finally. Only the transaction user ends this wait.
    Proceeding,
    /// Refused. Retransmitted by timer G until the ACK, or timer H.
    Completed { retransmit: Instant, interval: Duration, give_up: Instant },
    /// The refusal was acknowledged. Absorbs retransmitted ACKs until timer I.
    Confirmed { until: Instant },
    /// Accepted. The 2xx is retransmitted by the transaction user (RFC 3261 §13.3.1.4); this state
    /// absorbs retransmitted INVITEs until timer L.
    Accepted { until: Instant },
    /// Nothing more will happen.
    Terminated,
}

impl InviteServer {
    /// The request has just been received.
    pub(crate) fn new() -> Self {
        Self::Proceeding
    }

    /// The same INVITE once more.
    pub(crate) fn on_retransmission(&mut self) -> &'static [Action] {
        match self {
            Self::Proceeding | Self::Completed { .. } => &[Send],
            Self::Confirmed { .. } | Self::Accepted { .. } | Self::Terminated => &[],
        }
    }

    pub(crate) fn on_ack(&mut self, now: Instant) -> &'static [Action] {
        match self {
            Self::Completed { .. } => {
                *self = Self::Confirmed { until: now + T4 };
                &[]
            }
            Self::Accepted { .. } => &[Deliver],
            Self::Proceeding | Self::Confirmed { .. } | Self::Terminated => &[],
        }
    }

    /// The transaction user answers.
    pub(crate) fn respond(&mut self, now: Instant, status: u16) -> &'static [Action] {
        let give_up = now + T1X64;
        match (*self, status) {
            (Self::Proceeding, 100..=199) => &[Send],
            (Self::Proceeding, 200..=299) => {
                *self = Self::Accepted { until: give_up };
                &[Send]
            }
            (Self::Proceeding, _) => {
                *self = Self::Completed { retransmit: now + T1, interval: T1, give_up };
                &[Send]
            }
            // RFC 6026 §7.1: the user's own retransmission of its 2xx.
            (Self::Accepted { .. }, 200..=299) => &[Send],
            (
                Self::Accepted { .. }
                | Self::Completed { .. }
                | Self::Confirmed { .. }
                | Self::Terminated,
                _,
            ) => &[],
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> &'static [Action] {
        match *self {
            Self::Completed { give_up, .. } if give_up <= now => {
                *self = Self::Terminated;
                &[TimedOut]
            }
            Self::Completed { retransmit, interval, give_up } if retransmit <= now => {
                let interval = (interval * 2).min(T2);
                *self = Self::Completed { retransmit: retransmit + interval, interval, give_up };
                &[Send]
            }
            Self::Confirmed { until } | Self::Accepted { until } if until <= now => {
                *self = Self::Terminated;
                &[]
            }
            Self::Proceeding
            | Self::Completed { .. }
            | Self::Confirmed { .. }
            | Self::Accepted { .. }
            | Self::Terminated => &[],
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match *self {
            Self::Completed { retransmit, give_up, .. } => Some(retransmit.min(give_up)),
            Self::Confirmed { until } | Self::Accepted { until } => Some(until),
            Self::Proceeding | Self::Terminated => None,
        }
    }
}
