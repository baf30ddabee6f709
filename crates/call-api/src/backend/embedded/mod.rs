//! The embedded SIP engine: [`engine::Engine`] driven by one task that owns it.
//!
//! The task turns datagrams, commands and the passing of time into inputs of the engine, and does
//! what the engine asks: send, resolve, report. Nothing else touches the engine, so there is no
//! lock; commands come in by a bounded channel, and each is answered when the engine says so.

mod driver;
pub mod translate;
mod udp;
pub mod users;

use std::io;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use self::driver::{Driver, Order};
pub use self::udp::Udp;
use super::{Backend, EventSink, Outcome, Progress};
use crate::api::{Command, CommandError, Done, Event, EventKind};
use crate::config::{Redirects, Sip};

/// Commands that wait for the engine's task. At the bound a command waits for its turn: the engine
/// takes one in microseconds.
const COMMAND_QUEUE: usize = 1024;

/// The backend that needs nothing else installed.
#[derive(Debug)]
pub struct Embedded {
    orders: mpsc::Sender<Order>,
    give_up: Arc<Notify>,
}

/// What the engine is told of the world around it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Host, or host and port, that others reach us by, when it is not the socket's own address.
    pub advertise: Option<String>,
    /// SIP URI of the proxy that gets every call.
    pub next_hop: Option<String>,
    /// How many seconds a session lasts that nobody refreshes (RFC 4028); `None` is for ever.
    pub session_seconds: Option<u32>,
    /// What is done with a 3xx.
    pub redirects: Redirects,
    /// Whether each phone that is called gets a Call-ID of our own.
    pub hide_call_id: bool,
    /// Who may register and call. Without users everybody may, on loopback only.
    pub users: Option<engine::Users>,
}

impl Settings {
    /// What the `sip` section of the configuration says.
    ///
    /// # Errors
    ///
    /// When there is a file of users that cannot be read; the error names it.
    pub fn of(sip: &Sip) -> io::Result<Self> {
        Ok(Self {
            advertise: sip.advertise.clone(),
            next_hop: sip.uri.as_ref().map(ToString::to_string),
            session_seconds: Some(sip.session_seconds).filter(|seconds| *seconds > 0),
            redirects: sip.redirects,
            hide_call_id: sip.hide_call_id,
            users: sip.users.as_deref().map(users::load).transpose()?,
        })
    }
}

impl Embedded {
    /// Starts the engine on a socket; it tells `sink` of every call. It runs until the value is
    /// dropped and its last command is over; calls that stand then are left to the phones.
    ///
    /// # Errors
    ///
    /// When the socket listens on every address and no other name is advertised, or when the
    /// operating system has no entropy.
    pub fn start(udp: Udp, settings: Settings, sink: Arc<dyn EventSink>) -> io::Result<Self> {
        if udp.local().ip().is_unspecified() && settings.advertise.is_none() {
            let message =
                format!("sip.listen {} is no address to answer to: set sip.advertise", udp.local());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let (orders, queue) = mpsc::channel(COMMAND_QUEUE);
        let driver = Driver::new(udp, settings, sink)?;
        let give_up = Arc::new(Notify::new());
        tokio::spawn(driver.run(queue, Arc::clone(&give_up)));
        Ok(Self { orders, give_up })
    }

    async fn order(&self, command: Command, progress: Progress) -> Result<Done, CommandError> {
        let (done, outcome) = oneshot::channel();
        let gone = || CommandError::Internal("the SIP engine has stopped".to_owned());
        self.orders.send(Order { command, progress, done }).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

impl Backend for Embedded {
    fn run(&self, command: Command, progress: Progress) -> Outcome<'_> {
        Box::pin(async move {
            match command {
                Command::Echo(echo) => {
                    progress.report(Event::new(EventKind::Reply { params: echo.params }));
                    Ok(Done::default())
                }
                Command::Mistaken(mistaken) => Err(mistaken.into()),
                command @ (Command::CallStart(_)
                | Command::CallBlindTransfer(_)
                | Command::CallAttendedTransfer(_)
                | Command::CallHold(_)
                | Command::CallUnHold(_)
                | Command::CallEnd(_)) => self.order(command, progress).await,
            }
        })
    }

    fn give_up(&self) {
        self.give_up.notify_one();
    }
}
