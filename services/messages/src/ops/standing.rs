use std::collections::HashSet;

use sotto_ids::{AccountUuid, DeviceAddress};

use super::Messages;
use crate::device_sets::Known;

impl Messages {
    /// Those of these devices that their accounts do not have any more.
    ///
    /// While keys cannot be asked, nobody is: a token lives ten minutes, and to keep
    /// all from their messages because of one that was revoked would cost more than
    /// it saves.
    pub(super) async fn gone(
        &self,
        devices: impl Iterator<Item = DeviceAddress>,
    ) -> HashSet<DeviceAddress> {
        let devices: HashSet<DeviceAddress> = devices.collect();
        let accounts: HashSet<AccountUuid> = devices.iter().map(|device| device.account).collect();
        let remembered = self.device_sets.remembered(accounts.iter());
        let doubtful: HashSet<DeviceAddress> = devices
            .into_iter()
            .filter(|device| !remembered.get(&device.account).is_some_and(|set| has(set, *device)))
            .collect();
        if doubtful.is_empty() || self.device_sets.are_away() {
            return HashSet::new();
        }
        let accounts: HashSet<AccountUuid> = doubtful.iter().map(|device| device.account).collect();
        let accounts: Vec<AccountUuid> = accounts.into_iter().collect();
        let Ok(sets) = self.device_sets.fetch(&accounts).await else {
            return HashSet::new();
        };
        let is_gone = |device: &DeviceAddress| {
            sets.get(&device.account).is_some_and(|set| !has(set, *device))
        };
        let gone: HashSet<DeviceAddress> = doubtful.into_iter().filter(is_gone).collect();
        for device in &gone {
            self.purges.add(device.account);
        }
        gone
    }
}

fn has(set: &Known, device: DeviceAddress) -> bool {
    set.as_ref().is_some_and(|set| set.has_live(device.device))
}
