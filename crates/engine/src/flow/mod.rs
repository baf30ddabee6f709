//! The flows: what calls do, one file each, with its RFC figure above it. Every flow is a part of
//! [`Engine`](crate::Engine): it has the calls, the commands and the user agent at hand.

mod bridge;
mod end;
pub(crate) mod fork;
pub(crate) mod hold;
mod incoming;
mod pickup;
mod register;
pub(crate) mod start;
pub(crate) mod transfer;
