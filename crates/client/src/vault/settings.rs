//! The table `settings`: switches, where they are not at their default.

use rusqlite::{Connection, OptionalExtension as _};

use crate::ReceiptSettings;

const DELIVERED: &str = "delivered_receipts";
const READ: &str = "read_receipts";

/// Which receipts are sent. Both, unless they were switched off.
pub(crate) fn receipts(db: &Connection) -> rusqlite::Result<ReceiptSettings> {
    Ok(ReceiptSettings { delivered: is_on(db, DELIVERED)?, read: is_on(db, READ)? })
}

/// Switches them.
pub(crate) fn set_receipts(db: &Connection, settings: ReceiptSettings) -> rusqlite::Result<()> {
    for (name, on) in [(DELIVERED, settings.delivered), (READ, settings.read)] {
        db.prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
            .execute((name, on))?;
    }
    Ok(())
}

fn is_on(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(|value| value.unwrap_or(true))
}
