//! What ends a command before it has an outcome.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::proxy::Proxy;
use crate::api::{CommandError, Origin};

/// Watches for what ends a command.
pub(super) struct Stop {
    deadline: Instant,
    given_up: watch::Receiver<bool>,
    life: u64,
}

/// Why a command ends.
#[derive(Debug)]
pub(super) enum Why {
    /// Its deadline has passed.
    Late,
    /// Anything else.
    Else(CommandError),
}

impl Why {
    /// As an error. `waits_for` is whose turn it was.
    pub(super) fn error(self, waits_for: Origin) -> CommandError {
        match self {
            Self::Late => CommandError::Timeout { origin: waits_for },
            Self::Else(error) => error,
        }
    }
}

impl Stop {
    /// For a command that begins now on a proxy that is in its `life`.
    pub(super) fn new(timeout: Duration, given_up: &Arc<watch::Sender<bool>>, life: u64) -> Self {
        Self { deadline: Instant::now() + timeout, given_up: given_up.subscribe(), life }
    }

    /// When the command fails at the latest.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits until the command has to end.
    pub(super) async fn wait(&mut self, proxy: &Proxy) -> Why {
        let mut proxy = proxy.clone();
        tokio::select! {
            () = sleep_until(self.deadline) => Why::Late,
            error = proxy.lost(self.life) => Why::Else(error),
            () = async { drop(self.given_up.wait_for(|given_up| *given_up).await) } => {
                Why::Else(CommandError::Draining)
            }
        }
    }
}
