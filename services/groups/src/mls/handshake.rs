use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{ContentType, PublicMessageIn, Sender},
};
use sotto_ids::GroupId;
use sotto_mls::wire;

use crate::{domain::Epoch, error::GroupsError};

/// A commit or a proposal of which nothing has been checked but the form.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub(crate) message: PublicMessageIn,
    /// The epoch that it was made in.
    pub(crate) at: Epoch,
}

impl Handshake {
    /// The leaf of the member who says to have made it; `None` where nobody in the group does.
    pub(crate) fn leaf_index(&self) -> Option<u32> {
        match self.message.sender() {
            Sender::Member(leaf) => Some(leaf.u32()),
            _ => None,
        }
    }

    /// Whether somebody joins by it from outside (RFC 9420, 12.4.3.2).
    pub(crate) fn joins(&self) -> bool {
        *self.message.sender() == Sender::NewMemberCommit
    }
}

/// Reads a PublicMessage of the group, with this content. `what` is what callers call it.
pub(crate) fn read(
    bytes: &[u8],
    group: GroupId,
    content: ContentType,
    what: &'static str,
) -> Result<Handshake, GroupsError> {
    let malformed = || GroupsError::MalformedMls { what };
    let message = wire::public_message(bytes).map_err(|_| malformed())?;
    let (of, generation) =
        GroupId::from_mls_id(message.group_id().as_slice()).map_err(|_| malformed())?;
    if of != group || message.content_type() != content {
        return Err(malformed());
    }
    let at = Epoch { generation, epoch: message.epoch().as_u64() };
    Ok(Handshake { message, at })
}

/// The group that a GroupInfo of generation 0 is of.
pub(crate) fn group_of(group_info: &[u8]) -> Result<GroupId, GroupsError> {
    let malformed = || GroupsError::MalformedMls { what: "group_info" };
    let info = wire::group_info(group_info).map_err(|_| malformed())?;
    match GroupId::from_mls_id(info.group_id().as_slice()) {
        Ok((group, 0)) => Ok(group),
        _ => Err(malformed()),
    }
}

/// Reads a GroupInfo of the group, in the epoch `at`.
pub(crate) fn read_group_info(
    bytes: &[u8],
    group: GroupId,
    at: Epoch,
) -> Result<VerifiableGroupInfo, GroupsError> {
    let malformed = GroupsError::MalformedMls { what: "group_info" };
    let info = wire::group_info(bytes).map_err(|_| malformed)?;
    let is_right = info.group_id().as_slice() == group.mls_id(at.generation)
        && info.epoch().as_u64() == at.epoch;
    if is_right { Ok(info) } else { Err(GroupsError::GroupInfoMismatch) }
}
