//! Bundles: the one statement that takes one-time prekeys off their shelves, and the
//! one that says who may.

use sotto_ids::{AccountId, AccountUuid};
use sqlx::PgExecutor;

use crate::domain::bigint;

/// What decides whether a caller may fetch the bundles of an account.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) account_id: AccountId,
    /// The apps that the account is bound to.
    pub(crate) apps: Vec<String>,
}

/// Looks up the account of a fetch. `None` where there is none.
pub(crate) async fn find_reach(
    account: AccountUuid,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Reach>> {
    let row = sqlx::query!(
        r#"
        SELECT account_id AS "account_id: [u8; 32]",
               ARRAY (SELECT DISTINCT app FROM keys.bindings WHERE account = $1) AS "apps!"
        FROM keys.accounts
        WHERE account = $1
        "#,
        account.as_uuid(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Reach { account_id: AccountId::new(row.account_id), apps: row.apps }))
}

/// What a stranger needs to begin a session with one device, and what is left after.
pub(crate) struct Bundle {
    pub(crate) device: i16,
    pub(crate) registration_id: i32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_ec_id: i32,
    pub(crate) signed_ec_key: Vec<u8>,
    pub(crate) signed_ec_signature: Vec<u8>,
    pub(crate) one_time_ec_id: Option<i32>,
    pub(crate) one_time_ec_key: Option<Vec<u8>>,
    pub(crate) one_time_kyber_id: Option<i32>,
    pub(crate) one_time_kyber_key: Option<Vec<u8>>,
    pub(crate) one_time_kyber_signature: Option<Vec<u8>>,
    pub(crate) last_resort_id: i32,
    pub(crate) last_resort_key: Vec<u8>,
    pub(crate) last_resort_signature: Vec<u8>,
    /// As the statement found the shelf, less what it took: others that take at the
    /// same time are not counted.
    pub(crate) one_time_ec_left: i64,
    pub(crate) one_time_kyber_left: i64,
}

/// Takes a bundle of each ready device of an account, or of those named in `only`,
/// and with it one one-time prekey of each kind off the device's shelf.
///
/// It is one statement, so that its rows are locked for no longer than it runs, and
/// it is a transaction by itself. `SKIP LOCKED` keeps those who take from one shelf
/// at the same time from waiting for one another: a row that another one is taking
/// is passed over. Where no key comes back the shelf is empty, or others are taking
/// its last keys right now.
///
/// The rows are picked in materialised subqueries: picked within the DELETE's own
/// join they could be picked again for each row that it looks at.
pub(crate) async fn take(
    account: AccountUuid,
    only: Option<&[i16]>,
    except: Option<i16>,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Bundle>> {
    sqlx::query_as!(
        Bundle,
        r#"
        WITH ready AS MATERIALIZED (
            SELECT devices.device, devices.registration_id, devices.identity_key,
                   signed_ec.key_id AS signed_ec_id,
                   signed_ec.public_key AS signed_ec_key,
                   signed_ec.signature AS signed_ec_signature,
                   last_resort.key_id AS last_resort_id,
                   last_resort.public_key AS last_resort_key,
                   last_resort.signature AS last_resort_signature
            FROM keys.devices
            JOIN keys.signed_ec_prekeys AS signed_ec USING (account, device)
            JOIN keys.last_resort_kyber_prekeys AS last_resort USING (account, device)
            WHERE devices.account = $1
              AND devices.revoked_at_seq IS NULL
              AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $4)
              AND ($2::smallint[] IS NULL OR devices.device = ANY ($2))
              AND devices.device IS DISTINCT FROM $3
        ),
        next_ec AS MATERIALIZED (
            SELECT ready.device, shelf.key_id
            FROM ready
            CROSS JOIN LATERAL (
                SELECT key_id
                FROM keys.one_time_ec_prekeys
                WHERE account = $1 AND device = ready.device
                ORDER BY key_id
                LIMIT 1
                FOR UPDATE SKIP LOCKED
            ) AS shelf
        ),
        taken_ec AS (
            DELETE FROM keys.one_time_ec_prekeys AS shelf
            USING next_ec
            WHERE shelf.account = $1
              AND shelf.device = next_ec.device
              AND shelf.key_id = next_ec.key_id
            RETURNING shelf.device, shelf.key_id, shelf.public_key
        ),
        next_kyber AS MATERIALIZED (
            SELECT ready.device, shelf.key_id
            FROM ready
            CROSS JOIN LATERAL (
                SELECT key_id
                FROM keys.one_time_kyber_prekeys
                WHERE account = $1 AND device = ready.device
                ORDER BY key_id
                LIMIT 1
                FOR UPDATE SKIP LOCKED
            ) AS shelf
        ),
        taken_kyber AS (
            DELETE FROM keys.one_time_kyber_prekeys AS shelf
            USING next_kyber
            WHERE shelf.account = $1
              AND shelf.device = next_kyber.device
              AND shelf.key_id = next_kyber.key_id
            RETURNING shelf.device, shelf.key_id, shelf.public_key, shelf.signature
        )
        SELECT ready.device, ready.registration_id, ready.identity_key,
               ready.signed_ec_id, ready.signed_ec_key, ready.signed_ec_signature,
               taken_ec.key_id AS "one_time_ec_id?",
               taken_ec.public_key AS "one_time_ec_key?",
               taken_kyber.key_id AS "one_time_kyber_id?",
               taken_kyber.public_key AS "one_time_kyber_key?",
               taken_kyber.signature AS "one_time_kyber_signature?",
               ready.last_resort_id, ready.last_resort_key, ready.last_resort_signature,
               (SELECT count(*) FROM keys.one_time_ec_prekeys AS shelf
                WHERE shelf.account = $1 AND shelf.device = ready.device)
                   - (taken_ec.key_id IS NOT NULL)::integer AS "one_time_ec_left!",
               (SELECT count(*) FROM keys.one_time_kyber_prekeys AS shelf
                WHERE shelf.account = $1 AND shelf.device = ready.device)
                   - (taken_kyber.key_id IS NOT NULL)::integer AS "one_time_kyber_left!"
        FROM ready
        LEFT JOIN taken_ec USING (device)
        LEFT JOIN taken_kyber USING (device)
        ORDER BY ready.device
        "#,
        account.as_uuid(),
        only,
        except,
        bigint(now_ms),
    )
    .fetch_all(db)
    .await
}
