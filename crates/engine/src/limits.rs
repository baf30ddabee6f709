//! Every bound of the engine, in one table, with what happens at it.

use std::time::Duration;

/// Client, and server, transactions at a time. At the bound a new request from the network is
/// answered 503 with Retry-After (a BYE, which makes room, only at a tenth more), and one of ours
/// fails as if the peer could not be reached.
pub const MAX_TRANSACTIONS: usize = 200_000;

/// Names being resolved at a time. At the bound the peer counts as unreachable.
pub const MAX_RESOLVING: usize = 10_000;

/// Calls at a time. At the bound a new INVITE is answered 503, a new command fails.
pub const MAX_CALLS: usize = 100_000;

/// Answers of other forks to one INVITE that are acknowledged and hung up. Further ones are left
/// to their own timers.
pub const MAX_FORKS: usize = 16;

/// Requests of one leg that wait for the other's answer. Further ones are refused with 500 and
/// Retry-After.
pub const MAX_PASSING: usize = 16;

/// Provisional steps of one command that are reported. Further ones are not: the outcome always is.
pub const MAX_PROVISIONAL_EVENTS: u32 = 32;

/// How long a phone may ring before the call is cancelled.
pub const RING_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a phone that took a REFER may take to place the call, and how long one may leave a
/// REFER unanswered.
pub const REFER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long our reports on a REFER may take until the last one, as the NOTIFYs say: a target may ring
/// for all of [`RING_TIMEOUT`], and the parties have then to be joined.
pub const REPORT_TIMEOUT: Duration = Duration::from_secs(180);

/// How long the parties may take to accept a hold, or its end, before it is undone. Less than the
/// 64·T1 after which a silent phone counts as lost, and the call with it.
pub const HOLD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an UPDATE with an offer waits for the other party, whose phone may ask its user. Then that
/// is asked no more, and the UPDATE answered 504 (RFC 3311 §5.2): its sender gives up after 64·T1, and
/// the call with it.
pub const UPDATE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a re-INVITE is tried again after 491 (RFC 3261 §14.1).
pub const MAX_GLARE_RETRIES: u32 = 5;

/// Reliable provisional responses of one leg that wait for the caller's PRACK of the one before.
/// Further ones are not sent.
pub const MAX_UNPRACKED: usize = 8;

/// Addresses that one INVITE goes to, one after the other, when it is answered 3xx. Further ones are
/// not tried: the last refusal is told.
pub const MAX_REDIRECTS: usize = 6;

/// The shortest session that a phone may ask for, in seconds; less is answered 422 (RFC 4028 §4).
pub const MIN_SESSION_SECONDS: u32 = 90;

/// The longest Min-SE of a peer that we go by, in seconds. With a longer one its 422 is a refusal like
/// others.
pub const MAX_SESSION_SECONDS: u32 = 86_400;

/// How long a refresh of a session that failed waits for the next try. The last is before the session
/// ends.
pub const REFRESH_RETRY: Duration = Duration::from_secs(10);

/// Addresses-of-record with bindings at a time. At the bound a REGISTER for another one is answered
/// 503.
pub const MAX_REGISTERED: usize = 100_000;

/// Contacts of one address-of-record. At the bound a new one takes the place of the one that would
/// expire first.
pub const MAX_CONTACTS: usize = 10;

/// What is kept of one contact, in bytes: its URI, its parameters and its Path. A REGISTER with more
/// is answered 513.
pub const MAX_CONTACT_BYTES: usize = 2048;

/// Nonces of which one user's counts are kept. At the bound the oldest, and every one older than it,
/// counts as stale.
pub const MAX_NONCES: usize = 16;

/// How long a nonce is good for.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// The shortest time a contact may be registered for; less is answered 423 (RFC 3261 §10.3).
pub const MIN_EXPIRES: Duration = Duration::from_secs(60);

/// How long a contact is registered for that does not say (RFC 3261 §10.2.1.1).
pub const DEFAULT_EXPIRES: Duration = Duration::from_secs(3600);

/// The longest time a contact may be registered for; more is shortened.
pub const MAX_EXPIRES: Duration = Duration::from_secs(7200);

/// Calls with one Call-ID. One more is answered 482: it goes round in circles, for a registered
/// contact leads back here.
pub const MAX_PASSES: usize = 8;
