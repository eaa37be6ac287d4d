use sotto_ids::DeviceAddress;

use super::Keys;
use crate::{
    db::{self, devices::Device},
    error::KeysError,
};

impl Keys {
    /// Demands that a device is still one of its account.
    ///
    /// A token says only that it was when the token was sold, so that each request by
    /// one asks again.
    pub(super) async fn check_live(&self, device: DeviceAddress) -> Result<Device, KeysError> {
        let found = db::devices::find(device, self.clock.now_ms(), &self.db)
            .await?
            .ok_or_else(|| unknown(device))?;
        demand_live(found.is_revoked, found.is_expired)?;
        Ok(found)
    }
}

/// There is no such device.
pub(super) fn unknown(device: DeviceAddress) -> KeysError {
    KeysError::UnknownDevices { device_ids: vec![device.device] }
}

/// Demands of what was found of a device that it is still one of its account.
pub(super) const fn demand_live(is_revoked: bool, is_expired: bool) -> Result<(), KeysError> {
    match (is_revoked, is_expired) {
        (true, _) => Err(KeysError::DeviceRevoked),
        (false, true) => Err(KeysError::DeviceExpired),
        (false, false) => Ok(()),
    }
}
