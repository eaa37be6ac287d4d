//! What comes back on a message: receipts, reactions, votes, edits.

use sotto_ids::{AccountId, AccountUuid, DeviceId};

/// What a receipt says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReceiptKind {
    /// A device has it.
    Delivered,
    /// Somebody has read it there.
    Read,
}

impl ReceiptKind {
    /// A stable word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Delivered, Self::Read].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A receipt for a message of ours.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Whose device it is from.
    pub account: AccountUuid,
    /// The device.
    pub device: DeviceId,
    /// What it says.
    pub kind: ReceiptKind,
    /// That device's clock when it sent the receipt, which is some time after
    /// what it tells of.
    pub at_ms: u64,
}

/// Which receipts this account sends. Kept, and the same on all of its devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceiptSettings {
    /// Whether senders are told that a device has their message.
    pub delivered: bool,
    /// Whether they are told that it was read.
    pub read: bool,
}

/// Somebody's reaction to a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Who.
    pub by: AccountId,
    /// With what.
    pub emoji: String,
}

/// How a poll stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PollResult {
    /// Votes for each option, in its order.
    pub counts: Vec<u64>,
    /// Who voted for what; options are numbered from 0.
    pub votes: Vec<(AccountId, Vec<usize>)>,
}

/// One version of an edited text.
#[derive(Clone, PartialEq, Eq)]
pub struct Edition {
    /// The writer's clock.
    pub written_at_ms: u64,
    /// What it said then.
    pub text: String,
}

/// What a contact may see of us. Nothing, unless it is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Visibility {
    /// That we are writing to them.
    pub typing: bool,
    /// That a device of ours is connected, and to the hour when it last was.
    pub presence: bool,
}

/// What is known of a contact's presence. Without a grant of theirs: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Presence {
    /// A device of theirs said that it is here, not longer ago than two heartbeats.
    pub online: bool,
    /// Whether they are writing to us.
    pub typing: bool,
    /// When a device of theirs said goodbye, rounded down to the hour.
    pub last_seen_ms: Option<u64>,
}
