//! SIP calls over time, as a value: feed it what came, drain what it wants done.
//!
//! Nothing here does I/O, reads a clock, draws randomness or holds a lock. `now` is an argument,
//! datagrams come and go as bytes, and the seed of all identifiers is given once. So a whole call
//! with all its retransmissions runs in microseconds, and the same input gives the same output.
//!
//! ```text
//! flow  ─►  ua  ─►  transaction  ─►  sip
//! ```
//!
//! * [`transaction`](self) – the four machines of RFC 3261 §17, with RFC 6026.
//! * [`ua`] – legs: dialogs with INVITE, re-INVITE, CANCEL, BYE and REFER. Its users are
//! * [`Engine`] – the back-to-back user agent that runs the commands, and
//! * [`phone`] – a software phone for the demo and the tests.
//! * [`ladder`] – messages and time as text.

mod call;
mod description;
mod dialog;
mod engine;
mod error;
mod event;
mod flow;
mod hash;
mod ids;
pub mod ladder;
pub mod limits;
mod passing;
pub mod phone;
mod registrar;
pub mod timer;
mod transaction;
pub mod ua;
mod watch;

pub use self::call::CallKey;
pub use self::engine::{Config, Engine, Input, Load, Output};
pub use self::error::Error;
pub use self::event::{CommandId, Event, Progress, Side, Step};
pub use self::flow::hold::HoldRequest;
pub use self::flow::start::{Mode, StartRequest};
pub use self::flow::transfer::{Target, TransferRequest};
pub use self::registrar::{BindingChange, User, Users};
pub use self::transaction::Hop;
pub use self::ua::{Failure, FailureKind, Stats};
pub use self::watch::{CallEvent, CallView, Change, EndedBy, Ending, Party, Reached, Stage};
