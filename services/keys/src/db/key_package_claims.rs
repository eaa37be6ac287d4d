//! Claims of KeyPackages: the one statement that takes them off their shelves, and the one
//! before it that says whose may be taken.

use sotto_ids::{AccountId, DeviceAddress};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::domain::bigint;

/// An account, and whom its users may meet.
#[derive(Debug, Clone)]
pub(crate) struct Claimable {
    pub(crate) account: Uuid,
    pub(crate) account_id: AccountId,
    /// The apps that it is bound to.
    pub(crate) apps: Vec<String>,
}

/// Those of the accounts that exist, in no order.
pub(crate) async fn list_claimable(
    accounts: &[Uuid],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Claimable>> {
    let rows = sqlx::query!(
        r#"
        SELECT accounts.account,
               accounts.account_id AS "account_id: [u8; 32]",
               ARRAY (
                   SELECT DISTINCT app FROM keys.bindings
                   WHERE bindings.account = accounts.account
               ) AS "apps!"
        FROM keys.accounts
        WHERE accounts.account = ANY ($1)
        "#,
        accounts,
    )
    .fetch_all(db)
    .await?;
    let accounts = rows.into_iter().map(|row| Claimable {
        account: row.account,
        account_id: AccountId::new(row.account_id),
        apps: row.apps,
    });
    Ok(accounts.collect())
}

/// What a claim gets of one live device.
pub(crate) struct Claimed {
    pub(crate) account: Uuid,
    pub(crate) device: i16,
    pub(crate) one_time: Option<Vec<u8>>,
    pub(crate) last_resort: Option<Vec<u8>>,
    /// One-time ones, as the statement found the shelf, less the one that it took: others
    /// that take at the same time are not counted, nor is what is beyond `enough`.
    pub(crate) left: i64,
}

/// Takes a one-time KeyPackage of each live device of the accounts off its shelf, but for
/// the device that asks, and remembers that it did.
///
/// It is one statement, and a transaction by itself; `SKIP LOCKED` keeps those who take from
/// one shelf at the same time from waiting for one another, and this from waiting while it
/// holds rows of a hundred shelves. The rows are picked in a materialised subquery: picked
/// within the DELETE's own join they could be picked again for each row that it looks at.
///
/// Those that end at `over_at_ms` or before are not handed out. A full shelf takes long to
/// count, so `enough` that are left are not told from more.
pub(crate) async fn take(
    accounts: &[Uuid],
    except: DeviceAddress,
    enough: u16,
    over_at_ms: u64,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"
        WITH live AS MATERIALIZED (
            SELECT devices.account, devices.device
            FROM keys.devices
            WHERE devices.account = ANY ($1)
              AND devices.revoked_at_seq IS NULL
              AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $6)
              AND NOT (devices.account = $2 AND devices.device = $3)
        ),
        next AS MATERIALIZED (
            SELECT live.account, live.device, shelf.not_after_ms, shelf.ref
            FROM live
            CROSS JOIN LATERAL (
                SELECT not_after_ms, ref
                FROM keys.one_time_key_packages
                WHERE account = live.account AND device = live.device AND not_after_ms > $5
                ORDER BY not_after_ms, ref
                LIMIT 1
                FOR UPDATE SKIP LOCKED
            ) AS shelf
        ),
        taken AS (
            DELETE FROM keys.one_time_key_packages AS shelf
            USING next
            WHERE shelf.account = next.account
              AND shelf.device = next.device
              AND shelf.not_after_ms = next.not_after_ms
              AND shelf.ref = next.ref
            RETURNING shelf.account, shelf.device, shelf.not_after_ms, shelf.ref,
                      shelf.key_package
        ),
        spent AS (
            INSERT INTO keys.spent_key_packages (account, device, not_after_ms, ref)
            SELECT account, device, not_after_ms, ref FROM taken
            ON CONFLICT DO NOTHING
        )
        SELECT live.account, live.device,
               taken.key_package AS "one_time?",
               last_resort.key_package AS "last_resort?",
               (SELECT count(*) FROM (
                    SELECT FROM keys.one_time_key_packages AS shelf
                    WHERE shelf.account = live.account
                      AND shelf.device = live.device
                      AND shelf.not_after_ms > $5
                    LIMIT $4
                ) AS counted) - (taken.ref IS NOT NULL)::integer AS "left!"
        FROM live
        LEFT JOIN taken USING (account, device)
        LEFT JOIN keys.last_resort_key_packages AS last_resort
               ON last_resort.account = live.account
              AND last_resort.device = live.device
              AND last_resort.not_after_ms > $5
        ORDER BY live.account, live.device
        "#,
        accounts,
        except.account.as_uuid(),
        except.device.as_i16(),
        // With the one that may be taken.
        i64::from(enough) + 1,
        bigint(over_at_ms),
        bigint(now_ms),
    )
    .fetch_all(db)
    .await
}
