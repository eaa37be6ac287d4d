use std::collections::HashSet;

use sotto_ids::{AccountUuid, DeviceAddress, GroupId};
use sotto_mls::LeafId;

use super::{RETRY, ends_within, outcome};
use crate::{db, error::GroupsError, metrics, ops::Groups};

/// Groups of a device that are listed together.
const GROUPS_AT_ONCE: u32 = 200;

/// Proposes to remove devices from their groups as their accounts lose them.
pub(super) async fn sweep_changed(groups: Groups) {
    let most = usize::try_from(groups.config.sweep.accounts).unwrap_or(usize::MAX);
    loop {
        let accounts = tokio::select! {
            accounts = groups.delivery.sweeps.take(most) => accounts,
            () = groups.delivery.finishing.cancelled() => return,
        };
        let is_done = groups.read_only.check().is_ok()
            && outcome("sweep_changed", sweep(&accounts, &groups)).await;
        if !is_done {
            groups.delivery.sweeps.put_back(accounts);
            if ends_within(RETRY, &groups).await {
                return;
            }
        }
    }
}

/// Now and then holds all members against keys: for changes that nobody heard of.
pub(super) async fn sweep_all(groups: Groups) {
    while !ends_within(groups.config.sweep.every, &groups).await {
        if groups.read_only.check().is_ok() {
            outcome("sweep_all", sweep_everybody(&groups)).await;
        }
    }
}

async fn sweep_everybody(groups: &Groups) -> Result<(), GroupsError> {
    let limit = groups.config.sweep.accounts;
    let mut after: Option<AccountUuid> = None;
    loop {
        let accounts = db::sweep::list_accounts(after, limit, &groups.db).await?;
        sweep(&accounts, groups).await?;
        after = accounts.last().copied();
        if after.is_none() || groups.delivery.finishing.is_cancelled() {
            return Ok(());
        }
    }
}

/// Looks into the groups first, and asks keys then. A device that is in a group was live
/// once, and one that its account has lost never comes back. So whoever is in a group and not
/// in the answer is gone, however long the answer took.
async fn sweep(accounts: &[AccountUuid], groups: &Groups) -> Result<(), GroupsError> {
    let members = db::sweep::list_devices(accounts, &groups.db).await?;
    if members.is_empty() {
        return Ok(());
    }
    let accounts: HashSet<AccountUuid> = members.iter().map(|device| device.account).collect();
    let accounts: Vec<AccountUuid> = accounts.into_iter().collect();
    let known =
        groups.devices.fetch(&accounts).await.map_err(|_keys_away| GroupsError::KeysAway)?;
    // Of an account that keys does not know nobody is removed: the mistake may be there.
    let gone: Vec<(DeviceAddress, LeafId)> = members
        .into_iter()
        .filter_map(|device| {
            let account = known.get(&device.account)?.as_ref()?;
            let is_gone = !account.has(device.device);
            is_gone.then(|| (device, LeafId::new(account.id, device.device)))
        })
        .collect();
    metrics::swept(gone.len());
    for (device, leaf) in gone {
        remove(device, leaf, groups).await?;
    }
    Ok(())
}

/// A group that fails does not keep the device in the others; the whole comes again then.
async fn remove(device: DeviceAddress, leaf: LeafId, groups: &Groups) -> Result<(), GroupsError> {
    let mut after: Option<GroupId> = None;
    let mut failed = None;
    loop {
        let found = db::sweep::list_groups_of(device, after, GROUPS_AT_ONCE, &groups.db).await?;
        for group in &found {
            if let Err(error) = groups.propose_removals(*group, &[leaf]).await {
                failed = Some(error);
            }
        }
        after = found.last().copied();
        if after.is_none() {
            return failed.map_or(Ok(()), Err);
        }
    }
}
