//! The client transaction of every method but INVITE: RFC 3261 §17.1.2, figure 6.
//!
//! ```text
//!              | request sent
//!              V             E: send, F: timed out
//!         +--------+ -----------------------------> itself, Terminated
//!         | Trying |
//!         +--------+
//!          |   | 1xx
//!          |   V              E: send (every T2), F: timed out
//!          | +------------+ -----------------------> itself, Terminated
//!          | | Proceeding |
//!          | +------------+
//!          V   V 200-699
//!         +-----------+
//!         | Completed |       K: Terminated
//!         +-----------+
//! ```

use std::time::{Duration, Instant};

use super::Action::{self, Deliver, Send, TimedOut};
use crate::timer::{T1, T1X64, T2, T4};

/// Where a request that we sent, and that is not an INVITE, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Sent; nothing heard. Retransmitted by timer E, doubling up to T2, until timer F.
    Trying { retransmit: Instant, interval: Duration, give_up: Instant },
    /// A provisional response came: retransmitted every T2 until timer F.
    Proceeding { retransmit: Instant, give_up: Instant },
    /// Answered. Absorbs retransmissions until timer K.
    Completed { until: Instant },
    /// Nothing more will happen.
    Terminated,
}

impl Client {
    /// The request has just been sent.
    pub(crate) fn new(now: Instant) -> Self {
        Self::Trying { retransmit: now + T1, interval: T1, give_up: now + T1X64 }
    }

    pub(crate) fn on_response(&mut self, now: Instant, status: u16) -> &'static [Action] {
        match (*self, status) {
            (Self::Trying { retransmit, give_up, .. }, 100..=199) => {
                *self = Self::Proceeding { retransmit, give_up };
                &[Deliver]
            }
            (Self::Proceeding { .. }, 100..=199) => &[Deliver],
            (Self::Trying { .. } | Self::Proceeding { .. }, _) => {
                *self = Self::Completed { until: now + T4 };
                &[Deliver]
            }
            (Self::Completed { .. } | Self::Terminated, _) => &[],
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> &'static [Action] {
        match *self {
            Self::Trying { give_up, .. } | Self::Proceeding { give_up, .. } if give_up <= now => {
                *self = Self::Terminated;
                &[TimedOut]
            }
            Self::Trying { retransmit, interval, give_up } if retransmit <= now => {
                let interval = (interval * 2).min(T2);
                *self = Self::Trying { retransmit: retransmit + interval, interval, give_up };
                &[Send]
            }
            Self::Proceeding { retransmit, give_up } if retransmit <= now => {
                *self = Self::Proceeding { retransmit: retransmit + T2, give_up };
                &[Send]
            }
            Self::Completed { until } if until <= now => {
                *self = Self::Terminated;
                &[]
            }
            Self::Trying { .. }
            | Self::Proceeding { .. }
            | Self::Completed { .. }
            | Self::Terminated => &[],
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match *self {
            Self::Trying { retransmit, give_up, .. } | Self::Proceeding { retransmit, give_up } => {
                Some(retransmit.min(give_up))
            }
            Self::Completed { until } => Some(until),
            Self::Terminated => None,
        }
    }
}
