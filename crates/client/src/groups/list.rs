//! Groups and what was said in them, for people to look at.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sotto_ids::{AccountId, GroupId, limits::MAX_RECEIPT_IDS};
use sotto_mls::Members;

use super::{
    Group, GroupDetails, GroupDevice, GroupMember, find, log,
    open::{self},
};
use crate::{
    Body, ClientError, ConversationId, Message,
    client::Inner,
    content::Sync,
    kinds::sync,
    vault::{Tx, chains, groups, messages, own},
};

/// All groups, that which was joined last first.
pub(crate) fn groups(tx: &mut Tx<'_>) -> Result<Vec<Group>, ClientError> {
    let rows = groups::list(tx.db)?;
    rows.iter().map(|row| view(tx, row)).collect()
}

fn view(tx: &Tx<'_>, row: &groups::Group) -> Result<Group, ClientError> {
    let metadata = row.metadata.as_ref();
    Ok(Group {
        id: row.id,
        name: metadata.map(|metadata| metadata.name.clone()).unwrap_or_default(),
        picture: metadata
            .map(|metadata| metadata.picture.clone())
            .filter(|picture| !picture.is_empty()),
        standing: row.standing,
        invited_by: row.inviter,
        generation: row.generation,
        epoch: row.epoch,
        seq: row.cursor,
        admins: row.policy.admins.iter().copied().collect(),
        members_may_add: row.policy.members_may_add,
        unread: messages::unread(tx.db, ConversationId::of_group(row.id))?,
        refused: row.refused.clone(),
    })
}

/// A group, its members, and how far each device of theirs has come.
///
/// # Errors
/// `unknown_group`. Where the server is away, what is known here.
pub(crate) async fn details(
    inner: &Arc<Inner>,
    group: GroupId,
) -> Result<GroupDetails, ClientError> {
    // It may be that the server is away; what is known is shown all the same.
    let caught_up = log::catch_up(inner, group).await;
    if let Err(error) = caught_up {
        tracing::debug!(reason = error.reason(), "a group is shown as it was");
    }
    let rest = &inner.rest;
    let cursors = inner.auth.with_token(|token| rest.group_cursors(group, token)).await;
    let cursors: HashMap<_, _> = cursors
        .unwrap_or_default()
        .into_iter()
        .map(|one| ((one.account, one.device_id), one.cursor))
        .collect();
    inner
        .vault
        .run(move |tx| {
            let row = find(tx, group)?;
            let mut accounts: BTreeMap<AccountId, Vec<GroupDevice>> = BTreeMap::new();
            if row.standing.is_in() {
                let open = open::take(tx, &row)?;
                let members = Members::of(open.mls.public_group())
                    .map_err(|_| ClientError::Crypto("members"))?;
                open::put_back(tx, &row, open);
                for (index, leaf) in members.iter() {
                    let name = (leaf.account.uuid(), u32::from(leaf.device));
                    accounts.entry(leaf.account).or_default().push(GroupDevice {
                        device: leaf.device,
                        leaf: index.u32(),
                        delivered: cursors.get(&name).copied(),
                    });
                }
            }
            let mut members = Vec::new();
            for (account, devices) in accounts {
                let known = chains::find(tx.db, tx.chains, account.uuid())?;
                members.push(GroupMember {
                    account,
                    uuid: account.uuid(),
                    handle: known
                        .and_then(|(_, state)| state.handle.as_ref().map(ToString::to_string)),
                    admin: row.policy.is_admin(&account),
                    devices,
                });
            }
            Ok(GroupDetails { group: view(tx, &row)?, members })
        })
        .await
}

/// The newest `limit` messages of a group, before a position where one is given; oldest
/// first.
pub(crate) fn history(
    tx: &mut Tx<'_>,
    group: GroupId,
    limit: usize,
    before: Option<u64>,
) -> Result<Vec<Message>, ClientError> {
    find(tx, group)?;
    Ok(messages::history(tx.db, ConversationId::of_group(group), limit, before)?)
}

/// All that was written in a group so far has been read. One's other devices are told;
/// whoever wrote it is not.
pub(crate) fn mark_read(tx: &mut Tx<'_>, group: GroupId) -> Result<(), ClientError> {
    let own = own::certified(tx.db)?;
    find(tx, group)?;
    let conversation = ConversationId::of_group(group);
    loop {
        let unread = messages::list_unread(tx.db, conversation, MAX_RECEIPT_IDS)?;
        if unread.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        for (name, message) in unread {
            messages::set_read(tx.db, message.position, tx.now_ms)?;
            if !matches!(message.body, Body::Unreadable { .. }) {
                names.push(name);
            }
        }
        tx.chores_changed();
        if !names.is_empty() {
            sync::tell(tx, &own, Sync::Read(names))?;
        }
    }
}
