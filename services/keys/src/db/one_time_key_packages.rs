use sotto_ids::DeviceAddress;
use sqlx::PgExecutor;

use crate::domain::{bigint, key_package::KeyPackage};

/// Those of these that are on the shelf.
pub(crate) async fn list_refs(
    device: DeviceAddress,
    refs: &[Vec<u8>],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<[u8; 32]>> {
    sqlx::query_scalar!(
        r#"
        SELECT ref AS "reference: [u8; 32]"
        FROM keys.one_time_key_packages
        WHERE account = $1 AND device = $2 AND ref = ANY ($3)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        refs,
    )
    .fetch_all(db)
    .await
}

/// How many on the shelf end later than this.
pub(crate) async fn count(
    device: DeviceAddress,
    over_at_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM keys.one_time_key_packages
        WHERE account = $1 AND device = $2 AND not_after_ms > $3
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        bigint(over_at_ms),
    )
    .fetch_one(db)
    .await
}

/// Puts KeyPackages on the shelf.
pub(crate) async fn insert(
    device: DeviceAddress,
    packages: &[KeyPackage],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (mut ends, mut refs, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for package in packages {
        ends.push(package.not_after_ms);
        refs.push(package.reference.to_vec());
        bytes.push(package.bytes.clone());
    }
    sqlx::query!(
        r#"
        INSERT INTO keys.one_time_key_packages (account, device, not_after_ms, ref, key_package)
        SELECT $1, $2, package.not_after_ms, package.ref, package.key_package
        FROM unnest($3::bigint[], $4::bytea[], $5::bytea[])
            AS package (not_after_ms, ref, key_package)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        &ends,
        &refs,
        &bytes,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes those on the shelf that are over.
pub(crate) async fn delete_over(
    device: DeviceAddress,
    over_at_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM keys.one_time_key_packages
         WHERE account = $1 AND device = $2 AND not_after_ms <= $3",
        device.account.as_uuid(),
        device.device.as_i16(),
        bigint(over_at_ms),
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
            SELECT account, device, not_after_ms, ref
            FROM keys.one_time_key_packages
            WHERE not_after_ms <= $1
            ORDER BY not_after_ms
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM keys.one_time_key_packages AS shelf
        USING over
        WHERE shelf.account = over.account
          AND shelf.device = over.device
          AND shelf.not_after_ms = over.not_after_ms
          AND shelf.ref = over.ref
        "#,
        bigint(over_at_ms),
        i64::from(limit),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
