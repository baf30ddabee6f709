//! The server as a process of its own, which can be killed and started again.

use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{DEADLINE, below};

pub(crate) struct Server {
    directory: TempDir,
    process: Option<Child>,
    /// Where clients connect; another port after each start.
    pub(crate) url: watch::Sender<String>,
    pub(crate) sip: SocketAddr,
    /// What the log said at level ERROR.
    errors: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server with a journal of its own. `more` is added to its configuration.
    pub(crate) async fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sip = free_port();
        let yaml = format!(
            "ws_server:\n  port: 0\nsip:\n  listen: udp:{sip}\njournal:\n  directory: {}\n{more}",
            directory.path().display()
        );
        std::fs::write(directory.path().join("call-api.yml"), yaml).unwrap();
        let (url, errors) = (watch::Sender::new(String::new()), Arc::default());
        let mut server = Self { directory, process: None, url, sip, errors };
        server.resume().await;
        server
    }

    /// Starts it again, on the same journal.
    pub(crate) async fn resume(&mut self) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_call-api"))
            .arg("--config")
            .arg(self.directory.path().join("call-api.yml"))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        let started = async {
            loop {
                let line = log.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it does not start: {lines:?}"));
                if let Some((_, url)) = line.split_once("clients: ") {
                    break url.to_owned();
                }
                lines.push(line);
            }
        };
        let url = timeout(DEADLINE, started).await.expect("a start in time");
        let errors = self.errors.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                if line.contains("ERROR") {
                    errors.lock().unwrap().push(line);
                }
            }
        });
        self.process = Some(process);
        self.url.send_replace(url);
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.process.take().expect("it runs").kill().await.unwrap();
    }

    /// Kilobytes of memory: now, and at the most until now.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let pid = self.process.as_ref().and_then(Child::id).expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The size of its journal, in bytes.
    pub(crate) fn journal_bytes(&self) -> u64 {
        std::fs::metadata(self.directory.path().join("journal.redb")).unwrap().len()
    }

    /// Fails when it has logged an error.
    pub(crate) fn expect_no_errors(&self) {
        let errors = self.errors.lock().unwrap();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// A port for SIP. The server has the same one after a restart, so it is none that the system gives
/// to somebody else in between.
fn free_port() -> SocketAddr {
    loop {
        let port = 20_000 + u16::try_from(below(10_000)).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
