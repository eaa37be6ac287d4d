//! What each account says once on each message, the newest counting: its reaction, its vote.

use rusqlite::{Connection, ToSql};
use sotto_ids::AccountId;

use crate::{ConversationId, MessageId, content::Reference};

/// Whose, when, and by which content.
pub(crate) struct Stamp {
    pub(crate) by: AccountId,
    pub(crate) written_ms: u64,
    pub(crate) id: MessageId,
}

impl Stamp {
    /// Runs a statement that puts `value` where there is none or an older one. Its
    /// parameters are the conversation, the author and the id of what it is on, the
    /// account, the value, the time and the id of the content. Whether it did.
    pub(super) fn put(
        &self,
        db: &Connection,
        upsert: &str,
        conversation: ConversationId,
        on: Reference,
        value: impl ToSql,
    ) -> rusqlite::Result<bool> {
        let rows = db.prepare_cached(upsert)?.execute((
            conversation.as_bytes(),
            on.author.as_bytes(),
            on.id.as_bytes(),
            self.by.as_bytes(),
            value,
            self.written_ms,
            self.id.as_bytes(),
        ))?;
        Ok(rows > 0)
    }
}
