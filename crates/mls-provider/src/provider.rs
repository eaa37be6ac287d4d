use openmls_traits::{
    OpenMlsProvider,
    storage::{CURRENT_VERSION, StorageProvider},
};

use crate::{Crypto, Rand};

/// What the functions of OpenMLS take: cryptography, randomness and a storage.
#[derive(Debug, Clone, Default)]
pub struct Provider<S> {
    crypto: Crypto,
    rand: Rand,
    storage: S,
}

impl<S> Provider<S> {
    /// A provider that stores in `storage`.
    pub const fn new(storage: S) -> Self {
        Self { crypto: Crypto, rand: Rand, storage }
    }

    /// Gives the storage back.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

impl<S: StorageProvider<CURRENT_VERSION>> OpenMlsProvider for Provider<S> {
    type CryptoProvider = Crypto;
    type RandProvider = Rand;
    type StorageProvider = S;

    fn storage(&self) -> &S {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Rand {
        &self.rand
    }
}
