//! The table `reactions`: the newest of each account on each message.

use rusqlite::Connection;

use super::{stamp::Stamp, value};
use crate::{ConversationId, Reaction, content::Reference};

/// Sets it, or takes it back without an emoji. Whether it is newer than what was there.
pub(crate) fn put(
    db: &Connection,
    conversation: ConversationId,
    on: Reference,
    stamp: &Stamp,
    emoji: Option<&str>,
) -> rusqlite::Result<bool> {
    const UPSERT: &str = "INSERT INTO reactions
             (conversation, author, target, account, emoji, written_ms, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (conversation, author, target, account) DO UPDATE
         SET emoji = excluded.emoji, written_ms = excluded.written_ms, id = excluded.id
         WHERE (excluded.written_ms, excluded.id) > (written_ms, id)";
    stamp.put(db, UPSERT, conversation, on, emoji)
}

/// Those on a message, the oldest first.
pub(crate) fn list(
    db: &Connection,
    conversation: ConversationId,
    on: Reference,
) -> rusqlite::Result<Vec<Reaction>> {
    db.prepare_cached(
        "SELECT account, emoji FROM reactions
         WHERE conversation = ?1 AND author = ?2 AND target = ?3 AND emoji IS NOT NULL
         ORDER BY written_ms, id",
    )?
    .query_map((conversation.as_bytes(), on.author.as_bytes(), on.id.as_bytes()), |row| {
        Ok(Reaction { by: value::account(row, "account")?, emoji: row.get("emoji")? })
    })?
    .collect()
}

/// Leaves none on a message.
pub(crate) fn delete(db: &Connection, on: Reference) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM reactions WHERE author = ?1 AND target = ?2")?
        .execute((on.author.as_bytes(), on.id.as_bytes()))?;
    Ok(())
}
