//! The registrar and its location service (RFC 3261 §10.3): who is where.
//!
//! A value: time comes as `now`, deadlines are the engine's to keep. With users it asks for a
//! password (RFC 7616, RFC 8760), and a user may change its own bindings only. Without users it is
//! open, if the engine is: everybody may register as anybody.

mod bindings;
mod credentials;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sip::{Request, Uri};

pub(crate) use self::bindings::{Binding, is_same_uri};
use self::bindings::{Wanted, wanted};
pub(crate) use self::credentials::Denial;
use self::credentials::{Account, Nonces};
use crate::hash::{Keyed, Map};
use crate::limits::{MAX_CONTACTS, MAX_REGISTERED};

/// Who may register, and call through us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// The realm that the hashes were made for.
    pub realm: String,
    /// The users.
    pub users: Vec<User>,
}

/// One user. Its name is the user part of its address-of-record.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// H(A1) by SHA-256, as [`sip::digest::Algorithm::ha1`] makes it. A user without it is not asked
    /// for it: many phones give up at a challenge they do not know, whatever stands beside it.
    pub sha256: Option<String>,
    /// H(A1) by MD5, likewise.
    pub md5: Option<String>,
}

/// Without the hashes: they are as good as the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What happened to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingChange {
    /// It was registered, and was not before.
    Registered,
    /// It was registered again before its time ran out.
    Renewed,
    /// Its time ran out.
    Expired,
    /// It was taken back, or gave way to another one.
    Removed,
}

/// Contacts to which something happened, and how long each is registered from now on.
pub(crate) type Changes = Vec<(Arc<str>, BindingChange, Duration)>;

/// Why a request is not served: a status, and the headers that go with it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl From<u16> for Refusal {
    fn from(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }
}

/// Names an address-of-record that has bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RecordId(pub(crate) u64);

/// An address-of-record with its bindings, of which there is at least one.
pub(crate) struct Record {
    pub(crate) name: Arc<str>,
    bindings: Vec<Binding>,
}

/// Users, and where they are.
pub(crate) struct Registrar {
    realm: String,
    /// `None` without users: then nobody is asked for a password.
    accounts: Option<Map<String, Account>>,
    nonces: Nonces,
    records: Map<RecordId, Record>,
    by_name: Map<Arc<str>, RecordId>,
}

impl Registrar {
    pub(crate) fn new(users: Option<Users>, hash: Keyed) -> Self {
        let users = users.map(|users| {
            let mut accounts = hash.map();
            for user in users.users {
                accounts.insert(user.name.clone(), Account::new(user));
            }
            (users.realm, accounts)
        });
        let (realm, accounts) = users.unzip();
        Self {
            realm: realm.unwrap_or_default(),
            accounts,
            nonces: Nonces::new(hash.derived("nonces")),
            records: hash.map(),
            by_name: hash.map(),
        }
    }

    /// Whether passwords are asked for.
    pub(crate) fn has_users(&self) -> bool {
        self.accounts.is_some()
    }

    /// Whether there is a user of this name. Without users nobody is known but who has registered.
    pub(crate) fn knows(&self, name: &str) -> bool {
        match &self.accounts {
            Some(accounts) => accounts.contains_key(name),
            None => self.by_name.contains_key(name),
        }
    }

    /// Where a user is.
    pub(crate) fn bindings(&self, name: &str) -> &[Binding] {
        self.record(name).map_or(&[], |(_, record)| &record.bindings)
    }

    /// Whether one of a user's contacts was registered from this address.
    pub(crate) fn is_registered_from(&self, name: &str, source: SocketAddr) -> bool {
        self.bindings(name).iter().any(|binding| binding.source == source)
    }

    /// Whether this is the contact of a user, whoever it is, registered from this address.
    pub(crate) fn is_contact_from(&self, contact: &str, source: SocketAddr) -> bool {
        let mut bindings = self.records.values().flat_map(|record| &record.bindings);
        bindings.any(|binding| binding.source == source && is_same_uri(&binding.contact, contact))
    }

    /// Addresses-of-record with bindings.
    pub(crate) fn len(&self) -> usize {
        self.records.len().max(self.by_name.len())
    }

    /// Does what a REGISTER asks, or nothing of it. `fresh` names the record if there is none yet.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        fresh: RecordId,
        name: &str,
        request: &Request,
        source: SocketAddr,
    ) -> Result<Changes, Refusal> {
        let wanted = wanted(now, request, source)?;
        let mut bindings = self.bindings(name).to_vec();
        let touched = |binding: &Binding| match &wanted {
            Wanted::Nothing => false,
            Wanted::Everything => true,
            Wanted::These(these) => these.iter().any(|new| binding.is_same_contact(new)),
        };
        // RFC 3261 §10.3 steps 6 and 7: what was overtaken must not undo what overtook it.
        let (call_id, seq) = (request.call_id(), request.cseq().number);
        let mut touched = bindings.iter().filter(|binding| touched(binding));
        if touched.any(|binding| !binding.is_before(call_id, seq)) {
            return Err(500.into());
        }
        let mut changes = Changes::new();
        match wanted {
            Wanted::Nothing => {}
            Wanted::Everything => {
                changes.extend(
                    bindings.drain(..).map(|binding| gone(binding, BindingChange::Removed)),
                );
            }
            Wanted::These(these) => {
                these.into_iter().for_each(|new| put(now, &mut bindings, new, &mut changes));
            }
        }
        let id = self.by_name.get(name).copied();
        if id.is_none() && !bindings.is_empty() && self.len() >= MAX_REGISTERED {
            return Err(Refusal { status: 503, headers: vec![("Retry-After", "60".to_owned())] });
        }
        self.keep(id.unwrap_or(fresh), name, bindings);
        Ok(changes)
    }

    /// Which record of a name there is.
    pub(crate) fn record(&self, name: &str) -> Option<(RecordId, &Record)> {
        let id = *self.by_name.get(name)?;
        Some((id, self.records.get(&id)?))
    }

    /// When the first binding of a record expires.
    pub(crate) fn next_timeout(&self, id: RecordId) -> Option<Instant> {
        self.records.get(&id)?.bindings.iter().map(|binding| binding.expires).min()
    }

    /// Forgets the bindings whose time is over. Gives the name of the record.
    pub(crate) fn expire(&mut self, now: Instant, id: RecordId) -> Option<(Arc<str>, Changes)> {
        let record = self.records.get_mut(&id)?;
        let name = record.name.clone();
        let (kept, over): (Vec<_>, Vec<_>) = std::mem::take(&mut record.bindings)
            .into_iter()
            .partition(|binding| now < binding.expires);
        self.keep(id, &name, kept);
        let expired = over.into_iter().map(|binding| gone(binding, BindingChange::Expired));
        Some((name, expired.collect()))
    }

    /// Stores a record's bindings. A record without any is none.
    fn keep(&mut self, id: RecordId, name: &str, bindings: Vec<Binding>) {
        if bindings.is_empty() {
            self.records.remove(&id);
            self.by_name.remove(name);
            return;
        }
        let record = self.records.entry(id).or_insert_with(|| {
            let name: Arc<str> = name.into();
            self.by_name.insert(name.clone(), id);
            Record { name, bindings: Vec::new() }
        });
        record.bindings = bindings;
    }
}

/// Adds or renews a binding; one whose time is over already is removed. Contacts that are spelled
/// otherwise may be the same (RFC 3261 §19.1.4), and one may be the same as several: it takes the
/// place of all, for it is as it spells itself that it is called.
fn put(now: Instant, bindings: &mut Vec<Binding>, new: Binding, changes: &mut Changes) {
    let left = new.expires.saturating_duration_since(now);
    let place = bindings.iter().position(|binding| binding.is_same_contact(&new));
    let same = bindings.extract_if(.., |binding| binding.is_same_contact(&new));
    let (renewed, others): (Vec<_>, Vec<_>) =
        same.partition(|binding| binding.contact == new.contact && !left.is_zero());
    changes.extend(others.into_iter().map(|binding| gone(binding, BindingChange::Removed)));
    if left.is_zero() {
        return;
    }
    let first = bindings.iter().enumerate().min_by_key(|(_, binding)| binding.expires);
    if let Some((at, _)) = first.filter(|_| bindings.len() >= MAX_CONTACTS) {
        changes.push(gone(bindings.remove(at), BindingChange::Removed));
    }
    let change =
        if renewed.is_empty() { BindingChange::Registered } else { BindingChange::Renewed };
    changes.push((new.contact.clone(), change, left));
    bindings.insert(place.unwrap_or(bindings.len()), new);
}

/// A binding is no more.
fn gone(binding: Binding, change: BindingChange) -> (Arc<str>, BindingChange, Duration) {
    (binding.contact, change, Duration::ZERO)
}

/// The user that a URI of ours names: its user part without escapes.
pub(crate) fn user_of(uri: &Uri<'_>) -> Option<String> {
    sip::uri::unescape(uri.user?).map(Into::into)
}
