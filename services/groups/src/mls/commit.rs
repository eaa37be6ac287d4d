use std::collections::{HashMap, HashSet};

use openmls::prelude::{LeafNodeIndex, ProcessedMessageContent, Proposal, StagedCommit};
use sotto_ids::{
    AccountUuid, DeviceAddress,
    limits::{MAX_GROUP_DEVICES, MAX_WELCOME_BYTES},
};
use sotto_mls::{
    LeafId, Members, PolicyError,
    commit::{self, CommitError},
    identity::Claim,
    policy::Committer,
    welcome::{self, WelcomeError},
};
use sotto_mls_provider::{Crypto, Values};
use sotto_proto::socket::GroupEntry;

use super::{ExternalSender, Handshake, Tracked, handshake, info, proposal};
use crate::error::{GroupsError, Lag};

/// A commit and what came with it.
#[derive(Debug)]
pub(crate) struct NewCommit<'a> {
    pub(crate) commit: Handshake,
    pub(crate) group_info: &'a [u8],
    pub(crate) welcome: Option<&'a [u8]>,
    /// Who sent it.
    pub(crate) sender: LeafId,
}

/// A commit that MLS and the policy of the group let pass, and what follows from it. What its
/// leaves claim is for keys to certify.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The group after it.
    pub(crate) next: Tracked,
    /// The same, to be stored.
    pub(crate) state: Vec<u8>,
    /// What the leaf of the committer, and each that is new, says of itself.
    pub(crate) claims: Vec<Claim>,
    /// The other accounts of which it adds devices.
    pub(crate) added_accounts: HashSet<AccountUuid>,
    /// The devices that come, with their leaves.
    pub(crate) joining: Vec<(DeviceAddress, u32)>,
    /// The devices that go. One that is replaced stands in both.
    pub(crate) leaving: Vec<DeviceAddress>,
    /// Each cut to its device.
    pub(crate) welcomes: Vec<(DeviceAddress, Vec<u8>)>,
    /// For those who are welcomed, compressed.
    pub(crate) tree: Option<Vec<u8>>,
    /// The deployment's proposals which the commit could not contain, made again.
    pub(crate) proposed_again: Vec<Vec<u8>>,
}

/// Why a commit does not pass.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It leaves out proposals of the epoch.
    Incomplete(Lag),
    /// For good.
    Wrong(GroupsError),
}

impl<E: Into<GroupsError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Wrong(error.into())
    }
}

impl From<PolicyError> for GroupsError {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::NotAMember => Self::NotAMember,
            PolicyError::GroupFull => Self::GroupFull { most: MAX_GROUP_DEVICES },
            _ => Self::NotAllowed { rule: error.reason() },
        }
    }
}

impl From<CommitError> for GroupsError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotAllowed(error) => error.into(),
            CommitError::Identity(_) => Self::LeafUncertified,
            CommitError::Member(_) => Self::Damaged("leaf of a group"),
            // That of the group was checked when it came.
            CommitError::Policy(_) => Self::MalformedMls { what: "policy" },
        }
    }
}

/// Checks a commit in the epoch of the group as each member will, with all that came with it.
///
/// `proposals` are those of the epoch that stand in the log.
pub(crate) fn check(
    tracked: Tracked,
    proposals: &[GroupEntry],
    new: NewCommit<'_>,
    external_sender: &ExternalSender,
) -> Result<Checked, Refused> {
    let (group, at) = (tracked.group, tracked.at);
    check_sender(&new, &tracked)?;
    let group_info = handshake::read_group_info(new.group_info, group, at.next())?;

    let outstanding = proposal::Outstanding::read(proposals, &tracked)?;
    let mut public = tracked.public;
    let unstored = Values::default();
    for proposal in &outstanding {
        public
            .add_proposal(&unstored, proposal.queued.clone())
            .map_err(|_| GroupsError::Damaged("proposal"))?;
    }
    let sender = new.commit.message.sender().clone();
    let processed = public
        .process_message(&Crypto, new.commit.message)
        .map_err(|error| GroupsError::CommitInvalid { why: error.to_string() })?;
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        return Err(GroupsError::MalformedMls { what: "commit" }.into());
    };
    let commit::Checked { committer, changes, mut claims, members, .. } =
        commit::check(&public, &sender, &staged)?;
    let is_external = matches!(committer, Committer::External(_));
    if is_external && committer != Committer::External(new.sender) {
        return Err(GroupsError::NotAllowed { rule: "own_leaf" }.into());
    }

    let removed: HashSet<_> = changes.removals.iter().map(|removal| removal.index.u32()).collect();
    let kept: Vec<_> = outstanding.iter().filter(|p| !removed.contains(&p.leaf.u32())).collect();
    if !is_external && !kept.is_empty() {
        let of_ours = kept.iter().any(|proposal| proposal.is_ours);
        let lag = if of_ours { Lag::StaleMember } else { Lag::ProposalsMissing };
        return Err(Refused::Incomplete(lag));
    }
    let kept: Vec<_> = kept.iter().filter(|p| p.is_ours).map(|p| p.leaf).collect();
    // A commit without a path renews no leaf, but who sends it has to be live all the same.
    if let Committer::Member(index) = committer
        && changes.committer_leaf.is_none()
        && let Some(leaf) = public.leaf(index)
    {
        claims.push(Claim::of_leaf(leaf).map_err(|_| GroupsError::Damaged("leaf of a group"))?);
    }
    let leaving: Vec<_> = changes.removals.iter().filter_map(|r| members.at(r.index)).collect();
    let welcomes = welcomes(new.welcome, &staged)?;

    let values = Values::default();
    public.merge_commit(&values, *staged).map_err(|_| GroupsError::Damaged("state of a group"))?;
    let state = values.to_bytes();
    let next = Tracked::new(group, at.next(), public, &state);
    let after = next.members()?;
    let signer = after.find(&new.sender).ok_or(GroupsError::NotAMember)?;
    info::check(&group_info, &next.public, signer)?;

    let joining = changes.adds.iter().chain(is_external.then_some(&new.sender));
    let tree = if welcomes.is_empty() { None } else { Some(next.compressed_tree()?) };
    let added_accounts = changes.adds.iter().map(|leaf| leaf.account.uuid());
    let own = new.sender.account.uuid();
    Ok(Checked {
        added_accounts: added_accounts.filter(|account| *account != own).collect(),
        joining: joining.filter_map(|leaf| place(leaf, &after)).collect(),
        leaving: leaving.iter().map(address).collect(),
        proposed_again: propose_again(&kept, &members, &next, external_sender)?,
        next,
        state,
        claims,
        welcomes,
        tree,
    })
}

/// Who sends a commit is who made it.
fn check_sender(new: &NewCommit<'_>, tracked: &Tracked) -> Result<(), GroupsError> {
    let Some(index) = new.commit.leaf_index() else {
        let joins = new.commit.joins();
        return if joins { Ok(()) } else { Err(GroupsError::MalformedMls { what: "commit" }) };
    };
    let leaf = tracked.public.leaf(LeafNodeIndex::new(index)).map(Claim::of_leaf);
    match leaf {
        Some(Ok(claim)) if claim.leaf == new.sender => Ok(()),
        _ => Err(GroupsError::NotAllowed { rule: "own_leaf" }),
    }
}

/// Cuts the Welcome, and demands that it is for exactly those who are added.
fn welcomes(
    welcome: Option<&[u8]>,
    staged: &StagedCommit,
) -> Result<Vec<(DeviceAddress, Vec<u8>)>, GroupsError> {
    let mut added = HashMap::new();
    for queued in staged.queued_proposals() {
        if let Proposal::Add(add) = queued.proposal() {
            let key_package = add.key_package();
            let claim = Claim::of_leaf(key_package.leaf_node())
                .map_err(|_| GroupsError::LeafUncertified)?;
            let reference = key_package
                .hash_ref(&Crypto)
                .map_err(|_| GroupsError::Damaged("reference of a key package"))?;
            added.insert(reference.as_slice().to_vec(), address(&claim.leaf));
        }
    }
    let trimmed = match welcome {
        None => Vec::new(),
        Some(welcome) => welcome::trim(welcome).map_err(|error| match error {
            WelcomeError::TooLarge => {
                GroupsError::TooLarge { what: "welcome", most: MAX_WELCOME_BYTES }
            }
            WelcomeError::Malformed => GroupsError::MalformedMls { what: "welcome" },
            WelcomeError::Twice => GroupsError::WelcomeMismatch,
        })?,
    };
    if trimmed.len() != added.len() || welcome.is_some() == added.is_empty() {
        return Err(GroupsError::WelcomeMismatch);
    }
    trimmed
        .into_iter()
        .map(|one| {
            let device = added.get(&one.key_package_ref).ok_or(GroupsError::WelcomeMismatch)?;
            Ok((*device, one.welcome))
        })
        .collect()
}

/// Who joins from outside cannot take in what others proposed. The deployment proposes again
/// what it still wants; members do it by themselves.
fn propose_again(
    leaves: &[LeafNodeIndex],
    before: &Members,
    next: &Tracked,
    external_sender: &ExternalSender,
) -> Result<Vec<Vec<u8>>, GroupsError> {
    let mut proposals = Vec::new();
    if leaves.is_empty() {
        return Ok(proposals);
    }
    let after = next.members()?;
    for leaf in leaves.iter().filter(|leaf| before.at(**leaf) == after.at(**leaf)) {
        proposals.extend(proposal::propose(next, *leaf, external_sender)?);
    }
    Ok(proposals)
}

fn address(leaf: &LeafId) -> DeviceAddress {
    DeviceAddress::new(leaf.account.uuid(), leaf.device)
}

fn place(leaf: &LeafId, members: &Members) -> Option<(DeviceAddress, u32)> {
    Some((address(leaf), members.find(leaf)?.u32()))
}
