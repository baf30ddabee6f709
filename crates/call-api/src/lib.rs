//! Everything that touches the world: configuration, the API, the backends that run its commands,
//! and the server.
//!
//! ```text
//! bin ─► server ─► api ◄─ backend
//! ```
//!
//! `api` is plain data. `server` speaks JSON-RPC over WebSocket and knows no SIP; `backend` runs
//! commands and knows no JSON-RPC.

pub mod api;
pub mod args;
pub mod backend;
pub mod config;
pub mod demo;
pub mod server;
pub mod systemd;
pub mod telemetry;
