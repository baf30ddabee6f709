//! Deadlines, ordered, at a cost that does not grow with the number of calls.
//!
//! Every thing that waits holds its own deadline; this heap only remembers who to ask when. A
//! deadline that moved leaves a stale entry behind, which is recognised and thrown away when it
//! comes up: the owner says what it is waiting for now.

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

/// A heap of deadlines of things named by `K`.
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Copy + Ord> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    /// Remembers that `key` waits until `at`.
    pub(crate) fn set(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// The earliest deadline that still holds; `current` tells what `key` waits for now.
    pub(crate) fn next(&mut self, current: impl Fn(K) -> Option<Instant>) -> Option<Instant> {
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
