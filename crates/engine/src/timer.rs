//! Deadlines, ordered, at a cost that does not grow with the number of calls.
//!
//! Every thing that waits holds its own deadline; this heap only remembers who to ask when. A
//! deadline that moved leaves a stale entry behind, which is recognised and thrown away when it
//! comes up: the owner says what it is waiting for now. Those of owners that are gone do not stay
//! that long: a session timer would keep them for half an hour after its call.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Round-trip time estimate (RFC 3261 §17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// Longest interval between retransmissions of a request that is not an INVITE, and of a final
/// response to an INVITE (RFC 3261 §17.1.2.2).
pub const T2: Duration = Duration::from_secs(4);
/// Longest time a message stays in the network (RFC 3261 §17.1.2.2).
pub const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J, L and M: a transaction's whole life (RFC 3261 table 4, RFC 6026 §8.2).
pub const T1X64: Duration = Duration::from_secs(32);

/// A heap with fewer entries is not worth a look at all of them.
const SWEPT_FROM: usize = 16;

/// A heap of deadlines of things named by `K`.
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// How many entries make it look for those whose owners are gone: twice those that stayed the
    /// last time, so an entry is looked at a bounded number of times.
    sweep_at: usize,
}

impl<K: Copy + Ord> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), sweep_at: SWEPT_FROM }
    }

    /// Remembers that `key` waits until `at`.
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// The earliest deadline that still holds; `current` tells what `key` waits for now.
    pub(crate) fn next(&mut self, current: impl Fn(K) -> Option<Instant>) -> Option<Instant> {
        if self.heap.len() >= self.sweep_at {
            // One that moved stays: its owner may come back to it.
            self.heap.retain(|&Reverse((_, key))| current(key).is_some());
            self.sweep_at = SWEPT_FROM.max(2 * self.heap.len());
            self.heap.shrink_to(self.sweep_at);
        }
        // After a rush there is room, and a bound, for many that will not come.
        if self.heap.capacity() > 8 * SWEPT_FROM.max(self.heap.len()) {
            self.sweep_at = SWEPT_FROM.max(2 * self.heap.len());
            self.heap.shrink_to(self.sweep_at);
        }
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            if current(key) == Some(at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the next thing whose deadline has come.
    pub(crate) fn expired(
        &mut self,
        now: Instant,
        current: impl Fn(K) -> Option<Instant>,
    ) -> Option<K> {
        if self.next(current)? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the one real instant: all others are offsets")]
    fn owners_that_are_gone_are_forgotten_long_before_their_time() {
        let start = Instant::now();
        let at = |key: u64| start + Duration::from_secs(1800) + Duration::from_millis(key);
        let mut deadlines = Deadlines::new();
        let mut most = 0;
        for newest in 0..100_000 {
            deadlines.set(at(newest), newest);
            // The first call stands all the time, and a hundred others.
            let current = |key| (key == 0 || key + 100 > newest).then(|| at(key));
            assert_eq!(deadlines.next(current), Some(at(0)));
            most = most.max(deadlines.heap.len());
        }
        assert!(most <= 202, "{most} entries for 101 calls");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the one real instant: all others are offsets")]
    fn the_memory_of_a_rush_is_given_back() {
        let start = Instant::now();
        let at = |key: u64| start + Duration::from_millis(key);
        let mut deadlines = Deadlines::new();
        (0..100_000).for_each(|key| deadlines.set(at(key), key));
        for key in 0..100_000 {
            assert_eq!(deadlines.expired(at(100_000), |key| Some(at(key))), Some(key));
        }
        assert_eq!(deadlines.next(|key| Some(at(key))), None);
        assert!(deadlines.heap.capacity() <= 8 * SWEPT_FROM);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the one real instant: all others are offsets")]
    fn a_deadline_that_comes_back_after_an_earlier_one_is_remembered() {
        let start = Instant::now();
        let (late, soon) = (start + T1X64, start + T1);
        let mut deadlines = Deadlines::new();
        deadlines.set(late, 0);
        deadlines.set(soon, 0);
        for key in 1..100 {
            deadlines.set(soon, key);
            assert_eq!(deadlines.next(|key| (key == 0).then_some(soon)), Some(soon));
        }
        assert_eq!(deadlines.next(|key| (key == 0).then_some(late)), Some(late));
    }
}
