//! The test vectors of RFC 9420 for what a provider does, and the labels of RFC 9420 around it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use data_encoding::HEXLOWER;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{Ciphersuite, CryptoError, HashType, HpkeCiphertext, SignatureScheme},
};
use serde_json::Value;
use sotto_mls_provider::{CIPHERSUITES, Crypto};
use tls_codec::{Serialize as _, TlsSerialize, TlsSize, VLBytes};

/// `KDFLabel` (RFC 9420, 8).
#[derive(TlsSerialize, TlsSize)]
struct KdfLabel {
    length: u16,
    label: VLBytes,
    context: VLBytes,
}

/// `SignContent`, `EncryptContext` and `RefHashInput` (RFC 9420, 5.1.2, 5.1.3 and 5.2).
#[derive(TlsSerialize, TlsSize)]
struct Labelled {
    label: VLBytes,
    content: VLBytes,
}

fn labelled(label: &Value, content: &[u8]) -> Vec<u8> {
    let label = format!("MLS 1.0 {}", label.as_str().unwrap()).into_bytes().into();
    Labelled { label, content: content.into() }.tls_serialize_detached().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Keys stand in the vectors with their length before them.
fn key(value: &Value) -> Vec<u8> {
    let bytes = bytes(value);
    let (&length, key) = bytes.split_first().unwrap();
    assert_eq!(usize::from(length), key.len());
    key.to_vec()
}

fn expand(case: &Value, context: &[u8], length: u16) -> Vec<u8> {
    let label = format!("MLS 1.0 {}", case["label"].as_str().unwrap());
    let info = KdfLabel { length, label: label.into_bytes().into(), context: context.into() };
    let info = info.tls_serialize_detached().unwrap();
    let secret = bytes(&case["secret"]);
    Crypto
        .hkdf_expand(HashType::Sha2_256, &secret, &info, length.into())
        .unwrap()
        .as_slice()
        .to_vec()
}

fn cases() -> Vec<(Ciphersuite, Value)> {
    let file: Value = serde_json::from_str(include_str!("vectors/crypto-basics.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let suite = |case: &Value| {
        let number = u16::try_from(case["cipher_suite"].as_u64().unwrap()).unwrap();
        Ciphersuite::try_from(number).unwrap()
    };
    cases.iter().map(|case| (suite(case), case.clone())).collect()
}

#[test]
fn there_are_vectors_for_each_suite() {
    assert_eq!(cases().iter().map(|(suite, _)| *suite).collect::<Vec<_>>(), CIPHERSUITES);
}

#[test]
fn secrets_are_derived_as_the_vectors_have_it() {
    for (_, case) in cases() {
        let derive = &case["derive_secret"];
        assert_eq!(expand(derive, b"", 32), bytes(&derive["out"]));

        let tree = &case["derive_tree_secret"];
        let generation = u32::try_from(tree["generation"].as_u64().unwrap()).unwrap();
        let length = u16::try_from(tree["length"].as_u64().unwrap()).unwrap();
        assert_eq!(expand(tree, &generation.to_be_bytes(), length), bytes(&tree["out"]));

        let with_label = &case["expand_with_label"];
        let length = u16::try_from(with_label["length"].as_u64().unwrap()).unwrap();
        let context = bytes(&with_label["context"]);
        assert_eq!(expand(with_label, &context, length), bytes(&with_label["out"]));
    }
}

#[test]
fn references_are_hashed_as_the_vectors_have_it() {
    for (suite, case) in cases() {
        let case = &case["ref_hash"];
        let input = Labelled {
            label: case["label"].as_str().unwrap().as_bytes().into(),
            content: bytes(&case["value"]).into(),
        };
        let input = input.tls_serialize_detached().unwrap();

        assert_eq!(Crypto.hash(suite.hash_algorithm(), &input).unwrap(), bytes(&case["out"]));
    }
}

#[test]
fn signatures_are_made_and_verified_as_the_vectors_have_it() {
    for (suite, case) in cases() {
        let case = &case["sign_with_label"];
        let scheme = suite.signature_algorithm();
        let content = labelled(&case["label"], &bytes(&case["content"]));
        let (private, public) = (key(&case["priv"]), key(&case["pub"]));
        let signature = bytes(&case["signature"]);

        // Ed25519 is deterministic.
        assert_eq!(Crypto.sign(scheme, &content, &private).unwrap(), signature);
        Crypto.verify_signature(scheme, &content, &public, &signature).unwrap();
        assert_eq!(
            Crypto.verify_signature(scheme, b"other", &public, &signature),
            Err(CryptoError::InvalidSignature)
        );
        // The public key of all zeros, for which a signature of many messages is easily made.
        let forged = [[0; 32], [0; 32]].concat();
        assert_eq!(
            Crypto.verify_signature(scheme, &content, &[0; 32], &forged),
            Err(CryptoError::InvalidSignature)
        );
    }
}

#[test]
fn what_is_encrypted_is_opened_as_the_vectors_have_it() {
    for (suite, case) in cases() {
        let case = &case["encrypt_with_label"];
        let info = labelled(&case["label"], &bytes(&case["context"]));
        let (private, public) = (key(&case["priv"]), key(&case["pub"]));
        let plaintext = bytes(&case["plaintext"]);
        let sealed = HpkeCiphertext {
            kem_output: bytes(&case["kem_output"]).into(),
            ciphertext: bytes(&case["ciphertext"]).into(),
        };
        let open = |sealed: &HpkeCiphertext, info: &[u8]| {
            Crypto.hpke_open(suite.hpke_config(), sealed, &private, info, b"")
        };

        assert_eq!(open(&sealed, &info).unwrap(), plaintext);
        assert_eq!(open(&sealed, b"other"), Err(CryptoError::HpkeDecryptionError));

        let ours = Crypto.hpke_seal(suite.hpke_config(), &public, &info, b"", &plaintext).unwrap();
        assert_eq!(open(&ours, &info).unwrap(), plaintext);
        assert_ne!(ours, sealed);
    }
}

#[test]
fn a_sender_and_a_receiver_export_the_same_secret() {
    for (suite, case) in cases() {
        let case = &case["encrypt_with_label"];
        let (private, public) = (key(&case["priv"]), key(&case["pub"]));
        let config = || suite.hpke_config();

        let (enc, sent) =
            Crypto.hpke_setup_sender_and_export(config(), &public, b"info", b"for", 32).unwrap();
        let received = Crypto
            .hpke_setup_receiver_and_export(config(), &enc, &private, b"info", b"for", 32)
            .unwrap();

        assert_eq!(*sent, *received);
        let zero = Crypto.hpke_setup_sender_and_export(config(), &[0; 32], b"info", b"for", 32);
        assert!(zero.is_err(), "a point of low order is no public key");
    }
}

#[test]
fn aeads_open_what_they_sealed_and_nothing_else() {
    for suite in CIPHERSUITES {
        let algorithm = suite.aead_algorithm();
        let key = vec![1; algorithm.key_size()];
        let nonce = [2; 12];
        let sealed = Crypto.aead_encrypt(algorithm, &key, b"text", &nonce, b"aad").unwrap();

        let open = |sealed: &[u8], nonce: &[u8], aad: &[u8]| {
            Crypto.aead_decrypt(algorithm, &key, sealed, nonce, aad)
        };
        assert_eq!(open(&sealed, &nonce, b"aad").unwrap(), b"text");
        assert_eq!(open(&sealed, &nonce, b"other"), Err(CryptoError::AeadDecryptionError));
        assert_eq!(open(&sealed[1..], &nonce, b"aad"), Err(CryptoError::AeadDecryptionError));
        assert_eq!(open(&sealed, &nonce[1..], b"aad"), Err(CryptoError::InvalidLength));
        let short = Crypto.aead_encrypt(algorithm, &key[1..], b"text", &nonce, b"aad");
        assert_eq!(short, Err(CryptoError::InvalidLength));
    }
}

#[test]
fn what_belongs_to_another_suite_is_refused() {
    for number in (0..=7).filter(|number| ![1, 3].contains(number)) {
        let Ok(suite) = Ciphersuite::try_from(number) else { continue };
        assert_eq!(Crypto.supports(suite), Err(CryptoError::UnsupportedCiphersuite), "{suite:?}");
        let derived = Crypto.derive_hpke_keypair(suite.hpke_config(), &[7; 32]);
        let sealed = Crypto.hpke_seal(suite.hpke_config(), &[9; 32], b"", b"", b"");
        assert!(derived.is_err() && sealed.is_err(), "{suite:?}");
    }
    let scheme = SignatureScheme::ECDSA_SECP256R1_SHA256;
    assert_eq!(Crypto.sign(scheme, b"", &[7; 32]), Err(CryptoError::UnsupportedSignatureScheme));
    assert_eq!(Crypto.hash(HashType::Sha2_512, b""), Err(CryptoError::UnsupportedHashAlgorithm));
}
