//! From the server's log to the store.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{StreamExt as _, stream};
use sotto_ids::{GroupId, limits::MAX_GROUP_CURSORS};
use sotto_proto::socket::GroupEntry;

use super::{
    certify, external, find,
    receive::{self, Stop},
    welcome,
};
use crate::{
    ClientError, Distrust, Event, GroupStanding,
    client::Inner,
    rest::RestError,
    vault::{Tx, groups},
};

/// Entries of a page that is asked for.
const PAGE: usize = 500;

/// Logs that are read at a time.
const READERS: usize = 4;

/// What came of entries that were pushed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Everything up to here is in the store.
    Taken,
    /// One before them is missing.
    Gap,
}

/// Takes in all that a group's log has and this device has not.
///
/// # Errors
/// `group_stopped` where a change of the group is not to be followed; `unavailable`.
pub(super) async fn catch_up(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let _turn = inner.groups.turn_at_log(group).await;
    loop {
        let row = inner.vault.run(move |tx| find(tx, group)).await?;
        if !row.standing.is_in() {
            return Ok(());
        }
        let after = row.cursor;
        let rest = &inner.rest;
        let page = inner.auth.with_token(|token| rest.group_log(group, after, PAGE, token)).await;
        let page = match page {
            Ok(page) => page,
            Err(error) if error.is("log_expired") => {
                return Box::pin(external::rejoin(inner, group)).await;
            }
            Err(error) if is_out(&error) => return out(inner, group).await,
            Err(error) => return Err(error.into()),
        };
        let (head, is_empty) = (page.head_seq, page.entries.is_empty());
        match take_all(inner, group, page.entries).await? {
            Pushed::Gap => return Err(Distrust::Malformed.into()),
            Pushed::Taken if is_empty => return Ok(()),
            Pushed::Taken => {}
        }
        let row = inner.vault.run(move |tx| find(tx, group)).await?;
        if row.cursor >= head {
            return Ok(());
        }
    }
}

/// Takes in entries that came by themselves.
///
/// # Errors
/// As [`catch_up`].
pub(super) async fn take_pushed(
    inner: &Arc<Inner>,
    group: GroupId,
    entries: Vec<GroupEntry>,
) -> Result<Pushed, ClientError> {
    let _turn = inner.groups.turn_at_log(group).await;
    take_all(inner, group, entries).await
}

/// Takes in what a refusal brought, and what it left out.
///
/// # Errors
/// As [`catch_up`].
pub(super) async fn take_moved(
    inner: &Arc<Inner>,
    group: GroupId,
    entries: Vec<GroupEntry>,
    more: bool,
) -> Result<(), ClientError> {
    // Only what changed the epoch is in it: messages between have to come from the log.
    let pushed = take_pushed(inner, group, entries).await?;
    if more || pushed == Pushed::Gap { catch_up(inner, group).await } else { Ok(()) }
}

/// Takes entries in; chains that it takes are fetched on the way.
async fn take_all(
    inner: &Arc<Inner>,
    group: GroupId,
    entries: Vec<GroupEntry>,
) -> Result<Pushed, ClientError> {
    if entries.is_empty() {
        return Ok(Pushed::Taken);
    }
    let entries: Arc<[GroupEntry]> = entries.into();
    let mut fresh = BTreeSet::new();
    loop {
        let (these, fetched) = (Arc::clone(&entries), fresh.clone());
        let taken =
            inner.vault.run(move |tx| receive::take_in(tx, group, &these, &fetched)).await?;
        if taken.changed {
            inner.groups.touch_changed(group, taken.cursor);
        } else {
            inner.groups.touch(group, taken.cursor);
        }
        match taken.stop {
            None | Some(Stop::Out | Stop::Reset) => return Ok(Pushed::Taken),
            Some(Stop::Gap) => return Ok(Pushed::Gap),
            Some(Stop::Ask(accounts)) => {
                certify::fetch(inner, &accounts).await?;
                fresh.extend(accounts);
            }
            Some(Stop::Diverged) => {
                tracing::warn!("this device has lost its place in a group, and joins anew");
                Box::pin(external::rejoin(inner, group)).await?;
                return Ok(Pushed::Taken);
            }
            Some(Stop::Refused) => return Err(stopped(inner, group).await?),
        }
    }
}

async fn stopped(inner: &Inner, group: GroupId) -> Result<ClientError, ClientError> {
    let row = inner.vault.run(move |tx| find(tx, group)).await?;
    Ok(ClientError::GroupStopped { reason: row.refused.unwrap_or_default() })
}

/// Whether the server says that this device is not in the group.
pub(super) fn is_out(error: &RestError) -> bool {
    ["not_a_member", "unknown_group", "no_such_group", "group_not_found"]
        .iter()
        .any(|word| error.is(word))
}

/// This device is not in the group any more, and cannot read how it came to that.
pub(super) async fn out(inner: &Inner, group: GroupId) -> Result<(), ClientError> {
    inner
        .vault
        .run(move |tx| {
            let Some(mut row) = groups::find(tx.db, group)?.filter(|row| row.standing.is_in())
            else {
                return Ok(());
            };
            let left = row.standing == GroupStanding::Leaving;
            row.standing = if left { GroupStanding::Left } else { GroupStanding::Removed };
            super::open::forget(tx, &mut row)?;
            super::outbox::fail_all(tx, group, "not_a_member")?;
            tx.tell(Event::GroupLeft { group, removed: !left });
            Ok(())
        })
        .await
}

/// Fetches by requests what has happened in all groups, and tells the server how far this
/// device has come.
///
/// # Errors
/// `not_registered`, `unavailable` and what the server refuses. What one group comes to does
/// not keep the others back; the first error is given.
pub(crate) async fn synchronize(inner: &Arc<Inner>) -> Result<(), ClientError> {
    let rest = &inner.rest;
    let rows = inner.auth.with_token(|token| rest.groups(token)).await?;
    let rows: Vec<_> = rows.into_iter().filter(|row| row.removed_seq.is_none()).collect();
    let heads = rows.iter().map(|row| (row.group, row.generation, row.seq)).collect();
    let mut first = meet(inner, heads, true).await.err();
    let known = inner.vault.run(|tx| Ok(groups::list(tx.db)?)).await?;
    let mut cursors: Vec<_> =
        known.iter().filter(|row| row.standing.is_in()).map(|row| (row.id, row.cursor)).collect();
    cursors.sort_unstable();
    for some in cursors.chunks(MAX_GROUP_CURSORS) {
        let put = inner.auth.with_token(|token| rest.put_group_cursors(some, token)).await;
        first = first.or(put.err().map(ClientError::from));
    }
    first.map_or(Ok(()), Err)
}

/// Whether there is one among these that this device would have to be welcomed to.
fn is_any_missing(tx: &Tx<'_>, heads: &[(GroupId, u32, u64)]) -> Result<bool, ClientError> {
    for &(group, generation, _) in heads {
        let here = groups::find(tx.db, group)?
            .is_some_and(|row| row.standing.is_in() && row.generation >= generation);
        if !here {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes in what is new in these groups: each with its generation and where its log ends.
/// Where these are all that there are, others that this device is in are looked at too.
///
/// # Errors
/// The first that there was; the other groups are taken in all the same.
pub(super) async fn meet(
    inner: &Arc<Inner>,
    mut heads: Vec<(GroupId, u32, u64)>,
    complete: bool,
) -> Result<(), ClientError> {
    let mut first = None;
    if complete {
        // It was taken out of them, or they began in between.
        let known = inner.vault.run(|tx| Ok(groups::list(tx.db)?)).await?;
        let unnamed = known
            .iter()
            .filter(|row| row.standing.is_in() && heads.iter().all(|(group, ..)| *group != row.id));
        let unnamed: Vec<_> = unnamed.map(|row| (row.id, row.generation, u64::MAX)).collect();
        heads.extend(unnamed);
    }
    let look = heads.clone();
    if inner.vault.run(move |tx| is_any_missing(tx, &look)).await? {
        first = Box::pin(welcome::fetch(inner)).await.err();
    }
    let mut reading = stream::iter(heads)
        .map(|(group, _, seq)| async move {
            let row = inner.vault.run(move |tx| Ok(groups::find(tx.db, group)?)).await?;
            match row {
                None => {
                    // It has a leaf there, and nothing to begin with.
                    let _turn = inner.groups.turn_at_log(group).await;
                    let known = inner
                        .vault
                        .run(move |tx| Ok(groups::find(tx.db, group)?.is_some()))
                        .await?;
                    if known { Ok(()) } else { Box::pin(external::rejoin(inner, group)).await }
                }
                Some(row) if row.standing.is_in() && row.cursor < seq => {
                    catch_up(inner, group).await
                }
                Some(_) => Ok(()),
            }
        })
        .buffer_unordered(READERS);
    while let Some(read) = reading.next().await {
        first = first.or(read.err());
    }
    first.map_or(Ok(()), Err)
}
