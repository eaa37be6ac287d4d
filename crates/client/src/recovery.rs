use std::{fmt, str::FromStr};

use bip39::{Language, Mnemonic};
use ed25519_dalek::SigningKey;
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::ClientError;

/// Path of the recovery key below the seed: `m/100'/0'`. `m/0'` and what is under
/// it are left to wallets that use the same words.
const RECOVERY_PATH: [u32; 2] = [100, 0];

/// The 24 words (BIP39, English) from which the recovery key is derived.
///
/// Whoever has them can take the account over, and without them a lost account
/// stays lost. The client never stores them: show them to the person once.
pub struct RecoveryPhrase(Zeroizing<String>);

impl RecoveryPhrase {
    /// Makes new words from 256 bits of randomness.
    #[expect(clippy::missing_panics_doc, reason = "32 bytes always make 24 words")]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(entropy.as_mut());
        let mnemonic = Mnemonic::from_entropy_in(Language::English, entropy.as_slice())
            .expect("32 bytes make 24 words");
        Self(Zeroizing::new(mnemonic.to_string()))
    }

    /// The words, one space between each and the next.
    pub fn words(&self) -> &str {
        &self.0
    }

    /// The recovery key: SLIP-0010 for Ed25519, hardened steps only, from the
    /// BIP39 seed with an empty passphrase.
    pub(crate) fn recovery_key(&self) -> SigningKey {
        let mnemonic = Mnemonic::parse_in(Language::English, self.0.as_str())
            .expect("the words were checked when this was made");
        let seed = Zeroizing::new(mnemonic.to_seed(""));
        derive(seed.as_slice())
    }
}

fn derive(seed: &[u8]) -> SigningKey {
    let secret = Zeroizing::new(slip10_ed25519::derive_ed25519_private_key(seed, &RECOVERY_PATH));
    SigningKey::from_bytes(&secret)
}

impl FromStr for RecoveryPhrase {
    type Err = ClientError;

    /// Takes words as a person types them: any spacing and case.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let typed = Zeroizing::new(text.to_lowercase());
        let mnemonic = Mnemonic::parse_in(Language::English, typed.as_str())
            .map_err(|_| ClientError::MalformedPhrase)?;
        if mnemonic.word_count() != 24 {
            return Err(ClientError::MalformedPhrase);
        }
        Ok(Self(Zeroizing::new(mnemonic.to_string())))
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        HEXLOWER.encode(bytes)
    }

    fn unhex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// Vector 3 of trezor/python-mnemonic: 24 words, passphrase "TREZOR".
    #[test]
    fn words_give_the_seed_of_the_bip39_vectors() {
        let entropy = unhex("f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f");
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &entropy).unwrap();

        assert!(mnemonic.to_string().starts_with("void come effort suffer camp survey"));
        assert_eq!(
            hex(&mnemonic.to_seed("TREZOR")),
            "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0\
             e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998"
        );
    }

    /// Test vector 1 for ed25519 of SLIP-0010, chain m/0'/1'/2'.
    #[test]
    fn a_hardened_path_gives_the_key_of_the_slip_0010_vectors() {
        let seed = unhex("000102030405060708090a0b0c0d0e0f");

        let key = slip10_ed25519::derive_ed25519_private_key(&seed, &[0, 1, 2]);

        assert_eq!(hex(&key), "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9");
    }

    #[test]
    fn the_same_words_give_the_same_recovery_key() {
        let phrase = RecoveryPhrase::generate(&mut StdRng::seed_from_u64(1));

        let typed = format!("  {}", phrase.words().to_uppercase().replace(' ', "\n "));
        let again: RecoveryPhrase = typed.parse().unwrap();

        assert_eq!(phrase.words().split(' ').count(), 24);
        assert_eq!(phrase.recovery_key().to_bytes(), again.recovery_key().to_bytes());
    }

    #[test]
    fn other_words_are_refused() {
        let phrase = RecoveryPhrase::generate(&mut StdRng::seed_from_u64(1));
        let short = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon about";
        let swapped = phrase.words().split(' ').rev().collect::<Vec<_>>().join(" ");
        for wrong in ["", "hello", short, &swapped] {
            assert!(wrong.parse::<RecoveryPhrase>().is_err(), "{wrong}");
        }
    }
}
