//! The `cmd_id`s that clients chose, each token its own, so that a retry never places a call twice.
//!
//! An id is remembered for [`RETENTION`] after its command was started. A request that names it
//! again is a retry when method and parameters are the same, else a conflict. Kept in memory and
//! shared by all connections: the retry usually comes over a new one.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::access::Owner;
use crate::api::{CommandId, Invocation};

/// Whose command, and the id that it was given.
pub type Key = (Owner, CommandId);

/// An hour is promised. A command may itself take an hour, and must not be forgotten while it runs.
pub const RETENTION: Duration = Duration::from_secs(2 * 3600);

/// The most ids that are remembered (some 30 MB). At the bound a new command with an id of its own
/// is refused: forgetting an old one early would break the promise to somebody else.
pub const BOUND: usize = 100_000;

/// The remembered ids.
#[derive(Debug, Default)]
pub struct Retries {
    seen: HashMap<Key, Fingerprint>,
    /// The same ids, oldest first.
    order: VecDeque<(Instant, Key)>,
    keys: [RandomState; 2],
}

/// Two independent keyed hashes of method and parameters: no client can make two requests collide.
type Fingerprint = [u64; 2];

/// What an id means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not used yet.
    Never,
    /// Used for the same command.
    Same,
    /// Used for something else.
    Other,
    /// Not used yet, and there is no room to remember it.
    Full,
}

impl Retries {
    /// Looks an id up.
    pub fn look_up(&mut self, now: Instant, key: &Key, invocation: &Invocation) -> Seen {
        self.forget(now);
        match self.seen.get(key) {
            Some(fingerprint) if *fingerprint == self.fingerprint(invocation) => Seen::Same,
            Some(_) => Seen::Other,
            None if self.seen.len() >= BOUND => Seen::Full,
            None => Seen::Never,
        }
    }

    /// Remembers an id whose command has been started.
    pub fn remember(&mut self, now: Instant, key: Key, invocation: &Invocation) {
        let fingerprint = self.fingerprint(invocation);
        self.order.push_back((now, key.clone()));
        self.seen.insert(key, fingerprint);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) = self.order.pop_front_if(|(since, _)| now - *since >= RETENTION) {
            self.seen.remove(&key);
        }
    }

    fn fingerprint(&self, invocation: &Invocation) -> Fingerprint {
        [self.keys[0].hash_one(invocation), self.keys[1].hash_one(invocation)]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(callid: &str) -> Invocation {
        Invocation::parse("CallEnd", json!({"callid": callid})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_remembered_for_its_time_and_then_forgotten() {
        let mut retries = Retries::default();
        let id = (Owner::default(), CommandId::parse("order-7").unwrap());
        let start = Instant::now();
        assert_eq!(retries.look_up(start, &id, &end("a")), Seen::Never);
        retries.remember(start, id.clone(), &end("a"));
        let late = start + RETENTION - Duration::from_millis(1);
        assert_eq!(retries.look_up(late, &id, &end("a")), Seen::Same);
        assert_eq!(retries.look_up(late, &id, &end("b")), Seen::Other);
        assert_eq!(retries.look_up(start + RETENTION, &id, &end("a")), Seen::Never);
        assert!(retries.seen.is_empty() && retries.order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_bound_new_ids_are_refused_and_old_ones_kept() {
        let mut retries = Retries::default();
        let (start, command) = (Instant::now(), end("a"));
        let id =
            |number: usize| (Owner::default(), CommandId::parse(&format!("id-{number}")).unwrap());
        for number in 0..BOUND {
            retries.remember(start, id(number), &command);
        }
        assert_eq!(retries.look_up(start, &id(BOUND), &command), Seen::Full);
        assert_eq!(retries.look_up(start, &id(0), &command), Seen::Same);
        assert_eq!(retries.look_up(start + RETENTION, &id(BOUND), &command), Seen::Never);
    }
}
