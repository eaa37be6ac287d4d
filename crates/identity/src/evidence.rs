use std::fmt;

use prost::Message as _;
use sotto_ids::{AccountId, limits::MAX_CHAIN_OPS};

use crate::{ChainError, SignedOp, link_hash, replay};

/// The first bytes of an evidence file.
const MAGIC: &[u8] = b"sotto/fork/v1\n";

/// That an account signed two different ops in one place of its chain.
///
/// It stands by itself: with the ops before, both can be verified by anybody, with
/// no server and no word of whoever brings it.
#[derive(Clone, PartialEq)]
pub struct Evidence {
    /// The ops that both branches have, from genesis on.
    pub shared: Vec<SignedOp>,
    /// The next op as it was seen first.
    pub ours: SignedOp,
    /// The next op as it was shown later.
    pub theirs: SignedOp,
}

/// Why an evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The bytes are no evidence file.
    #[error("the file holds no evidence of a fork")]
    Malformed,
    /// Both ops are the same one.
    #[error("both ops are the same")]
    SameOp,
    /// An op in it is not valid.
    #[error("an op in the evidence is not valid")]
    Chain(#[from] ChainError),
}

impl Evidence {
    /// The first place where two chains part, if they do and both are valid up to
    /// and with that op.
    pub(crate) fn find(held: &[SignedOp], served: &[SignedOp]) -> Option<Self> {
        let differ = |(ours, theirs): (&SignedOp, &SignedOp)| ours.payload != theirs.payload;
        let at = held.iter().zip(served).position(differ)?;
        let evidence = Self {
            shared: held.get(..at)?.to_vec(),
            ours: held.get(at)?.clone(),
            theirs: served.get(at)?.clone(),
        };
        evidence.verify().is_ok().then_some(evidence)
    }

    /// Checks all of it, and gives the account that signed both ops.
    pub fn verify(&self) -> Result<AccountId, EvidenceError> {
        let state = replay(&self.shared)?;
        if link_hash(&self.ours.payload) == link_hash(&self.theirs.payload) {
            return Err(EvidenceError::SameOp);
        }
        state.apply(&self.ours)?;
        state.apply(&self.theirs)?;
        Ok(state.account_id)
    }

    /// As a file: the line `sotto/fork/v1`, then `ours`, `theirs` and `shared` as
    /// length-delimited `SignedOp` messages.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for signed in [&self.ours, &self.theirs].into_iter().chain(&self.shared) {
            bytes.extend(signed.encode_length_delimited_to_vec());
        }
        bytes
    }

    /// Reads a file. What it holds is not verified by that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(EvidenceError::Malformed)?;
        let mut ops = Vec::new();
        while !rest.is_empty() {
            if ops.len() as u64 > MAX_CHAIN_OPS {
                return Err(EvidenceError::Malformed);
            }
            let signed = SignedOp::decode_length_delimited(&mut rest);
            ops.push(signed.map_err(|_| EvidenceError::Malformed)?);
        }
        let mut ops = ops.into_iter();
        let (Some(ours), Some(theirs)) = (ops.next(), ops.next()) else {
            return Err(EvidenceError::Malformed);
        };
        Ok(Self { shared: ops.collect(), ours, theirs })
    }
}

impl Eq for Evidence {}

impl fmt::Debug for Evidence {
    /// How far both branches go together, not whose they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence(at seq {})", self.shared.len())
    }
}
