use ed25519_dalek::{Signer as _, SigningKey};
use libsignal_protocol::{IdentityKeyPair, KeyPair, kem};
use rand::{CryptoRng, Rng};
use serde_json::{Value, json};
use sotto_identity::{
    IdentityKey, Op, Rsig,
    auth::proof_message,
    build::{self, NewDevice},
    rsig_message,
};
use sotto_ids::{AccountId, Base64Bytes, DeviceId};

/// The largest registration id that libsignal's clients make.
const MAX_REGISTRATION_ID: u32 = 16_380;

/// The private keys of a device.
pub struct DeviceKeys {
    device_key: SigningKey,
    identity: IdentityKeyPair,
    mls_key: SigningKey,
    /// As libsignal makes it.
    pub registration_id: u32,
}

impl std::fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKeys(..)")
    }
}

/// A random Ed25519 key.
pub(super) fn signing_key(rng: &mut impl CryptoRng) -> SigningKey {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    SigningKey::from_bytes(&secret)
}

impl DeviceKeys {
    pub(super) fn generate(rng: &mut (impl Rng + CryptoRng)) -> Self {
        Self {
            device_key: signing_key(rng),
            identity: IdentityKeyPair::generate(rng),
            mls_key: signing_key(rng),
            registration_id: rng.random_range(1..=MAX_REGISTRATION_ID),
        }
    }

    /// The private half of its MLS key (RFC 8032, 5.1.5).
    pub fn mls_seed(&self) -> [u8; 32] {
        self.mls_key.to_bytes()
    }

    pub(super) fn certificate(&self, id: DeviceId) -> anyhow::Result<NewDevice> {
        Ok(NewDevice {
            id,
            device_key: self.device_key.verifying_key().to_bytes(),
            identity_key: IdentityKey::try_from(&*self.identity.identity_key().serialize())
                .map_err(|error| anyhow::anyhow!("the identity key is no good: {error:?}"))?,
            mls_key: self.mls_key.verifying_key().to_bytes(),
            registration_id: self.registration_id,
            admin: id == DeviceId::FIRST,
            not_after_ms: 0,
        })
    }

    /// Puts the word of each key into the op that adds the device.
    pub(super) fn countersign(
        &self,
        op: &mut Op,
        rng: &mut (impl Rng + CryptoRng),
    ) -> anyhow::Result<()> {
        let by_device = self.device_key.sign(&rsig_message(op, Rsig::Device));
        let by_identity = self.sign(&rsig_message(op, Rsig::Identity), rng)?;
        let by_mls = self.mls_key.sign(&rsig_message(op, Rsig::Mls));
        build::set_rsig(op, Rsig::Device, by_device.to_vec());
        build::set_rsig(op, Rsig::Identity, by_identity);
        build::set_rsig(op, Rsig::Mls, by_mls.to_vec());
        Ok(())
    }

    /// What logs a device in: a body of `POST /v1/auth/token`, with a proof by these keys.
    pub fn login(
        &self,
        account: AccountId,
        device: DeviceId,
        challenge: &[u8],
        app_token: &str,
        domain: &str,
    ) -> Value {
        let message = proof_message(domain, challenge, account, device, app_token);
        json!({
            "account_id": account,
            "device_id": device,
            "challenge": Base64Bytes(challenge.to_vec()),
            "app_token": app_token,
            "proof": Base64Bytes(self.device_key.sign(&message).to_vec()),
        })
    }

    /// A signed EC prekey, as the API takes it. Its private half is thrown away.
    ///
    /// # Errors
    ///
    /// When libsignal does not sign.
    pub fn signed_ec(
        &self,
        key_id: u32,
        rng: &mut (impl Rng + CryptoRng),
    ) -> anyhow::Result<Value> {
        self.signed(key_id, &KeyPair::generate(rng).public_key.serialize(), rng)
    }

    /// A Kyber prekey, as the API takes it. Its private half is thrown away.
    ///
    /// # Errors
    ///
    /// When libsignal does not sign.
    pub fn kyber(&self, key_id: u32, rng: &mut (impl Rng + CryptoRng)) -> anyhow::Result<Value> {
        let pair = kem::KeyPair::generate(kem::KeyType::Kyber1024, rng);
        self.signed(key_id, &pair.public_key.serialize(), rng)
    }

    fn signed(
        &self,
        key_id: u32,
        public_key: &[u8],
        rng: &mut (impl Rng + CryptoRng),
    ) -> anyhow::Result<Value> {
        Ok(json!({
            "key_id": key_id,
            "public_key": Base64Bytes(public_key.to_vec()),
            "signature": Base64Bytes(self.sign(public_key, rng)?),
        }))
    }

    fn sign(&self, message: &[u8], rng: &mut (impl Rng + CryptoRng)) -> anyhow::Result<Vec<u8>> {
        let signature = self.identity.private_key().calculate_signature(message, rng);
        Ok(signature.map_err(|error| anyhow::anyhow!("cannot sign: {error}"))?.to_vec())
    }
}

/// A one-time EC prekey, as the API takes it.
pub fn one_time_ec(key_id: u32, rng: &mut (impl Rng + CryptoRng)) -> Value {
    let public_key = KeyPair::generate(rng).public_key.serialize().to_vec();
    json!({ "key_id": key_id, "public_key": Base64Bytes(public_key) })
}
