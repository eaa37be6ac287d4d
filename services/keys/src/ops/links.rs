//! New links of a chain: verified, then written with all that follows from them.

use prost::Message as _;
use sotto_identity::{Body, ChainError, SignedOp, State, decode_op, link_hash};
use sotto_ids::{AccountUuid, Handle};
use sqlx::PgConnection;

use super::Keys;
use crate::{
    apps::AppUser,
    db::{self, chain_ops::StoredOp},
    domain::{Head, changes::Changes},
    error::KeysError,
};

/// A verified op and the state that it leads to.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) op: StoredOp,
    pub(super) state: State,
    /// Whether it brings the account back by its recovery set.
    pub(super) is_recovery: bool,
}

impl Link {
    /// The first link of a chain.
    pub(super) fn genesis(signed: &SignedOp, now_ms: u64) -> Result<Self, ChainError> {
        let state = State::genesis(signed)?;
        Ok(Self { op: stored(signed, now_ms), state, is_recovery: false })
    }

    pub(super) const fn head(&self) -> Head {
        Head { seq: self.state.seq, hash: self.state.head }
    }
}

/// Verifies ops that follow `state`. They stand or fall together.
pub(super) fn extend(
    state: &State,
    ops: &[SignedOp],
    now_ms: u64,
) -> Result<Vec<Link>, ChainError> {
    let mut links: Vec<Link> = Vec::with_capacity(ops.len());
    for signed in ops {
        let before = links.last().map_or(state, |link| &link.state);
        let state = before.apply(signed)?;
        let is_recovery = matches!(decode_op(&signed.payload)?.body, Some(Body::Recover(_)));
        links.push(Link { op: stored(signed, now_ms), state, is_recovery });
    }
    if let Some(last) = links.last() {
        last.state.check_whole()?;
    }
    Ok(links)
}

/// The bytes of the payload are those that came; around them stand only the field
/// numbers of `SignedOp`, in the order in which everybody writes them.
fn stored(signed: &SignedOp, now_ms: u64) -> StoredOp {
    StoredOp {
        signed_op: signed.encode_to_vec(),
        link_hash: link_hash(&signed.payload),
        received_at_ms: now_ms,
    }
}

impl Keys {
    /// Writes what a link changes beside the chain.
    pub(super) async fn write_changes(
        &self,
        changes: &Changes<'_>,
        seq: u64,
        account: AccountUuid,
        now_ms: u64,
        tx: &mut PgConnection,
    ) -> Result<(), KeysError> {
        for device in &changes.added {
            db::devices::insert(account, device, &mut *tx).await?;
            db::shelves::insert(account, device.id, &mut *tx).await?;
        }
        for &device in &changes.revoked {
            db::devices::revoke(account, device, seq, &mut *tx).await?;
            db::shelves::delete(account, device, &mut *tx).await?;
            db::spent_key_packages::delete(account, device, &mut *tx).await?;
        }
        if changes.drops_handle {
            db::handles::retire(account, &mut *tx).await?;
        }
        if let Some(handle) = changes.handle {
            self.claim_handle(handle, account, now_ms, tx).await?;
        }
        Ok(())
    }

    /// First come, first served: of claims at the same time the database lets one
    /// through. What the account went by before stays its own.
    async fn claim_handle(
        &self,
        handle: &Handle,
        account: AccountUuid,
        now_ms: u64,
        tx: &mut PgConnection,
    ) -> Result<(), KeysError> {
        if self.rules.reserved.contains(handle) {
            return Err(KeysError::HandleReserved);
        }
        db::handles::retire(account, &mut *tx).await?;
        if !db::handles::claim(handle, account, now_ms, &mut *tx).await? {
            return Err(KeysError::HandleTaken);
        }
        let most = self.rules.handles_per_account;
        if db::handles::count(account, &mut *tx).await? > most.into() {
            return Err(KeysError::TooManyHandles { most });
        }
        Ok(())
    }

    /// Binds the user of an app to an account, for good. A user who is bound to it
    /// already stays so.
    pub(super) async fn bind(
        &self,
        user: &AppUser,
        account: AccountUuid,
        now_ms: u64,
        db: &mut PgConnection,
    ) -> Result<(), KeysError> {
        let mut bound = db::bindings::find_account(user, &mut *db).await?;
        if bound.is_none() {
            // Logging in goes on during maintenance, but for the first time.
            self.read_only.check()?;
            db::bindings::insert(user, account, now_ms, &mut *db).await?;
            bound = db::bindings::find_account(user, &mut *db).await?;
        }
        if bound == Some(account) { Ok(()) } else { Err(KeysError::BindingConflict) }
    }
}
