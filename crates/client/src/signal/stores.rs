//! libsignal's store traits over the open transaction.

use std::{cell::RefCell, fmt, rc::Rc};

use async_trait::async_trait;
use libsignal_protocol::{
    Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair,
    IdentityKeyStore, KyberPreKeyId, KyberPreKeyRecord, KyberPreKeyStore, PreKeyId, PreKeyRecord,
    PreKeyStore, ProtocolAddress, PublicKey, SessionRecord, SessionStore, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
};
use rusqlite::Connection;

use super::device_address;
use crate::{
    ClientError,
    vault::{
        Own, Tx,
        chains::{self, ChainCache},
        prekeys::{self, OneTime},
        sessions,
    },
};

type Result<T> = std::result::Result<T, SignalProtocolError>;

/// All of libsignal's stores. Cheap to clone, as its functions want several
/// mutable ones at once; each clone is the same transaction.
///
/// Identities are not trusted on first use: the only key that a device may have is
/// the one that its account's verified chain certifies.
#[derive(Clone)]
pub(super) struct Stores<'a> {
    db: &'a Connection,
    chains: &'a ChainCache,
    own: &'a Own,
    now_ms: u64,
    /// What went wrong in the store, as libsignal's error cannot carry it.
    failure: Rc<RefCell<Option<ClientError>>>,
}

impl<'a> Stores<'a> {
    pub(super) fn new(tx: &Tx<'a>, own: &'a Own) -> Self {
        Self { db: tx.db, chains: tx.chains, own, now_ms: tx.now_ms, failure: Rc::default() }
    }

    /// Splits a result of libsignal's: a failure of the store is one of ours, what
    /// remains is about the message or the key.
    pub(super) fn check<T>(
        &self,
        result: Result<T>,
    ) -> std::result::Result<Result<T>, ClientError> {
        match self.failure.borrow_mut().take() {
            Some(failure) => Err(failure),
            None => Ok(result),
        }
    }

    fn stored<T, E: Into<ClientError>>(&self, result: std::result::Result<T, E>) -> Result<T> {
        result.map_err(|error| {
            *self.failure.borrow_mut() = Some(error.into());
            SignalProtocolError::for_application_callback("store")(StoreFailed)
        })
    }

    fn certified_key(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        let Some(device) = device_address(address) else {
            return Ok(None);
        };
        let Some((_, state)) = self.stored(chains::find(self.db, self.chains, device.account))?
        else {
            return Ok(None);
        };
        state
            .live_device(device.device)
            .filter(|certified| certified.is_live_at(self.now_ms))
            .map(|certified| IdentityKey::decode(certified.identity_key.as_bytes()))
            .transpose()
    }
}

/// The store failed; the cause is kept beside.
#[derive(Debug)]
struct StoreFailed;

impl fmt::Display for StoreFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store failed")
    }
}

impl std::error::Error for StoreFailed {}

#[async_trait(?Send)]
impl IdentityKeyStore for Stores<'_> {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.own.identity)
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.own.registration_id)
    }

    async fn save_identity(
        &mut self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        // It is the chain's key, or `is_trusted_identity` would have refused it.
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(
        &self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
        _direction: Direction,
    ) -> Result<bool> {
        Ok(self.certified_key(address)?.as_ref() == Some(identity))
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        self.certified_key(address)
    }
}

#[async_trait(?Send)]
impl SessionStore for Stores<'_> {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        let Some(device) = device_address(address) else {
            return Ok(None);
        };
        self.stored(sessions::find(self.db, device))?
            .map(|record| SessionRecord::deserialize(&record))
            .transpose()
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: &SessionRecord,
    ) -> Result<()> {
        let device = device_address(address)
            .ok_or_else(|| SignalProtocolError::SessionNotFound(address.clone()))?;
        self.stored(sessions::put(self.db, device, &record.serialize()?))
    }
}

#[async_trait(?Send)]
impl PreKeyStore for Stores<'_> {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        let record = self.stored(prekeys::one_time_ec(self.db, id.into()))?;
        PreKeyRecord::deserialize(&record.ok_or(SignalProtocolError::InvalidPreKeyId)?)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        let record = record.serialize()?;
        self.stored(prekeys::add_one_time(self.db, OneTime::Ec, id.into(), &record, self.now_ms))
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.stored(prekeys::delete_one_time(self.db, OneTime::Ec, id.into()))
    }
}

#[async_trait(?Send)]
impl SignedPreKeyStore for Stores<'_> {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        let record = self.stored(prekeys::signed_ec(self.db, id.into()))?;
        SignedPreKeyRecord::deserialize(&record.ok_or(SignalProtocolError::InvalidSignedPreKeyId)?)
    }

    async fn save_signed_pre_key(
        &mut self,
        id: SignedPreKeyId,
        record: &SignedPreKeyRecord,
    ) -> Result<()> {
        let record = record.serialize()?;
        let kind = prekeys::Standing::SignedEc;
        self.stored(prekeys::add_standing(self.db, kind, id.into(), &record, self.now_ms))
    }
}

#[async_trait(?Send)]
impl KyberPreKeyStore for Stores<'_> {
    async fn get_kyber_pre_key(&self, id: KyberPreKeyId) -> Result<KyberPreKeyRecord> {
        let record = self.stored(prekeys::kyber(self.db, id.into()))?;
        KyberPreKeyRecord::deserialize(&record.ok_or(SignalProtocolError::InvalidKyberPreKeyId)?)
    }

    async fn save_kyber_pre_key(
        &mut self,
        id: KyberPreKeyId,
        record: &KyberPreKeyRecord,
    ) -> Result<()> {
        let record = record.serialize()?;
        self.stored(prekeys::add_one_time(self.db, OneTime::Kyber, id.into(), &record, self.now_ms))
    }

    /// A one-time key goes. A last-resort key stays, but the same first message is
    /// not taken twice with it.
    async fn mark_kyber_pre_key_used(
        &mut self,
        id: KyberPreKeyId,
        signed_ec: SignedPreKeyId,
        base_key: &PublicKey,
    ) -> Result<()> {
        if !self.stored(prekeys::is_last_resort(self.db, id.into()))? {
            return self.stored(prekeys::delete_one_time(self.db, OneTime::Kyber, id.into()));
        }
        let base_key = base_key.serialize();
        let first =
            self.stored(prekeys::note_use(self.db, id.into(), signed_ec.into(), &base_key))?;
        if first {
            Ok(())
        } else {
            Err(SignalProtocolError::InvalidMessage(
                libsignal_protocol::CiphertextMessageType::PreKey,
                "base key used before",
            ))
        }
    }
}
