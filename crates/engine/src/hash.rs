//! Hash maps whose keys come from the network, hashed with the seed the shell gave.
//!
//! `std`'s default draws its seed from the operating system, which the engine must not; a keyed
//! SipHash keeps its promise that nobody outside can make keys collide.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};

use siphasher::sip::SipHasher13;
use siphasher::sip128::{self, Hasher128};

/// A table that has room for so few entries keeps it.
const ROOM: usize = 64;

/// A hash map for keys that a peer may have chosen. It grows with the load, and gives memory back when
/// that is over.
pub(crate) struct Map<K, V>(HashMap<K, V, Keyed>);

impl<K: Eq + Hash, V> Map<K, V> {
    /// As [`HashMap::remove`]. The table shrinks when it is mostly empty: by so much that an entry is
    /// moved a bounded number of times.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let removed = self.0.remove(key);
        if self.0.capacity() > ROOM.max(8 * self.0.len()) {
            self.0.shrink_to(2 * self.0.len());
        }
        removed
    }
}

impl<K, V> Deref for Map<K, V> {
    type Target = HashMap<K, V, Keyed>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K, V> DerefMut for Map<K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Builds hashers with one secret key.
#[derive(Clone, Copy)]
pub(crate) struct Keyed(u64, u64);

impl Keyed {
    pub(crate) fn new((a, b): (u64, u64)) -> Self {
        Self(a, b)
    }

    /// Another key, as secret as this one.
    pub(crate) fn derived(self, purpose: &str) -> Self {
        let key = self.fingerprint(&[purpose.as_bytes()]);
        Self((key >> 64) as u64, key as u64)
    }

    pub(crate) fn map<K, V>(self) -> Map<K, V> {
        Map(HashMap::with_hasher(self))
    }

    /// A 128-bit fingerprint: a key that needs no copy of the text it stands for.
    pub(crate) fn fingerprint(self, parts: &[&[u8]]) -> u128 {
        let mut hasher = sip128::SipHasher13::new_with_keys(self.0, self.1);
        for part in parts {
            part.hash(&mut hasher);
        }
        hasher.finish128().as_u128()
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_gives_memory_back_when_the_rush_is_over() {
        let mut map = Keyed::new((1, 2)).map();
        for key in 0..100_000_u64 {
            map.insert(key, ());
        }
        for key in 10..100_000 {
            assert_eq!(map.remove(&key), Some(()));
        }
        assert_eq!(map.len(), 10);
        assert!(map.capacity() <= 8 * 10, "room for {}", map.capacity());
        assert!((0..10).all(|key| map.contains_key(&key)));
    }
}
