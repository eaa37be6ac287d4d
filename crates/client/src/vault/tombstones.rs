//! The table `tombstones`: messages that are gone. A copy that comes later is not shown.

use rusqlite::Connection;

use crate::content::Reference;

/// A message is gone; whether that is new.
pub(crate) fn insert(db: &Connection, of: Reference, now_ms: u64) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached("INSERT OR IGNORE INTO tombstones (author, id, at_ms) VALUES (?1, ?2, ?3)")?
        .execute((of.author.as_bytes(), of.id.as_bytes(), now_ms))?;
    Ok(rows > 0)
}

/// Whether it is.
pub(crate) fn exists(db: &Connection, of: Reference) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM tombstones WHERE author = ?1 AND id = ?2)")?
        .query_row((of.author.as_bytes(), of.id.as_bytes()), |row| row.get(0))
}

/// Forgets those of before `before_ms`: no copy can come any more.
pub(crate) fn forget(db: &Connection, before_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM tombstones WHERE at_ms < ?1")?.execute([before_ms])?;
    Ok(())
}
