//! Entries of the log that are no messages.

use bytes::Bytes;
use sotto_proto::socket::{GroupEntry, GroupEntryKind};

use super::Epoch;

/// The commit that ends the epoch `at`. `sealed_metadata` is empty where they were not sealed
/// for the next epoch.
pub(crate) fn commit(
    seq: u64,
    at: Epoch,
    message: Bytes,
    sealed: Bytes,
    now_ms: u64,
) -> GroupEntry {
    entry(seq, GroupEntryKind::Commit, at, message, sealed, now_ms)
}

/// A proposal that the commit that ends the epoch `at` has to contain.
pub(crate) fn proposal(seq: u64, at: Epoch, message: Bytes, now_ms: u64) -> GroupEntry {
    entry(seq, GroupEntryKind::Proposal, at, message, Bytes::new(), now_ms)
}

/// The metadata, sealed for the epoch `at`.
pub(crate) fn metadata(seq: u64, at: Epoch, sealed: Bytes, now_ms: u64) -> GroupEntry {
    entry(seq, GroupEntryKind::Metadata, at, Bytes::new(), sealed, now_ms)
}

/// A generation begins, in its epoch 0.
pub(crate) fn beginning(seq: u64, generation: u32, sealed: Bytes, now_ms: u64) -> GroupEntry {
    let at = Epoch { generation, epoch: 0 };
    entry(seq, GroupEntryKind::Reset, at, Bytes::new(), sealed, now_ms)
}

fn entry(
    seq: u64,
    kind: GroupEntryKind,
    at: Epoch,
    message: Bytes,
    sealed_metadata: Bytes,
    server_time_ms: u64,
) -> GroupEntry {
    GroupEntry {
        seq,
        kind: kind.into(),
        generation: at.generation,
        epoch: at.epoch,
        message,
        client_msg_id: Bytes::new(),
        server_time_ms,
        sealed_metadata,
    }
}
