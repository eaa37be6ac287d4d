//! The tables of prekeys: `one_time_ec`, `signed_ec`, `kyber`, `kyber_uses`.
//!
//! A one-time key goes when it is used. A signed or last-resort key that was
//! replaced stays for a while, for messages that are still under way.

use rusqlite::{Connection, OptionalExtension as _};

/// The tables whose keys go when used, oldest ids first where there are too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OneTime {
    Ec,
    Kyber,
}

impl OneTime {
    /// Table, and which of its rows are meant.
    const fn source(self) -> &'static str {
        match self {
            Self::Ec => "one_time_ec WHERE TRUE",
            Self::Kyber => "kyber WHERE last_resort = 0",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Ec => "one_time_ec",
            Self::Kyber => "kyber",
        }
    }
}

/// The tables whose keys are replaced now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    SignedEc,
    LastResort,
}

impl Standing {
    const fn source(self) -> &'static str {
        match self {
            Self::SignedEc => "signed_ec WHERE TRUE",
            Self::LastResort => "kyber WHERE last_resort = 1",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::SignedEc => "signed_ec",
            Self::LastResort => "kyber",
        }
    }
}

/// A key as it is stored: libsignal's record.
pub(crate) struct Stored {
    pub(crate) id: u32,
    pub(crate) record: Vec<u8>,
    pub(crate) published: bool,
    pub(crate) made_ms: u64,
}

/// The record of a one-time EC key.
pub(crate) fn one_time_ec(db: &Connection, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    record(db, "SELECT record FROM one_time_ec WHERE id = ?1", id)
}

/// The record of a signed key.
pub(crate) fn signed_ec(db: &Connection, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    record(db, "SELECT record FROM signed_ec WHERE id = ?1", id)
}

/// The record of a Kyber key of either sort.
pub(crate) fn kyber(db: &Connection, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    record(db, "SELECT record FROM kyber WHERE id = ?1", id)
}

fn record(db: &Connection, sql: &str, id: u32) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
}

/// Whether a Kyber key is a last-resort one.
pub(crate) fn is_last_resort(db: &Connection, id: u32) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT last_resort FROM kyber WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// Notes one use of a last-resort key; `false` where it was used so before.
pub(crate) fn note_use(
    db: &Connection,
    kyber: u32,
    signed_ec: u32,
    base_key: &[u8],
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "INSERT OR IGNORE INTO kyber_uses (kyber, signed_ec, base_key) VALUES (?1, ?2, ?3)",
        )?
        .execute((kyber, signed_ec, base_key))?;
    Ok(rows > 0)
}

/// Adds a one-time key that is not at the server yet.
pub(crate) fn add_one_time(
    db: &Connection,
    kind: OneTime,
    id: u32,
    record: &[u8],
    now_ms: u64,
) -> rusqlite::Result<()> {
    match kind {
        OneTime::Ec => db
            .prepare_cached("INSERT INTO one_time_ec (id, record) VALUES (?1, ?2)")?
            .execute((id, record))?,
        OneTime::Kyber => db
            .prepare_cached(
                "INSERT INTO kyber (id, record, last_resort, made_ms) VALUES (?1, ?2, 0, ?3)",
            )?
            .execute((id, record, now_ms))?,
    };
    Ok(())
}

/// Takes a one-time key away.
pub(crate) fn delete_one_time(db: &Connection, kind: OneTime, id: u32) -> rusqlite::Result<()> {
    db.prepare_cached(&format!("DELETE FROM {} AND id = ?1", kind.source()))?.execute([id])?;
    Ok(())
}

/// Takes a key away whose id the server knows for another.
pub(crate) fn delete(db: &Connection, kind: OneTime, id: u32) -> rusqlite::Result<()> {
    let table = kind.table();
    db.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
    Ok(())
}

/// One-time keys that are not at the server yet, up to `limit`.
pub(crate) fn unpublished(
    db: &Connection,
    kind: OneTime,
    limit: usize,
) -> rusqlite::Result<Vec<(u32, Vec<u8>)>> {
    let source = kind.source();
    db.prepare_cached(&format!(
        "SELECT id, record FROM {source} AND published = 0 ORDER BY id LIMIT ?1"
    ))?
    .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// These one-time keys are at the server.
pub(crate) fn set_published(db: &Connection, kind: OneTime, ids: &[u32]) -> rusqlite::Result<()> {
    let table = kind.table();
    let mut update =
        db.prepare_cached(&format!("UPDATE {table} SET published = 1 WHERE id = ?1"))?;
    for id in ids {
        update.execute([id])?;
    }
    Ok(())
}

/// Keeps the `most` newest one-time keys that were published, and drops the rest.
pub(crate) fn trim(db: &Connection, kind: OneTime, most: u32) -> rusqlite::Result<()> {
    let source = kind.source();
    db.prepare_cached(&format!(
        "DELETE FROM {source} AND id < (SELECT id FROM {source} AND published = 1
             ORDER BY id DESC LIMIT 1 OFFSET ?1)"
    ))?
    .execute([most])?;
    Ok(())
}

/// The standing key that is in use.
pub(crate) fn current(db: &Connection, kind: Standing) -> rusqlite::Result<Option<Stored>> {
    let source = kind.source();
    db.prepare_cached(&format!(
        "SELECT id, record, published, made_ms FROM {source} AND replaced_ms IS NULL
         ORDER BY id DESC LIMIT 1"
    ))?
    .query_row([], |row| {
        Ok(Stored {
            id: row.get(0)?,
            record: row.get(1)?,
            published: row.get(2)?,
            made_ms: row.get(3)?,
        })
    })
    .optional()
}

/// Adds a standing key that is not at the server yet. The one before stays in use
/// until [`replace`].
pub(crate) fn add_standing(
    db: &Connection,
    kind: Standing,
    id: u32,
    record: &[u8],
    now_ms: u64,
) -> rusqlite::Result<()> {
    let sql = match kind {
        Standing::SignedEc => "INSERT INTO signed_ec (id, record, made_ms) VALUES (?1, ?2, ?3)",
        Standing::LastResort => {
            "INSERT INTO kyber (id, record, last_resort, made_ms) VALUES (?1, ?2, 1, ?3)"
        }
    };
    db.prepare_cached(sql)?.execute((id, record, now_ms))?;
    Ok(())
}

/// This standing key is at the server, and those before it are replaced.
pub(crate) fn replace(
    db: &Connection,
    kind: Standing,
    id: u32,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let (table, earlier) = (kind.table(), kind.source());
    db.prepare_cached(&format!("UPDATE {table} SET published = 1 WHERE id = ?1"))?.execute([id])?;
    let earlier = earlier.replace(" WHERE ", " SET replaced_ms = ?2 WHERE ");
    db.prepare_cached(&format!("UPDATE {earlier} AND id < ?1 AND replaced_ms IS NULL"))?
        .execute((id, now_ms))?;
    Ok(())
}

/// Drops standing keys that were replaced before `before_ms`.
pub(crate) fn drop_replaced(
    db: &Connection,
    kind: Standing,
    before_ms: u64,
) -> rusqlite::Result<()> {
    let source = kind.source();
    db.prepare_cached(&format!("DELETE FROM {source} AND replaced_ms < ?1"))?
        .execute([before_ms])?;
    Ok(())
}
