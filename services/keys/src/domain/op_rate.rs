use std::time::Duration;

use crate::config::OpsConfig;

/// How fast a chain may grow: `burst` ops at once, then `per_hour`.
///
/// A token bucket that is not kept anywhere: the times at which the ops of the chain
/// came in say how full it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpRate {
    burst: u64,
    /// Milliseconds in which one op is earned.
    interval_ms: u64,
}

const HOUR_MS: u64 = 60 * 60 * 1000;

impl OpRate {
    pub(crate) fn new(config: OpsConfig) -> Self {
        Self {
            burst: config.burst.into(),
            interval_ms: HOUR_MS / u64::from(config.per_hour).max(1),
        }
    }

    /// The most ops that one request may bring.
    pub(crate) const fn burst(&self) -> u64 {
        self.burst
    }

    /// How long the account has to wait before it may append `arriving` ops, at most
    /// `burst`. `received_ms` says when the ops of its chain came, in their order.
    pub(crate) fn wait(
        &self,
        received_ms: impl IntoIterator<Item = u64>,
        arriving: u64,
        now_ms: u64,
    ) -> Duration {
        let full = self.burst * self.interval_ms;
        // What is in the bucket, in milliseconds of waiting that are already done.
        let mut earned = full;
        let mut last_ms = 0;
        for at_ms in received_ms {
            earned = full.min(earned.saturating_add(at_ms.saturating_sub(last_ms)));
            earned = earned.saturating_sub(self.interval_ms);
            last_ms = at_ms;
        }
        earned = full.min(earned.saturating_add(now_ms.saturating_sub(last_ms)));
        Duration::from_millis((arriving * self.interval_ms).saturating_sub(earned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;
    const MINUTE_MS: u64 = 60_000;

    fn rate() -> OpRate {
        OpRate::new(OpsConfig { burst: 20, per_hour: 10 })
    }

    #[test]
    fn a_burst_is_free_and_the_next_op_waits() {
        let received = vec![NOW_MS; 19];
        assert_eq!(rate().wait(received, 1, NOW_MS), Duration::ZERO);

        let received = vec![NOW_MS; 20];
        assert_eq!(rate().wait(received, 1, NOW_MS), Duration::from_mins(6));
    }

    #[test]
    fn ops_come_back_one_by_one() {
        let received = vec![NOW_MS; 20];
        let wait = |arriving, minutes: u64| {
            rate().wait(received.clone(), arriving, NOW_MS + minutes * MINUTE_MS)
        };
        assert_eq!(wait(1, 6), Duration::ZERO);
        assert_eq!(wait(2, 6), Duration::from_mins(6));
        assert_eq!(wait(20, 120), Duration::ZERO);
        assert_eq!(wait(20, 119), Duration::from_mins(1));
    }

    #[test]
    fn rest_earns_no_more_than_a_burst() {
        let received = [NOW_MS].into_iter().chain([NOW_MS + 1_000 * HOUR_MS; 20]);
        let wait = rate().wait(received, 1, NOW_MS + 1_000 * HOUR_MS);
        assert_eq!(wait, Duration::from_mins(6));
    }

    #[test]
    fn a_clock_that_jumps_back_earns_nothing() {
        let wait = rate().wait(vec![NOW_MS; 20], 1, NOW_MS - HOUR_MS);
        assert_eq!(wait, Duration::from_mins(6));
    }
}
