//! The table `accounts`: whom this device knows, and how far it has verified them.

use rusqlite::{Connection, OptionalExtension as _, Row};
use sotto_identity::{LinkHash, State};
use sotto_ids::{AccountId, AccountUuid};

use super::value;

/// An account and its pin.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) uuid: AccountUuid,
    pub(crate) account: AccountId,
    pub(crate) seq: u64,
    pub(crate) head: LinkHash,
    pub(crate) frozen: bool,
    /// Its account key is another one since a person last agreed to it.
    pub(crate) key_changed: bool,
    /// Known from groups alone: no contact.
    pub(crate) met_in_group: bool,
    /// The counter of the newest message from here.
    pub(crate) sent: u64,
}

/// The account with this UUID, where it is known.
pub(crate) fn find(db: &Connection, uuid: AccountUuid) -> rusqlite::Result<Option<Account>> {
    db.prepare_cached("SELECT * FROM accounts WHERE uuid = ?1")?
        .query_row([uuid.as_bytes()], from_row)
        .optional()
}

/// All accounts that are known.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Account>> {
    db.prepare_cached("SELECT * FROM accounts ORDER BY uuid")?.query_map([], from_row)?.collect()
}

/// Moves the pin of an account to this state, or begins with it.
pub(crate) fn pin(db: &Connection, state: &State) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO accounts (uuid, account, seq, head) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (uuid) DO UPDATE SET seq = excluded.seq, head = excluded.head",
    )?
    .execute((
        state.account_id.uuid().as_bytes(),
        state.account_id.as_bytes(),
        state.seq,
        state.head.as_bytes(),
    ))?;
    Ok(())
}

/// Nothing is sent to this account any more.
pub(crate) fn freeze(db: &Connection, uuid: AccountUuid) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE accounts SET frozen = 1 WHERE uuid = ?1")?
        .execute([uuid.as_bytes()])?;
    Ok(())
}

/// Its account key is another one, or a person has agreed to the one it has.
pub(crate) fn set_key_changed(
    db: &Connection,
    uuid: AccountUuid,
    changed: bool,
) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE accounts SET key_changed = ?2 WHERE uuid = ?1")?
        .execute((uuid.as_bytes(), changed))?;
    Ok(())
}

/// Whether the account is known from groups alone.
pub(crate) fn set_met_in_group(
    db: &Connection,
    uuid: AccountUuid,
    met_in_group: bool,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE accounts SET met_in_group = ?2 WHERE uuid = ?1 AND met_in_group <> ?2",
    )?
    .execute((uuid.as_bytes(), met_in_group))?;
    Ok(())
}

/// Messages to this account have counters up to `counter`.
pub(crate) fn set_sent(db: &Connection, uuid: AccountUuid, counter: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE accounts SET sent = max(sent, ?2) WHERE uuid = ?1")?
        .execute((uuid.as_bytes(), counter))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        uuid: value::uuid(row, "uuid")?,
        account: value::account(row, "account")?,
        seq: row.get("seq")?,
        head: LinkHash(row.get("head")?),
        frozen: row.get("frozen")?,
        key_changed: row.get("key_changed")?,
        met_in_group: row.get("met_in_group")?,
        sent: row.get("sent")?,
    })
}
