//! What a connection costs that does nothing.

use std::time::Duration;

use anyhow::Context as _;
use sotto_testkit::Role;

use super::{Bench, Figure, LENGTH, Measured, Unit, witness};
use crate::{
    light::{Fleet, Manner, Pool, Prekeys, Spec},
    usage::{count_as_f64, resident_bytes},
};

const ACCOUNTS: u32 = 1_000;
const DEVICES_EACH: u32 = 10;

/// How long the gateway is left alone before its memory is looked at.
const SETTLES: Duration = Duration::from_secs(5);

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let spec = Spec {
        name: "idle",
        accounts: ACCOUNTS,
        devices_each: DEVICES_EACH,
        prekeys: Prekeys::None,
        first_number: 0,
    };
    let pool = Pool::register(spec, bench.cluster, |done| {
        if done % 250 == 0 {
            bench.screen.line(format_args!("  {done} of {ACCOUNTS} accounts"));
        }
    })
    .await?;
    // A new process: one that has had traffic has memory to spare, which would not be seen.
    bench.cluster.stop_one(Role::Gateway, 0).await?;
    bench.cluster.restart(Role::Gateway, 0).await?;
    tokio::time::sleep(SETTLES).await;
    let before = resident(bench)?;
    let manner = Manner { peers: 0, length: LENGTH, orders: 1, window: 1, first_gateway: Some(0) };
    let seen = witness();
    let fleet = Fleet::connect(&pool, &pool, manner, bench.cluster, &seen).await?;
    let elsewhere = seen.arrivals().iter().filter(|arrival| arrival.gateway != 0).count();
    anyhow::ensure!(elsewhere == 0, "{elsewhere} sockets are at another gateway");
    tokio::time::sleep(SETTLES).await;
    let after = resident(bench)?;

    let sockets = fleet.len() as u64;
    let each = count_as_f64(after.saturating_sub(before)) / count_as_f64(sockets.max(1)) / 1024.0;
    Ok(Measured {
        figures: vec![Figure::plain("gateway memory for an idle socket", each, Unit::Kibibytes)],
        notes: vec![format!(
            "{sockets} sockets at one gateway: {} MiB before, {} MiB after",
            before / 1024 / 1024,
            after / 1024 / 1024
        )],
        ..Measured::default()
    })
}

fn resident(bench: &Bench<'_>) -> anyhow::Result<u64> {
    bench
        .cluster
        .roles()
        .iter()
        .find(|process| process.role() == Role::Gateway && process.index() == 0)
        .and_then(|process| resident_bytes(process.id()?.pid()))
        .context("the gateway does not run")
}
