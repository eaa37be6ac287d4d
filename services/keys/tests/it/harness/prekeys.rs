//! Public prekeys. Nobody has their private halves: the service never asks.

use curve25519_dalek::MontgomeryPoint;
use serde_json::{Value, json};

use super::{person::base64, random};

/// A public key of an EC prekey.
pub(crate) fn ec_key() -> Vec<u8> {
    let public = MontgomeryPoint::mul_base_clamped(random()).to_bytes();
    [[5].as_slice(), &public].concat()
}

/// The public key of a Kyber-1024 prekey: random coefficients, kept under the modulus.
pub(crate) fn kyber_key() -> Vec<u8> {
    let mut key = random::<1569>();
    key[0] = 8;
    for three in key[1..1537].chunks_exact_mut(3) {
        three[1] &= 0x77;
        three[2] &= 0x7F;
    }
    key.to_vec()
}

/// A one-time EC prekey as the API takes it.
pub(crate) fn bare(key_id: u32) -> Value {
    json!({ "key_id": key_id, "public_key": base64(&ec_key()) })
}
