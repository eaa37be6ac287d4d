use std::collections::HashSet;

use sotto_ids::{AccountUuid, DeviceAddress};

use super::{RETRY, ends_within, outcome};
use crate::{db, metrics, ops::Messages};

/// Accounts that are looked at together.
const ACCOUNTS_AT_ONCE: usize = 100;

/// Deletes what waits for devices that their accounts do not have any more, as they are
/// revoked.
pub(super) async fn purge(messages: Messages) {
    loop {
        let accounts = tokio::select! {
            accounts = messages.purges.take(ACCOUNTS_AT_ONCE) => accounts,
            () = messages.finishing.cancelled() => return,
        };
        if messages.read_only.check().is_ok() {
            let mut looked = false;
            let run = async {
                looked = purge_all(&accounts, &messages).await?;
                Ok(())
            };
            if outcome("purge", run).await && looked {
                continue;
            }
        }
        messages.purges.put_back(&accounts);
        if ends_within(RETRY, &messages).await {
            return;
        }
    }
}

/// Looks into the queues first, and asks keys then. A device for which something waits
/// was in its account's set once, and one that has left it never comes back. So whoever
/// is in the queues and not in the answer is gone, however long the answer took; and a
/// device that was added meanwhile is in neither. Says whether keys answered.
async fn purge_all(accounts: &[AccountUuid], messages: &Messages) -> sqlx::Result<bool> {
    let waited_for = db::queue::list_devices(accounts, &messages.db).await?;
    if waited_for.is_empty() {
        return Ok(true);
    }
    let accounts: HashSet<AccountUuid> = waited_for.iter().map(|device| device.account).collect();
    let accounts: Vec<AccountUuid> = accounts.into_iter().collect();
    let Ok(sets) = messages.device_sets.fetch(&accounts).await else {
        return Ok(false);
    };
    // Of an account that keys does not know nothing is deleted: the mistake may be there.
    let is_gone = |device: &DeviceAddress| matches!(sets.get(&device.account), Some(Some(set)) if !set.has_live(device.device));
    let gone: Vec<DeviceAddress> = waited_for.into_iter().filter(is_gone).collect();
    let limit = messages.config.queue.sweep_rows;
    for device in &gone {
        loop {
            let rows = db::queue::delete_oldest(*device, limit, &messages.db).await?;
            metrics::purged(rows);
            if rows < u64::from(limit) {
                break;
            }
        }
    }
    db::overflows::delete_many(&gone, &messages.db).await?;
    Ok(true)
}
