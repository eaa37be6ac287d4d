//! The tables `receipts`, those that came in, and `receipts_due`, those that are to go
//! out.

use rusqlite::{Connection, OptionalExtension as _, params};
use sotto_ids::{AccountUuid, DeviceAddress};
use uuid::Uuid;

use super::value;
use crate::{MessageId, Receipt, ReceiptKind};

/// Notes a receipt; whether it is new.
pub(crate) fn insert(
    db: &Connection,
    message: MessageId,
    from: DeviceAddress,
    kind: ReceiptKind,
    at_ms: u64,
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "INSERT OR IGNORE INTO receipts (message, uuid, device, kind, at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            message.as_bytes(),
            from.account.as_bytes(),
            u32::from(from.device),
            kind.as_str(),
            at_ms,
        ))?;
    Ok(rows > 0)
}

/// Those for a message, the oldest first.
pub(crate) fn list(db: &Connection, message: MessageId) -> rusqlite::Result<Vec<Receipt>> {
    db.prepare_cached("SELECT * FROM receipts WHERE message = ?1 ORDER BY at_ms, device, kind")?
        .query_map([message.as_bytes()], |row| {
            Ok(Receipt {
                account: value::uuid(row, "uuid")?,
                device: value::device(row, "device")?,
                kind: value::read(row, "kind", |word: String| ReceiptKind::from_word(&word))?,
                at_ms: row.get("at_ms")?,
            })
        })?
        .collect()
}

/// Leaves none for a message.
pub(crate) fn delete(db: &Connection, message: MessageId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM receipts WHERE message = ?1")?.execute([message.as_bytes()])?;
    Ok(())
}

/// Forgets those of before `before_ms` for messages that never came to be known here.
pub(crate) fn forget_strays(db: &Connection, before_ms: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM receipts
         WHERE at_ms < ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE id = receipts.message)",
    )?
    .execute([before_ms])?;
    Ok(())
}

/// A receipt is to go out at this time; with others to the same account it goes
/// when the first of them does.
pub(crate) fn put_due(
    db: &Connection,
    to: AccountUuid,
    kind: ReceiptKind,
    message: MessageId,
    due_ms: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO receipts_due (uuid, kind, message, due_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((to.as_bytes(), kind.as_str(), message.as_bytes(), due_ms))?;
    Ok(())
}

/// When the next ones to this account go.
pub(crate) fn due_of(db: &Connection, to: AccountUuid) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT min(due_ms) FROM receipts_due WHERE uuid = ?1")?
        .query_row([to.as_bytes()], |row| row.get(0))
}

/// When the first go.
pub(crate) fn next_due(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT min(due_ms) FROM receipts_due")?.query_row([], |row| row.get(0))
}

/// Somebody whose receipts are due.
pub(crate) fn first_due(db: &Connection, now_ms: u64) -> rusqlite::Result<Option<AccountUuid>> {
    db.prepare_cached("SELECT uuid FROM receipts_due WHERE due_ms <= ?1 LIMIT 1")?
        .query_row([now_ms], |row| value::uuid(row, "uuid"))
        .optional()
}

/// Takes up to `limit` of those of one kind to somebody, whenever they are due.
pub(crate) fn take_due(
    db: &Connection,
    to: AccountUuid,
    kind: ReceiptKind,
    limit: usize,
) -> rusqlite::Result<Vec<MessageId>> {
    let ids: Vec<MessageId> = db
        .prepare_cached(
            "SELECT message FROM receipts_due WHERE uuid = ?1 AND kind = ?2
             ORDER BY due_ms, message LIMIT ?3",
        )?
        .query_map(params![to.as_bytes(), kind.as_str(), limit], |row| {
            row.get(0).map(|bytes| MessageId(Uuid::from_bytes(bytes)))
        })?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        db.prepare_cached(
            "DELETE FROM receipts_due WHERE uuid = ?1 AND kind = ?2 AND message = ?3",
        )?
        .execute((to.as_bytes(), kind.as_str(), id.as_bytes()))?;
    }
    Ok(ids)
}

/// Those of one kind do not go out.
pub(crate) fn drop_due(db: &Connection, kind: ReceiptKind) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM receipts_due WHERE kind = ?1")?.execute([kind.as_str()])?;
    Ok(())
}

/// None goes out for a message.
pub(crate) fn drop_due_for(db: &Connection, message: MessageId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM receipts_due WHERE message = ?1")?
        .execute([message.as_bytes()])?;
    Ok(())
}
