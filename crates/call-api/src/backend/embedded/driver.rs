//! The task that owns the engine.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{CommandId, Config, Engine, Input, Output, Stats};
use tokio::net::lookup_host;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::translate;
use super::udp::Udp;
use super::{EventSink, Progress, Settings};
use crate::api::{Command, CommandError, Done};
use crate::config::Redirects;

/// Datagrams taken from the socket before commands and timers get their turn.
const READ_BATCH: usize = 64;
/// Datagrams taken from it before timers fire: about what the kernel keeps for us.
const READ_BEFORE_TIMERS: usize = 4096;
/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Resolved names that wait for the engine's task; the resolving tasks wait at the bound.
const RESOLVED_QUEUE: usize = 64;
/// Time between lines in the log about broken datagrams, whoever sends how many.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// A command to run, and where its progress and outcome go.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) command: Command,
    pub(super) progress: Progress,
    pub(super) done: oneshot::Sender<Result<Done, CommandError>>,
}

struct Running {
    progress: Progress,
    done: oneshot::Sender<Result<Done, CommandError>>,
}

pub(super) struct Driver {
    engine: Engine,
    udp: Udp,
    sink: Arc<dyn EventSink>,
    running: HashMap<CommandId, Running>,
    last_command: u64,
    resolved: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// The broken datagrams that the log has, and when it gets those since.
    logged: Stats,
    next_warning: Instant,
}

impl Driver {
    pub(super) fn new(udp: Udp, settings: Settings, sink: Arc<dyn EventSink>) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let Settings { advertise, next_hop, session_seconds, redirects, hide_call_id, users } =
            settings;
        // Whoever can reach a loopback address may use this machine anyway.
        let open = udp.local().ip().is_loopback() && users.is_none();
        let address = udp.local();
        let follow_redirects = redirects == Redirects::Follow;
        let config = Config {
            address,
            advertise,
            next_hop,
            open,
            session_seconds,
            follow_redirects,
            hide_call_id,
            users,
        };
        Ok(Self {
            engine: Engine::new(config, seed),
            udp,
            sink,
            running: HashMap::new(),
            last_command: 0,
            resolved: mpsc::channel(RESOLVED_QUEUE),
            logged: Stats::default(),
            next_warning: Instant::now(),
        })
    }

    /// Runs until nobody can send commands any more and the last one is over. `give_up` tells it to
    /// end those that run.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>, give_up: Arc<Notify>) {
        let mut open = true;
        while open || !self.running.is_empty() {
            // No timer is as good as one in an hour.
            let timeout = self
                .engine
                .next_timeout()
                .map_or_else(|| Instant::now() + Duration::from_secs(3600), Instant::from_std);
            tokio::select! {
                () = self.udp.readable() => self.read(READ_BATCH),
                order = orders.recv(), if open => match order {
                    Some(order) => self.start(order),
                    None => open = false,
                },
                () = give_up.notified() => self.engine.give_up(now()),
                Some(input) = self.resolved.1.recv() => self.engine.handle(now(), input),
                () = sleep_until(timeout) => {
                    // What has arrived may be what is waited for. After a moment in which we did not
                    // get to run, everything would be sent again otherwise.
                    self.read(READ_BEFORE_TIMERS);
                    self.engine.handle(now(), Input::Timeout);
                }
            }
            self.drain();
            self.warn_of_broken();
        }
    }

    fn read(&mut self, at_most: usize) {
        for _ in 0..at_most {
            let Some((source, bytes)) = self.udp.read() else { return };
            self.engine.handle(now(), Input::Datagram { source, bytes });
            self.drain();
        }
    }

    fn start(&mut self, order: Order) {
        self.last_command += 1;
        let id = CommandId(self.last_command);
        let Order { command, progress, done } = order;
        self.running.insert(id, Running { progress, done });
        match command {
            Command::CallStart(start) => self.engine.start(now(), id, translate::start(start)),
            Command::CallBlindTransfer(transfer) => {
                self.engine.transfer(now(), id, translate::blind_transfer(transfer));
            }
            Command::CallAttendedTransfer(transfer) => {
                self.engine.transfer(now(), id, translate::attended_transfer(transfer));
            }
            Command::CallHold(hold) => self.engine.hold(now(), id, translate::hold(hold)),
            Command::CallUnHold(unhold) => self.engine.hold(now(), id, translate::unhold(unhold)),
            Command::CallEnd(end) => {
                self.engine.end(now(), id, end.callid.as_str(), end.timeout);
            }
            // They never get here: they need no engine.
            Command::Echo(_) | Command::Mistaken(_) => drop(self.running.remove(&id)),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Transmit { to, bytes } => self.udp.send(to, &bytes),
                Output::Resolve { query, host, port } => self.resolve(query, host, port),
                Output::Event(event) => self.report(event),
            }
        }
    }

    fn report(&mut self, event: engine::Event) {
        match event {
            engine::Event::Progress(id, progress) => {
                if let Some(running) = self.running.get(&id) {
                    running.progress.report(translate::progress(&progress));
                }
            }
            engine::Event::Done(id, result) => {
                if let Some(running) = self.running.remove(&id) {
                    // A command whose client's task is gone is over all the same.
                    let _ = running.done.send(translate::outcome(result));
                }
            }
            engine::Event::Call(event) => self.sink.call(translate::call(*event)),
            engine::Event::Registration { aor, contact, change, expires } => {
                tracing::info!(%aor, %contact, ?change, ?expires, "registration");
                if let Some(event) = translate::registration(&aor, &contact, change, expires) {
                    self.sink.registration(event);
                }
            }
            engine::Event::Bug(text) => tracing::error!(%text, "caught a bug; it cost one call"),
        }
    }

    /// Tells the operator of broken datagrams: a phone or proxy that is broken, or an attack.
    fn warn_of_broken(&mut self) {
        let stats = self.engine.stats();
        if stats == self.logged || Instant::now() < self.next_warning {
            return;
        }
        tracing::warn!(
            "broken SIP datagrams: {} refused, {} dropped",
            stats.refused - self.logged.refused,
            stats.dropped - self.logged.dropped
        );
        self.logged = stats;
        self.next_warning = Instant::now() + WARN_INTERVAL;
    }

    /// Resolves a name to an address of the socket's own family.
    fn resolve(&self, query: u64, host: Box<str>, port: u16) {
        let (resolved, local) = (self.resolved.0.clone(), self.udp.local());
        tokio::spawn(async move {
            let found = timeout(RESOLVE_TIMEOUT, lookup_host((&*host, port))).await;
            let address = found.ok().and_then(Result::ok).and_then(|mut addresses| {
                addresses.find(|address: &SocketAddr| address.is_ipv4() == local.is_ipv4())
            });
            if address.is_none() {
                tracing::warn!(%host, "no address for this name");
            }
            // The engine's task may be gone.
            let _ = resolved.send(Input::Resolved { query, address }).await;
        });
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
