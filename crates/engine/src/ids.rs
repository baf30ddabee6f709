//! Branches, tags, Call-IDs and other numbers that nobody may guess (RFC 3261 §8.1.1.7, §19.3).
//!
//! The engine draws no randomness of its own: the shell seeds this generator, from the operating
//! system in production and with a number in tests, where the same seed gives the same call.

use std::fmt;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What RFC 3261 §8.1.1.7 asks every branch to begin with.
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// The generator. ChaCha12, so that seeing some identifiers tells nothing about the next ones.
pub(crate) struct Ids(ChaCha12Rng);

impl Ids {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn key(&mut self) -> (u64, u64) {
        (self.number(), self.number())
    }

    pub(crate) fn tag(&mut self) -> Tag {
        Tag(self.number())
    }

    pub(crate) fn branch(&mut self) -> Branch {
        Branch(self.number())
    }

    pub(crate) fn call_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }

    /// A first CSeq, below 2^31 with room to grow (RFC 3261 §8.1.1.5).
    pub(crate) fn cseq(&mut self) -> u32 {
        (self.number() & 0x7fff) as u32 + 1
    }

    /// A duration between `low` and `high`, in steps of 10 ms (RFC 3261 §14.1).
    pub(crate) fn wait(&mut self, low: Duration, high: Duration) -> Duration {
        let steps = (high - low).as_millis() as u64 / 10;
        low + Duration::from_millis(self.number() % (steps + 1) * 10)
    }
}

/// Our tag in a dialog. It also names the leg, for it is unique in this engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub(crate) u64);

impl Tag {
    /// Reads a tag that we may have made.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        hex(text).map(Self)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The branch of a client transaction of ours, without the magic cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Branch(pub(crate) u64);

impl Branch {
    /// Reads a branch that we may have made.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        hex(text.strip_prefix(MAGIC_COOKIE)?).map(Self)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MAGIC_COOKIE}{:016x}", self.0)
    }
}

/// Sixteen lower-case hexadecimal digits, as we write them.
fn hex(text: &str) -> Option<u64> {
    let ours = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_identifiers() {
        let (mut a, mut b) = (Ids::new([7; 32]), Ids::new([7; 32]));
        assert_eq!(a.call_id(), b.call_id());
        assert_eq!(a.tag(), b.tag());
        assert_ne!(Ids::new([8; 32]).tag(), Ids::new([7; 32]).tag());
    }

    #[test]
    fn only_what_we_wrote_is_read_back() {
        let branch = Ids::new([1; 32]).branch();
        assert_eq!(Branch::parse(&branch.to_string()).map(|b| b.0), Some(branch.0));
        for foreign in
            ["", "z9hG4bK", "z9hG4bK12", "z9hG4bK+000000000000001", "z9hG4bK00000000000000AB"]
        {
            assert!(Branch::parse(foreign).is_none(), "{foreign}");
        }
    }
}
