//! What a token has in use: its connections, its running commands, and the calls it has started.
//!
//! Kept by name, so that connecting anew, or a new version of the file, gives nobody a fresh start.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::rate::Moments;
use super::token::Grants;
use crate::api::{CallId, Command, ErrorKind, RequestError};
use crate::server::journal::{Found, Journal};

/// How long after a command a backend may tell of the call that it has left standing.
const NEWS: Duration = Duration::from_secs(5);

/// What is in use.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    connections: u32,
    commands: u32,
    /// `CallStart`s that run.
    starting: u32,
    /// Calls that its commands have left standing. Those that have ended go when somebody asks.
    standing: HashMap<CallId, Standing>,
    /// Calls that its running commands have told of and the journal need not know yet.
    told: HashSet<CallId>,
    requests: Moments,
    calls: Moments,
}

/// A call that a command has left standing.
#[derive(Debug)]
struct Standing {
    since: Instant,
    /// Whether the journal has known it.
    seen: bool,
}

/// A connection of a token, until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Connected(Arc<Usage>);

/// A running command of a token, until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Running {
    usage: Arc<Usage>,
    starts: bool,
    /// Whether the calls it leaves standing are counted.
    counts: bool,
    told: Mutex<Vec<CallId>>,
}

impl Usage {
    /// One more connection; `None` at the bound.
    pub(super) fn connect(self: &Arc<Self>, at_most: u32) -> Option<Connected> {
        let mut used = self.used();
        (used.connections < at_most).then(|| {
            used.connections += 1;
            Connected(Arc::clone(self))
        })
    }

    /// One more request. Fails with [`ErrorKind::RateLimited`].
    pub(super) fn request(&self, now: Instant, grants: &Grants) -> Result<(), RequestError> {
        let Some(rate) = grants.requests else { return Ok(()) };
        self.used().requests.take(now, rate).map_err(|wait| {
            let (count, wait) = (rate.count, wait.as_millis());
            limited(format!("at most {count} requests in a second: the next in {wait} ms"))
        })
    }

    /// One more command. Fails with [`ErrorKind::RateLimited`], and then counts nothing.
    pub(super) fn run(
        self: &Arc<Self>,
        now: Instant,
        command: &Command,
        grants: &Grants,
        commands: u32,
        journal: &Journal,
    ) -> Result<Running, RequestError> {
        let mut used = self.used();
        if used.commands >= commands {
            return Err(limited(format!("this token has {commands} commands running")));
        }
        let starts = matches!(command, Command::CallStart(_));
        if let Some(calls) = grants.calls.filter(|_| starts) {
            used.forget_ended(now, journal);
            if used.standing.len() + used.starting as usize >= calls as usize {
                return Err(limited(format!("this token has {calls} calls")));
            }
        }
        if let Some(rate) = grants.calls_a_minute.filter(|_| command.places_a_call()) {
            used.calls.take(now, rate).map_err(|wait| {
                let (count, wait) = (rate.count, wait.as_millis());
                limited(format!("at most {count} calls in a minute: the next in {wait} ms"))
            })?;
        }
        used.commands += 1;
        used.starting += u32::from(starts);
        let (usage, counts) = (Arc::clone(self), grants.calls.is_some());
        Ok(Running { usage, starts, counts, told: Mutex::default() })
    }

    /// Whether a running command has told of this call.
    pub(super) fn knows(&self, callid: &CallId) -> bool {
        self.used().told.contains(callid)
    }

    /// Every change is complete, so a poisoned lock guards nothing broken.
    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The command tells its client of this call.
    pub(in crate::server) fn tells(&self, callid: &CallId) {
        if self.usage.used().told.insert(callid.clone()) {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).push(callid.clone());
        }
    }

    /// The command leaves this call standing.
    pub(in crate::server) fn leaves(&self, callid: &CallId, journal: &Journal) {
        if self.counts {
            let (mut used, now) = (self.usage.used(), Instant::now());
            used.standing.insert(callid.clone(), Standing { since: now, seen: false });
            used.forget_ended(now, journal);
        }
    }
}

impl Used {
    fn forget_ended(&mut self, now: Instant, journal: &Journal) {
        self.standing.retain(|callid, standing| {
            let stands = !matches!(journal.find(callid), Found::None);
            standing.seen |= stands;
            stands || (!standing.seen && now - standing.since < NEWS)
        });
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.used().connections -= 1;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut used = self.usage.used();
        used.commands -= 1;
        used.starting -= u32::from(self.starts);
        for callid in self.told.get_mut().unwrap_or_else(PoisonError::into_inner) {
            used.told.remove(callid);
        }
    }
}

fn limited(message: String) -> RequestError {
    RequestError::new(ErrorKind::RateLimited, message)
}
