//! Registrations, as those see them who watch: which phones can be called, and by which name.

use serde::{Deserialize, Serialize};

use super::param::SipUri;

/// What became of a phone's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationEvent {
    /// What happened.
    pub change: RegistrationChange,
    /// To which registration.
    pub registration: Registration,
}

/// What can happen to a registration. A phone that renews its own in time tells nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistrationChange {
    /// It is here, and was not before.
    Registered,
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
