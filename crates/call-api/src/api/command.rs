//! Every command of the API, in the order of the manual.
//!
//! A command's doc comment is its manual entry. The set is closed: a new command is a struct with
//! its parameters, a variant of [`Command`] and an arm in [`Invocation::parse`]; the compiler then
//! lists the backends that must answer it.
//!
//! Commands are serialized for nothing but their fingerprints (`server::retries`), which outlive the
//! server: an option that is new is left out of them when it is not given.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::error::{CommandError, ErrorKind, RequestError};
use super::event::Side;
use super::jsonrpc::Reading;
use super::param::{
    CallId, CommandId, DisplayName, ExtraHeaders, Mistake, Param, ParamError, Params, SipUri,
    nearest, quoted,
};
use super::query::Query;
use super::schema::Milliseconds;

/// Start a call between two participants (RFC 5359 §2.18, click to dial).
///
/// The caller's phone rings first; once it is answered, the callee is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallStart {
    /// Who is called first.
    pub caller: SipUri,
    /// Who is called once the caller has answered.
    pub callee: SipUri,
    /// How the two are joined.
    #[schemars(default)]
    pub mode: Mode,
    /// The identity that the caller's phone shows; the callee's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SipUri>,
    /// The name beside that identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayName>,
    /// Added to the INVITEs to both.
    #[schemars(default)]
    pub headers: ExtraHeaders,
    /// Asks the caller's phone to answer by itself.
    #[schemars(default)]
    pub auto_answer: bool,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Send a party of a call to somebody else (RFC 5359 §2.4).
///
/// The call stands until the new one is answered; then the other party is released. When it is not
/// answered the call goes on as it was, and the command fails.
///
/// Fails with `invalid_state` when the call is not established, or when another command changes it
/// just then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallBlindTransfer {
    /// SIP Call-ID of the call.
    pub callid: CallId,
    /// The party that is sent elsewhere; the other one is released.
    pub leg: Side,
    /// Who it is sent to.
    pub destination: SipUri,
    /// How it gets there.
    #[schemars(default)]
    pub mode: Mode,
    /// Added to the INVITE to the destination.
    #[schemars(default)]
    pub headers: ExtraHeaders,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Send a party of a call to a party of another call (RFC 5359 §2.5).
///
/// Both calls stand until the two talk; then the other party of each is released. When they do not
/// get to talk both calls go on as they were, and the command fails.
///
/// Fails with `invalid_state` when one of the calls is not established, when another command changes
/// it just then, when the two are one call, or when the two parties are one: the
/// same URI on the same phone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallAttendedTransfer {
    /// SIP Call-ID of the first call. Also spelled `callidA`.
    pub callid_a: CallId,
    /// The party of it that is sent to the other call. Also spelled `legA`.
    pub leg_a: Side,
    /// SIP Call-ID of the second call. Also spelled `callidB`.
    pub callid_b: CallId,
    /// The party of it that the first one is to talk to. Also spelled `legB`.
    pub leg_b: Side,
    /// Where a phone calls that party; at its own address when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<SipUri>,
    /// How the two get to talk.
    #[schemars(default)]
    pub mode: Mode,
    /// Added to the INVITE to the second party, when there is one.
    #[schemars(default)]
    pub headers: ExtraHeaders,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// How two parties are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// REFER when the phone can do it, else a bridge.
    #[default]
    Auto,
    /// The phone is told to call the other party (RFC 3515).
    Refer,
    /// The server calls the other party and joins the two (RFC 3725, flow IV).
    Bridge,
}

/// Put one or both participants on hold (RFC 5359 §2.1).
///
/// The phone of a party that is put on hold is asked by re-INVITE to send no more media (RFC 3264
/// §8.4); it may still receive what the other party sends. Nothing else of the session changes, and
/// the other party's phone is not asked anything. `CALL_HOLD` comes when a phone has agreed. When
/// one of two does not, the command fails and the other one is taken back (`CALL_UNHOLD`).
///
/// A party that is on hold already is left as it is. Fails with `invalid_state` when that leaves
/// nobody, when the call is not established, or when another command changes it just then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallHold {
    /// SIP Call-ID of the call.
    pub callid: CallId,
    /// The party that is put on hold; both when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Side>,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Resume an on-hold call. Also spelled `CallUnhold`.
///
/// Ends what `CallHold` began, by the same means and with the same rules; a hold that a phone's
/// user asked for is the phone's to end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallUnHold {
    /// SIP Call-ID of the call.
    pub callid: CallId,
    /// The party that is taken back; both when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<Side>,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Terminate an ongoing call: both parties are hung up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct CallEnd {
    /// SIP Call-ID of the call.
    pub callid: CallId,
    /// The command fails with `timeout` when it has not succeeded by then.
    #[schemars(rename = "timeout_ms", with = "Option<Milliseconds>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Send the parameters back, whatever they are: a test of the way there and back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Echo {
    /// As the client sent them: an object, a list, or `null` when there were none.
    #[schemars(skip)]
    pub params: Value,
}

/// A command whose parameters are wrong, where such a one is started and then fails
/// ([`Reading::Loose`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Mistaken {
    /// The command it would be.
    pub method: &'static str,
    /// As the client sent them, without the `cmd_id`.
    params: BTreeMap<String, String>,
    /// What is wrong.
    #[serde(skip)]
    mistake: Mistake,
    /// For people.
    #[serde(skip)]
    message: String,
}

impl From<Mistaken> for CommandError {
    fn from(Mistaken { mistake, message, .. }: Mistaken) -> Self {
        Self::InvalidParams { mistake, message }
    }
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Command {
    /// See [`CallStart`].
    CallStart(CallStart),
    /// See [`CallBlindTransfer`].
    CallBlindTransfer(CallBlindTransfer),
    /// See [`CallAttendedTransfer`].
    CallAttendedTransfer(CallAttendedTransfer),
    /// See [`CallHold`].
    CallHold(CallHold),
    /// See [`CallUnHold`].
    CallUnHold(CallUnHold),
    /// See [`CallEnd`].
    CallEnd(CallEnd),
    /// See [`Echo`].
    Echo(Echo),
    /// See [`Mistaken`].
    Mistaken(Mistaken),
}

impl Command {
    /// Every method name.
    pub const NAMES: [&'static str; 7] = [
        "CallStart",
        "CallBlindTransfer",
        "CallAttendedTransfer",
        "CallHold",
        "CallUnHold",
        "CallEnd",
        "Echo",
    ];

    /// The JSON-RPC method.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CallStart(_) => "CallStart",
            Self::CallBlindTransfer(_) => "CallBlindTransfer",
            Self::CallAttendedTransfer(_) => "CallAttendedTransfer",
            Self::CallHold(_) => "CallHold",
            Self::CallUnHold(_) => "CallUnHold",
            Self::CallEnd(_) => "CallEnd",
            Self::Echo(_) => "Echo",
            Self::Mistaken(mistaken) => mistaken.method,
        }
    }

    /// Whether it has somebody called.
    #[must_use]
    pub fn places_a_call(&self) -> bool {
        match self {
            Self::CallStart(_) | Self::CallBlindTransfer(_) | Self::CallAttendedTransfer(_) => true,
            Self::CallHold(_)
            | Self::CallUnHold(_)
            | Self::CallEnd(_)
            | Self::Echo(_)
            | Self::Mistaken(_) => false,
        }
    }

    /// Gives a command whose client set no deadline this one. What ends at once needs none.
    pub fn default_timeout(&mut self, default: Duration) {
        let timeout = match self {
            Self::CallStart(start) => &mut start.timeout,
            Self::CallBlindTransfer(transfer) => &mut transfer.timeout,
            Self::CallAttendedTransfer(transfer) => &mut transfer.timeout,
            Self::CallHold(hold) => &mut hold.timeout,
            Self::CallUnHold(unhold) => &mut unhold.timeout,
            Self::CallEnd(end) => &mut end.timeout,
            Self::Echo(_) | Self::Mistaken(_) => return,
        };
        timeout.get_or_insert(default);
    }

    /// The deadline, counted from the start of the command.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::CallStart(start) => start.timeout,
            Self::CallBlindTransfer(transfer) => transfer.timeout,
            Self::CallAttendedTransfer(transfer) => transfer.timeout,
            Self::CallHold(hold) => hold.timeout,
            Self::CallUnHold(unhold) => unhold.timeout,
            Self::CallEnd(end) => end.timeout,
            Self::Echo(_) | Self::Mistaken(_) => None,
        }
    }
}

/// A command and how the client wants it run and reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// The client's own name for it, and its key for retries.
    pub cmd_id: Option<CommandId>,
    /// Whether the client wants provisional progress, too.
    pub verbose: bool,
}

impl Invocation {
    /// Reads a request to the letter. Fails with [`ErrorKind::MethodNotFound`] or
    /// [`ErrorKind::InvalidParams`].
    pub fn parse(method: &str, params: Value) -> Result<Self, RequestError> {
        Self::read(method, params, Reading::Strict)
    }

    /// The same, as closely or loosely as asked for.
    pub fn read(method: &str, params: Value, reading: Reading) -> Result<Self, RequestError> {
        let params = (params, reading);
        match method {
            "CallStart" => Self::named("CallStart", params, |p| {
                Ok(Command::CallStart(CallStart {
                    caller: p.required("caller")?,
                    callee: p.required("callee")?,
                    mode: p.optional("mode")?.unwrap_or_default(),
                    from: p.optional("from")?,
                    display: p.optional("display")?,
                    headers: p.optional("headers")?.unwrap_or_default(),
                    auto_answer: p.optional("auto_answer")?.unwrap_or(false),
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "CallBlindTransfer" => Self::named("CallBlindTransfer", params, |p| {
                Ok(Command::CallBlindTransfer(CallBlindTransfer {
                    callid: p.required("callid")?,
                    leg: p.required("leg")?,
                    destination: p.required("destination")?,
                    mode: p.optional("mode")?.unwrap_or_default(),
                    headers: p.optional("headers")?.unwrap_or_default(),
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "CallAttendedTransfer" => Self::named("CallAttendedTransfer", params, |p| {
                Ok(Command::CallAttendedTransfer(CallAttendedTransfer {
                    callid_a: p.required_as("callid_a", "callidA")?,
                    leg_a: p.required_as("leg_a", "legA")?,
                    callid_b: p.required_as("callid_b", "callidB")?,
                    leg_b: p.required_as("leg_b", "legB")?,
                    destination: p.optional("destination")?,
                    mode: p.optional("mode")?.unwrap_or_default(),
                    headers: p.optional("headers")?.unwrap_or_default(),
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "CallHold" => Self::named("CallHold", params, |p| {
                Ok(Command::CallHold(CallHold {
                    callid: p.required("callid")?,
                    leg: p.optional("leg")?,
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "CallUnHold" | "CallUnhold" => Self::named("CallUnHold", params, |p| {
                Ok(Command::CallUnHold(CallUnHold {
                    callid: p.required("callid")?,
                    leg: p.optional("leg")?,
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "CallEnd" => Self::named("CallEnd", params, |p| {
                Ok(Command::CallEnd(CallEnd {
                    callid: p.required("callid")?,
                    timeout: p.optional("timeout_ms")?,
                }))
            }),
            "Echo" => Self::echo(params),
            _ => Err(unknown_method(method)),
        }
    }

    /// A command with named parameters: its own, and those that every command takes.
    fn named(
        method: &'static str,
        (params, reading): (Value, Reading),
        command: impl FnOnce(&mut Params) -> Result<Command, ParamError>,
    ) -> Result<Self, RequestError> {
        let texts = (reading == Reading::Loose).then(|| texts(&params)).flatten();
        let mut params = Params::new(params, reading)?;
        let command = match (command(&mut params), texts) {
            (Err(ParamError { mistake: Some(mistake), message }), Some(params)) => {
                Command::Mistaken(Mistaken { method, params, mistake, message })
            }
            (command, _) => command?,
        };
        let cmd_id = params.optional("cmd_id")?;
        let verbose = params.optional("verbose")?.unwrap_or(false);
        params.finish()?;
        Ok(Self { command, cmd_id, verbose })
    }

    /// `Echo` takes anything, so only its `cmd_id` is looked at.
    fn echo((params, reading): (Value, Reading)) -> Result<Self, RequestError> {
        let cmd_id = match params.is_object() {
            true => Params::new(params.clone(), reading)?.optional("cmd_id")?,
            false => None,
        };
        Ok(Self { command: Command::Echo(Echo { params }), cmd_id, verbose: false })
    }
}

/// The parameters of a request that has nothing but text in them, as the Go implementation took them; without
/// the `cmd_id`.
fn texts(params: &Value) -> Option<BTreeMap<String, String>> {
    let others = params.as_object()?.iter().filter(|(name, _)| *name != "cmd_id");
    others.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

impl Param for Mode {
    const EXPECTED: &'static str = "\"auto\", \"refer\" or \"bridge\"";

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "auto" => Some(Self::Auto),
            "refer" => Some(Self::Refer),
            "bridge" => Some(Self::Bridge),
            _ => None,
        }
    }
}

impl Param for Side {
    const EXPECTED: &'static str = "\"caller\" or \"callee\"";
    const MISTAKE: Option<Mistake> = Some(Mistake::Side);

    fn from_json(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "caller" => Some(Self::Caller),
            "callee" => Some(Self::Callee),
            _ => None,
        }
    }
}

fn unknown_method(method: &str) -> RequestError {
    let hint = nearest(method, Command::NAMES.into_iter().chain(Query::NAMES))
        .map_or(String::new(), |name| format!(", did you mean \"{name}\"?"));
    RequestError::new(ErrorKind::MethodNotFound, format!("unknown method {}{hint}", quoted(method)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_is_a_method() {
        for name in Command::NAMES {
            let params = json!({"caller": "sip:a@b", "callee": "sip:c@d", "callid": "x"});
            let Err(error) = Invocation::parse(name, params) else { continue };
            assert_ne!(error.kind, ErrorKind::MethodNotFound, "{name}");
        }
    }

    #[test]
    fn a_call_start_carries_every_option() {
        let params = json!({
            "caller": "sip:alice@10.0.0.10", "callee": "sip:bob@10.0.0.11", "mode": "bridge", "from": "sip:shop@10.0.0.1",
            "display": "The Shop", "timeout_ms": 1500, "cmd_id": "order-7", "verbose": true,
        });
        let invocation = Invocation::parse("CallStart", params).unwrap();
        assert!(invocation.verbose);
        assert_eq!(invocation.cmd_id, CommandId::parse("order-7"));
        assert_eq!(invocation.command.timeout(), Some(Duration::from_millis(1500)));
        let Command::CallStart(start) = invocation.command else { panic!("not a CallStart") };
        assert_eq!(start.mode, Mode::Bridge);
        assert_eq!(start.from, SipUri::parse("sip:shop@10.0.0.1"));
        assert_eq!(start.display, DisplayName::parse("The Shop"));
    }

    #[test]
    fn an_attended_transfer_is_the_same_in_both_spellings() {
        let invocation = |text: &str| {
            let params = serde_json::from_str(text).unwrap();
            Invocation::parse("CallAttendedTransfer", params).map_err(|error| error.message)
        };
        let ours = r#"{"callid_a": "a", "leg_a": "caller", "callid_b": "b", "leg_b": "callee"}"#;
        let theirs = r#"{"callidA": "a", "legA": "caller", "callidB": "b", "legB": "callee"}"#;
        let parsed = invocation(ours).unwrap();
        assert_eq!(parsed.command.name(), "CallAttendedTransfer");
        assert_eq!(invocation(theirs), Ok(parsed));
        let both = theirs.replace("{\"callidA", "{\"callid_a\": \"a\", \"callidA");
        let message = "parameter \"callid_a\" is given twice, the second time as \"callidA\"";
        assert_eq!(invocation(&both), Err(message.to_owned()));
        let missing = invocation(r#"{"callidA": "a", "legA": "caller"}"#).unwrap_err();
        assert!(missing.starts_with("parameter \"callid_b\" is missing"), "{missing}");
        let wrong = invocation(&theirs.replace("callee", "both")).unwrap_err();
        assert!(wrong.starts_with("parameter \"leg_b\" is not valid"), "{wrong}");
    }

    #[test]
    fn an_unhold_is_the_same_in_both_spellings() {
        let params = json!({"callid": "x", "leg": "callee"});
        let unhold = Invocation::parse("CallUnHold", params.clone()).unwrap();
        assert_eq!(unhold.command.name(), "CallUnHold");
        assert_eq!(Invocation::parse("CallUnhold", params).unwrap(), unhold);
    }

    #[test]
    fn a_parameter_that_is_null_counts_as_left_out() {
        let params = json!({"callid": "x", "timeout_ms": null, "cmd_id": null, "verbose": null});
        let invocation = Invocation::parse("CallEnd", params).unwrap();
        assert_eq!(
            (invocation.cmd_id, invocation.verbose, invocation.command.timeout()),
            (None, false, None)
        );
    }
}
