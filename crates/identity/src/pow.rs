//! Proof of work (hashcash): what a device does to be let in where opening an account
//! costs work.
//!
//! A nonce proves work on a challenge where SHA-256 over the label `sotto/pow/v1`, the
//! challenge and the nonce begins with enough zero bits. Finding one takes 2^bits
//! hashes on average, and checking it takes one.

use sha2::{Digest as _, Sha256};

/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 32;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 8;

/// The most work that anybody may ask for. A device refuses more: a server could keep
/// it busy for ever.
pub const MAX_BITS: u8 = 26;

const LABEL: &[u8] = b"sotto/pow/v1";

/// Whether the nonce proves work of `bits` on the challenge.
pub fn is_proof(challenge: &[u8], nonce: &[u8; NONCE_BYTES], bits: u8) -> bool {
    leading_zero_bits(challenge, *nonce) >= u32::from(bits)
}

/// A nonce that proves work of `bits` on the challenge. It keeps a processor busy:
/// not for the threads that must answer.
///
/// `None` where more than [`MAX_BITS`] are asked for.
pub fn solve(challenge: &[u8], bits: u8) -> Option<[u8; NONCE_BYTES]> {
    if bits > MAX_BITS {
        return None;
    }
    (0..=u64::MAX).map(u64::to_be_bytes).find(|nonce| is_proof(challenge, nonce, bits))
}

fn leading_zero_bits(challenge: &[u8], nonce: [u8; NONCE_BYTES]) -> u32 {
    let hash = Sha256::new().chain_update(LABEL).chain_update(challenge).chain_update(nonce);
    let hash = hash.finalize();
    let zero_bytes = hash.iter().take_while(|&&byte| byte == 0);
    // No more than 32 bytes, and 8 bits each.
    let whole = u32::try_from(zero_bytes.count()).unwrap_or_default();
    let rest = hash.iter().find(|&&byte| byte != 0).map_or(0, |byte| byte.leading_zeros());
    whole * 8 + rest
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_first_nonce_that_counts_is_found() {
        let nonce = solve(&[7; CHALLENGE_BYTES], 12).unwrap();

        assert!(is_proof(&[7; CHALLENGE_BYTES], &nonce, 12));
        let earlier = 0..u64::from_be_bytes(nonce);
        let earlier = earlier.map(u64::to_be_bytes);
        assert!(earlier.into_iter().all(|nonce| !is_proof(&[7; CHALLENGE_BYTES], &nonce, 12)));
    }

    #[test]
    fn bits_are_counted_from_the_first_of_the_hash_on() {
        let nonce = solve(&[7; CHALLENGE_BYTES], 12).unwrap();
        let hash = Sha256::digest([LABEL, &[7; CHALLENGE_BYTES], &nonce].concat());

        assert!(HEXLOWER.encode(&hash).starts_with("000"));
        let bits = leading_zero_bits(&[7; CHALLENGE_BYTES], nonce);
        assert!(is_proof(&[7; CHALLENGE_BYTES], &nonce, u8::try_from(bits).unwrap()));
        assert!(!is_proof(&[7; CHALLENGE_BYTES], &nonce, u8::try_from(bits + 1).unwrap()));
    }

    #[test]
    fn work_on_one_challenge_proves_nothing_on_another() {
        let nonce = solve(&[7; CHALLENGE_BYTES], 12).unwrap();
        let others = (0..64_u8).filter(|&other| other != 7);
        let taken = others.filter(|&other| is_proof(&[other; CHALLENGE_BYTES], &nonce, 12));
        assert_eq!(taken.count(), 0);
    }

    #[test]
    fn nobody_is_kept_busy_for_ever() {
        assert_eq!(solve(&[7; CHALLENGE_BYTES], MAX_BITS + 1), None);
        assert!(solve(&[7; CHALLENGE_BYTES], 0).is_some());
    }
}
