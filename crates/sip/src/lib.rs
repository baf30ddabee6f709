//! SIP and SDP messages: bytes in, values out, and back (RFC 3261, RFC 8866).
//!
//! A received datagram becomes a [`Message`] whose headers are ranges of its bytes; typed headers
//! ([`Via`], [`NameAddr`], [`Event`], …) are read from them when asked for. A message of our own is
//! printed by a [`Writer`]. This crate keeps no state, knows no time and does no I/O, and no input
//! makes it panic: what cannot be read is a [`ParseError`], which says what and where.

mod cursor;
pub mod digest;
mod error;
mod header;
mod headers;
mod list;
mod message;
mod method;
mod name;
mod parse;
mod respond;
pub mod sdp;
pub mod sipfrag;
mod status;
pub mod uri;
mod write;

pub use error::{ErrorKind, ParseError};
pub use header::cseq::CSeq;
pub use header::event::Event;
pub use header::name_addr::NameAddr;
pub use header::params::Params;
pub use header::replaces::Replaces;
pub use header::subscription_state::SubscriptionState;
pub use header::via::Via;
pub use headers::{Header, Headers};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use name::Name;
pub use parse::{MAX_HEADERS, MAX_MESSAGE};
pub use respond::{bad_request, respond};
pub use status::reason_phrase;
pub use uri::{Scheme, Uri};
pub use write::Writer;
