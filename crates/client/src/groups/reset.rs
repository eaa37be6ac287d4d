//! Begins a group anew, where nothing else helps.

use std::sync::Arc;

use sotto_ids::{AccountId, GroupId};
use sotto_mls::Members;

use super::{
    adding,
    commit::{Intent, Pace, carry_out},
    create::{self, external_sender_key},
    find_joined, open,
};
use crate::{
    ClientError, GroupAdded,
    client::Inner,
    rest::{RestError, groups::NewGroup},
    vault::{Tx, groups::Group, own},
};

/// Begins a group anew with this device, and adds everybody who was in it. Admins only.
///
/// # Errors
/// `not_allowed_in_group`, and as [`adding::add`].
pub(crate) async fn reset(inner: &Arc<Inner>, group: GroupId) -> Result<GroupAdded, ClientError> {
    let turn = inner.groups.turn_to_commit(group).await;
    // What the server says of it is read once it is here.
    let reading = inner.groups.turn_at_log(group).await;
    let key = external_sender_key(inner).await?;
    let domain = inner.config.domain.clone();
    let (row, others, begun) = inner
        .vault
        .run(move |tx| {
            let own = own::certified(tx.db)?;
            let mut row = find_joined(tx, group)?;
            if !row.policy.is_admin(&own.account) {
                return Err(ClientError::NotAllowedInGroup { rule: "reset".to_owned() });
            }
            let others = others(tx, &row, own.account)?;
            row.generation += 1;
            row.policy.admins.retain(|admin| *admin == own.account);
            let begun = create::begin(
                tx,
                &own,
                &row.mls_id(),
                &row.policy,
                super::seal::known(row.metadata.as_ref(), &row.policy),
                (&domain, &key),
            )?;
            Ok((row, others, begun))
        })
        .await?;
    let rest = &inner.rest;
    let mut pace = Pace::new(inner);
    let seq = loop {
        let new = NewGroup {
            group_info: begun.group_info.clone().into(),
            sealed_metadata: begun.sealed_metadata.clone().into(),
        };
        let ends = row.generation - 1;
        match inner.auth.with_token(|token| rest.reset_group(group, ends, new.clone(), token)).await
        {
            Ok(done) => break done.seq,
            Err(RestError::Other(error)) if error.is_temporary() => pace.wait().await?,
            Err(error) => return Err(error.into()),
        }
    };
    let admins = inner
        .vault
        .run(move |tx| {
            let mut before = find_joined(tx, group)?;
            let admins = before.policy.admins.clone();
            open::forget(tx, &mut before)?;
            let mut row = row;
            row.version = before.version;
            row.cursor = seq;
            row.sealed = true;
            row.refused = None;
            create::keep(tx, row, begun)?;
            super::outbox::unseal_all(tx, group)?;
            Ok(admins)
        })
        .await?;
    inner.groups.touch_changed(group, seq);
    drop((reading, turn));
    let added = adding::add(inner, group, &others).await?;
    // Who is to be an admin has to be a member first.
    for account in admins.into_iter().filter(|admin| added.added.contains(admin)) {
        carry_out(inner, group, Intent::SetAdmin { account, admin: true }).await?;
    }
    Ok(added)
}

fn others(tx: &mut Tx<'_>, row: &Group, own: AccountId) -> Result<Vec<AccountId>, ClientError> {
    let open = open::take(tx, row)?;
    let members =
        Members::of(open.mls.public_group()).map_err(|_| ClientError::Crypto("members"))?;
    open::put_back(tx, row, open);
    let mut others: Vec<_> =
        members.iter().map(|(_, leaf)| leaf.account).filter(|account| *account != own).collect();
    others.sort_unstable();
    others.dedup();
    Ok(others)
}
