//! How many messages a second become durable when devices write as fast as they are
//! answered, and receivers take in and acknowledge all of it.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{Bench, Figure, LENGTH, Measured, Unit, judge, witness};
use crate::{
    light::{Fleet, Manner, Pool, Prekeys, Spec},
    usage::{Cpu, count_as_f64},
};

const DEVICES: u32 = 64;
const WINDOW: usize = 32;
const WARM_UP: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let spec = Spec {
        name: "saturation",
        accounts: DEVICES,
        devices_each: 1,
        prekeys: Prekeys::Standing,
        first_number: 0,
    };
    let pool = Pool::register(spec, bench.cluster, |_| {}).await?;
    let manner =
        Manner { peers: 4, length: LENGTH, orders: 1, window: WINDOW, first_gateway: None };
    let seen = witness();
    let fleet = Fleet::connect(&pool, &pool, manner, bench.cluster, &seen).await?;

    let begin = Instant::now() + WARM_UP;
    let end = begin + bench.duration;
    let writing = join_all((0..fleet.len()).map(|device| {
        let fleet = &fleet;
        async move {
            let mut peer = device;
            while Instant::now() < end {
                fleet.order_when_possible(device, peer).await;
                peer = peer.wrapping_add(1);
            }
        }
    }));
    let counting = async {
        tokio::time::sleep_until(begin).await;
        let (cpu, sends, start) = (Cpu::now(bench.cluster), seen.accepted_sends(), Instant::now());
        tokio::time::sleep_until(end).await;
        let (took, sends) = (start.elapsed(), seen.accepted_sends() - sends);
        (sends, took, Cpu::now(bench.cluster).micros_each_since(&cpu, sends))
    };
    let (_, (sends, took, cpu_us_each)) = tokio::join!(writing, counting);
    let verdict = judge(&seen, pool.rows().collect(), bench.cluster).await?;

    let rate = count_as_f64(sends) / took.as_secs_f64();
    Ok(Measured {
        figures: vec![Figure::plain("durable messages", rate, Unit::PerSecond)],
        cpu_us_each,
        verdict: Some(verdict),
        notes: vec![format!(
            "closed loop, {DEVICES} devices with {WINDOW} sends under way each; {sends} messages"
        )],
        ..Measured::default()
    })
}
