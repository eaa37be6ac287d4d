//! The table `votes`: the newest of each account on each poll.

use rusqlite::Connection;
use sotto_ids::AccountId;

use super::{stamp::Stamp, value};
use crate::{ConversationId, content::Reference};

/// Sets a vote; none of the options takes it back. Whether it is newer than what was
/// there.
pub(crate) fn put(
    db: &Connection,
    conversation: ConversationId,
    on: Reference,
    stamp: &Stamp,
    options: &[u8],
) -> rusqlite::Result<bool> {
    const UPSERT: &str =
        "INSERT INTO votes (conversation, author, target, account, options, written_ms, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (conversation, author, target, account) DO UPDATE
         SET options = excluded.options, written_ms = excluded.written_ms, id = excluded.id
         WHERE (excluded.written_ms, excluded.id) > (written_ms, id)";
    stamp.put(db, UPSERT, conversation, on, options)
}

/// Those on a poll, the oldest first.
pub(crate) fn list(
    db: &Connection,
    conversation: ConversationId,
    on: Reference,
) -> rusqlite::Result<Vec<(AccountId, Vec<u8>)>> {
    db.prepare_cached(
        "SELECT account, options FROM votes
         WHERE conversation = ?1 AND author = ?2 AND target = ?3 AND length(options) > 0
         ORDER BY written_ms, id",
    )?
    .query_map((conversation.as_bytes(), on.author.as_bytes(), on.id.as_bytes()), |row| {
        Ok((value::account(row, "account")?, row.get("options")?))
    })?
    .collect()
}

/// Leaves none on a poll.
pub(crate) fn delete(db: &Connection, on: Reference) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM votes WHERE author = ?1 AND target = ?2")?
        .execute((on.author.as_bytes(), on.id.as_bytes()))?;
    Ok(())
}
