//! What a member does by itself: it commits what was proposed, says again that it leaves,
//! seals the metadata for an epoch that has none, and keeps the devices of its own account.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openmls::prelude::{Proposal, Sender};
use rand::Rng as _;
use sotto_ids::{AccountId, GroupId};
use sotto_mls::{LeafId, Members};

use super::{
    adding,
    commit::{Intent, carry_out},
    credential::leaf_id,
    find, leave, log,
    open::{self, Open},
    seal, welcome,
};
use crate::{
    ClientError, GroupStanding,
    backoff::Backoff,
    client::Inner,
    rest::{RestError, groups::Moved},
    vault::{Own, Tx, chains, groups::Group, own},
};

/// How long members wait for each other before they commit what was proposed, for each of
/// them; and at most.
const WAIT_PER_MEMBER: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long one member waits for another before it seals the metadata.
const SEAL_WAIT: Duration = Duration::from_millis(500);

/// Things that are done one after the other before the group is left alone until it changes.
const ROUNDS: usize = 16;

/// How often it is looked whether a new device of one's own has KeyPackages at the server. Each
/// look takes one of every other own device too.
const LOOKS: u32 = 6;

/// What is to be done next.
#[derive(Debug)]
enum Task {
    /// Commit what was proposed, unless somebody else does within this time.
    Proposals(Duration),
    /// Say again that this device leaves.
    Leave,
    /// Look whether this device is welcome in the group that was begun anew.
    Welcome,
    /// Seal the metadata, unless somebody else does within this time.
    Seal(Duration),
    /// Take devices of the own account out that it no longer has.
    Remove(Vec<LeafId>),
    /// Add devices of the own account that are not in the group.
    Add(AccountId),
}

/// Sees to a group until there is nothing left to do.
///
/// # Errors
/// The first that could not be done; it is tried again when the group changes next.
pub(super) async fn see_to(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let tuning = &inner.config.tuning;
    // A new device is in the chain before its KeyPackages are at the server.
    let mut backoff = Backoff::new(tuning.own_device_retry, tuning.retry_max);
    let mut looks = 0;
    for _ in 0..ROUNDS {
        let Some(task) = inner.vault.run(move |tx| plan(tx, group)).await? else {
            return Ok(());
        };
        match task {
            Task::Proposals(wait) => {
                tokio::time::sleep(wait).await;
                carry_out(inner, group, Intent::Proposals).await?;
            }
            Task::Leave => leave::propose(inner, group).await?,
            // Where it is not there yet, the server says so when it is.
            Task::Welcome => return welcome::fetch(inner).await,
            Task::Seal(wait) => {
                tokio::time::sleep(wait).await;
                seal_again(inner, group).await?;
            }
            Task::Remove(leaves) => {
                carry_out(inner, group, Intent::RemoveDevices(leaves)).await?;
            }
            Task::Add(_) if !inner.groups.may_add(group) => return Ok(()),
            Task::Add(own) => {
                let mut claimed = adding::claim(inner, &[own]).await?;
                let packages = claimed.remove(&own).unwrap_or_default();
                let added =
                    !packages.is_empty() && carry_out(inner, group, Intent::Add(packages)).await?;
                if !added {
                    looks += 1;
                    if looks >= LOOKS {
                        inner.groups.give_up_adding(group);
                        return Ok(());
                    }
                    tokio::time::sleep(backoff.pause(&mut inner.rng())).await;
                }
            }
        }
    }
    Ok(())
}

fn plan(tx: &mut Tx<'_>, group: GroupId) -> Result<Option<Task>, ClientError> {
    let own = own::certified(tx.db)?;
    let row = find(tx, group)?;
    if row.standing == GroupStanding::Awaiting {
        return Ok(Some(Task::Welcome));
    }
    if !row.standing.is_in() || row.refused.is_some() {
        return Ok(None);
    }
    let open = open::take(tx, &row)?;
    let task = task(tx, &own, &row, &open);
    open::put_back(tx, &row, open);
    task
}

fn task(tx: &mut Tx<'_>, own: &Own, row: &Group, open: &Open) -> Result<Option<Task>, ClientError> {
    let members =
        Members::of(open.mls.public_group()).map_err(|_| ClientError::Crypto("members"))?;
    let own_index = open.mls.own_leaf_index();
    let mut proposed = open.mls.pending_proposals().peekable();
    if proposed.peek().is_some() {
        let own_goes = proposed.any(|queued| {
            matches!(queued.proposal(), Proposal::Remove(one) if one.removed() == own_index)
        });
        if !own_goes {
            let members = u32::try_from(members.len()).unwrap_or(u32::MAX);
            let most = WAIT_PER_MEMBER.saturating_mul(members).min(LONGEST_WAIT);
            return Ok(Some(Task::Proposals(tx.rng.random_range(Duration::ZERO..=most))));
        }
        let said = open
            .mls
            .pending_proposals()
            .any(|queued| matches!(queued.sender(), Sender::Member(index) if *index == own_index));
        // Somebody else has to commit it.
        return Ok((row.standing == GroupStanding::Leaving && !said).then_some(Task::Leave));
    }
    if row.standing == GroupStanding::Leaving {
        return Ok(Some(Task::Leave));
    }
    if !row.sealed && seal::known(row.metadata.as_ref(), &row.policy).is_some() {
        // Those with the lowest leaves first.
        let before = members.iter().filter(|(index, _)| *index < own_index).count();
        let turn = u32::try_from(before).unwrap_or(u32::MAX);
        return Ok(Some(Task::Seal(SEAL_WAIT.saturating_mul(turn).min(LONGEST_WAIT))));
    }
    let Some((_, state)) = chains::find(tx.db, tx.chains, own.account.uuid())? else {
        return Ok(None);
    };
    let in_group: BTreeSet<_> =
        members.of_account(&own.account).map(|(_, leaf)| leaf.device).collect();
    let gone: Vec<_> = in_group
        .iter()
        .filter(|device| state.live_device(**device).is_none())
        .map(|device| LeafId::new(own.account, *device))
        .filter(|leaf| *leaf != leaf_id(own))
        .collect();
    if !gone.is_empty() {
        return Ok(Some(Task::Remove(gone)));
    }
    let new = state
        .live_devices()
        .any(|device| device.is_live_at(tx.now_ms) && !in_group.contains(&device.id));
    Ok((new && row.standing == GroupStanding::Member).then_some(Task::Add(own.account)))
}

/// Seals the metadata for the epoch, if nobody has in between.
async fn seal_again(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let sealed = inner
        .vault
        .run(move |tx| {
            let row = find(tx, group)?;
            if row.sealed || !row.standing.is_in() {
                return Ok(None);
            }
            let open = open::take(tx, &row)?;
            let metadata = seal::known(row.metadata.as_ref(), &row.policy);
            let sealed = seal::for_epoch(tx, &open.mls, metadata)?;
            let epoch = open.mls.epoch().as_u64();
            open::put_back(tx, &row, open);
            Ok(Some((row.generation, epoch, sealed)))
        })
        .await?;
    let Some((generation, epoch, sealed)) = sealed else {
        return Ok(());
    };
    let rest = &inner.rest;
    let put = inner
        .auth
        .with_token(|token| {
            rest.put_group_metadata(group, generation, epoch, sealed.clone(), token)
        })
        .await;
    match put {
        Ok(()) => log::catch_up(inner, group).await,
        Err(error) if error.is("metadata_sealed") => log::catch_up(inner, group).await,
        Err(RestError::Refused { problem, status }) => match Moved::of(&problem) {
            Some(moved) => log::take_moved(inner, group, moved.entries, moved.more).await,
            None => Err(RestError::Refused { problem, status }.into()),
        },
        Err(error) => Err(error.into()),
    }
}
