//! How many messages a second go into 200 groups of 50, all of whom are online.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use tokio::time::Instant;

use super::{
    Bench, Figure, Measured, Unit,
    audience::{Audience, Stock},
    groups::Traffic,
};
use crate::{
    groups::{Crew, Member},
    latency::Latency,
    usage::{Cpu, count_as_f64},
};

const GROUPS: usize = 200;
const MEMBERS: usize = 50;

/// Messages a second that there should be at least.
const TARGET: f64 = 1_000.0;

/// Sends under way in each group.
const WINDOW: usize = 1;

/// Groups that are made at once.
const AT_ONCE: usize = 4;

/// Messages that are encrypted for each.
const STOCK: u64 = 4;

const WARM_UP: Duration = Duration::from_secs(2);

/// A group, and where its members are in the audience.
struct Room {
    stock: Stock,
    places: Vec<usize>,
}

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let crew = bench.crew().await?;
    let members = crew.members();
    let rooms: Vec<Room> = stream::iter(0..GROUPS)
        .map(|number| make(&crew, members, number))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let audience = Audience::connect(members, bench.cluster).await?;
    bench.screen.line(format_args!(
        "  {GROUPS} groups of {MEMBERS} are made, their {} members online",
        members.len()
    ));

    let deliveries_before = audience.heard.deliveries();
    let (latency, begin) = (Latency::new(), Instant::now() + WARM_UP);
    let end = begin + bench.duration;
    let writing = join_all(rooms.iter().cycle().take(GROUPS * WINDOW).map(|room| {
        let (audience, latency) = (&audience, &latency);
        async move {
            let (mut sent, mut counted) = (0_u64, 0_u64);
            for place in room.places.iter().cycle() {
                let asked = Instant::now();
                if asked >= end {
                    break;
                }
                let Some(member) = members.get(*place) else { break };
                if audience.send(*place, &room.stock, member.new_id(), sent).await {
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
    let wanted = all * MEMBERS as u64;
    let heard = audience.all_heard(deliveries_before + wanted).await - deliveries_before;

    let (times, delivery) = (latency.percentiles(), audience.heard.latency.percentiles());
    let mut figures = traffic.figures("200 groups of 50");
    if let Some(rate) = figures.first_mut() {
        *rate = Figure::above(rate.what.clone(), rate.value, rate.unit, TARGET);
    }
    figures.extend([
        Figure::plain("accepted p50, 200 groups of 50", times.p50_ms, Unit::Milliseconds),
        Figure::plain("accepted p99, 200 groups of 50", times.p99_ms, Unit::Milliseconds),
        Figure::plain("delivered p50, 200 groups of 50", delivery.p50_ms, Unit::Milliseconds),
        Figure::plain("delivered p99, 200 groups of 50", delivery.p99_ms, Unit::Milliseconds),
    ]);
    Ok(Measured {
        figures,
        latency: Some(times),
        cpu_us_each: traffic.cpu_us_each(),
        notes: vec![
            format!("closed loop, {WINDOW} send under way in each group; each device in 6 or 7"),
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

/// The group of this number: those who follow one another in the row, each group from where
/// the one before ended.
async fn make(crew: &Arc<Crew>, members: &[Arc<Member>], number: usize) -> anyhow::Result<Room> {
    let places: Vec<_> =
        (0..MEMBERS).map(|turn| (number * MEMBERS + turn) % members.len()).collect();
    let chosen: Vec<_> = places.iter().filter_map(|place| members.get(*place)).cloned().collect();
    let (group, _) = crew.build(&chosen).await?;
    let maker = chosen.first().ok_or_else(|| anyhow::anyhow!("nobody"))?;
    Ok(Room { stock: Stock::of(crew, maker, group, STOCK).await?, places })
}
