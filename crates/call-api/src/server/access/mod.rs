//! Access: who a client is, and what it may do.
//!
//! Without a file of tokens everybody who reaches the port may do everything. With one, a client
//! shows a token when it connects (`bearer`), which makes it a [`Principal`]: the one value that is
//! asked what it may do, for each request (`Connection::answer`, `Commands::admit`), and what it sees,
//! for each reply and each notification, be it live or replayed.

mod bearer;
pub mod rate;
pub mod token;
mod usage;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use self::token::{Scope, Token, Tokens, allow};
pub(super) use self::{bearer::Denied, bearer::SUBPROTOCOL, usage::Connected, usage::Running};
use super::journal::{CallRecord, Found, Journal, RegistrationRecord, What};
use crate::api::{
    CallId, CallStart, Command, ErrorKind, ExtraHeaders, Filter, Query, RequestError, Side, SipUri,
    Subscribe,
};
use crate::config::Limits;

/// The tokens that give access, when there are any.
#[derive(Debug)]
pub(super) struct Access {
    file: Option<PathBuf>,
    tokens: watch::Sender<Arc<Tokens>>,
}

/// A client: what it may do and see. Clones are the same client.
#[derive(Clone, Debug, Default)]
pub struct Principal {
    /// `None` where no tokens are asked for.
    token: Option<Arc<Token>>,
    peer: Option<SocketAddr>,
    /// Running commands at a time, of all connections with this token.
    commands: u32,
}

/// The name of the token that a command came with: who is told of it, and whose `cmd_id` it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner(Option<Arc<str>>);

impl Owner {
    /// The token's name; `None` where no tokens are asked for.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Access {
    /// What the file grants; everything to everybody without one.
    pub(super) fn load(file: Option<PathBuf>) -> io::Result<Self> {
        let tokens = match &file {
            Some(file) => Tokens::load(file, &Tokens::default())?,
            None => Tokens::default(),
        };
        Ok(Self { file, tokens: watch::Sender::new(Arc::new(tokens)) })
    }

    /// Reads the file again. When that fails all stays as it is.
    pub(super) fn reload(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let tokens = Tokens::load(file, &self.tokens.borrow().clone())?;
        self.tokens.send_replace(Arc::new(tokens));
        Ok(())
    }

    /// How many tokens there are; `None` when none is asked for.
    pub(super) fn tokens(&self) -> Option<usize> {
        self.file.as_ref().map(|_| self.tokens.borrow().len())
    }

    /// Who sends a request, and the client's place among the connections of its token.
    pub(super) fn enter(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Result<(Principal, Option<Connected>), Denied> {
        bearer::check_url(uri)?;
        if self.file.is_none() {
            // Whatever it shows is meant for somebody on the way here.
            return Ok((Principal::from(peer), None));
        }
        let shown = bearer::shown(headers)?.ok_or_else(Denied::required)?;
        let token = self.tokens.borrow().find(shown).cloned().ok_or_else(Denied::unknown)?;
        let at_most = token.grants.connections.unwrap_or(limits.token_connections);
        let connected = token.usage.connect(at_most).ok_or_else(|| Denied::crowded(at_most))?;
        let principal = Principal { peer: Some(peer), ..Principal::holding(token, limits) };
        Ok((principal, Some(connected)))
    }

    /// Whether a client's token grants what it did.
    pub(super) fn hold(&self, principal: &Principal) -> bool {
        principal.token.as_ref().is_none_or(|token| self.tokens.borrow().hold(token))
    }

    /// Waits until a client's token is withdrawn, or grants something else than it did.
    pub(super) async fn withdrawn(&self, principal: &Principal) {
        let Some(token) = &principal.token else { return std::future::pending().await };
        let mut tokens = self.tokens.subscribe();
        // The sender lives as long as `self`.
        let _ = tokens.wait_for(|tokens| !tokens.hold(token)).await;
    }
}

impl From<SocketAddr> for Principal {
    /// A client without a token.
    fn from(peer: SocketAddr) -> Self {
        Self { peer: Some(peer), ..Self::default() }
    }
}

impl Principal {
    /// A client with this token.
    #[must_use]
    pub fn holding(token: Arc<Token>, limits: &Limits) -> Self {
        let commands = token.grants.commands.unwrap_or(limits.token_commands);
        Self { token: Some(token), peer: None, commands }
    }

    /// Its commands' owner.
    pub(super) fn owner(&self) -> Owner {
        Owner(self.token.as_ref().map(|token| Arc::clone(&token.name)))
    }

    /// Where it connects from.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Counts a request. Fails with [`ErrorKind::RateLimited`].
    pub(super) fn request(&self, now: Instant) -> Result<(), RequestError> {
        self.token.as_ref().map_or(Ok(()), |token| token.usage.request(now, &token.grants))
    }

    /// Counts a command that it may give. Fails with [`ErrorKind::RateLimited`].
    pub(super) fn run(
        &self,
        now: Instant,
        command: &Command,
        journal: &Journal,
    ) -> Result<Option<Running>, RequestError> {
        let Some(token) = &self.token else { return Ok(None) };
        token.usage.run(now, command, &token.grants, self.commands, journal).map(Some)
    }

    /// Fails with [`ErrorKind::Forbidden`].
    pub(super) fn may_ask(&self, query: &Query) -> Result<(), RequestError> {
        match query {
            Query::CallList
            | Query::CallGet(_)
            | Query::RegistrationList
            | Query::Subscribe(Subscribe {
                filter: Filter::Calls(_) | Filter::Registrations,
                ..
            }) => self.needs(Scope::Watch),
            // What its own commands say it is told in any case.
            Query::Subscribe(Subscribe { filter: Filter::Command(_), .. })
            | Query::Unsubscribe(_)
            | Query::Discover => Ok(()),
        }
    }

    /// Fails with [`ErrorKind::Forbidden`], or with [`ErrorKind::NotFound`] for a call that it does
    /// not see.
    pub(super) fn may_command(
        &self,
        command: &Command,
        journal: &Journal,
    ) -> Result<(), RequestError> {
        if !matches!(command, Command::Echo(_)) {
            self.needs(Scope::Control)?;
        }
        match command {
            Command::CallStart(start) => self.may_start(start),
            Command::CallBlindTransfer(transfer) => {
                self.may_change(&transfer.callid, journal)?;
                self.may_send_to(&transfer.destination)?;
                self.may_add(&transfer.headers)
            }
            Command::CallAttendedTransfer(transfer) => {
                self.may_change(&transfer.callid_a, journal)?;
                self.may_change(&transfer.callid_b, journal)?;
                transfer.destination.as_ref().map_or(Ok(()), |to| self.may_send_to(to))?;
                self.may_send_to_party(&transfer.callid_b, transfer.leg_b, journal)?;
                self.may_add(&transfer.headers)
            }
            Command::CallHold(hold) => self.may_change(&hold.callid, journal),
            Command::CallUnHold(unhold) => self.may_change(&unhold.callid, journal),
            Command::CallEnd(end) => self.may_change(&end.callid, journal),
            Command::Echo(_) | Command::Mistaken(_) => Ok(()),
        }
    }

    /// Whether it is told of this, now or later.
    pub(super) fn sees(&self, what: &What) -> bool {
        match what {
            What::Call(_, record) => self.sees_call(record),
            What::Registration(_, record) => self.sees_registration(record),
            What::Command(command, _) | What::Begun(command, _) => {
                self.sees_commands_of(&command.owner)
            }
        }
    }

    /// Whether it is told of somebody's commands.
    pub(super) fn sees_commands_of(&self, owner: &Owner) -> bool {
        self.token.as_ref().is_none_or(|token| {
            token.grants.include(Scope::Admin) || owner.0.as_ref() == Some(&token.name)
        })
    }

    /// Whether it sees a call: decided by those between whom the call began, so that whoever has
    /// seen it begin sees it end.
    pub(super) fn sees_call(&self, record: &CallRecord) -> bool {
        let Some(patterns) = self.token.as_ref().and_then(|token| token.grants.parties.as_ref())
        else {
            return true;
        };
        record.between.iter().flatten().any(|party| allow(Some(patterns), party))
    }

    /// Whether it sees a registration.
    pub(super) fn sees_registration(&self, record: &RegistrationRecord) -> bool {
        self.token
            .as_ref()
            .is_none_or(|token| allow(token.grants.parties.as_ref(), &record.registration.aor))
    }

    fn needs(&self, scope: Scope) -> Result<(), RequestError> {
        match &self.token {
            Some(token) if !token.grants.include(scope) => {
                Err(forbidden(format!("this token's scope does not include {}", scope.as_str())))
            }
            _ => Ok(()),
        }
    }

    fn may_start(&self, start: &CallStart) -> Result<(), RequestError> {
        let Some(token) = &self.token else { return Ok(()) };
        let (callers, callees) = (token.grants.callers.as_ref(), token.grants.callees.as_ref());
        if !allow(callers, &start.caller) {
            return Err(forbidden("this token may not have this caller called".to_owned()));
        }
        if !allow(callees, &start.callee) {
            return Err(forbidden("this token may not have this callee called".to_owned()));
        }
        if start.from.as_ref().is_some_and(|from| !allow(callers, from) && !allow(callees, from)) {
            return Err(forbidden(
                "this token may not call in the name of this \"from\"".to_owned(),
            ));
        }
        self.may_add(&start.headers)
    }

    /// Whoever may call in some names only may not write another one into a header.
    fn may_add(&self, headers: &ExtraHeaders) -> Result<(), RequestError> {
        let is_bound = self.token.as_ref().is_some_and(|token| token.grants.callers.is_some());
        match is_bound && headers.name_a_caller() {
            true => Err(forbidden("this token may not add headers that say who calls".to_owned())),
            false => Ok(()),
        }
    }

    fn may_send_to(&self, destination: &SipUri) -> Result<(), RequestError> {
        match &self.token {
            Some(token) if !allow(token.grants.destinations.as_ref(), destination) => {
                Err(elsewhere())
            }
            _ => Ok(()),
        }
    }

    /// An attended transfer goes to a party of a call, whatever its destination says.
    fn may_send_to_party(
        &self,
        callid: &CallId,
        leg: Side,
        journal: &Journal,
    ) -> Result<(), RequestError> {
        let destinations = self.token.as_ref().and_then(|token| token.grants.destinations.as_ref());
        if destinations.is_none() {
            return Ok(());
        }
        let calls = match journal.find(callid) {
            Found::One(call) => vec![call],
            Found::Several(ids) => ids.iter().filter_map(|id| journal.named(id)).collect(),
            Found::None => return Err(RequestError::no_such_call()),
        };
        for call in calls {
            let party = match leg {
                Side::Caller => &call.call.caller,
                Side::Callee => &call.call.callee,
            };
            party.uri.as_ref().map_or_else(|| Err(elsewhere()), |uri| self.may_send_to(uri))?;
        }
        Ok(())
    }

    /// A call that it does not see is answered like one that is not there.
    fn may_change(&self, callid: &CallId, journal: &Journal) -> Result<(), RequestError> {
        let Some(token) = &self.token else { return Ok(()) };
        if token.grants.parties.is_none() {
            return Ok(());
        }
        let sees =
            |callid| matches!(journal.find(callid), Found::One(call) if self.sees_call(&call));
        let may = match journal.find(callid) {
            Found::One(call) => self.sees_call(&call),
            Found::Several(ids) => ids.iter().all(sees),
            // A CallStart tells its client of a call that has only one party yet.
            Found::None => token.usage.knows(callid),
        };
        match may {
            true => Ok(()),
            false => Err(RequestError::no_such_call()),
        }
    }
}

fn elsewhere() -> RequestError {
    forbidden("this token may not transfer calls to this destination".to_owned())
}

fn forbidden(message: String) -> RequestError {
    RequestError::new(ErrorKind::Forbidden, message)
}
