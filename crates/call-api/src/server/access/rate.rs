//! Rates: so many in any second, or in any minute.
//!
//! Exact, not on average: the moments of the last ones are kept, so there is no window of that length,
//! wherever it begins, with more of them than the rate says.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The highest rate: its moments take some 160 KB.
pub(super) const MOST: u32 = 10_000;

/// So many in any stretch of time of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At most 10,000.
    pub count: u32,
    /// The stretch.
    pub per: Duration,
}

/// The last moments at which something was done.
#[derive(Debug, Default)]
pub(super) struct Moments(VecDeque<Instant>);

impl Moments {
    /// Counts one more, unless that were above the rate.
    ///
    /// # Errors
    ///
    /// How long it takes until one more is free.
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> Result<(), Duration> {
        while self.0.pop_front_if(|moment| now - *moment >= rate.per).is_some() {}
        // The rate may have been lowered: then the last `count` of them decide.
        let beyond = self.0.len().checked_sub(rate.count as usize);
        match beyond.and_then(|beyond| self.0.get(beyond)) {
            Some(decisive) => Err(rate.per.saturating_sub(now - *decisive)),
            None => {
                self.0.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { count: 3, per: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn no_stretch_of_time_has_more_than_the_rate_says() {
        let (start, mut moments) = (Instant::now(), Moments::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(moments.take(at(0), RATE), Ok(()));
        assert_eq!(moments.take(at(900), RATE), Ok(()));
        assert_eq!(moments.take(at(900), RATE), Ok(()));
        assert_eq!(moments.take(at(999), RATE), Err(Duration::from_millis(1)));
        assert_eq!(moments.take(at(1000), RATE), Ok(()));
        assert_eq!(moments.take(at(1000), RATE), Err(Duration::from_millis(900)));
        assert_eq!(moments.take(at(1900), RATE), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_lowered_holds_at_once() {
        let (start, mut moments) = (Instant::now(), Moments::default());
        for ms in [0, 1, 2] {
            moments.take(start + Duration::from_millis(ms), RATE).unwrap();
        }
        let lower = Rate { count: 1, ..RATE };
        let now = start + Duration::from_millis(3);
        assert_eq!(moments.take(now, lower), Err(Duration::from_millis(999)));
    }
}
