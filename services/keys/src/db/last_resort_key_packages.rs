use sotto_ids::DeviceAddress;
use sqlx::PgExecutor;

use crate::domain::{bigint, key_package::KeyPackage};

/// Which one is on the shelf, and where its lifetime ends. One that is over may still be
/// there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastResort {
    pub(crate) reference: [u8; 32],
    pub(crate) not_after_ms: i64,
}

/// The last-resort KeyPackage of a device.
pub(crate) async fn find(
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<LastResort>> {
    sqlx::query_as!(
        LastResort,
        r#"
        SELECT ref AS "reference: [u8; 32]", not_after_ms
        FROM keys.last_resort_key_packages
        WHERE account = $1 AND device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_optional(db)
    .await
}

/// Puts a last-resort KeyPackage in the place of the one before.
pub(crate) async fn replace(
    device: DeviceAddress,
    package: &KeyPackage,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO keys.last_resort_key_packages
            (account, device, not_after_ms, ref, key_package)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (account, device) DO UPDATE
            SET not_after_ms = excluded.not_after_ms,
                ref = excluded.ref,
                key_package = excluded.key_package
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        package.not_after_ms,
        &package.reference,
        package.bytes,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes at most `limit` of those that are over, on whatever shelf. Says how many.
pub(crate) async fn sweep(
    over_at_ms: u64,
    limit: u16,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        WITH over AS MATERIALIZED (
            SELECT account, device
            FROM keys.last_resort_key_packages
            WHERE not_after_ms <= $1
            ORDER BY not_after_ms
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM keys.last_resort_key_packages AS shelf
        USING over
        WHERE shelf.account = over.account AND shelf.device = over.device
        "#,
        bigint(over_at_ms),
        i64::from(limit),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
