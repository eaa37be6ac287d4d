use openmls_traits::random::OpenMlsRand;
use rand::{TryRngCore as _, rngs::OsRng};

/// Randomness of the operating system.
///
/// OpenMLS keeps its source of randomness for as long as a group lives and makes keys with it,
/// so this is the one place that takes none as an argument.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rand;

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no randomness from the operating system")]
pub struct NoRandomness(#[source] rand::rand_core::OsError);

impl OpenMlsRand for Rand {
    type Error = NoRandomness;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        OsRng.try_fill_bytes(&mut bytes).map_err(NoRandomness)?;
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, NoRandomness> {
        let mut bytes = vec![0; len];
        OsRng.try_fill_bytes(&mut bytes).map_err(NoRandomness)?;
        Ok(bytes)
    }
}
