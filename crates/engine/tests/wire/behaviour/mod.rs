//! How the engine behaves towards its peers, one rule a test. Each of these has been seen broken in
//! some SIP stack in use.

mod accepting;
mod calling;
mod dialog;
mod early;
mod framing;
mod parting;
mod passing;
mod reliable;
mod requests;
mod session;
mod update;
