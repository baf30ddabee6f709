//! The started commands of all connections: who may start one, and how they end when the server
//! shuts down.
//!
//! A command takes a slot when it is admitted and gives it back when it has ended, so the slots are
//! both the bound on running commands and the way to wait for them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::access::{self, Principal};
use super::dialect::Shared;
use super::discovery::Discovery;
use super::journal::{CommandRecord, Journal};
use super::retries::{Fingerprint, Retries, Seen};
use crate::api::{CallId, Command, CommandId, ErrorKind, Invocation, RequestError, Subject};
use crate::backend::Backend;
use crate::config::{Limits, WsServer};

/// Why a command with a `cmd_id` of its own does not begin when the journal's disk has failed: after a
/// restart a retry of it would be taken for another command.
pub(super) const FORGETFUL: &str = "the journal's disk has failed, so after a restart this cmd_id would be \
     forgotten and a retry start the command again; without a cmd_id it is started";

/// How far the server is on its way from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Commands are started.
    Serving,
    /// No new calls; commands that change or end one are started.
    Draining,
    /// No new commands; those that still run are given up.
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
    /// What many are told at once.
    pub(super) shared: Shared,
    pub(super) limits: Limits,
    /// Followed by every running command.
    pub(super) phase: watch::Receiver<Phase>,
    /// Where clients come to.
    ws_server: WsServer,
    /// What the API is, once somebody has asked.
    discovery: OnceLock<Discovery>,
    /// How many have started and not ended.
    running: Arc<watch::Sender<u32>>,
    retries: Mutex<Retries>,
}

/// The right to run one command. Clones are the same right.
#[derive(Clone, Debug)]
pub(super) struct Slot(Arc<Places>);

/// Among all commands, those of the connection, and those of the token.
#[derive(Debug)]
struct Places {
    _all: Running,
    _connection: OwnedSemaphorePermit,
    token: Option<access::Running>,
}

/// A running command, until it is dropped.
#[derive(Debug)]
struct Running(Arc<watch::Sender<u32>>);

/// What becomes of a valid request.
pub(super) enum Admission {
    /// It is started. The number is that of its first event: it begins once that is
    /// settled.
    Start(Arc<CommandRecord>, Slot, u64),
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
        let (limits, running) = (limits.clone(), Arc::default());
        let now = (Instant::now(), SystemTime::now());
        let retries = Mutex::new(Retries::restored(journal.remembered(), now));
        let (shared, discovery) = (Shared::default(), OnceLock::new());
        let ws_server = WsServer::default();
        Self { backend, journal, shared, limits, phase, ws_server, discovery, running, retries }
    }

    /// The same, for clients who come there.
    pub(super) fn reached_at(self, ws_server: WsServer) -> Self {
        Self { ws_server, ..self }
    }

    /// What the API is.
    pub(super) fn discovery(&self) -> &Discovery {
        self.discovery.get_or_init(|| Discovery::new(&*self.backend, &self.ws_server))
    }

    /// How many commands have started and not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        *self.running.borrow() as usize
    }

    /// Decides whether a valid request is started; `place` is one among the running commands of its
    /// connection. A retry is one whatever has changed since: rights, calls, limits. Fails with
    /// [`ErrorKind::Conflict`], [`ErrorKind::RateLimited`] or [`ErrorKind::Draining`], with
    /// [`ErrorKind::BackendUnavailable`] when its `cmd_id` could not be kept, and as
    /// [`Principal::may_command`] does.
    pub(super) fn admit(
        &self,
        principal: &Principal,
        invocation: &Invocation,
        place: Result<OwnedSemaphorePermit, RequestError>,
    ) -> Result<Admission, RequestError> {
        let now = Instant::now();
        let slot = || self.slot(principal, now, &invocation.command, place);
        let record = |cmd_id| {
            let (owner, subject) = (principal.owner(), Subject::of(&invocation.command));
            Arc::new(CommandRecord::new(owner, cmd_id, subject))
        };
        let Some(cmd_id) = &invocation.cmd_id else {
            let (slot, command) = (slot()?, record(CommandId::random()));
            let begun = self.journal.begin(Arc::clone(&command), None);
            return Ok(Admission::Start(command, slot, begun));
        };
        let (key, fingerprint) = ((cmd_id.clone(), principal.owner()), Fingerprint::of(invocation));
        let mut retries = self.retries();
        match retries.look_up(now, &key, &fingerprint) {
            Seen::Same => Ok(Admission::Retry(cmd_id.clone())),
            Seen::Other => Err(RequestError::new(
                ErrorKind::Conflict,
                "this cmd_id was used for another command",
            )),
            Seen::Full => Err(RequestError::new(
                ErrorKind::RateLimited,
                "too many commands with a cmd_id of their own in the last hours",
            )),
            Seen::Never if self.journal.has_failed() => {
                Err(RequestError::new(ErrorKind::BackendUnavailable, FORGETFUL))
            }
            Seen::Never => {
                let (slot, command) = (slot()?, record(cmd_id.clone()));
                let begun = self.journal.begin(Arc::clone(&command), Some(fingerprint.clone()));
                retries.remember(now, key, fingerprint, begun);
                Ok(Admission::Start(command, slot, begun))
            }
        }
    }

    /// The number of the first event of the commands with this id that a client sees, as far as they
    /// are remembered.
    pub(super) fn begun(&self, principal: &Principal, cmd_id: &CommandId) -> Option<u64> {
        self.retries().begun(cmd_id, |owner| principal.sees_commands_of(owner))
    }

    /// Every change to the map is complete, so a poisoned lock guards nothing broken.
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(
        &self,
        principal: &Principal,
        now: Instant,
        command: &Command,
        place: Result<OwnedSemaphorePermit, RequestError>,
    ) -> Result<Slot, RequestError> {
        principal.may_command(command, &self.journal)?;
        let (at_most, mut has_room) = (self.limits.commands, false);
        self.running.send_if_modified(|running| {
            has_room = *running < at_most;
            *running += u32::from(has_room);
            has_room
        });
        let all = has_room.then(|| Running(Arc::clone(&self.running)));
        // Looked at after the slot was taken: whoever drains either is seen here, or sees the slot.
        let refused_from = match command {
            Command::CallStart(_) => Phase::Draining,
            Command::CallBlindTransfer(_)
            | Command::CallAttendedTransfer(_)
            | Command::CallHold(_)
            | Command::CallUnHold(_)
            | Command::CallEnd(_)
            | Command::Echo(_)
            | Command::Mistaken(_) => Phase::Ending,
        };
        if *self.phase.borrow() >= refused_from {
            return Err(RequestError::new(ErrorKind::Draining, "the server is shutting down"));
        }
        let all = all.ok_or_else(|| {
            RequestError::new(ErrorKind::RateLimited, "too many commands are running")
        })?;
        let connection = place?;
        // Last, as it counts what is started.
        let token = principal.run(now, command, &self.journal)?;
        Ok(Slot(Arc::new(Places { _all: all, _connection: connection, token })))
    }

    /// Waits until no command runs.
    pub(super) async fn ended(&self) {
        // The sender is ours.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Slot {
    /// The command tells its client of this call.
    pub(super) fn tells(&self, callid: &CallId) {
        if let Some(token) = &self.0.token {
            token.tells(callid);
        }
    }

    /// The command leaves this call standing.
    pub(super) fn leaves(&self, callid: &CallId, journal: &Journal) {
        if let Some(token) = &self.0.token {
            token.leaves(callid, journal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
