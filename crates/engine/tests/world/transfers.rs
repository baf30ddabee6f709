//! Transfers: by commands, and by phones.

use std::time::Duration;

use engine::ua::LegId;
use engine::{CommandId, Mode, Side, Target, TransferRequest};

use super::World;

impl World {
    /// Sends a party of a call to whoever a phone belongs to.
    pub(crate) fn blind(
        &mut self,
        call_id: &str,
        side: Side,
        phone: usize,
        mode: Mode,
    ) -> CommandId {
        let uri = self.phones[phone].uri();
        self.transfer(transfer(call_id, side, Target::Uri(uri), mode))
    }

    /// Sends a party of a call to a party of another call.
    pub(crate) fn attended(
        &mut self,
        (call_id, side): (&str, Side),
        (other, target): (&str, Side),
        mode: Mode,
    ) -> CommandId {
        let to = Target::Party { call_id: other.to_owned(), side: target, uri: None };
        self.transfer(transfer(call_id, side, to, mode))
    }

    pub(crate) fn transfer(&mut self, request: TransferRequest) -> CommandId {
        let name = match request.to {
            Target::Uri(_) => "CallBlindTransfer",
            Target::Party { .. } => "CallAttendedTransfer",
        };
        let whom = format!("{:?}", request.side).to_lowercase();
        let command = self.command(&format!("> {name} {whom}"));
        self.engine.transfer(self.now, command, request);
        self.drain();
        command
    }

    /// The only call of a phone.
    pub(crate) fn call_of(&self, phone: usize) -> LegId {
        match *self.phones[phone].calls() {
            [call] => call,
            ref calls => panic!("phone {phone} is in {calls:?}\n{}", self.ladder),
        }
    }

    /// Lets a phone ask the other party of a call to call another phone, in the place of one of its
    /// own calls if there is one.
    pub(crate) fn refer(&mut self, phone: usize, call: LegId, to: usize, replaces: Option<LegId>) {
        let uri = self.phones[to].uri();
        let now = self.now;
        self.phones[phone].refer(now, call, &uri, replaces);
        self.drain();
    }

    /// Lets a phone call the engine with this Replaces header.
    pub(crate) fn dial_replacing(&mut self, phone: usize, uri: &str, replaces: &str) {
        let now = self.now;
        self.phones[phone].dial_replacing(now, uri, replaces);
        self.drain();
    }
}

/// A transfer without options.
pub(crate) fn transfer(call_id: &str, side: Side, to: Target, mode: Mode) -> TransferRequest {
    let (call_id, headers, timeout) = (call_id.to_owned(), Vec::new(), None::<Duration>);
    TransferRequest { call_id, side, to, mode, headers, timeout }
}
