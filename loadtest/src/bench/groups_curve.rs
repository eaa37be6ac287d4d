//! What a send costs by the size of the group, all of whom are online.
//!
//! An open loop: the same rate into each group, at even distances. What the processes do
//! without any message is measured before and taken off.

use std::{sync::Arc, time::Duration};

use sotto_ids::ClientMsgId;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Bench, Figure, Measured, Unit,
    audience::{Audience, Stock},
    groups::{Traffic, spread},
};
use crate::{
    latency::Latency,
    pace::{Timetable, keep_to},
    usage::Cpu,
};

/// Devices of the groups.
const SIZES: [usize; 4] = [2, 50, 500, 1_500];

/// Messages a second.
const RATE: f64 = 20.0;

/// Members that write.
const SENDERS: usize = 20;

/// How long the processes are watched while nothing is sent.
const IDLE: Duration = Duration::from_secs(5);

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let lag = Latency::new();
    for size in SIZES {
        one_size(bench, size, &lag, &mut measured).await?;
    }
    measured.lag = Some(lag.percentiles());
    measured.notes.push(format!(
        "open loop, {RATE} messages a second, from when each was meant to be written; without \
         what the processes do when nothing is sent"
    ));
    Ok(measured)
}

async fn one_size(
    bench: &Bench<'_>,
    size: usize,
    lag: &Latency,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let crew = bench.crew().await?;
    let members = crew.some(0..size);
    let (group, _) = crew.build(members).await?;
    let maker = members.first().ok_or_else(|| anyhow::anyhow!("nobody"))?;
    let stock = Stock::of(&crew, maker, group, u64::MAX).await?;
    let audience = Arc::new(Audience::connect(members, bench.cluster).await?);
    let (stock, writers) = (Arc::new(stock), spread(members, SENDERS));
    tokio::time::sleep(IDLE).await;
    let idle = Cpu::now(bench.cluster);
    tokio::time::sleep(IDLE).await;
    let idle = Cpu::now(bench.cluster).micros_each_since(&idle, 1);

    let (times, before) = (Arc::new(Latency::new()), audience.heard.deliveries());
    audience.heard.latency.reset();
    let (cpu, start, mut turn) = (Cpu::now(bench.cluster), Instant::now(), 0_usize);
    let mut sends = JoinSet::new();
    keep_to(Timetable::even(RATE), bench.duration, lag, |intended| {
        let writer = turn % writers.len();
        let place = writer * members.len() / writers.len();
        let id: Option<ClientMsgId> = writers.get(writer).map(|member| member.new_id());
        let (audience, stock) = (Arc::clone(&audience), Arc::clone(&stock));
        let (times, number) = (Arc::clone(&times), turn as u64);
        sends.spawn(async move {
            let Some(id) = id else { return false };
            let accepted = audience.send(place, &stock, id, number).await;
            times.record(intended.elapsed());
            accepted
        });
        turn += 1;
    })
    .await;
    let mut accepted = 0_u64;
    while let Some(done) = sends.join_next().await {
        accepted += u64::from(done?);
    }
    let heard = audience.all_heard(before + accepted * size as u64).await - before;
    let seconds = start.elapsed().as_secs_f64();
    let mut traffic = Traffic::since(&cpu, bench, accepted, heard, seconds);
    for (name, us) in &mut traffic.cpu {
        let without = idle.get(name).copied().unwrap_or_default() / IDLE.as_secs_f64() * seconds;
        *us = (*us - without).max(0.0);
    }

    let (times, delivery) = (times.percentiles(), audience.heard.latency.percentiles());
    let of = format!("group of {size}");
    let ms = Unit::Milliseconds;
    measured.figures.extend([
        Figure::plain(format!("accepted p50, {of}"), times.p50_ms, ms),
        Figure::plain(format!("accepted p99, {of}"), times.p99_ms, ms),
        Figure::plain(format!("delivered p50, {of}"), delivery.p50_ms, ms),
        Figure::plain(format!("delivered p99, {of}"), delivery.p99_ms, ms),
    ]);
    // The rates are given.
    measured.figures.extend(traffic.figures(&of).into_iter().skip(2));
    if Some(&size) == SIZES.last() {
        measured.latency = Some(times);
        measured.cpu_us_each = traffic.cpu_us_each();
    }
    bench.screen.line(format_args!("  {of}: {accepted} messages, {heard} deliveries"));
    Ok(())
}
