//! What each replica is asked to publish.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use sotto_ids::GroupId;
use sotto_proto::groups::{ReadHeads, Unwatch, Watch, uplink::Item};
use tokio::sync::Notify;

use super::Groups;
use crate::links::{Link, LinkError};

/// The replicas, as far as watching goes.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Arc<Watcher>>>);

/// Groups that one replica may have to be told about. What it is told is decided when it is
/// told, by whether sockets are in the group then: so nothing overtakes anything.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    changed: Mutex<HashSet<GroupId>>,
    arrived: Notify,
}

impl Watchers {
    /// Has every replica told about a group.
    pub(super) fn mark(&self, id: GroupId) {
        for watcher in &*self.lock() {
            watcher.mark([id]);
        }
    }

    fn add(&self, watcher: &Arc<Watcher>) {
        self.lock().push(watcher.clone());
    }

    fn remove(&self, watcher: &Arc<Watcher>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, watcher));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Watcher>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    fn mark(&self, ids: impl IntoIterator<Item = GroupId>) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        self.arrived.notify_one();
    }

    fn take(&self, most: usize) -> Vec<GroupId> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = changed.iter().take(most).copied().collect();
        for id in &taken {
            changed.remove(id);
        }
        if changed.is_empty() {
            changed.shrink_to_fit();
        }
        taken
    }
}

impl Groups {
    /// A replica was attached: it is told about all groups.
    pub(super) fn add_watcher(&self) -> Arc<Watcher> {
        let watcher = Arc::new(Watcher::default());
        // In this order: a group that comes in between is marked twice rather than never.
        self.watchers.add(&watcher);
        watcher.mark(self.watched.iter().map(|group| *group.key()).collect::<Vec<_>>());
        watcher
    }

    pub(super) fn remove_watcher(&self, watcher: &Arc<Watcher>) {
        self.watchers.remove(watcher);
    }

    /// Keeps a replica told, until its link is lost.
    ///
    /// The end of a log is read behind its watch, on the same stream: what the replica had
    /// stored before it heard of the watch is in that.
    pub(super) async fn keep_watching(&self, watcher: &Watcher, link: &Link<Item>) -> LinkError {
        let mut watching = HashSet::new();
        loop {
            watcher.arrived.notified().await;
            loop {
                let ids = watcher.take(self.config.audit_batch);
                if ids.is_empty() {
                    break;
                }
                let (wanted, others): (Vec<_>, Vec<_>) =
                    ids.into_iter().partition(|id| self.watched.contains_key(id));
                let begun: Vec<_> =
                    wanted.iter().filter(|&&id| watching.insert(id)).copied().collect();
                let ended: Vec<_> = others.into_iter().filter(|id| watching.remove(id)).collect();
                let request = self.next_request();
                let items = [
                    (!begun.is_empty()).then(|| Item::Watch(Watch { groups: bytes_of(&begun) })),
                    (!wanted.is_empty())
                        .then(|| Item::ReadHeads(ReadHeads { request, groups: bytes_of(&wanted) })),
                    (!ended.is_empty())
                        .then(|| Item::Unwatch(Unwatch { groups: bytes_of(&ended) })),
                ];
                for item in items.into_iter().flatten() {
                    if link.send(Box::new(item)).await.is_err() {
                        return LinkError::Ended;
                    }
                }
            }
        }
    }
}

/// The ids in one piece of memory, cut up.
pub(super) fn bytes_of(ids: &[GroupId]) -> Vec<Bytes> {
    let mut all: Bytes = ids.iter().flat_map(|id| *id.as_bytes()).collect();
    ids.iter().map(|id| all.split_to(id.as_bytes().len())).collect()
}
