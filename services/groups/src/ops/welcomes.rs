use sotto_ids::{DeviceAddress, GroupId};

use super::Groups;
use crate::{
    db::{self, welcomes::Welcome},
    domain::Epoch,
    error::GroupsError,
};

impl Groups {
    /// The Welcomes that wait for a device, oldest first, at most as many as an answer has.
    pub(crate) async fn welcomes(
        &self,
        device: DeviceAddress,
        limit: Option<u32>,
    ) -> Result<Vec<Welcome>, GroupsError> {
        let most = self.config.welcomes.page;
        let limit = limit.unwrap_or(most).clamp(1, most);
        Ok(db::welcomes::list(device, limit, &self.db).await?)
    }

    /// Deletes a Welcome that the device has used, or cannot use. The same again changes
    /// nothing. The tree goes with the last Welcome that needs it.
    pub(crate) async fn forget_welcome(
        &self,
        device: DeviceAddress,
        group: GroupId,
        at: Epoch,
    ) -> Result<(), GroupsError> {
        let mut tx = self.db.begin().await?;
        if db::welcomes::delete(device, group, at, &mut *tx).await? {
            db::trees::delete_unneeded(group, at, &mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
