//! The JSON-RPC conversation of one client: requests in, replies and notifications out. Knows no
//! WebSocket.
//!
//! `Started`, `Error` and `Ended` are said here and nowhere else. The reply goes out before the
//! command begins, so it comes before any notification; `live` sees to it that exactly one `Ended`
//! comes last. A command does not depend on its connection: when the client is gone, its
//! notifications go nowhere and the command runs on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use super::commands::{Admission, Commands, Phase, Slot};
use super::dialect::{self, Started};
use super::outbox::Outbox;
use crate::api::jsonrpc::{self, Incoming, Refusal, Request};
use crate::api::{CommandError, CommandId, Done, Event, Invocation};
use crate::backend::Progress;

/// How much longer than its deadline a backend may take to end a command properly: a half-made call
/// is taken down with SIP, and a BYE may be sent for 32 s (RFC 3261 §17.1.2.2, timer F).
const GRACE: Duration = Duration::from_secs(40);

/// One client.
pub struct Connection {
    commands: Arc<Commands>,
    outbox: Outbox,
}

/// A command that was admitted and not begun.
struct Start {
    cmd_id: CommandId,
    invocation: Invocation,
    slot: Slot,
}

impl Connection {
    /// A client whose replies and notifications leave by `outbox`.
    #[must_use]
    pub fn new(commands: Arc<Commands>, outbox: Outbox) -> Self {
        Self { commands, outbox }
    }

    /// Handles one message: replies, then begins the commands that it started. Needs a tokio
    /// runtime.
    pub fn receive(&self, text: &str) {
        let mut starts = Vec::new();
        let reply = match jsonrpc::parse(text) {
            Incoming::Single(request) => self.answer(request, &mut starts),
            Incoming::Batch(requests) => {
                let replies: Vec<_> =
                    requests.into_iter().filter_map(|r| self.answer(r, &mut starts)).collect();
                (!replies.is_empty()).then_some(Value::Array(replies))
            }
        };
        if let Some(reply) = reply {
            self.outbox.push(reply.to_string());
        }
        for start in starts {
            let span = tracing::info_span!("command", cmd_id = %start.cmd_id, method = start.invocation.command.name());
            tokio::spawn(
                live(Arc::clone(&self.commands), start, self.outbox.clone()).instrument(span),
            );
        }
    }

    /// The reply to one request, unless it is a notification.
    fn answer(&self, request: Result<Request, Refusal>, starts: &mut Vec<Start>) -> Option<Value> {
        let Request { id, method, params } = match request {
            Ok(request) => request,
            Err(Refusal { id, error }) => return Some(jsonrpc::error(&id, &error)),
        };
        let admitted = Invocation::parse(&method, params).and_then(|invocation| {
            self.commands.admit(&invocation).map(|admission| (invocation, admission))
        });
        let reply = |result: Started<'_>| id.as_ref().map(|id| jsonrpc::result(id, &result));
        match admitted {
            Ok((invocation, Admission::Start(cmd_id, slot))) => {
                let reply = reply(Started::new(&cmd_id, false));
                starts.push(Start { cmd_id, invocation, slot });
                reply
            }
            Ok((_, Admission::Retry(cmd_id))) => reply(Started::new(&cmd_id, true)),
            Err(error) => {
                tracing::info!(%error, kind = error.kind.name(), "request refused");
                id.as_ref().map(|id| jsonrpc::error(id, &error))
            }
        }
    }
}

/// The life of a command after its `Started`: events in order, on failure one `Error`, then always
/// one `Ended`.
async fn live(commands: Arc<Commands>, start: Start, outbox: Outbox) {
    let Start { cmd_id, mut invocation, slot } = start;
    invocation.command.default_timeout(commands.default_timeout);
    let verbose = invocation.verbose;
    let notify = |event: Event| {
        if verbose || !event.kind.is_provisional() {
            outbox.push(dialect::event(&cmd_id, &event, SystemTime::now()));
        }
    };
    tracing::info!("started");
    let deadline =
        Instant::now() + invocation.command.timeout().unwrap_or(commands.default_timeout) + GRACE;
    let mut phase = commands.phase.clone();
    let (mut running, mut events) = run(&commands, invocation, Arc::clone(&slot));
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => notify(event),
            outcome = &mut running => break outcome.unwrap_or_else(|_| {
                // Nobody cancels the task, so it panicked; the panic itself is in the log.
                Err(CommandError::Internal("the command met a bug".to_owned()))
            }),
            _ = phase.wait_for(|phase| *phase >= Phase::Ending) => {
                running.abort();
                break Err(CommandError::Draining);
            }
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
    if let Err(error) = &outcome {
        outbox.push(dialect::error(&cmd_id, error));
    }
    outbox.push(dialect::ended(&cmd_id, outcome.as_ref().ok()));
    drop(slot);
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
