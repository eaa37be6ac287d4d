use std::time::Instant;

use sotto_ids::{DeviceAddress, GroupId};
use sotto_proto::groups::LogPage;

use super::Groups;
use crate::{
    db::{
        self,
        read::{Membership, PageBounds},
    },
    error::GroupsError,
    metrics,
};

impl Groups {
    /// The entries after `after` that a device may read: from the one with which it came to
    /// the one with which it went. `head_seq` is the last of those.
    ///
    /// # Errors
    ///
    /// `not_a_member`; `log_expired` where entries that it has not read are not kept any
    /// more.
    pub(crate) async fn read_log(
        &self,
        group: GroupId,
        caller: DeviceAddress,
        after: u64,
        limit: u32,
    ) -> Result<LogPage, GroupsError> {
        let _turn = self.delivery.reads.acquire().await;
        let started = Instant::now();
        let member = db::members::find(group, caller, &self.db).await?;
        let member = member.ok_or(GroupsError::NotAMember)?;
        let stands = db::groups::find(group, &self.db).await?.ok_or(GroupsError::NotAMember)?;

        let head_seq = member.removed_seq.unwrap_or(stands.head.seq);
        let after = after.max(member.joined_seq.saturating_sub(1));
        if after < head_seq && after + 1 < stands.kept_from_seq {
            return Err(GroupsError::LogExpired);
        }
        let bounds = PageBounds { entries: limit, bytes: self.config.log.page_bytes.0 };
        let entries = db::read::page(group, after, head_seq, bounds, &self.db).await?;
        // It began to expire between the two statements.
        if after < head_seq && entries.first().is_none_or(|entry| entry.seq != after + 1) {
            return Err(GroupsError::LogExpired);
        }
        metrics::page_read(started.elapsed());
        Ok(LogPage { entries, head_seq })
    }

    /// The groups that a device is, or was, in.
    pub(crate) async fn memberships(
        &self,
        caller: DeviceAddress,
    ) -> Result<Vec<Membership>, GroupsError> {
        let _turn = self.delivery.reads.acquire().await;
        let limit = self.config.gateways.groups_of_device;
        Ok(db::read::list_memberships(caller, limit, &self.db).await?)
    }
}
