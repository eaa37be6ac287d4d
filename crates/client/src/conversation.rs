use std::{fmt, time::Duration};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use sotto_ids::{AccountId, GroupId};

use crate::Message;

/// Names a conversation, the same on every side: the SHA-256 of the sorted
/// account ids. A note to oneself has the own id twice. That of a group is a hash of the
/// group's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId([u8; 32]);

impl ConversationId {
    /// The conversation of two accounts, in either order.
    pub fn between(one: &AccountId, other: &AccountId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self(
            Sha256::new()
                .chain_update(low.as_bytes())
                .chain_update(high.as_bytes())
                .finalize()
                .into(),
        )
    }

    /// The conversation of a group.
    pub fn of_group(group: GroupId) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"sotto/group-conversation/v1")
                .chain_update(group.as_bytes())
                .finalize()
                .into(),
        )
    }

    pub(crate) const fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ConversationId {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConversationId(..)")
    }
}

/// A conversation as a list of conversations shows it.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its name.
    pub id: ConversationId,
    /// Who it is with; the own account for notes to oneself. In a group, who wrote last.
    pub peer: AccountId,
    /// The group, where it is one.
    pub group: Option<GroupId>,
    /// The handle that the peer's chain claims.
    pub handle: Option<String>,
    /// Received messages that [`crate::Client::mark_read`] has not covered.
    pub unread: u64,
    /// How long after it was read a message deletes itself, unless it says otherwise.
    pub timer: Option<Duration>,
    /// Its newest message.
    pub last: Message,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_name_a_conversation_alike() {
        let (alice, bob) = (AccountId::new([1; 32]), AccountId::new([2; 32]));

        let id = ConversationId::between(&alice, &bob);

        assert_eq!(id, ConversationId::between(&bob, &alice));
        assert_ne!(id, ConversationId::between(&alice, &alice));
        let bytes = [[1_u8; 32], [2; 32]].concat();
        assert_eq!(id.as_bytes().as_slice(), Sha256::digest(bytes).as_slice());
    }
}
