//! Takes entries of a group's log in.

mod change;
mod message;

use std::collections::BTreeSet;

use openmls::prelude::{ProcessedMessageContent, Proposal, Sender};
use sotto_ids::{AccountId, GroupId};
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use self::change::Outcome;
pub(super) use self::change::{drop_pending, policy_of};
use super::{
    find,
    open::{self, Open},
    protocol_message, seal,
};
use crate::{
    ClientError, Event, GroupStanding,
    vault::{Own, Tx, groups::Group, own},
};

/// What came of entries.
pub(super) struct Taken {
    /// Up to where the log has been taken in.
    pub(super) cursor: u64,
    /// Whether the group is another than before: there may be something to do.
    pub(super) changed: bool,
    /// Why it stopped before the last of them, if it did.
    pub(super) stop: Option<Stop>,
}

/// Why the next entry was not taken in.
pub(super) enum Stop {
    /// One before it is missing.
    Gap,
    /// The chains of these accounts have to be fetched first.
    Ask(BTreeSet<AccountId>),
    /// The state here and the group's are no longer the same.
    Diverged,
    /// It is not to be followed.
    Refused,
    /// This device is not in the group, or no longer.
    Out,
    /// The group has begun anew.
    Reset,
}

/// Takes entries in, in their order, from where the log was left. The chains in `fresh`
/// have been fetched just now.
///
/// All of it is one transaction, in which the MLS state steps with what was read.
pub(super) fn take_in(
    tx: &mut Tx<'_>,
    group: GroupId,
    entries: &[GroupEntry],
    fresh: &BTreeSet<AccountId>,
) -> Result<Taken, ClientError> {
    let own = own::certified(tx.db)?;
    let mut row = find(tx, group)?;
    if !row.standing.is_in() {
        return Ok(Taken { cursor: row.cursor, changed: false, stop: Some(Stop::Out) });
    }
    let before = row.cursor;
    let mut changed = false;
    let mut open = open::take(tx, &row)?;
    let mut stop = None;
    for entry in entries.iter().filter(|entry| entry.seq > before) {
        stop = if entry.seq == row.cursor + 1 {
            take_entry(tx, &own, &mut row, &mut open, entry, fresh)?
        } else {
            Some(Stop::Gap)
        };
        match stop {
            None => {
                row.cursor = entry.seq;
                changed |= entry.kind() != GroupEntryKind::Message;
            }
            // The entry that takes this device out is the last that it reads.
            Some(Stop::Out | Stop::Reset) => {
                row.cursor = entry.seq;
                break;
            }
            Some(_) => break,
        }
    }
    let cursor = row.cursor;
    match stop {
        Some(Stop::Out | Stop::Reset) => open::forget(tx, &mut row)?,
        _ => open::keep(tx, &mut row, open)?,
    }
    Ok(Taken { cursor, changed, stop })
}

fn take_entry(
    tx: &mut Tx<'_>,
    own: &Own,
    row: &mut Group,
    open: &mut Open,
    entry: &GroupEntry,
    fresh: &BTreeSet<AccountId>,
) -> Result<Option<Stop>, ClientError> {
    match entry.kind() {
        GroupEntryKind::Message => message::take(tx, own, row, open, entry).map(|()| None),
        GroupEntryKind::Commit => {
            let outcome = change::take(tx, own, row, open, entry, fresh)?;
            Ok(match outcome {
                Outcome::Followed => None,
                Outcome::Ask(accounts) => Some(Stop::Ask(accounts)),
                Outcome::Diverged => Some(Stop::Diverged),
                Outcome::Out => Some(Stop::Out),
                Outcome::Refused(reason) => {
                    if row.refused.as_deref() != Some(reason) {
                        row.refused = Some(reason.to_owned());
                        let reason = reason.to_owned();
                        tx.tell(Event::GroupCommitRefused { group: row.id, reason });
                    }
                    Some(Stop::Refused)
                }
            })
        }
        GroupEntryKind::Proposal => Ok(take_proposal(open, entry)),
        GroupEntryKind::Metadata => {
            if (entry.generation, entry.epoch) == (row.generation, open.mls.epoch().as_u64()) {
                let policy = row.policy.clone();
                let renamed = seal::take(row, open, policy, &entry.sealed_metadata)?;
                tell_renamed(tx, row, renamed);
            }
            Ok(None)
        }
        GroupEntryKind::Reset if entry.generation > row.generation => {
            // Whoever began it anew is looked at when they welcome this device.
            row.standing = GroupStanding::Awaiting;
            Ok(Some(Stop::Reset))
        }
        GroupEntryKind::Reset => Ok(None),
        GroupEntryKind::Unspecified => {
            tracing::warn!("an entry of a kind that is not known was passed over");
            Ok(None)
        }
    }
}

/// Keeps a proposal for the next commit, which has to contain it.
fn take_proposal(open: &mut Open, entry: &GroupEntry) -> Option<Stop> {
    let Some(message) = protocol_message(&entry.message) else {
        return Some(Stop::Diverged);
    };
    let Ok(processed) = open.mls.process_message(&open.provider, message) else {
        return Some(Stop::Diverged);
    };
    let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
        return Some(Stop::Diverged);
    };
    let is_allowed = match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(_), Sender::External(_)) => true,
        (Proposal::Remove(remove), Sender::Member(index)) => remove.removed() == *index,
        _ => false,
    };
    if !is_allowed {
        // The commit that contains it is refused; nobody has to make one.
        tracing::warn!("a proposal that groups do not have was passed over");
        return None;
    }
    let values = open::values(&open.provider);
    let known = queued.proposal_reference_ref().clone();
    if open.mls.pending_proposals().any(|one| *one.proposal_reference_ref() == known) {
        return None;
    }
    match open.mls.store_pending_proposal(values, *queued) {
        Ok(()) => None,
        Err(_) => Some(Stop::Diverged),
    }
}

/// Tells that a group is called something else, where it is.
pub(super) fn tell_renamed(tx: &mut Tx<'_>, row: &Group, renamed: bool) {
    if renamed {
        let name = row.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        tx.tell(Event::GroupRenamed { group: row.id, name });
    }
}
