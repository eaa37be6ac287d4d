//! The table `edits`: texts that messages had or have.

use rusqlite::{Connection, OptionalExtension as _};

use crate::{Edition, MessageId, content::Reference};

/// Notes a text; nothing where it is known already.
pub(crate) fn insert(
    db: &Connection,
    of: Reference,
    edit: MessageId,
    edition: &Edition,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO edits (author, target, edit, written_ms, text)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        of.author.as_bytes(),
        of.id.as_bytes(),
        edit.as_bytes(),
        edition.written_at_ms,
        &edition.text,
    ))?;
    Ok(())
}

/// How many there are of a message.
pub(crate) fn count(db: &Connection, of: Reference) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM edits WHERE author = ?1 AND target = ?2")?
        .query_row((of.author.as_bytes(), of.id.as_bytes()), |row| row.get(0))
}

/// The one that counts: the newest by its writer's clock.
pub(crate) fn newest(db: &Connection, of: Reference) -> rusqlite::Result<Option<Edition>> {
    db.prepare_cached(
        "SELECT written_ms, text FROM edits WHERE author = ?1 AND target = ?2
         ORDER BY written_ms DESC, edit DESC LIMIT 1",
    )?
    .query_row((of.author.as_bytes(), of.id.as_bytes()), |row| {
        Ok(Edition { written_at_ms: row.get(0)?, text: row.get(1)? })
    })
    .optional()
}

/// All of them, in the order of writing.
pub(crate) fn list(db: &Connection, of: Reference) -> rusqlite::Result<Vec<Edition>> {
    db.prepare_cached(
        "SELECT written_ms, text FROM edits WHERE author = ?1 AND target = ?2
         ORDER BY written_ms, edit",
    )?
    .query_map((of.author.as_bytes(), of.id.as_bytes()), |row| {
        Ok(Edition { written_at_ms: row.get(0)?, text: row.get(1)? })
    })?
    .collect()
}

/// Leaves none.
pub(crate) fn delete(db: &Connection, of: Reference) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM edits WHERE author = ?1 AND target = ?2")?
        .execute((of.author.as_bytes(), of.id.as_bytes()))?;
    Ok(())
}
