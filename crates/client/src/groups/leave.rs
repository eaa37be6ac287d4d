//! Leaves groups, and answers invitations.

use std::sync::Arc;

use sotto_ids::GroupId;
use sotto_mls::{LeafId, Members};

use super::{
    commit::{Intent, Pace, bytes_of, carry_out},
    credential::{leaf_id, signer},
    find, find_joined, log,
    open::{self, Open},
    outbox,
    receive::drop_pending,
};
use crate::{
    ClientError, Event, GroupStanding,
    client::Inner,
    rest::{RestError, groups::Moved},
    vault::{
        Own, Tx,
        groups::{self, Group},
        own,
    },
};

/// Who else is in the group.
struct Others {
    /// Other devices of this account.
    own: Vec<LeafId>,
    /// Whether there is any other account.
    any: bool,
    /// Whether no other account is an admin.
    last_admin: bool,
}

/// Takes this account out of a group: its other devices at once, and this one as soon as some
/// other member has made the commit for it, which a device cannot make for itself.
///
/// # Errors
/// `last_group_admin` while others are in the group; as [`carry_out`].
pub(crate) async fn leave(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let others = inner.vault.run(move |tx| others(tx, group)).await?;
    if others.any && others.last_admin {
        return Err(ClientError::LastGroupAdmin);
    }
    if !others.own.is_empty() {
        carry_out(inner, group, Intent::RemoveDevices(others.own)).await?;
    }
    if !others.any {
        return inner.vault.run(move |tx| forget(tx, group)).await;
    }
    inner
        .vault
        .run(move |tx| {
            let mut row = find_joined(tx, group)?;
            row.standing = GroupStanding::Leaving;
            Ok(groups::put(tx.db, &row)?)
        })
        .await?;
    propose(inner, group).await
}

fn others(tx: &mut Tx<'_>, group: GroupId) -> Result<Others, ClientError> {
    let own = own::certified(tx.db)?;
    let row = find_joined(tx, group)?;
    let open = open::take(tx, &row)?;
    let members =
        Members::of(open.mls.public_group()).map_err(|_| ClientError::Crypto("members"))?;
    open::put_back(tx, &row, open);
    let is_admin = row.policy.is_admin(&own.account);
    let other_admin =
        row.policy.admins.iter().any(|admin| *admin != own.account && members.has_account(admin));
    Ok(Others {
        own: members
            .of_account(&own.account)
            .map(|(_, leaf)| leaf)
            .filter(|leaf| *leaf != leaf_id(&own))
            .collect(),
        any: members.iter().any(|(_, leaf)| leaf.account != own.account),
        last_admin: is_admin && !other_admin,
    })
}

/// The last one out leaves nothing behind.
fn forget(tx: &mut Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    let mut row = find_joined(tx, group)?;
    row.standing = GroupStanding::Left;
    open::forget(tx, &mut row)?;
    outbox::fail_all(tx, group, "not_a_member")?;
    tx.tell(Event::GroupLeft { group, removed: false });
    Ok(())
}

/// Asks the others to take this device out. Said again in each epoch until it is done.
///
/// # Errors
/// `unavailable`, and what the server refuses.
pub(super) async fn propose(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let _turn = inner.groups.turn_to_commit(group).await;
    let rest = &inner.rest;
    let mut pace = Pace::new(inner);
    loop {
        let proposal = inner
            .vault
            .run(move |tx| {
                let own = own::certified(tx.db)?;
                let row = find(tx, group)?;
                if row.standing != GroupStanding::Leaving {
                    return Ok(None);
                }
                proposal(&own, open::take(tx, &row)?).map(Some)
            })
            .await?;
        let Some(proposal) = proposal else {
            return Ok(());
        };
        let proposed =
            inner.auth.with_token(|token| rest.propose(group, proposal.clone(), token)).await;
        match proposed {
            Ok(()) => return log::catch_up(inner, group).await,
            Err(RestError::Refused { problem, status }) => {
                let Some(moved) = Moved::of(&problem) else {
                    inner.vault.run(move |tx| stay(tx, group)).await?;
                    return Err(RestError::Refused { problem, status }.into());
                };
                log::take_moved(inner, group, moved.entries, moved.more).await?;
            }
            Err(RestError::Other(error)) if error.is_temporary() => {}
            Err(error) => return Err(error.into()),
        }
        pace.wait().await?;
    }
}

/// The server does not let this device leave: it is in the group as before.
fn stay(tx: &mut Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    let mut row = find(tx, group)?;
    if row.standing == GroupStanding::Leaving {
        row.standing = GroupStanding::Member;
        groups::put(tx.db, &row)?;
    }
    Ok(())
}

/// The state that it is made with is not kept: the proposal counts from when it comes out of
/// the log, as those of others do, and not where the server never heard of it.
fn proposal(own: &Own, mut open: Open) -> Result<Vec<u8>, ClientError> {
    drop_pending(&mut open)?;
    let message = open
        .mls
        .leave_group(&open.provider, &signer(own))
        .map_err(|_| ClientError::Crypto("leave"))?;
    bytes_of(&message)
}

/// Takes an invitation.
///
/// # Errors
/// `unknown_group`.
pub(crate) fn accept(tx: &mut Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    let mut row: Group = find_joined(tx, group)?;
    if row.standing == GroupStanding::Invited {
        row.standing = GroupStanding::Member;
        groups::put(tx.db, &row)?;
    }
    Ok(())
}

/// Declines an invitation, and leaves the group by that.
///
/// # Errors
/// As [`leave`]; `unknown_group` where there is none.
pub(crate) async fn decline(inner: &Arc<Inner>, group: GroupId) -> Result<(), ClientError> {
    let invited = inner
        .vault
        .run(move |tx| Ok(find_joined(tx, group)?.standing == GroupStanding::Invited))
        .await?;
    if invited { leave(inner, group).await } else { Err(ClientError::UnknownGroup) }
}
