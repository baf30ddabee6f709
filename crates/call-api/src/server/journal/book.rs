//! The journal's memory: the last events, and the tables of calls and registrations that follow
//! from all of them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use super::record::{CallRecord, Chunk, Record, RegistrationRecord, What};
use crate::api::{
    Call, CallChange, CallId, Filter, Registration, RegistrationChange, RegistrationEvent,
};

#[derive(Default)]
pub(super) struct Book {
    /// The number of the last event; the first is 1.
    pub(super) last: u64,
    /// The number up to which clients may be told: what is on disk, where there is one.
    pub(super) settled: u64,
    /// The number up to which events are not kept anywhere.
    pub(super) dropped: u64,
    /// No more events come.
    pub(super) closed: bool,
    /// The last events, in order and without a gap.
    records: VecDeque<Arc<Record>>,
    /// What they cost.
    used: usize,
    /// The calls there are. Bounded by what the backend holds.
    calls: HashMap<CallId, Arc<CallRecord>>,
    /// The ids of the calls that share a Call-ID, oldest first.
    by_callid: HashMap<CallId, Vec<CallId>>,
    /// The phones that are registered. Bounded by what the backend holds.
    registrations: HashMap<Registration, Arc<RegistrationRecord>>,
}

impl Book {
    /// The book of a server whose last event before the restart was `last`.
    pub(super) fn after(last: u64, dropped: u64) -> Self {
        Self { last, settled: last, dropped, ..Self::default() }
    }

    /// Numbers an event.
    pub(super) fn write(
        &mut self,
        what: impl FnOnce(&mut Self, SystemTime) -> What,
    ) -> Arc<Record> {
        let time = SystemTime::now();
        self.last += 1;
        let what = what(self, time);
        let record = Arc::new(Record { number: self.last, time, what });
        self.used += record.cost();
        self.records.push_back(Arc::clone(&record));
        record
    }

    /// Forgets the oldest events that are settled, until the others take `capacity` bytes. Returns
    /// by how much they take more.
    pub(super) fn shrink(&mut self, capacity: usize) -> usize {
        while self.used > capacity
            && let Some(oldest) = self.records.pop_front_if(|oldest| oldest.number <= self.settled)
        {
            self.used -= oldest.cost();
        }
        self.used.saturating_sub(capacity)
    }

    /// The number up to which events are not kept in memory.
    pub(super) fn forgotten(&self) -> u64 {
        self.last - self.records.len() as u64
    }

    /// Up to `at_most` events that are not settled.
    pub(super) fn unsettled(&self, at_most: usize) -> Vec<Arc<Record>> {
        let pending = usize::try_from(self.last - self.settled).unwrap_or(usize::MAX);
        let skip = self.records.len().saturating_sub(pending);
        self.records.iter().skip(skip).take(at_most).cloned().collect()
    }

    /// Up to `at_most` settled events after number `from` that the filter lets through, and the
    /// number up to which there are no others. `None` when memory no longer has those after `from`.
    pub(super) fn read(&self, from: u64, filter: &Filter, at_most: usize) -> Option<Chunk> {
        let skip = usize::try_from(from.checked_sub(self.forgotten())?).ok()?;
        let mut found = Vec::new();
        let settled =
            self.records.iter().skip(skip).take_while(|record| record.number <= self.settled);
        for record in settled {
            if record.what.passes(filter) {
                found.push(Arc::clone(record));
                if found.len() == at_most {
                    return Some(Chunk { records: found, up_to: record.number });
                }
            }
        }
        // A snapshot may be younger than what is settled.
        Some(Chunk { records: found, up_to: self.settled.max(from) })
    }

    /// The call of this id.
    pub(super) fn call(&self, id: &CallId) -> Option<&Arc<CallRecord>> {
        self.calls.get(id)
    }

    /// Whether there is any call.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The ids of the calls that have this Call-ID.
    pub(super) fn ids_of(&self, callid: &CallId) -> &[CallId] {
        self.by_callid.get(callid).map_or(&[], Vec::as_slice)
    }

    /// The calls that are wanted, in no order.
    pub(super) fn list(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Arc<CallRecord>> {
        self.calls.values().filter(|record| wanted(&record.call)).cloned().collect()
    }

    /// The registrations, oldest first.
    pub(super) fn list_registrations(&self) -> Vec<Arc<RegistrationRecord>> {
        let mut registrations: Vec<_> = self.registrations.values().cloned().collect();
        registrations.sort_unstable_by_key(|record| record.first);
        registrations
    }

    /// Puts a call and a registration of a run before this one into the tables.
    pub(super) fn restore(
        &mut self,
        calls: impl IntoIterator<Item = Arc<CallRecord>>,
        registrations: impl IntoIterator<Item = Arc<RegistrationRecord>>,
    ) {
        for record in calls {
            self.remember_names(&record.call);
            self.calls.insert(record.call.id.clone(), record);
        }
        for record in registrations {
            self.registrations.insert(record.registration.clone(), record);
        }
    }

    /// Enters what became of a registration into the table.
    pub(super) fn enter_registration(
        &mut self,
        event: RegistrationEvent,
        time: SystemTime,
    ) -> Arc<RegistrationRecord> {
        let RegistrationEvent { change, registration, expires } = event;
        let before = self.registrations.remove(&registration);
        let (first, since) =
            before.map_or((self.last, time), |before| (before.first, before.since));
        let expires = time + expires;
        let shown = registration.clone();
        let record = Arc::new(RegistrationRecord { registration: shown, first, since, expires });
        match change {
            RegistrationChange::Registered | RegistrationChange::Renewed => {
                self.registrations.insert(registration, Arc::clone(&record));
            }
            RegistrationChange::Expired | RegistrationChange::Removed => {}
        }
        record
    }

    /// Enters a call's transition into the table.
    pub(super) fn enter(
        &mut self,
        change: CallChange,
        call: Call,
        time: SystemTime,
    ) -> Arc<CallRecord> {
        let before = self.calls.get(&call.id).cloned();
        let (old, new) = (before.iter().flat_map(|before| before.call.callids()), call.callids());
        if !old.eq(new) {
            if let Some(before) = &before {
                self.forget_names(&before.call);
            }
            self.remember_names(&call);
        }
        let mut record = CallRecord {
            first: before.as_ref().map_or(self.last, |before| before.first),
            between: before.as_ref().map_or_else(
                || [call.caller.uri.clone(), call.callee.uri.clone()],
                |before| before.between.clone(),
            ),
            created: before.as_ref().map_or(time, |before| before.created),
            answered: before.as_ref().and_then(|before| before.answered),
            established: before.as_ref().and_then(|before| before.established),
            call,
        };
        match change {
            CallChange::Answered(_) => record.answered = record.answered.or(Some(time)),
            CallChange::Established => record.established = Some(time),
            CallChange::Created
            | CallChange::Ringing(_)
            | CallChange::EarlyMedia(_)
            | CallChange::Held(_)
            | CallChange::Unheld(_)
            | CallChange::Transferred(_)
            | CallChange::Ending
            | CallChange::Ended => {}
        }
        let record = Arc::new(record);
        if change == CallChange::Ended {
            self.calls.remove(&record.call.id);
            self.forget_names(&record.call);
            give_back(&mut self.calls);
            give_back(&mut self.by_callid);
        } else {
            self.calls.insert(record.call.id.clone(), Arc::clone(&record));
        }
        record
    }

    fn remember_names(&mut self, call: &Call) {
        for callid in call.callids() {
            self.by_callid.entry(callid.clone()).or_default().push(call.id.clone());
        }
    }

    fn forget_names(&mut self, call: &Call) {
        for callid in call.callids() {
            if let Some(ids) = self.by_callid.get_mut(callid) {
                ids.retain(|id| *id != call.id);
                if ids.is_empty() {
                    self.by_callid.remove(callid);
                }
            }
        }
    }
}

/// Gives memory back when a table is mostly empty: there were more calls than there are. By so much
/// that an entry is moved a bounded number of times.
fn give_back<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    const ROOM: usize = 64;
    if table.capacity() > ROOM.max(8 * table.len()) {
        table.shrink_to(2 * table.len());
    }
}
