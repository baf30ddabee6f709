//! The started commands of all connections: who may start one, and how they end when the server
//! shuts down.
//!
//! A command takes a slot when it is admitted and gives it back when it has ended, so the slots are
//! both the bound on running commands and the way to wait for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::journal::Journal;
use super::retries::{Fingerprint, Retries, Seen};
use crate::api::{CommandId, ErrorKind, Invocation, RequestError};
use crate::backend::Backend;
use crate::config::Limits;

/// How far the server is on its way from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Commands are started.
    Serving,
    /// No new commands; running ones go on.
    Draining,
    /// Commands that still run are given up.
    Ending,
    /// Every command has ended; clients are disconnected.
    Closing,
}

/// What all connections share.
pub struct Commands {
    /// Runs them.
    pub(super) backend: Arc<dyn Backend>,
    /// Everything that clients are told.
    pub(super) journal: Arc<Journal>,
    /// For commands without a deadline of their own.
    pub(super) default_timeout: Duration,
    /// Followed by every running command.
    pub(super) phase: watch::Receiver<Phase>,
    capacity: u32,
    slots: Arc<Semaphore>,
    retries: Mutex<Retries>,
}

/// The right to run one command. Clones are the same right.
pub(super) type Slot = Arc<OwnedSemaphorePermit>;

/// What becomes of a valid request.
pub(super) enum Admission {
    /// It is started under this id. The number is that of its first event: it begins once that is
    /// settled.
    Start(CommandId, Slot, u64),
    /// It is a retry of the command with this id.
    Retry(CommandId),
}

impl Commands {
    /// No command runs yet.
    #[must_use]
    pub fn new(
        backend: Arc<dyn Backend>,
        journal: Arc<Journal>,
        limits: &Limits,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(limits.commands as usize));
        let default_timeout = limits.command_timeout;
        let now = (Instant::now(), SystemTime::now());
        let retries = Mutex::new(Retries::restored(journal.remembered(), now));
        Self { backend, journal, default_timeout, phase, capacity: limits.commands, slots, retries }
    }

    /// How many commands have started and not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.capacity as usize - self.slots.available_permits()
    }

    /// Decides whether a valid request is started. Fails with [`ErrorKind::Conflict`],
    /// [`ErrorKind::RateLimited`] or [`ErrorKind::Draining`].
    pub(super) fn admit(
        &self,
        invocation: &Invocation,
        fingerprint: Fingerprint,
    ) -> Result<Admission, RequestError> {
        let Some(cmd_id) = &invocation.cmd_id else {
            let (cmd_id, slot) = (CommandId::random(), self.slot()?);
            let begun = self.journal.begin(cmd_id.clone(), None);
            return Ok(Admission::Start(cmd_id, slot, begun));
        };
        let now = Instant::now();
        let mut retries = self.retries();
        match retries.look_up(now, cmd_id, &fingerprint) {
            Seen::Same => Ok(Admission::Retry(cmd_id.clone())),
            Seen::Other => Err(RequestError::new(
                ErrorKind::Conflict,
                "this cmd_id was used for another command",
            )),
            Seen::Full => Err(RequestError::new(
                ErrorKind::RateLimited,
                "too many commands with a cmd_id of their own in the last hours",
            )),
            Seen::Never => {
                let slot = self.slot()?;
                let begun = self.journal.begin(cmd_id.clone(), Some(fingerprint.clone()));
                retries.remember(now, cmd_id.clone(), fingerprint, begun);
                Ok(Admission::Start(cmd_id.clone(), slot, begun))
            }
        }
    }

    /// The number of the first event of a command whose id is remembered.
    pub(super) fn begun(&self, cmd_id: &CommandId) -> Option<u64> {
        self.retries().begun(cmd_id)
    }

    /// Every change to the map is complete, so a poisoned lock guards nothing broken.
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> Result<Slot, RequestError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        // Looked at after the slot was taken: whoever drains either is seen here, or sees the slot.
        if *self.phase.borrow() >= Phase::Draining {
            return Err(RequestError::new(ErrorKind::Draining, "the server is shutting down"));
        }
        slot.map(Arc::new)
            .map_err(|_| RequestError::new(ErrorKind::RateLimited, "too many commands are running"))
    }

    /// Waits until no command runs, `deadline` at the longest. Returns whether that was long
    /// enough.
    pub(super) async fn ended(&self, deadline: Duration) -> bool {
        timeout(deadline, self.slots.acquire_many(self.capacity)).await.is_ok()
    }
}
