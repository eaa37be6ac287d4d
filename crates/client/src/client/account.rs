//! Registration, and who this device is.

use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use rand::RngCore as _;
use sotto_identity::{
    Recovery, SignedOp, State,
    build::{self, signed},
    decode_op, encode_op, link_hash, signing_message,
};
use sotto_ids::{AccountId, Base64Bytes, DeviceId, Handle};

use super::{Client, Inner};
use crate::{
    ClientError, Distrust, Me, Phase, RecoveryPhrase,
    chain::{self, Whose},
    rest::{registration::Admission, wire::ProofOfWork},
    signal::keys::{DeviceKeys, signing_key},
    vault::{Own, Tx, chains, own},
};

impl Client {
    /// Makes an account with this device as its first, and publishes the device's
    /// prekeys.
    ///
    /// The words are the only way back to a lost account: show them to the person
    /// first. They are not stored. A registration that was interrupted goes on when
    /// this is called again with the same words.
    ///
    /// Where the server asks for work, this device does it first, which takes a few
    /// seconds; where it asks for an invite, see [`Self::register_with`].
    ///
    /// # Errors
    /// `already_registered`, `other_phrase`, `app_token`, `invite_required`,
    /// `unavailable`, and what the server refuses: the handle, or an app user that has
    /// an account already.
    pub async fn register(
        &self,
        phrase: &RecoveryPhrase,
        handle: Option<&Handle>,
    ) -> Result<Me, ClientError> {
        self.register_with(phrase, handle, None).await
    }

    /// As [`Self::register`], with an invite of the person who runs the server.
    ///
    /// # Errors
    /// As [`Self::register`]; `invite_spent`.
    pub async fn register_with(
        &self,
        phrase: &RecoveryPhrase,
        handle: Option<&Handle>,
        invite: Option<&str>,
    ) -> Result<Me, ClientError> {
        let inner = &self.inner;
        let recovery_key = phrase.recovery_key();
        let home = inner.config.domain.clone();
        let genesis = inner.vault.run(move |tx| genesis(tx, &recovery_key, &home)).await?;
        if let Some(genesis) = genesis {
            let handle = handle.cloned();
            let first = genesis.clone();
            let ops = inner.vault.run(move |tx| handle_op(tx, &first, handle.as_ref())).await?;
            let app_token = inner.auth.app_token().await?;
            let admission = inner.admission(invite).await?;
            let created = inner.rest.create_account(&genesis, &ops, &app_token, &admission).await;
            if let Err(error) = &created
                && error.is("account_exists")
            {
                // An earlier attempt came through, with another handle or none.
                self.adopt(&genesis).await?;
                self.maintain_prekeys().await?;
                return self.me().await?.ok_or(ClientError::NotRegistered);
            }
            created?;
            inner
                .vault
                .run(move |tx| {
                    let all: Vec<_> = std::iter::once(genesis).chain(ops).collect();
                    let state = sotto_identity::replay(&all)?;
                    chains::pin(tx.db, tx.chains, &state.into(), &all)?;
                    Ok(own::enter(tx.db, Phase::Certified)?)
                })
                .await?;
        }
        self.maintain_prekeys().await?;
        self.me().await?.ok_or(ClientError::NotRegistered)
    }

    /// Takes over the account that was made with this genesis, as its chain is now.
    async fn adopt(&self, genesis: &SignedOp) -> Result<(), ClientError> {
        let inner = &self.inner;
        let account = AccountId::from(link_hash(&genesis.payload));
        chain::refresh(&inner.vault, &inner.rest, Whose::Account(account)).await?;
        inner.vault.run(|tx| Ok(own::enter(tx.db, Phase::Certified)?)).await
    }

    /// Who this device is; `None` before it is anybody.
    ///
    /// # Errors
    /// `store`.
    pub async fn me(&self) -> Result<Option<Me>, ClientError> {
        self.inner.vault.run(me).await
    }

    /// Claims a handle, in place of the one before. Only on an admin device.
    ///
    /// # Errors
    /// `not_admin`, `unavailable`, and what the server refuses.
    pub async fn set_handle(&self, handle: &Handle) -> Result<(), ClientError> {
        self.inner.append_one(build::set_handle(handle)).await
    }

    /// Goes by no handle any more. Only on an admin device.
    ///
    /// # Errors
    /// `not_admin`, `no_handle`, `unavailable`, and what the server refuses.
    pub async fn drop_handle(&self) -> Result<(), ClientError> {
        self.inner.append_one(build::drop_handle()).await
    }
}

impl Inner {
    /// What the server asks for before it opens an account.
    async fn admission(&self, invite: Option<&str>) -> Result<Admission, ClientError> {
        let invite = invite.map(str::to_owned);
        let asked = self.rest.account_challenge().await?;
        let proof_of_work = match (asked.required.as_str(), asked.challenge, asked.bits) {
            ("proof_of_work", Some(challenge), Some(bits)) => Some(work(challenge, bits).await?),
            ("proof_of_work", ..) => return Err(Distrust::Malformed.into()),
            _ => None,
        };
        Ok(Admission { invite, proof_of_work })
    }
}

/// Solves a challenge, beside the threads that answer.
async fn work(challenge: Base64Bytes, bits: u8) -> Result<ProofOfWork, ClientError> {
    let solved = tokio::task::spawn_blocking(move || {
        let nonce = sotto_identity::pow::solve(&challenge.0, bits)?;
        Some(ProofOfWork { challenge, nonce: nonce.to_vec().into() })
    });
    let solved = solved.await.map_err(|_| ClientError::Crypto("proof_of_work"))?;
    // More work than anybody may ask for.
    solved.ok_or_else(|| Distrust::Malformed.into())
}

pub(crate) fn me(tx: &mut Tx<'_>) -> Result<Option<Me>, ClientError> {
    let Some(own) = own::find(tx.db)? else {
        return Ok(None);
    };
    let uuid = own.account.uuid();
    let state = chains::find(tx.db, tx.chains, uuid)?.map(|(_, state)| state);
    let admin = match &state {
        Some(state) => admin_key(&own, state).is_ok(),
        None => own.account_key.is_some(),
    };
    let handle = state.and_then(|state| state.handle.clone());
    Ok(Some(Me { account: own.account, uuid, device: own.device, handle, admin, phase: own.phase }))
}

/// The genesis that is to be at the server: a new one, or that of a registration
/// that was begun with the same words. `None` where it is there already.
fn genesis(
    tx: &mut Tx<'_>,
    recovery_key: &SigningKey,
    home: &str,
) -> Result<Option<SignedOp>, ClientError> {
    let Some(begun) = own::find(tx.db)? else {
        return make_genesis(tx, recovery_key, home).map(Some);
    };
    match begun.phase {
        Phase::Made => {}
        Phase::Certified => return Ok(None),
        Phase::Requested | Phase::Ready => return Err(ClientError::AlreadyRegistered),
    }
    let pending = begun.pending.unwrap_or_default();
    let genesis =
        SignedOp::decode(pending.as_slice()).map_err(|_| ClientError::Crypto("genesis"))?;
    let state = State::genesis(&genesis)?;
    if state.recovery.keys != [recovery_key.verifying_key().to_bytes()] {
        return Err(ClientError::OtherPhrase);
    }
    Ok(Some(genesis))
}

pub(crate) fn make_genesis(
    tx: &mut Tx<'_>,
    recovery_key: &SigningKey,
    home: &str,
) -> Result<SignedOp, ClientError> {
    let account_key = signing_key(tx.rng);
    let keys = DeviceKeys::generate(tx.rng);
    let recovery =
        Recovery { threshold: 1, keys: vec![recovery_key.verifying_key().to_bytes()], delay_s: 0 };
    let mut nonce = [0; 16];
    tx.rng.fill_bytes(&mut nonce);
    let mut op = build::genesis(
        &recovery,
        account_key.verifying_key().to_bytes(),
        &keys.certificate(DeviceId::FIRST, true)?,
        nonce,
        home,
        tx.now_ms,
    );
    keys.countersign(&mut op, tx.rng)?;
    let genesis = sign(&op, &[&account_key, recovery_key]);
    // A chain that we would not take from others is not sent to them either.
    let account = State::genesis(&genesis)?.account_id;
    let DeviceKeys { device_key, identity, mls_key, registration_id } = keys;
    own::put(
        tx.db,
        &Own {
            phase: Phase::Made,
            account,
            device: DeviceId::FIRST,
            registration_id,
            account_key: Some(account_key),
            device_key,
            identity,
            mls_key,
            pending: Some(genesis.encode_to_vec()),
        },
    )?;
    Ok(genesis)
}

/// The op that claims a handle right after genesis, where one is wanted.
fn handle_op(
    tx: &mut Tx<'_>,
    genesis: &SignedOp,
    handle: Option<&Handle>,
) -> Result<Vec<SignedOp>, ClientError> {
    let Some(handle) = handle else {
        return Ok(Vec::new());
    };
    let own = own::load(tx.db)?;
    let key = own.account_key.as_ref().ok_or(ClientError::NotAdmin)?;
    debug_assert_eq!(AccountId::from(link_hash(&genesis.payload)), own.account);
    let state = State::genesis(genesis)?;
    // The time of genesis, so that another attempt makes the same bytes.
    let ts_ms = decode_op(&genesis.payload)?.ts_ms;
    Ok(vec![sign(&state.next_op(build::set_handle(handle), ts_ms), &[key])])
}

/// The account key, where this device has the one that holds now. Another admin may
/// have replaced it, and an op by the old one would only be refused.
pub(crate) fn admin_key<'o>(own: &'o Own, state: &State) -> Result<&'o SigningKey, ClientError> {
    own.account_key
        .as_ref()
        .filter(|key| key.verifying_key().to_bytes() == state.account_key)
        .ok_or(ClientError::NotAdmin)
}

/// Encodes an op and signs it with these keys.
pub(crate) fn sign(op: &sotto_identity::Op, keys: &[&SigningKey]) -> SignedOp {
    let payload = encode_op(op);
    let message = signing_message(&payload);
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| (key.verifying_key().to_bytes(), key.sign(&message).to_bytes()))
        .collect();
    signed(payload, signatures)
}
