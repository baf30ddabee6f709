//! Messages and time as text: the ladder diagrams of the tests, the documentation and the demo.
//!
//! ```text
//! ms     client                           call-api        caller          callee
//! 0      > CallStart                         |               |               |
//! 0                                          |----INVITE---->|               |
//! ```
//!
//! A message is drawn as an arrow between two lanes; what a client sends (`>`) and gets (`<`) is
//! text on the left. Session descriptions are named `offer` or `answer` with their direction when
//! it is not `sendrecv`.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use sip::sdp::{Direction, Sdp};
use sip::{Headers, Message, Method, Name};
use siphasher::sip::SipHasher13;

/// Characters from one lane to the next.
const LANE: usize = 33;
/// Characters of the client's column.
const CLIENT: usize = 42;

/// Room for the first lane's name where there is no client.
const CENTRE: usize = 5;

/// A ladder diagram that grows as things happen.
#[derive(Default)]
pub struct Ladder {
    lanes: Vec<String>,
    messages_only: bool,
    rows: String,
    /// Whether the request of a transaction carried a session description, by Call-ID and CSeq: so
    /// its response's is an answer.
    offers: HashMap<String, bool, BuildHasherDefault<SipHasher13>>,
}

impl Ladder {
    /// A ladder with these lanes, from left to right.
    pub fn new(lanes: &[&str]) -> Self {
        Self { lanes: lanes.iter().map(|lane| (*lane).to_owned()).collect(), ..Self::default() }
    }

    /// A ladder of messages only, without the column of a client.
    pub fn without_client(lanes: &[&str]) -> Self {
        Self { messages_only: true, ..Self::new(lanes) }
    }

    /// A line that is no message: what a client sent or got, or a remark.
    pub fn note(&mut self, at: Duration, text: &str) {
        let lanes = vec![" ".repeat(LANE - 1); self.lanes.len().saturating_sub(1)];
        self.row(at, text, &format!("|{}|", lanes.join("|")));
    }

    /// A message from one lane to another; `lost` if it never arrived.
    pub fn message(&mut self, at: Duration, from: usize, to: usize, datagram: &[u8], lost: bool) {
        let mut label = self.label(datagram);
        let (left, right) = (from.min(to), from.max(to));
        let width = ((right - left) * LANE).saturating_sub(5);
        if label.chars().count() > width {
            label = label.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
        let mut arrow = format!("{label:-^width$.width$}");
        arrow = match (from < to, lost) {
            (true, false) => format!("--{arrow}->"),
            (true, true) => format!("--{arrow}x "),
            (false, false) => format!("<-{arrow}--"),
            (false, true) => format!(" x{arrow}--"),
        };
        let mut line = String::from("|");
        for _ in 0..left {
            line += &" ".repeat(LANE - 1);
            line.push('|');
        }
        line += &arrow;
        line.push('|');
        for _ in right..self.lanes.len().saturating_sub(1) {
            line += &" ".repeat(LANE - 1);
            line.push('|');
        }
        self.row(at, "", &line);
    }

    fn row(&mut self, at: Duration, client: &str, lanes: &str) {
        let width = self.client_width();
        self.rows += &format!("{:<6} {client:<width$}{lanes}\n", at.as_millis());
    }

    fn client_width(&self) -> usize {
        if self.messages_only { CENTRE } else { CLIENT }
    }

    fn label(&mut self, datagram: &[u8]) -> String {
        let Ok(message) = Message::parse(bytes::Bytes::copy_from_slice(datagram)) else {
            return format!("{} bytes", datagram.len());
        };
        let headers = message.headers();
        let key =
            format!("{} {} {}", headers.call_id(), headers.cseq().number, headers.cseq_method());
        let has_sdp =
            !headers.body().is_empty() && headers.content_type() == Some("application/sdp");
        let (start, role) = match &message {
            Message::Request(request) => {
                let acknowledges = matches!(request.method, Method::Ack | Method::Prack);
                if request.method != Method::Ack {
                    self.offers.insert(key, has_sdp);
                }
                let role = if acknowledges { "answer" } else { "offer" };
                (request.method_name().to_owned(), role)
            }
            Message::Response(response) => {
                let offered = self.offers.get(&key).copied().unwrap_or(true);
                let role = if offered { "answer" } else { "offer" };
                // The method tells a 200 from another where it is not the INVITE's.
                let of = match headers.cseq().method {
                    Method::Invite => String::new(),
                    _ => format!(" {}", headers.cseq_method()),
                };
                (format!("{} {}{of}", response.status, response.reason_text()), role)
            }
        };
        match detail(headers, has_sdp, role) {
            Some(detail) => format!("{start} ({detail})"),
            None => start,
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.client_width();
        let client = if self.messages_only { "" } else { "client" };
        let mut head = format!("{:<6} {client:<width$}", "ms");
        let first = head.len();
        head.truncate(head.trim_end().len());
        for (index, lane) in self.lanes.iter().enumerate() {
            // Each name is centred over its lane.
            let at = first + index * LANE - lane.len() / 2;
            head += &" ".repeat(at.saturating_sub(head.len()));
            head += lane;
        }
        writeln!(f, "{head}\n{}", self.rows.trim_end())
    }
}

/// What is worth saying of a message beside its name.
fn detail(headers: &Headers, has_sdp: bool, role: &str) -> Option<String> {
    if has_sdp {
        let sdp = Sdp::parse(headers.body()).ok()?;
        let direction = sdp.media().next().map(|media| media.direction);
        return Some(match direction {
            Some(Direction::SendRecv) | None => role.to_owned(),
            Some(direction) => format!("{role} {}", direction.as_str()),
        });
    }
    headers.value(Name::Event).filter(|_| headers.cseq().method == Method::Notify)?;
    let (status, reason) = sip::sipfrag::parse(headers.body())?;
    Some(format!("{status} {}", String::from_utf8_lossy(reason)))
}
