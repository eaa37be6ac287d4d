use std::collections::BTreeMap;

use openmls::prelude::{LeafNodeIndex, PublicGroup};
use sotto_ids::AccountId;

use crate::identity::{Claim, LeafId, MalformedIdentity};

/// A leaf of a tree names no device of an account, or two name the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedMember {
    /// A credential that is none of ours.
    #[error(transparent)]
    Identity(#[from] MalformedIdentity),
    /// A device has two leaves.
    #[error("a device has two leaves")]
    Twice,
}

/// The leaves of a tree and whom they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    by_index: BTreeMap<u32, Claim>,
    by_leaf: BTreeMap<LeafId, u32>,
}

impl Members {
    /// Reads the tree of a group. `MlsGroup::public_group` gives the group of a member.
    ///
    /// # Errors
    ///
    /// Where a leaf is none of ours. No such leaf gets into a group whose commits were checked.
    pub fn of(group: &PublicGroup) -> Result<Self, MalformedMember> {
        let mut members = Self::default();
        for (index, leaf) in group.treesync().full_leaves() {
            members.insert(index, Claim::of_leaf(leaf)?)?;
        }
        Ok(members)
    }

    /// Puts leaves together, for what has no tree.
    ///
    /// # Errors
    ///
    /// Where a device has two leaves.
    pub fn from_leaves(
        leaves: impl IntoIterator<Item = (LeafNodeIndex, Claim)>,
    ) -> Result<Self, MalformedMember> {
        let mut members = Self::default();
        for (index, claim) in leaves {
            members.insert(index, claim)?;
        }
        Ok(members)
    }

    fn insert(&mut self, index: LeafNodeIndex, claim: Claim) -> Result<(), MalformedMember> {
        self.by_index.insert(index.u32(), claim);
        match self.by_leaf.insert(claim.leaf, index.u32()) {
            None => Ok(()),
            Some(_) => Err(MalformedMember::Twice),
        }
    }

    /// How many leaves there are.
    pub fn len(&self) -> usize {
        self.by_index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_index.is_empty()
    }

    /// Whom a leaf stands for.
    pub fn at(&self, index: LeafNodeIndex) -> Option<LeafId> {
        self.by_index.get(&index.u32()).map(|claim| claim.leaf)
    }

    /// The leaf of a device.
    pub fn find(&self, leaf: &LeafId) -> Option<LeafNodeIndex> {
        self.by_leaf.get(leaf).copied().map(LeafNodeIndex::new)
    }

    /// Whether any device of an account has a leaf.
    pub fn has_account(&self, account: &AccountId) -> bool {
        self.of_account(account).next().is_some()
    }

    /// The leaves of an account's devices, by device.
    pub fn of_account(
        &self,
        account: &AccountId,
    ) -> impl Iterator<Item = (LeafNodeIndex, LeafId)> + use<'_> {
        let account = *account;
        let first = LeafId::new(account, sotto_ids::DeviceId::FIRST);
        self.by_leaf
            .range(first..)
            .take_while(move |(leaf, _)| leaf.account == account)
            .map(|(leaf, index)| (LeafNodeIndex::new(*index), *leaf))
    }

    /// All leaves, by their place in the tree.
    pub fn iter(&self) -> impl Iterator<Item = (LeafNodeIndex, LeafId)> + '_ {
        self.by_index.iter().map(|(index, claim)| (LeafNodeIndex::new(*index), claim.leaf))
    }

    /// What all leaves say of themselves. Who joins a group has to have each certified.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.by_index.values()
    }
}
