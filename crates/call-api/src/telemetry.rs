//! The log: one line per event, with the spans `connection{peer}` › `command{cmd_id, method}` in
//! front of it.
//!
//! To standard error, or appended to `log.file_path`; what is said follows `log.level`. The output
//! of the programs themselves goes to standard output, so the two can be told apart.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use crate::config::Log;

/// Starts logging.
///
/// # Errors
///
/// When the file cannot be opened, or a log was started before.
pub fn init(log: &Log) -> io::Result<()> {
    let builder = tracing_subscriber::fmt().with_max_level(log.level).with_ansi(false);
    match &log.file_path {
        None => builder.with_writer(io::stderr).try_init(),
        Some(path) => builder.with_writer(Mutex::new(open(path)?)).try_init(),
    }
    .map_err(io::Error::other)
}

/// Whether [`init`] could log to where it should. Leaves no file behind that was not there.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn check(log: &Log) -> io::Result<()> {
    let Some(path) = &log.file_path else { return Ok(()) };
    match OpenOptions::new().append(true).create_new(true).open(path) {
        Ok(_) => remove_file(path),
        // It is there, or cannot be made: the error, if any, is that of opening it.
        Err(_) => open(path).map(drop),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("log.file_path {}: {error}", path.display()))
    })
}
