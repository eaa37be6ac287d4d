//! What several requests and answers have in common.

use actix_web::web::JsonConfig;
use serde::{Deserialize, Deserializer, Serialize, de};
use sotto_ids::{
    Base64Bytes, GroupId,
    limits::{MAX_COMMIT_BYTES, MAX_SEALED_METADATA_BYTES, MAX_WELCOME_BYTES},
};
use sotto_kit::openapi;
use utoipa::ToSchema;

use crate::{
    domain::{Epoch, Head},
    ops::MAX_GROUP_INFO_BYTES,
};

/// Characters of the body of a commit: its parts as base64, and what is around them.
const MAX_COMMIT_BODY: usize =
    (MAX_COMMIT_BYTES + MAX_WELCOME_BYTES + MAX_SEALED_METADATA_BYTES + MAX_GROUP_INFO_BYTES)
        .div_ceil(3)
        * 4
        + 1024;

/// Commits are larger than other bodies.
pub(super) fn commit_config() -> JsonConfig {
    sotto_kit::http::json_config(MAX_COMMIT_BODY)
}

/// A group in a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupName(pub(super) GroupId);

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// An epoch in a query.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochQuery {
    /// How often the group had been reset.
    generation: u32,
    /// The epoch of MLS in this generation.
    epoch: u64,
}

impl From<EpochQuery> for Epoch {
    fn from(query: EpochQuery) -> Self {
        Self { generation: query.generation, epoch: query.epoch }
    }
}

/// The metadata of a group, sealed for an epoch.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SealedMetadata)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedBody {
    pub(super) generation: u32,
    pub(super) epoch: u64,
    /// Sealed under the key of the epoch. At most 18 KiB.
    #[schema(value_type = openapi::Base64)]
    pub(super) sealed_metadata: Base64Bytes,
}

/// Where a group stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupHead)]
pub(super) struct HeadBody {
    #[schema(value_type = openapi::GroupId)]
    pub(super) group: String,
    /// How often the group was reset.
    pub(super) generation: u32,
    /// The epoch of MLS in this generation.
    pub(super) epoch: u64,
    /// The number of the entry of the log.
    pub(super) seq: u64,
}

impl From<Head> for HeadBody {
    fn from(head: Head) -> Self {
        Self {
            group: head.group.to_string(),
            generation: head.at.generation,
            epoch: head.at.epoch,
            seq: head.seq,
        }
    }
}

/// An entry that was added to the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupEntryNumber)]
pub(super) struct SeqBody {
    /// Its number.
    pub(super) seq: u64,
}
