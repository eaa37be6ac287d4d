use sotto_ids::DeviceAddress;
use sqlx::PgExecutor;

use crate::domain::{bigint, prekey::SignedPrekey};

/// The signed EC prekey of a device.
pub(crate) async fn find(
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<SignedPrekey>> {
    sqlx::query_as!(
        SignedPrekey,
        r#"
        SELECT key_id, public_key, signature
        FROM keys.signed_ec_prekeys
        WHERE account = $1 AND device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_optional(db)
    .await
}

/// Puts a signed EC prekey in the place of the one before.
pub(crate) async fn replace(
    device: DeviceAddress,
    prekey: &SignedPrekey,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO keys.signed_ec_prekeys
            (account, device, key_id, public_key, signature, published_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (account, device) DO UPDATE
            SET key_id = excluded.key_id,
                public_key = excluded.public_key,
                signature = excluded.signature,
                published_at_ms = excluded.published_at_ms
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        prekey.key_id,
        prekey.public_key,
        prekey.signature,
        bigint(now_ms),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How many devices sign with a prekey that they published before `before_ms`. It looks
/// at every row; those of devices whose certificate has ended are counted too.
pub(crate) async fn count_older(before_ms: u64, db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM keys.signed_ec_prekeys WHERE published_at_ms < $1"#,
        bigint(before_ms),
    )
    .fetch_one(db)
    .await
}
