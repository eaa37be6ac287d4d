use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sotto_ids::{DeviceAddress, GroupId};
use sotto_proto::{groups as pb, socket::GroupCursor};
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::{Groups, store_call::StoreFault};
use crate::{
    config::AcksConfig,
    db::{self, members::Member},
    domain::device,
    error::GroupsError,
    metrics,
};

/// How often a batch is tried before its cursors are left to later acknowledgements.
const TRIES: usize = 3;

/// How often it is looked whether a time of maintenance is over.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A cursor that is to be moved, and how far.
type Acked = (GroupId, DeviceAddress, u64);

/// Acknowledgements that wait to be written, of each device and group the last. They gather
/// for seconds: a member of a busy group costs a write for each of these times, however
/// many messages there are.
#[derive(Debug)]
pub(super) struct Acks {
    room: usize,
    room_of_device: usize,
    batch: usize,
    waiting: Mutex<Waiting>,
    arrived: Notify,
    enough: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    of_device: HashMap<DeviceAddress, HashMap<GroupId, u64>>,
}

impl Acks {
    pub(super) fn new(config: &AcksConfig) -> Self {
        Self {
            room: config.waiting,
            room_of_device: config.per_device,
            batch: config.rows,
            waiting: Mutex::default(),
            arrived: Notify::new(),
            enough: Notify::new(),
        }
    }

    /// Takes what there is room for. The groups are whatever a device says: one that makes
    /// them up fills its own room and nobody else's.
    fn add(&self, acked: impl Iterator<Item = Acked>) {
        let mut guard = self.waiting();
        let waiting = &mut *guard;
        let mut passed_over = 0;
        for (group, device, seq) in acked {
            let of_device = waiting.of_device.entry(device).or_default();
            let has_room = waiting.count < self.room && of_device.len() < self.room_of_device;
            match of_device.get_mut(&group) {
                Some(cursor) => *cursor = seq.max(*cursor),
                None if has_room => {
                    of_device.insert(group, seq);
                    waiting.count += 1;
                }
                None => passed_over += 1,
            }
            if of_device.is_empty() {
                waiting.of_device.remove(&device);
            }
        }
        let enough = waiting.count >= self.batch;
        drop(guard);
        metrics::cursors("passed_over", passed_over);
        self.arrived.notify_one();
        if enough {
            self.enough.notify_one();
        }
    }

    fn take(&self) -> Vec<Acked> {
        let mut guard = self.waiting();
        let waiting = &mut *guard;
        let mut taken = Vec::new();
        let devices: Vec<DeviceAddress> =
            waiting.of_device.keys().take(self.batch).copied().collect();
        for device in devices {
            let Some(cursors) = waiting.of_device.get_mut(&device) else { continue };
            let room = self.batch - taken.len();
            taken.extend(
                cursors.extract_if(|_, _| true).take(room).map(|(group, seq)| (group, device, seq)),
            );
            if cursors.is_empty() {
                waiting.of_device.remove(&device);
            }
            if taken.len() == self.batch {
                break;
            }
        }
        waiting.count -= taken.len();
        taken
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each change is complete before anything could panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    /// Takes the acknowledgement that a gateway has passed on.
    pub(crate) fn acknowledged(&self, acknowledge: &pb::Acknowledge) {
        match acknowledge.device.as_ref().and_then(device) {
            Some(device) => self.acknowledge(device, &acknowledge.cursors),
            None => metrics::cursors("passed_over", acknowledge.cursors.len()),
        }
    }

    /// Notes how far a device has stored the logs of its groups. The rows are written a
    /// little later; what is no group of the device is passed over then.
    pub(crate) fn acknowledge(&self, device: DeviceAddress, cursors: &[GroupCursor]) {
        let named = |cursor: &GroupCursor| {
            Some((GroupId::try_from(cursor.group.as_ref()).ok()?, device, cursor.seq))
        };
        self.delivery.acks.add(cursors.iter().filter_map(named));
    }

    /// How far the devices of a group have stored its log, for one of them.
    ///
    /// # Errors
    ///
    /// `not_a_member`.
    pub(crate) async fn cursors(
        &self,
        group: GroupId,
        caller: DeviceAddress,
    ) -> Result<Vec<Member>, GroupsError> {
        let member = db::members::find(group, caller, &self.db).await?;
        if !member.is_some_and(|member| member.is_present()) {
            return Err(GroupsError::NotAMember);
        }
        Ok(db::members::list_present(group, &self.db).await?)
    }

    /// Writes what is acknowledged, in batches, until the service ends.
    pub(super) async fn move_cursors(self) {
        let finishing = self.delivery.finishing.clone();
        while !finishing.is_cancelled() {
            tokio::select! {
                () = self.delivery.acks.arrived.notified() => {}
                () = finishing.cancelled() => {}
            }
            tokio::select! {
                () = tokio::time::sleep(self.config.acks.every) => {}
                () = self.delivery.acks.enough.notified() => {}
                () = finishing.cancelled() => {}
            }
            while !self.move_waiting().await && !finishing.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(self.config.acks.every.max(LOOK_AGAIN)) => {}
                    () = finishing.cancelled() => {}
                }
            }
        }
    }

    /// Writes batch after batch until none waits. `false` where nothing can be written for
    /// now: then they wait on.
    async fn move_waiting(&self) -> bool {
        loop {
            if self.read_only.check().is_err() {
                return false;
            }
            let batch = self.delivery.acks.take();
            if batch.is_empty() {
                return true;
            }
            if let Err(batch) = self.advance(batch).await {
                self.delivery.acks.add(batch.into_iter());
                return false;
            }
        }
    }

    /// Gives the batch back where the database changes nothing for now.
    async fn advance(&self, batch: Vec<Acked>) -> Result<(), Vec<Acked>> {
        let span = tracing::info_span!("groups.acknowledge", rows = batch.len());
        for _ in 0..TRIES {
            match self.in_time(self.advance_once(&batch)).instrument(span.clone()).await {
                Ok(Some(rows)) => {
                    metrics::cursors("moved", usize::try_from(rows).unwrap_or(usize::MAX));
                    return Ok(());
                }
                Err(StoreFault::ReadOnly) => return Err(batch),
                Ok(None) | Err(StoreFault::Away) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        metrics::cursors("failed", batch.len());
        Ok(())
    }

    /// Not worth waiting for the disk: what a crash of Postgres undoes, the next
    /// acknowledgement of the device does again. Nor for members who are just being removed,
    /// who may be held in another order: it comes again (`None`) instead of being ended as a
    /// deadlock.
    async fn advance_once(&self, batch: &[Acked]) -> sqlx::Result<Option<u64>> {
        let mut tx = self.db.begin().await?;
        sqlx::query!("SET LOCAL synchronous_commit = off").execute(&mut *tx).await?;
        sqlx::query!("SET LOCAL lock_timeout = '300ms'").execute(&mut *tx).await?;
        match db::cursors::advance_many(batch, &mut *tx).await {
            Ok(rows) => {
                tx.commit().await?;
                Ok(Some(rows))
            }
            Err(error) if is_held_up(&error) => {
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// `lock_not_available`: somebody else held a row for longer than it would wait.
fn is_held_up(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "55P03")
}

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, DeviceId};

    use super::*;

    fn acks(waiting: usize) -> Acks {
        Acks::new(&AcksConfig { every: Duration::from_secs(2), rows: 2, waiting, per_device: 3 })
    }

    fn acked(group: u8, seq: u64) -> Acked {
        let device = DeviceAddress::new(AccountId::new([1; 32]).uuid(), DeviceId::FIRST);
        (GroupId::new([group; 16]), device, seq)
    }

    #[test]
    fn of_many_acknowledgements_in_one_group_the_furthest_is_written_once() {
        let acks = acks(10);
        acks.add([acked(1, 5), acked(1, 900), acked(1, 7)].into_iter());

        assert_eq!(acks.take(), [acked(1, 900)]);
        assert!(acks.take().is_empty());
    }

    fn acked_by(device: u8, group: u8) -> Acked {
        let device = DeviceAddress::new(AccountId::new([device; 32]).uuid(), DeviceId::FIRST);
        (GroupId::new([group; 16]), device, 1)
    }

    fn take_all(acks: &Acks) -> Vec<Acked> {
        let mut all = Vec::new();
        loop {
            let taken = acks.take();
            if taken.is_empty() {
                return all;
            }
            assert!(taken.len() <= 2, "a batch");
            all.extend(taken);
        }
    }

    #[test]
    fn what_has_no_room_is_passed_over_and_what_waits_still_moves() {
        let acks = acks(2);
        acks.add([acked(1, 1), acked(2, 1), acked(3, 1), acked(2, 8)].into_iter());

        let taken = take_all(&acks);
        assert_eq!(taken.len(), 2);
        assert!(taken.contains(&acked(2, 8)));
    }

    #[test]
    fn a_device_that_makes_groups_up_fills_no_room_but_its_own() {
        let acks = acks(10);
        acks.add((0..200).map(|group| acked_by(1, group)));
        acks.add((0..3).map(|group| acked_by(2, group)));
        assert_eq!(take_all(&acks).len(), 6);

        // What is written gives its room back.
        acks.add((0..200).map(|group| acked_by(1, group)));
        assert_eq!(take_all(&acks).len(), 3);
        assert!(acks.waiting().of_device.is_empty());
    }
}
