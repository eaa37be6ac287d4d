use sqlx::PgPool;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Groups,
    acknowledge::Acks,
    submit::{Pending, Writer, Writers},
};
use crate::{
    BuildError,
    config::GroupsConfig,
    gateways::{Gateways, Publications},
    outage::Outage,
    roster::Rosters,
    sweeps::Sweeps,
};

/// The connections that cursors are moved with, and that commits and jobs need at least.
const OTHERS: usize = 2;

/// What carries messages from those who send them to those who have to hear of them.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) gateways: Gateways,
    pub(crate) publications: Publications,
    pub(crate) rosters: Rosters,
    pub(super) writers: Writers,
    pub(super) acks: Acks,
    /// Accounts that may have lost a device.
    pub(crate) sweeps: Sweeps,
    /// Reads that run at the same time: they never take the connections that writers need.
    pub(super) reads: Semaphore,
    /// Whether the database answers, and whether it takes what is written.
    pub(crate) database: Outage,
    pub(crate) writable: Outage,
    /// The streams with gateways. When they have ended, they bring nothing new.
    pub(crate) streams: TaskTracker,
    /// The writers, and what moves cursors. They end after the streams.
    pub(crate) finishers: TaskTracker,
    /// Cancelled when the streams have ended: finish what waits, then end.
    pub(crate) finishing: CancellationToken,
}

/// What waits for its writers to start.
#[derive(Debug)]
pub(crate) struct Inboxes(Vec<mpsc::Receiver<Pending>>);

impl Delivery {
    pub(super) fn new(config: &GroupsConfig, db: &PgPool) -> Result<(Self, Inboxes), BuildError> {
        let connections = usize::try_from(db.options().get_max_connections()).unwrap_or(usize::MAX);
        if connections <= config.sends.writers {
            return Err(BuildError::TooFewConnections);
        }
        let spare = (connections - config.sends.writers).saturating_sub(OTHERS).max(1);
        let (writers, inboxes) = Writers::new(&config.sends);
        let delivery = Self {
            gateways: Gateways::default(),
            publications: Publications::new(&config.gateways),
            rosters: Rosters::new(&config.roster),
            writers,
            acks: Acks::new(&config.acks),
            sweeps: Sweeps::new(config.sweep.waiting),
            reads: Semaphore::new(config.log.reads_at_once.min(spare)),
            database: Outage::new("postgres"),
            writable: Outage::new("postgres, for what is written"),
            streams: TaskTracker::new(),
            finishers: TaskTracker::new(),
            finishing: CancellationToken::new(),
        };
        Ok((delivery, Inboxes(inboxes)))
    }
}

impl Groups {
    /// Starts the writers, and what moves cursors.
    pub(crate) fn start(&self, inboxes: Inboxes) {
        for inbox in inboxes.0 {
            let writing = Writer::new(self.clone(), inbox).run();
            let writing = self.delivery.finishers.track_future(writing);
            self.lifecycle.spawn("groups.writer", writing);
        }
        let moving = self.delivery.finishers.track_future(self.clone().move_cursors());
        self.lifecycle.spawn("groups.acks", moving);
    }
}
