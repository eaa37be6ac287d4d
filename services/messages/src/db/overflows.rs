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
}

/// When a device is told of its overflow: not of one that it was first told of before
/// `first_after_ms`, and not if it was told of anything after `last_before_ms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    pub(crate) first_after_ms: u64,
    pub(crate) last_before_ms: u64,
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

/// Whether a device is to be told of an overflow.
pub(crate) async fn is_due(
    device: DeviceAddress,
    telling: Telling,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM messages.overflows
            WHERE account = $1
              AND device = $2
              AND (told_at IS NULL OR told_at > $3)
              AND (last_told_at IS NULL OR last_told_at <= $4)
        ) AS "is_due!"
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        timestamp(telling.first_after_ms),
        timestamp(telling.last_before_ms),
    )
    .fetch_one(db)
    .await
}

/// What a device is told now; it counts as told. `None` where another replica has told
/// it meanwhile.
pub(crate) async fn tell(
    device: DeviceAddress,
    telling: Telling,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Overflow>> {
    let row = sqlx::query!(
        r#"
        UPDATE messages.overflows
        SET told_at = coalesce(told_at, $5), last_told_at = $5
        WHERE account = $1
          AND device = $2
          AND (told_at IS NULL OR told_at > $3)
          AND (last_told_at IS NULL OR last_told_at <= $4)
        RETURNING since, turned_away
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        timestamp(telling.first_after_ms),
        timestamp(telling.last_before_ms),
        timestamp(now_ms),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Overflow {
        since_ms: unix_ms(row.since),
        turned_away: row.turned_away.unsigned_abs(),
    }))
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
