//! End a gateway that has thousands of sockets, while messages flow: all of its devices
//! have to come back elsewhere, spread over the time that is documented, and nothing may
//! be lost.

mod report;

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sotto_testkit::{Cluster, Role, wait};
use tokio::time::Instant;

pub use self::report::Report;
use self::report::{Evidence, Return};
use crate::{
    latency::Latency,
    light::{Fleet, Manner, Order, Pool, Prekeys, Seen, Spec},
    oracle::{Drain, Oracle},
    pace::{Timetable, keep_to},
    queue,
    screen::Screen,
    settings,
};

/// Traffic before the end of the gateway, and after all have come back.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(5);

/// How long devices may take to be back after the documented time.
const GRACE: Duration = Duration::from_secs(30);

/// How long the system may take to deliver everything once the traffic has ended.
const DRAINS_WITHIN: Duration = Duration::from_mins(2);

/// How long it is listened after the last message for one that is shown again.
const QUIET: Duration = Duration::from_secs(3);

/// `gateway.drain.batch_every` and `gateway.drain.min_batch`, at their defaults.
const BATCH_EVERY: Duration = Duration::from_millis(50);
const MIN_BATCH: u32 = 20;

/// Accounts that each device writes to.
const PEERS: usize = 2;

/// Bytes of a ciphertext.
const LENGTH: usize = 500;

/// Orders that may wait for one device: it cannot write while it has no socket.
const ORDERS: usize = 1_024;

/// A run, as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Sockets on the gateway that ends.
    pub sockets: u32,
    /// Devices of each account, 1 to 10.
    pub devices_each: u32,
    /// Messages a second. Each is for all devices of an account.
    pub rate: f64,
    /// `gateway.drain.window`.
    pub window: Duration,
    /// `gateway.drain.reconnect_within`.
    pub reconnect_within: Duration,
    /// What everything left to chance follows from.
    pub seed: u64,
}

impl Options {
    /// The time over which the returns are spread, as docs/operations.md has it: sockets
    /// are closed in batches over the window, or sooner where there are few, and each is
    /// told a time of its own within `reconnect_within`.
    pub fn spread_over(&self) -> Duration {
        let batches = self.sockets.div_ceil(MIN_BATCH);
        self.window.min(BATCH_EVERY * batches) + self.reconnect_within
    }
}

/// Runs it.
///
/// # Errors
///
/// When the system cannot be started, or the devices do not get connected at first.
pub async fn run(options: &Options, screen: &Screen) -> anyhow::Result<Report> {
    screen.heading("Starting a Sotto with servers of its own");
    let ms = |time: Duration| format!("{}ms", time.as_millis());
    let mut builder = Cluster::builder()
        .on_private_servers()
        .gateways(2)
        .messages(2)
        .setting("gateway.drain.window", ms(options.window))
        .setting("gateway.drain.reconnect_within", ms(options.reconnect_within))
        .setting("gateway.drain.batch_every", ms(BATCH_EVERY))
        .setting("gateway.drain.min_batch", i64::from(MIN_BATCH));
    for (name, value) in settings::long_tokens() {
        builder = builder.setting(name, value);
    }
    let cluster = builder.start_telling(|what| screen.line(format_args!("  {what}"))).await?;
    let spec = Spec {
        name: "drain",
        accounts: options.sockets / options.devices_each,
        devices_each: options.devices_each,
        prekeys: Prekeys::Standing,
        first_number: 0,
    };
    screen.line(format_args!("  registering {} accounts", spec.accounts));
    let pool = Pool::register(spec, &cluster, |_| {}).await?;
    let seen = Arc::new(Seen::new(Arc::new(Oracle::new())));
    let manner =
        Manner { peers: PEERS, length: LENGTH, orders: ORDERS, window: 1, first_gateway: Some(0) };
    let fleet = Fleet::connect(&pool, &pool, manner, &cluster, &seen).await?;
    let at_gateway = seen.arrivals().iter().filter(|arrival| arrival.gateway == 0).count();
    screen.line(format_args!("  {at_gateway} sockets at gateway-0"));
    seen.forget_troubles();

    screen.heading("SIGTERM to gateway-0, with messages on their way");
    let (told, lag, stop) = (Instant::now() + BEFORE, Latency::new(), tokio::sync::Notify::new());
    let traffic = write(&fleet, options, &lag, &stop);
    let ending = end_gateway(&cluster, &fleet, told, options, screen, &stop);
    let ((), ended) = tokio::join!(traffic, ending);
    let gateway_took = ended?;

    let database_url = cluster.database_url().to_owned();
    let rows: queue::Devices = pool.rows().collect();
    let queued = async || queue::count(&database_url, &rows).await;
    let drain = Drain::wait(&seen.oracle, DRAINS_WITHIN, QUIET, queued).await?;
    let returns = returns(&seen, told);
    let report = Report::of(
        options,
        Evidence {
            verdict: seen.oracle.conclude(&drain),
            lag: lag.percentiles(),
            at_gateway,
            returns,
            gateway_took,
        },
        &seen,
    );
    drop(fleet);
    cluster.stop().await?;
    Ok(report)
}

/// Messages by lot until it is told to stop.
async fn write(fleet: &Fleet, options: &Options, lag: &Latency, stop: &tokio::sync::Notify) {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let timetable = Timetable::poisson(options.rate, StdRng::seed_from_u64(rng.random()));
    let forever = Duration::from_hours(1);
    let writing = keep_to(timetable, forever, lag, |intended| {
        let order = Order { peer: rng.random::<u16>().into(), intended };
        fleet.order(rng.random_range(0..fleet.len()), order);
    });
    tokio::select! {
        () = writing => {}
        () = stop.notified() => {}
    }
}

/// Ends the gateway at its time, waits until everybody is back, and gives it a while.
/// Says how long the gateway took to end.
async fn end_gateway(
    cluster: &Cluster,
    fleet: &Fleet,
    at: Instant,
    options: &Options,
    screen: &Screen,
    stop: &tokio::sync::Notify,
) -> anyhow::Result<Duration> {
    tokio::time::sleep_until(at).await;
    let stopping = async {
        let stopped = cluster.stop_one(Role::Gateway, 0).await;
        (stopped, at.elapsed())
    };
    let within = options.spread_over() + GRACE;
    let coming_back = wait::until(within, "all devices to be back", || async {
        let back = returns(fleet.seen(), at).len();
        if back >= fleet.len() { Ok(()) } else { Err(back) }
    });
    let ((stopped, took), back) = tokio::join!(stopping, coming_back);
    if let Err(missing) = back {
        // The report will say who is missing.
        screen.wrong(missing);
    }
    tokio::time::sleep(AFTER).await;
    stop.notify_one();
    stopped?;
    Ok(took)
}

/// When each device first came back to another gateway, and after how long it was told to.
fn returns(seen: &Seen, since: Instant) -> Vec<Return> {
    let mut first = std::collections::BTreeMap::new();
    for arrival in seen.arrivals() {
        if arrival.at > since && arrival.gateway != 0 {
            let back = Return { after: arrival.at - since, told: arrival.told };
            first.entry(arrival.device).or_insert(back);
        }
    }
    first.into_values().collect()
}
