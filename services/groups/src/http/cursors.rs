//! How far devices have stored the logs of their groups.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sotto_ids::{AccountUuid, limits::MAX_GROUP_CURSORS};
use sotto_kit::{auth::Caller, fault::Problem, openapi};
use sotto_proto::socket::GroupCursor;
use utoipa::{OpenApi, ToSchema};

use super::body::GroupName;
use crate::{error::GroupsError, ops::Groups};

#[derive(OpenApi)]
#[openapi(paths(acknowledge, list))]
pub(super) struct Document;

/// Acknowledgements.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupCursors)]
#[serde(deny_unknown_fields)]
pub(super) struct CursorsBody {
    /// At most 256.
    cursors: Vec<CursorBody>,
}

/// How far the caller's device has stored the log of one group.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GroupCursor)]
#[serde(deny_unknown_fields)]
struct CursorBody {
    #[schema(value_type = openapi::GroupId)]
    group: GroupName,
    /// This entry and all before it.
    seq: u64,
}

/// How far each device of a group is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupDelivery)]
pub(super) struct DeliveryBody {
    members: Vec<MemberBody>,
}

/// How far a device has stored the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMemberCursor)]
struct MemberBody {
    #[schema(value_type = openapi::AccountUuid)]
    account: AccountUuid,
    #[schema(value_type = openapi::DeviceId)]
    device_id: u32,
    cursor: u64,
}

/// `PUT /v1/groups/cursors`
#[utoipa::path(
    put,
    path = "/v1/groups/cursors",
    tag = "groups",
    operation_id = "acknowledgeGroups",
    summary = "Says how far the caller's device has stored the logs of its groups",
    description = "Written within seconds. A cursor never goes back, and what is no group of the \
                   device is passed over.",
    security(("sotto_token" = [])),
    request_body = CursorsBody,
    responses((status = 204, description = "Noted."), (status = 422)),
)]
pub(super) async fn acknowledge(
    caller: Caller,
    body: web::Json<CursorsBody>,
    groups: web::Data<Groups>,
) -> Result<HttpResponse, Problem> {
    if body.cursors.len() > MAX_GROUP_CURSORS {
        return Err(GroupsError::TooMany { what: "cursors", most: MAX_GROUP_CURSORS }.into());
    }
    let cursor = |cursor: &CursorBody| GroupCursor {
        group: Bytes::copy_from_slice(cursor.group.0.as_bytes()),
        seq: cursor.seq,
    };
    let cursors: Vec<GroupCursor> = body.cursors.iter().map(cursor).collect();
    groups.acknowledge(caller.device, &cursors);
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /v1/groups/{group}/cursors`
#[utoipa::path(
    get,
    path = "/v1/groups/{group}/cursors",
    tag = "groups",
    operation_id = "readGroupCursors",
    summary = "Says how far the devices of a group have stored its log",
    description = "An entry is delivered to a device whose cursor has reached it. Seconds old.",
    security(("sotto_token" = [])),
    params(("group" = openapi::GroupId, Path, description = "Which group.")),
    responses(
        (status = 200, body = DeliveryBody, description = "Each device of the group."),
        (status = 403, description = "`not_a_member`"),
        (status = 422),
    ),
)]
pub(super) async fn list(
    caller: Caller,
    path: web::Path<GroupName>,
    groups: web::Data<Groups>,
) -> Result<web::Json<DeliveryBody>, Problem> {
    let members = groups.cursors(path.0, caller.device).await?;
    let members = members.into_iter().map(|member| MemberBody {
        account: member.device.account,
        device_id: member.device.device.into(),
        cursor: member.cursor,
    });
    Ok(web::Json(DeliveryBody { members: members.collect() }))
}
