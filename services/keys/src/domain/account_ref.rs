use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use sotto_ids::{AccountId, AccountUuid};

/// How callers name an account: `acct:...`, or the UUID that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountRef {
    /// The whole name.
    Id(AccountId),
    /// The short one.
    Uuid(AccountUuid),
}

/// The text names no account in either form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account is named by `acct:` and 52 characters of base32, or by its UUID")]
pub(crate) struct MalformedAccount;

impl AccountRef {
    /// The short name.
    pub(crate) fn uuid(&self) -> AccountUuid {
        match self {
            Self::Id(id) => id.uuid(),
            Self::Uuid(uuid) => *uuid,
        }
    }

    /// Whether this is a name of the account. Two ids with one UUID are two accounts.
    pub(crate) fn names(&self, account: AccountId) -> bool {
        match self {
            Self::Id(id) => *id == account,
            Self::Uuid(uuid) => *uuid == account.uuid(),
        }
    }
}

impl FromStr for AccountRef {
    type Err = MalformedAccount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.parse().map(Self::Id);
        id.or_else(|_| text.parse().map(Self::Uuid)).map_err(|_| MalformedAccount)
    }
}

impl<'de> Deserialize<'de> for AccountRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl From<AccountId> for AccountRef {
    fn from(id: AccountId) -> Self {
        Self::Id(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_account() {
        let id = AccountId::new([7; 32]);
        for text in [id.to_string(), id.uuid().to_string()] {
            let account: AccountRef = text.parse().unwrap();
            assert!(account.names(id), "{text}");
            assert_eq!(account.uuid(), id.uuid());
        }
    }

    #[test]
    fn another_account_with_the_same_uuid_is_not_meant() {
        let (id, mut twin) = ([7; 32], [7; 32]);
        twin[31] = 8;
        let account = AccountRef::Id(AccountId::new(id));
        assert!(!account.names(AccountId::new(twin)));
    }

    #[test]
    fn other_texts_name_nobody() {
        for text in ["", "acct:", "alice", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(text.parse::<AccountRef>(), Err(MalformedAccount), "{text}");
        }
    }
}
