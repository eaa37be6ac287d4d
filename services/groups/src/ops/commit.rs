use std::time::Instant;

use bytes::Bytes;
use openmls::prelude::ContentType;
use sotto_ids::{
    GroupId,
    limits::{MAX_COMMIT_BYTES, MAX_SEALED_METADATA_BYTES, MAX_WELCOME_BYTES},
};
use sotto_kit::auth::Caller;
use sotto_proto::socket::GroupEntry;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::{
    Groups,
    following::Lane,
    standing::{Standing, leaf_of},
};
use crate::{
    db,
    domain::{Epoch, Head, entry},
    error::{GroupsError, Lag},
    metrics,
    mls::{self, Checked, Handshake, NewCommit, Refused},
};

/// Bytes of a GroupInfo without a tree: a GroupContext with a policy of as many admins as it
/// may have, twice over.
pub(crate) const MAX_GROUP_INFO_BYTES: usize = 8 * 1024;

/// Tries to get a commit in while the deployment proposes removals at the same time.
const TRIES: usize = 3;

/// A commit as its maker sends it.
#[derive(Debug, Clone)]
pub(crate) struct CommitRequest {
    pub(crate) commit: Bytes,
    pub(crate) group_info: Bytes,
    pub(crate) welcome: Option<Bytes>,
    /// Empty where the committer does not know the metadata.
    pub(crate) sealed_metadata: Bytes,
}

impl CommitRequest {
    fn check_sizes(&self) -> Result<(), GroupsError> {
        let welcome = self.welcome.as_ref().map_or(0, Bytes::len);
        for (what, size, most) in [
            ("commit", self.commit.len(), MAX_COMMIT_BYTES),
            ("group_info", self.group_info.len(), MAX_GROUP_INFO_BYTES),
            ("welcome", welcome, MAX_WELCOME_BYTES),
            ("sealed_metadata", self.sealed_metadata.len(), MAX_SEALED_METADATA_BYTES),
        ] {
            check_size(what, size, most)?;
        }
        Ok(())
    }
}

pub(super) const fn check_size(
    what: &'static str,
    size: usize,
    most: usize,
) -> Result<(), GroupsError> {
    if size > most { Err(GroupsError::TooLarge { what, most }) } else { Ok(()) }
}

/// What became of the transaction of a commit.
enum Written {
    Done(Head),
    /// Another commit has ended the epoch.
    Taken,
    /// A proposal has come into the epoch that the commit was not checked against.
    Proposed,
}

impl Groups {
    /// Takes a commit into the log, if it is the first in its epoch and every member will
    /// take it. Where the group stands then; `seq` is that of the commit.
    #[tracing::instrument(name = "groups.commit", skip_all)]
    pub(crate) async fn commit(
        &self,
        group: GroupId,
        request: CommitRequest,
        caller: &Caller,
    ) -> Result<Head, GroupsError> {
        let started = Instant::now();
        let committed = self.commit_in_turn(group, request, caller).await;
        metrics::committed(&committed, started.elapsed());
        committed
    }

    async fn commit_in_turn(
        &self,
        group: GroupId,
        request: CommitRequest,
        caller: &Caller,
    ) -> Result<Head, GroupsError> {
        request.check_sizes()?;
        let commit = {
            let bytes = request.commit.clone();
            let read = move || mls::read(&bytes, group, ContentType::Commit, "commit");
            self.following.work(read).await??
        };
        // Who is late anyway need not wait for the turn.
        self.check_epoch(group, &commit, caller).await?;
        let mut lane = self.following.lane(group).await?;
        for _ in 0..TRIES {
            let standing = self.check_epoch(group, &commit, caller).await?;
            let head = standing.group.head;
            let proposals = db::log::list_proposals(group, head.at, 0, &self.db).await?;
            let Some(tracked) = self.tracked(group, head.at).await? else { continue };
            let last_proposal = proposals.last().map_or(0, |proposal| proposal.seq);

            let (sender, external_sender) = (leaf_of(caller), self.external_sender.clone());
            let (commit, parts) = (commit.clone(), request.clone());
            let started = Instant::now();
            let checked = self
                .following
                .work(move || {
                    let welcome = parts.welcome.as_deref();
                    let group_info = &parts.group_info;
                    let new = NewCommit { commit, group_info, welcome, sender };
                    mls::check(tracked, &proposals, new, &external_sender)
                })
                .await?;
            metrics::checked(started.elapsed());
            let checked = match checked {
                Ok(checked) => checked,
                Err(Refused::Wrong(error)) => return Err(error),
                Err(Refused::Incomplete(lag)) => {
                    return Err(self.behind(lag, head.at, &standing).await);
                }
            };
            self.certify(&caller.app, &checked.claims, &checked.added_accounts).await?;

            let written =
                self.write_to_the_end(head.at, request.clone(), checked, last_proposal, lane).await;
            match written? {
                (Written::Done(head), _) => return Ok(head),
                (Written::Taken | Written::Proposed, returned) => lane = returned,
            }
        }
        Err(GroupsError::Busy)
    }

    /// Demands that the commit is made in the epoch that the group is in, by somebody who may
    /// have a say in it.
    async fn check_epoch(
        &self,
        group: GroupId,
        commit: &Handshake,
        caller: &Caller,
    ) -> Result<Standing, GroupsError> {
        let standing = self.standing(group, caller.device).await?;
        if standing.member.is_none() {
            let account = caller.device.account;
            if !commit.joins() {
                return Err(GroupsError::NotAMember);
            }
            if !db::members::has_account(group, account, &self.db).await? {
                return Err(GroupsError::NotAllowed { rule: "external_join" });
            }
        }
        let now = standing.group.head.at;
        match commit.at.cmp(&now) {
            std::cmp::Ordering::Equal => Ok(standing),
            std::cmp::Ordering::Less => {
                Err(self.behind(Lag::EpochTaken, commit.at, &standing).await)
            }
            std::cmp::Ordering::Greater => {
                Err(GroupsError::CommitInvalid { why: "the epoch has not begun".to_owned() })
            }
        }
    }

    /// Writes in a task of its own: a caller that hangs up after the transaction must not keep
    /// from the others what they have to hear of it.
    async fn write_to_the_end(
        &self,
        at: Epoch,
        request: CommitRequest,
        checked: Checked,
        last_proposal: u64,
        lane: Lane,
    ) -> Result<(Written, Lane), GroupsError> {
        let groups = self.clone();
        let (done, written) = oneshot::channel();
        let write = async move {
            let result = groups.write(at, &request, &checked, last_proposal).await;
            let touched = match &result {
                Ok(Written::Done(_)) => {
                    let Checked { next, joining, leaving, .. } = checked;
                    groups.following.keep(next);
                    let joining = joining.into_iter().map(|(device, _)| device);
                    joining.chain(leaving).collect()
                }
                _ => Vec::new(),
            };
            // Nobody waits for it any more where the caller has gone.
            drop(done.send(result.map(|written| (written, lane))));
            groups.tell_groups_changed(touched).await;
        };
        self.lifecycle.spawn("groups.commit", write.in_current_span());
        written.await.map_err(GroupsError::Unfinished)?
    }

    /// The one transaction of a commit (I-4).
    async fn write(
        &self,
        at: Epoch,
        request: &CommitRequest,
        checked: &Checked,
        last_proposal: u64,
    ) -> Result<Written, GroupsError> {
        let group = checked.next.group;
        let now_ms = self.clock.now_ms();
        let count = 1 + u64::try_from(checked.proposed_again.len()).unwrap_or(u64::MAX);

        let mut tx = self.db.begin().await?;
        let Some(last_seq) = db::groups::advance(group, at, count, &mut *tx).await? else {
            tx.rollback().await?;
            return Ok(Written::Taken);
        };
        // From here on nobody else adds to the log of the group.
        if !db::log::list_proposals(group, at, last_proposal, &mut *tx).await?.is_empty() {
            tx.rollback().await?;
            return Ok(Written::Proposed);
        }
        let seq = last_seq + 1 - count;
        let turn = self.delivery.publications.turn(group, seq);
        let entries = entries(seq, at, request, checked, now_ms);
        db::log::insert(group, &entries, &mut *tx).await?;

        db::members::remove(group, seq, &checked.leaving, &mut *tx).await?;
        db::members::join(group, seq, &checked.joining, &mut *tx).await?;

        let state = db::states::State {
            at: at.next(),
            state: &checked.state,
            group_info: &request.group_info,
            sealed_metadata: &request.sealed_metadata,
        };
        if request.sealed_metadata.is_empty() {
            db::states::set_keeping_metadata(group, &state, &mut *tx).await?;
        } else {
            db::states::set(group, &state, &mut *tx).await?;
        }

        let touched: Vec<_> = checked.joining.iter().map(|(device, _)| *device).collect();
        let touched = [touched, checked.leaving.clone()].concat();
        let into = Head { group, at: at.next(), seq };
        if !touched.is_empty() {
            db::welcomes::delete_of(group, &touched, &mut *tx).await?;
        }
        if let Some(tree) = &checked.tree {
            db::welcomes::insert(into, &checked.welcomes, now_ms, &mut *tx).await?;
            db::trees::insert(group, at.next(), tree, now_ms, &mut *tx).await?;
        }
        tx.commit().await?;

        metrics::entries(entries.len());
        turn.publish(entries, !touched.is_empty());
        Ok(Written::Done(into))
    }
}

fn entries(
    seq: u64,
    at: Epoch,
    request: &CommitRequest,
    checked: &Checked,
    now_ms: u64,
) -> Vec<GroupEntry> {
    let (message, sealed) = (request.commit.clone(), request.sealed_metadata.clone());
    let commit = entry::commit(seq, at, message, sealed, now_ms);
    let again = (seq + 1..)
        .zip(&checked.proposed_again)
        .map(|(seq, message)| entry::proposal(seq, at.next(), message.clone().into(), now_ms));
    std::iter::once(commit).chain(again).collect()
}
