use std::{cmp::Ordering, collections::BTreeSet, fmt};

use sotto_ids::limits::{MAX_OP_SIGNATURES, MAX_RECOVERY_KEYS};
use sotto_proto::identity as pb;

use crate::{ChainError, KeyKind, keys, signatures::Signatures};

/// The largest threshold: beside these signatures an op has room for the account
/// key's, without which there is no genesis and no recovery.
const MAX_THRESHOLD: usize = MAX_OP_SIGNATURES - 1;

/// The offline keys that stand above the account key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many of the keys have to sign: 1 to their number, at most 15.
    pub threshold: u32,
    /// Ed25519 public keys, 1 to 16, no two the same.
    pub keys: Vec<[u8; 32]>,
    /// Seconds that a recovery is announced before it takes place, 0 for none.
    pub delay_s: u64,
}

impl Recovery {
    pub(crate) fn check(set: Option<&pb::Recovery>) -> Result<Self, ChainError> {
        let set = set.ok_or(ChainError::MalformedRecovery)?;
        if set.keys.len() > MAX_RECOVERY_KEYS {
            return Err(ChainError::MalformedRecovery);
        }
        let keys = set
            .keys
            .iter()
            .map(|key| keys::check_ed25519(key).map_err(|fault| KeyKind::Recovery.refused(fault)))
            .collect::<Result<Vec<_>, _>>()?;
        let threshold = usize::try_from(set.threshold).unwrap_or(usize::MAX);
        if !(1..=keys.len().min(MAX_THRESHOLD)).contains(&threshold) {
            return Err(ChainError::MalformedRecovery);
        }
        if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
            return Err(ChainError::KeyReused(KeyKind::Recovery));
        }
        Ok(Self { threshold: set.threshold, keys, delay_s: set.delay_s })
    }

    /// The keys of the set that signed, just as many as the threshold says. They are
    /// not verified by that.
    pub(crate) fn signers(&self, signatures: &Signatures<'_>) -> Result<Vec<[u8; 32]>, ChainError> {
        let mut signers = self.keys.clone();
        signers.retain(|key| signatures.has(key));
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        match signers.len().cmp(&threshold) {
            Ordering::Less => Err(ChainError::MissingSignature),
            Ordering::Equal => Ok(signers),
            Ordering::Greater => Err(ChainError::SuperfluousSignature),
        }
    }
}

impl fmt::Debug for Recovery {
    /// The shape of the set, without its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recovery({} of {})", self.threshold, self.keys.len())
    }
}
