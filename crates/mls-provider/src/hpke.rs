//! HPKE (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and one of two AEADs, in base
//! mode.

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::{Aead, AesGcm128, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use openmls_traits::types::{
    CryptoError, ExporterSecret, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType,
    HpkeKemType, HpkeKeyPair, KemOutput,
};
use rand::{TryRngCore as _, rngs::OsRng};

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// Calls a generic function with the AEAD of a configuration.
macro_rules! with_aead {
    ($config:expr, $function:ident($($argument:expr),*)) => {
        match aead_of($config)? {
            HpkeAeadType::AesGcm128 => $function::<AesGcm128>($($argument),*),
            HpkeAeadType::ChaCha20Poly1305 => $function::<ChaCha20Poly1305>($($argument),*),
            HpkeAeadType::AesGcm256 | HpkeAeadType::Export => {
                Err(CryptoError::UnsupportedCiphersuite)
            }
        }
    };
}

fn aead_of(&HpkeConfig(kem, kdf, aead): &HpkeConfig) -> Result<HpkeAeadType, CryptoError> {
    match (kem, kdf) {
        (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256) => Ok(aead),
        _ => Err(CryptoError::UnsupportedCiphersuite),
    }
}

pub(crate) fn seal(
    config: &HpkeConfig,
    pk_r: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<HpkeCiphertext, CryptoError> {
    with_aead!(config, seal_with(pk_r, info, aad, plaintext))
}

fn seal_with<A: Aead>(
    pk_r: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<HpkeCiphertext, CryptoError> {
    let pk_r = PublicKey::from_bytes(pk_r).map_err(|_| CryptoError::InvalidPublicKey)?;
    let (enc, ciphertext) = hpke::single_shot_seal::<A, HkdfSha256, Kem, _>(
        &OpModeS::Base,
        &pk_r,
        info,
        plaintext,
        aad,
        &mut OsRng.unwrap_err(),
    )
    .map_err(|_| CryptoError::HpkeEncryptionError)?;
    Ok(HpkeCiphertext { kem_output: enc.to_bytes().to_vec().into(), ciphertext: ciphertext.into() })
}

pub(crate) fn open(
    config: &HpkeConfig,
    input: &HpkeCiphertext,
    sk_r: &[u8],
    info: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    with_aead!(config, open_with(input, sk_r, info, aad))
}

fn open_with<A: Aead>(
    input: &HpkeCiphertext,
    sk_r: &[u8],
    info: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let failed = |_| CryptoError::HpkeDecryptionError;
    let sk_r = PrivateKey::from_bytes(sk_r).map_err(failed)?;
    let enc = EncappedKey::from_bytes(input.kem_output.as_slice()).map_err(failed)?;
    hpke::single_shot_open::<A, HkdfSha256, Kem>(
        &OpModeR::Base,
        &sk_r,
        &enc,
        info,
        input.ciphertext.as_slice(),
        aad,
    )
    .map_err(failed)
}

pub(crate) fn send_and_export(
    config: &HpkeConfig,
    pk_r: &[u8],
    info: &[u8],
    exporter_context: &[u8],
    length: usize,
) -> Result<(KemOutput, ExporterSecret), CryptoError> {
    with_aead!(config, send_and_export_with(pk_r, info, exporter_context, length))
}

fn send_and_export_with<A: Aead>(
    pk_r: &[u8],
    info: &[u8],
    exporter_context: &[u8],
    length: usize,
) -> Result<(KemOutput, ExporterSecret), CryptoError> {
    let pk_r = PublicKey::from_bytes(pk_r).map_err(|_| CryptoError::InvalidPublicKey)?;
    let (enc, context) = hpke::setup_sender::<A, HkdfSha256, Kem, _>(
        &OpModeS::Base,
        &pk_r,
        info,
        &mut OsRng.unwrap_err(),
    )
    .map_err(|_| CryptoError::SenderSetupError)?;
    let mut secret = vec![0; length];
    context.export(exporter_context, &mut secret).map_err(|_| CryptoError::ExporterError)?;
    Ok((enc.to_bytes().to_vec(), secret.into()))
}

pub(crate) fn receive_and_export(
    config: &HpkeConfig,
    enc: &[u8],
    sk_r: &[u8],
    info: &[u8],
    exporter_context: &[u8],
    length: usize,
) -> Result<ExporterSecret, CryptoError> {
    with_aead!(config, receive_and_export_with(enc, sk_r, info, exporter_context, length))
}

fn receive_and_export_with<A: Aead>(
    enc: &[u8],
    sk_r: &[u8],
    info: &[u8],
    exporter_context: &[u8],
    length: usize,
) -> Result<ExporterSecret, CryptoError> {
    let failed = |_| CryptoError::ReceiverSetupError;
    let sk_r = PrivateKey::from_bytes(sk_r).map_err(failed)?;
    let enc = EncappedKey::from_bytes(enc).map_err(failed)?;
    let context = hpke::setup_receiver::<A, HkdfSha256, Kem>(&OpModeR::Base, &sk_r, &enc, info)
        .map_err(failed)?;
    let mut secret = vec![0; length];
    context.export(exporter_context, &mut secret).map_err(|_| CryptoError::ExporterError)?;
    Ok(secret.into())
}

/// `DeriveKeyPair` of RFC 9180, 7.1.3.
pub(crate) fn derive_keypair(config: &HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
    aead_of(config)?;
    let (private, public) = Kem::derive_keypair(ikm);
    Ok(HpkeKeyPair {
        private: private.to_bytes().to_vec().into(),
        public: public.to_bytes().to_vec(),
    })
}
