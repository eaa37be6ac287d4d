use bytes::Bytes;
use sotto_ids::{DeviceAddress, GroupId};
use sqlx::PgExecutor;

use super::{bigint, from_bigint, generation};
use crate::domain::{Epoch, Head};

/// A Welcome that waits for its device.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// Where the group was when the device was welcomed: the epoch that the Welcome leads
    /// into, and the entry that began it.
    pub(crate) head: Head,
    /// An MLSMessage, cut to what the device can read.
    pub(crate) welcome: Bytes,
}

/// Adds Welcomes into an epoch, which began with the entry `seq`.
pub(crate) async fn insert(
    into: Head,
    welcomes: &[(DeviceAddress, Vec<u8>)],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let accounts: Vec<_> = welcomes.iter().map(|(device, _)| device.account.as_uuid()).collect();
    let devices: Vec<_> = welcomes.iter().map(|(device, _)| device.device.as_i16()).collect();
    let bytes: Vec<_> = welcomes.iter().map(|(_, welcome)| welcome.as_slice()).collect();
    sqlx::query!(
        r#"
        INSERT INTO groups.welcomes
            (account, device, group_id, generation, epoch, seq, made_at_ms, welcome)
        SELECT account, device, $1, $2, $3, $4, $5, welcome
        FROM unnest($6::uuid[], $7::smallint[], $8::bytea[])
            AS welcomed (account, device, welcome)
        "#,
        into.group.as_uuid(),
        i64::from(into.at.generation),
        bigint(into.at.epoch),
        bigint(into.seq),
        bigint(now_ms),
        &accounts,
        &devices,
        &bytes as &[&[u8]],
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The Welcomes that wait for a device, oldest first.
pub(crate) async fn list(
    device: DeviceAddress,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Welcome>> {
    let rows = sqlx::query!(
        r#"
        SELECT group_id, generation, epoch, seq, welcome
        FROM groups.welcomes
        WHERE account = $1 AND device = $2
        ORDER BY made_at_ms, group_id, generation, epoch
        LIMIT $3
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    let welcomes = rows.into_iter().map(|row| Welcome {
        head: Head {
            group: GroupId::from_stored(row.group_id),
            at: Epoch { generation: generation(row.generation), epoch: from_bigint(row.epoch) },
            seq: from_bigint(row.seq),
        },
        welcome: row.welcome.into(),
    });
    Ok(welcomes.collect())
}

/// Whether a Welcome into an epoch waits for a device.
pub(crate) async fn waits(
    device: DeviceAddress,
    group: GroupId,
    at: Epoch,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM groups.welcomes
            WHERE account = $1 AND device = $2 AND group_id = $3 AND generation = $4 AND epoch = $5
        ) AS "waits!"
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
    )
    .fetch_one(db)
    .await
}

/// Deletes the Welcome of a device into an epoch. Says whether there was one.
pub(crate) async fn delete(
    device: DeviceAddress,
    group: GroupId,
    at: Epoch,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM groups.welcomes
        WHERE account = $1 AND device = $2 AND group_id = $3 AND generation = $4 AND epoch = $5
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        group.as_uuid(),
        i64::from(at.generation),
        bigint(at.epoch),
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Deletes the Welcomes of devices that are in the group no more, or were welcomed anew.
pub(crate) async fn delete_of(
    group: GroupId,
    devices: &[DeviceAddress],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let accounts: Vec<_> = devices.iter().map(|device| device.account.as_uuid()).collect();
    let devices: Vec<_> = devices.iter().map(|device| device.device.as_i16()).collect();
    sqlx::query!(
        r#"
        DELETE FROM groups.welcomes
        USING unnest($2::uuid[], $3::smallint[]) AS gone (account, device)
        WHERE group_id = $1
          AND welcomes.account = gone.account
          AND welcomes.device = gone.device
        "#,
        group.as_uuid(),
        &accounts,
        &devices,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes all Welcomes into a group.
pub(crate) async fn delete_all(group: GroupId, db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM groups.welcomes WHERE group_id = $1", group.as_uuid())
        .execute(db)
        .await?;
    Ok(())
}
