//! What the journal holds. On disk it is the same as JSON: whoever changes a type here or in `api`
//! raises `store::FORMAT`.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::api::{
    Call, CallChange, CommandError, CommandId, Done, Event, EventKind, Filter, Registration,
    RegistrationChange, Side, SipUri, Subject,
};
use crate::server::access::Owner;
use crate::server::retries::Fingerprint;

/// What an event costs in memory beside its texts.
const OVERHEAD: usize = 512;

/// An event.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub number: u64,
    /// When it happened.
    #[serde(with = "millis")]
    pub time: SystemTime,
    /// What happened.
    pub what: What,
}

/// What the journal holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A transition of a call, and the call after it.
    Call(CallChange, Arc<CallRecord>),
    /// What became of a registration.
    Registration(RegistrationChange, Arc<RegistrationRecord>),
    /// A command was admitted. Its client has this from the reply, so nobody is told.
    Begun(Arc<CommandRecord>, Option<Fingerprint>),
    /// A notification of a command.
    Command(Arc<CommandRecord>, Notice),
}

/// A command, as those who are told of it know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub cmd_id: CommandId,
    /// What it is about.
    pub subject: Subject,
    /// How far it was when this was told.
    pub told: Told,
}

/// How far a command is, as far as what is told next depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It has begun.
    Begun,
    /// Of a `CallStart`: the caller has answered.
    CallerAnswered,
    /// The new call is on its way, to whom the event said.
    CallStarted(Option<SipUri>),
}

/// What a client is told of its command.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// It went on.
    Event(Event),
    /// It failed. `Ended` follows.
    Error(CommandError),
    /// It ended; `None` after an error.
    Ended(Option<Done>),
}

/// A call and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub call: Call,
    /// The number of its first event: calls are listed in this order.
    pub first: u64,
    /// Between whom it began, as far as it is known: whoever sees it then sees it to its end.
    pub between: [Option<SipUri>; 2],
    /// When it came.
    #[serde(with = "millis")]
    pub created: SystemTime,
    /// When it was answered.
    #[serde(with = "some_millis")]
    pub answered: Option<SystemTime>,
    /// Since when both talk.
    #[serde(with = "some_millis")]
    pub established: Option<SystemTime>,
}

/// A registration and its time.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRecord {
    /// The registration.
    pub registration: Registration,
    /// The number of its first event: registrations are listed in this order.
    pub first: u64,
    /// Since when it is there.
    #[serde(with = "millis")]
    pub since: SystemTime,
    /// Until when, unless it is renewed.
    #[serde(with = "millis")]
    pub expires: SystemTime,
}

/// A command that was admitted, as long as it runs or its `cmd_id` is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The command.
    pub command: Arc<CommandRecord>,
    /// What was asked for, when the client chose the id.
    pub fingerprint: Option<Fingerprint>,
    /// When.
    #[serde(with = "millis")]
    pub time: SystemTime,
    /// How far it is.
    pub progress: Progress,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Neither failed nor ended.
    Running,
    /// Its `Error` was told, its `Ended` was not.
    Failed,
    /// Its `Ended` was told.
    Ended,
}

/// Some of the events after a number.
#[derive(Debug)]
pub struct Chunk {
    /// Those that were asked for, in order.
    pub records: Vec<Arc<Record>>,
    /// There are no others up to this number.
    pub up_to: u64,
}

impl CommandRecord {
    /// A command that begins.
    #[must_use]
    pub fn new(owner: Owner, cmd_id: CommandId, subject: Subject) -> Self {
        Self { owner, cmd_id, subject, told: Told::Begun }
    }

    /// The same command from this event on, if it is further than it was.
    #[must_use]
    pub fn after(&self, event: &Event) -> Option<Self> {
        let told = match (&event.kind, event.leg) {
            (EventKind::Answered, Some(Side::Caller)) => Told::CallerAnswered,
            (EventKind::CallStarted, _) => Told::CallStarted(event.uri.clone()),
            _ => return None,
        };
        Some(Self { told, ..self.clone() })
    }

    /// Who a transfer leads to: as the client has it, else as it turned out.
    #[must_use]
    pub fn destination(&self) -> Option<&SipUri> {
        let found = match &self.told {
            Told::CallStarted(uri) => uri.as_ref(),
            Told::Begun | Told::CallerAnswered => None,
        };
        self.subject.destination().or(found)
    }
}

impl What {
    pub(super) fn passes(&self, filter: &Filter) -> bool {
        match (self, filter) {
            (Self::Call(_, record), Filter::Calls(name)) => {
                name.as_ref().is_none_or(|name| record.call.is_named(name))
            }
            (Self::Command(command, _), Filter::Command(wanted)) => command.cmd_id == *wanted,
            (Self::Registration(..), Filter::Registrations) => true,
            (Self::Call(..) | Self::Registration(..) | Self::Command(..) | Self::Begun(..), _) => {
                false
            }
        }
    }
}

impl Record {
    /// About how many bytes of memory it keeps.
    pub(super) fn cost(&self) -> usize {
        let text = match &self.what {
            What::Call(_, record) => {
                let Call { callid, caller, callee, ending, .. } = &record.call;
                let uris = [&caller.uri, &callee.uri].into_iter().chain(&record.between).flatten();
                let reason = ending.as_ref().and_then(|ending| ending.status.as_ref());
                callid.as_ref().map_or(0, |callid| callid.as_str().len())
                    + uris.map(|uri| uri.as_str().len()).sum::<usize>()
                    + reason.map_or(0, |(_, reason)| reason.len())
            }
            What::Registration(_, record) => {
                let Registration { aor, contact } = &record.registration;
                aor.as_str().len() + contact.as_str().len()
            }
            What::Command(_, Notice::Event(Event { kind: EventKind::Reply { params }, .. })) => {
                // Parsed JSON takes a multiple of its text.
                8 * params.to_string().len()
            }
            What::Command(_, Notice::Event(event)) => {
                event.uri.as_ref().map_or(0, |uri| uri.as_str().len())
            }
            What::Command(_, Notice::Error(error)) => error.to_string().len(),
            What::Command(_, Notice::Ended(_)) | What::Begun(..) => 0,
        };
        OVERHEAD + text
    }
}

/// A time as milliseconds since 1970, which is all that clients see of it.
pub(super) mod millis {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn of(time: SystemTime) -> u64 {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn time(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(of(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        u64::deserialize(from).map(time)
    }
}

/// The same of a time that may not have come.
mod some_millis {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::millis;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(millis::of).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::deserialize(from)?.map(millis::time))
    }
}
