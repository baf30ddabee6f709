//! A client for one request: sends it, prints every message as it comes, and stops when the command
//! has ended, or the question is answered. After `Subscribe` it goes on until it is stopped.
//!
//! Exit code 0 when the command succeeded, 1 when it failed or was refused, 2 when it could not be
//! asked for or its end was not heard.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to whoever started it"
)]

use std::ops::ControlFlow;
use std::process::ExitCode;

use call_api::args::with_two_dashes;
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
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
}

fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse_from(with_two_dashes(
        std::env::args_os(),
        &["method", "params", "url", "help", "version"],
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
    let (mut socket, _) = tokio_tungstenite::connect_async(&args.url).await?;
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
        match message["method"].as_str() {
            Some("Error") => self.failed = true,
            Some("Ended") => return ControlFlow::Break(!self.failed),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
