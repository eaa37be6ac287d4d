//! Measurements, each beside its target.

mod audience;
mod bundles;
mod delivery;
mod figure;
mod first_page;
mod groups;
mod groups_catch_up;
mod groups_commit;
mod groups_curve;
mod groups_many;
mod groups_one;
mod idle;
mod report;
mod saturation;

use std::{fmt, sync::Arc, time::Duration};

use sotto_testkit::Cluster;
use tokio::sync::OnceCell;

pub use self::{
    figure::{Figure, Measured, Unit},
    report::Report,
};
use crate::{
    groups::Crew,
    light::Seen,
    oracle::{Drain, Oracle, Verdict},
    queue,
    screen::Screen,
    settings,
    usage::Share,
};

/// Bytes of a ciphertext: what a short text comes to when it is padded and encrypted.
const LENGTH: usize = 500;

/// How long the system may take to deliver everything after a measurement.
const DRAINS_WITHIN: Duration = Duration::from_mins(2);

/// How long it is listened after the last message for one that is shown again.
const QUIET: Duration = Duration::from_secs(1);

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Name {
    /// Prekey bundles with a hundred askers.
    Bundles,
    /// Delivery at 500 messages a second.
    Delivery,
    /// Durable messages a second at saturation.
    Saturation,
    /// The first page of a queue with 1,000 waiting.
    FirstPage,
    /// Memory of a gateway for each idle connection, at 10,000.
    Idle,
    /// A commit in groups of 2, 100 and 1,500.
    GroupsCommit,
    /// Messages into one group of 1,500, all of them online.
    GroupsOne,
    /// Messages into 200 groups of 50, all of them online.
    GroupsMany,
    /// What a send costs in groups of 2, 50, 500 and 1,500.
    GroupsCurve,
    /// A member that was away for 500 commits and 5,000 messages.
    GroupsCatchUp,
}

/// All of them, in the order in which they are taken.
pub const ALL: [Name; 10] = [
    Name::Bundles,
    Name::Delivery,
    Name::Saturation,
    Name::FirstPage,
    Name::Idle,
    Name::GroupsCommit,
    Name::GroupsOne,
    Name::GroupsMany,
    Name::GroupsCurve,
    Name::GroupsCatchUp,
];

impl fmt::Display for Name {
    /// As it is called on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundles => "bundles",
            Self::Delivery => "delivery",
            Self::Saturation => "saturation",
            Self::FirstPage => "first-page",
            Self::Idle => "idle",
            Self::GroupsCommit => "groups-commit",
            Self::GroupsOne => "groups-one",
            Self::GroupsMany => "groups-many",
            Self::GroupsCurve => "groups-curve",
            Self::GroupsCatchUp => "groups-catch-up",
        })
    }
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long each measurement takes, without its preparations.
    pub duration: Duration,
    /// Which; none stands for all.
    pub only: Vec<Name>,
}

/// What a measurement has to work with.
struct Bench<'a> {
    cluster: &'a Cluster,
    duration: Duration,
    screen: &'a Screen,
    /// Devices for groups, once some measurement has asked for them.
    crew: OnceCell<Arc<Crew>>,
}

/// Takes the measurements, one after the other, on one cluster.
///
/// # Errors
///
/// When the system cannot be started, or does not do what it is asked.
pub async fn run(options: &Options, screen: &Screen) -> anyhow::Result<Report> {
    screen.heading("Starting a Sotto with servers of its own");
    let mut builder = Cluster::builder()
        .on_private_servers()
        .gateways(2)
        .messages(2)
        .groups(2)
        .writing_without_limit();
    for (name, value) in [settings::long_tokens(), settings::groups_without_limit()].concat() {
        builder = builder.setting(name, value);
    }
    let cluster = builder.start_telling(|what| screen.line(format_args!("  {what}"))).await?;
    let bench =
        Bench { cluster: &cluster, duration: options.duration, screen, crew: OnceCell::new() };
    let mut all = Vec::new();
    for name in ALL {
        if !options.only.is_empty() && !options.only.contains(&name) {
            continue;
        }
        screen.heading(name);
        let before = Share::now(&cluster);
        let mut measured = match name {
            Name::Bundles => bundles::measure(&bench).await?,
            Name::Delivery => delivery::measure(&bench).await?,
            Name::Saturation => saturation::measure(&bench).await?,
            Name::FirstPage => first_page::measure(&bench).await?,
            Name::Idle => idle::measure(&bench).await?,
            Name::GroupsCommit => Box::pin(groups_commit::measure(&bench)).await?,
            Name::GroupsOne => Box::pin(groups_one::measure(&bench)).await?,
            Name::GroupsMany => Box::pin(groups_many::measure(&bench)).await?,
            Name::GroupsCurve => Box::pin(groups_curve::measure(&bench)).await?,
            Name::GroupsCatchUp => Box::pin(groups_catch_up::measure(&bench)).await?,
        };
        measured.name = name.to_string();
        measured.others_percent = Share::now(&cluster).of_others_since(&before);
        measured.show(screen);
        all.push(measured);
    }
    cluster.stop().await?;
    Ok(Report::of(all, options.duration))
}

/// What became of the messages of a measurement, once they had their time.
async fn judge(
    seen: &Arc<Seen>,
    rows: queue::Devices,
    cluster: &Cluster,
) -> anyhow::Result<Verdict> {
    let queued = async || queue::count(cluster.database_url(), &rows).await;
    let drain = Drain::wait(&seen.oracle, DRAINS_WITHIN, QUIET, queued).await?;
    Ok(seen.oracle.conclude(&drain))
}

/// A new witness of a measurement.
fn witness() -> Arc<Seen> {
    Arc::new(Seen::new(Arc::new(Oracle::new())))
}
