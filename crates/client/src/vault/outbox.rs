//! The table `outbox`: messages of ours that the server has not answered for.

use rusqlite::{Connection, OptionalExtension as _, Row};
use sotto_ids::{AccountUuid, ClientMsgId};

use super::value;

/// A row, without what was encrypted.
pub(crate) struct Entry {
    pub(crate) seq: u64,
    /// The message in the history.
    pub(crate) position: u64,
    pub(crate) peer: AccountUuid,
    /// Set when it was first encrypted.
    pub(crate) counter: Option<u64>,
    pub(crate) client_msg_id: Option<ClientMsgId>,
}

/// Puts a message of the history at the end.
pub(crate) fn insert(db: &Connection, position: u64, peer: AccountUuid) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO outbox (position, peer) VALUES (?1, ?2)")?
        .execute((position, peer.as_bytes()))?;
    Ok(())
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
    Ok(Entry {
        seq: row.get("seq")?,
        position: row.get("position")?,
        peer: value::uuid(row, "peer")?,
        counter: row.get("counter")?,
        client_msg_id: id.and_then(|bytes| ClientMsgId::try_from(bytes.as_slice()).ok()),
    })
}
