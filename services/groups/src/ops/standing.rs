use prost::Message as _;
use sotto_ids::{DeviceAddress, GroupId};
use sotto_kit::auth::Caller;
use sotto_mls::LeafId;

use super::Groups;
use crate::{
    db::{self, groups::Group, members::Member},
    domain::Epoch,
    error::{Behind, GroupsError, Lag},
};

/// A group, and what the caller is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) group: Group,
    /// `None` where the device is not in the group.
    pub(super) member: Option<Member>,
}

impl Standing {
    /// Demands that the device is in the group.
    pub(super) fn member(&self) -> Result<Member, GroupsError> {
        self.member.ok_or(GroupsError::NotAMember)
    }
}

/// The leaf that a caller would have.
pub(super) const fn leaf_of(caller: &Caller) -> LeafId {
    LeafId::new(caller.account_id, caller.device.device)
}

impl Groups {
    /// Where a group and a device stand. For whoever is not in it there is no such group.
    pub(super) async fn standing(
        &self,
        group: GroupId,
        device: DeviceAddress,
    ) -> Result<Standing, GroupsError> {
        // The member first: whoever has been seen to be in the group is in this epoch or has
        // been removed by the one that is found.
        let member = db::members::find(group, device, &self.db).await?;
        let found = db::groups::find(group, &self.db).await?.ok_or(GroupsError::NotAMember)?;
        Ok(Standing { group: found, member: member.filter(Member::is_present) })
    }

    /// The refusal of what was made in the epoch `from`, with what its maker lacks: as far as
    /// it is small enough and the maker was in the group then.
    pub(super) async fn behind(&self, lag: Lag, from: Epoch, standing: &Standing) -> GroupsError {
        match self.missed(lag, from, standing).await {
            Ok(behind) => behind.into(),
            Err(error) => error,
        }
    }

    async fn missed(
        &self,
        lag: Lag,
        from: Epoch,
        standing: &Standing,
    ) -> Result<Behind, GroupsError> {
        let head = standing.group.head;
        let Some(member) = standing.member else {
            return Ok(Behind { lag, at: head.at, entries: Vec::new(), more: false });
        };
        let bounds = &self.config.commits;
        let limit = bounds.refusal_entries;
        let mut entries =
            db::log::list_handshakes(head.group, from, head.seq, limit + 1, &self.db).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut more = entries.len() > most;
        entries.truncate(most);
        entries.retain(|entry| entry.seq >= member.joined_seq);
        let mut bytes = 0;
        let fitting = entries
            .iter()
            .take_while(|entry| {
                bytes += entry.encoded_len();
                bytes <= bounds.refusal_bytes.0
            })
            .count();
        more |= fitting < entries.len();
        entries.truncate(fitting);
        Ok(Behind { lag, at: head.at, entries, more })
    }
}
