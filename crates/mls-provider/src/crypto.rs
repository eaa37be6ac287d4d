use aes_gcm::Aes128Gcm;
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand as _,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
        HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use sha2::{Digest as _, Sha256};
use tls_codec::SecretVLBytes;
use zeroize::Zeroizing;

use crate::{Rand, hpke};

/// The suites that work.
pub const CIPHERSUITES: [Ciphersuite; 2] = [
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
];

/// The cryptography of the two [`CIPHERSUITES`], each operation a call into a library.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crypto;

fn sha256(hash: HashType) -> Result<(), CryptoError> {
    match hash {
        HashType::Sha2_256 => Ok(()),
        HashType::Sha2_384 | HashType::Sha2_512 => Err(CryptoError::UnsupportedHashAlgorithm),
    }
}

fn ed25519(scheme: SignatureScheme) -> Result<(), CryptoError> {
    match scheme {
        SignatureScheme::ED25519 => Ok(()),
        _ => Err(CryptoError::UnsupportedSignatureScheme),
    }
}

fn seal<A: Aead + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    plaintext: Payload<'_, '_>,
) -> Result<Vec<u8>, CryptoError> {
    let nonce = checked_nonce::<A>(nonce)?;
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
    cipher.encrypt(nonce, plaintext).map_err(|_| CryptoError::CryptoLibraryError)
}

fn open<A: Aead + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    ciphertext: Payload<'_, '_>,
) -> Result<Vec<u8>, CryptoError> {
    let nonce = checked_nonce::<A>(nonce)?;
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
    cipher.decrypt(nonce, ciphertext).map_err(|_| CryptoError::AeadDecryptionError)
}

/// `GenericArray` panics where the length is another.
fn checked_nonce<A: Aead>(nonce: &[u8]) -> Result<&chacha20poly1305::aead::Nonce<A>, CryptoError> {
    const LENGTH: usize = 12;
    if nonce.len() == LENGTH {
        Ok(chacha20poly1305::aead::Nonce::<A>::from_slice(nonce))
    } else {
        Err(CryptoError::InvalidLength)
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        if CIPHERSUITES.contains(&suite) {
            Ok(())
        } else {
            Err(CryptoError::UnsupportedCiphersuite)
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        CIPHERSUITES.to_vec()
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256(hash)?;
        let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), ikm);
        Ok(prk.as_slice().into())
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256(hash)?;
        let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key)
            .map_err(|_| CryptoError::InvalidLength)?;
        mac.update(message);
        Ok(mac.finalize().into_bytes().as_slice().into())
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        sha256(hash)?;
        let hkdf =
            Hkdf::<Sha256>::from_prk(prk).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        if okm_len > 255 * HashType::Sha2_256.size() {
            return Err(CryptoError::HkdfOutputLengthInvalid);
        }
        let mut okm = vec![0; okm_len];
        hkdf.expand(info, &mut okm).map_err(|_| CryptoError::HkdfOutputLengthInvalid)?;
        Ok(okm.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        sha256(hash)?;
        Ok(Sha256::digest(data).to_vec())
    }

    fn aead_encrypt(
        &self,
        algorithm: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let plaintext = Payload { msg: data, aad };
        match algorithm {
            AeadType::Aes128Gcm => seal::<Aes128Gcm>(key, nonce, plaintext),
            AeadType::ChaCha20Poly1305 => seal::<ChaCha20Poly1305>(key, nonce, plaintext),
            AeadType::Aes256Gcm => Err(CryptoError::UnsupportedAeadAlgorithm),
        }
    }

    fn aead_decrypt(
        &self,
        algorithm: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let ciphertext = Payload { msg: ct_tag, aad };
        match algorithm {
            AeadType::Aes128Gcm => open::<Aes128Gcm>(key, nonce, ciphertext),
            AeadType::ChaCha20Poly1305 => open::<ChaCha20Poly1305>(key, nonce, ciphertext),
            AeadType::Aes256Gcm => Err(CryptoError::UnsupportedAeadAlgorithm),
        }
    }

    /// Gives the private key, its 32 bytes of seed, and the public key.
    fn signature_key_gen(
        &self,
        scheme: SignatureScheme,
    ) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        ed25519(scheme)?;
        let seed: [u8; 32] =
            Rand.random_array().map_err(|_| CryptoError::InsufficientRandomness)?;
        let key = SigningKey::from_bytes(&Zeroizing::new(seed));
        Ok((key.to_bytes().to_vec(), key.verifying_key().to_bytes().to_vec()))
    }

    /// Refuses what RFC 8032 leaves open, as everything else here does that verifies a device's
    /// signatures: keys of low order, under which more than one message has the same signature.
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        ed25519(scheme)?;
        let key = VerifyingKey::try_from(pk).map_err(|_| CryptoError::InvalidPublicKey)?;
        let signature =
            Signature::try_from(signature).map_err(|_| CryptoError::InvalidSignature)?;
        key.verify_strict(data, &signature).map_err(|_| CryptoError::InvalidSignature)
    }

    /// `key` is the seed, or the seed and the public key after it.
    fn sign(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        ed25519(scheme)?;
        let key = if let Ok(pair) = <&[u8; 64]>::try_from(key) {
            SigningKey::from_keypair_bytes(pair)
        } else {
            SigningKey::try_from(key)
        };
        let key = key.map_err(|_| CryptoError::InvalidLength)?;
        Ok(key.sign(data).to_bytes().to_vec())
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        hpke::seal(&config, pk_r, info, aad, plaintext)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        hpke::open(&config, input, sk_r, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        hpke::send_and_export(&config, pk_r, info, exporter_context, exporter_length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        hpke::receive_and_export(&config, enc, sk_r, info, exporter_context, exporter_length)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        hpke::derive_keypair(&config, ikm)
    }
}
