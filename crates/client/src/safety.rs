use std::fmt;

use libsignal_protocol::{Fingerprint, IdentityKey, PublicKey};
use sotto_ids::AccountId;

use crate::ClientError;

/// Rounds of SHA-512, as libsignal's clients have it.
const ITERATIONS: u32 = 5_200;
const SCANNABLE_VERSION: u32 = 2;

/// The number that two people compare to know that nobody is between them.
///
/// It follows from both account ids and both account keys, so it is the same on
/// either side, stays when a device is added, and changes when an account key
/// does.
#[derive(Clone, PartialEq, Eq)]
pub struct SafetyNumber {
    digits: String,
}

impl SafetyNumber {
    /// libsignal's number, over account ids and account keys instead of phone
    /// numbers and identity keys.
    pub(crate) fn between(
        own: (&AccountId, &[u8; 32]),
        peer: (&AccountId, &[u8; 32]),
    ) -> Result<Self, ClientError> {
        let key = |bytes: &[u8; 32]| {
            PublicKey::from_djb_public_key_bytes(bytes)
                .map(IdentityKey::new)
                .map_err(|_| ClientError::Crypto("safety_number"))
        };
        let fingerprint = Fingerprint::new(
            SCANNABLE_VERSION,
            ITERATIONS,
            own.0.as_bytes(),
            &key(own.1)?,
            peer.0.as_bytes(),
            &key(peer.1)?,
        )
        .map_err(|_| ClientError::Crypto("safety_number"))?;
        let digits = fingerprint
            .display_string()
            .map_err(|_| ClientError::Crypto("safety_number"))?;
        Ok(Self { digits })
    }

    /// The 60 digits.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five, as people read them to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, digit) in self.digits.chars().enumerate() {
            if index > 0 && index % 5 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyNumber(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(own: (u8, u8), peer: (u8, u8)) -> SafetyNumber {
        SafetyNumber::between(
            (&AccountId::new([own.0; 32]), &[own.1; 32]),
            (&AccountId::new([peer.0; 32]), &[peer.1; 32]),
        )
        .unwrap()
    }

    #[test]
    fn both_sides_read_the_same_sixty_digits() {
        let (alice, bob) = ((1, 11), (2, 22));

        let number_of_alice = number(alice, bob);

        assert_eq!(number_of_alice, number(bob, alice));
        assert_eq!(number_of_alice.digits().len(), 60);
        assert_eq!(number_of_alice.to_string().split(' ').count(), 12);
    }

    #[test]
    fn another_account_key_or_account_is_another_number() {
        let first = number((1, 11), (2, 22));

        assert_ne!(first, number((1, 11), (2, 23)));
        assert_ne!(first, number((1, 11), (3, 22)));
    }

    /// `fingerprint_test_v2` of libsignal, whose keys and ids go through the same
    /// function here: only their length differs.
    #[test]
    fn the_digits_are_those_of_libsignals_vectors() {
        let key = |text: &str| {
            let bytes: Vec<u8> = (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect();
            IdentityKey::decode(&bytes).unwrap()
        };
        let alice = key("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868");
        let bob = key("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b");

        let fingerprint = Fingerprint::new(
            SCANNABLE_VERSION,
            ITERATIONS,
            b"+14152222222",
            &alice,
            b"+14153333333",
            &bob,
        )
        .unwrap();

        assert_eq!(
            fingerprint.display_string().unwrap(),
            "300354477692869396892869876765458257569162576843440918079131"
        );
    }
}
