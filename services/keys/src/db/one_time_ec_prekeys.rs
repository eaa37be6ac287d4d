use sotto_ids::DeviceAddress;
use sqlx::PgExecutor;

use crate::domain::prekey::BarePrekey;

/// Those of the keys with these ids that are on the shelf.
pub(crate) async fn list(
    device: DeviceAddress,
    key_ids: &[i32],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<BarePrekey>> {
    sqlx::query_as!(
        BarePrekey,
        r#"
        SELECT key_id, public_key
        FROM keys.one_time_ec_prekeys
        WHERE account = $1 AND device = $2 AND key_id = ANY ($3)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        key_ids,
    )
    .fetch_all(db)
    .await
}

/// All that are on the shelf, by rising ids.
pub(crate) async fn list_all(
    device: DeviceAddress,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<BarePrekey>> {
    sqlx::query_as!(
        BarePrekey,
        r#"
        SELECT key_id, public_key
        FROM keys.one_time_ec_prekeys
        WHERE account = $1 AND device = $2
        ORDER BY key_id
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_all(db)
    .await
}

/// How many are on the shelf.
pub(crate) async fn count(device: DeviceAddress, db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM keys.one_time_ec_prekeys
        WHERE account = $1 AND device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
    )
    .fetch_one(db)
    .await
}

/// Puts keys on the shelf.
pub(crate) async fn insert(
    device: DeviceAddress,
    prekeys: &[BarePrekey],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let (key_ids, public_keys): (Vec<i32>, Vec<Vec<u8>>) =
        prekeys.iter().map(|prekey| (prekey.key_id, prekey.public_key.clone())).unzip();
    sqlx::query!(
        r#"
        INSERT INTO keys.one_time_ec_prekeys (account, device, key_id, public_key)
        SELECT $1, $2, prekey.key_id, prekey.public_key
        FROM unnest($3::integer[], $4::bytea[]) AS prekey (key_id, public_key)
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        &key_ids,
        &public_keys,
    )
    .execute(db)
    .await?;
    Ok(())
}
