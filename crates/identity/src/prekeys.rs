//! The digest by which a device finds out whether the server still has the prekeys
//! that it published.

use sha2::{Digest as _, Sha256};

/// The public prekeys of one device, by their ids.
///
/// Ids are 1 to 16777215. Public keys are in libsignal's form, EC keys of 33 bytes and
/// Kyber-1024 keys of 1,569.
#[derive(Clone, Default)]
pub struct Prekeys<'a> {
    /// The signed EC prekey.
    pub signed_ec: Option<(u32, &'a [u8])>,
    /// The last-resort Kyber prekey.
    pub last_resort_kyber: Option<(u32, &'a [u8])>,
    /// The one-time EC prekeys, in any order.
    pub one_time_ec: Vec<(u32, &'a [u8])>,
    /// The one-time Kyber prekeys, in any order.
    pub one_time_kyber: Vec<(u32, &'a [u8])>,
}

impl Prekeys<'_> {
    /// SHA-256 over `sotto/prekeys/v1` and the four kinds in the order of the fields.
    /// Of each kind: how many keys there are, in four bytes; then of each key, by
    /// rising ids, the id in four bytes and the public key. Numbers have their high
    /// byte first.
    ///
    /// Signatures are left out: they say nothing of which keys there are, and a key
    /// that is signed again is still the same key.
    pub fn digest(&self) -> [u8; 32] {
        let kinds: [Vec<(u32, &[u8])>; 4] = [
            self.signed_ec.iter().copied().collect(),
            self.last_resort_kyber.iter().copied().collect(),
            self.one_time_ec.clone(),
            self.one_time_kyber.clone(),
        ];
        let mut hash = Sha256::new_with_prefix(b"sotto/prekeys/v1");
        for mut keys in kinds {
            keys.sort_unstable();
            let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            hash.update(count.to_be_bytes());
            for (key_id, public_key) in keys {
                hash.update(key_id.to_be_bytes());
                hash.update(public_key);
            }
        }
        hash.finalize().into()
    }
}

impl std::fmt::Debug for Prekeys<'_> {
    /// How many, without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prekeys")
            .field("one_time_ec", &self.one_time_ec.len())
            .field("one_time_kyber", &self.one_time_kyber.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_over_the_documented_bytes() {
        let (signed, last, first, second, kyber) =
            ([1; 33], [2; 1569], [3; 33], [4; 33], [5; 1569]);
        let prekeys = Prekeys {
            signed_ec: Some((7, &signed)),
            last_resort_kyber: Some((8, &last)),
            one_time_ec: vec![(258, &second), (9, &first)],
            one_time_kyber: vec![(10, &kyber)],
        };

        let bytes = [
            b"sotto/prekeys/v1".as_slice(),
            &[0, 0, 0, 1, 0, 0, 0, 7],
            &signed,
            &[0, 0, 0, 1, 0, 0, 0, 8],
            &last,
            &[0, 0, 0, 2, 0, 0, 0, 9],
            &first,
            &[0, 0, 1, 2],
            &second,
            &[0, 0, 0, 1, 0, 0, 0, 10],
            &kyber,
        ]
        .concat();
        let expected: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(prekeys.digest(), expected);
    }

    #[test]
    fn a_key_that_is_missing_swapped_or_of_another_kind_changes_it() {
        let (one, other): (&[u8], &[u8]) = (&[1; 33], &[2; 33]);
        let with = |ec: &[(u32, &[u8])], kyber: &[(u32, &[u8])]| {
            Prekeys {
                one_time_ec: ec.to_vec(),
                one_time_kyber: kyber.to_vec(),
                ..Prekeys::default()
            }
            .digest()
        };

        let digests = [
            with(&[], &[]),
            with(&[(1, one)], &[]),
            with(&[(1, other)], &[]),
            with(&[(2, one)], &[]),
            with(&[], &[(1, one)]),
            with(&[(1, one), (2, other)], &[]),
            with(&[(1, other), (2, one)], &[]),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
    }
}
