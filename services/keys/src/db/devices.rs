use std::collections::BTreeMap;

use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::bigint;

/// A device as the chain certifies it.
#[derive(Clone)]
pub(crate) struct Device {
    /// Ed25519.
    pub(crate) key: [u8; 32],
    /// 33 bytes.
    pub(crate) identity_key: Vec<u8>,
    /// Ed25519. `None` in a row that is older than the column.
    pub(crate) mls_key: Option<[u8; 32]>,
    pub(crate) is_revoked: bool,
    pub(crate) is_expired: bool,
    /// Milliseconds since 1970 at which its certificate ends, if it does.
    pub(crate) not_after_ms: Option<i64>,
}

/// Adds a device that the chain has certified.
pub(crate) async fn insert(
    account: AccountUuid,
    device: &sotto_identity::Device,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    let not_after_ms = (device.not_after_ms > 0).then(|| bigint(device.not_after_ms));
    sqlx::query!(
        r#"
        INSERT INTO keys.devices
            (account, device, device_key, identity_key, registration_id, not_after_ms, mls_key)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        "#,
        account.as_uuid(),
        device.id.as_i16(),
        &device.device_key,
        device.identity_key.as_bytes(),
        device.registration_id.cast_signed(),
        not_after_ms,
        &device.mls_key,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks a device as revoked by the op `seq`.
pub(crate) async fn revoke(
    account: AccountUuid,
    device: DeviceId,
    seq: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE keys.devices SET revoked_at_seq = $3 WHERE account = $1 AND device = $2",
        account.as_uuid(),
        device.as_i16(),
        bigint(seq),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The device, be it revoked.
pub(crate) async fn find(
    device: DeviceAddress,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Device>> {
    sqlx::query_as!(
        Device,
        r#"
        SELECT device_key AS "key: [u8; 32]",
               identity_key,
               mls_key AS "mls_key: [u8; 32]",
               revoked_at_seq IS NOT NULL AS "is_revoked!",
               coalesce(not_after_ms <= $3, false) AS "is_expired!",
               not_after_ms
        FROM keys.devices
        WHERE account = $1 AND device = $2
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        bigint(now_ms),
    )
    .fetch_optional(db)
    .await
}

/// What one of several devices is fit for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness {
    pub(crate) device: i16,
    /// It has published what a session needs.
    pub(crate) is_ready: bool,
}

/// Which of these devices are live, and which of those are ready.
pub(crate) async fn list_live(
    account: AccountUuid,
    devices: &[i16],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Readiness>> {
    sqlx::query_as!(
        Readiness,
        r#"
        SELECT devices.device,
               signed_ec.key_id IS NOT NULL AND last_resort.key_id IS NOT NULL AS "is_ready!"
        FROM keys.devices
        LEFT JOIN keys.signed_ec_prekeys AS signed_ec USING (account, device)
        LEFT JOIN keys.last_resort_kyber_prekeys AS last_resort USING (account, device)
        WHERE devices.account = $1
          AND devices.device = ANY ($2)
          AND devices.revoked_at_seq IS NULL
          AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $3)
        "#,
        account.as_uuid(),
        devices,
        bigint(now_ms),
    )
    .fetch_all(db)
    .await
}

/// Accounts with a device whose MLS key is not in its row yet, by rising UUIDs after
/// `after`.
pub(crate) async fn list_without_mls_key(
    after: Option<Uuid>,
    limit: u16,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT DISTINCT account
        FROM keys.devices
        WHERE mls_key IS NULL AND ($1::uuid IS NULL OR account > $1)
        ORDER BY account
        LIMIT $2
        "#,
        after,
        i64::from(limit),
    )
    .fetch_all(db)
    .await
}

/// Writes the MLS keys of an account's devices into those rows that have none.
pub(crate) async fn fill_in_mls_keys(
    account: AccountUuid,
    keys: &BTreeMap<DeviceId, [u8; 32]>,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    let (devices, keys): (Vec<i16>, Vec<Vec<u8>>) =
        keys.iter().map(|(device, key)| (device.as_i16(), key.to_vec())).unzip();
    let done = sqlx::query!(
        r#"
        UPDATE keys.devices
        SET mls_key = certified.mls_key
        FROM unnest($2::smallint[], $3::bytea[]) AS certified (device, mls_key)
        WHERE devices.account = $1
          AND devices.device = certified.device
          AND devices.mls_key IS NULL
        "#,
        account.as_uuid(),
        &devices,
        &keys,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
