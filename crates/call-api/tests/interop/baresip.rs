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

use crate::lab::{Home, Ports, expect, poll, show_on_failure};

/// Where Debian and Ubuntu keep the parts of baresip.
const MODULES: &str = "/usr/lib/baresip/modules";

/// What the phone does when it rings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Answers at once.
    Auto,
    /// Rings until the test says `accept` or `hangup`.
    Manual,
}

/// Something the phone's user would notice.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// baresip's name of it, such as `CALL_ESTABLISHED`.
    pub(crate) kind: String,
    /// The SIP Call-ID of the call it is about.
    pub(crate) call_id: String,
    /// The SIP URI of the other party, as the phone shows it.
    pub(crate) peer: String,
    /// What else there is to say: the digit of a DTMF event, the reason of a closed call.
    pub(crate) param: String,
}

/// A running phone. Dropping it ends the process without a word to its peers, like a pulled plug.
pub(crate) struct Baresip {
    name: &'static str,
    ports: Ports,
    control: TcpStream,
    received: Vec<u8>,
    /// Events that no wait has taken yet, in the order they came.
    events: Vec<Event>,
    commands_sent: u64,
    _process: Child,
    _home: Home,
}

impl Baresip {
    /// Starts a phone of the user `name` and returns when it takes calls.
    pub(crate) async fn start(name: &'static str, answer: Answer) -> Self {
        Self::start_with(name, answer, None, "").await
    }

    /// Starts a phone that sends every request through the proxy at `proxy`, a SIP URI.
    pub(crate) async fn start_behind(name: &'static str, answer: Answer, proxy: &str) -> Self {
        Self::start_with(name, answer, None, &format!(";outbound=\"{proxy}\"")).await
    }

    /// Starts a phone that registers, as the user `name`, with the registrar on this port.
    pub(crate) async fn start_registering(
        name: &'static str,
        answer: Answer,
        registrar: u16,
        password: &str,
    ) -> Self {
        let account = format!(";auth_user={name};auth_pass={password}");
        Self::start_with(name, answer, Some(registrar), &account).await
    }

    /// Starts a phone that registers with the proxy on this port and sends every request there.
    pub(crate) async fn start_at(name: &'static str, answer: Answer, proxy: u16) -> Self {
        let account =
            format!(";auth_user={name};auth_pass=none;outbound=\"sip:127.0.0.1:{proxy}\"");
        Self::start_with(name, answer, Some(proxy), &account).await
    }

    async fn start_with(
        name: &'static str,
        answer: Answer,
        registrar: Option<u16>,
        account: &str,
    ) -> Self {
        let ports = Ports::take();
        let home = Home::new(&format!("{name}'s phone"), &["output"]);
        write_settings(home.path(), name, ports, answer, registrar, account)
            .expect("the phone's files");
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

    /// Where the phone takes calls.
    pub(crate) fn uri(&self) -> String {
        format!("sip:{}@127.0.0.1:{}", self.name, self.ports.sip)
    }

    /// Does what a user does at the phone: `dial`, `accept`, `hangup`, `hold`, …
    /// Returns what the phone printed.
    ///
    /// # Panics
    ///
    /// When the phone refuses.
    pub(crate) async fn command(&mut self, command: &str, params: &str) -> String {
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

    /// Waits until the phone's display says this of its registration: `OK` or `ERR`. The event of it
    /// may come before the remote control is there.
    pub(crate) async fn wait_for_registration(&mut self, shown: &str) {
        let what = format!("{}'s phone to show {shown} for its registration", self.name);
        poll(&what, async || self.command("reginfo", "").await.contains(shown).then_some(())).await;
    }

    /// How many calls the phone is in, ringing ones included.
    pub(crate) async fn calls(&mut self) -> usize {
        let listing = self.command("listcalls", "").await;
        // "--- Active calls (2) ---"
        let count = listing.split_once("calls (").and_then(|(_, rest)| rest.split_once(')'));
        count.and_then(|(count, _)| count.parse().ok()).unwrap_or(0)
    }

    /// Waits until the phone is in no call: the last one may still be closing.
    pub(crate) async fn wait_until_idle(&mut self) {
        while self.calls().await > 0 {
            self.wait_event("CALL_CLOSED").await;
        }
    }

    /// Waits for an event named `kind`. Earlier events of other kinds stay for later waits.
    pub(crate) async fn wait_event(&mut self, kind: &str) -> Event {
        self.wait(kind, |event| event.kind == kind).await
    }

    /// Waits for an event named `kind` in the call with this Call-ID.
    pub(crate) async fn wait_event_of(&mut self, call_id: &str, kind: &str) -> Event {
        let what = format!("{kind} in call {call_id}");
        self.wait(&what, |event| event.kind == kind && event.call_id == call_id).await
    }

    /// Presses `digit` here and waits until `other` hears it: audio flows this way, in a call with
    /// that very phone.
    pub(crate) async fn is_heard_by(&mut self, other: &mut Self, digit: char) {
        self.command("sndcode", &digit.to_string()).await;
        let what = format!("the digit {digit} from {}", self.name);
        other
            .wait(&what, |event| event.kind == "CALL_DTMF_START" && event.param.starts_with(digit))
            .await;
    }

    async fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let what = format!("{}'s phone to report {what}", self.name);
        expect(&what, async {
            loop {
                if let Some(at) = self.events.iter().position(&wanted) {
                    return self.events.remove(at);
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

fn write_settings(
    directory: &Path,
    name: &str,
    ports: Ports,
    answer: Answer,
    registrar: Option<u16>,
    account: &str,
) -> io::Result<()> {
    let Ports { sip, control, media } = ports;
    let media_end = ports.media_end();
    let tone = directory.join("tone.wav");
    let tone_path = tone.display();
    let answer = match answer {
        Answer::Auto => "auto",
        Answer::Manual => "manual",
    };
    let (at, refresh) = registrar.map_or((sip, 0), |port| (port, 60));
    fs::write(&tone, wav_tone())?;
    fs::write(directory.join("contacts"), "")?;
    fs::write(
        directory.join("accounts"),
        format!(
            "<sip:{name}@127.0.0.1:{at}>;regint={refresh};audio_codecs=pcmu,pcma;answermode={answer}{account}\n"
        ),
    )?;
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
