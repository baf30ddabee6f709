//! Clients that nobody here wrote: JSON-RPC libraries from npm and PyPI, as they are, and a browser
//! with its own idea of who may connect; and `curl`, as the documentation has it.
//!
//! `make tools` installs them. Where one is missing the test is skipped aloud, and with `CI` set it
//! fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod document;
mod libraries;

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far longer than anything here takes: a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Whether the files are there that a test needs.
fn is_installed(what: &str, files: &[PathBuf]) -> bool {
    if files.iter().all(|file| file.exists()) {
        return true;
    }
    let why = format!("{what} is not here; `make tools` installs it");
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{why}");
    // A terminal that is gone is no reason to fail.
    let _ = writeln!(stderr(), "\n*** SKIPPED *** {why}\n");
    false
}

/// Where a program is.
fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join(name));
    found.into_iter().find(|file| file.is_file()).unwrap_or_default()
}
