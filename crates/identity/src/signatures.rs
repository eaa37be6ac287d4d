use std::collections::BTreeMap;

use sotto_ids::limits::MAX_OP_SIGNATURES;

use crate::{ChainError, SignedOp, keys, signing_message};

/// The signatures of one op by their keys, each key once; not verified yet.
pub(crate) struct Signatures<'a>(BTreeMap<[u8; 32], &'a [u8]>);

impl<'a> Signatures<'a> {
    pub(crate) fn of(signed: &'a SignedOp) -> Result<Self, ChainError> {
        if signed.sigs.len() > MAX_OP_SIGNATURES {
            return Err(ChainError::TooManySignatures);
        }
        let mut by_key = BTreeMap::new();
        for sig in &signed.sigs {
            let key = sig.key.as_slice().try_into().map_err(|_| ChainError::BadSignature)?;
            if by_key.insert(key, sig.sig.as_slice()).is_some() {
                return Err(ChainError::DuplicateSignature);
            }
        }
        Ok(Self(by_key))
    }

    pub(crate) fn has(&self, key: &[u8; 32]) -> bool {
        self.0.contains_key(key)
    }

    /// Demands signatures by just these keys, which differ from one another.
    ///
    /// One too many is refused as well: otherwise anybody could hang signatures of
    /// their own on an op, and one op would have any number of forms.
    pub(crate) fn verify(&self, payload: &[u8], needed: &[[u8; 32]]) -> Result<(), ChainError> {
        if !needed.iter().all(|key| self.has(key)) {
            return Err(ChainError::MissingSignature);
        }
        if self.0.len() > needed.len() {
            return Err(ChainError::SuperfluousSignature);
        }
        let message = signing_message(payload);
        let verifies = |(key, sig): (&[u8; 32], &&[u8])| keys::verify_ed25519(key, &message, sig);
        if self.0.iter().all(verifies) { Ok(()) } else { Err(ChainError::BadSignature) }
    }
}
