//! What a staged commit of OpenMLS does, and whether its author may.

use openmls::prelude::{
    Extension, Extensions, GroupContext, LeafNodeIndex, Proposal, ProposalOrRefType, PublicGroup,
    QueuedProposal, Sender, StagedCommit,
};

use crate::{
    Members,
    identity::{Claim, MalformedIdentity},
    members::MalformedMember,
    policy::{
        Changes, Committer, MalformedPolicy, POLICY_EXTENSION, Policy, PolicyError, Proposer,
        Removal, check_commit,
    },
};

/// What a commit does, after it was found to be allowed.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Who made it.
    pub committer: Committer,
    /// What it does.
    pub changes: Changes,
    /// What the leaves say of themselves that it adds or renews. The commit may be taken only
    /// if the chain of each account certifies the key of its device.
    pub claims: Vec<Claim>,
    /// The policy of the group after it.
    pub policy: Policy,
    /// Whose leaves there were before it.
    pub members: Members,
}

/// A commit is not to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Its author may not do this.
    #[error(transparent)]
    NotAllowed(#[from] PolicyError),
    /// A leaf that it adds or renews names no device.
    #[error(transparent)]
    Identity(#[from] MalformedIdentity),
    /// The group was none of ours before it.
    #[error(transparent)]
    Member(#[from] MalformedMember),
    /// The group has no policy before it, or would have none after it.
    #[error(transparent)]
    Policy(#[from] MalformedPolicy),
}

/// Judges a staged commit, on the server and in each client alike.
///
/// `group` is the group before the commit: the server's own, or a member's
/// `MlsGroup::public_group`. `sender` is that of the processed message, or the own leaf for a
/// commit that a member is about to send.
///
/// The commit is valid already as MLS sees it, or OpenMLS had not staged it. What is left to the
/// caller: that the keys are certified ([`Checked::claims`]), and that each proposal of the
/// epoch is in it.
///
/// # Errors
///
/// Where it is not to be taken.
pub fn check(
    group: &PublicGroup,
    sender: &Sender,
    staged: &StagedCommit,
) -> Result<Checked, CommitError> {
    let members = Members::of(group)?;
    let extensions = group.group_context().extensions();
    let before = Policy::from_extensions(extensions)?;
    let renewed = staged.update_path_leaf_node().map(Claim::of_leaf).transpose()?;
    let committer = match sender {
        Sender::Member(index) => Committer::Member(*index),
        Sender::NewMemberCommit => {
            // An external commit always has a path.
            Committer::External(renewed.ok_or(PolicyError::Proposal)?.leaf)
        }
        Sender::External(_) | Sender::NewMemberProposal => {
            return Err(PolicyError::Proposal.into());
        }
    };
    let mut changes =
        Changes { committer_leaf: renewed.map(|claim| claim.leaf), ..Changes::default() };
    let mut claims: Vec<_> = renewed.into_iter().collect();
    for queued in staged.queued_proposals() {
        let proposer = proposer(queued, sender)?;
        match (queued.proposal(), proposer) {
            (Proposal::Add(add), Proposer::Committer) => {
                let claim = Claim::of_leaf(add.key_package().leaf_node())?;
                changes.adds.push(claim.leaf);
                claims.push(claim);
            }
            (Proposal::Remove(remove), proposer) => {
                changes.removals.push(Removal { index: remove.removed(), proposer });
            }
            (Proposal::GroupContextExtensions(context), Proposer::Committer) => {
                changes.policy = Some(new_policy(extensions, context.extensions())?);
            }
            (Proposal::ExternalInit(_), Proposer::Committer)
                if matches!(committer, Committer::External(_)) => {}
            _ => return Err(PolicyError::Proposal.into()),
        }
    }
    check_commit(&before, &members, committer, &changes)?;
    let policy = changes.policy.clone().unwrap_or(before);
    Ok(Checked { committer, changes, claims, policy, members })
}

/// What is proposed in the commit itself comes from the committer, and what it refers to from
/// whoever proposed it, even where that is the same member.
fn proposer(queued: &QueuedProposal, committer: &Sender) -> Result<Proposer, PolicyError> {
    match (queued.proposal_or_ref_type(), queued.sender()) {
        (ProposalOrRefType::Proposal, sender) if sender == committer => Ok(Proposer::Committer),
        (ProposalOrRefType::Reference, Sender::Member(index)) => Ok(Proposer::Member(*index)),
        (ProposalOrRefType::Reference, Sender::External(_)) => Ok(Proposer::ExternalSender),
        _ => Err(PolicyError::Proposal),
    }
}

/// The policy of extensions that are to replace others: everything else stays as it is.
fn new_policy(
    before: &Extensions<GroupContext>,
    after: &Extensions<GroupContext>,
) -> Result<Policy, CommitError> {
    let fixed = |extensions: &Extensions<GroupContext>| -> Vec<Extension> {
        let is_policy =
            |extension: &Extension| u16::from(extension.extension_type()) == POLICY_EXTENSION;
        extensions.iter().filter(|extension| !is_policy(extension)).cloned().collect()
    };
    if fixed(before) != fixed(after) {
        return Err(PolicyError::Extensions.into());
    }
    Ok(Policy::from_extensions(after)?)
}

/// Reads a proposal on its own, for the server: is it a member's to remove its own leaf?
///
/// Gives the leaf. Nothing else is taken into the log of an epoch from members.
///
/// # Errors
///
/// [`PolicyError::Proposal`] where it is another.
pub fn own_leave(queued: &QueuedProposal) -> Result<LeafNodeIndex, PolicyError> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), Sender::Member(index)) if remove.removed() == *index => {
            Ok(*index)
        }
        _ => Err(PolicyError::Proposal),
    }
}
