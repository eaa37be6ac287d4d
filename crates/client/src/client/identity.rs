//! What an account does to itself: devices that go, keys that are replaced, and where
//! else it can be reached.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use sotto_identity::{ChainError, Endpoint, SignedOp, State, build};
use sotto_ids::{AccountId, DeviceId};

use super::{
    Client, Inner,
    account::{admin_key, sign},
};
use crate::{
    ClientError, RecoveryPhrase,
    chain::{self, Whose},
    kinds::identity::tell_changed,
    signal::keys::signing_key,
    vault::{Own, Tx, account_key, accounts, chains, own},
};

/// Attempts while other devices move the chain.
const ATTEMPTS: usize = 4;

impl Client {
    /// Takes a device off the account for good: it is off its socket at once, and what
    /// waited for it is gone. An admin device can do so to any other, and then replaces
    /// the account key too where the other one had it; any other device only to itself.
    ///
    /// # Errors
    /// `not_admin`, `admin_leaves`, `unknown_device`, `device_revoked`, `last_admin`,
    /// `unavailable`, and what the server refuses.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), ClientError> {
        let make = move |tx: &mut Tx<'_>, own: &Own, state: &State| revoke(tx, own, state, device);
        self.inner.append(make).await?;
        self.inner.vault.run(tell_changed).await
    }

    /// Replaces the account key. The safety number with everybody is another one from
    /// then on, and contacts are told. Other admin devices do not get the new key; link
    /// them again, or do without.
    ///
    /// # Errors
    /// `not_admin`, `unavailable`, and what the server refuses.
    pub async fn rotate_account(&self) -> Result<(), ClientError> {
        let make = |tx: &mut Tx<'_>, own: &Own, state: &State| {
            Ok(vec![rotate(tx, admin_key(own, state)?, state)?])
        };
        self.inner.append(make).await?;
        self.inner.vault.run(tell_changed).await
    }

    /// Puts other recovery words in the place of those before, which are of no use from
    /// then on. Show the new ones to the person first. Needs no admin device.
    ///
    /// # Errors
    /// `wrong_phrase`, `more_keys_needed`, `unavailable`, and what the server refuses.
    pub async fn set_recovery(
        &self,
        old: &RecoveryPhrase,
        new: &RecoveryPhrase,
    ) -> Result<(), ClientError> {
        let (old, new) = (old.recovery_key(), new.recovery_key());
        let make = move |tx: &mut Tx<'_>, _: &Own, state: &State| {
            // Done before, and the answer was lost.
            if state.recovery.keys == [new.verifying_key().to_bytes()] {
                return Ok(Vec::new());
            }
            check_phrase(state, &old)?;
            let mut set = state.recovery.clone();
            set.keys = vec![new.verifying_key().to_bytes()];
            Ok(vec![sign(&state.next_op(build::set_recovery(&set), tx.now_ms), &[&old])])
        };
        self.inner.append(make).await.map(drop)
    }

    /// Says in the chain that the account can be reached there too. Only on an admin
    /// device.
    ///
    /// # Errors
    /// `not_admin`, `malformed_endpoint`, `endpoint_exists`, `too_many_endpoints`,
    /// `unavailable`, and what the server refuses.
    pub async fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(), ClientError> {
        let body = build::add_endpoint(endpoint);
        self.inner.append_one(body).await
    }

    /// Takes back what [`Self::add_endpoint`] said.
    ///
    /// # Errors
    /// `not_admin`, `unknown_endpoint`, `unavailable`, and what the server refuses.
    pub async fn drop_endpoint(&self, endpoint: &Endpoint) -> Result<(), ClientError> {
        let body = build::drop_endpoint(endpoint);
        self.inner.append_one(body).await
    }

    /// Where an account says that it can be reached, as its chain is now.
    ///
    /// # Errors
    /// As [`Self::chain`].
    pub async fn endpoints(&self, account: AccountId) -> Result<Vec<Endpoint>, ClientError> {
        let inner = &self.inner;
        let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        Ok(state.endpoints.iter().cloned().collect())
    }

    /// The person agrees to the account key that a contact has now, best after they have
    /// compared the safety number. What was held back for them is sent.
    ///
    /// # Errors
    /// `unknown_account`.
    pub async fn accept_identity(&self, peer: AccountId) -> Result<(), ClientError> {
        self.inner
            .vault
            .run(move |tx| {
                let known = accounts::find(tx.db, peer.uuid())?;
                known.filter(|known| known.account == peer).ok_or(ClientError::UnknownAccount)?;
                accounts::set_key_changed(tx.db, peer.uuid(), false)?;
                tx.outbox_changed();
                Ok(())
            })
            .await
    }

    /// The proofs that an account has two chains, the newest first: when each was found,
    /// and a file that verifies by itself with [`crate::Evidence`].
    ///
    /// # Errors
    /// `store`.
    pub async fn evidence(&self, account: AccountId) -> Result<Vec<(u64, Vec<u8>)>, ClientError> {
        self.inner.vault.run(move |tx| Ok(chains::evidence(tx.db, account.uuid())?)).await
    }
}

impl Inner {
    /// Appends to the own chain what `make` makes of its newest state, and makes it anew
    /// where another device was faster. Where it makes nothing, nothing is to be done.
    pub(super) async fn append<F>(&self, make: F) -> Result<Arc<State>, ClientError>
    where
        F: Fn(&mut Tx<'_>, &Own, &State) -> Result<Vec<SignedOp>, ClientError>
            + Clone
            + Send
            + 'static,
    {
        let account = self.vault.run(|tx| Ok(own::certified(tx.db)?.account)).await?;
        for _ in 0..ATTEMPTS {
            let state = chain::refresh(&self.vault, &self.rest, Whose::Account(account)).await?;
            let make = make.clone();
            let ops = self
                .vault
                .run(move |tx| {
                    let own = own::certified(tx.db)?;
                    let (_, state) = chains::find(tx.db, tx.chains, account.uuid())?
                        .ok_or(ClientError::NotRegistered)?;
                    let ops = make(tx, &own, &state)?;
                    state.apply_all(&ops).map_err(|error| refused(&error))?;
                    Ok(ops)
                })
                .await?;
            if ops.is_empty() {
                return Ok(state);
            }
            let ops = &ops;
            let posted =
                self.auth.with_token(|token| self.rest.append_ops(account, ops, Some(token))).await;
            match posted {
                Err(error) if error.is("head_moved") => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    return chain::refresh(&self.vault, &self.rest, Whose::Account(account)).await;
                }
            }
        }
        Err(ClientError::unavailable("the chain kept moving"))
    }

    /// Appends one op that the account key signs.
    pub(super) async fn append_one(&self, body: sotto_identity::Body) -> Result<(), ClientError> {
        let make = move |tx: &mut Tx<'_>, own: &Own, state: &State| {
            let op = state.next_op(body.clone(), tx.now_ms);
            Ok(vec![sign(&op, &[admin_key(own, state)?])])
        };
        self.append(make).await.map(drop)
    }
}

/// An op of our own that the rules do not allow: the server would say the same.
pub(super) fn refused(error: &ChainError) -> ClientError {
    ClientError::Refused { reason: error.reason().to_owned(), detail: error.to_string() }
}

/// Whether this is the one key that the account's recovery needs.
pub(super) fn check_phrase(state: &State, key: &SigningKey) -> Result<(), ClientError> {
    if !state.recovery.keys.contains(key.verifying_key().as_bytes()) {
        return Err(ClientError::WrongPhrase);
    }
    if state.recovery.threshold > 1 { Err(ClientError::MoreKeysNeeded) } else { Ok(()) }
}

pub(crate) fn revoke(
    tx: &mut Tx<'_>,
    own: &Own,
    state: &State,
    device: DeviceId,
) -> Result<Vec<SignedOp>, ClientError> {
    let op = state.next_op(build::revoke_device(device), tx.now_ms);
    let is_admin = state.live_device(device).is_some_and(|device| device.admin);
    match (device == own.device, is_admin) {
        (true, true) => Err(ClientError::AdminLeaves),
        (true, false) => Ok(vec![sign(&op, &[&own.device_key])]),
        (false, false) => Ok(vec![sign(&op, &[admin_key(own, state)?])]),
        (false, true) => {
            let key = admin_key(own, state)?;
            let revocation = sign(&op, &[key]);
            let revoked = state.apply(&revocation).map_err(|error| refused(&error))?;
            Ok(vec![revocation, rotate(tx, key, &revoked)?])
        }
    }
}

/// The op that puts a new account key in place of `key`. The new one is stored first:
/// once the server has the op, the account is lost without it.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    key: &SigningKey,
    state: &State,
) -> Result<SignedOp, ClientError> {
    let next = if let Some(next) = account_key::next(tx.db)? {
        next
    } else {
        let next = signing_key(tx.rng);
        account_key::put_next(tx.db, &next)?;
        next
    };
    let body = build::rotate_account(next.verifying_key().to_bytes());
    Ok(sign(&state.next_op(body, tx.now_ms), &[key, &next]))
}
