//! The server: arguments to library calls.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to whoever started it"
)]

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use call_api::args::with_two_dashes;
use call_api::backend::embedded::users;
use call_api::backend::opensips::OpenSips;
use call_api::config::{self, Config, Loaded, Log};
use call_api::server::access::token::Entry;
use call_api::server::journal::{self, Journal};
use call_api::server::{Door, Listener};
use call_api::{backend, demo, server, systemd, telemetry};
use clap::{Parser, Subcommand};
use sip::digest::Algorithm;
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::level_filters::LevelFilter;

/// Gives the memory of a busy hour back to the system: the C library's keeps most of it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Starts, watches and ends SIP calls for clients that speak JSON-RPC 2.0 over a WebSocket.
#[derive(Parser)]
#[command(name = "call-api", version, disable_version_flag = true)]
struct Args {
    /// Configuration file, instead of the first one found in the usual places.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the configuration and the ports, say what would be done, and stop.
    #[arg(long)]
    check: bool,
    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Subcommand)]
enum Mode {
    /// Serve clients (the default).
    Serve,
    /// Print the lines of the file `sip.users` for a user whose password is read from standard input.
    User {
        /// The user part of the phone's address: `alice` of sip:alice@example.com.
        name: String,
        /// The realm that phones are told. It must be the same for all users of a file.
        #[arg(long, default_value = users::REALM)]
        realm: String,
        /// Only the MD5 hash: for phones that give up when they are asked for SHA-256 as well.
        #[arg(long)]
        md5: bool,
    },
    /// Make an access token: prints its entry for the file `ws_server.tokens`, and the token, which is
    /// nowhere else, to standard error.
    Token {
        /// Its name, as the audit log has it.
        name: String,
        #[command(flatten)]
        entry: Entry,
    },
    /// Run the server with three software phones, and place a call between two of them.
    Demo {
        /// Stop once that call is over.
        #[arg(long)]
        once: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse_from(with_two_dashes(
        std::env::args_os(),
        &["config", "check", "version", "help"],
    ));
    // It needs no configuration, and should not fail over one.
    if let Some(Mode::User { name, realm, md5 }) = &args.mode {
        return match print_user(name, realm, *md5) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    if let Some(Mode::Token { name, entry }) = &args.mode {
        return match print_token(name, entry) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    let loaded = match config::load("call-api", args.config.clone(), std::env::vars()) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error),
    };
    let done = match (args.check, args.mode) {
        (true, _) => check(&loaded).await,
        (false, None | Some(Mode::Serve | Mode::User { .. } | Mode::Token { .. })) => {
            serve(&loaded).await
        }
        (false, Some(Mode::Demo { once })) => run_demo(&loaded, once).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("call-api: {error}");
    ExitCode::FAILURE
}

async fn serve(loaded: &Loaded) -> io::Result<()> {
    let config = &loaded.config;
    telemetry::init(&config.log)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let listener = server::bind(&config.ws_server).await?;
    let shutdown = stop_signal()?;
    let reload = reload_on_hangup(listener.door())?;
    let journal = Journal::start(&config.journal).await?;
    let backend = backend::connect(config, journal.clone()).await?;
    let address = listener.local_addr()?;
    tracing::info!(file = ?loaded.file, changes = ?config.changes(), "configured");
    let ws_server = &config.ws_server;
    tracing::info!("clients: {}://{address}{}", ws_server.scheme(), ws_server.http_path);
    tracing::info!("access: {}", access_line(&listener));
    tracing::info!("{}", calls_line(config));
    let service = systemd::ready();
    let shutdown = async {
        shutdown.await;
        systemd::stopping();
    };
    server::serve(listener, config, backend, journal.clone(), shutdown).await;
    journal.close().await;
    drop((reload, service));
    tracing::info!("stopped");
    Ok(())
}

/// The log says only what goes wrong: the demo's own output shows the rest.
async fn run_demo(Loaded { config, warnings, .. }: &Loaded, once: bool) -> io::Result<()> {
    telemetry::init(&Log { level: LevelFilter::WARN, ..Log::default() })?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match demo::run(config, &mut io::stdout(), once, stop_signal()?).await {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn print_user(name: &str, realm: &str, md5: bool) -> io::Result<()> {
    let password = read_password()?;
    let algorithms: &[Algorithm] = if md5 { &[Algorithm::Md5] } else { &Algorithm::ALL };
    print!("{}", users::entry(name, realm, &password, algorithms)?);
    Ok(())
}

fn print_token(name: &str, entry: &Entry) -> io::Result<()> {
    let (lines, token) = entry.issue(name)?;
    print!("{lines}");
    eprintln!("{token}");
    Ok(())
}

/// A line of standard input. A terminal does not show it while it is typed.
fn read_password() -> io::Result<String> {
    let is_typed = io::stdin().is_terminal();
    let echo = |setting| {
        if is_typed {
            // Without `stty` the password is shown; that is no reason to refuse it.
            let _ = std::process::Command::new("stty").arg(setting).status();
        }
    };
    if is_typed {
        eprint!("Password: ");
    }
    echo("-echo");
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    echo("echo");
    if is_typed {
        eprintln!();
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Ends at the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        tokio::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}

/// Has tokens and certificate read again at each SIGHUP, until the result is dropped.
fn reload_on_hangup(door: Arc<Door>) -> io::Result<JoinSet<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        while hangup.recv().await.is_some() {
            match door.reload() {
                Ok(()) => tracing::info!("tokens and certificate read again"),
                Err(error) => tracing::error!(%error, "what was read before stays"),
            }
        }
    });
    Ok(task)
}

/// Who may use the API.
fn access_line(listener: &Listener) -> String {
    match listener.door().tokens() {
        Some(tokens) => format!("with one of {tokens} tokens"),
        None => "for everybody who reaches it".to_owned(),
    }
}

/// Who makes the calls; where SIP is spoken, and where calls go.
fn calls_line(config: &Config) -> String {
    let proxies: Vec<_> = config.mi.proxies().iter().map(ToString::to_string).collect();
    match &config.sip.uri {
        _ if !proxies.is_empty() => format!("calls: made by OpenSIPS at {}", proxies.join(", ")),
        Some(uri) => format!("SIP: {}, every call goes to {uri}", config.sip.listen),
        None => format!("SIP: {}, calls go to the host in their URI", config.sip.listen),
    }
}

async fn check(Loaded { config, file, warnings }: &Loaded) -> io::Result<()> {
    let Config { ws_server, log, .. } = config;
    match file {
        Some(file) => println!("configuration: {}", file.display()),
        None => println!("configuration: defaults, as there is no file"),
    }
    config.changes().iter().for_each(|change| println!("  {change}"));
    warnings.iter().for_each(|warning| println!("warning: {warning}"));
    let listener = server::bind(ws_server).await?;
    let (scheme, address) = (ws_server.scheme(), listener.local_addr()?);
    println!("clients: {scheme}://{address}{}", ws_server.http_path);
    println!("access: {}", access_line(&listener));
    journal::check(&config.journal)?;
    let journal = Arc::new(Journal::default());
    println!("{}", calls_line(config));
    if config.mi.proxies().is_empty() {
        backend::connect(config, journal).await?;
        match &config.sip.users {
            Some(path) => println!("phones: those of the users in {}", path.display()),
            None => println!("phones: any, when SIP is on loopback"),
        }
    } else {
        let (lines, is_good) = OpenSips::connect(config, journal).await?.report().await;
        lines.iter().for_each(|line| println!("{line}"));
        if !is_good {
            return Err(io::Error::other("OpenSIPS is not as it has to be: see docs/opensips.md"));
        }
    }
    match &config.journal.directory {
        Some(path) => println!("journal: in {}", path.display()),
        None => println!("journal: in memory"),
    }
    telemetry::check(log)?;
    match &log.file_path {
        Some(path) => println!("log: {} in {}", log.level, path.display()),
        None => println!("log: {} to standard error", log.level),
    }
    if let Some(path) = &log.audit_path {
        println!("audit log: in {}", path.display());
    }
    Ok(())
}
