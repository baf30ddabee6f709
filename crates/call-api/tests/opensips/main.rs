//! The OpenSIPS backend, with an OpenSIPS that the tests play: in virtual time, without a socket
//! where none is tested, and as wrong as they like.
//!
//! `UPDATE_EXPECT=1` rewrites the expectations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod commands;
mod contract;
mod dialects;
mod faults;
#[path = "../flows/mod.rs"]
mod flows;
mod in_flight;
mod proxies;
mod recorded_http;
mod replay;
mod script;
mod sockets;
mod watching;
