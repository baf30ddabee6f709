//! The built `call-api`, as an operator runs it: a configuration file, a process, a signal at the
//! end.

use std::fs;
use std::process::{ExitStatus, Stdio};

use call_api::backend::embedded::users;
use sip::digest::Algorithm;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::lab::{Home, Ports, expect, poll};

/// A running server. Dropping it kills the process; [`Server::terminate`] asks it to leave.
pub(crate) struct Server {
    ports: Ports,
    process: Child,
    _home: Home,
}

impl Server {
    /// Starts a server on ports of its own and returns when it is healthy.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, with these settings beside.
    pub(crate) async fn start_with(settings: &str) -> Self {
        let ports = Ports::take();
        let settings = format!("sip:\n  listen: udp:127.0.0.1:{}\n{settings}", ports.sip);
        Self::start_in(Home::new("call-api", &["output"]), ports, &settings).await
    }

    /// The same, with users that have these names and passwords, when there are any; their phones
    /// are asked for one algorithm only, as baresip 1.0.0 gives up at a challenge that it does not
    /// know.
    pub(crate) async fn start_with_users(users: &[(&str, &str)], algorithm: Algorithm) -> Self {
        let ports = Ports::take();
        let home = Home::new("call-api", &["output"]);
        let users_file = home.path().join("users.yml");
        let lines = users.iter().map(|(name, password)| {
            users::entry(name, users::REALM, password, &[algorithm]).expect("a user")
        });
        fs::write(&users_file, lines.collect::<String>()).expect("the server's users");
        let users_key = match users.is_empty() {
            true => String::new(),
            false => format!("  users: {}\n", users_file.display()),
        };
        let settings = format!("sip:\n  listen: udp:127.0.0.1:{}\n{users_key}", ports.sip);
        Self::start_in(home, ports, &settings).await
    }

    /// Starts a server in front of a proxy: with these settings, and an API on a port of its own.
    pub(crate) async fn start_before_proxy(settings: &str) -> Self {
        Self::start_in(Home::new("call-api", &["output"]), Ports::take(), settings).await
    }

    async fn start_in(home: Home, ports: Ports, settings: &str) -> Self {
        let config = home.path().join("call-api.yml");
        let api = format!("ws_server:\n  host: 127.0.0.1\n  port: {}\n", ports.control);
        fs::write(&config, format!("{api}{settings}log:\n  level: debug\n"))
            .expect("the server's configuration");
        let [stdout, stderr] = home.outputs("output");
        let process = Command::new(env!("CARGO_BIN_EXE_call-api"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("call-api starts");
        let mut server = Self { ports, process, _home: home };
        poll("the server to be healthy", async || {
            let exit = server.process.try_wait().expect("the state of the server's process");
            assert!(exit.is_none(), "the server ended at once: {exit:?}");
            is_healthy(server.ports.control).await.then_some(())
        })
        .await;
        server
    }

    /// Connects a client.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.url()).await
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/call-api", self.ports.control)
    }

    /// The server's process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id().expect("the server still runs")
    }

    /// The port on which the server takes SIP.
    pub(crate) fn sip_port(&self) -> u16 {
        self.ports.sip
    }

    /// Where the server takes SIP, as the proxy of a phone.
    pub(crate) fn sip_uri(&self) -> String {
        format!("sip:127.0.0.1:{}", self.ports.sip)
    }

    /// Sends SIGTERM and waits until the process is gone.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let process = self.process();
        // The shell's own `kill`: a machine without procps has no such program.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {process}")).status().await;
        assert!(sent.expect("a shell").success(), "the server is gone before its SIGTERM");
        expect("the server to leave after SIGTERM", self.process.wait())
            .await
            .expect("the server's exit status")
    }
}

async fn is_healthy(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut response = Vec::new();
    socket.write_all(request.as_bytes()).await.is_ok()
        && socket.read_to_end(&mut response).await.is_ok()
        && response.starts_with(b"HTTP/1.1 200")
}
