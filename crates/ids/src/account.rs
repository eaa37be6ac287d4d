use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The name of an account: the link hash of its genesis op, 32 bytes.
///
/// Its text form is `acct:` and 52 characters of lower-case base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 32]);

/// The text or bytes are no account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account id is 32 bytes, or `acct:` and 52 characters of lower-case base32")]
pub struct MalformedAccountId;

const PREFIX: &str = "acct:";

impl AccountId {
    /// Wraps a link hash.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The short name of the account where 16 bytes are all there is room for:
    /// libsignal addresses, queues, places. A home server takes no second account
    /// with the same one.
    pub fn uuid(&self) -> AccountUuid {
        let [a @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.0;
        AccountUuid(Uuid::new_v8(a))
    }
}

impl TryFrom<&[u8]> for AccountId {
    type Error = MalformedAccountId;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| MalformedAccountId)
    }
}

impl FromStr for AccountId {
    type Err = MalformedAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(MalformedAccountId)?;
        if encoded.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(MalformedAccountId);
        }
        let bytes = BASE32_NOPAD
            .decode(encoded.to_ascii_uppercase().as_bytes())
            .map_err(|_| MalformedAccountId)?;
        Self::try_from(bytes.as_slice())
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        write!(f, "{PREFIX}{encoded}")
    }
}

impl fmt::Debug for AccountId {
    /// Says nothing: an id that reaches a log by way of `{:?}` would be a leak.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountId(..)")
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The first 16 bytes of an account id as a UUIDv8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountUuid(Uuid);

/// The bytes are no account UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account UUID is 16 bytes of a UUIDv8")]
pub struct MalformedAccountUuid;

impl AccountUuid {
    /// Takes a UUID as it stands in a database row of ours.
    pub const fn from_stored(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// As a plain UUID, for a database row or libsignal's address.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl TryFrom<&[u8]> for AccountUuid {
    type Error = MalformedAccountUuid;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        let uuid = Uuid::from_slice(bytes).map_err(|_| MalformedAccountUuid)?;
        if crate::is_of_version(8, uuid) { Ok(Self(uuid)) } else { Err(MalformedAccountUuid) }
    }
}

impl fmt::Display for AccountUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AccountUuid {
    type Err = MalformedAccountUuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::from_str(text).map_err(|_| MalformedAccountUuid)?;
        Self::try_from(uuid.as_bytes().as_slice())
    }
}

impl fmt::Debug for AccountUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountUuid(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_survives_its_text_form() {
        let id = AccountId::new([7; 32]);

        let text = id.to_string();

        assert_eq!(text.len(), 5 + 52);
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        let id = AccountId::new([0xAB; 32]).to_string();
        for wrong in ["", "acct:", &id[5..], &id.to_ascii_uppercase(), &format!("{id}a")] {
            assert_eq!(wrong.parse::<AccountId>(), Err(MalformedAccountId), "{wrong}");
        }
    }

    #[test]
    fn debug_output_names_nobody() {
        let id = AccountId::new([9; 32]);
        assert_eq!(format!("{id:?} {:?}", id.uuid()), "AccountId(..) AccountUuid(..)");
    }

    #[test]
    fn only_a_uuid_of_version_8_names_an_account() {
        let id = AccountId::new([9; 32]);
        assert_eq!(AccountUuid::try_from(id.uuid().as_bytes().as_slice()), Ok(id.uuid()));
        assert!(AccountUuid::try_from(Uuid::nil().as_bytes().as_slice()).is_err());
        let mut of_another_variant = *id.uuid().as_bytes();
        of_another_variant[8] |= 0xC0;
        assert!(AccountUuid::try_from(of_another_variant.as_slice()).is_err());
    }
}
