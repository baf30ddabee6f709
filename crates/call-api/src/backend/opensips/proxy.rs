//! One OpenSIPS: the task that owns its requests and hands out its events, and the handle by which
//! commands use it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::dialogs::{Dialogs, Listed};
use super::events::{Happened, WATCH_BOUND, Watchers};
use super::link::{Arrival, Link};
use super::mi::in_flight::InFlight;
use super::mi::{Answer, Ask, METHOD_NOT_FOUND, Method, MiError, Names};
use super::upkeep;
use crate::api::{CallId, CommandError};
use crate::backend::EventSink;

/// Orders that wait for the task. At the bound commands wait for their turn: it takes one in
/// microseconds.
const ORDER_QUEUE: usize = 1024;
/// Why a proxy cannot be used that was not asked yet.
const NOT_FOUND_YET: &str = "it has not answered yet";
/// How long it may take to answer an OPTIONS.
const CATCH_UP: Duration = Duration::from_millis(500);
/// Provisional responses that wait for a command.
const PROVISIONAL_BOUND: usize = 16;

/// A proxy that commands can use.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it is, for people.
    pub(super) name: Arc<str>,
    /// Its dialogs.
    pub(super) dialogs: Arc<Dialogs>,
    /// The socket that it sends events to.
    pub(super) events: Arc<str>,
    /// Where SIP requests to it go: `sip:127.0.0.1:5060`.
    pub(super) sip: Arc<str>,
    orders: mpsc::Sender<Order>,
    health: watch::Receiver<Health>,
    timeout: Duration,
}

/// Whether a proxy can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Why not, if it cannot.
    pub down: Option<Arc<str>>,
    /// Counts how often it was found, so that one that was restarted is not taken for the same.
    pub life: u64,
    /// The events it does not have.
    pub lacks: Vec<&'static str>,
}

impl Health {
    /// The proxy cannot be used. Said once in the log.
    pub(super) fn lose(health: &watch::Sender<Self>, name: &str, why: &str) {
        let mut was_up = false;
        health.send_modify(|health| {
            was_up = health.down.is_none();
            health.down = Some(why.into());
        });
        if was_up {
            tracing::error!(proxy = name, why, "OpenSIPS is gone");
        }
    }
}

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Ask(Ask),
    Watch(String, mpsc::Sender<Happened>),
    UseNames(Names),
}

/// What is told of a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where SIP requests to it go, if not to port 5060 of its host.
    pub sip: Option<String>,
    /// How long it may take to answer what it can answer at once.
    pub timeout: Duration,
    /// Differs from run to run.
    pub run: u32,
}

impl Proxy {
    /// Begins to use a proxy, whose calls are told to `sink`. It is looked for until the last handle
    /// is dropped.
    #[must_use]
    pub fn start(link: Link, settings: Settings, sink: Arc<dyn EventSink>) -> Self {
        let Settings { sip, timeout, run } = settings;
        let host = match link.host {
            std::net::IpAddr::V4(host) => host.to_string(),
            std::net::IpAddr::V6(host) => format!("[{host}]"),
        };
        let sip = sip.unwrap_or_else(|| format!("sip:{host}:5060")).into();
        let down = Some(NOT_FOUND_YET.into());
        let (health, follow) = watch::channel(Health { down, life: 0, lacks: Vec::new() });
        let health = Arc::new(health);
        let (orders, queue) = mpsc::channel(ORDER_QUEUE);
        let (dialogs, news) = Dialogs::new(sink);
        let events = Arc::clone(&link.events);
        let proxy = Self {
            name: Arc::clone(&link.name),
            dialogs: Arc::new(dialogs),
            events: Arc::clone(&events),
            sip,
            orders,
            health: follow,
            timeout,
        };
        let in_flight = InFlight::new(run);
        let task = Task {
            in_flight: if link.is_serial { in_flight.serial() } else { in_flight },
            link,
            watchers: Watchers::default(),
            dialogs: Arc::clone(&proxy.dialogs),
            health: Arc::clone(&health),
        };
        tokio::spawn(task.run(queue));
        tokio::spawn(upkeep::run(proxy.weak(), events, health, news));
        proxy
    }

    /// Whether it can be used.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Waits until it is first known whether it can be used, `longest` at most.
    pub async fn first_found(&mut self, longest: Duration) {
        let is_known =
            |health: &Health| health.life > 0 || health.down.as_deref() != Some(NOT_FOUND_YET);
        let found = self.health.wait_for(is_known);
        let _ = timeout_at(Instant::now() + longest, found).await;
    }

    /// Waits until it is not the one any more that it was at `life`.
    pub(super) async fn lost(&mut self, life: u64) -> CommandError {
        let lost = |health: &Health| health.down.is_some() || health.life != life;
        let why = match self.health.wait_for(lost).await {
            Ok(health) => health.down.as_deref().unwrap_or("it was restarted").to_owned(),
            Err(_) => "it is not used any more".to_owned(),
        };
        self.unavailable(&why)
    }

    /// What a command is told that needs it while it is down.
    pub(super) fn down(&self) -> CommandError {
        self.unavailable(self.health().down.as_deref().unwrap_or("it does not answer"))
    }

    pub(super) fn unavailable(&self, why: &str) -> CommandError {
        CommandError::BackendUnavailable(format!("OpenSIPS at {}: {why}", self.name))
    }

    /// Asks what can be answered at once.
    pub(super) async fn ask(&self, method: Method, params: Value) -> Answer {
        ask(&self.orders, method, params, self.timeout).await
    }

    /// Sends a SIP request whose final response comes by `deadline`.
    pub(super) async fn send_request(
        &self,
        params: Value,
        deadline: Instant,
    ) -> (mpsc::Receiver<Value>, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let (provisional, provisionals) = mpsc::channel(PROVISIONAL_BOUND);
        let method = Method::SendRequest;
        let ask = Ask { method, params, deadline, answer, provisional: Some(provisional) };
        // A task that has ended drops `answer`, which is an answer.
        let _ = self.orders.send(Order::Ask(ask)).await;
        (provisionals, answered)
    }

    /// Waits until it has sent on the SIP message that it is at. It tells of an ACK before it sends it
    /// on, and another of its processes sends what we ask for next. The process that takes SIP
    /// messages comes to an OPTIONS only after that; what it answers does not matter.
    pub(super) async fn catch_up(&self) {
        let id = uuid::Uuid::new_v4();
        let headers = format!(
            "From: <sip:call-api@{id}.invalid>\r\nTo: <{}>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\n",
            self.sip
        );
        let params = json!({
            "method": "OPTIONS", "ruri": *self.sip, "next_hop": *self.sip, "headers": headers,
        });
        let (_, answered) = self.send_request(params, Instant::now() + CATCH_UP).await;
        // One that does not answer has had time enough.
        let _ = answered.await;
    }

    /// What it does not know of that commands need. Without parameters none of it does anything.
    pub(super) async fn lacks(&self) -> Vec<Method> {
        let mut lacks = Vec::new();
        for method in Method::NEEDED {
            let answer = self.ask(method, json!({})).await;
            if answer.is_err_and(|error| error.code() == Some(METHOD_NOT_FOUND)) {
                lacks.push(method);
            }
        }
        lacks
    }

    /// The dialog with this Call-ID; `None` when it cannot be read. Fails with 404 when there is none.
    pub(super) async fn dialog(&self, callid: &CallId) -> Result<Option<Listed>, MiError> {
        let answer = self.ask(Method::Dialogs, json!({"callid": callid})).await?;
        Ok(Listed::read(&answer["Dialog"]))
    }

    /// Whether it has a dialog with this Call-ID.
    pub(super) async fn has(&self, callid: &CallId) -> bool {
        self.ask(Method::Dialogs, json!({"callid": callid})).await.is_ok()
    }

    /// The events of a Call-ID from now on.
    pub(super) async fn watch(&self, callid: &CallId) -> Watch {
        let (sender, events) = mpsc::channel(WATCH_BOUND);
        let watch = Watch { sender, events };
        watch.add(self, callid.as_str()).await;
        watch
    }

    /// A handle that does not keep the proxy in use.
    fn weak(&self) -> WeakProxy {
        WeakProxy {
            name: Arc::clone(&self.name),
            orders: self.orders.downgrade(),
            dialogs: Arc::clone(&self.dialogs),
            timeout: self.timeout,
        }
    }
}

/// A handle that does not keep the proxy in use.
pub(super) struct WeakProxy {
    pub(super) name: Arc<str>,
    pub(super) dialogs: Arc<Dialogs>,
    pub(super) timeout: Duration,
    orders: mpsc::WeakSender<Order>,
}

impl WeakProxy {
    /// Asks what can be answered at once. `None` when the proxy is not used any more.
    pub(super) async fn ask(&self, method: Method, params: Value) -> Option<Answer> {
        let orders = self.orders.upgrade()?;
        Some(ask(&orders, method, params, self.timeout).await)
    }

    pub(super) async fn use_names(&self, names: Names) {
        if let Some(orders) = self.orders.upgrade() {
            let _ = orders.send(Order::UseNames(names)).await;
        }
    }
}

async fn ask(
    orders: &mpsc::Sender<Order>,
    method: Method,
    params: Value,
    timeout: Duration,
) -> Answer {
    let (answer, answered) = oneshot::channel();
    let deadline = Instant::now() + timeout;
    let ask = Ask { method, params, deadline, answer, provisional: None };
    let gone = || MiError::Unavailable("its task has ended".to_owned());
    orders.send(Order::Ask(ask)).await.map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

/// Events of one or several Call-IDs.
#[derive(Debug)]
pub(super) struct Watch {
    sender: mpsc::Sender<Happened>,
    events: mpsc::Receiver<Happened>,
}

impl Watch {
    /// The next event.
    pub(super) async fn next(&mut self) -> Happened {
        match self.events.recv().await {
            Some(event) => event,
            // `self` holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Watches another Call-ID, too.
    pub(super) async fn add(&self, proxy: &Proxy, callid: &str) {
        let order = Order::Watch(callid.to_owned(), self.sender.clone());
        // Without the task there are no events, and every question fails.
        let _ = proxy.orders.send(order).await;
    }
}

struct Task {
    link: Link,
    in_flight: InFlight,
    watchers: Watchers,
    dialogs: Arc<Dialogs>,
    health: Arc<watch::Sender<Health>>,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            let timeout = self.in_flight.next_timeout();
            // No timer is as good as one in an hour.
            let timeout = timeout.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                arrival = self.link.arrivals.recv() => match arrival {
                    Some(arrival) => self.arrived(arrival),
                    None => return self.gone("the link to it is closed"),
                },
                () = sleep_until(timeout) => self.in_flight.handle_timeout(Instant::now()),
            }
            self.send();
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Ask(ask) => self.in_flight.ask(ask),
            Order::Watch(callid, watcher) => self.watchers.add(callid, watcher),
            Order::UseNames(names) => self.in_flight.use_names(names),
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Answer(bytes) => self.in_flight.handle(&bytes),
            Arrival::Event(bytes) => match Happened::parse(&bytes) {
                Some(event) => {
                    self.watchers.tell(&event);
                    self.dialogs.tell(event);
                }
                None => {
                    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
                    tracing::warn!(text, "not an event");
                }
            },
            Arrival::Gone(why) => self.gone(&why),
        }
    }

    fn gone(&mut self, why: &str) {
        Health::lose(&self.health, &self.link.name, why);
        self.in_flight.fail_all(why);
    }

    fn send(&mut self) {
        while let Some(request) = self.in_flight.poll(Instant::now()) {
            if self.link.requests.try_send(request).is_err() {
                tracing::warn!(proxy = %self.link.name, "a request is lost: its socket is not written");
                return;
            }
        }
    }
}
