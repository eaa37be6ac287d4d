//! Public keys: which bytes are one, and what a signature by one is worth.

use std::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, VerifyingKey};

/// The byte that libsignal puts before an X25519 public key.
const DJB_TYPE: u8 = 0x05;

/// A device's identity key as libsignal writes it: 0x05 and 32 bytes of X25519.
///
/// A value of this type has a canonical encoding and is not of low order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityKey([u8; 33]);

/// Why bytes are not taken for a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Wrong length, wrong type byte, no point, or not in its canonical encoding.
    #[error("the key is malformed")]
    Malformed,
    /// A point of low order, the all-zero one among them: what is agreed or signed
    /// with it is no secret and proves nothing.
    #[error("the key is of low order")]
    LowOrder,
}

impl IdentityKey {
    /// The 33 bytes.
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The X25519 public key in it.
    pub fn x25519(&self) -> [u8; 32] {
        let [_, key @ ..] = self.0;
        key
    }
}

impl TryFrom<&[u8]> for IdentityKey {
    type Error = KeyFault;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyFault> {
        check_ec(bytes).map(Self)
    }
}

impl fmt::Debug for IdentityKey {
    /// Says nothing: a key has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(..)")
    }
}

/// Takes an X25519 public key as libsignal writes it, of an identity or a prekey:
/// 33 bytes, 0x05 first, canonical, not of low order.
pub fn check_ec(bytes: &[u8]) -> Result<[u8; 33], KeyFault> {
    let serialised: [u8; 33] = bytes.try_into().map_err(|_| KeyFault::Malformed)?;
    let [kind, key @ ..] = serialised;
    if kind != DJB_TYPE {
        return Err(KeyFault::Malformed);
    }
    if is_low_order(&key) {
        return Err(KeyFault::LowOrder);
    }
    if is_canonical_x25519(&key) { Ok(serialised) } else { Err(KeyFault::Malformed) }
}

/// Takes an Ed25519 public key: 32 bytes, canonical (RFC 8032 section 5.1.3), not
/// of low order.
pub fn check_ed25519(bytes: &[u8]) -> Result<[u8; 32], KeyFault> {
    let encoded: [u8; 32] = bytes.try_into().map_err(|_| KeyFault::Malformed)?;
    let key = VerifyingKey::from_bytes(&encoded).map_err(|_| KeyFault::Malformed)?;
    if key.is_weak() {
        return Err(KeyFault::LowOrder);
    }
    // Decompression takes y modulo p, so that a few points have a second encoding.
    if key.to_edwards().compress().to_bytes() == encoded {
        Ok(encoded)
    } else {
        Err(KeyFault::Malformed)
    }
}

/// Whether an X25519 public key is a point of low order, on the curve or its twist
/// and in any encoding: an agreement with one is all zero, whoever makes it.
pub fn is_low_order(key: &[u8; 32]) -> bool {
    // The orders in question divide 8 (4 on the twist), so 8 times the point is
    // the identity, whose u coordinate is given as 0.
    let eight = [true, false, false, false];
    MontgomeryPoint(*key).mul_bits_be(eight.into_iter()) == MontgomeryPoint([0; 32])
}

/// Whether the u coordinate is below p = 2^255 - 19 and the spare bit is clear.
fn is_canonical_x25519(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    let from_p_up = *first >= 0xED && middle.iter().all(|&byte| byte == 0xFF) && *last == 0x7F;
    *last < 0x80 && !from_p_up
}

/// Whether `signature` is one by this Ed25519 key over this message.
///
/// Strict: keys and signatures in any way degenerate are refused, so that a
/// signature has one form.
pub fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = Signature::from_slice(signature) else {
        return false;
    };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// Whether `signature` is an XEdDSA signature by this identity key over this message.
///
/// What libsignal makes, this takes. XEdDSA as published fixes the sign of the
/// Edwards point to 0; libsignal leaves it as it comes and hands it over in the
/// top bit of the signature, which is otherwise clear. Stricter than libsignal
/// where a signature is degenerate: one that is not reduced is refused.
pub fn verify_xeddsa(key: &IdentityKey, message: &[u8], signature: &[u8]) -> bool {
    let Ok(mut bytes) = <[u8; 64]>::try_from(signature) else {
        return false;
    };
    let [.., last] = &mut bytes;
    let sign = *last >> 7;
    *last &= 0x7F;
    let Some(point) = MontgomeryPoint(key.x25519()).to_edwards(sign) else {
        return false;
    };
    VerifyingKey::from(point).verify_strict(message, &Signature::from_bytes(&bytes)).is_ok()
}

#[cfg(test)]
mod tests;
