//! The number that two people compare to know that nobody stands between them.

use sha2::{Digest as _, Sha512};
use sotto_ids::AccountId;

/// Comes first in the hash. libsignal's own fingerprints have 0 there.
const VERSION: [u8; 2] = [0x00, 0x02];

/// How often the hash is repeated, as in libsignal: dear to whoever looks for a key
/// with a number that resembles another one.
const ROUNDS: u32 = 5200;

/// The 60 digits that both sides see: 30 of each account, the smaller first.
///
/// They follow from account id and account key, so they change when an account key
/// is rotated and stay when a device is added.
pub fn safety_number(ours: (AccountId, &[u8; 32]), theirs: (AccountId, &[u8; 32])) -> String {
    let mut halves = [half(ours), half(theirs)];
    halves.sort();
    halves.concat()
}

/// The same of one account for a machine to compare: the first 32 bytes of the hash that
/// its 30 digits come from, as in libsignal's scannable fingerprints.
pub fn fingerprint(account: AccountId, key: &[u8; 32]) -> [u8; 32] {
    let hash = iterated(account, key);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(hash.split_at(32).0);
    fingerprint
}

/// 30 digits: six groups of five, each from five bytes of the hash.
fn half((account, key): (AccountId, &[u8; 32])) -> String {
    iterated(account, key).chunks_exact(5).take(6).fold(
        String::with_capacity(30),
        |digits, group| {
            let number = group.iter().fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
            digits + &format!("{:05}", number % 100_000)
        },
    )
}

fn iterated(account: AccountId, key: &[u8; 32]) -> [u8; 64] {
    let first = Sha512::new()
        .chain_update(VERSION)
        .chain_update(key)
        .chain_update(account.as_bytes())
        .chain_update(key);
    let hash = (1..ROUNDS).fold(first.finalize(), |hash, _| {
        Sha512::new().chain_update(hash).chain_update(key).finalize()
    });
    hash.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_60_digits() {
        let alice = (AccountId::new([1; 32]), &[2; 32]);
        let bob = (AccountId::new([3; 32]), &[4; 32]);

        let number = safety_number(alice, bob);

        assert_eq!(number, safety_number(bob, alice));
        assert_eq!(number.len(), 60);
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()));
    }

    /// Anybody can compute the digits again from what is scanned.
    #[test]
    fn the_first_digits_follow_from_the_fingerprint() {
        let (account, key) = (AccountId::new([1; 32]), [2; 32]);

        let fingerprint = fingerprint(account, &key);

        let group = fingerprint[..5].iter().fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
        assert!(half((account, &key)).starts_with(&format!("{:05}", group % 100_000)));
    }

    #[test]
    fn another_key_or_another_account_is_another_number() {
        let bob = (AccountId::new([3; 32]), &[4; 32]);
        let number = safety_number((AccountId::new([1; 32]), &[2; 32]), bob);

        assert_ne!(number, safety_number((AccountId::new([1; 32]), &[5; 32]), bob));
        assert_ne!(number, safety_number((AccountId::new([6; 32]), &[2; 32]), bob));
    }
}
