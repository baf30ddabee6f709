//! Registrations, as those see them who watch: which phones can be called, and by which name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::param::SipUri;

/// What became of a phone's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationEvent {
    /// What happened.
    pub change: RegistrationChange,
    /// To which registration.
    pub registration: Registration,
    /// How long it is there from now on, unless it is renewed; zero when it is no more.
    pub expires: Duration,
}

/// What can happen to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistrationChange {
    /// It is here, and was not before.
    Registered,
    /// The phone renewed it in time: nothing that watchers are told, but it stays for longer.
    Renewed,
    /// Its time ran out.
    Expired,
    /// The phone took it back, it gave way to another one, or the server was restarted and knows of
    /// none.
    Removed,
}

/// A user's phone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Registration {
    /// The user's address-of-record: who calls it calls all phones of that user.
    pub aor: SipUri,
    /// The phone's own URI.
    pub contact: SipUri,
}
