use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sqlx::PgExecutor;

use crate::domain::prekey::Kind;

/// The highest id ever accepted of each kind, 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Highest {
    pub(crate) signed_ec: i32,
    pub(crate) one_time_ec: i32,
    pub(crate) last_resort_kyber: i32,
    pub(crate) one_time_kyber: i32,
}

/// Puts up an empty shelf for a device.
pub(crate) async fn insert(
    account: AccountUuid,
    device: DeviceId,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO keys.shelves (account, device) VALUES ($1, $2)",
        account.as_uuid(),
        device.as_i16(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes down the shelf of a device with all that is on it.
pub(crate) async fn delete(
    account: AccountUuid,
    device: DeviceId,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM keys.shelves WHERE account = $1 AND device = $2",
        account.as_uuid(),
        device.as_i16(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps other uploads of the device out until the transaction ends. Claims go on.
/// `None` where the device has no shelf: it is revoked.
pub(crate) async fn lock(
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Highest>> {
    sqlx::query_as!(
        Highest,
        r#"
        SELECT highest_signed_ec AS signed_ec,
               highest_one_time_ec AS one_time_ec,
               highest_last_resort_kyber AS last_resort_kyber,
               highest_one_time_kyber AS one_time_kyber
        FROM keys.shelves
        WHERE account = $1 AND device = $2
        FOR NO KEY UPDATE
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_optional(db)
    .await
}

/// Remembers the highest id of a kind. It never goes down.
pub(crate) async fn raise(
    device: DeviceAddress,
    kind: Kind,
    key_id: i32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let raised = |this: Kind| (kind == this).then_some(key_id);
    sqlx::query!(
        r#"
        UPDATE keys.shelves
        SET highest_signed_ec = greatest(highest_signed_ec, $3),
            highest_one_time_ec = greatest(highest_one_time_ec, $4),
            highest_last_resort_kyber = greatest(highest_last_resort_kyber, $5),
            highest_one_time_kyber = greatest(highest_one_time_kyber, $6)
        WHERE account = $1 AND device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        raised(Kind::SignedEc),
        raised(Kind::OneTimeEc),
        raised(Kind::LastResortKyber),
        raised(Kind::OneTimeKyber),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is on the shelf of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) one_time_ec: i64,
    pub(crate) one_time_kyber: i64,
    /// 0 for none, as the next.
    pub(crate) highest_one_time_ec: i32,
    pub(crate) highest_kyber: i32,
    pub(crate) signed_ec: Option<i32>,
    /// Milliseconds since 1970.
    pub(crate) signed_ec_published_at_ms: Option<i64>,
    pub(crate) last_resort_kyber: Option<i32>,
}

/// Counts what is on the shelf. `None` where the device has none.
pub(crate) async fn count(
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Stock>> {
    sqlx::query_as!(
        Stock,
        r#"
        SELECT (SELECT count(*) FROM keys.one_time_ec_prekeys
                WHERE account = $1 AND device = $2) AS "one_time_ec!",
               (SELECT count(*) FROM keys.one_time_kyber_prekeys
                WHERE account = $1 AND device = $2) AS "one_time_kyber!",
               shelves.highest_one_time_ec,
               greatest(shelves.highest_one_time_kyber, shelves.highest_last_resort_kyber)
                   AS "highest_kyber!",
               signed_ec.key_id AS "signed_ec?",
               signed_ec.published_at_ms AS "signed_ec_published_at_ms?",
               last_resort.key_id AS "last_resort_kyber?"
        FROM keys.shelves
        LEFT JOIN keys.signed_ec_prekeys AS signed_ec USING (account, device)
        LEFT JOIN keys.last_resort_kyber_prekeys AS last_resort USING (account, device)
        WHERE shelves.account = $1 AND shelves.device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_optional(db)
    .await
}
