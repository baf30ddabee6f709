//! The journal under fire: the real server, killed with `-9`, clients whose sockets are cut, and
//! phones that call all the while.
//!
//! Each test has a small version, which runs with all others, and a large one for `make soak`, which
//! prints what it measured.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what the soak measured")]

mod client;
mod commands;
mod consumer;
mod crowd;
mod phones;
mod rate;
mod server;

use std::time::Duration;

/// Far longer than anything takes that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A random number below this.
fn below(bound: u64) -> u64 {
    getrandom::u64().unwrap() % bound
}
