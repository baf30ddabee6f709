//! What every phone can do, and what its user sees: so one test can be done with each of them.

use crate::lab::{Tool, poll};

/// What the phone does when it rings.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Answers at once.
    Auto,
    /// Rings until the test says [`Phone::accept`] or [`Phone::hang_up`].
    Manual,
}

/// What a phone is told before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) answer: Answer,
    /// Through which proxy all requests go: a SIP URI.
    pub(crate) proxy: Option<String>,
    /// On which port of loopback the registrar is, and the password there.
    pub(crate) registrar: Option<(u16, String)>,
}

impl Account {
    /// A phone of the user `name` that answers at once and registers nowhere.
    pub(crate) fn of(name: &'static str) -> Self {
        Self { name, answer: Answer::Auto, proxy: None, registrar: None }
    }

    /// It rings until the test does something.
    pub(crate) fn rings(self) -> Self {
        Self { answer: Answer::Manual, ..self }
    }

    /// It sends every request to this SIP URI.
    pub(crate) fn behind(self, proxy: &str) -> Self {
        Self { proxy: Some(proxy.to_owned()), ..self }
    }

    /// It registers on this port, and asks there for every call.
    pub(crate) fn registered(self, port: u16, password: &str) -> Self {
        Self { registrar: Some((port, password.to_owned())), ..self }
    }
}

/// What a phone shows of a call.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The SIP Call-ID.
    pub(crate) call_id: String,
    /// The SIP URI of the other party.
    pub(crate) peer: String,
    /// Of a call that is over: status code and reason, when somebody refused.
    pub(crate) why: String,
}

/// A running phone. Dropping it ends the process without a word to its peers, like a pulled plug.
///
/// Everything panics that the phone refuses, or that does not happen in time.
pub(crate) trait Phone: Sized {
    /// What must be installed for it.
    const TOOL: Tool;
    /// The status code with which it declines a call.
    const DECLINE: u64;
    /// Whether it stays in a call when a transfer that its user asked for has failed, or hangs up.
    const STAYS_AFTER_FAILED_TRANSFER: bool;

    /// Starts a phone and returns when it takes calls.
    async fn start_as(account: Account) -> Self;

    /// Starts a phone of the user `name` that answers at once.
    async fn start(name: &'static str) -> Self {
        Self::start_as(Account::of(name)).await
    }

    /// Where the phone takes calls.
    fn uri(&self) -> String;

    /// Who the phone says it is when it calls.
    fn identity(&self) -> String;

    // What its user does.

    async fn dial(&mut self, to: &str);
    async fn accept(&mut self, call_id: &str);
    async fn hang_up(&mut self, call_id: &str);
    async fn hold(&mut self, call_id: &str);
    async fn resume(&mut self, call_id: &str);
    async fn transfer(&mut self, call_id: &str, to: &str);
    async fn press(&mut self, call_id: &str, digit: char);

    // What its user sees and hears. What happened before and was not waited for yet counts.

    /// Somebody calls, and may have been answered already.
    async fn rings(&mut self) -> Shown;
    /// Whom it calls rings.
    async fn hears_ringing(&mut self) -> Shown;
    /// It is in a call with somebody.
    async fn establishes(&mut self) -> Shown;
    async fn establishes_call(&mut self, call_id: &str) -> Shown;
    /// A call is over.
    async fn closes(&mut self) -> Shown;
    async fn closes_call(&mut self, call_id: &str) -> Shown;
    async fn hears(&mut self, digit: char);
    /// A transfer that it asked for fails, with this status.
    async fn transfer_fails(&mut self, call_id: &str, status: u64);
    /// Its registration succeeds or fails.
    async fn registers(&mut self, succeeds: bool);

    /// Which way sound flows in a call just now: `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    async fn direction(&mut self, call_id: &str) -> String;

    /// How many calls the phone is in, ringing ones included.
    async fn calls(&mut self) -> usize;

    /// Waits until sound flows this way.
    async fn comes_to(&mut self, call_id: &str, direction: &str) {
        let what = format!("a phone's audio to be {direction}");
        poll(&what, async || (self.direction(call_id).await == direction).then_some(())).await;
    }

    /// Waits until the phone is in so many calls: the last one may still be closing.
    async fn is_in_calls(&mut self, count: usize) {
        let what = format!("a phone to be in {count} calls");
        poll(&what, async || (self.calls().await == count).then_some(())).await;
    }
}

/// Each hears the digit that the other presses, in the call that has this Call-ID at both. A test
/// takes another digit each time.
pub(crate) async fn talk(one: &mut impl Phone, other: &mut impl Phone, call_id: &str, digit: char) {
    talk_in((one, call_id), (other, call_id), digit).await;
}

/// The same, where the call has a Call-ID of its own at each.
pub(crate) async fn talk_in(
    (one, call_of_one): (&mut impl Phone, &str),
    (other, call_of_other): (&mut impl Phone, &str),
    digit: char,
) {
    one.press(call_of_one, digit).await;
    other.hears(digit).await;
    other.press(call_of_other, digit).await;
    one.hears(digit).await;
}

/// Makes a test with each phone out of a body that is the same for both.
macro_rules! with_each_phone {
    ($(async fn $name:ident<$phone:ident>() $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn judge<$phone: $crate::phone::Phone>() {
                if $crate::lab::can_use(&[$phone::TOOL]) {
                    $body
                }
            }

            #[tokio::test]
            async fn baresip() {
                judge::<$crate::baresip::Baresip>().await;
            }

            #[tokio::test]
            async fn pjsip() {
                judge::<$crate::pjsip::Pjsip>().await;
            }
        }
    )*};
}
pub(crate) use with_each_phone;

/// The same as one test, with both phones at once: for those that wait for a deadline of the server.
macro_rules! with_both_phones {
    ($(async fn $name:ident<$phone:ident>() $body:block)*) => {$(
        #[tokio::test]
        async fn $name() {
            async fn judge<$phone: $crate::phone::Phone>() {
                if $crate::lab::can_use(&[$phone::TOOL]) {
                    $body
                }
            }
            tokio::join!(judge::<$crate::baresip::Baresip>(), judge::<$crate::pjsip::Pjsip>());
        }
    )*};
}
pub(crate) use with_both_phones;
