//! Makes prekeys, and the keys and first op of a device.

use ed25519_dalek::{Signer as _, SigningKey};
use libsignal_protocol::{
    GenericSignedPreKey as _, IdentityKeyPair, KeyPair, KyberPreKeyRecord, PreKeyRecord,
    SignedPreKeyRecord, Timestamp, kem,
};
use rand::{CryptoRng, Rng};
use sotto_identity::{
    IdentityKey, Op, Rsig,
    build::{self, NewDevice},
    rsig_message,
};
use sotto_ids::{DeviceId, limits::MAX_PREKEY_ID};

use super::failed;
use crate::{
    ClientError,
    vault::{
        Own, Tx, counters,
        prekeys::{self, OneTime, Standing},
    },
};

/// The largest registration id that libsignal's clients make.
const MAX_REGISTRATION_ID: u32 = 16_380;

/// The private keys of a device, before it is in any chain.
pub(crate) struct DeviceKeys {
    pub(crate) device_key: SigningKey,
    pub(crate) identity: IdentityKeyPair,
    pub(crate) mls_key: SigningKey,
    pub(crate) registration_id: u32,
}

/// A random Ed25519 key.
pub(crate) fn signing_key(rng: &mut impl CryptoRng) -> SigningKey {
    let mut secret = zeroize::Zeroizing::new([0; 32]);
    rng.fill_bytes(secret.as_mut());
    SigningKey::from_bytes(&secret)
}

impl DeviceKeys {
    /// Fresh random keys.
    pub(crate) fn generate(rng: &mut (impl Rng + CryptoRng)) -> Self {
        Self {
            device_key: signing_key(rng),
            identity: IdentityKeyPair::generate(rng),
            mls_key: signing_key(rng),
            registration_id: rng.random_range(1..=MAX_REGISTRATION_ID),
        }
    }

    /// What the chain says of the device.
    pub(crate) fn certificate(&self, id: DeviceId, admin: bool) -> Result<NewDevice, ClientError> {
        Ok(NewDevice {
            id,
            device_key: self.device_key.verifying_key().to_bytes(),
            identity_key: IdentityKey::try_from(&*self.identity.identity_key().serialize())
                .map_err(|_| ClientError::Crypto("identity_key"))?,
            mls_key: self.mls_key.verifying_key().to_bytes(),
            registration_id: self.registration_id,
            admin,
            not_after_ms: 0,
        })
    }

    /// Puts the word of each key into the op that adds the device.
    pub(crate) fn countersign(
        &self,
        op: &mut Op,
        rng: &mut (impl Rng + CryptoRng),
    ) -> Result<(), ClientError> {
        let by_device = self.device_key.sign(&rsig_message(op, Rsig::Device));
        let by_identity = self
            .identity
            .private_key()
            .calculate_signature(&rsig_message(op, Rsig::Identity), rng)
            .map_err(|_| ClientError::Crypto("identity_key"))?;
        let by_mls = self.mls_key.sign(&rsig_message(op, Rsig::Mls));
        build::set_rsig(op, Rsig::Device, by_device.to_vec());
        build::set_rsig(op, Rsig::Identity, by_identity.to_vec());
        build::set_rsig(op, Rsig::Mls, by_mls.to_vec());
        Ok(())
    }
}

/// Makes `count` one-time keys of a kind.
pub(crate) fn make_one_time(
    tx: &mut Tx<'_>,
    own: &Own,
    kind: OneTime,
    count: u32,
) -> Result<(), ClientError> {
    for _ in 0..count {
        match kind {
            OneTime::Ec => {
                let id = next_id(tx, counters::ONE_TIME_EC)?;
                let record = PreKeyRecord::new(id.into(), &KeyPair::generate(tx.rng));
                let record = record.serialize().map_err(|error| failed(&error))?;
                prekeys::add_one_time(tx.db, kind, id, &record, tx.now_ms)?;
            }
            OneTime::Kyber => {
                let (id, record) = make_kyber(tx, own)?;
                prekeys::add_one_time(tx.db, kind, id, &record, tx.now_ms)?;
            }
        }
    }
    Ok(())
}

/// Makes the next standing key of a kind.
pub(crate) fn make_standing(tx: &mut Tx<'_>, own: &Own, kind: Standing) -> Result<(), ClientError> {
    let (id, record) = match kind {
        Standing::SignedEc => {
            let id = next_id(tx, counters::SIGNED_EC)?;
            let pair = KeyPair::generate(tx.rng);
            let signature = sign(tx, own, &pair.public_key.serialize())?;
            let made = Timestamp::from_epoch_millis(tx.now_ms);
            let record = SignedPreKeyRecord::new(id.into(), made, &pair, &signature);
            (id, record.serialize().map_err(|error| failed(&error))?)
        }
        Standing::LastResort => make_kyber(tx, own)?,
    };
    prekeys::add_standing(tx.db, kind, id, &record, tx.now_ms)?;
    Ok(())
}

fn make_kyber(tx: &mut Tx<'_>, own: &Own) -> Result<(u32, Vec<u8>), ClientError> {
    let id = next_id(tx, counters::KYBER)?;
    let pair = kem::KeyPair::generate(kem::KeyType::Kyber1024, tx.rng);
    let signature = sign(tx, own, &pair.public_key.serialize())?;
    let made = Timestamp::from_epoch_millis(tx.now_ms);
    let record = KyberPreKeyRecord::new(id.into(), made, &pair, &signature);
    Ok((id, record.serialize().map_err(|error| failed(&error))?))
}

fn sign(tx: &mut Tx<'_>, own: &Own, public_key: &[u8]) -> Result<Box<[u8]>, ClientError> {
    own.identity
        .private_key()
        .calculate_signature(public_key, tx.rng)
        .map_err(|_| ClientError::Crypto("identity_key"))
}

/// Prekey ids count up from 1. A device that makes a hundred keys a day comes to
/// the end of them in 450 years.
fn next_id(tx: &Tx<'_>, counter: &str) -> Result<u32, ClientError> {
    let id = u32::try_from(counters::value(tx.db, counter)? + 1)
        .ok()
        .filter(|id| *id <= MAX_PREKEY_ID)
        .ok_or(ClientError::Crypto("prekey_ids_exhausted"))?;
    counters::set(tx.db, counter, id.into())?;
    Ok(id)
}
