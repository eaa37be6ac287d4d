//! What the tasks of a client share about groups: turns, and what has changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use sotto_ids::GroupId;
use tokio::sync::{MutexGuard, Notify, OwnedMutexGuard};

/// Whose turn it is in each group, and which groups have something to be seen to.
#[derive(Default)]
pub(crate) struct Groups {
    commits: Turns,
    logs: Turns,
    welcomes: tokio::sync::Mutex<()>,
    /// Where own devices were not ready to be added, so often that it is left at that for now.
    given_up: Mutex<HashSet<GroupId>>,
    touched: Mutex<BTreeMap<GroupId, Touched>>,
    pub(super) wake: Notify,
}

/// What has become of a group.
#[derive(Clone, Copy, Default)]
pub(super) struct Touched {
    /// Its log has been taken in so far.
    pub(super) cursor: u64,
    /// It is another than before: there may be something to do.
    pub(super) changed: bool,
}

impl Groups {
    /// Waits until nobody else makes a commit in the group.
    pub(super) async fn turn_to_commit(&self, group: GroupId) -> OwnedMutexGuard<()> {
        self.commits.turn(group).await
    }

    /// Waits until nobody else takes in the log of the group.
    pub(super) async fn turn_at_log(&self, group: GroupId) -> OwnedMutexGuard<()> {
        self.logs.turn(group).await
    }

    /// Waits until nobody else reads Welcomes, each of which is good once.
    pub(super) async fn turn_at_welcomes(&self) -> MutexGuard<'_, ()> {
        self.welcomes.lock().await
    }

    /// The log of a group has been taken in so far.
    pub(super) fn touch(&self, group: GroupId, cursor: u64) {
        self.note(group, cursor, false);
    }

    /// The same, and the group is another than before.
    pub(super) fn touch_changed(&self, group: GroupId, cursor: u64) {
        self.note(group, cursor, true);
    }

    fn note(&self, group: GroupId, cursor: u64, changed: bool) {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let group = touched.entry(group).or_default();
        group.cursor = cursor;
        group.changed |= changed;
        self.wake.notify_one();
    }

    /// Own devices are not added to this group any more, for now.
    pub(super) fn give_up_adding(&self, group: GroupId) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
    }

    /// Whether own devices are to be added to a group.
    pub(super) fn may_add(&self, group: GroupId) -> bool {
        !self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&group)
    }

    /// Own devices may be ready now.
    pub(super) fn add_again(&self) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The groups whose logs have been taken in further since this was last asked.
    pub(super) fn take_touched(&self) -> BTreeMap<GroupId, Touched> {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One lock for each group that somebody has or waits for.
#[derive(Default)]
struct Turns(Mutex<HashMap<GroupId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn turn(&self, group: GroupId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(group).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_in_a_group_and_none_waits_for_another_group() {
        let groups = Groups::default();
        let (one, other) = (GroupId::new([1; 16]), GroupId::new([2; 16]));

        let first = groups.turn_to_commit(one).await;
        let elsewhere = groups.turn_to_commit(other).await;
        let mut second = std::pin::pin!(groups.turn_to_commit(one));
        assert!(futures_util::poll!(&mut second).is_pending());

        drop((first, elsewhere));
        second.await;
    }
}
