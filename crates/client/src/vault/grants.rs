//! The table `grants`: what contacts may see of us.

use rusqlite::{Connection, OptionalExtension as _};
use sotto_ids::AccountUuid;

use super::value;
use crate::Visibility;

/// Sets it.
pub(crate) fn put(db: &Connection, uuid: AccountUuid, may: Visibility) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO grants (uuid, typing, presence) VALUES (?1, ?2, ?3)",
    )?
    .execute((uuid.as_bytes(), may.typing, may.presence))?;
    Ok(())
}

/// What somebody may see; nothing, unless it was granted.
pub(crate) fn of(db: &Connection, uuid: AccountUuid) -> rusqlite::Result<Visibility> {
    db.prepare_cached("SELECT typing, presence FROM grants WHERE uuid = ?1")?
        .query_row([uuid.as_bytes()], |row| {
            Ok(Visibility { typing: row.get("typing")?, presence: row.get("presence")? })
        })
        .optional()
        .map(Option::unwrap_or_default)
}

/// Those who may see that we are here.
pub(crate) fn watchers(db: &Connection) -> rusqlite::Result<Vec<AccountUuid>> {
    db.prepare_cached("SELECT uuid FROM grants WHERE presence")?
        .query_map([], |row| value::uuid(row, "uuid"))?
        .collect()
}
