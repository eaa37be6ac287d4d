//! The use cases: submit, acknowledge, pull. What runs behind them is beside them.

mod acknowledge;
mod announce;
mod commit;
mod pull;
mod store_call;
mod submit;

use std::sync::Arc;

use sotto_kit::{
    clock::{SharedClock, millis},
    lifecycle::Lifecycle,
};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::pull::PullRequest;
use self::{
    acknowledge::Acks,
    announce::Announcer,
    commit::{Writer, Writers},
};
use crate::{
    Neighbours,
    config::MessagesConfig,
    device_sets::DeviceSets,
    domain::{Interop, Rules},
    error::BuildError,
    gateways::Gateways,
    outage::Outage,
};

/// The connection with which acknowledged rows are deleted.
const DELETERS: usize = 1;

/// The messages service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Messages(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: MessagesConfig,
    pub(crate) clock: SharedClock,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) db: PgPool,
    pub(crate) database: Outage,
    pub(crate) gateways: Gateways,
    pub(crate) device_sets: DeviceSets,
    rules: Rules,
    interop: Interop,
    writers: Writers,
    acks: Acks,
    page_turns: Semaphore,
    /// The streams with gateways. When they have ended, nothing new can come.
    pub(crate) streams: TaskTracker,
    /// The writers, and what deletes acknowledged rows. They end after the streams.
    pub(crate) finishers: TaskTracker,
    /// Cancelled when the streams have ended: finish what waits, then end.
    pub(crate) finishing: CancellationToken,
}

impl std::ops::Deref for Messages {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Messages {
    /// Puts the service together and starts its writers.
    pub(crate) fn start(
        lifecycle: Lifecycle,
        clock: SharedClock,
        neighbours: Neighbours,
        config: MessagesConfig,
    ) -> Result<Self, BuildError> {
        let Neighbours { db, places, keys, interop, .. } = neighbours;
        let connections = usize::try_from(db.options().get_max_connections()).unwrap_or(usize::MAX);
        if connections <= config.commit.writers {
            return Err(BuildError::TooFewConnections);
        }
        let spare = (connections - config.commit.writers).saturating_sub(DELETERS).max(1);
        let rules = Rules {
            clock_ahead_ms: millis(config.max_clock_ahead),
            clock_behind_ms: millis(config.max_clock_behind),
            longest_ttl_ms: millis(config.queue.max_age),
        };
        let (writers, inboxes) = Writers::new(&config.commit);
        let messages = Self(Arc::new(Inner {
            device_sets: DeviceSets::new(keys, Arc::clone(&clock), &config.device_sets),
            acks: Acks::new(&config.acks),
            // Readers never take the connections that commits need.
            page_turns: Semaphore::new(config.pages.at_once.min(spare)),
            gateways: Gateways::default(),
            database: Outage::new("postgres"),
            streams: TaskTracker::new(),
            finishers: TaskTracker::new(),
            finishing: CancellationToken::new(),
            config,
            clock,
            lifecycle,
            db,
            rules,
            interop,
            writers,
        }));
        let announcing = Arc::new(Outage::new("places"));
        for inbox in inboxes {
            let announcer = Announcer::start(&messages, places.clone(), Arc::clone(&announcing));
            let writer = Writer::new(messages.clone(), inbox, announcer);
            let writing = messages.finishers.track_future(writer.run());
            messages.lifecycle.spawn("messages.writer", writing);
        }
        let deleting = messages.finishers.track_future(messages.clone().delete_acknowledged());
        messages.lifecycle.spawn("messages.acks", deleting);
        Ok(messages)
    }
}
