//! Groups as a whole.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use serde::{Deserialize, Serialize};
use sotto_ids::Base64Bytes;
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use utoipa::{OpenApi, ToSchema};

use super::body::{GroupName, HeadBody};
use crate::{
    db::read::Membership,
    ops::{BeginRequest, Groups},
};

#[derive(OpenApi)]
#[openapi(paths(list, create, reset, external_sender))]
pub(super) struct Document;

/// With what a group begins.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewGroup)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBody {
    /// An MLSMessage with the GroupInfo of epoch 0, which has the ratchet tree, the maker as its
    /// only leaf, and the extensions of a group here. At most 8 KiB.
    #[schema(value_type = openapi::Base64)]
    group_info: Base64Bytes,
    /// What the group is called, sealed; nothing where it has no name. At most 18 KiB.
    #[serde(default)]
    #[schema(value_type = openapi::Base64)]
    sealed_metadata: Base64Bytes,
}

/// With what the next generation of a group begins.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupReset)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    /// The generation that ends.
    generation: u32,
    /// As for a new group, of the generation after.
    #[schema(value_type = openapi::Base64)]
    group_info: Base64Bytes,
    /// As for a new group.
    #[serde(default)]
    #[schema(value_type = openapi::Base64)]
    sealed_metadata: Base64Bytes,
}

/// The groups of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupList)]
pub(super) struct ListBody {
    groups: Vec<MembershipBody>,
}

/// A group of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMembership)]
struct MembershipBody {
    #[schema(value_type = openapi::GroupId)]
    group: String,
    generation: u32,
    epoch: u64,
    /// The last entry of the log that the device may read.
    seq: u64,
    /// The last entry that the device has acknowledged.
    cursor: u64,
    /// The entry with which it came.
    joined_seq: u64,
    /// The entry with which it went, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_seq: Option<u64>,
}

/// Who proposes in the name of the deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExternalSender)]
pub(super) struct ExternalSenderBody {
    /// Ed25519, 32 bytes.
    #[schema(value_type = openapi::Base64)]
    signature_key: Base64Bytes,
    /// The identity in its basic credential.
    #[schema(value_type = openapi::Base64)]
    credential: Base64Bytes,
}

/// `GET /v1/groups`
#[utoipa::path(
    get,
    path = "/v1/groups",
    tag = "groups",
    operation_id = "listGroups",
    summary = "Lists the groups that the device is, or was, in",
    security(("sotto_token" = [])),
    responses((status = 200, body = ListBody, description = "Those it is in come first.")),
)]
pub(super) async fn list(caller: Caller, groups: Data<Groups>) -> Result<Json<ListBody>, Problem> {
    let memberships = groups.memberships(caller.device).await?;
    let groups = memberships.into_iter().map(MembershipBody::from).collect();
    Ok(Json(ListBody { groups }))
}

/// `POST /v1/groups`
#[utoipa::path(
    post,
    path = "/v1/groups",
    tag = "groups",
    operation_id = "createGroup",
    summary = "Makes a group, with its maker alone",
    description = "The same request again is answered with the same group.",
    security(("sotto_token" = [])),
    request_body = NewBody,
    responses(
        (status = 200, body = HeadBody, description = "It was made before."),
        (status = 201, body = HeadBody, description = "It is there."),
        (status = 403, description = "`not_allowed`, with the `rule`"),
        (status = 409, description = "`group_exists`"),
        (status = 422, description = "`malformed_mls`, `commit_invalid`, `leaf_uncertified`, \
                                      `group_info_mismatch`, `too_large`"),
    ),
)]
pub(super) async fn create(
    caller: Caller,
    body: Json<NewBody>,
    groups: Data<Groups>,
) -> Result<HttpResponse, Problem> {
    let NewBody { group_info, sealed_metadata } = body.into_inner();
    let request = begin_request(group_info, sealed_metadata);
    let created = groups.create(request, &caller).await?;
    let mut response = if created.is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(HeadBody::from(created.head)))
}

/// `POST /v1/groups/{group}/reset`
#[utoipa::path(
    post,
    path = "/v1/groups/{group}/reset",
    tag = "groups",
    operation_id = "resetGroup",
    summary = "Begins a group again, with the caller alone",
    description = "The last resort, for admins. The log goes on; everybody else is to be added \
                   anew. The same request again is the same reset.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "The group.")),
    request_body = ResetBody,
    responses(
        (status = 200, body = HeadBody, description = "It has begun."),
        (status = 403, description = "`not_a_member`; `not_allowed`, with the `rule`"),
        (status = 409, description = "`generation_taken`, with what the caller lacks"),
        (status = 422, description = "As for a new group."),
    ),
)]
pub(super) async fn reset(
    caller: Caller,
    group: Path<GroupName>,
    body: Json<ResetBody>,
    groups: Data<Groups>,
) -> Result<Json<HeadBody>, Problem> {
    let ResetBody { generation, group_info, sealed_metadata } = body.into_inner();
    let request = begin_request(group_info, sealed_metadata);
    let head = groups.reset(group.0, generation, request, &caller).await?;
    Ok(Json(head.into()))
}

/// `GET /v1/groups/external-sender`
#[utoipa::path(
    get,
    path = "/v1/groups/external-sender",
    tag = "groups",
    operation_id = "externalSender",
    summary = "Says who is to stand in the external senders of a new group",
    security(("sotto_token" = [])),
    responses((status = 200, body = ExternalSenderBody, description = "The deployment.")),
)]
pub(super) async fn external_sender(
    _caller: Caller,
    groups: Data<Groups>,
) -> Result<Json<ExternalSenderBody>, Problem> {
    let sender = &groups.external_sender;
    Ok(Json(ExternalSenderBody {
        signature_key: sender.signature_key().to_vec().into(),
        credential: sender.identity().into(),
    }))
}

fn begin_request(group_info: Base64Bytes, sealed_metadata: Base64Bytes) -> BeginRequest {
    BeginRequest { group_info: group_info.0.into(), sealed_metadata: sealed_metadata.0.into() }
}

impl From<Membership> for MembershipBody {
    fn from(membership: Membership) -> Self {
        let HeadBody { group, generation, epoch, seq } = membership.head.into();
        let Membership { cursor, joined_seq, removed_seq, .. } = membership;
        Self { group, generation, epoch, seq, cursor, joined_seq, removed_seq }
    }
}

#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let _new = serde_json::from_slice::<NewBody>(data);
    let _reset = serde_json::from_slice::<ResetBody>(data);
    let _name = serde_json::from_slice::<GroupName>(data);
}
