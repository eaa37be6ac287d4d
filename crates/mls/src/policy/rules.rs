use std::collections::BTreeSet;

use openmls::prelude::LeafNodeIndex;
use sotto_ids::{
    AccountId,
    limits::{MAX_ADDS_PER_COMMIT, MAX_GROUP_DEVICES},
};

use super::{Policy, PolicyError};
use crate::{LeafId, Members};

/// Who made a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committer {
    /// A leaf of the group.
    Member(LeafNodeIndex),
    /// A device that joins by its own commit (RFC 9420, 12.4.3.2).
    External(LeafId),
}

/// Who proposed what a commit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proposer {
    /// The committer itself, in its commit.
    Committer,
    /// A member, earlier in the epoch. The commit had to take the proposal in.
    Member(LeafNodeIndex),
    /// The external sender of the deployment, earlier in the epoch. The commit had to take the
    /// proposal in.
    ExternalSender,
}

/// A leaf that a commit removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// The leaf.
    pub index: LeafNodeIndex,
    /// Who proposed it.
    pub proposer: Proposer,
}

/// What a commit does to a group.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The devices that the committer adds.
    pub adds: Vec<LeafId>,
    /// The leaves that go.
    pub removals: Vec<Removal>,
    /// Whom the committer's leaf names from now on, where the commit renews it.
    pub committer_leaf: Option<LeafId>,
    /// The policy that the committer sets, where it sets one.
    pub policy: Option<Policy>,
}

/// Judges a commit: may this committer do this to a group with this policy and these members?
///
/// What others proposed earlier in the epoch is no fault of the committer, who has to take it
/// in. So a proposal is judged by what its proposer may do.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_commit(
    before: &Policy,
    members: &Members,
    committer: Committer,
    changes: &Changes,
) -> Result<(), PolicyError> {
    let author = match committer {
        Committer::Member(index) => {
            let author = members.at(index).ok_or(PolicyError::NotAMember)?;
            check_member(before, members, author, changes)?;
            author
        }
        Committer::External(leaf) => {
            check_external(members, leaf, changes)?;
            leaf
        }
    };
    if changes.committer_leaf.is_some_and(|leaf| leaf != author) {
        return Err(PolicyError::LeafIdentity);
    }

    let forced = after(members, changes.removals.iter().filter(|removal| is_forced(removal)))?;
    let mut left = after(members, &changes.removals)?;
    if changes.adds.len() > MAX_ADDS_PER_COMMIT {
        return Err(PolicyError::TooManyAdds);
    }
    let joiner = matches!(committer, Committer::External(_)).then_some(author);
    for leaf in changes.adds.iter().copied().chain(joiner) {
        if !left.insert(leaf) {
            return Err(PolicyError::AlreadyMember);
        }
    }
    if left.len() > MAX_GROUP_DEVICES {
        return Err(PolicyError::GroupFull);
    }
    let policy = changes.policy.as_ref().unwrap_or(before);
    check_new_admins(before, policy, &left)?;
    // Where the proposals of others have already taken the last admin away, no commit could
    // do better.
    if has_admin(before, &forced) && !has_admin(policy, &left) {
        return Err(PolicyError::LastAdmin);
    }
    Ok(())
}

/// Judges the beginning of a group, or of a new generation of it: may this device begin it with
/// this policy and these members?
///
/// `before` is the policy of the generation that ends, and none where the group is new. A new
/// generation keeps those admins, or fewer.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_begin(
    before: Option<&Policy>,
    policy: &Policy,
    members: &Members,
    maker: LeafId,
) -> Result<(), PolicyError> {
    if members.len() != 1 || members.find(&maker).is_none() {
        return Err(PolicyError::NotAlone);
    }
    if !policy.is_admin(&maker.account) {
        return Err(PolicyError::LastAdmin);
    }
    let Some(before) = before else {
        let alone = policy.admins.len() == 1;
        return if alone { Ok(()) } else { Err(PolicyError::AdminNotMember) };
    };
    if !before.is_admin(&maker.account) {
        return Err(PolicyError::Policy);
    }
    if !policy.admins.is_subset(&before.admins) {
        return Err(PolicyError::AdminNotMember);
    }
    check_metadata(before, policy)
}

/// Judges a proposal of a member to remove its own leaf, for the server: it is to be refused
/// before it is stored, because every commit has to take it in once it is.
///
/// `pending` are the leaves whose removal is proposed already.
///
/// # Errors
///
/// The rule that it breaks.
pub fn check_leave(
    policy: &Policy,
    members: &Members,
    pending: &[LeafNodeIndex],
    leaver: LeafNodeIndex,
) -> Result<(), PolicyError> {
    members.at(leaver).ok_or(PolicyError::NotAMember)?;
    let as_removal =
        |index: &LeafNodeIndex| Removal { index: *index, proposer: Proposer::ExternalSender };
    let mut removals: Vec<_> = pending.iter().map(as_removal).collect();
    let without = after(members, &removals)?;
    removals.push(as_removal(&leaver));
    let left = after(members, &removals)?;
    if has_admin(policy, &without) && !has_admin(policy, &left) && !left.is_empty() {
        return Err(PolicyError::LastAdmin);
    }
    Ok(())
}

fn check_member(
    before: &Policy,
    members: &Members,
    author: LeafId,
    changes: &Changes,
) -> Result<(), PolicyError> {
    let may_add_others = before.members_may_add || before.is_admin(&author.account);
    if !may_add_others && changes.adds.iter().any(|leaf| leaf.account != author.account) {
        return Err(PolicyError::Add);
    }
    for removal in &changes.removals {
        let removed = members.at(removal.index).ok_or(PolicyError::NotAMember)?;
        let proposer = match removal.proposer {
            Proposer::ExternalSender => continue,
            Proposer::Committer => author,
            Proposer::Member(index) => members.at(index).ok_or(PolicyError::NotAMember)?,
        };
        if removed.account != proposer.account && !before.is_admin(&proposer.account) {
            return Err(PolicyError::Remove);
        }
    }
    if let Some(policy) = &changes.policy {
        if !before.is_admin(&author.account) {
            return Err(PolicyError::Policy);
        }
        check_metadata(before, policy)?;
    }
    Ok(())
}

fn check_metadata(before: &Policy, policy: &Policy) -> Result<(), PolicyError> {
    let changed = policy.metadata_hash != before.metadata_hash;
    if Some(policy.metadata_version) == before.metadata_version.checked_add(changed.into()) {
        Ok(())
    } else {
        Err(PolicyError::MetadataVersion)
    }
}

fn check_external(members: &Members, leaf: LeafId, changes: &Changes) -> Result<(), PolicyError> {
    if !members.has_account(&leaf.account) {
        return Err(PolicyError::ExternalJoin);
    }
    let only_its_own = |removal: &Removal| {
        removal.proposer == Proposer::Committer && members.at(removal.index) == Some(leaf)
    };
    if !changes.adds.is_empty()
        || changes.policy.is_some()
        || !changes.removals.iter().all(only_its_own)
    {
        return Err(PolicyError::ExternalChanges);
    }
    Ok(())
}

fn check_new_admins(
    before: &Policy,
    policy: &Policy,
    left: &BTreeSet<LeafId>,
) -> Result<(), PolicyError> {
    let mut new = policy.admins.difference(&before.admins);
    if new.all(|account| has_account(left, account)) {
        Ok(())
    } else {
        Err(PolicyError::AdminNotMember)
    }
}

fn is_forced(removal: &Removal) -> bool {
    removal.proposer != Proposer::Committer
}

/// Who is left when these are removed.
fn after<'a>(
    members: &Members,
    removals: impl IntoIterator<Item = &'a Removal>,
) -> Result<BTreeSet<LeafId>, PolicyError> {
    let mut left: BTreeSet<_> = members.iter().map(|(_, leaf)| leaf).collect();
    for removal in removals {
        left.remove(&members.at(removal.index).ok_or(PolicyError::NotAMember)?);
    }
    Ok(left)
}

fn has_account(leaves: &BTreeSet<LeafId>, account: &AccountId) -> bool {
    let first = LeafId::new(*account, sotto_ids::DeviceId::FIRST);
    leaves.range(first..).next().is_some_and(|leaf| leaf.account == *account)
}

fn has_admin(policy: &Policy, leaves: &BTreeSet<LeafId>) -> bool {
    policy.admins.iter().any(|account| has_account(leaves, account))
}
