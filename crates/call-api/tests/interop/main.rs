//! Call API against phones that nobody here wrote: baresip, PJSIP, SIP.js and sipp, over real sockets on
//! loopback.
//!
//! Scenario and simulation tests prove the engine in virtual time, against peers that share its
//! authors. These tests are the foreign judge: a real process of ours, real processes of theirs,
//! and only what a user would notice is asserted. Each test names the programs it needs
//! (`make tools` installs them) and takes ports of its own, so tests may run side by side.

mod attended_transfer;
mod baresip;
mod blind_transfer;
mod call_end;
mod call_start;
mod call_start_failures;
mod client;
mod established;
mod examples;
#[path = "../flows/mod.rs"]
mod flows;
mod headers;
mod hold;
mod inside;
mod lab;
mod lost_notifies;
mod opensips;
mod phone;
mod phone_transfer;
mod phones_alone;
mod pickup;
mod pjsip;
mod redirects;
mod registered;
mod remote;
mod ringing;
mod server;
mod session_timers;
mod sipjs;
mod sipp;
mod standing_calls;
