//! The table `mls_values`: what OpenMLS keeps.

use rusqlite::{Connection, params};
use sotto_mls_provider::Values;

/// The entries of one group, by the `group_id` of MLS.
pub(crate) fn of_group(db: &Connection, mls_id: &[u8]) -> rusqlite::Result<Values> {
    load(db, &Values::group_prefix(mls_id))
}

/// The entries that belong to no group: private parts of KeyPackages.
pub(crate) fn of_device(db: &Connection) -> rusqlite::Result<Values> {
    load(db, &Values::device_prefix())
}

fn load(db: &Connection, prefix: &[u8]) -> rusqlite::Result<Values> {
    let entries: Vec<_> = db
        .prepare_cached("SELECT key, value FROM mls_values WHERE key >= ?1 AND key < ?2")?
        .query_map(params![prefix, after(prefix)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Values::from_entries(entries))
}

/// Writes what has changed.
pub(crate) fn write(db: &Connection, values: &Values) -> rusqlite::Result<()> {
    let mut put = db.prepare_cached("INSERT OR REPLACE INTO mls_values VALUES (?1, ?2)")?;
    let mut delete = db.prepare_cached("DELETE FROM mls_values WHERE key = ?1")?;
    for (key, value) in values.take_changes() {
        match value {
            Some(value) => put.execute((key, value))?,
            None => delete.execute([key])?,
        };
    }
    Ok(())
}

/// Leaves nothing of a group.
pub(crate) fn forget(db: &Connection, mls_id: &[u8]) -> rusqlite::Result<()> {
    let prefix = Values::group_prefix(mls_id);
    db.prepare_cached("DELETE FROM mls_values WHERE key >= ?1 AND key < ?2")?
        .execute(params![prefix, after(&prefix)])?;
    Ok(())
}

/// The first key that does not begin with the prefix, and comes after all that do.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut bound = prefix.to_vec();
    while let Some(last) = bound.pop() {
        if let Some(next) = last.checked_add(1) {
            bound.push(next);
            break;
        }
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_comes_after_all_keys_with_the_prefix() {
        assert_eq!(after(b"ab"), b"ac");
        assert_eq!(after(&[1, 0xFF]), [2]);
    }
}
