//! The table `seen`: envelopes that were handled.

use rusqlite::Connection;
use sotto_ids::EnvelopeId;

/// Notes an envelope; whether it is seen for the first time.
pub(crate) fn note(db: &Connection, id: EnvelopeId, now_ms: u64) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached("INSERT OR IGNORE INTO seen (envelope, at_ms) VALUES (?1, ?2)")?
        .execute((id.as_bytes(), now_ms))?;
    Ok(rows > 0)
}

/// Forgets those that were handled before `before_ms`.
pub(crate) fn forget(db: &Connection, before_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM seen WHERE at_ms < ?1")?.execute([before_ms])?;
    Ok(())
}
