//! Who may send in a group: the devices that are in it, without the tree, remembered for the
//! epoch in which they were.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sotto_ids::{DeviceAddress, GroupId};

use crate::{config::RosterConfig, domain::Epoch, halves::Halves, metrics};

/// The devices of a group in one epoch: 17 bytes each, sorted.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    at: Epoch,
    devices: Arc<[DeviceAddress]>,
}

impl Roster {
    /// Of devices in any order.
    pub(crate) fn new(at: Epoch, mut devices: Vec<DeviceAddress>) -> Self {
        devices.sort_unstable();
        Self { at, devices: devices.into() }
    }

    pub(crate) fn has(&self, device: DeviceAddress) -> bool {
        self.devices.binary_search(&device).is_ok()
    }
}

/// The rosters that are remembered. Each counts for its epoch alone, since only what ends
/// an epoch changes who is in a group; so none has to be told that it is over.
#[derive(Debug)]
pub(crate) struct Rosters(Mutex<Halves<GroupId, Roster>>);

impl Rosters {
    pub(crate) fn new(config: &RosterConfig) -> Self {
        Self(Mutex::new(Halves::new(config.devices)))
    }

    /// Those of these groups that are remembered for just this epoch.
    pub(crate) fn remembered(
        &self,
        groups: impl Iterator<Item = (GroupId, Epoch)>,
    ) -> HashMap<GroupId, Roster> {
        let mut rosters = self.rosters();
        let mut found = HashMap::new();
        let mut missed = 0;
        for (group, at) in groups {
            match rosters.find(group) {
                Some(roster) if roster.at == at => drop(found.insert(group, roster.clone())),
                _ => missed += 1,
            }
        }
        metrics::rosters("cache", found.len());
        metrics::rosters("database", missed);
        found
    }

    pub(crate) fn remember(&self, group: GroupId, roster: Roster) {
        let weight = roster.devices.len().max(1);
        self.rosters().insert(group, weight, roster);
    }

    fn rosters(&self) -> MutexGuard<'_, Halves<GroupId, Roster>> {
        // What a panic left half-changed holds true entries all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sotto_ids::{AccountId, DeviceId};

    use super::*;

    fn device(seed: u8) -> DeviceAddress {
        DeviceAddress::new(AccountId::new([seed; 32]).uuid(), DeviceId::FIRST)
    }

    const fn at(epoch: u64) -> Epoch {
        Epoch { generation: 0, epoch }
    }

    #[test]
    fn a_roster_is_good_for_its_epoch_alone() {
        let rosters = Rosters::new(&RosterConfig { devices: 1_000 });
        let group = GroupId::new([1; 16]);
        rosters.remember(group, Roster::new(at(1), vec![device(9), device(3)]));

        let found = rosters.remembered([(group, at(1))].into_iter());

        assert!(found[&group].has(device(3)) && found[&group].has(device(9)));
        assert!(!found[&group].has(device(4)));
        assert!(rosters.remembered([(group, at(2))].into_iter()).is_empty());
    }
}
