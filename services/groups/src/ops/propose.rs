use bytes::Bytes;
use openmls::prelude::ContentType;
use sotto_ids::GroupId;
use sotto_kit::auth::Caller;
use sotto_mls::LeafId;
use sotto_proto::socket::GroupEntry;

use super::{Groups, commit::check_size, standing::leaf_of};
use crate::{
    db,
    domain::{Epoch, entry},
    error::{GroupsError, Lag},
    metrics,
    mls::{self, Leaving},
};

/// Bytes of a proposal to remove a leaf, many times over.
const MAX_PROPOSAL_BYTES: usize = 4 * 1024;

/// Tries to propose a removal while others change the group.
const TRIES: usize = 3;

impl Groups {
    /// Takes the proposal of a member to remove its own leaf into the log, from where the next
    /// commit has to take it. Its `seq`; that of a proposal which does the same, if there is one.
    #[tracing::instrument(name = "groups.propose", skip_all)]
    pub(crate) async fn propose(
        &self,
        group: GroupId,
        proposal: Bytes,
        caller: &Caller,
    ) -> Result<u64, GroupsError> {
        check_size("proposal", proposal.len(), MAX_PROPOSAL_BYTES)?;
        let read = mls::read(&proposal, group, ContentType::Proposal, "proposal")?;
        let made_at = read.at;

        let _lane = self.following.lane(group).await?;
        for _ in 0..TRIES {
            let standing = self.standing(group, caller.device).await?;
            standing.member()?;
            let head = standing.group.head;
            let stale = made_at != head.at;
            let tracked = if stale { None } else { self.tracked(group, head.at).await? };
            let Some(tracked) = tracked else {
                return Err(self.behind(Lag::StaleEpoch, made_at, &standing).await);
            };
            let before = db::log::list_proposals(group, head.at, 0, &self.db).await?;
            let last = last_seq(&before);
            let (leaver, read) = (leaf_of(caller), read.clone());
            let (leaving, tracked) = self
                .following
                .work(move || (mls::check_leave(&tracked, &before, read, leaver), tracked))
                .await?;
            self.following.keep(tracked);
            match leaving? {
                Leaving::Proposed { seq } => return Ok(seq),
                Leaving::New => {}
            }
            let proposals = vec![proposal.clone()];
            if let Some(seq) = self.store_proposals(group, head.at, last, proposals).await? {
                return Ok(seq);
            }
        }
        Err(GroupsError::Busy)
    }

    /// Proposes in the name of the deployment that these devices are removed from a group, as
    /// far as they are in it and it is not proposed already. How many there were to propose.
    ///
    /// No commit is taken from then on that keeps one of them.
    #[tracing::instrument(name = "groups.propose_removals", skip_all)]
    pub(crate) async fn propose_removals(
        &self,
        group: GroupId,
        leaves: &[LeafId],
    ) -> Result<usize, GroupsError> {
        let _lane = self.following.lane(group).await?;
        for _ in 0..TRIES {
            let Some(found) = db::groups::find(group, &self.db).await? else {
                return Ok(0);
            };
            let at = found.head.at;
            let before = db::log::list_proposals(group, at, 0, &self.db).await?;
            let last = last_seq(&before);
            let Some(tracked) = self.tracked(group, at).await? else { continue };
            let (leaves, external_sender) = (leaves.to_vec(), self.external_sender.clone());
            let (proposals, tracked) = self
                .following
                .work(move || {
                    (mls::removals(&tracked, &before, &leaves, &external_sender), tracked)
                })
                .await?;
            self.following.keep(tracked);
            let proposals: Vec<Bytes> = proposals?.into_iter().map(Bytes::from).collect();
            let count = proposals.len();
            if count == 0 || self.store_proposals(group, at, last, proposals).await?.is_some() {
                return Ok(count);
            }
        }
        Err(GroupsError::Busy)
    }

    /// Adds proposals to the log of an epoch. The `seq` of the last, or `None` where the epoch
    /// is over or others have come since the entry `after`: they may remove the same leaf, and
    /// no commit can take two that do.
    async fn store_proposals(
        &self,
        group: GroupId,
        at: Epoch,
        after: u64,
        proposals: Vec<Bytes>,
    ) -> Result<Option<u64>, GroupsError> {
        let now_ms = self.clock.now_ms();
        let count = u64::try_from(proposals.len()).unwrap_or(u64::MAX);
        let mut tx = self.db.begin().await?;
        let Some(last) = db::groups::take_seqs(group, at, count, &mut *tx).await? else {
            tx.rollback().await?;
            return Ok(None);
        };
        // From here on nobody else adds to the log of the group.
        if !db::log::list_proposals(group, at, after, &mut *tx).await?.is_empty() {
            tx.rollback().await?;
            return Ok(None);
        }
        let first = last + 1 - count;
        let turn = self.delivery.publications.turn(group, first);
        let entries: Vec<GroupEntry> = (first..)
            .zip(proposals)
            .map(|(seq, message)| entry::proposal(seq, at, message, now_ms))
            .collect();
        db::log::insert(group, &entries, &mut *tx).await?;
        tx.commit().await?;

        metrics::entries(entries.len());
        turn.publish(entries, false);
        Ok(Some(last))
    }
}

/// The number of the last of these.
fn last_seq(proposals: &[GroupEntry]) -> u64 {
    proposals.last().map_or(0, |proposal| proposal.seq)
}
