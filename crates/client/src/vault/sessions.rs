//! The table `sessions`: the ratchets.

use rusqlite::{Connection, OptionalExtension as _};
use sotto_ids::{AccountUuid, DeviceAddress};

use super::value;

/// The ratchet with a device.
pub(crate) fn find(db: &Connection, with: DeviceAddress) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT record FROM sessions WHERE uuid = ?1 AND device = ?2")?
        .query_row((with.account.as_bytes(), u32::from(with.device)), |row| row.get(0))
        .optional()
}

/// Stores a step of the ratchet with a device.
pub(crate) fn put(db: &Connection, with: DeviceAddress, record: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO sessions (uuid, device, record) VALUES (?1, ?2, ?3)
         ON CONFLICT (uuid, device) DO UPDATE SET record = excluded.record",
    )?
    .execute((with.account.as_bytes(), u32::from(with.device), record))?;
    Ok(())
}

/// Ends the session with a device for good.
pub(crate) fn delete(db: &Connection, with: DeviceAddress) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE uuid = ?1 AND device = ?2")?
        .execute((with.account.as_bytes(), u32::from(with.device)))?;
    Ok(())
}

/// Whether the other side has answered in this session, as `answered` says.
pub(crate) fn set_acknowledged(
    db: &Connection,
    with: DeviceAddress,
    answered: bool,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sessions SET acknowledged = ?3
         WHERE uuid = ?1 AND device = ?2 AND acknowledged <> ?3",
    )?
    .execute((with.account.as_bytes(), u32::from(with.device), answered))?;
    Ok(())
}

/// Whether some device of the account has a session in which it never answered.
pub(crate) fn any_unacknowledged(db: &Connection, uuid: AccountUuid) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE uuid = ?1 AND acknowledged = 0)",
    )?
    .query_row([uuid.as_bytes()], |row| row.get(0))
}

/// Notes that a session is given up now; whether that was not done in the last
/// `pause_ms`.
pub(crate) fn may_reset(
    db: &Connection,
    with: DeviceAddress,
    now_ms: u64,
    pause_ms: u64,
) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached(
            "UPDATE sessions SET reset_ms = ?3
             WHERE uuid = ?1 AND device = ?2 AND reset_ms + ?4 <= ?3",
        )?
        .execute((with.account.as_bytes(), u32::from(with.device), now_ms, pause_ms))?;
    Ok(changed > 0)
}

/// Accounts that there is a session with.
pub(crate) fn list_accounts(db: &Connection) -> rusqlite::Result<Vec<AccountUuid>> {
    db.prepare_cached("SELECT DISTINCT uuid FROM sessions")?
        .query_map([], |row| value::uuid(row, "uuid"))?
        .collect()
}

/// A content that counts was encrypted in this session.
pub(crate) fn set_counted(db: &Connection, with: DeviceAddress) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sessions SET counted = 1 WHERE uuid = ?1 AND device = ?2 AND counted = 0",
    )?
    .execute((with.account.as_bytes(), u32::from(with.device)))?;
    Ok(())
}

/// Whether one ever was.
pub(crate) fn is_counted(db: &Connection, with: DeviceAddress) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE uuid = ?1 AND device = ?2 AND counted)",
    )?
    .query_row((with.account.as_bytes(), u32::from(with.device)), |row| row.get(0))
}

/// An ephemeral content was encrypted for the device.
pub(crate) fn count_unheard(db: &Connection, with: DeviceAddress) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE sessions SET unheard = unheard + 1 WHERE uuid = ?1 AND device = ?2")?
        .execute((with.account.as_bytes(), u32::from(with.device)))?;
    Ok(())
}

/// How many were since the device was last heard of.
pub(crate) fn unheard(db: &Connection, with: DeviceAddress) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT unheard FROM sessions WHERE uuid = ?1 AND device = ?2")?
        .query_row((with.account.as_bytes(), u32::from(with.device)), |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// The device was heard of.
pub(crate) fn heard(db: &Connection, with: DeviceAddress) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE sessions SET unheard = 0 WHERE uuid = ?1 AND device = ?2 AND unheard <> 0",
    )?
    .execute((with.account.as_bytes(), u32::from(with.device)))?;
    Ok(())
}
