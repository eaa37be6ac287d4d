//! Groups of as many as there may be: every member a real client of MLS, in one process.
//!
//! Each member has keys that its chain certifies, KeyPackages on the server's shelf, and an
//! OpenMLS state of its own; it follows each commit and opens each message. Some hear of
//! everything by sockets, the others read the log. What they have in common is what would
//! not fit otherwise: one cache of verified chains, and as many threads for cryptography as
//! there are processors.
//!
//! In the end [`ledger`] holds what every member saw against what it was entitled to.

mod api;
mod building;
mod certified;
mod crew;
mod device;
mod doing;
mod ledger;
pub(crate) mod line;
mod live;
mod race;
mod report;
mod room;
mod steps;
mod story;
mod text;
mod vain;

use std::{sync::Arc, thread};

use sotto_testkit::Cluster;
use tokio::task::JoinSet;

pub use self::{
    api::{Api, ApiError, Head, Moved, Package, Refused, Welcome},
    building::BATCH,
    crew::{Crew, Member, NAME},
    device::{Commit, Device, Diverged, Intent, Written},
    doing::Committed,
    ledger::{Ledger, Verdict},
    live::Live,
    race::Races,
    report::Report,
    room::{Room, Standing, Taken},
    steps::Step,
    text::Text,
};
use self::{report::Evidence, story::Story};
use crate::{screen::Screen, settings};

/// Members that come later, and members that go.
pub const CHANGED: usize = 50;

/// A run, as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Members of the group once it is made; more than twice [`CHANGED`].
    pub members: usize,
    /// Members that one commit adds while it is made, 1 to 500.
    pub batch: usize,
    /// Members that hear of everything by sockets; the others read the log.
    pub live: usize,
    /// Members that write at once.
    pub senders: usize,
    /// Messages of each of them, each time.
    pub messages_each: u64,
    /// Members that renew their keys: in a row, and at once.
    pub updates: usize,
    /// Members of another group that all commit at once.
    pub race_members: usize,
    /// How often they do.
    pub race_epochs: u32,
}

/// Runs it.
///
/// # Errors
///
/// When the system cannot be started, or does not do what it is asked.
pub async fn run(options: &Options, screen: &Screen) -> anyhow::Result<Report> {
    anyhow::ensure!(options.members > 2 * CHANGED, "too few members");
    screen.heading("Starting a Sotto with servers of its own");
    let cluster = builder().start_telling(|what| screen.line(format_args!("  {what}"))).await?;
    let count = (options.members + CHANGED).max(options.race_members);
    let crew = Arc::new(Crew::register(u32::try_from(count)?, &cluster, screen).await?);

    screen.heading(format_args!("A group of {}", options.members));
    let mut tasks = JoinSet::new();
    let story = Story::new(options, &crew, &cluster, screen);
    let told = match Box::pin(story.tell(&mut tasks)).await {
        Ok(told) => told,
        Err(error) => return Report::diverged(options, error),
    };

    screen.heading(format_args!(
        "{} members commit at once, for {} epochs",
        options.race_members, options.race_epochs
    ));
    let racers = crew.some(0..options.race_members);
    let races = match Box::pin(crew.race(racers, options.race_epochs, screen)).await {
        Ok(races) => races,
        Err(error) => return Report::diverged(options, error),
    };

    drop(tasks);
    let (put_off, troubles) = (crew.api.put_off(), crew.troubles());
    cluster.stop().await?;
    Ok(Report::of(options, Evidence { told, races, put_off, troubles }))
}

/// A cluster for groups: two gateways, two replicas, and no limits that people never reach.
pub(crate) fn builder() -> sotto_testkit::cluster::Builder {
    let validations = thread::available_parallelism().map_or(1, usize::from).clamp(1, 64);
    let builder = Cluster::builder()
        .on_private_servers()
        .gateways(2)
        .groups(2)
        .writing_without_limit()
        .setting("groups.commits.validations", i64::try_from(validations).unwrap_or(1));
    settings::long_tokens()
        .into_iter()
        .chain(settings::groups_without_limit())
        .fold(builder, |builder, (name, value)| builder.setting(name, value))
}
