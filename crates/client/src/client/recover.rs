//! The way back to an account by its words alone.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use sotto_identity::{ChainError, SignedOp, State, build, decode_op};
use sotto_ids::AccountId;

use super::{
    Client, Inner,
    account::sign,
    identity::{check_phrase, refused},
};
use crate::{
    ClientError, Me, PeerName, Phase, RecoveryPhrase,
    chain::{self, Whose},
    signal::keys::{DeviceKeys, signing_key},
    vault::{Own, Tx, own},
};

/// Attempts while others move the chain.
const ATTEMPTS: usize = 4;

impl Client {
    /// Brings an account back on this device, by its recovery words. This device is its
    /// only one then: all others are revoked, and the account key is a new one. The
    /// account and its handle stay; contacts see another safety number.
    ///
    /// A recovery that was interrupted goes on when this is called again.
    ///
    /// # Errors
    /// `wrong_phrase`, `more_keys_needed`, `already_registered`, `unknown_account`,
    /// `app_token`, `unavailable`, any [`crate::Distrust`], and what the server refuses.
    pub async fn recover(
        &self,
        name: &PeerName,
        phrase: &RecoveryPhrase,
    ) -> Result<Me, ClientError> {
        let inner = &self.inner;
        let account = match name {
            PeerName::Account(account) => *account,
            PeerName::Handle(handle) => inner.rest.handle_owner(handle).await?,
        };
        let key = phrase.recovery_key();
        for _ in 0..ATTEMPTS {
            let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
            let (known, key) = (state.clone(), key.clone());
            let ops = inner.vault.run(move |tx| recovery(tx, &known, &key)).await?;
            let Some(ops) = ops else {
                return inner.finish_device().await;
            };
            match inner.rest.append_ops(account, &ops, None).await {
                Err(error) if error.is("head_moved") => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return inner.settle_in(account).await,
            }
        }
        Err(ClientError::unavailable("the chain kept moving"))
    }
}

impl Inner {
    async fn settle_in(&self, account: AccountId) -> Result<Me, ClientError> {
        chain::refresh(&self.vault, &self.rest, Whose::Account(account)).await?;
        self.finish_device().await
    }
}

/// The ops that recover the account to this device; `None` where an earlier attempt has
/// put it there.
pub(crate) fn recovery(
    tx: &mut Tx<'_>,
    state: &State,
    recovery_key: &SigningKey,
) -> Result<Option<Vec<SignedOp>>, ClientError> {
    check_phrase(state, recovery_key)?;
    match own::find(tx.db)? {
        Some(own) if own.phase != Phase::Requested => {
            // What is at the server of an interrupted recovery is to be finished.
            let is_in = own.account == state.account_id && own.phase == Phase::Certified;
            return if is_in { Ok(None) } else { Err(ClientError::AlreadyRegistered) };
        }
        Some(own) if is_in(state, &own) => return Ok(None),
        _ => {}
    }

    let account_key = signing_key(tx.rng);
    let body = build::recover(account_key.verifying_key().to_bytes(), &BTreeMap::new());
    let recover = sign(&state.next_op(body, tx.now_ms), &[recovery_key, &account_key]);
    let recovered = state.apply(&recover).map_err(|error| refused(&error))?;

    let keys = DeviceKeys::generate(tx.rng);
    let device = recovered
        .unused_device_id()
        .ok_or(ChainError::DeviceIdsExhausted)
        .map_err(|error| refused(&error))?;
    let body = build::add_device(&keys.certificate(device, true)?);
    let mut op = recovered.next_op(body, tx.now_ms);
    keys.countersign(&mut op, tx.rng)?;
    let add = sign(&op, &[&account_key]);
    recovered.apply(&add).map_err(|error| refused(&error))?;

    let DeviceKeys { device_key, identity, mls_key, registration_id } = keys;
    own::put(
        tx.db,
        &Own {
            phase: Phase::Requested,
            account: state.account_id,
            device,
            registration_id,
            account_key: Some(account_key),
            device_key,
            identity,
            mls_key,
            pending: Some(add.payload.clone()),
        },
    )?;
    Ok(Some(vec![recover, add]))
}

fn is_in(state: &State, own: &Own) -> bool {
    let asked = own.pending.as_deref().and_then(|payload| decode_op(payload).ok());
    let ours = own.device_key.verifying_key().to_bytes();
    asked.is_some()
        && own.account == state.account_id
        && state.live_device(own.device).is_some_and(|device| device.device_key == ours)
}
