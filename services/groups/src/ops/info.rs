use bytes::Bytes;
use sotto_ids::{DeviceAddress, GroupId};

use super::Groups;
use crate::{
    db::{self, states::Info},
    domain::Epoch,
    error::GroupsError,
};

impl Groups {
    /// What a device needs to join a group from outside, but for the tree. For devices of the
    /// accounts that are in the group.
    pub(crate) async fn info(
        &self,
        group: GroupId,
        device: DeviceAddress,
    ) -> Result<Info, GroupsError> {
        if !db::members::has_account(group, device.account, &self.db).await? {
            return Err(GroupsError::NotAMember);
        }
        db::states::find_info(group, &self.db).await?.ok_or(GroupsError::NotAMember)
    }

    /// The ratchet tree of an epoch, compressed: of the one that the group is in for devices of
    /// accounts that are in it, of an earlier one for who was welcomed into it.
    pub(crate) async fn tree(
        &self,
        group: GroupId,
        at: Epoch,
        device: DeviceAddress,
    ) -> Result<Bytes, GroupsError> {
        let is_welcomed = db::welcomes::waits(device, group, at, &self.db).await?;
        if !is_welcomed && !db::members::has_account(group, device.account, &self.db).await? {
            return Err(GroupsError::NotAMember);
        }
        if !is_welcomed {
            let now = db::groups::find(group, &self.db).await?;
            if now.is_none_or(|now| now.head.at != at) {
                return Err(GroupsError::TreeGone);
            }
        }
        if let Some(kept) = db::trees::find(group, at, &self.db).await? {
            return Ok(kept.into());
        }
        let _reader = self.following.reader().await;
        let Some(tracked) = self.tracked(group, at).await? else {
            return Err(GroupsError::TreeGone);
        };
        let (tree, tracked) =
            self.following.work(move || (tracked.compressed_tree(), tracked)).await?;
        self.following.keep(tracked);
        Ok(tree?.into())
    }
}
