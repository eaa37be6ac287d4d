use std::future::Future;

use sotto_ids::GroupId;
use sotto_kit::clock::millis;

use super::{ends_within, outcome};
use crate::{db, metrics, ops::Groups};

/// Groups that are looked for together.
const GROUPS_AT_ONCE: u32 = 500;

/// Deletes what is over, a bounded batch at a time.
pub(super) async fn expire(groups: Groups) {
    while !ends_within(groups.config.log.expire_every, &groups).await {
        if groups.read_only.check().is_err() {
            continue;
        }
        let before_ms = groups.clock.now_ms().saturating_sub(millis(groups.config.log.retention));
        let (db, rows) = (&groups.db, groups.config.log.expire_rows);
        outcome("expire_logs", expire_logs(&groups, before_ms)).await;
        let welcomes = || db::expiry::delete_welcomes(before_ms, rows, db);
        outcome("expire_welcomes", all("welcomes", rows, welcomes)).await;
        let trees = || db::expiry::delete_trees(rows, db);
        outcome("expire_trees", all("trees", rows, trees)).await;
        let empty = || db::expiry::delete_groups(rows, db);
        outcome("expire_groups", all("groups", rows, empty)).await;
    }
}

/// Repeats until a batch is not full.
async fn all<D>(table: &'static str, rows: u32, delete: impl Fn() -> D) -> sqlx::Result<()>
where
    D: Future<Output = sqlx::Result<u64>>,
{
    loop {
        let deleted = delete().await?;
        metrics::expired(table, deleted);
        if deleted < u64::from(rows) {
            return Ok(());
        }
    }
}

async fn expire_logs(groups: &Groups, before_ms: u64) -> sqlx::Result<()> {
    let mut after: Option<GroupId> = None;
    loop {
        let old = db::expiry::list_groups(before_ms, after, GROUPS_AT_ONCE, &groups.db).await?;
        for group in &old {
            while cut(*group, before_ms, groups).await? {}
        }
        after = old.last().copied();
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Cuts a bounded piece off the beginning of a log. Says whether there may be more.
///
/// In one transaction: where the log says that it begins, there it does.
async fn cut(group: GroupId, before_ms: u64, groups: &Groups) -> sqlx::Result<bool> {
    let rows = groups.config.log.expire_rows;
    let mut tx = groups.db.begin().await?;
    let Some(kept_from) = db::expiry::cut(group, before_ms, rows, &mut *tx).await? else {
        return Ok(false);
    };
    let entries = db::expiry::delete_before(group, kept_from, &mut *tx).await?;
    let gone = db::expiry::forget_gone(group, kept_from, &mut *tx).await?;
    tx.commit().await?;
    metrics::expired("log", entries);
    metrics::expired("members", gone);
    Ok(entries >= u64::from(rows))
}
