use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sqlx::PgExecutor;

use super::last_resort_key_packages::LastResort;
use crate::domain::bigint;

/// Those of these that were handed out or replaced.
pub(crate) async fn list_refs(
    device: DeviceAddress,
    refs: &[Vec<u8>],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<[u8; 32]>> {
    sqlx::query_scalar!(
        r#"
        SELECT ref AS "reference: [u8; 32]"
        FROM keys.spent_key_packages
        WHERE account = $1 AND device = $2 AND ref = ANY ($3)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        refs,
    )
    .fetch_all(db)
    .await
}

/// Remembers one that is replaced.
pub(crate) async fn insert(
    device: DeviceAddress,
    replaced: LastResort,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO keys.spent_key_packages (account, device, not_after_ms, ref)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        replaced.not_after_ms,
        &replaced.reference,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets those of a device that publishes no more.
pub(crate) async fn delete(
    account: AccountUuid,
    device: DeviceId,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM keys.spent_key_packages WHERE account = $1 AND device = $2",
        account.as_uuid(),
        device.as_i16(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets at most `limit` of those that are over, of whatever device. Says how many.
pub(crate) async fn sweep(
    over_at_ms: u64,
    limit: u16,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        WITH over AS MATERIALIZED (
            SELECT account, device, not_after_ms, ref
            FROM keys.spent_key_packages
            WHERE not_after_ms <= $1
            ORDER BY not_after_ms
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM keys.spent_key_packages AS spent
        USING over
        WHERE spent.account = over.account
          AND spent.device = over.device
          AND spent.not_after_ms = over.not_after_ms
          AND spent.ref = over.ref
        "#,
        bigint(over_at_ms),
        i64::from(limit),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
