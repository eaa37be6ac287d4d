use std::time::Duration;

use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    latency::{Latency, Percentiles},
    pace::{Timetable, keep_to},
    sdk::{Crowd, Person},
};

/// Messages that may wait for one device to write them. Far more than its share: were it
/// full, the device would stand still.
const WAITING: usize = 4_096;

/// How the generator itself did.
#[derive(Debug, Clone, Serialize)]
pub struct Generated {
    /// How late messages were written, after the time that the timetable gave them.
    pub lag: Percentiles,
    /// Messages that could not be written at all, as their device stood still.
    pub skipped: u64,
}

/// Has devices by lot write to contacts by lot, `rate` a second over all, each at its time
/// whatever became of those before.
pub(super) async fn run(crowd: &Crowd, rate: f64, duration: Duration, seed: u64) -> Generated {
    let mut rng = StdRng::seed_from_u64(seed);
    let timetable = Timetable::poisson(rate, StdRng::seed_from_u64(rng.random()));
    let (pacing, lag) = (Latency::new(), Latency::new());
    let mut skipped = 0;
    let (desks, writers): (Vec<_>, Vec<_>) = crowd
        .people()
        .iter()
        .map(|person| {
            let (desk, orders) = mpsc::channel(WAITING);
            (desk, write(person, orders, &lag))
        })
        .unzip();
    let pace = async move {
        keep_to(timetable, duration, &pacing, |intended| {
            let desk = desks.get(rng.random_range(0..desks.len()));
            if desk.is_none_or(|desk| desk.try_send((rng.random(), intended)).is_err()) {
                skipped += 1;
            }
        })
        .await;
        // The desks are closed here, which ends the writers.
        skipped
    };
    let (skipped, _) = tokio::join!(pace, join_all(writers));
    Generated { lag: lag.percentiles(), skipped }
}

async fn write(person: &Person, mut orders: mpsc::Receiver<(u16, Instant)>, lag: &Latency) {
    while let Some((contact, intended)) = orders.recv().await {
        lag.record(intended.elapsed());
        person.write(contact.into(), intended).await;
    }
}

/// Has everybody write to each of their contacts once, which opens all sessions.
pub(super) async fn greet(crowd: &Crowd) {
    let greetings = crowd.people().iter().map(|person| async move {
        for contact in 0..person.contacts() {
            person.write(contact, Instant::now()).await;
        }
    });
    join_all(greetings).await;
}
