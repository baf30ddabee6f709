//! The server transaction of every method but INVITE and ACK: RFC 3261 §17.2.2, figure 8.
//!
//! ```text
//!              | request received
//!              V           request: absorbed
//!         +--------+ -----------------------> itself
//!         | Trying |
//!         +--------+
//!          |   | 1xx
//!          |   V               request: send the last response
//!          | +------------+ -----------------------> itself
//!          | | Proceeding |
//!          | +------------+
//!          V   V 200-699
//!         +-----------+        request: send the last response
//!         | Completed | ---------------------------> itself      J: Terminated
//!         +-----------+
//! ```

use std::time::Instant;

use super::Action::{self, Send};
use crate::timer::T1X64;

/// Where a request that we received, and that is neither INVITE nor ACK, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Not answered. The transaction user answers, or gives up by `until`.
    Trying { until: Instant },
    /// Answered provisionally.
    Proceeding { until: Instant },
    /// Answered finally. Repeats the answer until timer J.
    Completed { until: Instant },
    /// Nothing more will happen.
    Terminated,
}

impl Server {
    /// The request has just been received. RFC 4320 §4.1: an answer after timer F of the client is
    /// of no use to anyone, so the wait for the transaction user ends then.
    pub(crate) fn new(now: Instant) -> Self {
        Self::Trying { until: now + T1X64 }
    }

    /// The same request once more.
    pub(crate) fn on_retransmission(&mut self) -> &'static [Action] {
        match self {
            Self::Proceeding { .. } | Self::Completed { .. } => &[Send],
            Self::Trying { .. } | Self::Terminated => &[],
        }
    }

    /// The transaction user answers.
    pub(crate) fn respond(&mut self, now: Instant, status: u16) -> &'static [Action] {
        match (*self, status) {
            (Self::Trying { until } | Self::Proceeding { until }, 100..=199) => {
                *self = Self::Proceeding { until };
                &[Send]
            }
            (Self::Trying { .. } | Self::Proceeding { .. }, _) => {
                *self = Self::Completed { until: now + T1X64 };
                &[Send]
            }
            (Self::Completed { .. } | Self::Terminated, _) => &[],
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> &'static [Action] {
        if self.next_timeout().is_some_and(|until| until <= now) {
            *self = Self::Terminated;
        }
        &[]
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match *self {
            Self::Trying { until } | Self::Proceeding { until } | Self::Completed { until } => {
                Some(until)
            }
            Self::Terminated => None,
        }
    }
}
