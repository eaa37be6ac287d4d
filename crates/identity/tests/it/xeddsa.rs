//! An XEdDSA signer without randomness, for signatures that come out the same each
//! time.

use curve25519_dalek::{
    edwards::EdwardsPoint, montgomery::MontgomeryPoint, scalar::Scalar, scalar::clamp_integer,
};
use sha2::{Digest as _, Sha512};
use sotto_identity::IdentityKey;

/// The identity key of a private key.
pub(crate) fn identity_key(secret: [u8; 32]) -> IdentityKey {
    let public = MontgomeryPoint::mul_base_clamped(secret).to_bytes();
    IdentityKey::try_from([[0x05].as_slice(), &public].concat().as_slice()).unwrap()
}

/// Signs as libsignal does, with the hash of key and message in place of the
/// random bytes.
pub(crate) fn sign(secret: [u8; 32], message: &[u8]) -> [u8; 64] {
    let a = Scalar::from_bytes_mod_order(clamp_integer(secret));
    let public = EdwardsPoint::mul_base(&a).compress().to_bytes();
    let scalar = |parts: [&[u8]; 3]| {
        let hash = parts.iter().fold(Sha512::new(), Sha512::chain_update);
        Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
    };

    let r = scalar([b"sotto test nonce", &secret, message]);
    let point = EdwardsPoint::mul_base(&r).compress().to_bytes();
    let s = scalar([&point, &public, message]) * a + r;

    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice(s.as_bytes());
    signature[63] |= public[31] & 0x80;
    signature
}
