//! The table `lanes`: which counter is expected next of each sending device.

use rusqlite::{Connection, OptionalExtension as _};
use sotto_ids::DeviceAddress;

/// The next counter, where the device has sent anything before.
pub(crate) fn next(db: &Connection, sender: DeviceAddress) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT next FROM lanes WHERE uuid = ?1 AND device = ?2")?
        .query_row((sender.account.as_bytes(), u32::from(sender.device)), |row| row.get(0))
        .optional()
}

/// Sets the next counter.
pub(crate) fn set_next(db: &Connection, sender: DeviceAddress, next: u64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO lanes (uuid, device, next) VALUES (?1, ?2, ?3)")?
        .execute((sender.account.as_bytes(), u32::from(sender.device), next))?;
    Ok(())
}
