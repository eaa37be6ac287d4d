//! The table `held`: messages that came before one that was sent earlier.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row};
use sotto_ids::DeviceAddress;

use super::value;

/// A message that waits.
pub(crate) struct Held {
    /// The encoded content.
    pub(crate) content: Vec<u8>,
    pub(crate) server_time_ms: u64,
    pub(crate) stored_at_ms: u64,
}

/// Holds a message back. No other with its counter waits.
pub(crate) fn put(
    db: &Connection,
    sender: DeviceAddress,
    counter: u64,
    until_ms: u64,
    held: &Held,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO held (uuid, device, counter, until_ms, content, server_time_ms, stored_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        sender.account.as_bytes(),
        u32::from(sender.device),
        counter,
        until_ms,
        &held.content,
        held.server_time_ms,
        held.stored_at_ms,
    ))?;
    Ok(())
}

/// Takes a message out.
pub(crate) fn take(
    db: &Connection,
    sender: DeviceAddress,
    counter: u64,
) -> rusqlite::Result<Option<Held>> {
    db.prepare_cached(
        "DELETE FROM held WHERE uuid = ?1 AND device = ?2 AND counter = ?3
         RETURNING content, server_time_ms, stored_at_ms",
    )?
    .query_row((sender.account.as_bytes(), u32::from(sender.device), counter), |row| {
        Ok(Held {
            content: row.get("content")?,
            server_time_ms: row.get("server_time_ms")?,
            stored_at_ms: row.get("stored_at_ms")?,
        })
    })
    .optional()
}

/// The content of a message that waits.
pub(crate) fn content(
    db: &Connection,
    sender: DeviceAddress,
    counter: u64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT content FROM held WHERE uuid = ?1 AND device = ?2 AND counter = ?3")?
        .query_row((sender.account.as_bytes(), u32::from(sender.device), counter), |row| row.get(0))
        .optional()
}

/// The counters that wait of one device, each with the time it waits until.
pub(crate) fn waiting(
    db: &Connection,
    sender: DeviceAddress,
) -> rusqlite::Result<BTreeMap<u64, u64>> {
    db.prepare_cached("SELECT counter, until_ms FROM held WHERE uuid = ?1 AND device = ?2")?
        .query_map((sender.account.as_bytes(), u32::from(sender.device)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect()
}

/// The devices of which something has waited until `now_ms`.
pub(crate) fn senders_due(db: &Connection, now_ms: u64) -> rusqlite::Result<Vec<DeviceAddress>> {
    let address = |row: &Row<'_>| {
        Ok(DeviceAddress::new(value::uuid(row, "uuid")?, value::device(row, "device")?))
    };
    db.prepare_cached("SELECT DISTINCT uuid, device FROM held WHERE until_ms <= ?1")?
        .query_map([now_ms], address)?
        .collect()
}

/// None waits longer than until `latest_ms`.
pub(crate) fn wait_at_most(db: &Connection, latest_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE held SET until_ms = ?1 WHERE until_ms > ?1")?.execute([latest_ms])?;
    Ok(())
}

/// When the first of them is due.
pub(crate) fn next_due(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT min(until_ms) FROM held")?.query_row([], |row| row.get(0))
}
