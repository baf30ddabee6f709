//! Queries: what is answered by its reply and starts no command.

use std::sync::{Arc, PoisonError};

use serde::Serialize;

use super::connection::{Connection, Start};
use super::dialect::{CallShown, Calls, Registrations, Subscribed, Unsubscribed};
use super::journal::{CallRecord, Found, Snapshot};
use super::subscriptions::{Beginning, Subscription};
use crate::api::jsonrpc::{self, RequestId};
use crate::api::{CallId, ErrorKind, Filter, Query, RequestError, Subscribe};

/// The most calls and registrations in the replies to one batch before a further list is refused.
/// Otherwise a small batch could ask for any amount of memory.
const LISTED: usize = 10_000;

/// How many calls take as much room as the description of the API.
const DESCRIPTION: usize = 100;

/// What one message has begun, and what may begin once its reply is on its way.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) starts: Vec<Start>,
    pub(super) subscriptions: Vec<(Subscription, Beginning)>,
    listed: usize,
}

impl Connection {
    /// The reply to a query, unless it was sent without an id.
    pub(super) fn query(
        &self,
        query: Query,
        id: Option<&RequestId>,
        begun: &mut Begun,
    ) -> Result<Option<String>, RequestError> {
        match query {
            Query::CallList => {
                begun.may_list()?;
                let (mut calls, cursor) = self.commands.journal.calls();
                calls.retain(|call| self.principal.sees_call(call));
                begun.listed += calls.len();
                Ok(reply(id, &Calls::new(calls, cursor)))
            }
            Query::CallGet(name) => Ok(reply(id, &self.find(&name)?)),
            Query::RegistrationList => {
                begun.may_list()?;
                let (mut registrations, cursor) = self.commands.journal.registrations();
                registrations.retain(|record| self.principal.sees_registration(record));
                begun.listed += registrations.len();
                Ok(reply(id, &Registrations::new(registrations, cursor)))
            }
            Query::Subscribe(wanted) => self.subscribe(wanted, id, begun),
            Query::Unsubscribe(name) => {
                let mut open = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
                open.close(&name)?;
                Ok(reply(id, &Unsubscribed::new(&name)))
            }
            Query::Discover => {
                begun.may_list()?;
                begun.listed += DESCRIPTION;
                Ok(reply(id, &self.commands.discovery().openrpc))
            }
        }
    }

    fn find(&self, name: &CallId) -> Result<CallShown, RequestError> {
        let journal = &self.commands.journal;
        let sees = |call: &Arc<CallRecord>| self.principal.sees_call(call);
        match journal.find(name) {
            Found::One(call) if sees(&call) => Ok(CallShown(call)),
            Found::One(_) | Found::None => Err(RequestError::no_such_call()),
            Found::Several(ids) => {
                let mut calls: Vec<_> = ids.iter().filter_map(|id| journal.named(id)).collect();
                calls.retain(sees);
                if let [] | [_] = calls.as_slice() {
                    return calls.pop().map(CallShown).ok_or_else(RequestError::no_such_call);
                }
                let ids: Vec<_> = calls.iter().map(|call| call.call.id.as_str()).collect();
                let message = format!("several calls have this Call-ID: {}", ids.join(", "));
                Err(RequestError::new(ErrorKind::InvalidState, message))
            }
        }
    }

    fn subscribe(
        &self,
        wanted: Subscribe,
        id: Option<&RequestId>,
        begun: &mut Begun,
    ) -> Result<Option<String>, RequestError> {
        if matches!(wanted.filter, Filter::Calls(None) | Filter::Registrations) {
            begun.may_list()?;
        }
        let mut open = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        let subscription = open.open(wanted.filter.clone())?;
        let begun_at = match &wanted.filter {
            Filter::Command(cmd_id) => self.commands.begun(&self.principal, cmd_id),
            Filter::Calls(_) | Filter::Registrations => None,
        };
        let mut opening = self.commands.journal.open(&wanted.filter, wanted.since, begun_at);
        match &mut opening.snapshot {
            Snapshot::None => {}
            Snapshot::Calls(calls) => calls.retain(|call| self.principal.sees_call(call)),
            Snapshot::Registrations(registrations) => {
                registrations.retain(|record| self.principal.sees_registration(record));
            }
        }
        begun.listed += opening.snapshot.len();
        let beginning = Beginning { from: opening.cursor.number, gap: opening.gap };
        let reply = reply(id, &Subscribed::new(&subscription.name, opening));
        begun.subscriptions.push((subscription, beginning));
        Ok(reply)
    }
}

impl Begun {
    /// Whether a reply holds a list, which may be long.
    pub(super) fn has_listed(&self) -> bool {
        self.listed > 0
    }

    fn may_list(&self) -> Result<(), RequestError> {
        if self.listed <= LISTED {
            return Ok(());
        }
        let message = "too long an answer for one batch: ask for the rest on its own";
        Err(RequestError::new(ErrorKind::RateLimited, message))
    }
}

fn reply(id: Option<&RequestId>, result: &impl Serialize) -> Option<String> {
    id.map(|id| jsonrpc::result(id, result))
}
