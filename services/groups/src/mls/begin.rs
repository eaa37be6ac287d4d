use openmls::{
    group::ProposalStore,
    prelude::{LeafNodeIndex, PublicGroup},
};
use sotto_ids::GroupId;
use sotto_mls::{CIPHERSUITE, LeafId, Policy, config, identity::Claim, policy};
use sotto_mls_provider::{Crypto, Values};

use super::{ExternalSender, Tracked, handshake};
use crate::{domain::Epoch, error::GroupsError};

/// A group, or a generation of one, that begins with its maker alone.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) tracked: Tracked,
    /// To be stored.
    pub(crate) state: Vec<u8>,
    /// What keys has to certify.
    pub(crate) claim: Claim,
}

/// Where the maker's leaf is: the first of a tree of one.
pub(crate) const MAKERS_LEAF: u32 = 0;

/// Checks the GroupInfo with which a generation of a group begins, and begins to follow it.
/// `before`: the policy of the generation that ends, if one does.
pub(crate) fn begin(
    group_info: &[u8],
    (group, generation): (GroupId, u32),
    before: Option<&Policy>,
    maker: LeafId,
    external_sender: &ExternalSender,
) -> Result<Beginning, GroupsError> {
    let at = Epoch { generation, epoch: 0 };
    let info = handshake::read_group_info(group_info, group, at)?;
    let tree = info.extensions().ratchet_tree().map(|tree| tree.ratchet_tree().clone());
    let (Some(tree), true) = (tree, info.extensions().external_pub().is_some()) else {
        return Err(GroupsError::GroupInfoMismatch);
    };
    let values = Values::default();
    let (public, _) =
        PublicGroup::from_external(&Crypto, &values, tree, info, ProposalStore::new())
            .map_err(|error| GroupsError::CommitInvalid { why: error.to_string() })?;
    if public.ciphersuite() != CIPHERSUITE {
        return Err(GroupsError::CommitInvalid { why: "groups have another suite".to_owned() });
    }
    if !config::is_ours(public.group_context().extensions(), &external_sender.listed()) {
        return Err(GroupsError::NotAllowed { rule: "extensions" });
    }
    let leaf = public.leaf(LeafNodeIndex::new(MAKERS_LEAF)).map(Claim::of_leaf);
    let Some(Ok(claim)) = leaf else {
        return Err(GroupsError::LeafUncertified);
    };
    let state = values.to_bytes();
    let tracked = Tracked::new(group, at, public, &state);
    policy::check_begin(before, &tracked.policy()?, &tracked.members()?, maker)?;
    Ok(Beginning { tracked, state, claim })
}
