//! Adding a second device: it asks, an admin device approves, it finishes.

use ed25519_dalek::{Signer as _, SigningKey};
use sotto_identity::{
    Body, ChainError, SignedOp, State, build, decode_op, encode_op, link_hash, signing_message,
};
use sotto_ids::{AccountId, DeviceId};

use super::{
    Client, Inner,
    account::{self, admin_key},
};
use crate::{
    ClientError, DeviceRequest, Me, Phase,
    chain::{self, Whose},
    prekeys::{self, Fill},
    signal::keys::DeviceKeys,
    vault::{Own, Tx, chains, own},
};

impl Client {
    /// On a new device: makes its keys and asks to be added to an account. The
    /// request's text goes to a device of the account that holds the account key.
    ///
    /// Asking again replaces a request that was not approved.
    ///
    /// # Errors
    /// `already_registered`, `unknown_account`, `unavailable`, and any
    /// [`crate::Distrust`].
    pub async fn request_device(&self, account: AccountId) -> Result<DeviceRequest, ClientError> {
        let inner = &self.inner;
        inner
            .vault
            .run(|tx| match own::find(tx.db)?.map(|own| own.phase) {
                None | Some(Phase::Requested) => Ok(()),
                Some(_) => Err(ClientError::AlreadyRegistered),
            })
            .await?;
        let state = chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        inner.vault.run(move |tx| DeviceRequest::of(request(tx, &state, None)?)).await
    }

    /// On an admin device: adds the device that asked. Show the person what they
    /// are about to approve first.
    ///
    /// # Errors
    /// `not_admin`, `malformed_request` (of another account, or not signed by the
    /// device's own keys), `request_outdated`, `unavailable`, and what the server
    /// refuses.
    pub async fn approve_device(&self, request: &DeviceRequest) -> Result<DeviceId, ClientError> {
        self.inner.approve_device(request, false).await
    }

    /// On the new device: takes up its place once it is approved, and publishes its
    /// prekeys. [`Self::go_online`] does so by itself.
    ///
    /// # Errors
    /// `request_pending`; `request_outdated`, after which a new request is due;
    /// `unavailable`, and any [`crate::Distrust`].
    pub async fn finish_device(&self) -> Result<Me, ClientError> {
        self.inner.finish_device().await
    }
}

impl Inner {
    /// Adds the device that asked, as an admin where the account key was given to it.
    pub(super) async fn approve_device(
        &self,
        request: &DeviceRequest,
        admin: bool,
    ) -> Result<DeviceId, ClientError> {
        let inner = self;
        let account = inner.vault.run(|tx| Ok(own::certified(tx.db)?.account)).await?;
        if request.account() != account {
            return Err(ClientError::MalformedRequest);
        }
        chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        let (asked, device) = (request.clone(), request.device());
        let op = inner.vault.run(move |tx| approve(tx, &asked, admin)).await?;
        let ops = [op];
        let posted =
            inner.auth.with_token(|token| inner.rest.append_ops(account, &ops, Some(token))).await;
        if let Err(error) = posted {
            return Err(if error.is("head_moved") {
                ClientError::RequestOutdated
            } else {
                error.into()
            });
        }
        chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        Ok(device)
    }

    /// See [`Client::finish_device`].
    pub(crate) async fn finish_device(&self) -> Result<Me, ClientError> {
        let own = self.vault.run(|tx| own::load(tx.db)).await?;
        if own.phase == Phase::Requested {
            let state =
                chain::refresh(&self.vault, &self.rest, Whose::Account(own.account)).await?;
            let ours = own.device_key.verifying_key().to_bytes();
            let is_in =
                state.live_device(own.device).is_some_and(|device| device.device_key == ours);
            let asked_seq = own.pending.and_then(|payload| Some(decode_op(&payload).ok()?.seq));
            if !is_in && asked_seq.is_some_and(|seq| state.seq >= seq) {
                // Another op has its place; it can never be added as it is.
                self.vault.run(|tx| Ok(own::forget(tx.db)?)).await?;
                return Err(ClientError::RequestOutdated);
            }
            if !is_in {
                return Err(ClientError::RequestPending);
            }
            self.vault.run(|tx| Ok(own::enter(tx.db, Phase::Certified)?)).await?;
        }
        prekeys::maintain(&self.vault, &self.rest, &self.auth, Fill::IfLow).await?;
        self.vault.run(|tx| account::me(tx)?.ok_or(ClientError::NotRegistered)).await
    }
}

/// Makes the keys of a new device, and the op that would add it, with its reverse
/// signatures. With the account key it asks to be an admin.
pub(super) fn request(
    tx: &mut Tx<'_>,
    state: &State,
    account_key: Option<SigningKey>,
) -> Result<Vec<u8>, ClientError> {
    let keys = DeviceKeys::generate(tx.rng);
    let device = state.unused_device_id().ok_or(ChainError::DeviceIdsExhausted)?;
    let body = build::add_device(&keys.certificate(device, account_key.is_some())?);
    let mut op = state.next_op(body, tx.now_ms);
    keys.countersign(&mut op, tx.rng)?;
    let payload = encode_op(&op);
    let DeviceKeys { device_key, identity, mls_key, registration_id } = keys;
    own::put(
        tx.db,
        &Own {
            phase: Phase::Requested,
            account: state.account_id,
            device,
            registration_id,
            account_key,
            device_key,
            identity,
            mls_key,
            pending: Some(payload.clone()),
        },
    )?;
    Ok(payload)
}

fn approve(tx: &mut Tx<'_>, request: &DeviceRequest, admin: bool) -> Result<SignedOp, ClientError> {
    let own = own::certified(tx.db)?;
    let (_, state) =
        chains::find(tx.db, tx.chains, own.account.uuid())?.ok_or(ClientError::NotRegistered)?;
    let key = admin_key(&own, &state)?;
    let op = decode_op(request.payload()).map_err(|_| ClientError::MalformedRequest)?;
    // Where the account key is not handed over, the device could not do what the
    // chain says that an admin can.
    if !matches!(&op.body, Some(Body::AddDevice(device)) if device.admin == admin) {
        return Err(ClientError::MalformedRequest);
    }
    // Approved before, and the answer was lost.
    let at_seq = chains::hash_at(tx.db, own.account.uuid(), op.seq)?;
    let is_in_already = at_seq == Some(link_hash(request.payload()));
    let message = signing_message(request.payload());
    let signature = (key.verifying_key().to_bytes(), key.sign(&message).to_bytes());
    let signed = build::signed(request.payload().to_vec(), [signature]);
    if is_in_already {
        return Ok(signed);
    }
    match state.apply(&signed) {
        Ok(_) => Ok(signed),
        Err(ChainError::WrongSeq | ChainError::WrongPrev) => Err(ClientError::RequestOutdated),
        Err(ChainError::BadReverseSignature(_) | ChainError::WrongAccount) => {
            Err(ClientError::MalformedRequest)
        }
        Err(error) => Err(error.into()),
    }
}
