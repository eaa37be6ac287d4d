//! How long somebody who was away waits for what has waited for them.

use futures_util::future::join_all;

use super::{Bench, DRAINS_WITHIN, Figure, LENGTH, Measured, Unit, witness};
use crate::{
    latency::Latency,
    light::{Fleet, Manner, Pool, Prekeys, Spec, first_page},
};

/// p99, in milliseconds.
const TARGET_MS: f64 = 500.0;

/// Messages that wait for each receiver.
const WAITING: u64 = 1_000;

const RECEIVERS: u32 = 20;
const SENDERS: u32 = 10;

/// How often each receiver connects. Nothing is acknowledged, so all of it waits again.
const ROUNDS: usize = 10;

pub(super) async fn measure(bench: &Bench<'_>) -> anyhow::Result<Measured> {
    let receivers = Spec {
        name: "away",
        accounts: RECEIVERS,
        devices_each: 1,
        prekeys: Prekeys::Standing,
        first_number: 1_000,
    };
    let senders = Spec { name: "busy", accounts: SENDERS, first_number: 0, ..receivers };
    let receivers = Pool::register(receivers, bench.cluster, |_| {}).await?;
    let senders = Pool::register(senders, bench.cluster, |_| {}).await?;
    let seen = witness();
    let peers = receivers.members().len();
    let manner = Manner { peers, length: LENGTH, orders: 1, window: 16, first_gateway: None };
    let fleet = Fleet::connect(&senders, &receivers, manner, bench.cluster, &seen).await?;
    let each = WAITING / u64::from(SENDERS);
    join_all((0..fleet.len()).map(|sender| {
        let fleet = &fleet;
        async move {
            for _ in 0..each {
                for peer in 0..peers {
                    fleet.order_when_possible(sender, peer).await;
                }
            }
        }
    }))
    .await;
    let wanted = WAITING * u64::from(RECEIVERS);
    sotto_testkit::wait::until(DRAINS_WITHIN, "all messages to be accepted", || async {
        let accepted = seen.accepted_sends();
        if accepted >= wanted { Ok(()) } else { Err((accepted, seen.troubles())) }
    })
    .await?;
    drop(fleet);
    bench.screen.line(format_args!("  {WAITING} messages wait for each of {RECEIVERS} devices"));

    let (latency, mut envelopes) = (Latency::new(), 0);
    let urls = bench.cluster.socket_urls();
    for round in 0..ROUNDS {
        for (number, receiver) in receivers.members().iter().enumerate() {
            let url = urls.get((number + round) % urls.len()).map_or("", String::as_str);
            let page = first_page(&url.parse()?, receiver.token(0).unwrap_or_default()).await?;
            latency.record(page.first);
            envelopes = envelopes.max(page.envelopes);
        }
    }

    let percentiles = latency.percentiles();
    let ms = Unit::Milliseconds;
    Ok(Measured {
        figures: vec![
            Figure::plain("first page p50, 1,000 waiting", percentiles.p50_ms, ms),
            Figure::below("first page p99, 1,000 waiting", percentiles.p99_ms, ms, TARGET_MS),
        ],
        latency: Some(percentiles),
        notes: vec![format!(
            "from the first byte of the connection to the first Deliver, of {envelopes} envelopes \
             at most; one device after the other"
        )],
        ..Measured::default()
    })
}
