//! How the played OpenSIPS and its phones are, and what goes wrong.

use std::collections::HashMap;
use std::time::Duration;

/// What a phone does when it is called.
#[derive(Clone, Debug)]
pub(crate) enum Phone {
    Answers(Duration),
    /// With this status, after ringing so long.
    Refuses(&'static str, Duration),
    Rings,
}

/// What it does when it is referred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRefer {
    /// It calls, and notifies.
    Calls,
    /// It calls, and sends no NOTIFY.
    CallsQuietly,
    /// It refuses the REFER.
    Refuses,
    /// It takes the REFER and does nothing.
    Nothing,
    /// It hangs up.
    HangsUp,
}

/// What it does when it is re-INVITEd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnHold {
    Agrees,
    Refuses,
    /// It never answers.
    Nothing,
}

/// How the world is, and what goes wrong in it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) caller: Phone,
    /// Whom a referred phone calls.
    pub(crate) target: Phone,
    pub(crate) on_refer: OnRefer,
    /// Of caller and callee.
    pub(crate) on_hold: [OnHold; 2],
    /// 3.x, where one party alone cannot be held.
    pub(crate) is_old: bool,
    /// A future version, where only the new names are known.
    pub(crate) is_new: bool,
    /// `pass_provisional_replies`.
    pub(crate) passes_provisional: bool,
    /// `create_dialog()` is not called.
    pub(crate) has_no_dialogs: bool,
    /// Requests of these methods do not arrive, so often.
    pub(crate) lost_requests: HashMap<&'static str, usize>,
    /// The next request of these methods is read so late, and others wait behind it.
    pub(crate) late_requests: HashMap<&'static str, Duration>,
    /// The proxy's own INVITE takes so long to where a dialog is made.
    pub(crate) late_dialogs: Duration,
    /// How long after the event of an ACK the ACK itself is sent on.
    pub(crate) ack_takes: Duration,
    /// Answers to these methods do not arrive, so often.
    pub(crate) lost_answers: HashMap<&'static str, usize>,
    /// Answers to these methods come so late.
    pub(crate) late_answers: HashMap<&'static str, Duration>,
    /// Events that are not sent: name, and `state` or number of the new state, and after a space the
    /// leg where only that one's is.
    pub(crate) lost_events: Vec<(&'static str, &'static str)>,
    /// Every event comes twice.
    pub(crate) doubles_events: bool,
    /// Events come in reverse, in groups of so many.
    pub(crate) reverses_events: usize,
    /// Nothing is answered.
    pub(crate) is_frozen: bool,
    /// Bytes of the longest answer.
    pub(crate) longest_answer: usize,
}

impl Default for World {
    fn default() -> Self {
        Self {
            caller: Phone::Answers(Duration::from_millis(100)),
            target: Phone::Answers(Duration::from_millis(100)),
            on_refer: OnRefer::Calls,
            on_hold: [OnHold::Agrees; 2],
            is_old: false,
            is_new: false,
            passes_provisional: false,
            has_no_dialogs: false,
            lost_requests: HashMap::new(),
            late_requests: HashMap::new(),
            late_dialogs: Duration::ZERO,
            ack_takes: Duration::from_millis(10),
            lost_answers: HashMap::new(),
            late_answers: HashMap::new(),
            lost_events: Vec::new(),
            doubles_events: false,
            reverses_events: 0,
            is_frozen: false,
            longest_answer: 65_457,
        }
    }
}
