//! A client for one request: sends it, prints every message as it comes, and stops when the command
//! has ended, or the question is answered. After `Subscribe` it goes on until it is stopped.
//!
//! Exit code 0 when the command succeeded, 1 when it failed or was refused, 2 when it could not be
//! asked for or its end was not heard.
//!
//! A server that wants an access token gets the one in the environment variable `CALL_API_TOKEN`: on
//! the command line others could read it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to whoever started it"
)]

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use call_api::args::with_two_dashes;
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::{self, Message};

/// The `id` of the one request.
const ID: &str = "1";

/// Sends one command to a Call API server and prints what comes back.
///
/// Example: call-api-client -method CallStart -params '{"caller": "sip:alice@127.0.0.1:5071",
/// "callee": "sip:cindy@127.0.0.1:5073"}'
#[derive(Parser)]
#[command(name = "call-api-client", version, disable_version_flag = true)]
struct Args {
    /// Print the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// The command, such as CallStart.
    #[arg(long)]
    method: String,
    /// Its parameters, as a JSON object.
    #[arg(long, default_value = "{}", value_name = "JSON", value_parser = json_value)]
    params: Value,
    /// The server.
    #[arg(long, default_value = "ws://localhost:5059/call-api")]
    url: String,
    /// The certificate that a server at wss:// must have, or be vouched for by, in PEM. Without it those
    /// that the system trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse_from(with_two_dashes(
        std::env::args_os(),
        &["method", "params", "url", "ca", "help", "version"],
    ));
    match talk(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("call-api-client: {}: {error}", args.url);
            ExitCode::from(2)
        }
    }
}

/// Returns whether the command succeeded.
async fn talk(args: &Args) -> Result<bool, tungstenite::Error> {
    let mut upgrade = args.url.as_str().into_client_request()?;
    if let Ok(token) = std::env::var("CALL_API_TOKEN") {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| io::Error::other("CALL_API_TOKEN is no token"))?;
        bearer.set_sensitive(true);
        upgrade.headers_mut().insert(AUTHORIZATION, bearer);
    }
    let trust = args.ca.as_deref().map(trust).transpose()?;
    let connecting =
        tokio_tungstenite::connect_async_tls_with_config(upgrade, None, true, trust).await;
    let (mut socket, _) = connecting.map_err(|error| match error {
        // Why the server did not let us in is in its answer.
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            io::Error::other(format!("{} {}", response.status(), body.trim_end())).into()
        }
        error => error,
    })?;
    let request = json!({"jsonrpc": "2.0", "id": ID, "method": args.method, "params": args.params});
    socket.send(Message::text(request.to_string())).await?;
    let mut command = Command::default();
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let Ok(message) = serde_json::from_str::<Value>(&text) else {
            println!("{text}");
            continue;
        };
        println!("{message:#}");
        if let ControlFlow::Break(succeeded) = command.hear(&message) {
            // The command is over either way.
            let _ = socket.close(None).await;
            return Ok(succeeded);
        }
    }
    Err(tungstenite::Error::ConnectionClosed)
}

/// Trust in this certificate alone.
fn trust(file: &Path) -> io::Result<Connector> {
    let unreadable = |error: pem::Error| io::Error::other(format!("{}: {error}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(io::Error::other)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Connector::Rustls(Arc::new(config)))
}

/// What is known about the command that was sent.
#[derive(Default)]
struct Command {
    cmd_id: Option<Value>,
    failed: bool,
}

impl Command {
    /// Takes note of a message. Breaks with whether the command succeeded, when it is over.
    fn hear(&mut self, message: &Value) -> ControlFlow<bool> {
        if message.get("error").is_some() {
            return ControlFlow::Break(false);
        }
        if message["id"] == ID {
            let result = &message["result"];
            self.cmd_id = result.get("cmd_id").cloned();
            // A retry of a command that was started before: its notifications go to whoever started
            // it.
            let started = self.cmd_id.is_some() && result["replayed"] != true;
            // Notifications come until somebody stops this program.
            let subscribed = result["subscription"].is_string() && result["cursor"].is_string();
            return if started || subscribed {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(true)
            };
        }
        if self.cmd_id.is_none() || message["params"].get("cmd_id") != self.cmd_id.as_ref() {
            return ControlFlow::Continue(());
        }
        // Dialect v2 names what happened in `event`, v1 by the method.
        match message["params"].get("event").unwrap_or(&message["method"]).as_str() {
            Some("Error") => self.failed = true,
            Some("Ended") => return ControlFlow::Break(!self.failed),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
