//! A headless baresip: a phone that nobody here wrote, with a remote control.
//!
//! Each phone has a generated configuration in a directory of its own, a tone instead of a
//! microphone, and loopback addresses only. It is driven through its module `ctrl_tcp`: JSON in
//! netstrings (`LENGTH:BODY,`), one response per command, and an event for whatever the phone's
//! user would notice. It stands for the weak phones of the field: it accepts REFER (RFC 3515),
//! knows neither Replaces nor session timers nor PRACK.

use std::f64::consts::TAU;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::lab::{Home, Ports, Tool, expect, poll, show_on_failure};
use crate::phone::{Account, Answer, Phone, Shown};

/// Where Debian and Ubuntu keep the parts of baresip.
const MODULES: &str = "/usr/lib/baresip/modules";

/// Something the phone's user would notice.
#[derive(Debug)]
struct Event {
    /// baresip's name of it, such as `CALL_ESTABLISHED`.
    kind: String,
    call_id: String,
    /// The SIP URI of the other party, as the phone shows it.
    peer: String,
    /// What else there is to say: the digit of a DTMF event, the reason of a closed call.
    param: String,
}

/// A running phone. Dropping it ends the process without a word to its peers, like a pulled plug.
pub(crate) struct Baresip {
    name: &'static str,
    answer: Answer,
    ports: Ports,
    control: TcpStream,
    received: Vec<u8>,
    /// Events that no wait has taken yet, in the order they came.
    events: Vec<Event>,
    commands_sent: u64,
    _process: Child,
    _home: Home,
}

impl Phone for Baresip {
    const TOOL: Tool = Tool::Baresip;
    const DECLINE: u64 = 486;
    const STAYS_AFTER_FAILED_TRANSFER: bool = false;

    async fn start_as(account: Account) -> Self {
        let ports = Ports::take();
        let name = account.name;
        let home = Home::new(&format!("{name}'s phone"), &["output"]);
        write_settings(home.path(), &account, &ports).expect("the phone's files");
        let [stdout, stderr] = home.outputs("output");
        let mut process = Command::new("baresip")
            .arg("-f")
            .arg(home.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("baresip starts");
        let control = poll(&format!("{name}'s phone to open its remote control"), async || {
            let exit = process.try_wait().expect("the state of the phone's process");
            assert!(exit.is_none(), "{name}'s phone ended at once: {exit:?}");
            TcpStream::connect(("127.0.0.1", ports.control)).await.ok()
        })
        .await;
        let mut phone = Self {
            name,
            answer: account.answer,
            ports,
            control,
            received: Vec::new(),
            events: Vec::new(),
            commands_sent: 0,
            _process: process,
            _home: home,
        };
        // The remote control opens before the main loop runs; an answer means that the phone takes
        // calls too.
        phone.calls().await;
        phone
    }

    fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    fn identity(&self) -> String {
        self.uri()
    }

    async fn dial(&mut self, to: &str) {
        self.command("dial", to).await;
    }

    async fn accept(&mut self, call_id: &str) {
        self.command_in(call_id, "accept", "").await;
    }

    async fn hang_up(&mut self, call_id: &str) {
        self.command_in(call_id, "hangup", "").await;
    }

    async fn hold(&mut self, call_id: &str) {
        self.command_in(call_id, "hold", "").await;
    }

    async fn resume(&mut self, call_id: &str) {
        self.command_in(call_id, "resume", "").await;
    }

    async fn transfer(&mut self, call_id: &str, to: &str) {
        self.command_in(call_id, "transfer", to).await;
    }

    async fn press(&mut self, call_id: &str, digit: char) {
        self.command_in(call_id, "sndcode", &digit.to_string()).await;
    }

    async fn hears(&mut self, digit: char) {
        let what = format!("the digit {digit}");
        self.wait(&what, |event| event.kind == "CALL_DTMF_START" && event.param.starts_with(digit))
            .await;
    }

    async fn direction(&mut self, call_id: &str) -> String {
        let stream = self.command_in(call_id, "audio_debug", "").await;
        // " audio dir=sendrecv pt_enc=0"
        let direction = stream.split_once(" dir=").and_then(|(_, rest)| rest.split_once(' '));
        direction.expect("the direction of an audio stream").0.to_owned()
    }

    async fn calls(&mut self) -> usize {
        let listing = self.command("listcalls", "").await;
        // "--- Active calls (2) ---"
        let count = listing.split_once("calls (").and_then(|(_, rest)| rest.split_once(')'));
        count.and_then(|(count, _)| count.parse().ok()).unwrap_or(0)
    }

    async fn rings(&mut self) -> Shown {
        match self.answer {
            Answer::Manual => self.wait_event("CALL_INCOMING").await,
            // Of a call that it answers by itself, the offer is the first that the phone says.
            Answer::Auto => self.wait_event("CALL_REMOTE_SDP").await,
        }
    }

    async fn hears_ringing(&mut self) -> Shown {
        self.wait_event("CALL_RINGING").await
    }

    async fn establishes(&mut self) -> Shown {
        self.wait_event("CALL_ESTABLISHED").await
    }

    async fn establishes_call(&mut self, call_id: &str) -> Shown {
        self.wait_event_of(call_id, "CALL_ESTABLISHED").await
    }

    async fn closes_call(&mut self, call_id: &str) -> Shown {
        self.wait_event_of(call_id, "CALL_CLOSED").await
    }

    async fn closes(&mut self) -> Shown {
        self.wait_event("CALL_CLOSED").await
    }

    async fn transfer_fails(&mut self, call_id: &str, status: u64) {
        let why = self.wait_event_of(call_id, "TRANSFER_FAILED").await.why;
        assert!(why.starts_with(&status.to_string()), "{why}");
    }

    /// The event of it may come before the remote control is there: the display tells.
    async fn registers(&mut self, succeeds: bool) {
        let shown = if succeeds { "OK" } else { "ERR" };
        let what = format!("{}'s phone to show {shown} for its registration", self.name);
        poll(&what, async || self.command("reginfo", "").await.contains(shown).then_some(())).await;
    }
}

impl Baresip {
    /// Does what a user does at the phone. Returns what the phone printed.
    async fn command(&mut self, command: &str, params: &str) -> String {
        self.commands_sent += 1;
        let token = self.commands_sent.to_string();
        let body = json!({"command": command, "params": params, "token": token}).to_string();
        self.control
            .write_all(format!("{}:{body},", body.len()).as_bytes())
            .await
            .expect("the phone takes commands");
        let what = format!("{}'s phone to answer the command {command}", self.name);
        loop {
            let message = expect(&what, self.read_message()).await;
            if message["response"] != true {
                self.events.push(Event::from(&message));
            } else if message["token"] == token.as_str() {
                assert_eq!(
                    message["ok"], true,
                    "{}'s phone refused {command} {params}: {message}",
                    self.name
                );
                return message["data"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    /// The same, in one of the phone's calls.
    async fn command_in(&mut self, call_id: &str, command: &str, params: &str) -> String {
        self.command("callfind", call_id).await;
        self.command(command, params).await
    }

    async fn wait_event(&mut self, kind: &str) -> Shown {
        self.wait(kind, |event| event.kind == kind).await
    }

    async fn wait_event_of(&mut self, call_id: &str, kind: &str) -> Shown {
        let what = format!("{kind} in call {call_id}");
        self.wait(&what, |event| event.kind == kind && event.call_id == call_id).await
    }

    /// Waits for a wanted event. Those that came before it stay for later waits.
    async fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Shown {
        let what = format!("{}'s phone to report {what}", self.name);
        expect(&what, async {
            loop {
                if let Some(at) = self.events.iter().position(&wanted) {
                    let Event { call_id, peer, param, .. } = self.events.remove(at);
                    return Shown { call_id, peer, why: param };
                }
                let message = self.read_message().await;
                if message["event"] == true {
                    self.events.push(Event::from(&message));
                }
            }
        })
        .await
    }

    async fn read_message(&mut self) -> Value {
        loop {
            if let Some(message) = take_message(&mut self.received) {
                return message;
            }
            let read = self
                .control
                .read_buf(&mut self.received)
                .await
                .expect("the phone's remote control");
            assert_ne!(read, 0, "{}'s phone closed its remote control", self.name);
        }
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let title = format!("{}'s phone: events that nobody waited for", self.name);
        show_on_failure(&title, &format!("{:#?}", self.events));
    }
}

impl From<&Value> for Event {
    fn from(message: &Value) -> Self {
        let text = |member: &str| message[member].as_str().unwrap_or_default().to_owned();
        Self {
            kind: text("type"),
            call_id: text("id"),
            peer: text("peeruri"),
            param: text("param"),
        }
    }
}

/// Takes the first whole netstring off `received`.
fn take_message(received: &mut Vec<u8>) -> Option<Value> {
    let colon = received.iter().position(|byte| *byte == b':')?;
    let length: usize =
        std::str::from_utf8(&received[..colon]).ok()?.parse().expect("a netstring's length");
    let end = colon + 1 + length;
    if received.len() <= end {
        return None;
    }
    let message = serde_json::from_slice(&received[colon + 1..end]).expect("JSON in a netstring");
    received.drain(..=end);
    Some(message)
}

fn write_settings(directory: &Path, account: &Account, ports: &Ports) -> io::Result<()> {
    let Account { name, answer, .. } = account;
    let Ports { sip, control, media, .. } = ports;
    let media_end = ports.media_end();
    let tone = directory.join("tone.wav");
    let tone_path = tone.display();
    let answer = match answer {
        Answer::Auto => "auto",
        Answer::Manual => "manual",
    };
    let (at, refresh, mut more) = match &account.registrar {
        Some((port, password)) => (*port, 60, format!(";auth_user={name};auth_pass={password}")),
        None => (*sip, 0, String::new()),
    };
    if let Some(proxy) = &account.proxy {
        more += &format!(";outbound=\"{proxy}\"");
    }
    fs::write(&tone, wav_tone())?;
    fs::write(directory.join("contacts"), "")?;
    fs::write(
        directory.join("accounts"),
        format!(
            "<sip:{name}@127.0.0.1:{at}>;regint={refresh};audio_codecs=pcmu,pcma;answermode={answer}{more}\n"
        ),
    )?;
    // Without a jitter buffer, as the one of baresip 1.0 goes deaf when somebody else sends on, whose
    // sequence numbers are lower.
    // An interface is named by its address: baresip finds no IPv4 address under "lo".
    let config = format!(
        "sip_listen 127.0.0.1:{sip}\n\
         net_interface 127.0.0.1\n\
         call_local_timeout 60\n\
         call_max_calls 8\n\
         audio_source aufile,{tone_path}\n\
         audio_player aubridge,{name}-ear\n\
         audio_alert aubridge,{name}-bell\n\
         ausrc_srate 8000\n\
         auplay_srate 8000\n\
         ausrc_channels 1\n\
         auplay_channels 1\n\
         rtp_ports {media}-{media_end}\n\
         jitter_buffer_delay 0-0\n\
         module_path {MODULES}\n\
         module g711.so\n\
         module aufile.so\n\
         module aubridge.so\n\
         module_tmp uuid.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app debug_cmd.so\n\
         module ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n"
    );
    fs::write(directory.join("config"), config)
}

/// Two minutes of 440 Hz as WAV, PCM, 8 kHz, mono, 16 bit: longer than any call here, for the phone
/// falls silent at its end.
fn wav_tone() -> Vec<u8> {
    const RATE: u32 = 8_000;
    const SAMPLES: u32 = RATE * 120;
    let data_size = SAMPLES * 2;
    let mut wav = Vec::with_capacity(44 + data_size as usize);
    wav.extend(b"RIFF");
    wav.extend((36 + data_size).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend(1_u16.to_le_bytes()); // PCM
    wav.extend(1_u16.to_le_bytes()); // mono
    wav.extend(RATE.to_le_bytes());
    wav.extend((RATE * 2).to_le_bytes()); // bytes a second
    wav.extend(2_u16.to_le_bytes()); // bytes a sample
    wav.extend(16_u16.to_le_bytes()); // bits a sample
    wav.extend(b"data");
    wav.extend(data_size.to_le_bytes());
    for sample in 0..SAMPLES {
        let level = (f64::from(sample) * 440.0 * TAU / f64::from(RATE)).sin() * 8_000.0;
        wav.extend((level as i16).to_le_bytes());
    }
    wav
}
