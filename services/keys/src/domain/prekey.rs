//! Public prekeys: which are taken.

use sotto_identity::keys::{IdentityKey, KeyFault, check_ec, verify_xeddsa};
use sotto_ids::limits::MAX_PREKEY_ID;

/// The byte that libsignal puts before a Kyber-1024 public key.
const KYBER_1024_TYPE: u8 = 0x08;

/// Bytes of a Kyber-1024 public key with its type: 1 + 4 * 384 + 32.
const KYBER_1024_BYTES: usize = 1569;

/// Of those, bytes of the polynomials: 4 times 256 coefficients of 12 bits.
const KYBER_1024_COEFFICIENT_BYTES: usize = 1536;

/// The modulus of Kyber (FIPS 203 section 2.4).
const KYBER_Q: u16 = 3329;

/// What a shelf holds. Ids of two kinds have nothing to do with each other, except
/// that libsignal looks up Kyber keys of both kinds by the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    SignedEc,
    OneTimeEc,
    LastResortKyber,
    OneTimeKyber,
}

/// A one-time EC prekey. `public_key` is libsignal's form: 0x05 and 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BarePrekey {
    /// 1 to 2^24 - 1.
    pub(crate) key_id: i32,
    /// 33 bytes.
    pub(crate) public_key: Vec<u8>,
}

/// A prekey with a signature by the identity key of its device, EC or Kyber-1024.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SignedPrekey {
    /// 1 to 2^24 - 1.
    pub(crate) key_id: i32,
    /// 33 bytes (0x05 first) or 1569 bytes (0x08 first).
    pub(crate) public_key: Vec<u8>,
    /// 64 bytes of XEdDSA over `public_key`.
    pub(crate) signature: Vec<u8>,
}

/// What is wrong with one prekey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    Id,
    Malformed,
    LowOrder,
    Signature,
}

/// A prekey as a caller sends it, before anything is checked.
pub(crate) struct RawPrekey {
    pub(crate) key_id: u32,
    pub(crate) public_key: Vec<u8>,
    /// Empty where the kind has none.
    pub(crate) signature: Vec<u8>,
}

/// What uploads are sorted by.
pub(crate) trait Prekey: Clone + PartialEq {
    fn key_id(&self) -> i32;
}

impl Prekey for BarePrekey {
    fn key_id(&self) -> i32 {
        self.key_id
    }
}

impl Prekey for SignedPrekey {
    fn key_id(&self) -> i32 {
        self.key_id
    }
}

impl BarePrekey {
    pub(crate) fn check(raw: &RawPrekey) -> Result<Self, Flaw> {
        let key_id = check_id(raw.key_id)?;
        check_ec_key(&raw.public_key)?;
        Ok(Self { key_id, public_key: raw.public_key.clone() })
    }
}

impl SignedPrekey {
    pub(crate) fn check_ec(raw: &RawPrekey, identity: &IdentityKey) -> Result<Self, Flaw> {
        check_ec_key(&raw.public_key)?;
        Self::check_signature(raw, identity)
    }

    pub(crate) fn check_kyber(raw: &RawPrekey, identity: &IdentityKey) -> Result<Self, Flaw> {
        check_kyber_key(&raw.public_key)?;
        Self::check_signature(raw, identity)
    }

    fn check_signature(raw: &RawPrekey, identity: &IdentityKey) -> Result<Self, Flaw> {
        let key_id = check_id(raw.key_id)?;
        if !verify_xeddsa(identity, &raw.public_key, &raw.signature) {
            return Err(Flaw::Signature);
        }
        Ok(Self { key_id, public_key: raw.public_key.clone(), signature: raw.signature.clone() })
    }
}

/// 0 is kept free: it says "none yet" in the counts.
fn check_id(key_id: u32) -> Result<i32, Flaw> {
    if (1..=MAX_PREKEY_ID).contains(&key_id) {
        i32::try_from(key_id).map_err(|_| Flaw::Id)
    } else {
        Err(Flaw::Id)
    }
}

fn check_ec_key(public_key: &[u8]) -> Result<(), Flaw> {
    match check_ec(public_key) {
        Ok(_) => Ok(()),
        Err(KeyFault::Malformed) => Err(Flaw::Malformed),
        Err(KeyFault::LowOrder) => Err(Flaw::LowOrder),
    }
}

/// The checks of FIPS 203 section 7.2: the length, and every coefficient reduced.
/// All zeroes would pass them, and make every agreement the same.
fn check_kyber_key(public_key: &[u8]) -> Result<(), Flaw> {
    let [KYBER_1024_TYPE, key @ ..] = public_key else {
        return Err(Flaw::Malformed);
    };
    if public_key.len() != KYBER_1024_BYTES {
        return Err(Flaw::Malformed);
    }
    let polynomials = key.iter().take(KYBER_1024_COEFFICIENT_BYTES);
    if polynomials.clone().all(|&byte| byte == 0) {
        return Err(Flaw::LowOrder);
    }
    let bytes: Vec<u16> = polynomials.map(|&byte| byte.into()).collect();
    // Two coefficients stand in three bytes, low bits first.
    let is_reduced = bytes.chunks_exact(3).all(|three| match three {
        [a, b, c] => (a | ((b & 0x0F) << 8)) < KYBER_Q && ((b >> 4) | (c << 4)) < KYBER_Q,
        _ => false,
    });
    if is_reduced { Ok(()) } else { Err(Flaw::Malformed) }
}

macro_rules! debug_without_keys {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("key_id", &self.key_id)
                    .finish_non_exhaustive()
            }
        }
    };
}

debug_without_keys!(BarePrekey);
debug_without_keys!(SignedPrekey);
debug_without_keys!(RawPrekey);

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(key_id: u32, public_key: &[u8]) -> Result<BarePrekey, Flaw> {
        let public_key = public_key.to_vec();
        BarePrekey::check(&RawPrekey { key_id, public_key, signature: Vec::new() })
    }

    /// The base point of Curve25519.
    fn nine() -> [u8; 33] {
        let mut key = [0; 33];
        key[0] = 5;
        key[1] = 9;
        key
    }

    #[test]
    fn ids_have_24_bits_and_begin_at_1() {
        assert!(bare(1, &nine()).is_ok());
        assert!(bare(0x00FF_FFFF, &nine()).is_ok());
        assert_eq!(bare(0, &nine()), Err(Flaw::Id));
        assert_eq!(bare(0x0100_0000, &nine()), Err(Flaw::Id));
    }

    #[test]
    fn an_ec_key_of_low_order_is_refused() {
        let mut zero = [0; 33];
        zero[0] = 5;
        let mut one = zero;
        one[1] = 1;
        assert_eq!(bare(1, &zero), Err(Flaw::LowOrder));
        assert_eq!(bare(1, &one), Err(Flaw::LowOrder));
    }

    #[test]
    fn an_ec_key_of_another_form_is_refused() {
        let mut other_type = nine();
        other_type[0] = 6;
        assert_eq!(bare(1, &other_type), Err(Flaw::Malformed));
        assert_eq!(bare(1, &nine()[..32]), Err(Flaw::Malformed));
        assert_eq!(bare(1, &[]), Err(Flaw::Malformed));
    }

    #[test]
    fn a_kyber_key_is_1569_bytes_of_reduced_coefficients() {
        let mut key = vec![0; KYBER_1024_BYTES];
        key[0] = KYBER_1024_TYPE;
        assert_eq!(check_kyber_key(&key), Err(Flaw::LowOrder));

        // q - 1 = 0xD00 in the first place, and in the second.
        key[1..4].copy_from_slice(&[0x00, 0x0D, 0xD0]);
        assert_eq!(check_kyber_key(&key), Ok(()));
        key[1..4].copy_from_slice(&[0x01, 0x0D, 0x00]);
        assert_eq!(check_kyber_key(&key), Err(Flaw::Malformed));
        key[1..4].copy_from_slice(&[0x00, 0x10, 0xD0]);
        assert_eq!(check_kyber_key(&key), Err(Flaw::Malformed));

        key[1..4].copy_from_slice(&[1, 0, 0]);
        key[0] = 7;
        assert_eq!(check_kyber_key(&key), Err(Flaw::Malformed));
        key[0] = KYBER_1024_TYPE;
        assert_eq!(check_kyber_key(&key[..1568]), Err(Flaw::Malformed));
    }
}
