//! The contract with a client, as plain data: commands in, events and outcomes out.
//!
//! Nothing here does I/O, and nothing here knows a transport, a backend or SIP messages. Parameters
//! are parsed once, into types that cannot hold a value the rest of the program would have to
//! refuse. How events are spelled on the wire is the business of `server::dialect`.

pub mod call;
pub mod command;
pub mod error;
pub mod event;
pub mod jsonrpc;
pub mod manual;
pub mod param;
pub mod pattern;
pub mod query;
pub mod registration;
mod schema;
pub mod subject;

pub use call::{Call, CallChange, CallEvent};
pub use command::{
    CallAttendedTransfer, CallBlindTransfer, CallEnd, CallHold, CallStart, CallUnHold, Command,
    Echo, Invocation, Mistaken, Mode,
};
pub use error::{CommandError, ErrorKind, Origin, RequestError};
pub use event::{Done, Event, EventKind, Side};
pub use param::{CallId, CommandId, DisplayName, ExtraHeaders, Mistake, SipUri};
pub use pattern::UriPattern;
pub use query::{Cursor, Filter, Query, Subscribe};
pub use registration::{Registration, RegistrationChange, RegistrationEvent};
pub use subject::Subject;
