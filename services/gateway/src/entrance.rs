//! Which upgrades are let in: so many a second, and so many on their way in at once.
//!
//! When another gateway ends, its devices come all at once. Each costs a token to verify,
//! a place and a page, and a process that takes on all of them serves none. Those that
//! are turned away are told different times, so that they do not come back together.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, rngs::StdRng};
use sotto_kit::clock::{SharedClock, millis};

use crate::{bucket::Bucket, config::AdmissionConfig, metrics};

/// The least that a device that is turned away has to wait.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(crate) struct Entrance {
    config: AdmissionConfig,
    clock: SharedClock,
    inner: Mutex<Inner>,
    opening: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Inner {
    upgrades: Bucket,
    rng: StdRng,
}

/// One socket on its way in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Opening(Arc<AtomicUsize>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        metrics::opening().decrement(1.0);
    }
}

impl Entrance {
    pub(crate) fn new(config: AdmissionConfig, clock: SharedClock, rng: StdRng) -> Self {
        let upgrades = Bucket::full(config.rate, config.burst, clock.now_ms());
        let inner = Mutex::new(Inner { upgrades, rng });
        Self { config, clock, inner, opening: Arc::default() }
    }

    /// Counts an upgrade.
    ///
    /// # Errors
    ///
    /// It is one too many, and may come again after this time.
    pub(crate) fn upgrade(&self) -> Result<(), Duration> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.upgrades.take(self.clock.now_ms()).map_err(|wait| inner.jitter(wait, &self.config))
    }

    /// Makes a socket that has shown a token one of those on their way in. Of a crowd
    /// that comes at once, never more get through than there is room for.
    ///
    /// # Errors
    ///
    /// There are as many as there may be; another try is worth it after this time.
    pub(crate) fn open(&self) -> Result<Opening, Duration> {
        if self.opening.fetch_add(1, Ordering::AcqRel) < self.config.max_opening {
            metrics::opening().increment(1.0);
            return Ok(Opening(self.opening.clone()));
        }
        self.opening.fetch_sub(1, Ordering::AcqRel);
        Err(self.later())
    }

    /// When a device that is turned away for another reason may come again.
    pub(crate) fn later(&self) -> Duration {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.jitter(Duration::ZERO, &self.config)
    }
}

impl Inner {
    fn jitter(&mut self, least: Duration, config: &AdmissionConfig) -> Duration {
        let least_ms = millis(least.max(RETRY_AFTER_MIN));
        let most_ms = millis(config.retry_after).max(least_ms);
        Duration::from_millis(self.rng.random_range(least_ms..=most_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;
    use sotto_kit::clock::TestClock;

    use super::*;
    use crate::config::tests::defaults;

    fn entrance(burst: u32, max_opening: usize) -> (Arc<TestClock>, Entrance) {
        let clock = Arc::new(TestClock::new(1_700_000_000_000));
        let config = AdmissionConfig { rate: 10, burst, max_opening, ..defaults().admission };
        (clock.clone(), Entrance::new(config, clock, StdRng::seed_from_u64(1)))
    }

    /// I-6. Caught with the comparison taken out of `open`, and with it made before the
    /// count: of forty threads more than ten get through.
    #[test]
    fn of_a_crowd_only_so_many_are_on_their_way_in() {
        let (_clock, entrance) = entrance(1, 10);

        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40).map(|_| scope.spawn(|| entrance.open())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 10);
        assert!(entrance.open().is_err());
        drop(results);
        assert!(entrance.open().is_ok(), "those that are in make room");
    }

    #[test]
    fn upgrades_beyond_the_rate_are_told_different_times() {
        let (clock, entrance) = entrance(5, 1);
        let results: Vec<_> = (0..105).map(|_| entrance.upgrade()).collect();

        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 100);
        let most = Duration::from_secs(5);
        assert!(refused.iter().all(|after| (RETRY_AFTER_MIN..=most).contains(after)));
        assert!(refused.iter().collect::<HashSet<_>>().len() > 90, "{refused:?}");

        clock.advance(Duration::from_millis(300));
        assert_eq!((0..9).filter(|_| entrance.upgrade().is_ok()).count(), 3);
    }
}
