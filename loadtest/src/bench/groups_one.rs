//! How many messages a second go into one group of 1,500, all of whom are online.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::{
    Bench, Figure, Measured, Unit,
    audience::{Audience, Stock},
    groups::{DEVICES, Traffic},
};
use crate::{
    latency::Latency,
    usage::{Cpu, count_as_f64},
};

/// Members that write, and how many sends each has under way.
const SENDERS: usize = 20;
const WINDOW: usize = 4;

const WARM_UP: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let crew = bench.crew().await?;
    let members = crew.some(0..usize::try_from(DEVICES)?);
    let (group, _) = crew.build(members).await?;
    let maker = members.first().ok_or_else(|| anyhow::anyhow!("nobody"))?;
    let stock = Stock::of(&crew, maker, group, u64::MAX).await?;
    let audience = Audience::connect(members, bench.cluster).await?;
    bench.screen.line(format_args!("  {} members are online", members.len()));

    let rows_before = stored(bench).await?;
    let deliveries_before = audience.heard.deliveries();
    let (latency, begin) = (Latency::new(), Instant::now() + WARM_UP);
    let end = begin + bench.duration;
    let writing = join_all((0..SENDERS * WINDOW).map(|turn| {
        let (audience, stock, latency) = (&audience, &stock, &latency);
        let place = turn % SENDERS * members.len() / SENDERS;
        async move {
            let (mut sent, mut counted) = (0_u64, 0_u64);
            while Instant::now() < end {
                let asked = Instant::now();
                let id = members.get(place).map(|member| member.new_id());
                let Some(id) = id else { break };
                if audience.send(place, stock, id, sent).await {
                    sent += 1;
                    if asked >= begin && Instant::now() < end {
                        latency.record(asked.elapsed());
                        counted += 1;
                    }
                }
            }
            (sent, counted)
        }
    }));
    let counting = async {
        tokio::time::sleep_until(begin).await;
        audience.heard.latency.reset();
        let (cpu, heard) = (Cpu::now(bench.cluster), audience.heard.deliveries());
        tokio::time::sleep_until(end).await;
        let heard = audience.heard.deliveries() - heard;
        Traffic::since(&cpu, bench, 0, heard, bench.duration.as_secs_f64())
    };
    let (sent, mut traffic) = tokio::join!(writing, counting);
    traffic.sends = sent.iter().map(|(_, counted)| counted).sum();
    let all: u64 = sent.iter().map(|(all, _)| all).sum();
    let wanted = all * members.len() as u64;
    let heard = audience.all_heard(deliveries_before + wanted).await - deliveries_before;

    let rows = stored(bench).await?;
    let bytes =
        count_as_f64(rows.1 - rows_before.1) / count_as_f64((rows.0 - rows_before.0).max(1));
    let (times, delivery) = (latency.percentiles(), audience.heard.latency.percentiles());
    let mut figures = traffic.figures("one group of 1,500");
    figures.extend([
        Figure::plain("accepted p50, one group of 1,500", times.p50_ms, Unit::Milliseconds),
        Figure::plain("accepted p99, one group of 1,500", times.p99_ms, Unit::Milliseconds),
        Figure::plain("delivered p50, one group of 1,500", delivery.p50_ms, Unit::Milliseconds),
        Figure::plain("delivered p99, one group of 1,500", delivery.p99_ms, Unit::Milliseconds),
        Figure::plain("stored for a message", bytes, Unit::Bytes),
    ]);
    Ok(Measured {
        figures,
        latency: Some(times),
        cpu_us_each: traffic.cpu_us_each(),
        notes: vec![
            format!(
                "closed loop, {SENDERS} members with {WINDOW} sends under way each, {} bytes a \
                 message",
                stock.length()
            ),
            format!(
                "{all} messages; {heard} of {wanted} deliveries came by sockets, {:.1} in a \
                 frame, {} hints to read the log",
                count_as_f64(heard) / count_as_f64(audience.heard.frames().max(1)),
                audience.heard.hints()
            ),
        ],
        ..Measured::default()
    })
}

/// The rows of the log, and the bytes of it with its indexes.
async fn stored(bench: &Bench<'_>) -> anyhow::Result<(u64, u64)> {
    let mut db = PgConnection::connect(bench.cluster.database_url()).await?;
    let (rows, bytes): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM groups.log), pg_total_relation_size('groups.log')",
    )
    .fetch_one(&mut db)
    .await?;
    db.close().await?;
    Ok((u64::try_from(rows)?, u64::try_from(bytes)?))
}
