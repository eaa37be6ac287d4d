//! The table `group_outbox`: messages for groups that the server has not answered for.

use rusqlite::{Connection, OptionalExtension as _, Row};
use sotto_ids::{ClientMsgId, GroupId};
use uuid::Uuid;

use super::outbox::What;

/// A row.
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) group: GroupId,
    pub(crate) what: What,
    /// Set when it was first encrypted.
    pub(crate) client_msg_id: Option<ClientMsgId>,
    /// An encoded `GroupSend`.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Puts something at the end.
pub(crate) fn insert(db: &Connection, group: GroupId, what: &What) -> rusqlite::Result<()> {
    let content = match what {
        What::Message(_) => None,
        What::Content(content) => Some(content),
    };
    db.prepare_cached(
        "INSERT INTO group_outbox (group_id, position, content) VALUES (?1, ?2, ?3)",
    )?
    .execute((group.as_bytes(), what.position(), content))?;
    Ok(())
}

/// What comes first in each group, oldest first, up to `limit`.
pub(crate) fn firsts(db: &Connection, limit: usize) -> rusqlite::Result<Vec<Entry>> {
    db.prepare_cached(
        "SELECT * FROM group_outbox
         WHERE seq IN (SELECT min(seq) FROM group_outbox GROUP BY group_id)
         ORDER BY seq LIMIT ?1",
    )?
    .query_map([limit], from_row)?
    .collect()
}

/// One row.
pub(crate) fn find(db: &Connection, seq: u64) -> rusqlite::Result<Option<Entry>> {
    db.prepare_cached("SELECT * FROM group_outbox WHERE seq = ?1")?
        .query_row([seq], from_row)
        .optional()
}

/// The row that goes by this name in a group.
pub(crate) fn named(
    db: &Connection,
    group: GroupId,
    id: ClientMsgId,
) -> rusqlite::Result<Option<Entry>> {
    db.prepare_cached("SELECT * FROM group_outbox WHERE group_id = ?1 AND client_msg_id = ?2")?
        .query_row((group.as_bytes(), id.as_bytes()), from_row)
        .optional()
}

/// The rows of a group.
pub(crate) fn of_group(db: &Connection, group: GroupId) -> rusqlite::Result<Vec<Entry>> {
    db.prepare_cached("SELECT * FROM group_outbox WHERE group_id = ?1 ORDER BY seq")?
        .query_map([group.as_bytes()], from_row)?
        .collect()
}

/// The row of a message of the history, and whether it was encrypted: then the server
/// may have it.
pub(crate) fn of_message(db: &Connection, position: u64) -> rusqlite::Result<Option<(u64, bool)>> {
    db.prepare_cached(
        "SELECT seq, client_msg_id IS NOT NULL FROM group_outbox WHERE position = ?1",
    )?
    .query_row([position], |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

/// Keeps what was encrypted for a row.
pub(crate) fn seal(
    db: &Connection,
    seq: u64,
    id: ClientMsgId,
    sealed: &[u8],
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE group_outbox SET client_msg_id = ?2, sealed = ?3 WHERE seq = ?1")?
        .execute((seq, id.as_bytes(), sealed))?;
    Ok(())
}

/// Drops what was encrypted for a row; its name stays.
pub(crate) fn unseal(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE group_outbox SET sealed = NULL WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Forgets the names of all rows, as the clock that they were made by was wrong.
pub(crate) fn rename(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE group_outbox SET sealed = NULL, client_msg_id = NULL WHERE seq = ?1",
    )?
    .execute([seq])?;
    Ok(())
}

/// Takes a row off.
pub(crate) fn delete(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM group_outbox WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// How many there are.
pub(crate) fn count(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM group_outbox")?.query_row([], |row| row.get(0))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let id: Option<[u8; 16]> = row.get("client_msg_id")?;
    Ok(Entry {
        seq: row.get("seq")?,
        group: GroupId::from_stored(Uuid::from_bytes(row.get("group_id")?)),
        what: match row.get("position")? {
            Some(position) => What::Message(position),
            None => What::Content(row.get("content")?),
        },
        client_msg_id: id.and_then(|bytes| ClientMsgId::try_from(bytes.as_slice()).ok()),
        sealed: row.get("sealed")?,
    })
}
