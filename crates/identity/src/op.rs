//! The bytes of an op: what is signed, what is hashed, and which bytes are taken.

use std::fmt;

use prost::{
    Message as _,
    encoding::{
        DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
    },
};
use sha2::{Digest as _, Sha256};
use sotto_ids::{AccountId, limits::MAX_OP_BYTES};

use crate::{Body, ChainError, Op};

/// The version of ops that this code writes and reads.
pub const OP_VERSION: u32 = 1;

/// From this field number on a body that is not known is passed over.
const FIRST_PASSED_OVER: u32 = 1000;

/// The hash of one op's payload, which the next op names: SHA-256 over
/// `sotto/link/v1` and the payload.
///
/// Signatures are outside of it, so that signing again makes no other link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkHash(pub [u8; 32]);

impl LinkHash {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<LinkHash> for AccountId {
    /// The link hash of a genesis is the id of its account.
    fn from(hash: LinkHash) -> Self {
        Self::new(hash.0)
    }
}

impl fmt::Debug for LinkHash {
    /// Says nothing: that of a genesis is an account id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkHash(..)")
    }
}

/// Which key of a device gives its word that it wants to be certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rsig {
    /// The device key, with Ed25519.
    Device,
    /// libsignal's identity key, with XEdDSA.
    Identity,
    /// The MLS key, with Ed25519.
    Mls,
}

impl fmt::Display for Rsig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::Identity => "identity",
            Self::Mls => "MLS",
        })
    }
}

/// Encodes an op that is yet to be signed. What came from elsewhere is never
/// encoded again: its bytes are passed on.
pub fn encode_op(op: &Op) -> Vec<u8> {
    op.encode_to_vec()
}

/// What an Ed25519 key signs for an op: `sotto/op/v1` and the payload.
pub fn signing_message(payload: &[u8]) -> Vec<u8> {
    [b"sotto/op/v1", payload].concat()
}

/// The link hash of a payload.
pub fn link_hash(payload: &[u8]) -> LinkHash {
    let digest = Sha256::new().chain_update(b"sotto/link/v1").chain_update(payload);
    LinkHash(digest.finalize().into())
}

/// What a key of the device signs that `op` adds: a label and the encoded op
/// without its reverse signatures.
///
/// The identity key's message starts with 32 bytes 0xFF, which is no public key,
/// so that it is never taken for the signature of a prekey.
pub fn rsig_message(op: &Op, by: Rsig) -> Vec<u8> {
    let mut bare = op.clone();
    let device = match &mut bare.body {
        Some(Body::Genesis(genesis)) => genesis.first_device.as_mut(),
        Some(Body::AddDevice(device)) => Some(device),
        _ => None,
    };
    if let Some(device) = device {
        device.rsig_device.clear();
        device.rsig_identity.clear();
        device.rsig_mls.clear();
    }
    let bare = encode_op(&bare);
    match by {
        Rsig::Device => [b"sotto/rsig-device/v1".as_slice(), &bare].concat(),
        Rsig::Identity => [[0xFF; 32].as_slice(), b"sotto/rsig-identity/v1", &bare].concat(),
        Rsig::Mls => [b"sotto/rsig-mls/v1".as_slice(), &bare].concat(),
    }
}

/// Takes in a payload. The body is `None` where it is one that is passed over
/// (field number 1000 and up).
///
/// It checks the form alone, not the place in a chain nor the signatures.
pub fn decode_op(payload: &[u8]) -> Result<Op, ChainError> {
    if payload.len() > MAX_OP_BYTES {
        return Err(ChainError::OpTooLarge);
    }
    let (known, passed_over) = split(payload)?;
    let op = Op::decode(known).map_err(|_| ChainError::MalformedOp)?;
    if op.encode_to_vec() != known {
        return Err(ChainError::NotCanonical);
    }
    match op.v {
        0 => return Err(ChainError::MalformedOp),
        OP_VERSION => {}
        _ => return Err(ChainError::UpgradeNeeded),
    }
    match (&op.body, passed_over) {
        (None, false) => Err(ChainError::MissingBody),
        (Some(_), true) => Err(ChainError::NotCanonical),
        _ => Ok(op),
    }
}

/// Splits off a body that is to be passed over, and says whether there was one.
///
/// prost drops fields that it does not know, so they are looked for in the raw
/// bytes here. One under 1000 is refused; one from there on may only stand at the
/// end, once, length-delimited and in its shortest form. Any that stands elsewhere
/// stays in the first part, which then does not survive decoding and encoding.
fn split(payload: &[u8]) -> Result<(&[u8], bool), ChainError> {
    let mut rest = payload;
    let mut last = None;
    let mut refusal = None;
    while !rest.is_empty() {
        let field = rest;
        let (number, wire_type) = decode_key(&mut rest).map_err(|_| ChainError::MalformedOp)?;
        skip_field(wire_type, number, &mut rest, DecodeContext::default())
            .map_err(|_| ChainError::MalformedOp)?;
        if number < FIRST_PASSED_OVER && !is_built(number) {
            refusal.get_or_insert(refuse(number));
        }
        last = Some((number, field));
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    match last {
        Some((number, field)) if number >= FIRST_PASSED_OVER => {
            if !is_shortest_form(number, field) {
                return Err(ChainError::NotCanonical);
            }
            let known = payload.len().saturating_sub(field.len());
            Ok((payload.get(..known).unwrap_or_default(), true))
        }
        _ => Ok((payload, false)),
    }
}

/// Whether `field`, the last of its message, is length-delimited and would be
/// encoded just so.
fn is_shortest_form(number: u32, field: &[u8]) -> bool {
    let mut content = field;
    let Ok((_, WireType::LengthDelimited)) = decode_key(&mut content) else {
        return false;
    };
    if decode_varint(&mut content).is_err() {
        return false;
    }
    let mut again = Vec::with_capacity(field.len());
    encode_key(number, WireType::LengthDelimited, &mut again);
    encode_varint(content.len() as u64, &mut again);
    again.extend_from_slice(content);
    again == field
}

/// The field numbers of the `Op` message as generated.
fn is_built(number: u32) -> bool {
    matches!(number, 1..=5 | 16..=21 | 32..=33 | 35..=36)
}

fn refuse(number: u32) -> ChainError {
    let name = match number {
        22 => "recover_intent",
        23 => "cancel_recover",
        24 => "tombstone",
        34 => "set_home",
        48 => "add_claim",
        49 => "drop_claim",
        50 => "add_attestation",
        51 => "revoke_attestation",
        52 => "set_shared_files",
        53 => "set_inbox_policy",
        _ => return ChainError::UpgradeNeeded,
    };
    ChainError::UnsupportedOp { name }
}

#[cfg(test)]
mod tests;
