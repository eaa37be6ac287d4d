//! When to do what: timetables that do not wait for answers.
//!
//! A generator that waits for the system before it goes on measures the system at its
//! best moments only (coordinated omission). So each action has an intended time, fixed
//! before anything is known of how the system does, and latencies count from there. How
//! late the generator itself was is measured too: a run is worth nothing if the machine
//! could not keep up with its own timetable.

use std::time::Duration;

use rand::{Rng as _, rngs::StdRng};
use tokio::time::Instant;

use crate::latency::Latency;

/// The times of actions, from the beginning of a phase on.
#[derive(Debug)]
pub struct Timetable {
    mean_gap: f64,
    at: f64,
    random: Option<StdRng>,
}

impl Timetable {
    /// Actions at even distances, `rate` a second.
    pub fn even(rate: f64) -> Self {
        Self { mean_gap: 1.0 / rate, at: 0.0, random: None }
    }

    /// Actions that know nothing of one another (a Poisson process), `rate` a second on
    /// average.
    pub fn poisson(rate: f64, rng: StdRng) -> Self {
        Self { mean_gap: 1.0 / rate, at: 0.0, random: Some(rng) }
    }
}

impl Iterator for Timetable {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gap = match &mut self.random {
            // The gaps are exponentially distributed; 1 - [0, 1) is never 0.
            Some(rng) => -(1.0 - rng.random::<f64>()).ln() * self.mean_gap,
            None => self.mean_gap,
        };
        self.at += gap;
        Some(Duration::from_secs_f64(self.at))
    }
}

/// Has `act` called at each time of a timetable until `duration` is over, with the time
/// that was intended. `lag` counts how late each call was.
///
/// Calls that are due while one is late follow at once, so none is left out. `act` must
/// not wait for the system.
pub async fn keep_to(
    timetable: Timetable,
    duration: Duration,
    lag: &Latency,
    mut act: impl FnMut(Instant),
) {
    let start = Instant::now();
    for offset in timetable.take_while(|offset| *offset < duration) {
        let intended = start + offset;
        tokio::time::sleep_until(intended).await;
        lag.record(intended.elapsed());
        act(intended);
    }
    tokio::time::sleep_until(start + duration).await;
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn both_timetables_keep_their_rate() {
        for timetable in [Timetable::even(50.0), Timetable::poisson(50.0, StdRng::seed_from_u64(1))]
        {
            let count = timetable.take_while(|at| *at <= MINUTE).count();
            assert!((2_800..3_200).contains(&count), "{count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_action_comes_and_knows_when_it_was_meant() {
        let lag = Latency::new();
        let start = Instant::now();
        let mut seen = Vec::new();

        keep_to(Timetable::even(10.0), MINUTE / 60, &lag, |intended| seen.push(intended)).await;

        let expected: Vec<_> = (1..10).map(|n| Duration::from_millis(n * 100)).collect();
        let seen: Vec<_> = seen.into_iter().map(|at| at - start).collect();
        assert_eq!(seen.len(), 9);
        for (seen, expected) in seen.iter().zip(&expected) {
            assert!(seen.abs_diff(*expected) < Duration::from_millis(1), "{seen:?}");
        }
    }

    /// What a system that stands still for a second does to a measurement that does not
    /// omit it: a whole second's worth of actions is late, not one.
    #[tokio::test(start_paused = true)]
    async fn a_second_of_standstill_is_seen_by_all_that_fell_into_it() {
        let (lag, latency) = (Latency::new(), Latency::new());
        let freeze =
            Instant::now() + Duration::from_secs(5)..Instant::now() + Duration::from_secs(6);

        keep_to(Timetable::even(100.0), Duration::from_secs(10), &lag, |intended| {
            let answered = if freeze.contains(&intended) { freeze.end } else { intended };
            latency.record(answered - intended + Duration::from_millis(1));
        })
        .await;

        assert!(latency.at_percentile(99.0) > Duration::from_millis(850));
        assert!(latency.at_percentile(95.0) > Duration::from_millis(450));
    }
}
