//! Pauses between attempts.

use std::time::Duration;

use rand::Rng;

/// Doubling pauses with full jitter on their upper half, so that clients that
/// failed together do not come back together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// The pause before the next attempt: between half of the step and all of it.
    pub(crate) fn pause(&mut self, rng: &mut impl Rng) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).min(self.max);
        step.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Something worked: begins with short pauses again.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn pauses_double_to_the_longest_and_begin_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));

        for step in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let pause = backoff.pause(&mut rng);
            assert!((step / 2..=step).contains(&pause.as_millis()), "{pause:?} of {step} ms");
        }
        backoff.reset();
        assert!(backoff.pause(&mut rng) <= Duration::from_millis(200));
    }
}
