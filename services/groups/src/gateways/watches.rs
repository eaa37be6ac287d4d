use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use sotto_ids::GroupId;

use super::Gateway;
use crate::metrics;

/// Which gateways watch which groups.
#[derive(Debug, Default)]
pub(super) struct Watches(RwLock<HashMap<GroupId, Vec<Arc<Gateway>>>>);

/// The groups that one gateway watches.
#[derive(Debug)]
pub(super) struct Watched {
    room: usize,
    groups: Mutex<HashSet<GroupId>>,
}

impl Watched {
    pub(super) fn new(room: usize) -> Self {
        Self { room, groups: Mutex::default() }
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<GroupId>> {
        // Each change is complete before anything could panic.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watches {
    /// Adds groups. Those that a gateway has no room for are passed over: it finds out what
    /// is stored there by its audit.
    pub(super) fn add(&self, gateway: &Arc<Gateway>, groups: impl Iterator<Item = GroupId>) {
        let mut watches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut watched = gateway.watched.groups();
        for group in groups {
            if watched.len() >= gateway.watched.room && !watched.contains(&group) {
                metrics::watch_refused();
            } else if watched.insert(group) {
                watches.entry(group).or_default().push(Arc::clone(gateway));
            }
        }
        metrics::watched(watches.len());
    }

    pub(super) fn remove(&self, gateway: &Arc<Gateway>, groups: impl Iterator<Item = GroupId>) {
        let mut watches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut watched = gateway.watched.groups();
        for group in groups {
            if watched.remove(&group) {
                leave(&mut watches, gateway, group);
            }
        }
        metrics::watched(watches.len());
    }

    /// A gateway that has left watches nothing.
    pub(super) fn remove_all(&self, gateway: &Arc<Gateway>) {
        let mut watches = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for group in std::mem::take(&mut *gateway.watched.groups()) {
            leave(&mut watches, gateway, group);
        }
        metrics::watched(watches.len());
    }

    /// Who watches a group.
    pub(super) fn of(&self, group: GroupId) -> Vec<Arc<Gateway>> {
        let watches = self.0.read().unwrap_or_else(PoisonError::into_inner);
        watches.get(&group).cloned().unwrap_or_default()
    }
}

fn leave(
    watches: &mut HashMap<GroupId, Vec<Arc<Gateway>>>,
    gateway: &Arc<Gateway>,
    group: GroupId,
) {
    let Some(gateways) = watches.get_mut(&group) else { return };
    gateways.retain(|other| !Arc::ptr_eq(other, gateway));
    if gateways.is_empty() {
        watches.remove(&group);
    }
}
