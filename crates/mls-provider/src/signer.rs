use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use openmls_traits::{signatures::SignerError, types::SignatureScheme};

/// Signs for a leaf, or for the external sender of a deployment, with an Ed25519 key. The key
/// is wiped from memory with it.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl Signer {
    /// Takes the 32 bytes of a private key (the seed of RFC 8032, 5.1.5).
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key, as it stands in leaves.
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl openmls_traits::signatures::Signer for Signer {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}
