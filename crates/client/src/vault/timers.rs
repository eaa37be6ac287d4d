//! The table `timers`: the self-destruct timer of each conversation that ever had one.

use rusqlite::{Connection, OptionalExtension as _};

use crate::{ConversationId, MessageId};

/// Sets it; whether the change is newer than the one before.
pub(crate) fn put(
    db: &Connection,
    conversation: ConversationId,
    seconds: u32,
    set_ms: u64,
    id: MessageId,
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "INSERT INTO timers (conversation, seconds, set_ms, id) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (conversation) DO UPDATE
             SET seconds = excluded.seconds, set_ms = excluded.set_ms, id = excluded.id
             WHERE (excluded.set_ms, excluded.id) > (set_ms, id)",
        )?
        .execute((conversation.as_bytes(), seconds, set_ms, id.as_bytes()))?;
    Ok(rows > 0)
}

/// When it was set, by the clock of whoever did; `None` where it never was.
pub(crate) fn set_ms(
    db: &Connection,
    conversation: ConversationId,
) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT set_ms FROM timers WHERE conversation = ?1")?
        .query_row([conversation.as_bytes()], |row| row.get(0))
        .optional()
}

/// Its seconds; 0 where there is none.
pub(crate) fn seconds(db: &Connection, conversation: ConversationId) -> rusqlite::Result<u32> {
    db.prepare_cached("SELECT seconds FROM timers WHERE conversation = ?1")?
        .query_row([conversation.as_bytes()], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}
