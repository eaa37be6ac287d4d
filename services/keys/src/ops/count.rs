use sotto_ids::DeviceAddress;

use super::Keys;
use crate::{
    db::{self, shelves::Stock},
    error::KeysError,
};

impl Keys {
    /// What is left on the caller's own shelf.
    #[tracing::instrument(name = "keys.count_prekeys", skip_all)]
    pub(crate) async fn count_prekeys(&self, device: DeviceAddress) -> Result<Stock, KeysError> {
        self.check_live(device).await?;
        db::shelves::count(device, &self.db).await?.ok_or(KeysError::DeviceRevoked)
    }
}
