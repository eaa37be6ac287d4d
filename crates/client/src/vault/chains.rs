//! The tables `chain_ops` and `evidence`, and the states that follow from chains.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _};
use sotto_identity::{Evidence, LinkHash, SignedOp, State, link_hash, replay};
use sotto_ids::AccountUuid;

use super::accounts::{self, Account};
use crate::ClientError;

/// States that were computed before. An entry counts only while the account's pin
/// is the head that it was computed for, so one of a transaction that was rolled
/// back does no harm.
#[derive(Default)]
pub(crate) struct ChainCache(RefCell<HashMap<AccountUuid, Arc<State>>>);

/// States that are kept; a state of ten devices takes about 3 KB.
const CACHED: usize = 512;

impl ChainCache {
    fn find(&self, account: &Account) -> Option<Arc<State>> {
        let states = self.0.borrow();
        let state = states.get(&account.uuid)?;
        (state.seq == account.seq && state.head == account.head).then(|| Arc::clone(state))
    }

    fn keep(&self, state: &Arc<State>) {
        let mut states = self.0.borrow_mut();
        if states.len() >= CACHED {
            states.clear();
        }
        states.insert(state.account_id.uuid(), Arc::clone(state));
    }
}

/// What an account is at its pin.
pub(crate) fn state(
    db: &Connection,
    cache: &ChainCache,
    account: &Account,
) -> Result<Arc<State>, ClientError> {
    if let Some(state) = cache.find(account) {
        return Ok(state);
    }
    let state = Arc::new(replay(&ops(db, account.uuid)?)?);
    cache.keep(&state);
    Ok(state)
}

/// An account that is known, and what it is at its pin.
pub(crate) fn find(
    db: &Connection,
    cache: &ChainCache,
    uuid: AccountUuid,
) -> Result<Option<(Account, Arc<State>)>, ClientError> {
    let Some(account) = accounts::find(db, uuid)? else {
        return Ok(None);
    };
    let state = state(db, cache, &account)?;
    Ok(Some((account, state)))
}

/// The ops of an account from genesis to its pin.
pub(crate) fn ops(db: &Connection, uuid: AccountUuid) -> rusqlite::Result<Vec<SignedOp>> {
    db.prepare_cached("SELECT signed FROM chain_ops WHERE uuid = ?1 ORDER BY seq")?
        .query_map([uuid.as_bytes()], |row| {
            super::value::read(row, "signed", |bytes: Vec<u8>| {
                SignedOp::decode(bytes.as_slice()).ok()
            })
        })?
        .collect()
}

/// The link hash of one op, where it is known.
pub(crate) fn hash_at(
    db: &Connection,
    uuid: AccountUuid,
    seq: u64,
) -> rusqlite::Result<Option<LinkHash>> {
    db.prepare_cached("SELECT hash FROM chain_ops WHERE uuid = ?1 AND seq = ?2")?
        .query_row((uuid.as_bytes(), seq), |row| row.get(0).map(LinkHash))
        .optional()
}

/// Pins `state`, which follows from what was pinned before and `new_ops`, all of
/// them verified.
pub(crate) fn pin(
    db: &Connection,
    cache: &ChainCache,
    state: &Arc<State>,
    new_ops: &[SignedOp],
) -> rusqlite::Result<()> {
    accounts::pin(db, state)?;
    let first = (state.seq + 1).saturating_sub(new_ops.len() as u64);
    let mut insert = db.prepare_cached(
        "INSERT INTO chain_ops (uuid, seq, hash, signed) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (seq, signed) in (first..).zip(new_ops) {
        insert.execute((
            state.account_id.uuid().as_bytes(),
            seq,
            link_hash(&signed.payload).as_bytes(),
            signed.encode_to_vec(),
        ))?;
    }
    cache.keep(state);
    Ok(())
}

/// The proofs that there are of an account's forks, the newest first: when each was
/// found, and its file.
pub(crate) fn evidence(
    db: &Connection,
    uuid: AccountUuid,
) -> rusqlite::Result<Vec<(u64, Vec<u8>)>> {
    db.prepare_cached("SELECT found_ms, file FROM evidence WHERE uuid = ?1 ORDER BY id DESC")?
        .query_map([uuid.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Freezes an account, and keeps the proof that it has two chains.
pub(crate) fn freeze(
    db: &Connection,
    uuid: AccountUuid,
    evidence: Option<&Evidence>,
    now_ms: u64,
) -> rusqlite::Result<()> {
    accounts::freeze(db, uuid)?;
    if let Some(evidence) = evidence {
        db.prepare_cached("INSERT INTO evidence (uuid, found_ms, file) VALUES (?1, ?2, ?3)")?
            .execute((uuid.as_bytes(), now_ms, evidence.to_bytes()))?;
    }
    Ok(())
}
