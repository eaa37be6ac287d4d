use std::collections::HashMap;

use sotto_ids::AccountUuid;
use uuid::Uuid;

use super::Keys;
use crate::{
    db::{self, device_sets::DeviceSet},
    error::KeysError,
    metrics,
};

/// The most accounts that one request may ask for.
pub(super) const MOST: usize = 500;

impl Keys {
    /// The ready devices of accounts and the apps that they are bound to, in the order
    /// of the request; `None` where there is no such account.
    #[tracing::instrument(name = "keys.device_sets", skip_all)]
    pub(crate) async fn device_sets(
        &self,
        accounts: &[AccountUuid],
    ) -> Result<Vec<Option<DeviceSet>>, KeysError> {
        if accounts.len() > MOST {
            return Err(KeysError::TooManyAccounts { most: MOST });
        }
        let uuids: Vec<Uuid> = accounts.iter().map(AccountUuid::as_uuid).collect();
        let found = db::device_sets::list(&uuids, self.clock.now_ms(), &self.db).await?;
        metrics::device_sets(accounts.len());

        let by_account: HashMap<Uuid, DeviceSet> =
            found.into_iter().map(|set| (set.account, set)).collect();
        Ok(uuids.iter().map(|uuid| by_account.get(uuid).cloned()).collect())
    }
}
