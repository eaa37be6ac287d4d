//! How long it takes to get what a first message to somebody needs, with many who ask at
//! once.
//!
//! A closed loop on purpose: a hundred askers are a hundred requests under way, and each
//! asks again as soon as it was answered. Nobody asks for the same target twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Bench, Figure, Measured, Unit};
use crate::{
    latency::Latency,
    light::{Pool, Prekeys, Rest, Spec},
    usage::{Cpu, count_as_f64},
};

const ASKERS: u32 = 100;

/// Accounts that are asked for, and one-time prekeys of each, so that every asker gets one
/// of each.
const TARGETS: u32 = 100;

/// p99, in milliseconds.
const TARGET_MS: f64 = 100.0;

/// Requests of each asker before any is counted.
const WARM_UP: usize = 3;

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let askers = Spec {
        name: "askers",
        accounts: ASKERS,
        devices_each: 1,
        prekeys: Prekeys::None,
        first_number: 0,
    };
    let targets =
        Spec { name: "targets", accounts: TARGETS, prekeys: Prekeys::Stocked(ASKERS), ..askers };
    let askers = Pool::register(askers, bench.cluster, |_| {}).await?;
    let targets = Pool::register(targets, bench.cluster, |_| {}).await?;
    bench.screen.line("  askers and targets are registered");
    let targets: Vec<String> =
        targets.members().iter().map(|member| member.account().id.to_string()).collect();
    let rest = Rest::new(&bench.cluster.rest_url(), bench.cluster.domain())?;
    let (latency, bundles, one_time) = (Latency::new(), AtomicUsize::new(0), AtomicUsize::new(0));

    let (before, start) = (Cpu::now(bench.cluster), Instant::now());
    let deadline = start + bench.duration;
    let asking = askers.members().iter().enumerate().map(|(asker, member)| {
        let (rest, targets) = (&rest, &targets);
        let (latency, bundles, one_time) = (&latency, &bundles, &one_time);
        async move {
            let token = member.token(0).unwrap_or_default();
            for turn in 0..targets.len() {
                if Instant::now() >= deadline {
                    break;
                }
                // Each begins with another target, as people would.
                let target = targets.get((asker + turn) % targets.len());
                let asked = Instant::now();
                let found = rest.bundles(target.map_or("", String::as_str), token).await?;
                if turn >= WARM_UP {
                    latency.record(asked.elapsed());
                }
                bundles.fetch_add(1, Ordering::Relaxed);
                one_time.fetch_add(found, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }
    });
    join_all(asking).await.into_iter().collect::<anyhow::Result<()>>()?;
    let took = start.elapsed();

    let (asked, one_time) = (bundles.into_inner() as u64, one_time.into_inner() as u64);
    let percentiles = latency.percentiles();
    let rate = count_as_f64(asked) / took.as_secs_f64();
    Ok(Measured {
        figures: vec![
            Figure::plain("bundle p50, 100 askers", percentiles.p50_ms, Unit::Milliseconds),
            Figure::below(
                "bundle p99, 100 askers",
                percentiles.p99_ms,
                Unit::Milliseconds,
                TARGET_MS,
            ),
            Figure::plain("bundles", rate, Unit::PerSecond),
        ],
        latency: Some(percentiles),
        cpu_us_each: Cpu::now(bench.cluster).micros_each_since(&before, asked),
        notes: vec![format!(
            "closed loop; {asked} bundles, {one_time} of them with a one-time Kyber prekey"
        )],
        ..Measured::default()
    })
}
