use openmls::prelude::{GroupId as MlsGroupId, PublicGroup};
use sotto_ids::GroupId;
use sotto_mls::{Members, Policy, tree};
use sotto_mls_provider::Values;
use tls_codec::Serialize as _;

use crate::{domain::Epoch, error::GroupsError};

/// The public state of a group in one epoch.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) group: GroupId,
    pub(crate) at: Epoch,
    pub(super) public: PublicGroup,
    /// The bytes that it was read from, roughly what it takes in memory.
    weight: usize,
}

impl Tracked {
    pub(super) fn new(group: GroupId, at: Epoch, public: PublicGroup, stored: &[u8]) -> Self {
        Self { group, at, public, weight: stored.len() }
    }

    /// Reads what was stored of a group in an epoch.
    pub(crate) fn decode(group: GroupId, at: Epoch, stored: &[u8]) -> Result<Self, GroupsError> {
        let damaged = || GroupsError::Damaged("state of a group");
        let values = Values::from_bytes(stored).map_err(|_| damaged())?;
        let id = MlsGroupId::from_slice(&group.mls_id(at.generation));
        let public = PublicGroup::load(&values, &id).map_err(|_| damaged())?.ok_or_else(damaged)?;
        if public.group_context().epoch().as_u64() != at.epoch {
            return Err(damaged());
        }
        Ok(Self::new(group, at, public, stored))
    }

    /// Bytes that it takes, roughly.
    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }

    /// The ratchet tree (RFC 9420, 7.8), compressed.
    pub(crate) fn compressed_tree(&self) -> Result<Vec<u8>, GroupsError> {
        let tree = self.public.export_ratchet_tree();
        let bytes = tree.tls_serialize_detached();
        Ok(tree::compress(&bytes.map_err(|_| GroupsError::Damaged("tree of a group"))?))
    }

    /// Who is in the group. Each commit was checked, so all leaves are of our form.
    pub(crate) fn members(&self) -> Result<Members, GroupsError> {
        Members::of(&self.public).map_err(|_| GroupsError::Damaged("leaf of a group"))
    }

    /// What the group holds its members to.
    pub(crate) fn policy(&self) -> Result<Policy, GroupsError> {
        Policy::from_extensions(self.public.group_context().extensions())
            .map_err(|_| GroupsError::Damaged("policy of a group"))
    }
}
