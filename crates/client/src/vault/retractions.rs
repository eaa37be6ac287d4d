//! The table `retractions`: copies at the server that are to be called back.

use rusqlite::{Connection, params};
use sotto_ids::{AccountUuid, ClientMsgId};

use super::value;

/// A send whose waiting copies are to be deleted.
pub(crate) struct Retraction {
    pub(crate) seq: u64,
    pub(crate) client_msg_id: Vec<u8>,
    pub(crate) peer: AccountUuid,
    /// Numbers of devices, a byte each.
    pub(crate) devices: Vec<u8>,
}

/// Notes one.
pub(crate) fn insert(
    db: &Connection,
    id: ClientMsgId,
    peer: AccountUuid,
    devices: &[u8],
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO retractions (client_msg_id, peer, devices) VALUES (?1, ?2, ?3)",
    )?
    .execute((id.as_bytes(), peer.as_bytes(), devices))?;
    Ok(())
}

/// The oldest `limit`.
pub(crate) fn list(db: &Connection, limit: usize) -> rusqlite::Result<Vec<Retraction>> {
    db.prepare_cached("SELECT * FROM retractions ORDER BY seq LIMIT ?1")?
        .query_map(params![limit], |row| {
            Ok(Retraction {
                seq: row.get("seq")?,
                client_msg_id: row.get("client_msg_id")?,
                peer: value::uuid(row, "peer")?,
                devices: row.get("devices")?,
            })
        })?
        .collect()
}

/// It is done.
pub(crate) fn delete(db: &Connection, seq: u64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM retractions WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}
