use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::{Builder, Uuid};

/// The bytes are no group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group id is a random UUID (version 4)")]
pub struct MalformedGroupId;

/// Names a group: a random UUID, chosen by the device that makes the group. It stays when the
/// group is reset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(Uuid);

impl GroupId {
    /// Makes an id of this randomness.
    pub fn new(random: [u8; 16]) -> Self {
        Self(Builder::from_random_bytes(random).into_uuid())
    }

    /// As a plain UUID, for a database row.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Takes a UUID as it stands in a database row of ours.
    pub const fn from_stored(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The `group_id` of MLS (RFC 9420, 8.1) in a generation of the group: the UUID, and the
    /// generation as four bytes, the highest first.
    pub fn mls_id(&self, generation: u32) -> [u8; 20] {
        let mut id = [0; 20];
        let (uuid, number) = id.split_at_mut(16);
        uuid.copy_from_slice(self.0.as_bytes());
        number.copy_from_slice(&generation.to_be_bytes());
        id
    }

    /// What [`GroupId::mls_id`] was made from.
    ///
    /// # Errors
    ///
    /// Where the bytes are not of that form.
    pub fn from_mls_id(id: &[u8]) -> Result<(Self, u32), MalformedGroupId> {
        let (uuid, number) = id.split_at_checked(16).ok_or(MalformedGroupId)?;
        let number = number.try_into().map_err(|_| MalformedGroupId)?;
        Ok((uuid.try_into()?, u32::from_be_bytes(number)))
    }
}

impl TryFrom<&[u8]> for GroupId {
    type Error = MalformedGroupId;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        let uuid = Uuid::from_slice(bytes).map_err(|_| MalformedGroupId)?;
        if crate::is_of_version(4, uuid) { Ok(Self(uuid)) } else { Err(MalformedGroupId) }
    }
}

impl std::str::FromStr for GroupId {
    type Err = MalformedGroupId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| MalformedGroupId)?;
        Self::try_from(uuid.as_bytes().as_slice())
    }
}

impl Serialize for GroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_generation_come_back_from_the_id_of_mls() {
        let id = GroupId::new([7; 16]);
        assert_eq!(GroupId::from_mls_id(&id.mls_id(9)), Ok((id, 9)));
        assert_eq!(GroupId::from_mls_id(&id.mls_id(9)[..19]), Err(MalformedGroupId));
        assert_eq!(GroupId::from_mls_id(&[0; 20]), Err(MalformedGroupId));
    }
}
