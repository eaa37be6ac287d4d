//! Opens the file.

use std::{fs::OpenOptions, path::Path, time::Duration};

use data_encoding::HEXLOWER;
use rusqlite::{Connection, ErrorCode};
use zeroize::Zeroizing;

use crate::{ClientError, StoreKey};

/// The schema's versions, in order; `user_version` says how many are in place.
const MIGRATIONS: [&str; 5] = [
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// How long a process that is about to end may still have the file.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2);

/// Opens or makes a store, and brings it up to date.
///
/// `synchronous = FULL` makes a commit durable before it returns. The lock is
/// exclusive: two processes that stepped the same ratchet would each lose
/// messages. `secure_delete` overwrites what is deleted, as a key that was used
/// up must not be found again by whoever gets file and store key later.
pub(super) fn open(path: &Path, key: &StoreKey) -> Result<Connection, ClientError> {
    let_only_the_owner_read(path)?;
    let db = Connection::open(path)?;
    db.busy_timeout(WAIT_FOR_OTHERS)?;
    // It would write to standard error what we return as an error.
    db.execute_batch("PRAGMA cipher_log_level = NONE")?;
    set_key(&db, key)?;
    db.execute_batch("PRAGMA locking_mode = EXCLUSIVE").map_err(opening)?;
    db.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map_err(opening)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = OFF;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY;",
    )
    .map_err(opening)?;
    db.set_prepared_statement_cache_capacity(128);
    // A table that others refer to can only be replaced while nothing is checked.
    migrate(&db)?;
    db.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(db)
}

fn let_only_the_owner_read(path: &Path) -> Result<(), ClientError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| ClientError::Store(Box::new(error)))
}

/// Gives SQLCipher the 32 bytes as they are, with no derivation in between.
fn set_key(db: &Connection, key: &StoreKey) -> Result<(), ClientError> {
    let hex = Zeroizing::new(HEXLOWER.encode(key.bytes()));
    let pragma = Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", hex.as_str()));
    db.execute_batch(&pragma).map_err(opening)
}

fn migrate(db: &Connection) -> Result<(), ClientError> {
    db.execute_batch("BEGIN EXCLUSIVE").map_err(opening)?;
    let version: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Some(pending) = MIGRATIONS.get(version..) else {
        return Err(ClientError::StoreTooNew);
    };
    for migration in pending {
        db.execute_batch(migration)?;
    }
    db.pragma_update(None, "user_version", MIGRATIONS.len())?;
    db.execute_batch("COMMIT")?;
    Ok(())
}

fn opening(error: rusqlite::Error) -> ClientError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => ClientError::WrongStoreKey,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ClientError::StoreInUse,
        _ => error.into(),
    }
}
