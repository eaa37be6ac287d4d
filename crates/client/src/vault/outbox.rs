//! The table `outbox`: what the server has not answered for.

use rusqlite::{Connection, OptionalExtension as _, Row};
use sotto_ids::{AccountUuid, ClientMsgId};

use super::value;

/// A row, without what was encrypted.
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) what: What,
    pub(crate) peer: AccountUuid,
    pub(crate) class: i32,
    pub(crate) ttl_s: u32,
    /// Whether one's other devices are told, once it is accepted.
    pub(crate) tell_own: bool,
    /// Set when it was first encrypted.
    pub(crate) counter: Option<u64>,
    pub(crate) client_msg_id: Option<ClientMsgId>,
}

/// What is sent.
pub(crate) enum What {
    /// The message at this position of the history.
    Message(u64),
    /// An encoded content.
    Content(Vec<u8>),
}

impl What {
    pub(crate) fn position(&self) -> Option<u64> {
        match self {
            Self::Message(position) => Some(*position),
            Self::Content(_) => None,
        }
    }
}

/// Something that is to be sent.
pub(crate) struct NewEntry {
    pub(crate) what: What,
    pub(crate) peer: AccountUuid,
    pub(crate) class: i32,
    pub(crate) ttl_s: u32,
    pub(crate) tell_own: bool,
}

/// Puts something at the end.
pub(crate) fn insert(db: &Connection, new: &NewEntry) -> rusqlite::Result<()> {
    let content = match &new.what {
        What::Message(_) => None,
        What::Content(content) => Some(content),
    };
    db.prepare_cached(
        "INSERT INTO outbox (position, content, peer, class, ttl_s, tell_own)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        new.what.position(),
        content,
        new.peer.as_bytes(),
        new.class,
        new.ttl_s,
        new.tell_own,
    ))?;
    Ok(())
}

/// The row of a message of the history, and whether it was encrypted: then the server
/// may have it.
pub(crate) fn of_message(db: &Connection, position: u64) -> rusqlite::Result<Option<(u64, bool)>> {
    db.prepare_cached("SELECT seq, client_msg_id IS NOT NULL FROM outbox WHERE position = ?1")?
        .query_row([position], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Who waits for what: number and peer of up to `limit` rows after `seq`, in order.
pub(crate) fn queue_after(
    db: &Connection,
    seq: u64,
    limit: usize,
) -> rusqlite::Result<Vec<(u64, AccountUuid)>> {
    db.prepare_cached("SELECT seq, peer FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2")?
        .query_map((seq, limit), |row| Ok((row.get("seq")?, value::uuid(row, "peer")?)))?
        .collect()
}

/// One row.
pub(crate) fn find(db: &Connection, seq: u64) -> rusqlite::Result<Option<Entry>> {
    db.prepare_cached("SELECT * FROM outbox WHERE seq = ?1")?.query_row([seq], from_row).optional()
}

/// The rows of one peer.
pub(crate) fn of_peer(db: &Connection, peer: AccountUuid) -> rusqlite::Result<Vec<Entry>> {
    db.prepare_cached("SELECT * FROM outbox WHERE peer = ?1 ORDER BY seq")?
        .query_map([peer.as_bytes()], from_row)?
        .collect()
}

/// What was encrypted for a row.
pub(crate) fn sealed(db: &Connection, seq: u64) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT sealed FROM outbox WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

/// Keeps what was encrypted for a row.
pub(crate) fn seal(
    db: &Connection,
    seq: u64,
    counter: u64,
    id: ClientMsgId,
    sealed: &[u8],
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE outbox SET counter = ?2, client_msg_id = ?3, sealed = ?4 WHERE seq = ?1",
    )?
    .execute((seq, counter, id.as_bytes(), sealed))?;
    Ok(())
}

/// Drops what was encrypted for a row; its number and name stay.
pub(crate) fn unseal(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE outbox SET sealed = NULL WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Drops what was encrypted for all rows of one peer.
pub(crate) fn unseal_of(db: &Connection, peer: AccountUuid) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE outbox SET sealed = NULL WHERE peer = ?1")?
        .execute([peer.as_bytes()])?;
    Ok(())
}

/// Takes a row off.
pub(crate) fn delete(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// How many there are.
pub(crate) fn count(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM outbox")?.query_row([], |row| row.get(0))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let id: Option<[u8; 16]> = row.get("client_msg_id")?;
    let what = match row.get("position")? {
        Some(position) => What::Message(position),
        None => What::Content(row.get("content")?),
    };
    Ok(Entry {
        seq: row.get("seq")?,
        what,
        peer: value::uuid(row, "peer")?,
        class: row.get("class")?,
        ttl_s: row.get("ttl_s")?,
        tell_own: row.get("tell_own")?,
        counter: row.get("counter")?,
        client_msg_id: id.and_then(|bytes| ClientMsgId::try_from(bytes.as_slice()).ok()),
    })
}
