//! `messages.queue`: envelopes, each waiting for one device.

use bytes::Bytes;
use sotto_ids::{AccountUuid, DeviceAddress, DeviceId, EnvelopeId};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::timestamp;
use crate::domain::Row;

/// Inserts rows, in one statement, and passes over those whose id stands there
/// already: a send that came again. Returns how many are new.
///
/// The caller sorts the rows by recipient and id, so that two replicas that store
/// the same send at the same time cannot wait for each other in a circle.
pub(crate) async fn insert_many(rows: &[&Row], db: impl PgExecutor<'_>) -> sqlx::Result<u64> {
    let accounts: Vec<Uuid> = rows.iter().map(|row| row.recipient.account.as_uuid()).collect();
    let devices: Vec<i16> = rows.iter().map(|row| row.recipient.device.as_i16()).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.as_uuid()).collect();
    let expiries: Vec<_> = rows.iter().map(|row| timestamp(row.expires_at_ms)).collect();
    let shorts: Vec<bool> = rows.iter().map(|row| row.short).collect();
    let envelopes: Vec<&[u8]> = rows.iter().map(|row| row.envelope.as_ref()).collect();
    sqlx::query!(
        r#"
        INSERT INTO messages.queue (account, device, id, expires_at, short, envelope)
        SELECT account, device, id, expires_at, short, envelope
        FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::timestamptz[], $5::boolean[],
                    $6::bytea[])
            AS new (account, device, id, expires_at, short, envelope)
        ON CONFLICT DO NOTHING
        "#,
        &accounts,
        &devices,
        &ids,
        &expiries,
        &shorts,
        envelopes.as_slice() as &[&[u8]],
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// An envelope as it waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: EnvelopeId,
    pub(crate) envelope: Bytes,
}

/// What a page may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageBounds {
    pub(crate) envelopes: u32,
    /// The envelope that reaches them is the last of the page.
    pub(crate) bytes: usize,
}

/// The oldest envelopes of a device that have not expired, without those whose ids
/// are excluded. The flag says that nothing else waited.
///
/// There is no cursor. Ids come from the clocks of senders and rows commit out of
/// their order, so a page that began after the last one could pass over a row.
pub(crate) async fn page(
    device: DeviceAddress,
    excluded: &[Uuid],
    now_ms: u64,
    bounds: PageBounds,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<(Vec<Waiting>, bool)> {
    // One more than asked for shows whether there is more.
    let limit = i64::from(bounds.envelopes) + 1;
    let bytes = i64::try_from(bounds.bytes).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"
        SELECT id AS "id!", envelope AS "envelope!", waiting AS "waiting!"
        FROM (
            SELECT
                id,
                envelope,
                count(*) OVER () AS waiting,
                sum(octet_length(envelope)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING)
                    - octet_length(envelope) AS bytes_before
            FROM (
                SELECT id, envelope
                FROM messages.queue
                WHERE account = $1 AND device = $2 AND expires_at > $3 AND id <> ALL ($4)
                ORDER BY id
                LIMIT $5
            ) AS oldest
        ) AS measured
        WHERE bytes_before < $6
        ORDER BY id
        LIMIT $5 - 1
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        timestamp(now_ms),
        excluded,
        limit,
        bytes,
    )
    .fetch_all(db)
    .await?;

    let waiting = rows.first().map_or(0, |row| row.waiting);
    let last = i64::try_from(rows.len()).is_ok_and(|read| read == waiting);
    let envelopes = rows
        .into_iter()
        .map(|row| Waiting { id: EnvelopeId::from_stored(row.id), envelope: row.envelope.into() })
        .collect();
    Ok((envelopes, last))
}

/// Deletes rows that their devices have acknowledged, or that are over. Returns how
/// many were there.
///
/// An id of another device's queue deletes nothing.
pub(crate) async fn delete_many(
    done: &[(DeviceAddress, EnvelopeId)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    let accounts: Vec<Uuid> = done.iter().map(|(device, _)| device.account.as_uuid()).collect();
    let devices: Vec<i16> = done.iter().map(|(device, _)| device.device.as_i16()).collect();
    let ids: Vec<Uuid> = done.iter().map(|(_, id)| id.as_uuid()).collect();
    // The bounds tell Postgres which days it need not look at.
    let earliest = ids.iter().min().copied();
    let latest = ids.iter().max().copied();
    sqlx::query!(
        r#"
        DELETE FROM messages.queue
        USING unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS done (account, device, id)
        WHERE queue.account = done.account
          AND queue.device = done.device
          AND queue.id = done.id
          AND queue.id BETWEEN $4 AND $5
        "#,
        &accounts,
        &devices,
        &ids,
        earliest as Option<Uuid>,
        latest as Option<Uuid>,
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}

/// Takes hold of envelopes with a short life of their own that are over, at most
/// `limit`, for the transaction to delete.
///
/// What another replica holds right now is passed over.
pub(crate) async fn lock_expired(
    now_ms: u64,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<(DeviceAddress, EnvelopeId)>> {
    let rows = sqlx::query!(
        r#"
        SELECT account, device, id
        FROM messages.queue
        WHERE short AND expires_at <= $1
        ORDER BY expires_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        "#,
        timestamp(now_ms),
        i64::from(limit),
    )
    .fetch_all(db)
    .await?;
    let named = rows.into_iter().filter_map(|row| {
        let device = DeviceId::try_from(row.device).ok()?;
        let address = DeviceAddress::new(AccountUuid::from_stored(row.account), device);
        Some((address, EnvelopeId::from_stored(row.id)))
    });
    Ok(named.collect())
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) envelopes: i64,
    pub(crate) bytes: i64,
}

/// How full the queues of these devices are, in their order. Counts no further than
/// `most` envelopes.
pub(crate) async fn measure(
    devices: &[DeviceAddress],
    most: u32,
    now_ms: u64,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<Fill>> {
    let accounts: Vec<Uuid> = devices.iter().map(|device| device.account.as_uuid()).collect();
    let devices: Vec<i16> = devices.iter().map(|device| device.device.as_i16()).collect();
    sqlx::query_as!(
        Fill,
        r#"
        SELECT fill.envelopes AS "envelopes!", fill.bytes AS "bytes!"
        FROM unnest($1::uuid[], $2::smallint[])
            WITH ORDINALITY AS asked (account, device, number)
        CROSS JOIN LATERAL (
            SELECT count(*) AS envelopes, coalesce(sum(octet_length(envelope)), 0) AS bytes
            FROM (
                SELECT envelope
                FROM messages.queue
                WHERE queue.account = asked.account
                  AND queue.device = asked.device
                  AND expires_at > $3
                LIMIT $4
            ) AS waiting
        ) AS fill
        ORDER BY number
        "#,
        &accounts,
        &devices,
        timestamp(now_ms),
        i64::from(most),
    )
    .fetch_all(db)
    .await
}

/// Which of these envelopes stand in the queue of their device already.
pub(crate) async fn list_known(
    envelopes: &[(DeviceAddress, EnvelopeId)],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<EnvelopeId>> {
    let accounts: Vec<Uuid> = envelopes.iter().map(|(to, _)| to.account.as_uuid()).collect();
    let devices: Vec<i16> = envelopes.iter().map(|(to, _)| to.device.as_i16()).collect();
    let ids: Vec<Uuid> = envelopes.iter().map(|(_, id)| id.as_uuid()).collect();
    let known = sqlx::query_scalar!(
        r#"
        SELECT queue.id
        FROM messages.queue
        JOIN unnest($1::uuid[], $2::smallint[], $3::uuid[]) AS asked (account, device, id)
            USING (account, device, id)
        "#,
        &accounts,
        &devices,
        &ids,
    )
    .fetch_all(db)
    .await?;
    Ok(known.into_iter().map(EnvelopeId::from_stored).collect())
}

/// The devices of these accounts that anything waits for, or that have an overflow.
pub(crate) async fn list_devices(
    accounts: &[AccountUuid],
    db: impl PgExecutor<'_>,
) -> sqlx::Result<Vec<DeviceAddress>> {
    let accounts: Vec<Uuid> = accounts.iter().map(AccountUuid::as_uuid).collect();
    let rows = sqlx::query!(
        r#"
        SELECT account AS "account!", device AS "device!"
        FROM messages.queue WHERE account = ANY ($1)
        UNION
        SELECT account, device FROM messages.overflows WHERE account = ANY ($1)
        "#,
        &accounts,
    )
    .fetch_all(db)
    .await?;
    let named = rows.into_iter().filter_map(|row| {
        let device = DeviceId::try_from(row.device).ok()?;
        Some(DeviceAddress::new(AccountUuid::from_stored(row.account), device))
    });
    Ok(named.collect())
}

/// Deletes the oldest envelopes of a device, at most `limit`. Returns how many.
///
/// What another replica holds right now is passed over.
pub(crate) async fn delete_oldest(
    device: DeviceAddress,
    limit: u32,
    db: impl PgExecutor<'_>,
) -> sqlx::Result<u64> {
    sqlx::query!(
        r#"
        WITH oldest AS MATERIALIZED (
            SELECT id
            FROM messages.queue
            WHERE account = $1 AND device = $2
            ORDER BY id
            LIMIT $3
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM messages.queue
        USING oldest
        WHERE queue.account = $1 AND queue.device = $2 AND queue.id = oldest.id
        "#,
        device.account.as_uuid(),
        device.device.as_i16(),
        i64::from(limit),
    )
    .execute(db)
    .await
    .map(|result| result.rows_affected())
}
