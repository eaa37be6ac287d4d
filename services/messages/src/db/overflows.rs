//! `messages.overflows`: devices whose queue was full, until they have been told.

use sotto_ids::DeviceAddress;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::timestamp;

/// What was turned away from the queue of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) since_ms: u64,
    pub(crate) turned_away: u64,
    /// The device has been told of exactly this.
    pub(crate) told: bool,
}

/// Counts what was turned away now, for each device. What a device was told of before
/// `told_before_ms` is over, and counting begins anew.
///
/// The caller sorts the devices, so that two replicas cannot wait for each other in a
/// circle.
pub(crate) async fn add_many(
    turned_away: &[(DeviceAddress, i64)],
    now_ms: u64,
    told_before_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (accounts, devices) = columns(turned_away.iter().map(|(device, _)| device));
    let counts: Vec<i64> = turned_away.iter().map(|(_, count)| *count).collect();
    sqlx::query!(
        r#"
        INSERT INTO messages.overflows AS known (account, device, since, turned_away)
        SELECT account, device, $4, turned_away
        FROM unnest($1::uuid[], $2::smallint[], $3::bigint[])
            AS new (account, device, turned_away)
        ON CONFLICT (account, device) DO UPDATE SET
            since = CASE WHEN known.told_at <= $5 THEN excluded.since ELSE known.since END,
            turned_away = excluded.turned_away
                + CASE WHEN known.told_at <= $5 THEN 0 ELSE known.turned_away END,
            told_at = NULL
        "#,
        &accounts,
        &devices,
        &counts,
        timestamp(now_ms),
        timestamp(told_before_ms),
    )
    .execute(db)
    .await
    .map(drop)
}

/// What a device is to be told, unless it was told before `told_before_ms`.
pub(crate) async fn find(
    device: DeviceAddress,
    told_before_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Overflow>> {
    let row = sqlx::query!(
        r#"
        SELECT since, turned_away, told_at IS NOT NULL AS "told!"
        FROM messages.overflows
        WHERE account = $1 AND device = $2 AND (told_at IS NULL OR told_at > $3)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        timestamp(told_before_ms),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Overflow {
        since_ms: unix_ms(row.since),
        turned_away: row.turned_away.unsigned_abs(),
        told: row.told,
    }))
}

/// Notes that a device was told that so many were turned away, unless there have been
/// more since.
pub(crate) async fn mark_told(
    device: DeviceAddress,
    turned_away: u64,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE messages.overflows SET told_at = $4
        WHERE account = $1 AND device = $2 AND turned_away = $3 AND told_at IS NULL
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        i64::try_from(turned_away).unwrap_or(i64::MAX),
        timestamp(now_ms),
    )
    .execute(db)
    .await
    .map(drop)
}

/// Forgets what devices were told before `told_before_ms`. Returns how many.
pub(crate) async fn forget_told(told_before_ms: u64, db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    sqlx::query!("DELETE FROM messages.overflows WHERE told_at <= $1", timestamp(told_before_ms))
        .execute(db)
        .await
        .map(|result| result.rows_affected())
}

/// Forgets devices that are gone.
pub(crate) async fn delete_many(
    gone: &[DeviceAddress],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (accounts, devices) = columns(gone.iter());
    sqlx::query!(
        r#"
        DELETE FROM messages.overflows
        USING unnest($1::uuid[], $2::smallint[]) AS gone (account, device)
        WHERE overflows.account = gone.account AND overflows.device = gone.device
        "#,
        &accounts,
        &devices,
    )
    .execute(db)
    .await
    .map(drop)
}

fn columns<'a>(devices: impl Iterator<Item = &'a DeviceAddress>) -> (Vec<Uuid>, Vec<i16>) {
    devices.map(|device| (device.account.as_uuid(), device.device.as_i16())).unzip()
}

fn unix_ms(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}
