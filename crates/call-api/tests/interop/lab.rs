//! What every interop test stands on: which foreign programs it needs, free ports, and deadlines.
//!
//! A test names its [`Tool`]s first. Where one is missing the test is skipped aloud, and with `CI`
//! set it fails instead, so a machine that forgot to install the phones cannot look green. Nothing
//! here sleeps for a guessed time: every wait ends on what it waits for, or fails at [`PATIENCE`]
//! with a sentence that says what did not happen.

use std::env;
use std::fs::{self, File};
use std::future::Future;
use std::io::{Write as _, stderr};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a healthy phone or server may take for one step. Far above what they need, for a
/// machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A program of others that a test drives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    /// The softphone `baresip`, 1.0 or later.
    Baresip,
    /// PJSIP's Python binding.
    Pjsip,
    /// SIP.js, in Node.js.
    SipJs,
    /// The traffic generator `sipp`, 3.6 or later.
    Sipp,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Baresip => "baresip",
            Self::Pjsip => "PJSIP",
            Self::SipJs => "SIP.js",
            Self::Sipp => "sipp",
        }
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Pjsip => pjsip_python().is_file(),
            Self::SipJs => sipjs().is_file(),
            Self::Baresip | Self::Sipp => {
                let path = env::var_os("PATH").unwrap_or_default();
                env::split_paths(&path).any(|directory| directory.join(self.name()).is_file())
            }
        }
    }
}

/// The Python that has PJSIP's binding, where `make tools` puts it.
pub(crate) fn pjsip_python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.lab/pjsip/bin/python3")
}

/// The package that depends on SIP.js, where `make tools` puts it.
pub(crate) fn sipjs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.lab/sipjs/package.json")
}

/// Whether this machine can run a test that needs `tools`.
///
/// When it cannot, says so on the terminal, past the capture of the test runner.
///
/// # Panics
///
/// When a tool is missing and `CI` is set.
pub(crate) fn can_use(tools: &[Tool]) -> bool {
    let missing: Vec<&str> =
        tools.iter().filter(|tool| !tool.is_installed()).map(|tool| tool.name()).collect();
    if missing.is_empty() {
        return true;
    }
    let test = thread::current().name().unwrap_or("an interop test").to_owned();
    let why = format!(
        "{test} needs {}, which is not here; `make tools` installs it",
        missing.join(" and ")
    );
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{why}");
    // A terminal that is gone is no reason to fail.
    let _ = writeln!(stderr(), "\n*** SKIPPED *** {why}\n");
    false
}

/// Ports that belong to one program of one test, as long as it runs.
#[derive(Debug)]
pub(crate) struct Ports {
    /// SIP, and the port above it, which baresip takes for TLS.
    pub(crate) sip: u16,
    /// Remote control of a phone, or WebSocket of the server.
    pub(crate) control: u16,
    /// The first of sixteen ports for RTP and RTCP.
    pub(crate) media: u16,
    /// Locked: so two test runs at once do not take the same ports.
    _lock: File,
}

impl Ports {
    const BLOCK: u16 = 20;
    const FIRST: u16 = 12_000;
    /// Below the ports that Linux hands out on its own (32768 and up), which come and go during a
    /// test.
    const BLOCKS: u16 = 1000;

    /// Takes a block of ports in which nobody listens and which no other test was given.
    pub(crate) fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        for _ in 0..Self::BLOCKS {
            let base =
                Self::FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % Self::BLOCKS * Self::BLOCK;
            let name = env::temp_dir().join(format!("call-api-ports-{base}.lock"));
            // Another user's file is as good as a lock.
            let Ok(lock) = File::create(name) else { continue };
            if lock.try_lock().is_ok() && (base..base + Self::BLOCK).all(is_free) {
                return Self { sip: base, control: base + 2, media: base + 4, _lock: lock };
            }
        }
        panic!("no free ports left");
    }

    /// The last port for RTP and RTCP.
    pub(crate) fn media_end(&self) -> u16 {
        self.media + 15
    }
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Waits for `future`, at most [`PATIENCE`]; a test that waits longer fails with `what` was
/// expected.
pub(crate) async fn expect<T>(what: &str, future: impl Future<Output = T>) -> T {
    expect_within(PATIENCE, what, future).await
}

/// Like [`expect`], with a limit of its own.
pub(crate) async fn expect_within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| panic!("expected {what} within {limit:?}"))
}

/// Asks `probe` again and again until it has an answer: for states that nobody announces, such as a
/// port being open.
pub(crate) async fn poll<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    expect(what, async {
        loop {
            ticks.tick().await;
            if let Some(answer) = probe().await {
                return answer;
            }
        }
    })
    .await
}

/// Where one program keeps its files: gone with the test, but shown first when the test fails.
pub(crate) struct Home {
    title: String,
    directory: TempDir,
    logs: &'static [&'static str],
}

impl Home {
    /// An empty directory for the program called `title`, which will write `logs` into it.
    pub(crate) fn new(title: &str, logs: &'static [&'static str]) -> Self {
        let directory = TempDir::new().expect("a directory for a program");
        Self { title: title.to_owned(), directory, logs }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file for both outputs of the program.
    pub(crate) fn outputs(&self, name: &str) -> [Stdio; 2] {
        let file = File::create(self.path().join(name)).expect("a file for a program's output");
        let twin = file.try_clone().expect("a file for a program's output");
        [file.into(), twin.into()]
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for log in self.logs {
            // A log that was never written is no news.
            let text = fs::read(self.path().join(log)).unwrap_or_default();
            show_on_failure(&format!("{}: {log}", self.title), &String::from_utf8_lossy(&text));
        }
    }
}

/// Prints `text`, when the test around it is failing.
#[expect(clippy::print_stdout, reason = "the test runner shows what a failing test prints")]
pub(crate) fn show_on_failure(title: &str, text: &str) {
    if thread::panicking() {
        println!("\n--- {title} ---\n{text}");
    }
}
