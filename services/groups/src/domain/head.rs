use sotto_ids::GroupId;
use sotto_proto::socket::GroupHead;

/// An epoch of a group. They are ordered: generations first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Epoch {
    /// How often the group had been reset.
    pub(crate) generation: u32,
    /// Of MLS (RFC 9420, 8.1).
    pub(crate) epoch: u64,
}

impl Epoch {
    /// The one that a commit in this one leads to.
    pub(crate) const fn next(self) -> Self {
        Self { generation: self.generation, epoch: self.epoch + 1 }
    }
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) group: GroupId,
    pub(crate) at: Epoch,
    /// Of the last entry of the log.
    pub(crate) seq: u64,
}

impl From<Head> for GroupHead {
    fn from(head: Head) -> Self {
        Self {
            group: head.group.as_bytes().to_vec().into(),
            generation: head.at.generation,
            epoch: head.at.epoch,
            seq: head.seq,
        }
    }
}
