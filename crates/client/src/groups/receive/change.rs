//! Commits.

use std::collections::BTreeSet;

use openmls::prelude::{ProcessedMessageContent, StagedCommit};
use sotto_ids::AccountId;
use sotto_mls::{
    Members, Policy,
    commit::{self, Checked, CommitError},
    identity::Claim,
    policy::Committer,
};
use sotto_proto::socket::GroupEntry;

use super::tell_renamed;
use crate::{
    ClientError, Event, GroupStanding,
    groups::{
        certify::{self, Verdict},
        open::{self, Open},
        protocol_message, seal,
    },
    vault::{Own, Tx, groups::Group},
};

/// The group has no policy that can be read.
const MALFORMED_POLICY: &str = "malformed_policy";

/// What came of a commit.
pub(super) enum Outcome {
    Followed,
    /// The chains of these accounts have to be fetched first.
    Ask(BTreeSet<AccountId>),
    /// It is not to be followed, for this reason.
    Refused(&'static str),
    /// It cannot be followed with the state that there is here.
    Diverged,
    /// It was followed, and took this device out.
    Out,
}

/// Follows a commit, if it is one that the chains and the policy allow.
pub(super) fn take(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &mut Group,
    open: &mut Open,
    entry: &GroupEntry,
    fresh: &BTreeSet<AccountId>,
) -> Result<Outcome, ClientError> {
    let Some(message) = protocol_message(&entry.message) else {
        return Ok(Outcome::Diverged);
    };
    let processed = match open.mls.process_message(&open.provider, message) {
        Ok(processed) => processed,
        Err(error) => {
            tracing::warn!(error = %error, "a commit could not be processed");
            return Ok(Outcome::Diverged);
        }
    };
    let sender = processed.sender().clone();
    let (checked, staged) = match processed.into_content() {
        ProcessedMessageContent::OwnPendingCommit => {
            // What was checked when it was made is what is merged now.
            let Some(pending) = open.mls.pending_commit() else {
                return Ok(Outcome::Diverged);
            };
            match commit::check(open.mls.public_group(), &sender, pending) {
                Ok(checked) => (checked, None),
                Err(error) => return Ok(Outcome::Refused(reason(error))),
            }
        }
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            let checked = match commit::check(open.mls.public_group(), &sender, &staged) {
                Ok(checked) => checked,
                Err(error) => return Ok(Outcome::Refused(reason(error))),
            };
            match certify::judge(tx, &checked.claims, fresh)? {
                Verdict::Certified => (checked, Some(staged)),
                Verdict::Ask(accounts) => return Ok(Outcome::Ask(accounts)),
                Verdict::Uncertified => match judge_revoked(tx, &checked, fresh)? {
                    None => (checked, Some(staged)),
                    Some(outcome) => return Ok(outcome),
                },
            }
        }
        _ => return Ok(Outcome::Diverged),
    };
    follow(tx, own, row, open, entry, &checked, staged)
}

/// A commit with a leaf that no chain certifies, which may be that of a device that was revoked
/// since the commit was made: a log is read later than it was written. `None` where it can be
/// followed all the same.
///
/// Who was in the group before, with the same key, gains nothing by it. Who came by it must not
/// come back that way: then this device joins anew, in the group as it is now, in which each
/// leaf has to be live.
fn judge_revoked(
    tx: &Tx<'_>,
    checked: &Checked,
    fresh: &BTreeSet<AccountId>,
) -> Result<Option<Outcome>, ClientError> {
    if !certify::were_certified(tx, &checked.claims)? {
        return Ok(Some(Outcome::Refused("leaf_uncertified")));
    }
    let is_new = |claim: &&Claim| !checked.members.claims().any(|before| before == *claim);
    let new = checked.claims.iter().filter(is_new);
    Ok(match certify::judge(tx, new, fresh)? {
        Verdict::Certified => None,
        Verdict::Ask(accounts) => Some(Outcome::Ask(accounts)),
        Verdict::Uncertified => Some(Outcome::Diverged),
    })
}

fn reason(error: CommitError) -> &'static str {
    match error {
        CommitError::NotAllowed(error) => error.reason(),
        CommitError::Identity(_) => "malformed_identity",
        CommitError::Member(_) => "malformed_member",
        CommitError::Policy(_) => MALFORMED_POLICY,
    }
}

fn follow(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &mut Group,
    open: &mut Open,
    entry: &GroupEntry,
    checked: &Checked,
    staged: Option<Box<StagedCommit>>,
) -> Result<Outcome, ClientError> {
    row.refused = None;
    if staged.as_ref().is_some_and(|staged| staged.self_removed()) {
        let left = row.standing == GroupStanding::Leaving;
        row.standing = if left { GroupStanding::Left } else { GroupStanding::Removed };
        tx.tell(Event::GroupLeft { group: row.id, removed: !left });
        crate::groups::outbox::fail_all(tx, row.id, "not_a_member")?;
        return Ok(Outcome::Out);
    }
    let merged = match staged {
        Some(staged) => open.mls.merge_staged_commit(&open.provider, *staged).is_ok(),
        None => open.mls.merge_pending_commit(&open.provider).is_ok(),
    };
    if !merged {
        return Ok(Outcome::Diverged);
    }
    let Ok(after) = Members::of(open.mls.public_group()) else {
        return Ok(Outcome::Diverged);
    };
    let admins_before = row.policy.admins.clone();
    let renamed = seal::take(row, open, checked.policy.clone(), &entry.sealed_metadata)?;
    tell_renamed(tx, row, renamed);
    tell_members(tx, own, row, checked, &after, admins_before != row.policy.admins);
    Ok(Outcome::Followed)
}

/// Tells who came and who went, by account.
fn tell_members(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &Group,
    checked: &Checked,
    after: &Members,
    admins_changed: bool,
) {
    let before = &checked.members;
    let changed = &checked.changes;
    let came: BTreeSet<_> = changed
        .adds
        .iter()
        .map(|leaf| leaf.account)
        .filter(|account| !before.has_account(account))
        .collect();
    let went: BTreeSet<_> = changed
        .removals
        .iter()
        .filter_map(|removal| before.at(removal.index))
        .map(|leaf| leaf.account)
        .filter(|account| !after.has_account(account))
        .collect();
    if came.is_empty() && went.is_empty() && !admins_changed {
        return;
    }
    let by = match checked.committer {
        Committer::Member(index) => before.at(index).map_or(own.account, |leaf| leaf.account),
        Committer::External(leaf) => leaf.account,
    };
    tx.tell(Event::GroupMembersChanged {
        group: row.id,
        by,
        added: came.into_iter().collect(),
        removed: went.into_iter().collect(),
    });
}

/// What a group is when this device has come into it.
pub(in crate::groups) fn policy_of(open: &Open) -> Result<Policy, ClientError> {
    Policy::from_extensions(open.mls.extensions())
        .map_err(|_| ClientError::GroupStopped { reason: MALFORMED_POLICY.to_owned() })
}

/// Drops a commit of ours that did not win, or will not be sent.
pub(in crate::groups) fn drop_pending(open: &mut Open) -> Result<(), ClientError> {
    open.mls
        .clear_pending_commit(open::values(&open.provider))
        .map_err(|_| ClientError::Crypto("pending_commit"))
}
