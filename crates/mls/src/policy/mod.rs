//! Who may change what in a group: a policy in the GroupContext, and rules that follow it.

mod error;
mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use openmls::prelude::{Extension, Extensions, GroupContext, UnknownExtension};
use prost::Message as _;
use sotto_ids::{AccountId, limits::MAX_GROUP_ADMINS};
use sotto_proto::groups::GroupPolicy;

pub use self::{
    error::{MalformedPolicy, PolicyError},
    rules::{Changes, Committer, Proposer, Removal, check_begin, check_commit, check_leave},
};
use crate::canonical;

/// The type of the extension of the GroupContext that holds the policy. It is from the range
/// for private use (RFC 9420, 17.3).
pub const POLICY_EXTENSION: u16 = 0xF050;

const VERSION: u32 = 1;

/// What a group is held to. It is in the clear: the server needs it to judge commits.
#[derive(Clone, PartialEq, Eq)]
pub struct Policy {
    /// Counts the changes of the metadata.
    pub metadata_version: u64,
    /// [`Metadata::hash`](crate::metadata::Metadata::hash) of those that hold, or none where
    /// the group has none.
    pub metadata_hash: Option<[u8; 32]>,
    /// Who may add and remove others and change this; 1 to [`MAX_GROUP_ADMINS`] accounts.
    pub admins: BTreeSet<AccountId>,
    /// Whether every member may add others.
    pub members_may_add: bool,
}

impl Policy {
    /// Whether an account is an admin.
    pub fn is_admin(&self, account: &AccountId) -> bool {
        self.admins.contains(account)
    }

    /// Reads the policy of a group.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is of an unknown version or another form.
    pub fn from_extensions(extensions: &Extensions<GroupContext>) -> Result<Self, MalformedPolicy> {
        let UnknownExtension(bytes) =
            extensions.unknown(POLICY_EXTENSION).ok_or(MalformedPolicy::Missing)?;
        Self::decode(bytes)
    }

    /// The extension that holds it.
    pub fn to_extension(&self) -> Extension {
        Extension::Unknown(POLICY_EXTENSION, UnknownExtension(self.encode()))
    }

    /// An encoded `GroupPolicy`.
    pub fn encode(&self) -> Vec<u8> {
        let policy = GroupPolicy {
            v: VERSION,
            metadata_version: self.metadata_version,
            metadata_hash: self.metadata_hash.map(Vec::from).unwrap_or_default().into(),
            admins: self.admins.iter().map(|account| account.as_bytes().to_vec().into()).collect(),
            members_may_add: self.members_may_add,
        };
        policy.encode_to_vec()
    }

    /// Reads an encoded `GroupPolicy`.
    ///
    /// # Errors
    ///
    /// Where it is of an unknown version or not in the one form that it has: sorted admins,
    /// each once, at least one and not too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedPolicy> {
        let policy: GroupPolicy = canonical::decode(bytes).ok_or(MalformedPolicy::Unreadable)?;
        if policy.v != VERSION {
            return Err(MalformedPolicy::UnknownVersion);
        }
        if policy.admins.is_empty() || policy.admins.len() > MAX_GROUP_ADMINS {
            return Err(MalformedPolicy::Admins);
        }
        let admins = policy
            .admins
            .iter()
            .map(|id| AccountId::try_from(&id[..]))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| MalformedPolicy::Admins)?;
        if !admins.is_sorted_by(|a, b| a < b) {
            return Err(MalformedPolicy::Admins);
        }
        let metadata_hash = match &policy.metadata_hash[..] {
            [] => None,
            hash => Some(hash.try_into().map_err(|_| MalformedPolicy::Unreadable)?),
        };
        Ok(Self {
            metadata_version: policy.metadata_version,
            metadata_hash,
            admins: admins.into_iter().collect(),
            members_may_add: policy.members_may_add,
        })
    }
}

impl fmt::Debug for Policy {
    /// Names no account.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("metadata_version", &self.metadata_version)
            .field("admins", &self.admins.len())
            .field("members_may_add", &self.members_may_add)
            .finish_non_exhaustive()
    }
}
