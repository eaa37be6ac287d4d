use sotto_ids::{AccountUuid, DeviceAddress, DeviceId};
use sqlx::PgExecutor;

use crate::domain::bigint;

/// A device as the chain certifies it.
#[derive(Clone)]
pub(crate) struct Device {
    /// Ed25519.
    pub(crate) key: [u8; 32],
    /// 33 bytes.
    pub(crate) identity_key: Vec<u8>,
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
            (account, device, device_key, identity_key, registration_id, not_after_ms)
        VALUES ($1, $2, $3, $4, $5, $6)
        "#,
        account.as_uuid(),
        device.id.as_i16(),
        &device.device_key,
        device.identity_key.as_bytes(),
        device.registration_id.cast_signed(),
        not_after_ms,
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
