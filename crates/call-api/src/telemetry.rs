//! The log: one line per event, with the spans `connection{peer}` › `command{cmd_id, method}` in
//! front of it.
//!
//! To standard error, or appended to `log.file_path`; what is said follows `log.level`. The output
//! of the programs themselves goes to standard output, so the two can be told apart.

use std::fs::OpenOptions;
use std::io;
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
        Some(path) => {
            let file =
                OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                    io::Error::new(
                        error.kind(),
                        format!("log.file_path {}: {error}", path.display()),
                    )
                })?;
            builder.with_writer(Mutex::new(file)).try_init()
        }
    }
    .map_err(io::Error::other)
}
