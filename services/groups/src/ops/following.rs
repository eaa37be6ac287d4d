use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sotto_ids::GroupId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Groups;
use crate::{
    config::CommitsConfig, db, domain::Epoch, error::GroupsError, halves::Halves, mls::Tracked,
};

/// One group may take this part of the places of commits that are under way.
const GROUPS_SHARE: usize = 4;

/// How groups are followed: what is kept of their states, and who may work on which.
#[derive(Debug)]
pub(crate) struct Following {
    states: Mutex<Halves<GroupId, Option<Tracked>>>,
    lanes: Mutex<HashMap<GroupId, Weak<AsyncMutex<()>>>>,
    under_way: Arc<Semaphore>,
    threads: Arc<Semaphore>,
    /// Trees are made for readers one at a time, so that readers leave threads to commits.
    readers: Arc<Semaphore>,
    most_under_way: usize,
}

/// The right to change one group, in this process. It spares whoever would lose the race in
/// the database the work of checking; it decides nothing.
#[derive(Debug)]
pub(crate) struct Lane {
    _turn: OwnedMutexGuard<()>,
    _under_way: OwnedSemaphorePermit,
}

impl Following {
    pub(crate) fn new(config: &CommitsConfig) -> Self {
        Self {
            states: Mutex::new(Halves::new(config.cache.0)),
            lanes: Mutex::default(),
            under_way: Arc::new(Semaphore::new(config.under_way)),
            threads: Arc::new(Semaphore::new(config.validations)),
            readers: Arc::new(Semaphore::new(1)),
            most_under_way: config.under_way,
        }
    }

    /// Waits for the turn to change a group.
    ///
    /// # Errors
    ///
    /// Where too many wait already.
    pub(crate) async fn lane(&self, group: GroupId) -> Result<Lane, GroupsError> {
        let under_way =
            Arc::clone(&self.under_way).try_acquire_owned().map_err(|_| GroupsError::Busy)?;
        let lane = self.find_lane(group);
        // So that one busy group leaves places for the others.
        if Arc::strong_count(&lane) > self.most_under_way.div_ceil(GROUPS_SHARE) + 1 {
            return Err(GroupsError::Busy);
        }
        Ok(Lane { _turn: lane.lock_owned().await, _under_way: under_way })
    }

    fn find_lane(&self, group: GroupId) -> Arc<AsyncMutex<()>> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(&group).and_then(Weak::upgrade) {
            return lane;
        }
        // Those that nobody is in or waits for. There are never more of the others than that.
        if lanes.len() >= 2 * self.most_under_way {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        let lane = Arc::default();
        lanes.insert(group, Arc::downgrade(&lane));
        lane
    }

    /// Runs work that takes long on a thread of its own, when one is free.
    ///
    /// # Errors
    ///
    /// Where it panicked, or the process ends.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GroupsError> {
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(thread);
            done
        })
        .await
        .map_err(GroupsError::CutOff)
    }

    /// The right to make a tree for a reader, when nobody else does.
    pub(super) async fn reader(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.readers).acquire_owned().await.ok()
    }

    /// Keeps the state of a group for whoever changes it next, unless a later one is kept.
    pub(crate) fn keep(&self, tracked: Tracked) {
        let weight = tracked.weight();
        let mut states = lock(&self.states);
        let kept = states.find(tracked.group).and_then(|kept| kept.as_ref());
        if kept.is_none_or(|kept| kept.at <= tracked.at) {
            states.insert(tracked.group, weight, Some(tracked));
        }
    }

    fn take(&self, group: GroupId, at: Epoch) -> Option<Tracked> {
        let mut states = lock(&self.states);
        let kept = states.find(group)?;
        if kept.as_ref().is_some_and(|tracked| tracked.at != at) {
            return None;
        }
        let kept = kept.take();
        states.remove(group);
        kept
    }
}

impl Groups {
    /// The state of a group in an epoch. `None` where the group is not in this epoch any more.
    pub(crate) async fn tracked(
        &self,
        group: GroupId,
        at: Epoch,
    ) -> Result<Option<Tracked>, GroupsError> {
        if let Some(kept) = self.following.take(group, at) {
            return Ok(Some(kept));
        }
        let Some(stored) = db::states::find(group, at, &self.db).await? else {
            return Ok(None);
        };
        self.following.work(move || Tracked::decode(group, at, &stored)).await?.map(Some)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left half-changed holds true entries all the same.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
