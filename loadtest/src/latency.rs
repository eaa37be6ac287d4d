//! Durations, counted without losing their tail.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest duration that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(10);

/// Digits that are kept of each value.
const DIGITS: u8 = 3;

/// A histogram of durations, in microseconds.
#[derive(Debug)]
pub struct Latency {
    counted: Mutex<Histogram<u64>>,
}

/// The percentiles of a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many values there were.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 90 of 100 took no longer.
    pub p90_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1,000 took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// An empty one.
    #[expect(clippy::missing_panics_doc, reason = "the bounds are constants")]
    pub fn new() -> Self {
        let counted = Histogram::new_with_bounds(1, micros(LONGEST), DIGITS)
            .expect("one microsecond to ten minutes with three digits is a valid histogram");
        Self { counted: Mutex::new(counted) }
    }

    /// Counts a duration; one over ten minutes counts as ten minutes.
    pub fn record(&self, took: Duration) {
        self.counted().saturating_record(micros(took).max(1));
    }

    /// Forgets what was counted so far: it was of a warm-up.
    pub fn reset(&self) {
        self.counted().reset();
    }

    /// How long so many of a hundred took at most.
    pub fn at_percentile(&self, percentile: f64) -> Duration {
        Duration::from_micros(self.counted().value_at_percentile(percentile))
    }

    /// The usual percentiles.
    pub fn percentiles(&self) -> Percentiles {
        let counted = self.counted();
        if counted.is_empty() {
            return Percentiles::default();
        }
        let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        Percentiles {
            count: counted.len(),
            p50_ms: ms(counted.value_at_percentile(50.0)),
            p90_ms: ms(counted.value_at_percentile(90.0)),
            p99_ms: ms(counted.value_at_percentile(99.0)),
            p999_ms: ms(counted.value_at_percentile(99.9)),
            max_ms: ms(counted.max()),
        }
    }

    /// How many values lie in each of `slices` equal parts of `window`, and how many after
    /// it.
    pub fn spread(&self, window: Duration, slices: u32) -> Vec<u64> {
        let counted = self.counted();
        let edge = |slice: u32| micros(window * slice / slices);
        let mut spread: Vec<u64> = (0..slices)
            .map(|slice| counted.count_between(edge(slice) + 1, edge(slice + 1)))
            .collect();
        spread.push(counted.count_between(edge(slices) + 1, micros(LONGEST)));
        spread
    }

    fn counted(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_kept() {
        let latency = Latency::new();
        for _ in 0..999 {
            latency.record(Duration::from_millis(2));
        }
        latency.record(Duration::from_secs(1));

        let percentiles = latency.percentiles();

        assert_eq!(percentiles.count, 1_000);
        assert!((percentiles.p50_ms - 2.0).abs() < 0.01, "{percentiles:?}");
        assert!((percentiles.max_ms - 1_000.0).abs() < 1.0, "{percentiles:?}");
    }

    #[test]
    fn a_spread_has_every_value_in_one_slice() {
        let latency = Latency::new();
        for ms in [5, 15, 25, 35, 900] {
            latency.record(Duration::from_millis(ms));
        }

        assert_eq!(latency.spread(Duration::from_millis(40), 4), [1, 1, 1, 1, 1]);
    }
}
