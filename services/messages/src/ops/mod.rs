//! The use cases: submit (and retract), acknowledge, pull. What runs behind them is
//! beside them.

mod acknowledge;
mod announce;
mod batch;
mod commit;
mod ephemeral;
mod pull;
mod rooms;
mod standing;
mod store_call;
mod submit;
mod writers;

use std::sync::Arc;

use sotto_kit::{
    clock::{SharedClock, millis},
    lifecycle::Lifecycle,
    read_only::ReadOnly,
    service::Context,
};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    acknowledge::Acks, announce::Announcer, commit::Writer, ephemeral::Passing, rooms::Rooms,
    writers::Writers,
};
pub(crate) use self::{pull::PullRequest, submit::Wish};
use crate::{
    Neighbours,
    config::MessagesConfig,
    device_sets::DeviceSets,
    domain::{Interop, Rules},
    error::BuildError,
    gateways::Gateways,
    outage::Outage,
    purges::Purges,
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
    /// Whether the database takes what is written.
    pub(crate) writable: Outage,
    pub(crate) read_only: ReadOnly,
    pub(crate) gateways: Gateways,
    pub(crate) device_sets: DeviceSets,
    rules: Rules,
    interop: Interop,
    writers: Writers,
    rooms: Rooms,
    ephemeral: Passing,
    acks: Acks,
    pub(crate) purges: Arc<Purges>,
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
        context: Context,
        neighbours: Neighbours,
        config: MessagesConfig,
    ) -> Result<Self, BuildError> {
        let Neighbours { db, places, keys, interop, .. } = neighbours;
        let Context { lifecycle, clock, read_only, .. } = context;
        let connections = usize::try_from(db.options().get_max_connections()).unwrap_or(usize::MAX);
        if connections <= config.commit.writers {
            return Err(BuildError::TooFewConnections);
        }
        let spare = (connections - config.commit.writers).saturating_sub(DELETERS).max(1);
        let rules = Rules {
            clock_ahead_ms: millis(config.max_clock_ahead),
            clock_behind_ms: millis(config.max_clock_behind),
            longest_ttl_ms: millis(config.queue.max_age),
            ephemeral_bytes: config.ephemeral.max_bytes.0,
        };
        // By then no replica admits a send by what it remembers, and no writer is behind.
        let settled = config.device_sets.ttl + config.store_timeout;
        let purges = Arc::new(Purges::new(config.queue.purges_waiting, settled));
        let (ephemeral, passing) = Passing::new(config.ephemeral.waiting);
        let (writers, inboxes) = Writers::new(&config.commit);
        let messages = Self(Arc::new(Inner {
            device_sets: DeviceSets::new(
                keys,
                Arc::clone(&clock),
                Arc::clone(&purges),
                &config.device_sets,
            ),
            purges,
            rooms: Rooms::new(&config.queue),
            ephemeral,
            acks: Acks::new(&config.acks),
            // Readers never take the connections that commits need.
            page_turns: Semaphore::new(config.pages.at_once.min(spare)),
            gateways: Gateways::default(),
            database: Outage::new("postgres"),
            writable: Outage::new("postgres, for what is written"),
            read_only,
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
        let passing = ephemeral::pass_on(messages.clone(), places, passing);
        messages.lifecycle.spawn("messages.ephemeral", passing);
        let deleting = messages.finishers.track_future(messages.clone().delete_acknowledged());
        messages.lifecycle.spawn("messages.acks", deleting);
        Ok(messages)
    }
}
