//! A token bucket that is told the time.
//!
//! A library's has a clock of its own, and one that is set back would refuse for as long
//! as it was set back. This one loses no more than what would have flowed in meanwhile.

use std::time::Duration;

/// Tokens are counted in thousandths, so that a millisecond at one a second is one.
const TOKEN: u64 = 1_000;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    per_second: u32,
    most: u64,
    level: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full one. `per_second` tokens flow in, up to `burst` of them.
    pub(crate) fn full(per_second: u32, burst: u32, now_ms: u64) -> Self {
        let most = u64::from(burst) * TOKEN;
        Self { per_second, most, level: most, at_ms: now_ms }
    }

    /// Takes one token out.
    ///
    /// # Errors
    ///
    /// There is none; there will be one after this time.
    pub(crate) fn take(&mut self, now_ms: u64) -> Result<(), Duration> {
        let flown = now_ms.saturating_sub(self.at_ms).saturating_mul(u64::from(self.per_second));
        self.level = self.level.saturating_add(flown).min(self.most);
        self.at_ms = now_ms;
        if self.level >= TOKEN {
            self.level -= TOKEN;
            return Ok(());
        }
        let wait_ms = (TOKEN - self.level).div_ceil(u64::from(self.per_second).max(1));
        Err(Duration::from_millis(wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = 1_700_000_000_000;

    #[test]
    fn a_burst_passes_and_then_as_many_as_flow_in() {
        let mut bucket = Bucket::full(10, 3, START_MS);
        for _ in 0..3 {
            assert_eq!(bucket.take(START_MS), Ok(()));
        }

        assert_eq!(bucket.take(START_MS), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(START_MS + 60), Err(Duration::from_millis(40)));
        assert_eq!(bucket.take(START_MS + 100), Ok(()));
        assert!(bucket.take(START_MS + 100).is_err());
    }

    #[test]
    fn no_more_gathers_than_a_burst() {
        let mut bucket = Bucket::full(1_000, 2, START_MS);
        let later_ms = START_MS + 3_600_000;

        let passed = (0..10).filter(|_| bucket.take(later_ms).is_ok()).count();

        assert_eq!(passed, 2);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_nothing_but_the_time_in_between() {
        let mut bucket = Bucket::full(10, 1, START_MS);
        assert_eq!(bucket.take(START_MS), Ok(()));

        let earlier_ms = START_MS - 3_600_000;
        assert!(bucket.take(earlier_ms).is_err());
        assert_eq!(bucket.take(earlier_ms + 100), Ok(()));
    }
}
