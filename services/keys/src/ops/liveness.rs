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
            .ok_or_else(|| KeysError::UnknownDevices { device_ids: vec![device.device] })?;
        if found.is_revoked {
            return Err(KeysError::DeviceRevoked);
        }
        if found.is_expired {
            return Err(KeysError::DeviceExpired);
        }
        Ok(found)
    }
}
