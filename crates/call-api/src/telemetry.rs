//! The log: one line per event, with the spans `connection{peer}` › `command{cmd_id, method}` in
//! front of it.
//!
//! To standard error, or appended to `log.file_path`; what is said follows `log.level`. The audit log
//! goes to `log.audit_path`, whatever the level, or else is a part of the log. The output of the
//! programs themselves goes to standard output, so the two can be told apart.

use std::fmt;
use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;
use crate::server::audit;

/// Starts logging.
///
/// # Errors
///
/// When the file cannot be opened, or a log was started before.
pub fn init(log: &Log) -> io::Result<()> {
    let audit = log.audit_path.as_ref().map(|path| open("log.audit_path", path)).transpose()?;
    let is_apart = audit.is_some();
    let writer = match &log.file_path {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(open("log.file_path", path)?)),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer)
        .with_filter(log.level)
        .with_filter(filter_fn(move |event| !is_apart || event.target() != audit::TARGET));
    let audit = audit.map(|file| {
        tracing_subscriber::fmt::layer()
            .event_format(Bare)
            .with_writer(Mutex::new(file))
            .with_filter(filter_fn(|event| event.target() == audit::TARGET))
    });
    tracing_subscriber::registry().with(lines).with(audit).try_init().map_err(io::Error::other)
}

/// Nothing but the message.
struct Bare;

impl<S, N> FormatEvent<S, N> for Bare
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Whether [`init`] could log to where it should. Leaves no file behind that was not there.
///
/// # Errors
///
/// When a file cannot be opened.
pub fn check(log: &Log) -> io::Result<()> {
    for (key, path) in [("log.file_path", &log.file_path), ("log.audit_path", &log.audit_path)] {
        let Some(path) = path else { continue };
        match OpenOptions::new().append(true).create_new(true).open(path) {
            Ok(_) => remove_file(path)?,
            // It is there, or cannot be made: the error, if any, is that of opening it.
            Err(_) => drop(open(key, path)?),
        }
    }
    Ok(())
}

fn open(key: &str, path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{key} {}: {error}", path.display())))
}
