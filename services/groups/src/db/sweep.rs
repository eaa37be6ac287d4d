//! Which devices are in groups at all, to be held against what keys says.

use sotto_ids::{AccountUuid, DeviceAddress, DeviceId, GroupId};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Accounts with a device in a group: the first `limit` after `after`, in the order of their
/// ids.
pub(crate) async fn list_accounts(
    after: Option<AccountUuid>,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<AccountUuid>> {
    let accounts = sqlx::query_scalar!(
        r#"
        SELECT DISTINCT account
        FROM groups.members
        WHERE ($1::uuid IS NULL OR account > $1) AND removed_seq IS NULL
        ORDER BY account
        LIMIT $2
        "#,
        after.map(|account| account.as_uuid()) as Option<Uuid>,
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    Ok(accounts.into_iter().map(AccountUuid::from_stored).collect())
}

/// The devices of these accounts that are in a group.
pub(crate) async fn list_devices(
    accounts: &[AccountUuid],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<DeviceAddress>> {
    let accounts: Vec<Uuid> = accounts.iter().map(AccountUuid::as_uuid).collect();
    let rows = sqlx::query!(
        r#"
        SELECT DISTINCT account, device
        FROM groups.members
        WHERE account = ANY ($1) AND removed_seq IS NULL
        "#,
        &accounts,
    )
    .fetch_all(db)
    .await?;
    let devices = rows.into_iter().filter_map(|row| {
        let device = DeviceId::try_from(row.device).ok()?;
        Some(DeviceAddress::new(AccountUuid::from_stored(row.account), device))
    });
    Ok(devices.collect())
}

/// The groups that a device is in: the first `limit` after `after`, in the order of their
/// ids.
pub(crate) async fn list_groups_of(
    device: DeviceAddress,
    after: Option<GroupId>,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<GroupId>> {
    let groups = sqlx::query_scalar!(
        r#"
        SELECT group_id
        FROM groups.members
        WHERE account = $1 AND device = $2 AND removed_seq IS NULL
          AND ($3::uuid IS NULL OR group_id > $3)
        ORDER BY group_id
        LIMIT $4
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        after.map(|group| group.as_uuid()) as Option<Uuid>,
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    Ok(groups.into_iter().map(GroupId::from_stored).collect())
}
