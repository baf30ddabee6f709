//! The management interface (MI) of an OpenSIPS: JSON-RPC 2.0 requests and what becomes of them.
//!
//! A request is matched with its answer by an id that is a string: OpenSIPS cuts numbers to 32 bits.
//! It never goes out in a batch, and always has a method: either takes a 4.0 proxy down.

pub mod in_flight;
pub mod reply;

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// What OpenSIPS can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Send a SIP request outside of dialogs, and wait for its answer.
    SendRequest,
    /// Cancel an INVITE that was sent so.
    CancelRequest,
    /// Every dialog, with what modules keep of it, or the one with a Call-ID.
    Dialogs,
    /// End a dialog: BYE to both parties, or CANCEL.
    EndDialog,
    /// Send REFER to a party.
    Transfer,
    /// Hold one party or both.
    Hold,
    /// Take them back.
    Unhold,
    /// Subscribe a socket to an event, or renew that.
    Subscribe,
    /// Since when the proxy runs.
    Uptime,
    /// Its version.
    Version,
}

/// How an OpenSIPS spells methods: 3.x knows only the old names, 4.0 both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `call_transfer`.
    #[default]
    Old,
    /// `callops:transfer`.
    New,
}

impl Method {
    /// What commands cannot do without.
    pub const NEEDED: [Self; 6] = [
        Self::SendRequest,
        Self::Dialogs,
        Self::EndDialog,
        Self::Transfer,
        Self::Hold,
        Self::Unhold,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self, names: Names) -> &'static str {
        match (names, self) {
            (Names::Old, Self::SendRequest) => "t_uac_dlg",
            (Names::New, Self::SendRequest) => "tm:uac_dlg",
            (Names::Old, Self::CancelRequest) => "t_uac_cancel",
            (Names::New, Self::CancelRequest) => "tm:uac_cancel",
            (Names::Old, Self::Dialogs) => "dlg_list_ctx",
            (Names::New, Self::Dialogs) => "dialog:list_ctx",
            (Names::Old, Self::EndDialog) => "dlg_end_dlg",
            (Names::New, Self::EndDialog) => "dialog:end_dlg",
            (Names::Old, Self::Transfer) => "call_transfer",
            (Names::New, Self::Transfer) => "callops:transfer",
            (Names::Old, Self::Hold) => "call_hold",
            (Names::New, Self::Hold) => "callops:hold",
            (Names::Old, Self::Unhold) => "call_unhold",
            (Names::New, Self::Unhold) => "callops:unhold",
            (Names::Old, Self::Subscribe) => "event_subscribe",
            (Names::New, Self::Subscribe) => "event:subscribe",
            (Names::Old | Names::New, Self::Uptime) => "uptime",
            (Names::Old | Names::New, Self::Version) => "version",
        }
    }

    /// The OpenSIPS module that provides it.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Self::SendRequest | Self::CancelRequest => "tm",
            Self::Dialogs | Self::EndDialog => "dialog",
            Self::Transfer | Self::Hold | Self::Unhold => "callops",
            Self::Subscribe | Self::Uptime | Self::Version => "core",
        }
    }

    /// Whether asking twice does the same as asking once, so that a lost request can be repeated.
    #[must_use]
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Dialogs | Self::Subscribe | Self::Uptime | Self::Version => true,
            Self::SendRequest
            | Self::CancelRequest
            | Self::EndDialog
            | Self::Transfer
            | Self::Hold
            | Self::Unhold => false,
        }
    }
}

/// Time between repetitions of a request that can be repeated.
pub const REPEAT: Duration = Duration::from_secs(1);

/// A request, and where its answer goes.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub method: Method,
    /// Its parameters, by name.
    pub params: Value,
    /// When nobody waits for the answer any more.
    pub deadline: Instant,
    /// Takes the answer.
    pub answer: oneshot::Sender<Answer>,
    /// Takes provisional responses to a SIP request, which come before the answer.
    pub provisional: Option<mpsc::Sender<Value>>,
}

/// What became of a request.
pub type Answer = Result<Value, MiError>;

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MiError {
    /// OpenSIPS says no.
    Refused {
        /// JSON-RPC's own, or one like SIP's.
        code: i64,
        /// Why.
        message: String,
    },
    /// It says nothing.
    NoAnswer,
    /// It is not there.
    Unavailable(String),
    /// Its answer does not fit into a datagram.
    TooLong,
    /// Too many requests wait.
    Full,
}

impl MiError {
    /// The code with which OpenSIPS refused.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NoAnswer | Self::Unavailable(_) | Self::TooLong | Self::Full => None,
        }
    }
}

/// JSON-RPC's code for a method that is not there.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC's code for parameters that do not fit.
pub const INVALID_PARAMS: i64 = -32602;

impl fmt::Display for MiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "{code} {message}"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::Unavailable(why) => f.write_str(why),
            Self::TooLong => f.write_str("the answer is too long for a datagram"),
            Self::Full => f.write_str("too many requests wait"),
        }
    }
}
