//! The INVITE client transaction: RFC 3261 §17.1.1, figure 5, as corrected by RFC 6026 §8.4.
//!
//! ```text
//!              | INVITE sent
//!              V                 A: send INVITE
//!         +---------+ ---------------------------> itself
//!         | Calling |    B: timed out
//!         +---------+ ---------------------------> Completed
//!          |   |   | 1xx
//!          |   |   +------> +------------+
//!          |   |            | Proceeding |
//!          |   |            +------------+
//!          |   |  300-699: ACK   |   | 2xx
//!          |   +-----------------+   |
//!          |         V               |
//!      2xx |    +-----------+        |     300-699: ACK
//!          |    | Completed | -------|---> itself      D: Terminated
//!          |    +-----------+        |     2xx: to the user
//!          |                         V
//!          +-------------------> +----------+   2xx: to the user
//!                                | Accepted | ---> itself      M: Terminated
//!                                +----------+
//! ```
//!
//! Two arrows are ours. After timer B the transaction lingers as `Completed`, and there it passes a
//! 2xx up: a phone that answers too late, or another fork than the one that refused, believes to be
//! in a call and must be told otherwise by its user (RFC 3261 §13.2.2.4).

use std::time::{Duration, Instant};

use super::Action::{self, Ack, Deliver, Send, TimedOut};
use crate::timer::{T1, T1X64};

/// Where an INVITE that we sent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InviteClient {
    /// Sent; nothing heard. Retransmitted by timer A until timer B.
    Calling { retransmit: Instant, interval: Duration, give_up: Instant },
    /// A provisional response came. Only the transaction user ends this wait.
    Proceeding,
    /// Refused, and acknowledged, or given up. Absorbs retransmissions until timer D.
    Completed { until: Instant },
    /// Accepted. Passes every further 2xx up, for forks each send one, until timer M.
    Accepted { until: Instant },
    /// Nothing more will happen.
    Terminated,
}

impl InviteClient {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant) -> Self {
        Self::Calling { retransmit: now + T1, interval: T1, give_up: now + T1X64 }
    }

    pub(crate) fn on_response(&mut self, now: Instant, status: u16) -> &'static [Action] {
        let until = now + T1X64;
        let (next, actions): (Self, &[Action]) = match (*self, status) {
            (Self::Calling { .. } | Self::Proceeding, 100..=199) => (Self::Proceeding, &[Deliver]),
            (Self::Calling { .. } | Self::Proceeding, 200..=299) => {
                (Self::Accepted { until }, &[Deliver])
            }
            (Self::Calling { .. } | Self::Proceeding, _) => {
                (Self::Completed { until }, &[Ack, Deliver])
            }
            (Self::Accepted { .. } | Self::Completed { .. }, 200..=299) => (*self, &[Deliver]),
            (Self::Completed { .. }, 300..) => (*self, &[Ack]),
            // RFC 3261 §17.1.1.2: anything else is a late or confused response.
            (Self::Accepted { .. } | Self::Completed { .. } | Self::Terminated, _) => (*self, &[]),
        };
        *self = next;
        actions
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> &'static [Action] {
        match *self {
            Self::Calling { give_up, .. } if give_up <= now => {
                *self = Self::Completed { until: now + T1X64 };
                &[TimedOut]
            }
            Self::Calling { retransmit, interval, give_up } if retransmit <= now => {
                let interval = interval * 2;
                *self = Self::Calling { retransmit: retransmit + interval, interval, give_up };
                &[Send]
            }
            Self::Completed { until } | Self::Accepted { until } if until <= now => {
                *self = Self::Terminated;
                &[]
            }
            Self::Calling { .. }
            | Self::Proceeding
            | Self::Completed { .. }
            | Self::Accepted { .. }
            | Self::Terminated => &[],
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match *self {
            Self::Calling { retransmit, give_up, .. } => Some(retransmit.min(give_up)),
            Self::Completed { until } | Self::Accepted { until } => Some(until),
            Self::Proceeding | Self::Terminated => None,
        }
    }
}
