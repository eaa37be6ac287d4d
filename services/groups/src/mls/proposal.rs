use openmls::prelude::{
    ContentType, LeafNodeIndex, ProcessedMessageContent, Proposal, PublicGroup, QueuedProposal,
    Sender,
};
use sotto_mls::{LeafId, commit, policy};
use sotto_mls_provider::Crypto;
use sotto_proto::socket::GroupEntry;

use super::{ExternalSender, Handshake, Tracked, handshake};
use crate::error::GroupsError;

/// A proposal of the epoch, which stands in the log: that a leaf is removed. There are no
/// others.
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) leaf: LeafNodeIndex,
    /// By the deployment, and not by the member itself.
    pub(crate) is_ours: bool,
    pub(crate) seq: u64,
    pub(super) queued: QueuedProposal,
}

impl Outstanding {
    /// Reads the proposals of the epoch as they stand in the log.
    pub(super) fn read(
        entries: &[GroupEntry],
        tracked: &Tracked,
    ) -> Result<Vec<Self>, GroupsError> {
        let damaged = |_| GroupsError::Damaged("proposal");
        entries
            .iter()
            .map(|entry| {
                let proposal =
                    handshake::read(&entry.message, tracked.group, ContentType::Proposal, "log")
                        .map_err(damaged)?;
                Self::process(proposal, entry.seq, &tracked.public).map_err(damaged)
            })
            .collect()
    }

    fn process(proposal: Handshake, seq: u64, public: &PublicGroup) -> Result<Self, GroupsError> {
        let processed = public
            .process_message(&Crypto, proposal.message)
            .map_err(|error| GroupsError::CommitInvalid { why: error.to_string() })?;
        let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
            return Err(GroupsError::NotAllowed { rule: "proposal" });
        };
        let Proposal::Remove(remove) = queued.proposal() else {
            return Err(GroupsError::NotAllowed { rule: "proposal" });
        };
        let (leaf, is_ours) = (remove.removed(), matches!(queued.sender(), Sender::External(_)));
        Ok(Self { leaf, is_ours, seq, queued: *queued })
    }
}

/// What becomes of the wish of a member to leave.
#[derive(Debug)]
pub(crate) enum Leaving {
    /// It is to be stored.
    New,
    /// A proposal that stands in the log already removes the leaf: this one.
    Proposed { seq: u64 },
}

/// Checks a proposal of a member to remove its own leaf, in the epoch of the group.
pub(crate) fn check_leave(
    tracked: &Tracked,
    entries: &[GroupEntry],
    proposal: Handshake,
    leaver: LeafId,
) -> Result<Leaving, GroupsError> {
    let members = tracked.members()?;
    let outstanding = Outstanding::read(entries, tracked)?;
    let own = proposal.leaf_index().map(LeafNodeIndex::new);
    if own.and_then(|own| members.at(own)) != Some(leaver) {
        return Err(GroupsError::NotAllowed { rule: "own_leaf" });
    }
    let proposed = Outstanding::process(proposal, 0, &tracked.public)?;
    let leaf = commit::own_leave(&proposed.queued)?;
    if let Some(before) = outstanding.iter().find(|before| before.leaf == leaf) {
        return Ok(Leaving::Proposed { seq: before.seq });
    }
    let pending: Vec<_> = outstanding.iter().map(|before| before.leaf).collect();
    policy::check_leave(&tracked.policy()?, &members, &pending, leaf)?;
    Ok(Leaving::New)
}

/// The deployment's own proposals to remove these devices, as far as they have a leaf whose
/// removal is not proposed: the group takes each of these messages.
pub(crate) fn removals(
    tracked: &Tracked,
    entries: &[GroupEntry],
    devices: &[LeafId],
    external_sender: &ExternalSender,
) -> Result<Vec<Vec<u8>>, GroupsError> {
    let members = tracked.members()?;
    let outstanding = Outstanding::read(entries, tracked)?;
    let mut proposals = Vec::new();
    for leaf in devices.iter().filter_map(|device| members.find(device)) {
        if !outstanding.iter().any(|before| before.leaf == leaf) {
            proposals.extend(propose(tracked, leaf, external_sender)?);
        }
    }
    Ok(proposals)
}

/// A proposal of the deployment. `None` where the group would not take it: it was made for
/// another external sender, one whose secret the deployment has lost.
pub(super) fn propose(
    tracked: &Tracked,
    leaf: LeafNodeIndex,
    external_sender: &ExternalSender,
) -> Result<Option<Vec<u8>>, GroupsError> {
    let bytes = external_sender.propose_removal(tracked.group, tracked.at, leaf)?;
    let read = handshake::read(&bytes, tracked.group, ContentType::Proposal, "proposal")?;
    Ok(Outstanding::process(read, 0, &tracked.public).is_ok().then_some(bytes))
}
