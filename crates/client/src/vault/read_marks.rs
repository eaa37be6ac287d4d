//! The table `read_marks`: messages that were read on another device before they came
//! here.

use rusqlite::{Connection, OptionalExtension as _};

use crate::content::Reference;

/// Notes that a message was read.
pub(crate) fn insert(db: &Connection, of: Reference, at_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO read_marks (author, id, at_ms) VALUES (?1, ?2, ?3)")?
        .execute((of.author.as_bytes(), of.id.as_bytes(), at_ms))?;
    Ok(())
}

/// When the message was read, where it was; the mark is gone after that.
pub(crate) fn take(db: &Connection, of: Reference) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("DELETE FROM read_marks WHERE author = ?1 AND id = ?2 RETURNING at_ms")?
        .query_row((of.author.as_bytes(), of.id.as_bytes()), |row| row.get(0))
        .optional()
}

/// Forgets those of before `before_ms`.
pub(crate) fn forget(db: &Connection, before_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM read_marks WHERE at_ms < ?1")?.execute([before_ms])?;
    Ok(())
}
