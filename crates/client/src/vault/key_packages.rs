//! The table `key_packages`: what was made for others to add this device with.

use rusqlite::{Connection, OptionalExtension as _};

/// Adds one that is not at the server yet.
pub(crate) fn insert(
    db: &Connection,
    reference: &[u8],
    package: &[u8],
    last_resort: bool,
    now_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO key_packages (reference, package, last_resort, made_ms)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((reference, package, last_resort, now_ms))?;
    Ok(())
}

/// Those that are not at the server yet, each with its reference.
pub(crate) fn unpublished(
    db: &Connection,
    last_resort: bool,
    limit: usize,
) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    db.prepare_cached(
        "SELECT reference, package FROM key_packages
         WHERE last_resort = ?1 AND NOT published ORDER BY made_ms LIMIT ?2",
    )?
    .query_map((last_resort, limit), |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// When the newest last-resort one was made, of those that are at the server.
pub(crate) fn last_resort_made_ms(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT max(made_ms) FROM key_packages WHERE last_resort AND published")?
        .query_row([], |row| row.get(0))
}

/// It is at the server.
pub(crate) fn set_published(db: &Connection, reference: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE key_packages SET published = 1 WHERE reference = ?1")?
        .execute([reference])?;
    Ok(())
}

/// Whether one is a last-resort one; `None` where it is not known.
pub(crate) fn is_last_resort(db: &Connection, reference: &[u8]) -> rusqlite::Result<Option<bool>> {
    db.prepare_cached("SELECT last_resort FROM key_packages WHERE reference = ?1")?
        .query_row([reference], |row| row.get(0))
        .optional()
}

/// Takes one off, when it was used.
pub(crate) fn delete(db: &Connection, reference: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM key_packages WHERE reference = ?1")?.execute([reference])?;
    Ok(())
}

/// Takes off those that were made before a time; their references.
pub(crate) fn take_older(db: &Connection, before_ms: u64) -> rusqlite::Result<Vec<Vec<u8>>> {
    db.prepare_cached("DELETE FROM key_packages WHERE made_ms < ?1 RETURNING reference")?
        .query_map([before_ms], |row| row.get(0))?
        .collect()
}
