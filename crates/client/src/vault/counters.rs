//! The table `counters`.

use rusqlite::{Connection, OptionalExtension as _};

/// Time bits of the newest send, in milliseconds; beside it the counter of sends
/// that share them.
pub(crate) const SEND_MS: &str = "send_ms";
pub(crate) const SEND_IN_MS: &str = "send_in_ms";
/// When the prekeys at the server were last compared with those here.
pub(crate) const PREKEYS_COMPARED_MS: &str = "prekeys_compared_ms";
/// The newest prekey ids.
pub(crate) const ONE_TIME_EC: &str = "one_time_ec";
pub(crate) const SIGNED_EC: &str = "signed_ec";
pub(crate) const KYBER: &str = "kyber";

/// The value, 0 where there is none yet.
pub(crate) fn value(db: &Connection, name: &str) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT value FROM counters WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Sets the value.
pub(crate) fn set(db: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO counters (name, value) VALUES (?1, ?2)")?
        .execute((name, value))?;
    Ok(())
}
