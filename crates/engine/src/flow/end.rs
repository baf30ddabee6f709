//! `CallEnd`: takes a call down, whatever it is doing, and waits until both phones agree or can no
//! longer object.

use std::time::Instant;

use crate::call::{Call, CallKey, State};
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{CommandId, Event, Side};

impl Engine {
    /// Ends a call. The command is done when both legs are down; a second one on the same call is
    /// done with the first.
    pub fn end(&mut self, now: Instant, command: CommandId, call_id: &str) {
        let result = match self.helpers.get(call_id).copied() {
            Some(start) => {
                self.end_start(now, command, start);
                Ok(())
            }
            None => self.find(call_id).map(|key| self.end_call(now, command, key)),
        };
        if let Err(error) = result {
            self.report(Event::Done(command, Err(error)));
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

    fn end_call(&mut self, now: Instant, command: CommandId, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.ends.push(command);
        }
        self.take_down(now, key, Error::Superseded);
    }

    /// A `CallStart` is known by the dialog with the caller's phone until its call exists. That
    /// dialog becomes a call that is ending.
    fn end_start(&mut self, now: Instant, command: CommandId, start: CommandId) {
        let helper = self.release_helper(start);
        self.fail_start(now, start, Error::Superseded);
        let Some((leg, call_id)) = helper else {
            return self.report(Event::Done(command, Ok(None)));
        };
        let mut call = Call::new(call_id, leg, now);
        call.state = State::Ending;
        call.ends.push(command);
        let key = self.add_call(call);
        self.set_role(leg, key, Side::Caller);
        self.ua.hang_up(now, leg, 487);
    }
}
