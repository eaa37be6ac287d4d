use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::bigint;

/// An account and what its senders must know of it.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSet {
    pub(crate) account: Uuid,
    /// Its ready devices, and the registration id of each at the same place.
    pub(crate) devices: Vec<i16>,
    pub(crate) registration_ids: Vec<i32>,
    /// Its live devices that have published no prekeys yet.
    pub(crate) unready: Vec<i16>,
    pub(crate) apps: Vec<String>,
}

/// The sets of those of the accounts that exist, in no order.
pub(crate) async fn list(
    accounts: &[Uuid],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<DeviceSet>> {
    sqlx::query_as!(
        DeviceSet,
        r#"
        SELECT accounts.account,
               live.devices AS "devices!",
               live.registration_ids AS "registration_ids!",
               live.unready AS "unready!",
               ARRAY (
                   SELECT DISTINCT app FROM keys.bindings
                   WHERE bindings.account = accounts.account
                   ORDER BY app
               ) AS "apps!"
        FROM keys.accounts
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(device ORDER BY device) FILTER (WHERE ready), '{}')
                       AS devices,
                   coalesce(array_agg(registration_id ORDER BY device) FILTER (WHERE ready), '{}')
                       AS registration_ids,
                   coalesce(array_agg(device ORDER BY device) FILTER (WHERE NOT ready), '{}')
                       AS unready
            FROM (
                SELECT device, registration_id,
                       signed_ec.key_id IS NOT NULL AND last_resort.key_id IS NOT NULL AS ready
                FROM keys.devices
                LEFT JOIN keys.signed_ec_prekeys AS signed_ec USING (account, device)
                LEFT JOIN keys.last_resort_kyber_prekeys AS last_resort USING (account, device)
                WHERE devices.account = accounts.account
                  AND devices.revoked_at_seq IS NULL
                  AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $2)
            ) AS devices
        ) AS live
        WHERE accounts.account = ANY ($1)
        "#,
        accounts,
        bigint(now_ms),
    )
    .fetch_all(db)
    .await
}
