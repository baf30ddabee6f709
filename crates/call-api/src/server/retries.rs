//! The `cmd_id`s that clients chose, each token its own, so that a retry never places a call twice.
//!
//! An id is remembered for [`RETENTION`] after its command was started. A request that names it
//! again is a retry when method and parameters are the same, else a conflict. Shared by all
//! connections: the retry usually comes over a new one. The journal keeps the ids, too, so that they
//! are remembered after a restart; when its disk has failed no further ids are taken.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::access::Owner;
use super::journal::Begun;
use crate::api::{CommandId, Invocation};

/// The id that a command was given, and whose it is.
pub type Key = (CommandId, Owner);

/// An hour is promised. A command may itself take an hour, and must not be forgotten while it runs.
pub const RETENTION: Duration = Duration::from_secs(2 * 3600);

/// The most ids that are remembered (some 30 MB). At the bound a new command with an id of its own
/// is refused: forgetting an old one early would break the promise to somebody else.
pub const BOUND: usize = 100_000;

/// The most that are remembered of one token: a client that goes wrong leaves room for the others.
pub const SHARE: usize = BOUND / 2;

/// The remembered ids.
#[derive(Debug, Default)]
pub struct Retries {
    /// Ordered by id: whoever sees the commands of several owners asks by id alone.
    seen: BTreeMap<Key, Entry>,
    /// The same ids and until when they are remembered, oldest first.
    order: VecDeque<(Instant, Key)>,
    /// How many of them are whose.
    held: HashMap<Owner, usize>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    /// The number of the command's first event.
    begun: u64,
}

/// SHA-256 of a command: no client can make two collide, and it is the same after a restart, also of
/// a newer version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint([u64; 4]);

impl Fingerprint {
    /// Of what is asked for, in whatever order and spelling, and with defaults written or left out.
    #[must_use]
    pub fn of(invocation: &Invocation) -> Self {
        let Invocation { command, verbose, cmd_id: _ } = invocation;
        let asked = serde_json::to_value((command, verbose))
            .expect("structs of strings and numbers have no key that JSON cannot hold");
        let mut text = String::new();
        canonical(&asked, &mut text);
        let hash: [u8; 32] = Sha256::digest(text).into();
        let (words, _) = hash.as_chunks::<8>();
        Self(std::array::from_fn(|word| u64::from_be_bytes(words[word])))
    }
}

/// JSON with its members in order. As deep as the parser lets a request be.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                canonical(&Value::from(name.as_str()), text);
                canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            values.iter().for_each(|value| canonical(value, text));
            text.push(']');
        }
        // In quotes or by its first letter or digit it is told from what is around it.
        other => *text += &format!("{other},"),
    }
}

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
    /// The ids of commands that the runs before this one began, oldest first, each with the number
    /// of its first event. `now` is the same moment on both clocks.
    #[must_use]
    pub fn restored(begun: Vec<(u64, Begun)>, now: (Instant, SystemTime)) -> Self {
        let mut retries = Self::default();
        for (number, Begun { command, fingerprint, time, .. }) in begun {
            // A clock that was set back does not make it older than it can be, nor one set forward
            // younger.
            let age = now.1.duration_since(time).unwrap_or_default().min(RETENTION);
            if let Some(fingerprint) = fingerprint {
                let key = (command.cmd_id.clone(), command.owner.clone());
                retries.enter(now.0 + (RETENTION - age), key, fingerprint, number);
            }
        }
        retries
    }

    /// Looks an id up.
    pub fn look_up(&mut self, now: Instant, key: &Key, fingerprint: &Fingerprint) -> Seen {
        self.forget(now);
        match self.seen.get(key) {
            Some(entry) if entry.fingerprint == *fingerprint => Seen::Same,
            Some(_) => Seen::Other,
            None if self.seen.len() >= BOUND || self.has_its_share(&key.1) => Seen::Full,
            None => Seen::Never,
        }
    }

    /// Remembers an id whose command has been started. `begun` is the number of its first event.
    pub fn remember(&mut self, now: Instant, key: Key, fingerprint: Fingerprint, begun: u64) {
        self.enter(now + RETENTION, key, fingerprint, begun);
    }

    /// The number of the first event of the commands with this id, as far as they are remembered and
    /// their owners are wanted.
    #[must_use]
    pub fn begun(&self, cmd_id: &CommandId, wanted: impl Fn(&Owner) -> bool) -> Option<u64> {
        let first = (cmd_id.clone(), Owner::default());
        let named = self.seen.range(first..).take_while(|((id, _), _)| id == cmd_id);
        named.filter(|((_, owner), _)| wanted(owner)).map(|(_, entry)| entry.begun).min()
    }

    fn has_its_share(&self, owner: &Owner) -> bool {
        owner.name().is_some() && self.held.get(owner).is_some_and(|held| *held >= SHARE)
    }

    fn enter(&mut self, until: Instant, key: Key, fingerprint: Fingerprint, begun: u64) {
        *self.held.entry(key.1.clone()).or_default() += 1;
        self.order.push_back((until, key.clone()));
        self.seen.insert(key, Entry { fingerprint, begun });
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) = self.order.pop_front_if(|(until, _)| *until <= now) {
            self.seen.remove(&key);
            if let Some(held) = self.held.get_mut(&key.1) {
                *held -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use std::sync::Arc;

    use crate::api::Subject;
    use crate::server::journal::{CommandRecord, Progress};

    fn of(method: &str, params: Value) -> Fingerprint {
        Fingerprint::of(&Invocation::parse(method, params).unwrap())
    }

    fn end(callid: &str) -> Fingerprint {
        of("CallEnd", json!({"callid": callid}))
    }

    #[test]
    fn a_request_has_the_same_fingerprint_however_it_is_written() {
        let one = json!({"a": {"x": 1, "y": [1, 2]}, "b": "s"});
        let same = json!({"b": "s", "a": {"y": [1, 2], "x": 1}});
        assert_eq!(of("Echo", one.clone()), of("Echo", same));
        let others = [
            json!({"a": {"x": 1, "y": [2, 1]}, "b": "s"}),
            json!({"a": {"x": 1, "y": [12]}, "b": "s"}),
            json!({"a": {"x": "1", "y": [1, 2]}, "b": "s"}),
            json!({"a": {"x": 1}, "y": [1, 2], "b": "s"}),
            json!({"a": {"x": 1, "y": [1, 2]}, "bs": ""}),
        ];
        for other in others {
            assert_ne!(of("Echo", one.clone()), of("Echo", other.clone()), "{other}");
        }
        let written = json!({"callid": "x", "leg": null, "verbose": false, "timeout_ms": null, "cmd_id": "1"});
        assert_eq!(of("CallUnhold", written.clone()), of("CallUnHold", json!({"callid": "x"})));
        assert_ne!(of("CallUnhold", written.clone()), of("CallHold", written));
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_version() {
        let headers = json!({"X-Order": "7", "Subject": "s"});
        let requests = [
            of("CallStart", json!({"caller": "sip:a@h", "callee": "sip:b@h", "headers": headers})),
            of(
                "CallBlindTransfer",
                json!({"callid": "x", "leg": "callee", "destination": "sip:c@h"}),
            ),
            of("CallEnd", json!({"callid": "x", "timeout_ms": 1500, "verbose": true})),
            of("Echo", json!(null)),
        ];
        let text = requests.map(|request| serde_json::to_string(&request).unwrap() + "\n").concat();
        expect![[r#"
            [1714926346970186819,7268630659221625762,18135498255372561559,7761848707668113666]
            [16560507888370476130,14965373227742193085,8249805502223739854,6131668791563207893]
            [8967468541889752053,17381048499515472018,18163621373855742913,16940295286501709072]
            [14832381804169379013,17530533899700022464,4465998124747992610,13811112379414998223]
        "#]]
        .assert_eq(&text);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_began_is_remembered_for_the_rest_of_its_time() {
        let now = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
        let begun = |id, fingerprint, age: i64| Begun {
            command: Arc::new(CommandRecord::new(
                Owner::default(),
                CommandId::parse(id).unwrap(),
                Subject::CallEnd,
            )),
            fingerprint,
            time: match u64::try_from(age) {
                Ok(age) => now.1 - Duration::from_secs(age),
                Err(_) => now.1 + Duration::from_secs(age.unsigned_abs()),
            },
            progress: Progress::Ended,
        };
        let commands = vec![
            (3, begun("old", Some(end("a")), 7000)),
            (4, begun("unnamed", None, 10)),
            (5, begun("new", Some(end("b")), 10)),
            (6, begun("from the future", Some(end("c")), -10_000)),
        ];
        let mut retries = Retries::restored(commands, now);
        let id = |name| (CommandId::parse(name).unwrap(), Owner::default());
        assert_eq!(retries.look_up(now.0, &id("old"), &end("a")), Seen::Same);
        assert_eq!(retries.begun(&id("old").0, |_| true), Some(3));
        assert_eq!(retries.look_up(now.0, &id("unnamed"), &end("a")), Seen::Never);
        let later = now.0 + Duration::from_secs(201);
        assert_eq!(retries.look_up(later, &id("old"), &end("a")), Seen::Never);
        assert_eq!(retries.look_up(later, &id("new"), &end("x")), Seen::Other);
        let last = now.0 + RETENTION - Duration::from_secs(1);
        assert_eq!(retries.look_up(last, &id("new"), &end("b")), Seen::Never);
        assert_eq!(retries.look_up(last, &id("from the future"), &end("c")), Seen::Same);
        assert_eq!(
            retries.look_up(now.0 + RETENTION, &id("from the future"), &end("c")),
            Seen::Never
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_is_remembered_for_its_time_and_then_forgotten() {
        let mut retries = Retries::default();
        let id = (CommandId::parse("order-7").unwrap(), Owner::default());
        let start = Instant::now();
        assert_eq!(retries.look_up(start, &id, &end("a")), Seen::Never);
        retries.remember(start, id.clone(), end("a"), 1);
        let late = start + RETENTION - Duration::from_millis(1);
        assert_eq!(retries.look_up(late, &id, &end("a")), Seen::Same);
        assert_eq!(retries.look_up(late, &id, &end("b")), Seen::Other);
        assert_eq!(retries.look_up(start + RETENTION, &id, &end("a")), Seen::Never);
        assert!(retries.seen.is_empty() && retries.order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_token_leaves_room_for_the_ids_of_others() {
        let mut retries = Retries::default();
        let (start, command) = (Instant::now(), end("a"));
        let owner = |name: &str| serde_json::from_value::<Owner>(json!(name)).unwrap();
        let id =
            |number: usize, name| (CommandId::parse(&format!("id-{number}")).unwrap(), owner(name));
        for number in 0..SHARE {
            retries.remember(start, id(number, "wild"), command.clone(), 1);
        }
        assert_eq!(retries.look_up(start, &id(SHARE, "wild"), &command), Seen::Full);
        assert_eq!(retries.look_up(start, &id(0, "wild"), &command), Seen::Same);
        assert_eq!(retries.look_up(start, &id(0, "shop"), &command), Seen::Never);
        let later = start + RETENTION;
        assert_eq!(retries.look_up(later, &id(SHARE, "wild"), &command), Seen::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_bound_new_ids_are_refused_and_old_ones_kept() {
        let mut retries = Retries::default();
        let (start, command) = (Instant::now(), end("a"));
        let id =
            |number: usize| (CommandId::parse(&format!("id-{number}")).unwrap(), Owner::default());
        for number in 0..BOUND {
            retries.remember(start, id(number), command.clone(), 1);
        }
        assert_eq!(retries.look_up(start, &id(BOUND), &command), Seen::Full);
        assert_eq!(retries.look_up(start, &id(0), &command), Seen::Same);
        assert_eq!(retries.look_up(start + RETENTION, &id(BOUND), &command), Seen::Never);
    }
}
