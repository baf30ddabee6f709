//! The JSON-RPC conversation of one client: requests in, replies and notifications out. Knows no
//! WebSocket.
//!
//! `Started`, `Error` and `Ended` are said here and nowhere else. The reply goes out before the
//! command begins, so it comes before any notification; `live` sees to it that exactly one `Ended`
//! comes last. Nothing is said, and no command begins, before what it follows from is settled in the
//! journal (`Journal::settled`). A command does not depend on its connection: when the client is gone, its
//! notifications go nowhere and the command runs on. Queries (`queries`) are answered by their
//! reply.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

use super::commands::{Admission, Commands, Phase, Slot};
use super::dialect::{self, Mark, Started};
use super::journal::Notice;
use super::outbox::Outbox;
use super::queries::Begun;
use super::retries::Fingerprint;
use super::subscriptions::Subscriptions;
use crate::api::jsonrpc::{self, Incoming, Refusal, Request, RequestId};
use crate::api::{CommandError, CommandId, Done, Event, Invocation, Query, RequestError};
use crate::backend::Progress;

/// How much longer than its deadline a backend may take to end a command properly: a half-made call
/// is taken down with SIP, and a BYE may be sent for 32 s (RFC 3261 §17.1.2.2, timer F).
const GRACE: Duration = Duration::from_secs(40);

/// How long a command that was given up has to say that it succeeded after all.
const LAST_WORD: Duration = Duration::from_secs(1);

/// One client.
pub struct Connection {
    pub(super) commands: Arc<Commands>,
    outbox: Outbox,
    pub(super) subscriptions: Mutex<Subscriptions>,
}

/// A command that was admitted and not begun.
pub(super) struct Start {
    cmd_id: CommandId,
    invocation: Invocation,
    slot: Slot,
    /// The number of its first event.
    begun: u64,
}

impl Connection {
    /// A client whose replies and notifications leave by `outbox`.
    #[must_use]
    pub fn new(commands: Arc<Commands>, outbox: Outbox) -> Self {
        Self { commands, outbox, subscriptions: Mutex::default() }
    }

    /// Handles one message: replies, then begins the commands that it started. Needs a tokio
    /// runtime.
    pub fn receive(&self, text: &str) {
        let mut begun = Begun::default();
        let reply = match jsonrpc::parse(text) {
            Incoming::Single(request) => self.answer(request, &mut begun),
            Incoming::Batch(requests) => {
                let replies: Vec<_> =
                    requests.into_iter().filter_map(|r| self.answer(r, &mut begun)).collect();
                (!replies.is_empty()).then(|| format!("[{}]", replies.join(",")))
            }
        };
        if let Some(reply) = reply {
            let number = self.commands.journal.last();
            match begun.has_listed() {
                true => self.outbox.long(reply, number),
                false => self.outbox.push(reply, number),
            }
        }
        for (subscription, from) in begun.subscriptions {
            let (journal, outbox) = (Arc::clone(&self.commands.journal), self.outbox.clone());
            tokio::spawn(subscription.run(journal, outbox, from).in_current_span());
        }
        for start in begun.starts {
            let span = tracing::info_span!("command", cmd_id = %start.cmd_id, method = start.invocation.command.name());
            tokio::spawn(
                live(Arc::clone(&self.commands), start, self.outbox.clone()).instrument(span),
            );
        }
    }

    /// The reply to one request, unless it is a notification.
    fn answer(&self, request: Result<Request, Refusal>, begun: &mut Begun) -> Option<String> {
        let Request { id, method, params } = match request {
            Ok(request) => request,
            Err(Refusal { id, error }) => return Some(jsonrpc::error(&id, &error)),
        };
        if let Some(query) = Query::parse(&method, &params) {
            let reply = query.and_then(|query| self.query(query, id.as_ref(), begun));
            return reply.unwrap_or_else(|error| refused(id.as_ref(), &error));
        }
        let fingerprint = Fingerprint::of(&method, &params);
        let admitted = Invocation::parse(&method, params).and_then(|invocation| {
            let admission = self.commands.admit(&invocation, fingerprint)?;
            Ok((invocation, admission))
        });
        let reply = |result: Started<'_>| id.as_ref().map(|id| jsonrpc::result(id, &result));
        match admitted {
            Ok((invocation, Admission::Start(cmd_id, slot, number))) => {
                let reply = reply(Started::new(&cmd_id, false));
                begun.starts.push(Start { cmd_id, invocation, slot, begun: number });
                reply
            }
            Ok((_, Admission::Retry(cmd_id))) => reply(Started::new(&cmd_id, true)),
            Err(error) => refused(id.as_ref(), &error),
        }
    }
}

fn refused(id: Option<&RequestId>, error: &RequestError) -> Option<String> {
    tracing::info!(%error, kind = error.kind.name(), "request refused");
    id.map(|id| jsonrpc::error(id, error))
}

/// The life of a command after its `Started`: events in order, on failure one `Error`, then always
/// one `Ended`.
async fn live(commands: Arc<Commands>, start: Start, outbox: Outbox) {
    let Start { cmd_id, mut invocation, slot, begun } = start;
    invocation.command.default_timeout(commands.default_timeout);
    let verbose = invocation.verbose;
    let journal = Arc::clone(&commands.journal);
    let tell = |notice: Notice| {
        let record = journal.command(cmd_id.clone(), notice);
        let mark = Mark::own(journal.cursor(record.number));
        if let Some(text) = dialect::notification_of(&record, &mark) {
            outbox.push(text, record.number);
        }
    };
    let notify = |event: Event| {
        if verbose || !event.kind.is_provisional() {
            tell(Notice::Event(event));
        }
    };
    // A server that is killed now knows of the command when it starts again, or has done nothing.
    journal.settled(begun).await;
    tracing::info!("started");
    let deadline =
        Instant::now() + invocation.command.timeout().unwrap_or(commands.default_timeout) + GRACE;
    let mut phase = commands.phase.clone();
    let (mut running, mut events) = run(&commands, invocation, Arc::clone(&slot));
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => notify(event),
            // Before the outcome: the backend fails what is given up, with words of its own.
            () = async { drop(phase.wait_for(|phase| *phase >= Phase::Ending).await) } => break given_up(running).await,
            outcome = &mut running => break outcome.unwrap_or_else(|_| {
                // Nobody cancels the task, so it panicked; the panic itself is in the log.
                Err(CommandError::Internal("the command met a bug".to_owned()))
            }),
            // Not aborted: a half-made call is for the backend to take down.
            () = sleep_until(deadline) => break Err(CommandError::Internal("the command did not end in time".to_owned())),
        }
    };
    // What was reported before the backend returned; later reports find the channel closed.
    events.close();
    while let Ok(event) = events.try_recv() {
        notify(event);
    }
    match &outcome {
        Ok(_) => tracing::info!("ended"),
        Err(CommandError::Internal(bug)) => tracing::error!(bug, "ended"),
        Err(error) => tracing::info!(%error, "ended"),
    }
    let done = match outcome {
        Ok(done) => Some(done),
        Err(error) => {
            tell(Notice::Error(error));
            None
        }
    };
    tell(Notice::Ended(done));
    drop(slot);
}

/// How a command ends that the shutdown gives up. It is not aborted: the backend takes a half-made
/// call down. But its call may be up by now, and then stands.
async fn given_up(running: JoinHandle<Result<Done, CommandError>>) -> Result<Done, CommandError> {
    match timeout(LAST_WORD, running).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(CommandError::Draining),
    }
}

/// Begins a command in a task of its own, so that a panic stays there.
fn run(
    commands: &Commands,
    invocation: Invocation,
    slot: Slot,
) -> (JoinHandle<Result<Done, CommandError>>, mpsc::Receiver<Event>) {
    let (progress, events) = Progress::channel();
    let backend = Arc::clone(&commands.backend);
    let task = async move {
        // Held here, too: a backend that does not return keeps its slot, so such tasks have a
        // bound.
        let _slot = slot;
        backend.run(invocation.command, progress).await
    };
    (tokio::spawn(task.in_current_span()), events)
}
