//! The table `presence`: what devices of others said of themselves.

use rusqlite::{Connection, Row};
use sotto_ids::{AccountUuid, DeviceAddress};

use super::value;
use crate::Presence;

/// A device is writing to us until this time, unless it says so again; or no longer.
pub(crate) fn set_typing(
    db: &Connection,
    device: DeviceAddress,
    until_ms: Option<u64>,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO presence (uuid, device, typing_until_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (uuid, device) DO UPDATE SET typing_until_ms = excluded.typing_until_ms",
    )?
    .execute((device.account.as_bytes(), u32::from(device.device), until_ms))?;
    Ok(())
}

/// A device is here until this time, unless it says so again.
pub(crate) fn set_online(
    db: &Connection,
    device: DeviceAddress,
    until_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO presence (uuid, device, online_until_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (uuid, device) DO UPDATE SET online_until_ms = excluded.online_until_ms",
    )?
    .execute((device.account.as_bytes(), u32::from(device.device), until_ms))?;
    Ok(())
}

/// A device has gone.
pub(crate) fn set_gone(
    db: &Connection,
    device: DeviceAddress,
    last_seen_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO presence (uuid, device, last_seen_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (uuid, device) DO UPDATE
         SET last_seen_ms = excluded.last_seen_ms, online_until_ms = NULL, typing_until_ms = NULL",
    )?
    .execute((device.account.as_bytes(), u32::from(device.device), last_seen_ms))?;
    Ok(())
}

/// What is known of somebody now.
pub(crate) fn of(db: &Connection, uuid: AccountUuid, now_ms: u64) -> rusqlite::Result<Presence> {
    db.prepare_cached(
        "SELECT coalesce(max(online_until_ms > ?2), 0), coalesce(max(typing_until_ms > ?2), 0),
             max(last_seen_ms)
         FROM presence WHERE uuid = ?1",
    )?
    .query_row((uuid.as_bytes(), now_ms), |row| {
        Ok(Presence { online: row.get(0)?, typing: row.get(1)?, last_seen_ms: row.get(2)? })
    })
}

/// When the first of what is said ceases to hold.
pub(crate) fn next_end(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached(
        "SELECT min(until_ms) FROM (SELECT min(typing_until_ms) AS until_ms FROM presence
             UNION ALL SELECT min(online_until_ms) FROM presence)",
    )?
    .query_row([], |row| row.get(0))
}

/// Ends what does not hold any more; whose it was.
pub(crate) fn end(db: &Connection, now_ms: u64) -> rusqlite::Result<Vec<AccountUuid>> {
    let uuid = |row: &Row<'_>| value::uuid(row, "uuid");
    let ended = db
        .prepare_cached(
            "SELECT DISTINCT uuid FROM presence
             WHERE typing_until_ms <= ?1 OR online_until_ms <= ?1",
        )?
        .query_map([now_ms], uuid)?
        .collect::<Result<Vec<_>, _>>()?;
    db.prepare_cached("UPDATE presence SET typing_until_ms = NULL WHERE typing_until_ms <= ?1")?
        .execute([now_ms])?;
    db.prepare_cached("UPDATE presence SET online_until_ms = NULL WHERE online_until_ms <= ?1")?
        .execute([now_ms])?;
    Ok(ended)
}
