//! Who proves to be whom: challenges, their nonces, and the count of each (RFC 7616 §3.3, §5.4).
//!
//! A nonce says when it was made, sealed with a key of ours, so a challenge costs no memory. What
//! is kept is how often a user has used a nonce, once the password was right: an answer that was
//! heard cannot be used a second time.

use std::time::Instant;

use sip::digest::{Algorithm, Challenge, Credentials};
use sip::{Name, Request, Uri};

use super::{Registrar, User};
use crate::hash::Keyed;
use crate::limits::{MAX_NONCES, NONCE_LIFETIME};

/// A user, and the nonces it has used.
pub(super) struct Account {
    user: User,
    used: Vec<Used>,
    /// Nonces made at this time or before, and not among `used`, are not taken any more.
    forgotten: Option<u64>,
}

struct Used {
    nonce: Nonce,
    count: u32,
}

/// A nonce: when it was made, in milliseconds of ours, and what tells it from others made then.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Nonce {
    made: u64,
    random: u64,
}

/// Makes nonces and recognises them.
pub(super) struct Nonces {
    key: Keyed,
    /// When the first was made: their zero of time.
    epoch: Option<Instant>,
}

/// Why credentials do not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// There are none, or the password is wrong.
    Wrong,
    /// The password is right; the nonce is too old, not ours, or was used so often before.
    Stale,
}

impl Registrar {
    /// The user whose credentials the header of this name holds.
    pub(crate) fn authenticate(
        &mut self,
        now: Instant,
        request: &Request,
        header: Name,
    ) -> Result<String, Denial> {
        let accounts = self.accounts.as_mut().ok_or(Denial::Wrong)?;
        let values = request.iter().filter(|line| line.name == header);
        let mut credentials = values
            .filter_map(|line| Credentials::parse(line.value))
            .filter(|credentials| *credentials.realm == *self.realm);
        let credentials = credentials.next().ok_or(Denial::Wrong)?;
        let account = accounts.get_mut(&*credentials.username);
        // The hash is made for unknown users too, so that time does not tell who is known.
        let ha1 = account.as_ref().and_then(|account| account.ha1(credentials.algorithm));
        let is_proved =
            credentials.prove(ha1.unwrap_or_default(), request.method_name()) && ha1.is_some();
        let account = account.filter(|_| is_proved && is_meant(&credentials, request));
        let account = account.ok_or(Denial::Wrong)?;
        let now = self.nonces.millis(now);
        let nonce = self.nonces.read(&credentials.nonce).ok_or(Denial::Stale)?;
        account.count(now, nonce, credentials.count)?;
        Ok(account.user.name.clone())
    }

    /// What asks for credentials, one value for each algorithm that this user has a hash for, the
    /// better one first (RFC 8760 §2.3); for each there is, when nobody knows the user. `random`
    /// must be new each time.
    pub(crate) fn challenges(
        &mut self,
        now: Instant,
        user: Option<&str>,
        random: u64,
        stale: bool,
    ) -> Vec<String> {
        let nonce = self.nonces.write(now, random);
        let account = user.and_then(|user| self.accounts.as_ref()?.get(user));
        let asked =
            |algorithm: &Algorithm| account.is_none_or(|account| account.ha1(*algorithm).is_some());
        let challenge = |algorithm| {
            let (realm, nonce) = ((&*self.realm).into(), (&*nonce).into());
            Challenge { realm, nonce, algorithm, stale }.to_string()
        };
        Algorithm::ALL.into_iter().filter(asked).map(challenge).collect()
    }
}

/// RFC 7616 §3.4.6: credentials for one URI are not good for another.
fn is_meant(credentials: &Credentials<'_>, request: &Request) -> bool {
    match (Uri::parse(&credentials.uri), Uri::parse(request.uri())) {
        (Ok(meant), Ok(asked)) => sip::uri::equivalent(&meant, &asked),
        _ => false,
    }
}

impl Account {
    pub(super) fn new(user: User) -> Self {
        Self { user, used: Vec::new(), forgotten: None }
    }

    fn ha1(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Sha256 => self.user.sha256.as_deref(),
            Algorithm::Md5 => self.user.md5.as_deref(),
        }
    }

    /// Counts one use of a nonce. Each count must be higher than those before.
    fn count(&mut self, now: u64, nonce: Nonce, count: u32) -> Result<(), Denial> {
        let lifetime = NONCE_LIFETIME.as_millis() as u64;
        let is_old = |nonce: Nonce| nonce.made + lifetime < now;
        if is_old(nonce) {
            return Err(Denial::Stale);
        }
        if let Some(used) = self.used.iter_mut().find(|used| used.nonce == nonce) {
            if count <= used.count {
                return Err(Denial::Stale);
            }
            used.count = count;
            return Ok(());
        }
        if self.forgotten.is_some_and(|forgotten| nonce.made <= forgotten) {
            return Err(Denial::Stale);
        }
        self.used.retain(|used| !is_old(used.nonce));
        self.used.push(Used { nonce, count });
        if self.used.len() > MAX_NONCES {
            let ages = self.used.iter().enumerate().map(|(at, used)| (used.nonce.made, at));
            if let Some((made, at)) = ages.min() {
                self.used.remove(at);
                self.forgotten = Some(made);
            }
        }
        Ok(())
    }
}

impl Nonces {
    pub(super) fn new(key: Keyed) -> Self {
        Self { key, epoch: None }
    }

    fn millis(&mut self, now: Instant) -> u64 {
        now.saturating_duration_since(*self.epoch.get_or_insert(now)).as_millis() as u64
    }

    fn write(&mut self, now: Instant, random: u64) -> String {
        let nonce = Nonce { made: self.millis(now), random };
        format!("{:016x}{:016x}{:032x}", nonce.made, nonce.random, self.seal(nonce))
    }

    /// A nonce that we made.
    fn read(&self, text: &str) -> Option<Nonce> {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let nonce = Nonce { made: number(text.get(..16)?)?, random: number(text.get(16..32)?)? };
        let seal = u128::from_str_radix(text.get(32..)?, 16).ok()?;
        (text.len() == 64 && seal == self.seal(nonce)).then_some(nonce)
    }

    fn seal(&self, nonce: Nonce) -> u128 {
        self.key.fingerprint(&[&nonce.made.to_be_bytes(), &nonce.random.to_be_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an Instant can be made in no other way")]
    fn some_time() -> Instant {
        Instant::now()
    }

    fn account() -> Account {
        let user = User { name: "alice".into(), sha256: None, md5: None };
        Account::new(user)
    }

    #[test]
    fn only_our_own_nonces_are_read() {
        let now = some_time();
        let mut nonces = Nonces::new(Keyed::new((1, 2)));
        let text = nonces.write(now, 7);
        assert_eq!(nonces.read(&text).map(|nonce| (nonce.made, nonce.random)), Some((0, 7)));
        let later = nonces.write(now + Duration::from_secs(3), 7);
        assert_eq!(nonces.read(&later).map(|nonce| nonce.made), Some(3000));
        for foreign in ["", "0", &text.replace('7', "8"), &format!("{text}0"), &"+".repeat(64)] {
            assert!(nonces.read(foreign).is_none(), "{foreign}");
        }
        assert!(Nonces::new(Keyed::new((1, 3))).read(&text).is_none());
    }

    #[test]
    fn a_count_is_good_once_and_a_nonce_for_its_time() {
        let (mut account, nonce) = (account(), Nonce { made: 1000, random: 1 });
        let lifetime = NONCE_LIFETIME.as_millis() as u64;
        assert_eq!(account.count(1000, nonce, 1), Ok(()));
        assert_eq!(account.count(1001, nonce, 1), Err(Denial::Stale));
        assert_eq!(account.count(1002, nonce, 5), Ok(()));
        assert_eq!(account.count(1003, nonce, 4), Err(Denial::Stale));
        assert_eq!(account.count(1000 + lifetime, nonce, 6), Ok(()));
        assert_eq!(account.count(1001 + lifetime, nonce, 7), Err(Denial::Stale));
    }

    #[test]
    fn at_the_bound_the_oldest_nonce_is_stale_and_stays_so() {
        let mut account = account();
        for made in 0..=MAX_NONCES as u64 {
            assert_eq!(account.count(100, Nonce { made, random: made }, 1), Ok(()), "{made}");
        }
        assert_eq!(account.used.len(), MAX_NONCES);
        assert_eq!(account.count(100, Nonce { made: 0, random: 0 }, 2), Err(Denial::Stale));
        assert_eq!(account.count(100, Nonce { made: 1, random: 1 }, 2), Ok(()));
        assert_eq!(account.count(100, Nonce { made: 0, random: 9 }, 1), Err(Denial::Stale));
    }
}
