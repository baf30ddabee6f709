//! `CallEnd`: takes a call down, whatever it is doing, and waits until both phones agree or can no
//! longer object.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::call::{Call, CallKey, End, Errand, State};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{CommandId, Event, Side};
use crate::flow::fork::Fork;
use crate::flow::start::Start;
use crate::flow::transfer::TransferKey;
use crate::ua::Failure;
use crate::watch::Ending;

impl Engine {
    /// Ends a call. The command is done when both legs are down; a second one on the same call is
    /// done with the first. It fails when a phone has not agreed within `timeout`; its leg is taken
    /// down all the same.
    pub fn end(
        &mut self,
        now: Instant,
        command: CommandId,
        call_id: &str,
        timeout: Option<Duration>,
    ) {
        let end = End { command, give_up: timeout.map(|timeout| now + timeout) };
        let result = match self.helpers.get(call_id).copied() {
            Some(start) => {
                self.end_start(now, end, start);
                Ok(())
            }
            None => self.find(call_id).map(|key| self.end_call(now, end, key)),
        };
        if let Err(error) = result {
            self.report(Event::Done(command, Err(error)));
        }
        self.run(now);
    }

    /// Takes down every call that a `CallStart` or a transfer is still making; the command fails.
    /// Calls that stand stay, and a command whose call has just come up ends by itself.
    pub fn give_up(&mut self, now: Instant) {
        let standing = self.calls.values().filter(|call| call.state == State::Established);
        let up: Vec<Errand> = standing.filter_map(|call| call.errand).collect();
        // In an order that does not depend on the map's.
        let commands: BTreeSet<CommandId> = self.starts.keys().copied().collect();
        for command in commands.into_iter().filter(|command| !up.contains(&(*command).into())) {
            self.fail_start(now, command, Error::Superseded);
        }
        let transfers = self.transfers.iter().filter(|(_, transfer)| !transfer.is_releasing());
        let transfers: BTreeSet<TransferKey> = transfers.map(|(key, _)| *key).collect();
        for key in transfers.into_iter().filter(|key| !up.contains(&(*key).into())) {
            self.fail_transfer(now, key, Error::Superseded);
        }
        self.run(now);
    }

    /// The call that a Call-ID, or the engine's own name of a call, means.
    pub(crate) fn find(&self, call_id: &str) -> Result<CallKey, Error> {
        match self.by_call_id.get(call_id).map(Vec::as_slice) {
            Some([key]) => Ok(*key),
            Some(keys @ [_, _, ..]) => {
                Err(Error::Ambiguous(keys.iter().map(CallKey::to_string).collect()))
            }
            Some([]) | None => CallKey::parse(call_id)
                .filter(|key| self.calls.contains_key(key))
                .ok_or(Error::NoSuchCall),
        }
    }

    fn end_call(&mut self, now: Instant, end: End, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.ends.push(end);
        }
        self.take_down(now, key, Error::Superseded);
        self.arm_call(key);
    }

    /// A `CallStart` is known by the dialog with the caller's phone until its call exists. That
    /// dialog becomes a call that is ending.
    fn end_start(&mut self, now: Instant, end: End, start: CommandId) {
        let parties = self.starts.get(&start).map(Start::parties);
        let helper = self.release_helper(start);
        self.fail_start(now, start, Error::Superseded);
        let (Some((legs, call_id)), Some(parties)) = (helper, parties) else {
            return self.report(Event::Done(end.command, Ok(None)));
        };
        let mut call = Call::new(call_id, legs[0], now, parties);
        call.fork = Fork::of(legs[1..].to_vec());
        call.state = State::Ending;
        call.ending = Some(Ending::by_command());
        call.ends.push(end);
        let key = self.add_call(call);
        for leg in legs {
            self.set_role(leg, key, Side::Caller);
            self.ua.hang_up(now, leg, 487);
        }
        self.arm_call(key);
    }

    /// The client of a `CallEnd` has waited long enough: it is told which phone did not agree.
    pub(crate) fn give_up_ends(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let side = if call.caller.is_some() { Side::Caller } else { Side::Callee };
        let is_due = |end: &End| end.give_up.is_some_and(|at| at <= now);
        let due: Vec<End> = call.ends.iter().copied().filter(is_due).collect();
        call.ends.retain(|end| !is_due(end));
        for end in due {
            let error = Error::Party(side, Failure::timed_out());
            self.report(Event::Done(end.command, Err(error)));
        }
        self.arm_call(key);
    }
}
