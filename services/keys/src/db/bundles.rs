//! Bundles: the one statement that takes one-time prekeys off their shelves, the one
//! before it that says who may, and the one after it that says what still holds.

use sotto_identity::LinkHash;
use sotto_ids::{AccountId, AccountUuid, DeviceAddress};
use sqlx::PgExecutor;

use crate::domain::{Head, bigint, from_bigint};

/// What decides whether a device may fetch the bundles of an account.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// Of the device that asks, as the next.
    pub(crate) is_revoked: bool,
    pub(crate) is_expired: bool,
    /// The account that it asks for. `None` where there is none.
    pub(crate) account_id: Option<AccountId>,
    /// The apps that the account is bound to.
    pub(crate) apps: Vec<String>,
}

/// Looks up who fetches, and whose bundles. `None` where there is no such caller.
pub(crate) async fn find_reach(
    account: AccountUuid,
    caller: DeviceAddress,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Reach>> {
    let row = sqlx::query!(
        r#"
        SELECT caller.revoked_at_seq IS NOT NULL AS "is_revoked!",
               coalesce(caller.not_after_ms <= $4, false) AS "is_expired!",
               accounts.account_id AS "account_id?: [u8; 32]",
               ARRAY (SELECT DISTINCT app FROM keys.bindings WHERE account = $1) AS "apps!"
        FROM keys.devices AS caller
        LEFT JOIN keys.accounts ON accounts.account = $1
        WHERE caller.account = $2 AND caller.device = $3
        "#,
        account.as_uuid(),
        caller.account.as_uuid(),
        caller.device.as_i16(),
        bigint(now_ms),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Reach {
        is_revoked: row.is_revoked,
        is_expired: row.is_expired,
        account_id: row.account_id.map(AccountId::new),
        apps: row.apps,
    }))
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
    /// same time are not counted. Nor is what is beyond the `enough` of the statement.
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
///
/// A full shelf takes as long to count as all the rest, so `enough` that are left of a
/// kind are not told from more.
pub(crate) async fn take(
    account: AccountUuid,
    only: Option<&[i16]>,
    except: Option<i16>,
    enough: u16,
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
               (SELECT count(*) FROM (
                    SELECT FROM keys.one_time_ec_prekeys AS shelf
                    WHERE shelf.account = $1 AND shelf.device = ready.device
                    LIMIT $5
                ) AS counted) - (taken_ec.key_id IS NOT NULL)::integer AS "one_time_ec_left!",
               (SELECT count(*) FROM (
                    SELECT FROM keys.one_time_kyber_prekeys AS shelf
                    WHERE shelf.account = $1 AND shelf.device = ready.device
                    LIMIT $5
                ) AS counted) - (taken_kyber.key_id IS NOT NULL)::integer AS "one_time_kyber_left!"
        FROM ready
        LEFT JOIN taken_ec USING (device)
        LEFT JOIN taken_kyber USING (device)
        ORDER BY ready.device
        "#,
        account.as_uuid(),
        only,
        except,
        bigint(now_ms),
        // With the one that may be taken.
        i64::from(enough) + 1,
    )
    .fetch_all(db)
    .await
}

/// What the chain of an account says, once bundles were taken.
#[derive(Debug, Clone)]
pub(crate) struct Certified {
    pub(crate) account_id: AccountId,
    pub(crate) head: Head,
    /// Those of the devices that are live at this head.
    pub(crate) live: Vec<i16>,
}

/// Looks up where the chain ends, and which of these devices it has there: both as of
/// the same moment. `None` where there is no such account.
pub(crate) async fn certify(
    account: AccountUuid,
    devices: &[i16],
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Option<Certified>> {
    let row = sqlx::query!(
        r#"
        SELECT account_id AS "account_id: [u8; 32]", head_seq, head_hash AS "head_hash: [u8; 32]",
               ARRAY (
                   SELECT device
                   FROM keys.devices
                   WHERE devices.account = $1
                     AND devices.device = ANY ($2)
                     AND devices.revoked_at_seq IS NULL
                     AND (devices.not_after_ms IS NULL OR devices.not_after_ms > $3)
               ) AS "live!"
        FROM keys.accounts
        WHERE account = $1
        "#,
        account.as_uuid(),
        devices,
        bigint(now_ms),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Certified {
        account_id: AccountId::new(row.account_id),
        head: Head { seq: from_bigint(row.head_seq), hash: LinkHash(row.head_hash) },
        live: row.live,
    }))
}
