use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sotto_ids::{DeviceAddress, EnvelopeId};
use sotto_proto::messages as pb;
use tokio::sync::Notify;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{Messages, store_call::StoreFault};
use crate::{config::AcksConfig, db, domain, metrics};

/// How often a delete is tried before its rows are left to be delivered again.
const TRIES: usize = 3;

/// How often it is looked whether a time of maintenance is over.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Acknowledgements that wait for their delete.
///
/// Until then their envelopes are still in the table, and a page must leave them out.
/// A gateway sends the acks and the pulls of one device to the same replica, so it is
/// enough that this one knows.
#[derive(Debug)]
pub(super) struct Acks {
    room: usize,
    room_of_device: usize,
    batch: usize,
    pending: Mutex<Pending>,
    arrived: Notify,
    enough: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    /// In the order in which they came.
    waiting: VecDeque<(DeviceAddress, EnvelopeId)>,
    /// Those that wait and those that are being deleted.
    held: HashMap<DeviceAddress, HashSet<EnvelopeId>>,
}

impl Acks {
    pub(super) fn new(config: &AcksConfig) -> Self {
        Self {
            room: config.waiting,
            room_of_device: config.per_device,
            batch: config.rows,
            pending: Mutex::default(),
            arrived: Notify::new(),
            enough: Notify::new(),
        }
    }

    /// Takes what there is room for. The ids are whatever a device says: one that makes
    /// them up fills its own room and nobody else's.
    fn add(&self, device: DeviceAddress, ids: impl Iterator<Item = EnvelopeId>) {
        let mut guard = self.pending();
        let pending = &mut *guard;
        let mut passed_over = 0;
        for id in ids {
            let held = pending.held.get(&device);
            if held.is_some_and(|held| held.contains(&id)) {
                continue;
            }
            let held = held.map_or(0, HashSet::len);
            if pending.waiting.len() < self.room && held < self.room_of_device {
                pending.waiting.push_back((device, id));
                pending.held.entry(device).or_default().insert(id);
            } else {
                passed_over += 1;
            }
        }
        let enough = pending.waiting.len() >= self.batch;
        drop(guard);
        metrics::acks_failed(passed_over);
        self.arrived.notify_one();
        if enough {
            self.enough.notify_one();
        }
    }

    /// The envelopes of a device that are as good as deleted.
    pub(super) fn of(&self, device: DeviceAddress) -> Vec<Uuid> {
        let pending = self.pending();
        let ids = pending.held.get(&device).into_iter().flatten();
        ids.map(EnvelopeId::as_uuid).collect()
    }

    fn take(&self) -> Vec<(DeviceAddress, EnvelopeId)> {
        let mut pending = self.pending();
        let count = self.batch.min(pending.waiting.len());
        pending.waiting.drain(..count).collect()
    }

    /// Has these wait again, before the others.
    fn put_back(&self, batch: Vec<(DeviceAddress, EnvelopeId)>) {
        let mut pending = self.pending();
        for done in batch.into_iter().rev() {
            pending.waiting.push_front(done);
        }
    }

    fn release(&self, done: &[(DeviceAddress, EnvelopeId)]) {
        let mut pending = self.pending();
        for (device, id) in done {
            let Some(held) = pending.held.get_mut(device) else { continue };
            held.remove(id);
            if held.is_empty() {
                pending.held.remove(device);
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Each change is complete before anything could panic.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
    /// Marks envelopes of a device as stored by it. Their rows go a little later.
    pub(crate) fn acknowledge(&self, acknowledge: &pb::Acknowledge) {
        let Some(device) = acknowledge.device.as_ref().and_then(domain::device) else {
            metrics::acks_failed(acknowledge.envelope_ids.len());
            return;
        };
        let ids = acknowledge.envelope_ids.iter();
        self.acks.add(device, ids.filter_map(|id| EnvelopeId::try_from(id.as_ref()).ok()));
    }

    /// Deletes what is acknowledged, in batches, until the service ends.
    pub(super) async fn delete_acknowledged(self) {
        let finishing = self.finishing.clone();
        while !finishing.is_cancelled() {
            tokio::select! {
                () = self.acks.arrived.notified() => {}
                () = finishing.cancelled() => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.config.acks.every) => {}
                () = self.acks.enough.notified() => {}
                () = finishing.cancelled() => {}
            }
            while !self.delete_waiting().await && !finishing.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(self.config.acks.every.max(LOOK_AGAIN)) => {}
                    () = finishing.cancelled() => {}
                }
            }
        }
    }

    /// Deletes batch after batch until none waits. `false` where nothing can be deleted
    /// for now: then they wait on, and pages leave their envelopes out meanwhile. Those
    /// that find no room, or that the end of the process finds waiting, are delivered
    /// again.
    async fn delete_waiting(&self) -> bool {
        loop {
            if self.read_only.check().is_err() {
                return false;
            }
            let batch = self.acks.take();
            if batch.is_empty() {
                return true;
            }
            if let Err(batch) = self.delete(batch).await {
                self.acks.put_back(batch);
                return false;
            }
        }
    }

    /// Gives the batch back where the database changes nothing for now.
    async fn delete(
        &self,
        mut batch: Vec<(DeviceAddress, EnvelopeId)>,
    ) -> Result<(), Vec<(DeviceAddress, EnvelopeId)>> {
        // In one order everywhere, so that two replicas cannot wait for each other in
        // a circle.
        batch.sort_unstable();
        let span = tracing::info_span!("messages.acknowledge", rows = batch.len());
        for _ in 0..TRIES {
            let deleted = self.in_time(self.delete_once(&batch)).instrument(span.clone()).await;
            match deleted {
                Ok(rows) => {
                    metrics::acknowledged(rows);
                    self.acks.release(&batch);
                    return Ok(());
                }
                Err(StoreFault::ReadOnly) => return Err(batch),
                Err(StoreFault::Away) => tokio::time::sleep(self.config.acks.every).await,
            }
        }
        metrics::acks_failed(batch.len());
        self.acks.release(&batch);
        Ok(())
    }

    /// A delete that a crash of Postgres undoes costs a duplicate, which clients drop:
    /// not worth waiting for the disk.
    async fn delete_once(&self, batch: &[(DeviceAddress, EnvelopeId)]) -> sqlx::Result<u64> {
        let mut tx = self.db.begin().await?;
        sqlx::query!("SET LOCAL synchronous_commit = off").execute(&mut *tx).await?;
        let rows = db::queue::delete_many(batch, &mut *tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, ClientMsgId, DeviceId};

    use super::*;

    fn acks(room: usize) -> Acks {
        let every = Duration::from_millis(50);
        Acks::new(&AcksConfig { every, rows: 2, waiting: room, per_device: 5 })
    }

    fn device() -> DeviceAddress {
        device_of(1)
    }

    fn device_of(account: u8) -> DeviceAddress {
        DeviceAddress::new(AccountId::new([account; 32]).uuid(), DeviceId::FIRST)
    }

    fn ids(count: u8) -> Vec<EnvelopeId> {
        (0..count)
            .map(|n| EnvelopeId::derive(device(), device(), ClientMsgId::new(1, [n; 10])))
            .collect()
    }

    #[test]
    fn an_id_is_held_until_its_delete_is_done() {
        let acks = acks(10);
        acks.add(device(), ids(3).into_iter());

        let batch = acks.take();
        assert_eq!((batch.len(), acks.of(device()).len()), (2, 3));

        acks.release(&batch);
        assert_eq!(acks.of(device()), [ids(3)[2].as_uuid()]);
        acks.release(&acks.take());
        assert!(acks.of(device()).is_empty());
    }

    #[test]
    fn what_has_no_room_is_passed_over() {
        let acks = acks(2);
        acks.add(device(), ids(3).into_iter());
        assert_eq!(acks.of(device()).len(), 2);
    }

    #[test]
    fn a_device_that_makes_ids_up_fills_no_room_but_its_own() {
        let acks = acks(10);
        acks.add(device(), ids(200).into_iter());
        acks.add(device_of(2), ids(5).into_iter());
        assert_eq!((acks.of(device()).len(), acks.of(device_of(2)).len()), (5, 5));

        // What is deleted gives its room back.
        acks.release(&acks.take());
        acks.add(device(), ids(200).into_iter());
        assert_eq!(acks.of(device()).len(), 5);
    }

    #[test]
    fn an_id_that_comes_again_takes_one_place() {
        let acks = acks(10);
        for _ in 0..20 {
            acks.add(device(), ids(1).into_iter());
        }
        assert_eq!(acks.take().len(), 1);
        assert_eq!(acks.of(device()).len(), 1, "while it is being deleted, too");
    }
}
