//! Subscription-State: how a subscription stands, as its notifier says (RFC 6665 §4.1.3, §8.2.3).

use super::cseq::decimal;
use super::event::token_and_params;
use crate::error::ParseError;
use crate::name::Name;

/// A Subscription-State header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated` or an extension, as written.
    pub state: &'a str,
    /// Why it is terminated, as in `noresource`.
    pub reason: Option<&'a str>,
    /// Seconds it has left.
    pub expires: Option<u32>,
    /// Seconds to wait before subscribing again.
    pub retry_after: Option<u32>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads a whole value, as in `terminated;reason=noresource`. Numbers that do not fit are left
    /// out.
    pub fn parse(value: &'a str) -> Result<Self, ParseError> {
        let (state, params) = token_and_params(value, Name::SubscriptionState)?;
        let number = |name| params.get(name).and_then(|text| decimal(text.as_bytes()));
        Ok(Self {
            state,
            reason: params.get("reason"),
            expires: number("expires"),
            retry_after: number("retry-after"),
        })
    }

    /// Whether no further report comes.
    pub fn is_terminated(&self) -> bool {
        self.state.eq_ignore_ascii_case("terminated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_parameters_are_read() {
        let active = SubscriptionState::parse("active ;expires=60").unwrap();
        assert_eq!(
            (active.state, active.expires, active.is_terminated()),
            ("active", Some(60), false)
        );
        let ended =
            SubscriptionState::parse("Terminated;reason=giveup;retry-after=99999999999").unwrap();
        assert_eq!(
            (ended.is_terminated(), ended.reason, ended.retry_after),
            (true, Some("giveup"), None)
        );
    }

    #[test]
    fn a_value_without_a_state_is_refused() {
        assert_eq!(
            SubscriptionState::parse(";expires=60").unwrap_err().to_string(),
            "bad Subscription-State at byte 0"
        );
    }
}
