//! The requests that OpenSIPS has not answered yet, as a value: no socket, no clock.
//!
//! The socket of `mi_datagram` drops what arrives faster than its one process reads: with Linux's
//! default of 208 KiB it holds some 90 that ask for a call, as each counts there as 2.3 KiB. So at
//! most [`WINDOW`] are sent that may be unread; others wait in the order they came. That process
//! answers what it can at once in the order it reads, so such an answer says that everything before
//! it was read, too. A call that rings is answered much later; when only such requests stand between
//! us and the end of the window, a fence is sent: one more request that is answered at once.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::reply::Reply;
use super::{Answer, Ask, Method, MiError, Names, REPEAT};

/// Requests that may stand unread in the proxy's socket. Repeated ones come on top.
pub const WINDOW: usize = 32;
/// How long a request may take that is answered at once.
const FENCE: Duration = REPEAT.saturating_mul(5);
/// Requests that wait to be sent. One more is refused.
pub const MAX_WAITING: usize = 16_384;

/// A request, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// JSON.
    pub text: String,
    /// When nobody waits for its answer any more.
    pub deadline: Instant,
}

/// The requests of one proxy.
#[derive(Debug)]
pub struct InFlight {
    names: Names,
    /// Ids of another run of this program are not taken for ours.
    run: u32,
    last: u64,
    entries: HashMap<u64, Entry>,
    /// Not sent yet, in the order they came.
    waiting: VecDeque<u64>,
    /// To be sent once more.
    repeats: VecDeque<u64>,
    /// Sent, and perhaps not read yet.
    unread: BTreeSet<u64>,
    /// Those of them that are answered as soon as they are read.
    prompt: BTreeSet<u64>,
    /// One per entry: when it is next looked at.
    timers: BTreeSet<(Instant, u64)>,
    /// Whether nothing is lost, and nothing answered while a SIP request waits for its answer.
    is_serial: bool,
}

#[derive(Debug)]
struct Entry {
    method: Method,
    params: Value,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
    provisional: Option<mpsc::Sender<Value>>,
    timer: Instant,
}

impl InFlight {
    /// No request yet. `run` differs from run to run.
    #[must_use]
    pub fn new(run: u32) -> Self {
        Self {
            names: Names::default(),
            run,
            last: 0,
            entries: HashMap::new(),
            waiting: VecDeque::new(),
            repeats: VecDeque::new(),
            unread: BTreeSet::new(),
            prompt: BTreeSet::new(),
            timers: BTreeSet::new(),
            is_serial: false,
        }
    }

    /// For `mi_http`: one request is answered after another, be it a call that rings. What waits behind
    /// it has its time when it is over, and nothing needs to be repeated.
    #[must_use]
    pub fn serial(self) -> Self {
        Self { is_serial: true, ..self }
    }

    /// How methods are spelled from now on.
    pub fn use_names(&mut self, names: Names) {
        self.names = names;
    }

    /// Takes a request. It is sent as soon as the window allows, see [`InFlight::poll`].
    pub fn ask(&mut self, ask: Ask) {
        let Ask { method, params, mut deadline, answer, provisional } = ask;
        if self.waiting.len() >= MAX_WAITING {
            let _ = answer.send(Err(MiError::Full));
            return;
        }
        if self.is_serial {
            let sip = self.entries.values().filter(|entry| entry.method == Method::SendRequest);
            let over = sip.map(|entry| entry.deadline + FENCE).max();
            deadline = deadline.max(over.unwrap_or(deadline));
        }
        let id =
            self.enter(Entry { method, params, deadline, answer, provisional, timer: deadline });
        self.waiting.push_back(id);
    }

    /// The next request to be sent, if one may be sent now.
    pub fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        while let Some(id) = self.repeats.pop_front() {
            if self.entries.contains_key(&id) {
                return Some(self.outgoing(id));
            }
        }
        if self.unread.len() >= WINDOW {
            return self.fence(now);
        }
        while let Some(id) = self.waiting.pop_front() {
            let Some(entry) = self.entries.get(&id) else { continue };
            // Whoever asked does not want to know any more.
            if entry.answer.is_closed() {
                self.remove(id);
                continue;
            }
            return Some(self.send(now, id));
        }
        None
    }

    /// Takes what arrived.
    pub fn handle(&mut self, bytes: &[u8]) {
        match Reply::parse(bytes) {
            Reply::To(id, answer) => match self.number(&id) {
                Some(id) => self.answered(id, answer),
                None => tracing::debug!(id, "answer to no request of ours, or a second one"),
            },
            // Only a list of dialogs can be that long, and lists are answered in order.
            Reply::TooLong => {
                let is_list = |id: &&u64| {
                    self.entries.get(*id).is_some_and(|entry| entry.method == Method::Dialogs)
                };
                match self.prompt.iter().find(is_list).copied() {
                    Some(id) => self.answered(id, Err(MiError::TooLong)),
                    None => tracing::debug!("an answer to no request of ours is too long"),
                }
            }
            Reply::Foreign => {
                let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
                tracing::warn!(text, "not an answer");
            }
        }
    }

    /// Ends what has waited too long, and repeats what can be repeated.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            if entry.deadline <= now {
                self.finish(id, Err(MiError::NoAnswer));
                continue;
            }
            entry.timer = (now + REPEAT).min(entry.deadline);
            self.timers.insert((entry.timer, id));
            self.repeats.push_back(id);
        }
    }

    /// When [`InFlight::handle_timeout`] is next due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Ends every request: the proxy is gone, and will not remember them when it is back.
    pub fn fail_all(&mut self, why: &str) {
        let ids: Vec<u64> = self.entries.keys().copied().collect();
        for id in ids {
            self.finish(id, Err(MiError::Unavailable(why.to_owned())));
        }
        self.waiting.clear();
    }

    /// How many requests are not answered yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every request is answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn enter(&mut self, entry: Entry) -> u64 {
        self.last += 1;
        self.timers.insert((entry.timer, self.last));
        self.entries.insert(self.last, entry);
        self.last
    }

    fn fence(&mut self, now: Instant) -> Option<Outgoing> {
        if !self.prompt.is_empty() || self.waiting.is_empty() {
            return None;
        }
        // Nobody reads the answer: that it comes is all.
        let (answer, _) = oneshot::channel();
        let deadline = now + FENCE;
        let id = self.enter(Entry {
            method: Method::Uptime,
            params: json!({}),
            deadline,
            answer,
            provisional: None,
            timer: deadline,
        });
        Some(self.send(now, id))
    }

    /// Sends a request for the first time.
    fn send(&mut self, now: Instant, id: u64) -> Outgoing {
        self.unread.insert(id);
        let entry = self.entries.get_mut(&id).expect("callers hold the id of an entry");
        if entry.method != Method::SendRequest {
            self.prompt.insert(id);
        }
        if entry.method.is_repeatable() && !self.is_serial {
            self.timers.remove(&(entry.timer, id));
            entry.timer = (now + REPEAT).min(entry.deadline);
            self.timers.insert((entry.timer, id));
        }
        self.outgoing(id)
    }

    fn outgoing(&self, id: u64) -> Outgoing {
        #[derive(Serialize)]
        struct Request<'a> {
            jsonrpc: &'static str,
            id: String,
            method: &'static str,
            #[serde(skip_serializing_if = "is_empty")]
            params: &'a Value,
        }
        fn is_empty(params: &&Value) -> bool {
            params.as_object().is_some_and(serde_json::Map::is_empty)
        }
        let entry = &self.entries[&id];
        let request = Request {
            jsonrpc: "2.0",
            id: format!("{:08x}-{id}", self.run),
            method: entry.method.name(self.names),
            params: &entry.params,
        };
        let text = serde_json::to_string(&request).expect("strings and JSON values are JSON");
        Outgoing { text, deadline: entry.deadline }
    }

    /// The number of the request that an id names.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, number) = id.split_once('-')?;
        let number = number.parse().ok()?;
        (run == format!("{:08x}", self.run) && self.entries.contains_key(&number)).then_some(number)
    }

    fn answered(&mut self, id: u64, answer: Answer) {
        if self.prompt.contains(&id) {
            // It was read, so everything that was sent before it was read.
            let later = self.unread.split_off(&(id + 1));
            for read in std::mem::replace(&mut self.unread, later) {
                self.prompt.remove(&read);
            }
        }
        self.unread.remove(&id);
        if let (Ok(result), Some(provisional)) = (&answer, &self.entries[&id].provisional)
            && result["Status"].as_str().is_some_and(|status| status.starts_with('1'))
        {
            // At the bound a phone that rings is not reported once more.
            let _ = provisional.try_send(result.clone());
            return;
        }
        self.finish(id, answer);
    }

    fn finish(&mut self, id: u64, answer: Answer) {
        if let Some(entry) = self.remove(id) {
            // Whoever asked may have gone.
            let _ = entry.answer.send(answer);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.timers.remove(&(entry.timer, id));
        self.unread.remove(&id);
        self.prompt.remove(&id);
        Some(entry)
    }
}
