//! Session descriptions (RFC 8866) as far as a call needs them: which media there are, and who
//! sends and who receives (RFC 3264). [`Sdp`] is the view of one; the functions beside it make a
//! changed copy, in which everything that they are not about stays byte for byte.

mod arrange;
mod edit;
mod parts;

use std::net::IpAddr;

pub use self::arrange::{arranged, rejecting, restored};
pub use self::edit::{
    inactive_answer, inactive_audio, with_direction, with_directions, with_origin, with_version,
};
use self::parts::{Line, Parts};
use crate::error::{ErrorKind, ParseError};
use crate::header::cseq::decimal;

/// The most media sections of a description. More is [`ErrorKind::Sdp`].
pub const MAX_MEDIA: usize = 64;

/// Which way media flows, as the one who says it sees it (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the attributes")]
pub enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    /// The direction of this attribute, as in `a=sendonly`.
    pub fn parse(attribute: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == attribute)
    }

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same flow as the other side sees it.
    pub fn reverse(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            same => same,
        }
    }

    /// What a stream of this direction is set to in order to put the other side on hold
    /// (RFC 3264 §8.4).
    pub fn held(self) -> Self {
        match self {
            Self::SendRecv | Self::SendOnly => Self::SendOnly,
            Self::RecvOnly | Self::Inactive => Self::Inactive,
        }
    }

    /// Whether whoever says it wants to receive.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// What of this flow there is in another one: an answer has no more than its offer, reversed
    /// (RFC 3264 §6.1).
    pub fn within(self, other: Self) -> Self {
        let sends = |direction| matches!(direction, Self::SendRecv | Self::SendOnly);
        match (sends(self) && sends(other), self.receives() && other.receives()) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// A session description, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp<'a> {
    origin: Origin<'a>,
    media: Vec<Media<'a>>,
}

/// The `o=` line: which session this is, and which version of it (RFC 8866 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Often `-`.
    pub username: &'a str,
    /// A number by its grammar; kept as written.
    pub session_id: &'a str,
    /// Grows with every change. One that does not fit is the largest that does.
    pub version: u64,
    /// Network type, address type and address, as in `IN IP4 10.0.0.1`.
    pub rest: &'a str,
}

/// One media section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `video`, …
    pub kind: &'a str,
    /// 0 when the stream is refused or gone (RFC 3264 §6, §8.2).
    pub port: u16,
    /// `RTP/AVP` and the like.
    pub proto: &'a str,
    /// The rest of the line: payload types, separated by blanks.
    pub formats: &'a str,
    /// The address of the section's `c=` line, else that of the session's.
    pub connection: Option<&'a str>,
    /// The section's own attribute, else the session's, else [`Direction::SendRecv`].
    pub direction: Direction,
}

impl<'a> Sdp<'a> {
    /// Reads a description: `v=0` first, an `o=` line, and lines of a letter and `=`, ended by CRLF
    /// or LF. Faults are [`ErrorKind::Sdp`] at the line that is wrong.
    pub fn parse(sdp: &'a [u8]) -> Result<Self, ParseError> {
        let parts = Parts::of(sdp)?;
        let origin = parts.session.iter().find_map(|line| Some((line, line.value(b'o')?)));
        let (line, value) = origin.ok_or(ParseError::new(ErrorKind::Sdp, sdp.len()))?;
        let origin = value.and_then(read_origin).ok_or(line.fault())?;
        let session = Scope::of(&parts.session)?;
        let media = parts.media.iter().map(|section| {
            let own = Scope::of(section)?;
            let line = &section[0];
            let media = line.value(b'm').flatten().and_then(read_media).ok_or(line.fault())?;
            Ok(Media {
                connection: own.connection.or(session.connection),
                direction: own.direction.or(session.direction).unwrap_or_default(),
                ..media
            })
        });
        Ok(Self { origin, media: media.collect::<Result<_, ParseError>>()? })
    }

    /// The `o=` line.
    pub fn origin(&self) -> Origin<'a> {
        self.origin
    }

    /// The media sections in order.
    pub fn media(&self) -> impl ExactSizeIterator<Item = Media<'a>> + '_ {
        self.media.iter().copied()
    }

    /// Whether whoever sends this wants to receive nothing: the other side is on hold. A
    /// description without any enabled stream holds nobody.
    pub fn is_on_hold(&self) -> bool {
        let mut enabled = self.media().filter(|media| media.port != 0).peekable();
        enabled.peek().is_some() && enabled.all(|media| !media.effective_direction().receives())
    }
}

impl Media<'_> {
    /// The direction that is meant: port 0 is inactive, and an unspecified address (`0.0.0.0`,
    /// `::`) says that nothing is to be sent there, which is how hold was once asked for (RFC 3264
    /// §8.4).
    pub fn effective_direction(&self) -> Direction {
        let is_nowhere = self.connection.and_then(|address| address.parse().ok());
        match is_nowhere.is_some_and(|address: IpAddr| address.is_unspecified()) {
            _ if self.port == 0 => Direction::Inactive,
            true => self.direction.held(),
            false => self.direction,
        }
    }
}

/// What a run of lines, the session's or a section's, says for itself.
struct Scope<'a> {
    connection: Option<&'a str>,
    direction: Option<Direction>,
}

impl<'a> Scope<'a> {
    fn of(lines: &[Line<'a>]) -> Result<Self, ParseError> {
        let mut scope = Scope { connection: None, direction: None };
        for line in lines {
            if let Some(value) = line.value(b'c') {
                scope.connection = Some(value.and_then(read_address).ok_or(line.fault())?);
            }
            scope.direction = line.direction().or(scope.direction);
        }
        Ok(scope)
    }
}

fn read_origin(value: &str) -> Option<Origin<'_>> {
    let mut fields = value.splitn(4, ' ');
    let (username, session_id) = (fields.next()?, fields.next()?);
    let (version, rest) = (fields.next()?, fields.next()?);
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let version = is_number.then(|| version.parse().unwrap_or(u64::MAX))?;
    Some(Origin { username, session_id, version, rest })
}

/// The address of a `c=` line, without the TTL of a multicast one (RFC 8866 §5.7).
fn read_address(value: &str) -> Option<&str> {
    value.split_ascii_whitespace().nth(2)?.split('/').next()
}

fn read_media(value: &str) -> Option<Media<'_>> {
    let mut fields = value.splitn(4, ' ');
    let (kind, port) = (fields.next().filter(|kind| !kind.is_empty())?, fields.next()?);
    let (proto, formats) = (fields.next().filter(|proto| !proto.is_empty())?, fields.next()?);
    // `49170/2` asks for a range of ports.
    let port = decimal(port.split('/').next()?.as_bytes())?;
    Some(Media { kind, port, proto, formats, connection: None, direction: Direction::default() })
}

#[cfg(test)]
mod tests;
