//! The engine as its peers see it: raw datagrams in, raw datagrams out, in virtual time.
//!
//! [`wire`] is the wire and [`call`] two peers with a call on it; both write every byte themselves,
//! so that what they say may be as wrong as a test needs it.

mod behaviour;
mod broken;
mod call;
mod draft;
mod injection;
mod limits;
mod nat;
mod register;
mod sequences;
mod torture;
mod wire;
