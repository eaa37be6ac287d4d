use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use sotto_ids::{DeviceAddress, EnvelopeId};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    Messages,
    announce::{Announcement, Announcer},
    batch::Batch,
    writers::{Accepted, Retracting, Work},
};
use crate::{
    db,
    domain::{Refusal, Row},
    metrics,
};

/// Makes sends durable, many in one insert, and retractions after them.
///
/// A commit costs about the same for one row and for hundreds, so a writer collects
/// for a few milliseconds before each. While a commit runs, the next batch gathers.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Messages,
    inbox: mpsc::Receiver<Work>,
    /// What must not be in the batch before.
    later: Option<Work>,
    announcer: Announcer,
}

/// What became of the rows of a batch.
struct Stored {
    new: u64,
    /// Those that found the queue of their device full, and do not stand there already.
    turned_away: HashSet<EnvelopeId>,
}

impl Writer {
    pub(super) const fn new(
        messages: Messages,
        inbox: mpsc::Receiver<Work>,
        announcer: Announcer,
    ) -> Self {
        Self { messages, inbox, later: None, announcer }
    }

    pub(super) async fn run(mut self) {
        loop {
            let batch = self.collect().await;
            if batch.is_empty() {
                return;
            }
            self.commit(batch).await;
        }
    }

    /// Waits for work. Comes back with none only when the service ends and all that
    /// waited has been taken.
    async fn collect(&mut self) -> Batch {
        let mut batch = Batch::default();
        let first = match self.later.take() {
            Some(later) => Some(later),
            None => self.first().await,
        };
        let Some(first) = first else { return batch };
        // Into an empty one everything goes.
        self.later = batch.add(first);

        let config = &self.messages.config.commit;
        let time_is_up = tokio::time::sleep(config.collect);
        tokio::pin!(time_is_up);
        // A send is never split: the one that reaches the bound is the last.
        while batch.rows() < config.rows {
            let next = if batch.is_urgent() {
                self.inbox.try_recv().ok()
            } else {
                tokio::select! {
                    biased;
                    next = self.inbox.recv() => next,
                    () = &mut time_is_up => None,
                }
            };
            let Some(next) = next else { break };
            self.later = batch.add(next);
            if self.later.is_some() {
                break;
            }
        }
        batch
    }

    async fn first(&mut self) -> Option<Work> {
        tokio::select! {
            biased;
            first = self.inbox.recv() => first,
            () = self.messages.finishing.cancelled() => {
                self.inbox.close();
                self.inbox.recv().await
            }
        }
    }

    /// Stores and deletes, and only then answers and announces.
    async fn commit(&self, mut batch: Batch) {
        let stores = std::mem::take(&mut batch.stores);
        let mut rows = if stores.is_empty() { Vec::new() } else { self.store(stores).await };
        let retractions = std::mem::take(&mut batch.retractions);
        let retracted =
            if retractions.is_empty() { Vec::new() } else { self.delete(retractions).await };
        // Where nothing was deleted, what was stored stands.
        if !retracted.is_empty() {
            rows.retain(|row| !batch.retracts(row.id));
        }
        self.announcer.announce(Announcement { rows, retracted });
    }

    /// Stores sends and answers them. Returns the rows that are durable.
    async fn store(&self, stores: Vec<Accepted>) -> Vec<Row> {
        let count: usize = stores.iter().map(|accepted| accepted.rows.len()).sum();
        let span = tracing::info_span!("messages.commit", sends = stores.len(), rows = count);
        let started = Instant::now();
        let stored = self.messages.in_time(self.insert(&stores)).instrument(span).await;
        let Stored { new, turned_away } = match stored {
            Ok(stored) => stored,
            Err(fault) => {
                metrics::commit_failed();
                // Whether it was stored is not known if the answer was lost. The
                // same send again finds its own rows.
                for accepted in stores {
                    accepted.ticket.refused(fault.into());
                }
                return Vec::new();
            }
        };
        self.messages.writable.ends();
        metrics::committed(count - turned_away.len(), new, started.elapsed());
        metrics::turned_away(turned_away.len());

        let mut durable = Vec::with_capacity(count);
        for accepted in stores {
            let Accepted { ticket, server_time_ms, class, app, rows } = accepted;
            let (without, stored): (Vec<Row>, Vec<Row>) =
                rows.into_iter().partition(|row| turned_away.contains(&row.id));
            if stored.is_empty() {
                ticket.refused(Refusal::QueueFull);
                continue;
            }
            metrics::accepted(class, &app);
            let full = without.iter().map(|row| row.recipient.device.into()).collect();
            ticket.accepted(server_time_ms, full);
            durable.extend(stored);
        }
        durable
    }

    async fn insert(&self, stores: &[Accepted]) -> sqlx::Result<Stored> {
        let rows = || stores.iter().flat_map(|accepted| &accepted.rows);
        let without = self.without_room(rows).await?;
        let turned_away: HashSet<EnvelopeId> = without.iter().map(|row| row.id).collect();
        let mut rows: Vec<&Row> = rows().filter(|row| !turned_away.contains(&row.id)).collect();
        rows.sort_unstable_by_key(|row| (row.recipient, row.id));

        let db = &self.messages.db;
        if without.is_empty() {
            let new = db::queue::insert_many(&rows, db).await?;
            return Ok(Stored { new, turned_away });
        }
        let mut counts: BTreeMap<DeviceAddress, i64> = BTreeMap::new();
        for row in without {
            *counts.entry(row.recipient).or_default() += 1;
        }
        let counts: Vec<(DeviceAddress, i64)> = counts.into_iter().collect();
        let now_ms = self.messages.clock.now_ms();
        // Who is told that a queue was full may go by it that its device will be, too.
        let mut tx = db.begin().await?;
        let new = db::queue::insert_many(&rows, &mut *tx).await?;
        let told_before_ms = self.messages.told_before_ms();
        db::overflows::add_many(&counts, now_ms, told_before_ms, &mut *tx).await?;
        tx.commit().await?;
        Ok(Stored { new, turned_away })
    }

    /// The rows that there is no room for. One that stands in its queue already needs
    /// none.
    async fn without_room<'r, R>(&self, rows: impl Fn() -> R) -> sqlx::Result<Vec<&'r Row>>
    where
        R: Iterator<Item = &'r Row>,
    {
        let (db, rooms) = (&self.messages.db, &self.messages.rooms);
        let now_ms = self.messages.clock.now_ms();
        let to_count = rooms.to_count(rows().map(|row| row.recipient), now_ms);
        if !to_count.is_empty() {
            metrics::fills_measured(to_count.len());
            let most = self.messages.config.queue.max_envelopes;
            let fills = db::queue::measure(&to_count, most, now_ms, db).await?;
            rooms.counted(&to_count, &fills, now_ms);
        }
        let mut without = rooms.take(rows());
        if !without.is_empty() {
            let named: Vec<_> = without.iter().map(|row| (row.recipient, row.id)).collect();
            let known = db::queue::list_known(&named, db).await?;
            without.retain(|row| !known.contains(&row.id));
        }
        Ok(without)
    }

    /// Deletes what is retracted; refuses where that fails. Unlike an acknowledgement it
    /// waits for the disk: what was retracted must not come back with a crash. Returns
    /// those that are still to be answered, when all that was announced before has been.
    async fn delete(&self, retractions: Vec<Retracting>) -> Vec<Retracting> {
        let mut copies: Vec<(DeviceAddress, EnvelopeId)> =
            retractions.iter().flat_map(|retracting| retracting.copies.iter().copied()).collect();
        copies.sort_unstable();
        let span = tracing::info_span!("messages.retract", rows = copies.len());
        let delete = db::queue::delete_many(&copies, &self.messages.db);
        match self.messages.in_time(delete).instrument(span).await {
            Ok(rows) => {
                metrics::retracted(rows);
                retractions
            }
            Err(fault) => {
                for retracting in retractions {
                    retracting.ticket.refused(fault.into());
                }
                Vec::new()
            }
        }
    }
}
