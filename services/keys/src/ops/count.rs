use sotto_ids::DeviceAddress;

use super::{KeyPackageStock, Keys};
use crate::{
    db::{self, shelves::Stock},
    error::KeysError,
};

impl Keys {
    /// What is left on the caller's own shelf.
    #[tracing::instrument(name = "keys.count_keys", skip_all)]
    pub(crate) async fn count_keys(
        &self,
        device: DeviceAddress,
    ) -> Result<(Stock, KeyPackageStock), KeysError> {
        self.check_live(device).await?;
        let prekeys =
            db::shelves::count(device, &self.db).await?.ok_or(KeysError::DeviceRevoked)?;
        Ok((prekeys, self.count_key_packages(device).await?))
    }
}
