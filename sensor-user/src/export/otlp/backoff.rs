//! How long to wait before a request is sent again.
//!
//! Takes failures. Gives delays: exponential with full jitter, so that sensors whose receiver was away do not all come
//! back at once. Randomness is an input.

use std::time::Duration;

/// Bound of the first delay.
const FIRST: Duration = Duration::from_millis(500);
/// Bound of every delay.
const LONGEST: Duration = Duration::from_secs(30);

/// Failures in a row.
#[derive(Default, Debug)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A request was taken.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// A request failed: the delay is a share of a bound that doubles, but not less than the receiver asked for.
    pub(super) fn next(&mut self, random: u32, asked: Option<Duration>) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let share = bound.mul_f64(f64::from(random) / f64::from(u32::MAX));
        asked.map_or(share, |asked| asked.saturating_add(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_bound_and_are_random() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..9).map(|_| backoff.next(u32::MAX, None).as_millis()).collect();
        assert_eq!(
            delays,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        );
        assert!(backoff.next(u32::MAX / 2, None) < Duration::from_secs(16));
        assert_eq!(backoff.next(0, None), Duration::ZERO);
        assert!(backoff.next(0, Some(Duration::from_mins(1))) >= Duration::from_mins(1));
        backoff.reset();
        assert_eq!(backoff.next(u32::MAX, None), FIRST);
    }
}
