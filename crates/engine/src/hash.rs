//! Hash maps whose keys come from the network, hashed with the seed the shell gave.
//!
//! `std`'s default draws its seed from the operating system, which the engine must not; a keyed
//! SipHash keeps its promise that nobody outside can make keys collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use siphasher::sip::SipHasher13;
use siphasher::sip128::{self, Hasher128};

/// A hash map for keys that a peer may have chosen.
pub(crate) type Map<K, V> = HashMap<K, V, Keyed>;

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
        HashMap::with_hasher(self)
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
