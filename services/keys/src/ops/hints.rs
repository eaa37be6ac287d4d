//! Hints to the other roles, through Redis. Each is sent after the commit that it
//! tells of, and none is worth failing a request for: what it says is found out
//! without it, later.

use std::{future::Future, time::Duration};

use redis::RedisResult;
use sotto_ids::{AccountUuid, DeviceAddress};
use sotto_kit::fault::chain;
use sotto_store::notices::Notice;

use super::Keys;
use crate::metrics;

/// How long a request waits for a hint to be taken.
const PATIENCE: Duration = Duration::from_millis(500);

impl Keys {
    /// Whoever remembers the devices of the account forgets them.
    pub(super) async fn tell_devices_changed(&self, account: AccountUuid) {
        tell("devices", self.device_changes.publish(account)).await;
    }

    /// The socket of a revoked device closes.
    pub(super) async fn tell_revoked(&self, device: DeviceAddress) {
        let notice = |connection| Notice::Revoked { connection };
        tell("revoked", self.notices.notify_device(device, notice)).await;
    }

    /// A device that is online uploads more keys.
    pub(super) async fn tell_low_water(
        &self,
        device: DeviceAddress,
        one_time_ec: u32,
        one_time_kyber: u32,
    ) {
        let notice = |connection| Notice::PrekeysLow { connection, one_time_ec, one_time_kyber };
        tell("low_water", self.notices.notify_device(device, notice)).await;
    }

    /// A device that is online uploads more KeyPackages.
    pub(super) async fn tell_key_packages_low(&self, device: DeviceAddress, key_packages: u32) {
        let notice = |connection| Notice::KeyPackagesLow { connection, key_packages };
        tell("key_packages_low", self.notices.notify_device(device, notice)).await;
    }
}

async fn tell<T>(hint: &'static str, sent: impl Future<Output = RedisResult<T>>) {
    match tokio::time::timeout(PATIENCE, sent).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            metrics::hint_lost(hint);
            tracing::warn!(hint, error = chain(&error), "a hint was lost");
        }
        Err(_) => {
            metrics::hint_lost(hint);
            tracing::warn!(hint, "a hint took too long");
        }
    }
}
