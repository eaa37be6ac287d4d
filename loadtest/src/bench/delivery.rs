//! How long a message takes from one device to another, at a steady rate.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{Bench, Figure, LENGTH, Measured, Unit, judge, witness};
use crate::{
    latency::Latency,
    light::{Fleet, Manner, Order, Pool, Prekeys, Spec},
    pace::{Timetable, keep_to},
    usage::Cpu,
};

/// Messages a second.
const RATE: f64 = 500.0;

/// p99, in milliseconds.
const TARGET_MS: f64 = 200.0;

const DEVICES: u32 = 200;
const WARM_UP: Duration = Duration::from_secs(3);
const UNDER_WAY: Duration = Duration::from_secs(1);
const SEED: u64 = 1;

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let spec = Spec {
        name: "delivery",
        accounts: DEVICES,
        devices_each: 1,
        prekeys: Prekeys::Standing,
        first_number: 0,
    };
    let pool = Pool::register(spec, bench.cluster, |_| {}).await?;
    let manner =
        Manner { peers: 4, length: LENGTH, orders: 1_024, window: 16, first_gateway: None };
    let seen = witness();
    let fleet = Fleet::connect(&pool, &pool, manner, bench.cluster, &seen).await?;
    bench.screen.line(format_args!("  {DEVICES} devices are connected"));

    let mut rng = StdRng::seed_from_u64(SEED);
    let lag = Latency::new();
    write(&fleet, WARM_UP, &lag, &mut rng).await;
    lag.reset();
    seen.delivery.reset();
    seen.acceptance.reset();
    let (cpu, sends) = (Cpu::now(bench.cluster), seen.accepted_sends());
    let skipped = write(&fleet, bench.duration, &lag, &mut rng).await;
    let sends = seen.accepted_sends() - sends;
    let cpu_us_each = Cpu::now(bench.cluster).micros_each_since(&cpu, sends);
    let (delivery, acceptance) = (seen.delivery.percentiles(), seen.acceptance.percentiles());
    let verdict = judge(&seen, pool.rows().collect(), bench.cluster).await?;

    let ms = Unit::Milliseconds;
    Ok(Measured {
        figures: vec![
            Figure::plain("delivery p50 at 500/s", delivery.p50_ms, ms),
            Figure::below("delivery p99 at 500/s", delivery.p99_ms, ms, TARGET_MS),
            Figure::plain("accepted p50 at 500/s", acceptance.p50_ms, ms),
            Figure::plain("accepted p99 at 500/s", acceptance.p99_ms, ms),
        ],
        latency: Some(delivery),
        lag: Some(lag.percentiles()),
        cpu_us_each,
        verdict: Some(verdict),
        notes: vec![format!(
            "open loop (Poisson), from when each was meant to be written; {sends} messages, \
             {skipped} skipped"
        )],
        ..Measured::default()
    })
}

/// Messages from devices by lot, and a second for those under way. Says how many could not
/// be ordered.
async fn write(fleet: &Fleet, duration: Duration, lag: &Latency, rng: &mut StdRng) -> u64 {
    let timetable = Timetable::poisson(RATE, StdRng::seed_from_u64(rng.random()));
    let mut skipped = 0;
    keep_to(timetable, duration, lag, |intended| {
        let order = Order { peer: rng.random::<u16>().into(), intended };
        let device = rng.random_range(0..fleet.len());
        skipped += u64::from(!fleet.order(device, order));
    })
    .await;
    tokio::time::sleep(UNDER_WAY).await;
    skipped
}
