//! What members read of a group.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path, Query},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use utoipa::{OpenApi, ToSchema};

use super::body::{EpochQuery, GroupName};
use crate::ops::Groups;

/// Entries in a page of the log.
const MAX_PAGE: u32 = 500;

#[derive(OpenApi)]
#[openapi(paths(log, info, tree))]
pub(super) struct Document;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// The last entry that the device has.
    #[serde(default)]
    after: u64,
    /// Entries at most. Between 1 and 500.
    #[serde(default)]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// What a device needs to join from outside, but for the tree.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupInfo)]
pub(super) struct InfoBody {
    generation: u32,
    epoch: u64,
    /// Where the log ends.
    seq: u64,
    /// An MLSMessage with the GroupInfo of the epoch.
    #[schema(value_type = openapi::Base64)]
    group_info: Base64Bytes,
    #[schema(value_type = openapi::Base64)]
    sealed_metadata: Base64Bytes,
    /// The epoch under whose key the metadata are sealed.
    metadata_epoch: u64,
}

/// `GET /v1/groups/{group}/log`
#[utoipa::path(
    get,
    path = "/v1/groups/{group}/log",
    tag = "groups",
    operation_id = "readLog",
    summary = "Reads the log of a group",
    description = "A `sotto.groups.v1.LogPage`. A device reads from the entry on with which it \
                   came, to the end or to the entry with which it went.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group."), LogQuery),
    responses(
        (status = 200, body = openapi::Octets, content_type = "application/x-protobuf",
            description = "Entries without gaps, oldest first."),
        (status = 403, description = "`not_a_member`"),
        (status = 410, description = "`log_expired`"),
        (status = 422),
    ),
)]
pub(super) async fn log(
    caller: Caller,
    group: Path<GroupName>,
    query: Query<LogQuery>,
    groups: Data<Groups>,
) -> Result<HttpResponse, Problem> {
    let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page = groups.read_log(group.0, caller.device, query.after, limit).await?;
    Ok(HttpResponse::Ok().content_type("application/x-protobuf").body(page.encode_to_vec()))
}

/// `GET /v1/groups/{group}/info`
#[utoipa::path(
    get,
    path = "/v1/groups/{group}/info",
    tag = "groups",
    operation_id = "groupInfo",
    summary = "Says what a device needs to join a group by itself",
    description = "For devices of accounts that are in the group. The tree comes apart.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group.")),
    responses(
        (status = 200, body = InfoBody, description = "As the group is now."),
        (status = 403, description = "`not_a_member`"),
        (status = 422),
    ),
)]
pub(super) async fn info(
    caller: Caller,
    group: Path<GroupName>,
    groups: Data<Groups>,
) -> Result<Json<InfoBody>, Problem> {
    let info = groups.info(group.0, caller.device).await?;
    Ok(Json(InfoBody {
        generation: info.head.at.generation,
        epoch: info.head.at.epoch,
        seq: info.head.seq,
        group_info: info.group_info.to_vec().into(),
        sealed_metadata: info.sealed_metadata.to_vec().into(),
        metadata_epoch: info.metadata_epoch,
    }))
}

/// `GET /v1/groups/{group}/tree`
#[utoipa::path(
    get,
    path = "/v1/groups/{group}/tree",
    tag = "groups",
    operation_id = "ratchetTree",
    summary = "Reads the ratchet tree of an epoch",
    description = "TLS-serialised (RFC 9420 section 7.8) and compressed by zstd. Of the epoch \
                   that the group is in, and of those that a Welcome waits into.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group."), EpochQuery),
    responses(
        (status = 200, body = openapi::Octets, content_type = "application/zstd",
            description = "The tree."),
        (status = 403, description = "`not_a_member`"),
        (status = 410, description = "`tree_gone`"),
        (status = 422),
    ),
)]
pub(super) async fn tree(
    caller: Caller,
    group: Path<GroupName>,
    query: Query<EpochQuery>,
    groups: Data<Groups>,
) -> Result<HttpResponse, Problem> {
    let tree = groups.tree(group.0, query.into_inner().into(), caller.device).await?;
    Ok(HttpResponse::Ok().content_type("application/zstd").body(tree))
}
