//! Kill everything, again and again, under traffic of real clients; then see whether any
//! message was lost, shown twice, or shown out of order.

mod kills;
mod report;
mod schedule;
mod stage;
mod traffic;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use sotto_ids::DeviceId;
use sotto_testkit::{Cluster, servers::postgres};
use tokio::time::Instant;

pub use self::{
    kills::Killed,
    report::Report,
    schedule::{Kill, PARTS, Part, Plan, Victim},
    traffic::Generated,
};
use self::{report::Evidence, stage::Stage};
use crate::{
    oracle::{Drain, Oracle},
    queue,
    screen::{Screen, clock},
    sdk::{Crowd, Heard, Size},
};

/// How long the system may take to deliver everything once the traffic has ended.
const DRAINS_WITHIN: Duration = Duration::from_mins(3);

/// How long it is listened after the last message for one that is shown again. Longer
/// than a client holds a message back that came too early.
const QUIET: Duration = Duration::from_secs(8);

/// How often the run says how it stands.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A run, as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long there is traffic.
    pub duration: Duration,
    /// Devices with the real SDK, each of an account of its own.
    pub clients: usize,
    /// To how many others each of them writes.
    pub contacts: usize,
    /// Messages a second, over all.
    pub rate: f64,
    /// How many gateways there are.
    pub gateways: usize,
    /// How many messages replicas there are.
    pub messages: usize,
    /// How often each part is killed.
    pub kills_each: usize,
    /// What everything left to chance follows from.
    pub seed: u64,
}

/// Runs it.
///
/// # Errors
///
/// When the system cannot be started, or does not come up again after a kill.
pub async fn run(options: &Options, screen: &Screen) -> anyhow::Result<Report> {
    screen.heading("Starting a Sotto with servers of its own");
    let cluster = Cluster::builder()
        .on_private_servers()
        .gateways(options.gateways)
        .messages(options.messages)
        .start_telling(|what| screen.line(format_args!("  {what}")))
        .await?;
    let is_durable = postgres::is_durable(cluster.database_url()).await?;

    let oracle = Arc::new(Oracle::new());
    let heard = Arc::new(Heard::default());
    let size = Size { people: options.clients, contacts: options.contacts, seed: options.seed };
    screen.line(format_args!("  registering {} devices", options.clients));
    let crowd = Crowd::register(size, &cluster, &oracle, &heard, |done| {
        if done % 50 == 0 {
            screen.line(format_args!("  {done} registered"));
        }
    })
    .await?;
    crowd.go_online().await?;
    traffic::greet(&crowd).await;

    let stage = Stage::new(cluster)?;
    let database_url = stage.cluster().await.database_url().to_owned();
    let devices: queue::Devices = (0..)
        .zip(crowd.people())
        .map(|(number, person)| ((person.uuid(), DeviceId::FIRST.as_i16()), number))
        .collect();
    let queued = async || queue::count(&database_url, &devices).await;
    let settled = Drain::wait(&oracle, DRAINS_WITHIN, Duration::ZERO, queued).await?;
    anyhow::ensure!(settled.is_complete(), "the first messages did not arrive before any kill");

    screen.heading(format_args!(
        "{} of traffic, {} messages a second; each of {} parts is killed {} times",
        clock(options.duration),
        options.rate,
        PARTS.len(),
        options.kills_each
    ));
    let plan = Plan {
        duration: options.duration,
        kills_each: options.kills_each,
        gateways: options.gateways,
        messages: options.messages,
        seed: options.seed,
    };
    let start = Instant::now();
    let until = start + options.duration;
    let telling = tell(start, until, &stage, &oracle, screen);
    let (generated, killed, ended) = tokio::join!(
        traffic::run(&crowd, options.rate, options.duration, options.seed),
        kills::carry_out(plan.kills(), start, until, &stage, &oracle, screen),
        telling,
    );
    let killed = killed.context("the system did not come up again")?;

    screen.heading("The traffic has ended; what is under way may arrive");
    let drain = Drain::wait(&oracle, DRAINS_WITHIN, QUIET, queued).await?;
    let verdict = oracle.conclude(&drain);
    // The second witness: what stands in the stores of the devices.
    let of_stores = Oracle::new();
    crowd.testify(&of_stores).await?;
    let by_stores = of_stores.conclude(&drain);

    crowd.close().await;
    let report = Report::of(
        options,
        Evidence { verdict, by_stores, drain, generated, killed, ended, is_durable },
        &heard,
    );
    if let Some(cluster) = stage.into_cluster() {
        cluster.stop().await?;
    }
    Ok(report)
}

/// Says how it stands, until the end. Gives the processes that ended though nobody had
/// killed them.
async fn tell(
    start: Instant,
    until: Instant,
    stage: &Stage,
    oracle: &Oracle,
    screen: &Screen,
) -> Vec<String> {
    let mut ended = Vec::new();
    let mut ticks = tokio::time::interval_at(start + TELL_EVERY, TELL_EVERY);
    while Instant::now() < until {
        tokio::select! {
            _ = ticks.tick() => {}
            () = tokio::time::sleep_until(until) => {}
        }
        let now = oracle.interim();
        let down: Vec<String> = stage.down().iter().map(ToString::to_string).collect();
        screen.line(format_args!(
            "{}  accepted {}, shown {}, open {}{}{}",
            clock(start.elapsed()),
            now.accepted,
            now.shown,
            now.open,
            now.oldest_open
                .map_or_else(String::new, |age| format!(" (oldest {:.1} s)", age.as_secs_f64())),
            if down.is_empty() { String::new() } else { format!("; down: {}", down.join(", ")) },
        ));
        for process in stage.ended_by_themselves().await {
            if !ended.contains(&process) {
                screen.wrong(format_args!("{process} has ended by itself"));
                ended.push(process);
            }
        }
    }
    ended
}
