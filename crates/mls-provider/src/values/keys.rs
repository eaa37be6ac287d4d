//! How keys are made.
//!
//! Keys of a group are `g`, the `group_id` of MLS with its length before it, and which entry of
//! the group it is. Others are `d` and which entry of the device. The numbers are stored: a
//! number is never used for something else.

use serde::Serialize;

use super::StorageError;

const GROUP: u8 = b'g';
const DEVICE: u8 = b'd';

/// Entries of a group.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum OfGroup {
    Tree = 1,
    Context = 2,
    InterimTranscriptHash = 3,
    ConfirmationTag = 4,
    /// The references of the proposals, in the order in which they came.
    ProposalRefs = 5,
    /// One for each proposal: its reference stands behind.
    Proposal = 6,
    Config = 7,
    OwnLeafNodes = 8,
    State = 9,
    MessageSecrets = 10,
    ResumptionPsks = 11,
    OwnLeafIndex = 12,
    EpochSecrets = 13,
    /// One for each epoch and leaf, which stand behind.
    EpochKeyPairs = 14,
}

/// Entries of a device.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum OfDevice {
    KeyPackage = 1,
    EncryptionKeyPair = 2,
    SignatureKeyPair = 3,
    Psk = 4,
}

pub(super) fn group_prefix(mls_id: &[u8]) -> Vec<u8> {
    // As postcard has the `GroupId` of OpenMLS: the length as a varint, and the bytes.
    let mut length = mls_id.len();
    let mut key = vec![GROUP];
    while let Some(more) = std::num::NonZero::new(length >> 7) {
        key.push(low_bits(length) | 0x80);
        length = more.get();
    }
    key.push(low_bits(length));
    key.extend_from_slice(mls_id);
    key
}

#[expect(clippy::cast_possible_truncation, reason = "the mask leaves seven bits")]
fn low_bits(number: usize) -> u8 {
    (number & 0x7F) as u8
}

pub(super) fn device_prefix() -> Vec<u8> {
    vec![DEVICE]
}

pub(super) fn of_group(entry: OfGroup, group_id: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    let mut key = vec![GROUP];
    key = postcard::to_extend(group_id, key)?;
    key.push(entry as u8);
    Ok(key)
}

pub(super) fn of_group_and(
    entry: OfGroup,
    group_id: &impl Serialize,
    which: &impl Serialize,
) -> Result<Vec<u8>, StorageError> {
    let key = of_group(entry, group_id)?;
    Ok(postcard::to_extend(which, key)?)
}

pub(super) fn of_device(entry: OfDevice, which: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    Ok(postcard::to_extend(which, vec![DEVICE, entry as u8])?)
}
