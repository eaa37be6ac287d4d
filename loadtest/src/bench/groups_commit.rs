//! How long the server takes for a commit, by the size of the group and of what fills its
//! tree.
//!
//! A closed loop of one: each commit is made in the epoch that the one before has begun. The
//! time is that of the request alone, not of making it or of following it.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::time::Instant;

use super::{
    Bench, Figure, Measured, Unit,
    groups::{self, GROUPS, POSTGRES},
};
use crate::{
    groups::{Committed, Crew, Intent, Member},
    latency::Latency,
    usage::{Cpu, count_as_f64},
};

/// Devices of the groups.
const SIZES: [usize; 3] = [2, 100, 1_500];

/// p99 in the largest, in milliseconds.
const TARGET_MS: f64 = 500.0;

/// Members that renew their keys before anything is measured, spread over the tree: what a
/// group has become after some days. Until then each path goes to every leaf.
const FILLED_BY: usize = 64;

/// Members that commit in turn while it is measured.
const COMMITTERS: usize = 4;

/// Commits that are measured at most.
const COMMITS: u64 = 400;

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let crew = bench.crew().await?;
    let mut measured = Measured::default();
    for size in SIZES {
        one_size(bench, &crew, size, &mut measured).await?;
    }
    measured.notes.push(
        "populated: after self-updates of as many as 64 members, spread over the tree; fresh: \
         the first self-update after all were added"
            .to_owned(),
    );
    Ok(measured)
}

async fn one_size(
    bench: &Bench<'_>,
    crew: &Arc<Crew>,
    size: usize,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let ms = Unit::Milliseconds;
    let members = crew.some(0..size);
    let (group, added) = crew.build(members).await?;
    let longest = added.iter().map(|added| added.took).max().unwrap_or_default();
    let others = members.get(1..).unwrap_or_default();
    let fillers = groups::spread(others, FILLED_BY);
    crew.all_join(&fillers, group, bench.screen).await?;

    let mut first: Option<Committed> = None;
    for member in &fillers {
        let updated = update(crew, member, group).await?;
        first.get_or_insert(updated);
    }
    let first = first.context("nobody renewed their keys")?;
    let committers = groups::spread(&fillers, COMMITTERS);
    let (latency, mut commits, mut bytes) = (Latency::new(), 0_u64, 0);
    let (cpu, deadline) = (Cpu::now(bench.cluster), Instant::now() + bench.duration);
    for member in committers.iter().cycle() {
        if Instant::now() >= deadline || commits >= COMMITS {
            break;
        }
        let updated = update(crew, member, group).await?;
        latency.record(updated.took);
        bytes = updated.bytes;
        commits += 1;
    }
    let cpu = Cpu::now(bench.cluster).micros_each_since(&cpu, commits);

    let times = latency.percentiles();
    measured.figures.push(Figure::plain(format!("commit p50, {size} populated"), times.p50_ms, ms));
    let what = format!("commit p99, {size} populated");
    measured.figures.push(if Some(&size) == SIZES.last() {
        Figure::below(what, times.p99_ms, ms, TARGET_MS)
    } else {
        Figure::plain(what, times.p99_ms, ms)
    });
    for (name, of) in [("groups", GROUPS), ("Postgres", POSTGRES)] {
        let what = format!("processor time of {name} for it, {size}");
        measured.figures.push(Figure::plain(what, groups::sum(&cpu, of) / 1e3, ms));
    }
    measured.figures.push(Figure::plain(
        format!("commit, {size} fresh"),
        first.took.as_secs_f64() * 1e3,
        ms,
    ));
    measured.figures.push(Figure::plain(
        format!("longest commit that adds, {size}"),
        longest.as_secs_f64() * 1e3,
        ms,
    ));
    let kib = |bytes: usize| count_as_f64(bytes as u64) / 1024.0;
    measured.notes.push(format!(
        "{size}: {commits} commits of {:.1} KiB populated, {:.1} KiB fresh",
        kib(bytes),
        kib(first.bytes)
    ));
    if Some(&size) == SIZES.last() {
        measured.latency = Some(times);
        measured.cpu_us_each = cpu;
    }
    Ok(())
}

/// Has a member follow what came before, and renew its keys.
async fn update(
    crew: &Crew,
    member: &Arc<Member>,
    group: sotto_ids::GroupId,
) -> anyhow::Result<Committed> {
    crew.read_log(member, group).await?;
    crew.commit(member, group, Intent::Update).await
}
