//! The JSON-RPC conversation of one client: requests in, replies and notifications out. Knows no
//! WebSocket.
//!
//! `Started`, `Error` and `Ended` are said here and nowhere else. The reply goes out before the
//! command begins, so it comes before any notification; `live` sees to it that exactly one `Ended`
//! comes last. Nothing is said, and no command begins, before what it follows from is settled in the
//! journal (`Journal::settled`). A command does not depend on its connection: when the client is gone, its
//! notifications go nowhere and the command runs on. Queries (`queries`) are answered by their
//! reply. What a client may ask is decided in `answer`, what it may command in `Commands::admit`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

use super::access::Principal;
use super::audit;
use super::commands::{Admission, Commands, FORGETFUL, Phase, Slot};
use super::dialect::{Dialect, Mark};
use super::journal::{CommandRecord, Journal, Notice};
use super::outbox::Outbox;
use super::queries::Begun;
use super::subscriptions::Subscriptions;
use crate::api::jsonrpc::{self, Incoming, Refusal, Request, RequestId};
use crate::api::{
    CommandError, Done, ErrorKind, Event, EventKind, Invocation, Query, RequestError, Subject,
};
use crate::backend::Progress;

/// How much longer than its deadline a backend may take to end a command properly: a half-made call
/// is taken down with SIP, and a BYE may be sent for 32 s (RFC 3261 §17.1.2.2, timer F).
const GRACE: Duration = Duration::from_secs(40);

/// How long a command that was given up has to say that it succeeded after all.
const LAST_WORD: Duration = Duration::from_secs(1);

/// One client.
pub struct Connection {
    pub(super) principal: Principal,
    pub(super) commands: Arc<Commands>,
    pub(super) dialect: Dialect,
    outbox: Outbox,
    pub(super) subscriptions: Mutex<Subscriptions>,
    /// One for each command that this client may have running.
    slots: Arc<Semaphore>,
    /// Whether it has sent anything lately.
    spoke: AtomicBool,
}

/// What became of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handled {
    /// It got a reply, which is in the queue.
    pub(super) replied: bool,
    /// A command or a subscription of it says more.
    pub(super) goes_on: bool,
}

/// A command that was admitted and not begun.
pub(super) struct Start {
    principal: Principal,
    command: Arc<CommandRecord>,
    invocation: Invocation,
    slot: Slot,
    /// The number of its first event.
    begun: u64,
}

impl Connection {
    /// A client who may do everything, and whose replies and notifications leave by `outbox`.
    #[must_use]
    pub fn new(commands: Arc<Commands>, outbox: Outbox) -> Self {
        Self::of(Principal::default(), commands, outbox)
    }

    /// A client whose replies and notifications leave by `outbox`.
    #[must_use]
    pub fn of(principal: Principal, commands: Arc<Commands>, outbox: Outbox) -> Self {
        let limits = &commands.limits;
        let subscriptions = Mutex::new(Subscriptions::new(limits.subscriptions as usize));
        let slots = Arc::new(Semaphore::new(limits.connection_commands as usize));
        let spoke = AtomicBool::new(true);
        let dialect = Dialect::default();
        Self { principal, commands, dialect, outbox, subscriptions, slots, spoke }
    }

    /// The same client, speaking this dialect.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Whether the client has a command running or a subscription open, or has sent something since
    /// this was asked last.
    pub(super) fn has_business(&self) -> bool {
        let spoke = self.spoke.swap(false, Ordering::Relaxed);
        let running =
            self.commands.limits.connection_commands as usize > self.slots.available_permits();
        let open = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        spoke || running || !open.is_empty()
    }

    /// Handles one message: replies, then begins the commands that it started. Needs a tokio
    /// runtime.
    pub fn receive(&self, text: &str) {
        self.handle(text);
    }

    /// Does the same, and says what became of it.
    pub(super) fn handle(&self, text: &str) -> Handled {
        self.spoke.store(true, Ordering::Relaxed);
        let mut begun = Begun::default();
        let reply = match self.read(text) {
            Incoming::Single(request) => self.answer(request, &mut begun),
            Incoming::Batch(requests) => {
                let replies: Vec<_> =
                    requests.into_iter().filter_map(|r| self.answer(r, &mut begun)).collect();
                (!replies.is_empty()).then(|| format!("[{}]", replies.join(",")))
            }
        };
        let handled = Handled {
            replied: reply.is_some(),
            goes_on: !begun.starts.is_empty() || !begun.subscriptions.is_empty(),
        };
        if let Some(reply) = reply {
            let number = self.commands.journal.last();
            match begun.has_listed() {
                true => self.outbox.long(reply, number),
                false => self.outbox.push(reply, number),
            }
        }
        for (subscription, beginning) in begun.subscriptions {
            let (commands, outbox) = (Arc::clone(&self.commands), self.outbox.clone());
            let reader = (self.principal.clone(), self.dialect);
            tokio::spawn(subscription.run(reader, commands, outbox, beginning).in_current_span());
        }
        for start in begun.starts {
            let span = tracing::info_span!("command", cmd_id = %start.command.cmd_id, method = start.invocation.command.name());
            let (commands, outbox) = (Arc::clone(&self.commands), self.outbox.clone());
            tokio::spawn(live(commands, start, self.dialect, outbox).instrument(span));
        }
        handled
    }

    /// Lets go of the queue, for a client that sends no more: it ends after the last that its commands
    /// and subscriptions say. The latter go on as long as what is returned is kept.
    pub(super) fn into_subscriptions(self) -> Mutex<Subscriptions> {
        self.subscriptions
    }

    fn read(&self, text: &str) -> Incoming {
        jsonrpc::parse(text, self.commands.limits.json_depth, self.dialect.reading())
    }

    /// The reply to one request, unless it is a notification.
    fn answer(&self, request: Result<Request, Refusal>, begun: &mut Begun) -> Option<String> {
        let Request { id, method, params } = match request {
            Ok(request) => request,
            Err(Refusal { id, error }) => return Some(jsonrpc::error(&id, &error)),
        };
        let answered = self.principal.request(Instant::now()).and_then(|()| {
            match Query::parse(&method, &params) {
                Some(query) => {
                    let query = query?;
                    self.principal.may_ask(&query)?;
                    self.query(query, id.as_ref(), begun)
                }
                None => {
                    let invocation = Invocation::read(&method, params, self.dialect.reading())?;
                    self.command(invocation, id.as_ref(), begun)
                }
            }
        });
        answered.unwrap_or_else(|error| refused(id.as_ref(), &error))
    }

    /// The reply to a command, unless it was sent without an id.
    fn command(
        &self,
        invocation: Invocation,
        id: Option<&RequestId>,
        begun: &mut Begun,
    ) -> Result<Option<String>, RequestError> {
        let admitted = self.admit(&invocation);
        audit::command(
            &self.principal,
            &invocation.command,
            match &admitted {
                Ok(Admission::Start(command, ..)) => Ok((&command.cmd_id, "started")),
                Ok(Admission::Retry(cmd_id)) => Ok((cmd_id, "replayed")),
                Err(error) => Err(error),
            },
        );
        let reply = |cmd_id, replayed| {
            id.map(|id| jsonrpc::result(id, &self.dialect.started(cmd_id, replayed)))
        };
        match admitted? {
            Admission::Start(command, slot, number) => {
                let reply = reply(&command.cmd_id, false);
                let principal = self.principal.clone();
                begun.starts.push(Start { principal, command, invocation, slot, begun: number });
                Ok(reply)
            }
            Admission::Retry(cmd_id) => Ok(reply(&cmd_id, true)),
        }
    }

    fn admit(&self, invocation: &Invocation) -> Result<Admission, RequestError> {
        let place = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            let message = "too many commands of this connection are running";
            RequestError::new(ErrorKind::RateLimited, message)
        });
        self.commands.admit(&self.principal, invocation, place)
    }
}

fn refused(id: Option<&RequestId>, error: &RequestError) -> Option<String> {
    tracing::info!(%error, kind = error.kind.name(), "request refused");
    id.map(|id| jsonrpc::error(id, error))
}

/// The life of a command after its `Started`: events in order, on failure one `Error`, then always
/// one `Ended`.
async fn live(commands: Arc<Commands>, start: Start, dialect: Dialect, outbox: Outbox) {
    let Start { principal, command, mut invocation, slot, begun } = start;
    let default_timeout = commands.limits.command_timeout;
    invocation.command.default_timeout(default_timeout);
    let (verbose, method) = (invocation.verbose, invocation.command.name());
    let journal = Arc::clone(&commands.journal);
    let mut story = Story {
        command,
        verbose,
        asks: false,
        slot: slot.clone(),
        journal: Arc::clone(&journal),
        dialect,
        outbox,
    };
    // A server that is killed now knows of the command when it starts again, or has done nothing.
    journal.settled(begun).await;
    tracing::info!("started");
    let deadline = Instant::now() + invocation.command.timeout().unwrap_or(default_timeout) + GRACE;
    let mut phase = commands.phase.clone();
    let forgotten = invocation.cmd_id.is_some() && journal.is_lost(begun);
    let (mut running, mut events) = run(&commands, invocation, slot, forgotten);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => story.goes_on(event),
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
        story.goes_on(event);
    }
    log_end(&outcome);
    audit::ended(&principal, method, &story.command.cmd_id, outcome.as_ref().err());
    story.ends(outcome);
}

/// What is told of a command that runs: to the journal, and to whoever started it.
struct Story {
    command: Arc<CommandRecord>,
    verbose: bool,
    /// Whether a phone was asked to be held.
    asks: bool,
    slot: Slot,
    journal: Arc<Journal>,
    dialect: Dialect,
    outbox: Outbox,
}

impl Story {
    fn goes_on(&mut self, event: Event) {
        if event.kind == EventKind::HoldAsked && !std::mem::replace(&mut self.asks, true) {
            let begun = Event { leg: None, kind: EventKind::HoldBegun, ..event.clone() };
            self.tell(Notice::Event(begun));
        }
        if let Some(callid) = &event.callid {
            self.slot.tells(callid);
        }
        if let Some(further) = self.command.after(&event) {
            self.command = Arc::new(further);
        }
        if self.dialect.reports(&event.kind, self.verbose) {
            self.tell(Notice::Event(event));
        }
    }

    fn ends(self, outcome: Result<Done, CommandError>) {
        let done = match outcome {
            Ok(done) => {
                if let Some(callid) = &done.callid {
                    self.slot.leaves(callid, &self.journal);
                }
                if let Some(event) = transferred(&self.command, &done) {
                    self.tell(Notice::Event(event));
                }
                Some(done)
            }
            Err(error) => {
                self.tell(Notice::Error(error));
                None
            }
        };
        self.tell(Notice::Ended(done));
    }

    fn tell(&self, notice: Notice) {
        let record = self.journal.command(Arc::clone(&self.command), notice);
        let mark = Mark::own(self.journal.cursor(record.number));
        if let Some(text) = self.dialect.notification(&record, &mark) {
            self.outbox.push(text, record.number);
        }
    }
}

fn log_end(outcome: &Result<Done, CommandError>) {
    match outcome {
        Ok(_) => tracing::info!("ended"),
        Err(CommandError::Internal(bug)) => tracing::error!(bug, "ended"),
        Err(error) => tracing::info!(%error, "ended"),
    }
}

/// What is told of a transfer that succeeded.
fn transferred(command: &CommandRecord, done: &Done) -> Option<Event> {
    match command.subject {
        Subject::CallBlindTransfer { .. } | Subject::CallAttendedTransfer { .. } => {
            let (kind, callid) = (EventKind::Transferred, done.callid.clone());
            Some(Event { callid, uri: command.destination().cloned(), ..Event::new(kind) })
        }
        Subject::CallStart { .. }
        | Subject::CallHold
        | Subject::CallUnHold
        | Subject::CallEnd
        | Subject::Echo
        | Subject::Mistaken { .. } => None,
    }
}

/// How a command ends that the shutdown gives up. It is not aborted: the backend takes a half-made
/// call down. But its call may be up by now, and then stands.
async fn given_up(running: JoinHandle<Result<Done, CommandError>>) -> Result<Done, CommandError> {
    match timeout(LAST_WORD, running).await {
        Ok(Ok(Ok(done))) => Ok(done),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(CommandError::Draining),
    }
}

/// Begins a command in a task of its own, so that a panic stays there. Not one that is `forgotten`: the
/// disk failed between its admission and now.
fn run(
    commands: &Commands,
    invocation: Invocation,
    slot: Slot,
    forgotten: bool,
) -> (JoinHandle<Result<Done, CommandError>>, mpsc::Receiver<Event>) {
    let (progress, events) = Progress::channel();
    let backend = Arc::clone(&commands.backend);
    let task = async move {
        // Held here, too: a backend that does not return keeps its slot, so such tasks have a
        // bound.
        let _slot = slot;
        if forgotten {
            return Err(CommandError::BackendUnavailable(FORGETFUL.to_owned()));
        }
        backend.run(invocation.command, progress).await
    };
    (tokio::spawn(task.in_current_span()), events)
}
