//! What a software phone does when it is called, referred or offered something, and how it can be
//! told to misbehave.

use std::time::Duration;

/// How a phone behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What it does when it is called.
    pub answer: Answer,
    /// What it does when it is asked to call somebody.
    pub refer: OnRefer,
    /// How it reports on that.
    pub notify: Notify,
    /// How long it takes to place that call.
    pub dial_after: Duration,
    /// Whether it wants and sends provisional answers reliably (RFC 3262). For those that it sends it
    /// must have been told before.
    pub reliable: bool,
    /// Whether it sends sound before it answers.
    pub early_media: bool,
    /// Whether it hangs up the call in which it was asked as soon as that one is up.
    pub leaves: bool,
    /// What it does with a re-INVITE.
    pub offer: OnOffer,
}

/// What a phone does when it is called. Except for `Silent`, it rings first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers after this time.
    After(Duration),
    /// Refuses with this status after this time.
    Refuse(u16, Duration),
    /// Rings until the caller gives up.
    Never,
    /// Is not there: no datagram is answered.
    Silent,
}

/// What a phone does with a REFER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefer {
    /// Accepts, and places the call.
    Call,
    /// Accepts, and does nothing.
    AcceptOnly,
    /// Refuses with this status.
    Refuse(u16),
}

/// What a phone does with a re-INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOffer {
    /// Accepts.
    Accept,
    /// Refuses with this status.
    Refuse(u16),
}

/// How a phone reports on a call it was referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// As RFC 3515 asks: 100, then what the callee said.
    Sipfrag,
    /// Without a body.
    Empty,
    /// Not at all.
    Never,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            answer: Answer::After(Duration::ZERO),
            refer: OnRefer::Call,
            notify: Notify::Sipfrag,
            dial_after: Duration::ZERO,
            reliable: false,
            early_media: false,
            leaves: false,
            offer: OnOffer::Accept,
        }
    }
}
