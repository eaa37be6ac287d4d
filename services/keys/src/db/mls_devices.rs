use sotto_ids::AccountId;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::bigint;

/// An account and what certifies its leaves in groups.
#[derive(Debug, Clone)]
pub(crate) struct MlsAccount {
    pub(crate) account: Uuid,
    pub(crate) account_id: AccountId,
    /// Its live devices by rising numbers, and the MLS key of each at the same place;
    /// `None` in a row that is older than the column.
    pub(crate) devices: Vec<i16>,
    pub(crate) mls_keys: Vec<Option<Vec<u8>>>,
    pub(crate) apps: Vec<String>,
}

/// Those of the accounts that exist, in no order.
pub(crate) async fn list(
    accounts: &[Uuid],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<MlsAccount>> {
    let rows = sqlx::query!(
        r#"
        SELECT accounts.account,
               accounts.account_id AS "account_id: [u8; 32]",
               live.devices AS "devices!",
               live.mls_keys AS "mls_keys!: Vec<Option<Vec<u8>>>",
               ARRAY (
                   SELECT DISTINCT app FROM keys.bindings
                   WHERE bindings.account = accounts.account
                   ORDER BY app
               ) AS "apps!"
        FROM keys.accounts
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(device ORDER BY device), '{}') AS devices,
                   coalesce(array_agg(mls_key ORDER BY device), '{}') AS mls_keys
            FROM keys.devices
            WHERE devices.account = accounts.account
              AND devices.revoked_at_seq IS NULL
              AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $2)
        ) AS live
        WHERE accounts.account = ANY ($1)
        "#,
        accounts,
        bigint(now_ms),
    )
    .fetch_all(db)
    .await?;
    let accounts = rows.into_iter().map(|row| MlsAccount {
        account: row.account,
        account_id: AccountId::new(row.account_id),
        devices: row.devices,
        mls_keys: row.mls_keys,
        apps: row.apps,
    });
    Ok(accounts.collect())
}
