//! Something that runs commands.
//!
//! The seam is one method: run a command, report progress, return the outcome. A second one says
//! that the time for commands is over. `Started`, `Error`
//! and `Ended` are not a backend's business, so no backend can forget or repeat them;
//! `server::connection` says them.

pub mod embedded;
pub mod fake;
pub mod opensips;

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use self::embedded::Embedded;
use self::opensips::OpenSips;
use crate::api::{CallEvent, Command, CommandError, Done, Event, RegistrationEvent};
use crate::config::Config;

/// The backend that a configuration asks for, ready to run commands. It tells `sink` of calls.
///
/// # Errors
///
/// When its sockets cannot be bound, or its users cannot be read.
pub async fn connect(config: &Config, sink: Arc<dyn EventSink>) -> io::Result<Arc<dyn Backend>> {
    if !config.mi.proxies().is_empty() {
        return Ok(Arc::new(OpenSips::connect(config, sink).await?));
    }
    let udp = embedded::Udp::listen(&config.sip.listen).await?;
    Ok(Arc::new(Embedded::start(udp, embedded::Settings::of(&config.sip)?, sink)?))
}

/// Runs a command to its end. There is no third way out beside success and failure.
pub trait Backend: Send + Sync {
    /// Runs until the command has succeeded or failed; by the command's own deadline at the latest.
    ///
    /// A backend may panic: that costs the one command. It must not block its thread.
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_>;

    /// Asks every running command to end now, as a failure, with what it has set up taken down.
    /// Calls that stand stay. Never waits; [`Backend::run`] returns for each as ever. A backend
    /// whose commands leave nothing behind need not do anything.
    fn give_up(&self) {}

    /// Why this backend cannot run the method of this name; `None` when it can. What it cannot run
    /// fails with `unsupported`.
    fn lacks(&self, method: &str) -> Option<&'static str> {
        let _ = method;
        None
    }
}

/// Where a backend tells what becomes of calls, those that no command caused included, and of
/// registrations. It is given one when it is made.
pub trait EventSink: Send + Sync {
    /// Takes the next transition of a call. Never waits.
    fn call(&self, event: CallEvent);

    /// Takes what became of a registration. Never waits.
    fn registration(&self, event: RegistrationEvent);
}

/// What [`Backend::run`] returns.
pub type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Done, CommandError>> + Send + 'a>>;

/// Where a backend reports what happens while it runs a command. Reporting never waits.
#[derive(Clone, Debug)]
pub struct Progress {
    events: mpsc::Sender<Event>,
}

impl Progress {
    /// The most events that wait to be forwarded. They are forwarded at once, so this is reached
    /// only by a backend that reports a burst; no command has more than a dozen events that are not
    /// provisional.
    pub const BOUND: usize = 64;

    /// A reporting end and the end that forwards.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (events, forward) = mpsc::channel(Self::BOUND);
        (Self { events }, forward)
    }

    /// Reports an event. At the bound it is dropped, with a line in the log; provisional events are
    /// dropped from half the bound on, so that a peer that rings a thousand times cannot displace
    /// the answer. After the command has ended, reports go nowhere.
    pub fn report(&self, event: Event) {
        if event.kind.is_provisional() && self.events.capacity() <= Self::BOUND / 2 {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            tracing::error!(?event, "event dropped: the command reports faster than it is read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventKind;

    #[test]
    fn ringing_cannot_displace_an_answer() {
        let (progress, mut forward) = Progress::channel();
        for _ in 0..1000 {
            progress.report(Event::new(EventKind::Ringing));
        }
        progress.report(Event::new(EventKind::Answered));
        let events: Vec<_> = std::iter::from_fn(|| forward.try_recv().ok()).collect();
        assert_eq!(events.len(), Progress::BOUND / 2 + 1);
        assert_eq!(events.last().unwrap().kind, EventKind::Answered);
    }

    #[test]
    fn a_burst_ends_at_the_bound() {
        let (progress, mut forward) = Progress::channel();
        for _ in 0..1000 {
            progress.report(Event::new(EventKind::Answered));
        }
        assert_eq!(std::iter::from_fn(|| forward.try_recv().ok()).count(), Progress::BOUND);
    }
}
