//! The table `next_account_key`: a key on its way into the chain, and what becomes of
//! it when the chain has it.

use ed25519_dalek::SigningKey;
use rusqlite::{Connection, OptionalExtension as _};
use zeroize::Zeroizing;

/// The key that is to come next, where one was made.
pub(crate) fn next(db: &Connection) -> rusqlite::Result<Option<SigningKey>> {
    db.prepare_cached("SELECT secret FROM next_account_key")?
        .query_row([], |row| {
            let secret = Zeroizing::new(row.get::<_, [u8; 32]>("secret")?);
            Ok(SigningKey::from_bytes(&secret))
        })
        .optional()
}

/// Keeps the key that is to come next.
pub(crate) fn put_next(db: &Connection, key: &SigningKey) -> rusqlite::Result<()> {
    let secret = Zeroizing::new(key.to_bytes());
    db.prepare_cached("INSERT OR REPLACE INTO next_account_key (id, secret) VALUES (1, ?1)")?
        .execute([secret.as_slice()])?;
    Ok(())
}

/// The own chain has this account key now: if it is the one that was made here, it
/// takes the place of the one before.
pub(crate) fn adopt(db: &Connection, public: &[u8; 32]) -> rusqlite::Result<()> {
    let Some(key) = next(db)?.filter(|key| key.verifying_key().as_bytes() == public) else {
        return Ok(());
    };
    let secret = Zeroizing::new(key.to_bytes());
    db.prepare_cached("UPDATE self SET account_secret = ?1")?.execute([secret.as_slice()])?;
    db.prepare_cached("DELETE FROM next_account_key")?.execute([])?;
    Ok(())
}
