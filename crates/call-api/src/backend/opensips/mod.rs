//! OpenSIPS 3.1 to 4.x, which makes the calls: through its management interface (MI) and its events.
//!
//! Each proxy has a task that owns its requests and hands out its events (`proxy`), and one that keeps
//! it usable (`upkeep`). A command is a function that asks and waits; it lives on the proxy that has
//! the dialog, ends with the truth, and takes down what it has set up, whatever ends it.

mod dialogs;
mod end;
pub mod events;
mod hold;
pub mod link;
pub mod mi;
mod outcome;
mod proxy;
mod refer;
mod start;
mod stop;
mod tracker;
mod transfer;
mod upkeep;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use self::dialogs::Found;
use self::hold::Change;
use self::link::Link;
use self::mi::{Method, Names};
pub use self::proxy::{Proxy, Settings};
use self::stop::Stop;
use self::transfer::Transfer;
use super::{Backend, EventSink, Outcome, Progress};
use crate::api::{CallId, Command, CommandError, Done, Event, EventKind};
use crate::config::Config;

/// How long a proxy may take to be found when the server starts.
const FIRST_FOUND: Duration = Duration::from_secs(2);
/// The deadline of a command that comes without one.
const NO_TIMEOUT: Duration = Duration::from_secs(300);

/// The backend that lets OpenSIPS make the calls.
#[derive(Debug)]
pub struct OpenSips {
    proxies: Vec<Proxy>,
    next: AtomicUsize,
    given_up: Arc<watch::Sender<bool>>,
}

impl OpenSips {
    /// Uses the proxies that the configuration names. They need not run yet.
    ///
    /// # Errors
    ///
    /// When a proxy's name has no address, when a socket cannot be bound, or when the operating system
    /// has no entropy.
    pub async fn connect(config: &Config, sink: Arc<dyn EventSink>) -> io::Result<Self> {
        let mut proxies = Vec::new();
        for (index, url) in (0..).zip(config.mi.proxies()) {
            let link = Link::open(&url, config.mi.events, index).await?;
            let mut run = [0; 4];
            getrandom::fill(&mut run).map_err(io::Error::other)?;
            let settings = Settings {
                sip: config.sip.uri.as_ref().map(ToString::to_string),
                timeout: config.mi.timeout,
                run: u32::from_ne_bytes(run),
            };
            proxies.push(Proxy::start(link, settings, Arc::clone(&sink)));
        }
        let mut backend = Self::of(proxies);
        backend.found().await;
        Ok(backend)
    }

    /// Uses these proxies.
    #[must_use]
    pub fn of(proxies: Vec<Proxy>) -> Self {
        if proxies.len() > 1 {
            for (index, proxy) in proxies.iter().enumerate() {
                proxy.dialogs.set_prefix(format!("{}-", index + 1));
            }
        }
        Self { proxies, next: AtomicUsize::new(0), given_up: Arc::new(watch::Sender::new(false)) }
    }

    /// What each proxy is and lacks, a line each, and whether commands can use them all.
    pub async fn report(&self) -> (Vec<String>, bool) {
        let (mut lines, mut is_good) = (Vec::new(), true);
        for proxy in &self.proxies {
            let health = proxy.health();
            if let Some(why) = health.down {
                lines.push(format!("OpenSIPS at {}: {why}", proxy.name));
                is_good = false;
                continue;
            }
            let version = proxy.ask(Method::Version, json!({})).await.unwrap_or_default();
            let version = version["Server"].as_str().unwrap_or("of an unknown version").to_owned();
            lines.push(format!("OpenSIPS at {}: {version}", proxy.name));
            for event in &health.lacks {
                lines
                    .push(format!("  has no event {event}, or cannot send it to {}", proxy.events));
            }
            let lacks = proxy.lacks().await;
            for method in &lacks {
                let name = method.name(Names::Old);
                lines.push(format!("  does not know {name}: load {}", method.module()));
            }
            is_good &= health.lacks.is_empty() && lacks.is_empty();
        }
        (lines, is_good)
    }

    /// Waits until it is known which proxies can be used, for a moment at most.
    pub async fn found(&mut self) {
        for proxy in &mut self.proxies {
            proxy.first_found(FIRST_FOUND).await;
        }
    }

    async fn command(&self, command: Command, progress: &Progress) -> Result<Done, CommandError> {
        let timeout = command.timeout().unwrap_or(NO_TIMEOUT);
        let stop = |proxy: &Proxy| Stop::new(timeout, &self.given_up, proxy.health().life);
        match command {
            Command::Echo(echo) => {
                progress.report(Event::new(EventKind::Reply { params: echo.params }));
                Ok(Done::default())
            }
            Command::Mistaken(mistaken) => Err(mistaken.into()),
            Command::CallStart(start) => {
                let proxy = self.any()?;
                start::run(proxy, start, progress, stop(proxy)).await
            }
            Command::CallBlindTransfer(transfer) => {
                let (proxy, callid) = self.by_callid(&transfer.callid).await?;
                let transfer = Transfer::blind(transfer, callid)?;
                transfer.run(proxy, progress, stop(proxy)).await
            }
            Command::CallAttendedTransfer(transfer) => {
                let (proxy, callid_a) = self.by_callid(&transfer.callid_a).await?;
                let (other, callid_b) = self.by_callid(&transfer.callid_b).await?;
                if !std::ptr::eq(proxy, other) {
                    let what = "the two calls are on different proxies".to_owned();
                    return Err(CommandError::InvalidState(what));
                }
                let transfer = Transfer::attended(transfer, callid_a, callid_b)?;
                transfer.run(proxy, progress, stop(proxy)).await
            }
            Command::CallHold(hold) => {
                let (proxy, callid) = self.by_callid(&hold.callid).await?;
                let change = Change { callid, leg: hold.leg, held: true };
                hold::run(proxy, change, progress, stop(proxy)).await
            }
            Command::CallUnHold(unhold) => {
                let (proxy, callid) = self.by_callid(&unhold.callid).await?;
                let change = Change { callid, leg: unhold.leg, held: false };
                hold::run(proxy, change, progress, stop(proxy)).await
            }
            Command::CallEnd(end) => {
                let (proxy, id, callid) = self.one(&end.callid).await?;
                end::run(proxy, &id, &callid, stop(proxy)).await
            }
        }
    }

    /// A proxy that can be used: each in its turn.
    fn any(&self) -> Result<&Proxy, CommandError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.proxies.len();
        let mut turn = (0..count).filter_map(|at| self.proxies.get((first + at) % count));
        turn.find(|proxy| proxy.health().down.is_none()).ok_or_else(|| self.all_down())
    }

    fn all_down(&self) -> CommandError {
        match self.proxies.first() {
            Some(proxy) => proxy.down(),
            None => CommandError::BackendUnavailable("no OpenSIPS is configured".to_owned()),
        }
    }

    /// The proxy that has the call of this name, the id it has there, and its Call-ID.
    async fn one(&self, name: &CallId) -> Result<(&Proxy, String, CallId), CommandError> {
        for proxy in &self.proxies {
            match proxy.dialogs.find(name) {
                Found::One { id, callid } if proxy.health().down.is_none() => {
                    return Ok((proxy, id, callid));
                }
                Found::One { .. } => return Err(proxy.down()),
                Found::Several(ids) => {
                    return Err(CommandError::InvalidState(format!(
                        "several calls have this Call-ID; name one of {}",
                        ids.join(", ")
                    )));
                }
                Found::None => {}
            }
        }
        // A dialog that is not known yet, or the one in which a caller is told whom to call.
        let usable = || self.proxies.iter().filter(|proxy| proxy.health().down.is_none());
        let mut candidates = usable();
        let first = candidates.next().ok_or_else(|| self.all_down())?;
        if candidates.next().is_none() {
            return Ok((first, name.to_string(), name.clone()));
        }
        for proxy in usable() {
            if proxy.has(name).await {
                return Ok((proxy, name.to_string(), name.clone()));
            }
        }
        Err(CommandError::no_such_call())
    }

    /// The same for what OpenSIPS does with a Call-ID only.
    async fn by_callid(&self, name: &CallId) -> Result<(&Proxy, CallId), CommandError> {
        let (proxy, _, callid) = self.one(name).await?;
        if *name != callid && matches!(proxy.dialogs.find(&callid), Found::Several(_)) {
            let what = "OpenSIPS cannot tell calls apart that share a Call-ID".to_owned();
            return Err(CommandError::Unsupported(what));
        }
        Ok((proxy, callid))
    }
}

impl Backend for OpenSips {
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_> {
        Box::pin(async move { self.command(command, &progress).await })
    }

    fn give_up(&self) {
        self.given_up.send_replace(true);
    }
}
